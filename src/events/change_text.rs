//! What labels and texts of changes say of changes before them.

use super::fields::COMMIT_DIGITS_MIN;

/// As `git revert` writes it, in small letters.
const REVERTS: &str = "this reverts commit ";
const COMMIT_DIGITS_MAX: usize = 64;
const COMMITS_MAX: usize = 100;

/// The commits that a message or description says it reverts.
pub(super) fn reverted_commits(text: &str) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let named = text.split(REVERTS).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        &rest[..end]
    });
    let commits = named.filter(|digits| (COMMIT_DIGITS_MIN..=COMMIT_DIGITS_MAX).contains(&digits.len()));
    let mut commits: Vec<String> = commits.take(COMMITS_MAX).map(str::to_owned).collect();
    commits.sort();
    commits.dedup();
    commits
}

/// Whether a label says that a change mends what is live: "hotfix", "Hot-fix", "type::hotfix", "kind/hotfix".
pub(super) fn is_hotfix(label: &str) -> bool {
    let last = label.rsplit(['/', ':']).next().unwrap_or(label);
    let letters: String = last.chars().filter(|c| c.is_alphanumeric()).collect();
    letters.eq_ignore_ascii_case("hotfix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverted_commits_are_found_in_a_text() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("Revert \"Cache\"\n\nThis reverts commit {sha}, reversing\nchanges made to 99999999.");
        assert_eq!(reverted_commits(&text), [sha]);
        let squashed =
            "* This reverts commit BBBBBBBB1.\n* this reverts commit aaaaaaaa1\n* This reverts commit aaaaaaaa1";
        assert_eq!(reverted_commits(squashed), ["aaaaaaaa1", "bbbbbbbb1"]);
        for none in ["", "This reverts commit abc.", "This reverts commit main", "This reverts commit é"] {
            assert!(reverted_commits(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn labels_that_say_hotfix() {
        for label in ["hotfix", "Hot-Fix", "hot fix", "type::hotfix", "kind/hotfix"] {
            assert!(is_hotfix(label), "{label}");
        }
        for label in ["", "fix", "hotfix-candidate", "hotfix/docs", "no hotfix"] {
            assert!(!is_hotfix(label), "{label}");
        }
    }
}
