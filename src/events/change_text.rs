//! What labels and texts of changes say of changes before them.

use super::fields::COMMIT_DIGITS_MIN;

/// As `git revert` writes it, in small letters.
const REVERTS: &str = "this reverts commit ";
/// As the buttons of GitLab, and of GitHub and Azure DevOps, begin a line.
const REVERTS_REQUEST: [&str; 2] = ["this reverts merge request ", "reverts "];
const NUMBER_DIGITS_MAX: usize = 18;
const COMMIT_DIGITS_MAX: usize = 64;

/// What a message or description says it reverts: commits by their hash, and requests of its own repository by their
/// number, as `#12` or `!12`.
pub(super) fn reverted(text: &str, repo: Option<&str>) -> Vec<String> {
    let text = text.to_ascii_lowercase();
    let repo = repo.map(str::to_ascii_lowercase).unwrap_or_default();
    let mut named = reverted_commits(&text);
    named.extend(text.lines().filter_map(|line| reverted_request(line, &repo)));
    named.sort();
    named.dedup();
    named
}

// `Reverts acme/shop#12`, `This reverts merge request !12.`
fn reverted_request(line: &str, repo: &str) -> Option<String> {
    let line = line.trim();
    let rest = REVERTS_REQUEST.iter().find_map(|words| line.strip_prefix(words))?;
    let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
    let at = word.find(['#', '!'])?;
    let (of, number) = word.split_at(at);
    let digits = &number[1..];
    let is_number = (1..=NUMBER_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && (of.is_empty() || of == repo)).then(|| number.to_owned())
}

// In small letters.
fn reverted_commits(text: &str) -> Vec<String> {
    let named = text.split(REVERTS).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        &rest[..end]
    });
    let commits = named.filter(|digits| (COMMIT_DIGITS_MIN..=COMMIT_DIGITS_MAX).contains(&digits.len()));
    commits.map(str::to_owned).collect()
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
        assert_eq!(reverted(&text, None), [sha]);
        let squashed =
            "* This reverts commit BBBBBBBB1.\n* this reverts commit aaaaaaaa1\n* This reverts commit aaaaaaaa1";
        assert_eq!(reverted(squashed, None), ["aaaaaaaa1", "bbbbbbbb1"]);
        let many: Vec<String> = (0..500).map(|number| format!("{number:040}")).collect();
        let text: String = many.iter().map(|sha| format!("This reverts commit {sha}.\n")).collect();
        assert_eq!(reverted(&text, None), many);
        for none in ["", "This reverts commit abc.", "This reverts commit main", "This reverts commit é"] {
            assert!(reverted(none, None).is_empty(), "{none}");
        }
    }

    #[test]
    fn reverted_requests_are_found_by_their_number() {
        let of = |text: &str| reverted(text, Some("Acme/Shop"));
        assert_eq!(of("Reverts acme/shop#12"), ["#12"]);
        assert_eq!(of("Too slow.\r\n\r\nReverts #12.\r\nReverts acme/shop#9, it was first"), ["#12", "#9"]);
        assert_eq!(of("Revert \"Merge branch 'a' into 'main'\"\n\nThis reverts merge request !7"), ["!7"]);
        assert_eq!(of("Reverts !8"), ["!8"]);
        for none in [
            "Reverts other/shop#12",
            "Nothing reverts #12",
            "Reverts #",
            "Reverts #twelve",
            "Reverts to #12",
            "Reverts #1234567890123456789",
            "Reverts é#1",
        ] {
            assert!(of(none).is_empty(), "{none}");
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
