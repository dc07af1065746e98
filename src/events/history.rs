//! The successes of one service in one environment, side by side: what replaced what, what changed nothing,
//! and what went back.

use super::fields::COMMIT_DIGITS_MIN;
use chrono::{DateTime, TimeDelta, Utc};

const ROLLBACK_DEPLOYMENTS_MAX: usize = 20;
const ROLLBACK_DAYS_MAX: i64 = 90;

/// A deployment that went live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its row.
    pub deployment_id: i64,
    /// When it went live.
    pub finished_at: DateTime<Utc>,
    /// Its version.
    pub version: Option<String>,
    /// Its commit; of several repositories all of them, in order, with spaces between.
    pub sha: Option<String>,
    /// What runs, where the sender says it: the images, with spaces between.
    pub artifact: Option<String>,
}

/// The service was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// When.
    pub removed_at: DateTime<Utc>,
    /// Where only one artifact was, which.
    pub artifact: Option<String>,
}

impl Removal {
    // What went live later, or as something else, stands.
    fn ends(&self, live: &Live) -> bool {
        self.removed_at > live.finished_at && (self.artifact.is_none() || self.artifact == live.artifact)
    }
}

/// What its neighbors say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// When the next went live, or the service was taken away before that.
    pub superseded_at: Option<DateTime<Utc>>,
    /// It is what was live already, and was not taken away in between.
    pub is_noop: bool,
    /// The same artifact runs as before: only its configuration can have changed.
    pub is_config_sync: bool,
    /// It is what was live some time before, and not what was live last.
    pub is_rollback: bool,
}

/// One verdict each; `lives` stand in the order in which they went live.
pub fn judge(lives: &[Live], removals: &[Removal]) -> Vec<Verdict> {
    lives
        .iter()
        .enumerate()
        .map(|(index, live)| {
            let (before, after) = (&lives[..index], lives.get(index + 1));
            // What was taken away in between was not live any more: the same again brings it back.
            let is_taken = |previous: &&Live| {
                removals.iter().any(|removal| removal.ends(previous) && removal.removed_at <= live.finished_at)
            };
            let previous = before.last().filter(|previous| !is_taken(previous));
            let ends = removals.iter().filter(|removal| removal.ends(live)).map(|removal| removal.removed_at);
            Verdict {
                superseded_at: ends.chain(after.map(|next| next.finished_at)).min(),
                is_noop: previous.is_some_and(|previous| is_same(live, previous) == Some(true)),
                // A tag without a digest may be of another commit.
                is_config_sync: previous.is_some_and(|previous| {
                    equal(&live.artifact, &previous.artifact) == Some(true)
                        && equal_commits(live, previous) != Some(false)
                }),
                is_rollback: is_rollback(live, before),
            }
        })
        .collect()
}

// Deploying the same version once more is no rollback. What tells nothing that can be compared, a sync say, stands in
// between and decides nothing.
fn is_rollback(live: &Live, before: &[Live]) -> bool {
    let oldest = live.finished_at - TimeDelta::days(ROLLBACK_DAYS_MAX);
    [is_same as fn(&Live, &Live) -> Option<bool>, is_back_at].into_iter().any(|is_same| {
        let mut earlier = before.iter().rev().take(ROLLBACK_DEPLOYMENTS_MAX);
        earlier.find_map(|other| is_same(live, other)) == Some(false)
            && earlier.take_while(|other| other.finished_at >= oldest).any(|other| is_same(live, other) == Some(true))
    })
}

// Whether the same runs, by all that both tell: a version may be a branch's name, and a tag may be moved. Unknown where
// nothing can be compared.
fn is_same(one: &Live, other: &Live) -> Option<bool> {
    let told = [equal_commits(one, other), equal(&one.version, &other.version), equal(&one.artifact, &other.artifact)];
    told.into_iter().flatten().reduce(|all, is_equal| all && is_equal)
}

// Whether the service is at the same version, whatever runs beside it; never where the version was built anew.
fn is_back_at(one: &Live, other: &Live) -> Option<bool> {
    let commits = equal_commits(one, other);
    let by_name = equal(&one.version, &other.version).or(commits).or_else(|| equal(&one.artifact, &other.artifact))?;
    Some(by_name && commits != Some(false) && !is_rebuilt(one, other))
}

fn equal(one: &Option<String>, other: &Option<String>) -> Option<bool> {
    Some(one.as_ref()? == other.as_ref()?)
}

fn equal_commits(one: &Live, other: &Live) -> Option<bool> {
    let (one, other) = (one.sha.as_ref()?, other.sha.as_ref()?);
    let is_equal = one.split(' ').count() == other.split(' ').count()
        && one.split(' ').zip(other.split(' ')).all(|(one, other)| is_same_commit(one, other));
    Some(is_equal)
}

// Senders cut them.
fn is_same_commit(one: &str, other: &str) -> bool {
    let is_long = one.len().min(other.len()) >= COMMIT_DIGITS_MIN;
    one == other || (is_long && (one.starts_with(other) || other.starts_with(one)))
}

// The image with the version is known by another digest.
fn is_rebuilt(one: &Live, other: &Live) -> bool {
    let Some(version) = &one.version else { return false };
    let images = |live: &Live| -> Vec<(String, String)> {
        let all = live.artifact.iter().flat_map(|artifact| artifact.split(' '));
        let own = all.filter(|image| image.contains(version.as_str())).filter_map(|image| image.split_once('@'));
        own.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect()
    };
    let known = images(other);
    images(one).iter().any(|(name, digest)| known.iter().any(|known| known.0 == *name && known.1 != *digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(versions: &[(&str, i64)]) -> Vec<Live> {
        let live = |(index, (version, day)): (usize, &(&str, i64))| Live {
            deployment_id: index as i64,
            finished_at: DateTime::from_timestamp(1_700_000_000 + day * 86_400, 0).unwrap(),
            version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
            sha: None,
            artifact: None,
        };
        versions.iter().enumerate().map(live).collect()
    }

    #[test]
    fn back_to_an_earlier_version_is_a_rollback_and_the_same_again_is_not() {
        let verdicts = judge(&lives(&[("1", 0), ("2", 1), ("2", 2), ("1", 3), ("3", 4)]), &[]);
        let rollbacks: Vec<_> = verdicts.iter().map(|verdict| verdict.is_rollback).collect();
        assert_eq!(rollbacks, [false, false, false, true, false]);
        let noops: Vec<_> = verdicts.iter().map(|verdict| verdict.is_noop).collect();
        assert_eq!(noops, [false, false, true, false, false]);
        assert_eq!(verdicts[3].superseded_at, Some(lives(&[("", 4)])[0].finished_at));
        assert_eq!(verdicts[4].superseded_at, None);
    }

    #[test]
    fn what_was_taken_away_stands_no_longer_until_it_comes_again() {
        let lives = lives(&[("1", 0), ("2", 4), ("3", 8)]);
        let at = |day: i64| DateTime::from_timestamp(1_700_000_000 + day * 86_400, 0).unwrap();
        let ends = |removals: &[Removal]| -> Vec<_> {
            judge(&lives, removals).into_iter().map(|verdict| verdict.superseded_at).collect()
        };
        let removed = |day: i64| Removal { removed_at: at(day), artifact: None };
        assert_eq!(ends(&[removed(2)]), [Some(at(2)), Some(at(8)), None]);
        assert_eq!(ends(&[removed(9), removed(10)]), [Some(at(4)), Some(at(8)), Some(at(9))]);
        // At the moment of a deployment it is what was there before.
        assert_eq!(ends(&[removed(8)]), [Some(at(4)), Some(at(8)), None]);
        // Another artifact than what stands.
        assert_eq!(ends(&[Removal { artifact: Some("a:2".into()), ..removed(9) }]), [Some(at(4)), Some(at(8)), None]);
    }

    #[test]
    fn the_same_again_after_it_was_taken_away_is_new() {
        let mut lives = lives(&[("1", 0), ("1", 4), ("1", 8)]);
        lives.iter_mut().for_each(|live| live.artifact = Some("a:1".into()));
        let at = |day: i64| DateTime::from_timestamp(1_700_000_000 + day * 86_400, 0).unwrap();
        let judged = |day: i64, artifact: Option<&str>| -> Vec<_> {
            let removal = Removal { removed_at: at(day), artifact: artifact.map(str::to_owned) };
            let verdicts = judge(&lives, &[removal]);
            verdicts.iter().map(|one| (one.is_noop, one.is_config_sync, one.is_rollback)).collect()
        };
        let (new, again) = ((false, false, false), (true, true, false));
        assert_eq!(judged(2, None), [new, new, again]);
        assert_eq!(judged(4, None), [new, new, again]);
        assert_eq!(judged(6, Some("a:1")), [new, again, new]);
        // Another artifact than what stood, or after all of them.
        assert_eq!(judged(6, Some("a:2")), [new, again, again]);
        assert_eq!(judged(9, None), [new, again, again]);
    }

    #[test]
    fn the_same_images_again_are_a_sync_of_the_configuration() {
        let mut lives = lives(&[("1", 0), ("1", 1), ("2", 2)]);
        for (live, images) in lives.iter_mut().zip(["a:1 b:1", "a:1 b:1", "a:2 b:1"]) {
            live.artifact = Some(images.into());
        }
        let syncs: Vec<_> = judge(&lives, &[]).iter().map(|verdict| verdict.is_config_sync).collect();
        assert_eq!(syncs, [false, true, false]);
    }

    // Version, commit and images, one a day; "" is not told.
    fn told(all: &[[&str; 3]]) -> Vec<Live> {
        let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let days: Vec<_> = (0..all.len() as i64).map(|day| ("", day)).collect();
        let with = |(live, [version, sha, artifact]): (Live, &[&str; 3])| Live {
            version: known(version),
            sha: known(sha),
            artifact: known(artifact),
            ..live
        };
        lives(&days).into_iter().zip(all).map(with).collect()
    }

    // The days on which nothing changed, and those on which something came back.
    fn days_of(all: &[[&str; 3]]) -> (Vec<usize>, Vec<usize>) {
        let verdicts = judge(&told(all), &[]);
        let days =
            |is: fn(&Verdict) -> bool| (0..verdicts.len()).filter(|day| is(&verdicts[*day])).collect::<Vec<usize>>();
        (days(|verdict| verdict.is_noop), days(|verdict| verdict.is_rollback))
    }

    #[test]
    fn another_commit_of_a_branch_is_new_and_the_same_commit_again_comes_back() {
        let main = |sha: &'static str| ["main", sha, ""];
        assert_eq!(days_of(&[main("aaaaaaaa1"), main("bbbbbbbb1"), main("bbbbbbbb"), main("cccccccc1")]).0, [2]);
        assert_eq!(days_of(&[main("aaaaaaaa1"), main("bbbbbbbb1"), main("cccccccc1")]).1, [0usize; 0]);
        assert_eq!(days_of(&[main("aaaaaaaa1"), main("bbbbbbbb1"), main("aaaaaaaa1")]).1, [2]);
        // The version is as before, and what was built is not.
        assert_eq!(days_of(&[["1", "aaaaaaaa1", ""], ["2", "bbbbbbbb1", ""], ["1", "cccccccc1", ""]]).1, [0usize; 0]);
        // Of several repositories one may be as before; fewer than eight digits are only known when they are all there is.
        assert_eq!(
            days_of(&[main("aaaaaaaa1 bbbbbbbb1"), main("aaaaaaaa1 cccccccc1"), main("aaaaaaaa1")]).0,
            [0usize; 0]
        );
        assert_eq!(days_of(&[main("aaaa"), main("aaaa"), main("aaaaa")]).0, [1]);
    }

    #[test]
    fn a_moved_tag_and_another_sidecar_are_new() {
        let image = |images: &'static str| ["latest", "", images];
        assert_eq!(days_of(&[image("a:latest@1"), image("a:latest@2"), image("a:latest@2")]).0, [2]);
        assert_eq!(days_of(&[image("a:latest@1"), image("a:latest@2"), image("a:latest@1")]).1, [2]);
        let beside = |images: &'static str| ["1.4", "", images];
        let sidecars = [beside("a:1.4 envoy:1"), beside("a:1.4 envoy:2"), beside("a:1.4 envoy:3")];
        assert_eq!(days_of(&sidecars), (vec![], vec![]));
        assert_eq!(days_of(&[sidecars[0], sidecars[1], sidecars[0]]), (vec![], vec![2]));
        // Another sidecar does not hide that the service went back; another digest of its tag does.
        let next = ["1.5", "", "a:1.5 envoy:2"];
        assert_eq!(days_of(&[sidecars[0], next, sidecars[1]]), (vec![], vec![2]));
        let digests = [beside("a:1.4@1 envoy:1"), ["1.5", "", "a:1.5@2 envoy:1"], beside("a:1.4@3 envoy:1")];
        assert_eq!(days_of(&digests), (vec![], vec![]));
        // The tag is the same, and the commit says that what it names is not.
        let verdicts = judge(&told(&[["", "aaaaaaaa1", "a:latest"], ["", "bbbbbbbb1", "a:latest"]]), &[]);
        assert_eq!((verdicts[1].is_noop, verdicts[1].is_config_sync), (false, false));
    }

    #[test]
    fn what_tells_no_version_hides_no_rollback() {
        assert_eq!(days_of(&[["1", "", ""], ["2", "", ""], ["", "", ""], ["1", "", ""]]), (vec![], vec![3]));
        assert_eq!(days_of(&[["1", "", ""], ["2", "", ""], ["", "", ""], ["2", "", ""]]), (vec![], vec![]));
    }

    #[test]
    fn what_is_too_long_ago_or_not_known_is_no_rollback() {
        assert!(!judge(&lives(&[("1", 0), ("2", 1), ("1", 91)]), &[])[2].is_rollback);
        assert!(judge(&lives(&[("1", 1), ("2", 2), ("1", 91)]), &[])[2].is_rollback);
        assert!(!judge(&lives(&[("", 0), ("2", 1), ("", 2)]), &[])[2].is_rollback);
        let mut many = vec![("1", 0)];
        many.extend((0..20).map(|_| ("2", 1)));
        many.push(("1", 2));
        assert!(!judge(&lives(&many), &[]).last().unwrap().is_rollback);
    }
}
