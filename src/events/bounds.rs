//! How much of one event is kept. What lies beyond is told beside it.

use super::Event;
use super::fields::unreadable;

/// A sender's own attributes that are kept of one event.
const ATTRIBUTES_MAX: usize = 1000;
/// Bytes of their names and values. Rules look at the attributes of all deployments at once.
const ATTRIBUTES_BYTES_MAX: usize = 64 << 10;
/// Services that one event names.
const SERVICES_MAX: usize = 1000;
/// What the texts of one event say that they revert: twice as much as a push has commits. Each is looked up whenever
/// failures are counted.
const REVERTS_MAX: usize = 4096;

/// The events without what is too much of one, and behind them what of each was left out.
pub(super) fn bounded(mut events: Vec<Event>) -> Vec<Event> {
    let beyond: Vec<Event> = events.iter_mut().flat_map(cut).collect();
    events.extend(beyond);
    events
}

fn cut(event: &mut Event) -> Vec<Event> {
    let told = [cut_attributes(event), cut_services(event), cut_reverts(event)];
    let whose = event.key().or(event.sha.as_deref()).unwrap_or(event.kind.as_str());
    told.into_iter().flatten().map(|what| unreadable(&format!("of {whose}, {what}"))).collect()
}

fn cut_attributes(event: &mut Event) -> Option<String> {
    let count = event.attributes.len();
    let (mut kept_count, mut bytes) = (0, 0);
    // One that is too long leaves room for those behind it.
    event.attributes.retain(|key, value| {
        let length = key.len() + value.len();
        let fits = kept_count < ATTRIBUTES_MAX && bytes + length <= ATTRIBUTES_BYTES_MAX;
        if fits {
            (kept_count, bytes) = (kept_count + 1, bytes + length);
        }
        fits
    });
    let kibibytes = ATTRIBUTES_BYTES_MAX >> 10;
    (count > kept_count).then(|| {
        format!(
            "{kept_count} of {count} attributes are kept: at most {ATTRIBUTES_MAX}, and together at most {kibibytes} KiB"
        )
    })
}

fn cut_services(event: &mut Event) -> Option<String> {
    let count = event.services.len();
    event.services.truncate(SERVICES_MAX);
    (count > SERVICES_MAX).then(|| format!("{SERVICES_MAX} of {count} services are kept: no event has more"))
}

fn cut_reverts(event: &mut Event) -> Option<String> {
    let of_commits = event.commits.iter_mut().map(|commit| &mut commit.reverts);
    let (mut count, mut kept_count) = (0, 0);
    for reverts in std::iter::once(&mut event.reverts).chain(of_commits) {
        count += reverts.len();
        reverts.truncate(REVERTS_MAX - kept_count);
        kept_count += reverts.len();
    }
    (count > kept_count).then(|| format!("{kept_count} of {count} reverted changes are kept: no event has more"))
}
