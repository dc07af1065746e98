//! What the commit of a pushed delivery means, and whether another one means the same.

use crate::rollup::control_totals::ControlTotals;
use crate::store::pushes::Part;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Begins the hash of a whole commit: of its parts, its version and its totals.
const WHOLE: &str = "commit:";

/// A part as a commit names it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeantPart {
    /// From 1.
    pub number: i32,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// What a commit says. Another one for the same delivery must say the same in each field.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// All parts, in order from 1.
    pub parts: Vec<MeantPart>,
    /// The version of the bill: an older one than what counts is refused. Now where absent.
    pub as_of: Option<DateTime<Utc>>,
    /// What the files hold: where they hold something else, the delivery waits for a decision.
    #[serde(default)]
    pub expected: ControlTotals,
}

/// What a commit means, in one hash: the same parts in the same order, the same version and the same totals give the same.
pub fn fingerprint(meant: &Commit) -> String {
    let mut lines = part_lines(&meant.parts);
    lines.extend(meant.as_of.map(|as_of| format!("as_of {}", as_of.to_rfc3339_opts(SecondsFormat::Nanos, true))));
    lines.extend(meant.expected.rows.map(|rows| format!("rows {rows}")));
    lines.extend(meant.expected.amounts().map(|(currency, cost)| format!("billed_cost {currency} {cost}")));
    format!("{WHOLE}{}", hex::encode(Sha256::digest(lines.join("\n"))))
}

/// Whether a commit means what this hash is of. A hash without its mark is older, and of the parts alone.
pub fn says_the_same(before: &str, meant: &Commit) -> bool {
    if before.starts_with(WHOLE) {
        return before == fingerprint(meant);
    }
    before == hex::encode(Sha256::digest(part_lines(&meant.parts).join("\n")))
}

fn part_lines(parts: &[MeantPart]) -> Vec<String> {
    parts.iter().map(|part| format!("{} {}", part.number, part.sha256.to_ascii_lowercase())).collect()
}

/// Why what is stored is not what a commit means, in a sentence.
pub fn parts_fault(stored: &[Part], meant: &[MeantPart]) -> Option<String> {
    if meant.is_empty() {
        return Some("Name every part with its number and its SHA-256.".into());
    }
    for (place, part) in (1..).zip(meant) {
        if part.number != place {
            return Some(format!(
                "Parts are named in order from 1 without gaps: number {} stands at place {place}.",
                part.number
            ));
        }
        match stored.iter().find(|stored| stored.number == place) {
            None => return Some(format!("Part {place} is not here: send it.")),
            Some(stored) if !stored.sha256.eq_ignore_ascii_case(&part.sha256) => {
                return Some(format!(
                    "Part {place} here has the SHA-256 {}, not the one that is named: send it again.",
                    stored.sha256
                ));
            }
            Some(_) => {}
        }
    }
    let more = stored.iter().find(|stored| usize::try_from(stored.number).is_ok_and(|number| number > meant.len()));
    more.map(|part| {
        format!("Part {} is stored and not named: name it too, or delete the delivery and begin anew.", part.number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_must_mean_what_is_stored() {
        let stored = |numbers: &[i32]| -> Vec<Part> {
            let part = |number: &i32| Part {
                number: *number,
                sha256: format!("{number:064}"),
                file_bytes: 1,
                path: String::new(),
                received_at: DateTime::UNIX_EPOCH,
            };
            numbers.iter().map(part).collect()
        };
        let meant = |numbers: &[i32]| -> Vec<MeantPart> {
            numbers.iter().map(|number| MeantPart { number: *number, sha256: format!("{number:064}") }).collect()
        };
        assert_eq!(parts_fault(&stored(&[1, 2]), &meant(&[1, 2])), None);
        assert!(parts_fault(&stored(&[1, 2]), &meant(&[])).is_some());
        assert!(parts_fault(&stored(&[1]), &meant(&[1, 2])).unwrap().contains("Part 2 is not here"));
        assert!(parts_fault(&stored(&[1, 2, 3]), &meant(&[1, 2])).unwrap().contains("Part 3 is stored"));
        assert!(parts_fault(&stored(&[1, 2]), &meant(&[2, 1])).unwrap().contains("in order"));
        let mut other = meant(&[1]);
        other[0].sha256 = "f".repeat(64);
        assert!(parts_fault(&stored(&[1]), &other).unwrap().contains("send it again"));
    }

    #[test]
    fn a_commit_is_the_same_only_in_each_field() {
        let commit = |text: &str| serde_json::from_str::<Commit>(text).unwrap();
        let part = format!(r#"{{"number": 1, "sha256": "{}"}}"#, "a".repeat(64));
        let with = |more: &str| commit(&format!(r#"{{"parts": [{part}]{more}}}"#));
        let first = fingerprint(&with(r#", "expected": {"rows": 99, "billed_cost": {"USD": "7"}}"#));
        assert!(says_the_same(&first, &with(r#", "expected": {"billed_cost": {"USD": "7.00"}, "rows": 99}"#)));
        for other in [
            "",
            r#", "expected": {"rows": 3}"#,
            r#", "expected": {"rows": 99, "billed_cost": {"USD": "7.01"}}"#,
            r#", "as_of": "2026-11-01T00:00:00Z", "expected": {"rows": 99, "billed_cost": {"USD": "7"}}"#,
        ] {
            assert!(!says_the_same(&first, &with(other)), "{other}");
            assert!(!says_the_same(&fingerprint(&with(other)), &with(r#", "expected": {"rows": 4}"#)), "{other}");
        }
        let told = with("");
        let older = hex::encode(Sha256::digest(part_lines(&told.parts).join("\n")));
        assert!(says_the_same(&older, &told) && says_the_same(&older, &with(r#", "expected": {"rows": 3}"#)));
        let two = commit(&format!(r#"{{"parts": [{part}, {}]}}"#, part.replace("1,", "2,")));
        assert!(!says_the_same(&older, &two) && !says_the_same(&fingerprint(&told), &two));
    }
}
