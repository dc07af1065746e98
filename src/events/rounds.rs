//! Deployments of an object whose sender tells how it stands: a state that comes back after another was live is deployed
//! once more.

use std::collections::BTreeMap;

/// How an object stood at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The state that was live.
    pub live: Option<String>,
    /// How often another state had taken the place of each; of those that are left out never.
    pub left: BTreeMap<String, usize>,
}

/// Of what was told of one object since it stood so, each with its state and whether that was live, in order of time: how
/// often another state had taken the place of this one before.
pub fn rounds<'a>(since: &'a Standing, told: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<usize> {
    let mut live = since.live.as_deref();
    let mut left: BTreeMap<&str, usize> = since.left.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    let round = |(state, is_live): (&'a str, bool)| {
        if is_live
            && live != Some(state)
            && let Some(before) = live.replace(state)
        {
            *left.entry(before).or_default() += 1;
        }
        left.get(state).copied().unwrap_or(0)
    };
    told.into_iter().map(round).collect()
}

/// The key of a state's deployment in a round.
pub fn key_of_round(key: &str, round: usize) -> String {
    if round == 0 { key.to_owned() } else { format!("{key}#{}", round + 1) }
}

/// The round of a state's deployment by its key; none where it is no key of this state.
pub fn round_of_key(external_id: &str, key: &str) -> Option<usize> {
    match external_id.strip_prefix(key)? {
        "" => Some(0),
        rest => rest.strip_prefix('#')?.parse::<usize>().ok()?.checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_another_round() {
        let told = [
            ("1", false),
            ("1", true),
            ("2", false),
            // Sent again while the next is under way.
            ("1", true),
            ("2", true),
            ("1", false),
            ("1", true),
            ("1", true),
            ("2", false),
            ("3", true),
            ("1", true),
        ];
        assert_eq!(rounds(&Standing::default(), told), [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 2]);
    }

    #[test]
    fn a_part_comes_to_the_same_as_all() {
        let told = [("1", true), ("2", true), ("3", false), ("1", true), ("1", true), ("2", true), ("1", false)];
        let all = rounds(&Standing::default(), told);
        for start in 0..=told.len() {
            // As it is found again: of each state the round in which it was live last, and one more where that was left.
            let (before, after) = told.split_at(start);
            let live = before.iter().rev().find(|(_, is_live)| *is_live).map(|(state, _)| *state);
            let left = before.iter().zip(&all).filter(|((_, is_live), _)| *is_live);
            let left = left.map(|((state, _), round)| ((*state).to_owned(), round + usize::from(live != Some(*state))));
            let since = Standing { live: live.map(str::to_owned), left: left.collect() };
            assert_eq!(rounds(&since, after.iter().copied()), all[start..], "since {start}");
        }
    }

    #[test]
    fn keys_tell_their_round() {
        for (round, key) in [(0, "a@1"), (2, "a@1#3")] {
            assert_eq!(key_of_round("a@1", round), key);
            assert_eq!(round_of_key(key, "a@1"), Some(round));
        }
        for other in ["a@2", "a@10", "a@1#", "a@1#0", "a@1#x", "a"] {
            assert_eq!(round_of_key(other, "a@1"), None, "{other}");
        }
    }

    #[test]
    fn what_never_went_live_took_nobodys_place() {
        assert_eq!(rounds(&Standing::default(), [("1", true), ("2", false), ("1", true), ("2", false)]), [0, 0, 0, 0]);
    }
}
