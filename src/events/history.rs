//! The successes of one service in one environment, side by side: what replaced what, what changed nothing,
//! and what went back.

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
    /// Its commit.
    pub sha: Option<String>,
    /// What runs, where the sender says it: the images.
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
    /// It is what was live already.
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
            let is_noop = before.last().is_some_and(|previous| is_same(live, previous) == Some(true));
            let ends = removals.iter().filter(|removal| removal.ends(live)).map(|removal| removal.removed_at);
            Verdict {
                superseded_at: ends.chain(after.map(|next| next.finished_at)).min(),
                is_noop,
                is_config_sync: before
                    .last()
                    .is_some_and(|previous| live.artifact.is_some() && live.artifact == previous.artifact),
                is_rollback: is_rollback(live, before),
            }
        })
        .collect()
}

// Deploying the same version once more is no rollback.
fn is_rollback(live: &Live, before: &[Live]) -> bool {
    let Some((previous, earlier)) = before.split_last() else { return false };
    let oldest = live.finished_at - TimeDelta::days(ROLLBACK_DAYS_MAX);
    is_same(live, previous) == Some(false)
        && earlier
            .iter()
            .rev()
            .take(ROLLBACK_DEPLOYMENTS_MAX - 1)
            .take_while(|other| other.finished_at >= oldest)
            .any(|other| is_same(live, other) == Some(true))
}

// By version where both have one, else by commit, else by what runs; unknown where neither can be compared.
fn is_same(one: &Live, other: &Live) -> Option<bool> {
    let equal = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
    equal(&one.version, &other.version)
        .or_else(|| equal(&one.sha, &other.sha))
        .or_else(|| equal(&one.artifact, &other.artifact))
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
    fn the_same_images_again_are_a_sync_of_the_configuration() {
        let mut lives = lives(&[("1", 0), ("1", 1), ("2", 2)]);
        for (live, images) in lives.iter_mut().zip(["a:1 b:1", "a:1 b:1", "a:2 b:1"]) {
            live.artifact = Some(images.into());
        }
        let syncs: Vec<_> = judge(&lives, &[]).iter().map(|verdict| verdict.is_config_sync).collect();
        assert_eq!(syncs, [false, true, false]);
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
