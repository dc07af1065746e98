//! Deployments of an object whose sender tells how it stands: a state that comes back after another was live is deployed
//! once more.

use std::collections::BTreeMap;

/// Of all that was told of one object, each with its state and whether that was live, in order of time: how often another
/// state had taken the place of this one before.
pub fn rounds<'a>(told: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<usize> {
    let mut live: Option<&str> = None;
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
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
        assert_eq!(rounds(told), [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 2]);
        assert_eq!((key_of_round("a@1", 0).as_str(), key_of_round("a@1", 2).as_str()), ("a@1", "a@1#3"));
    }

    #[test]
    fn what_never_went_live_took_nobodys_place() {
        assert_eq!(rounds([("1", true), ("2", false), ("1", true), ("2", false)]), [0, 0, 0, 0]);
    }
}
