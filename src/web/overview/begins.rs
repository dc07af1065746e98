//! Where bills begin, for services whose cost before that is not known: it is no rise.

use super::findings::Cause;
use crate::store::freshness::{Freshness, SourceReach};
use crate::store::{Snapshot, service_costs};
use crate::web::query::{Span, View};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// The first day of the bills of services that no bill tells of on all days compared.
#[derive(Default)]
pub struct Begins {
    by_service: BTreeMap<i64, NaiveDate>,
}

impl Begins {
    /// Reads which sources bill these services; nothing where all sources tell of all days compared.
    pub async fn read(
        snapshot: &mut Snapshot,
        bills: &Freshness,
        span: &Span,
        service_ids: &[i64],
    ) -> sqlx::Result<Self> {
        if later(bills, span).next().is_none() {
            return Ok(Self::default());
        }
        let from: BTreeMap<i64, NaiveDate> =
            bills.sources.iter().map(|source| (source.source_id, source.bills_from)).collect();
        let mut by_service: BTreeMap<i64, BTreeSet<NaiveDate>> = BTreeMap::new();
        for (service_id, source_id) in service_costs::sources(snapshot, span.days, service_ids).await? {
            by_service.entry(service_id).or_default().extend(from.get(&source_id));
        }
        // One source that tells of the days before is enough for a comparison.
        let first = by_service.into_iter().filter_map(|(id, days)| Some((id, *days.first()?)));
        Ok(Self { by_service: first.filter(|(_, first)| span.before.start() < *first).collect() })
    }

    /// Whether no bill tells what this service cost on all days compared.
    pub fn has(&self, service_id: i64) -> bool {
        self.by_service.contains_key(&service_id)
    }

    /// What is said of such a service instead of a cause.
    pub fn of(&self, service_id: i64, view: &View, slug: &str) -> Option<Cause> {
        let first = self.by_service.get(&service_id)?;
        Some(Cause {
            text: format!("Bills begin on {}", first.format("%-d %b %Y")),
            href: view.link(&format!("/services/{slug}"), &[]),
        })
    }
}

/// "Part of the change is that bills of saas begin on 3 Nov 2026.": of sources that begin later than others, where those
/// make a comparison.
pub fn sentence(bills: &Freshness, span: &Span) -> String {
    let one = |source: &SourceReach| format!("{} begin on {}", source.name, source.bills_from.format("%-d %b %Y"));
    let begun: Vec<String> = later(bills, span).filter(|source| source.bills_from < span.days.end()).map(one).collect();
    if begun.is_empty() || !span.is_compared() {
        return String::new();
    }
    format!(" Part of the change is that bills of {}.", begun.join(" and those of "))
}

fn later<'a>(bills: &'a Freshness, span: &'a Span) -> impl Iterator<Item = &'a SourceReach> {
    bills.sources.iter().filter(|source| span.before.start() < source.bills_from)
}
