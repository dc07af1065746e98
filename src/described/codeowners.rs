use super::{Described, Known};
use crate::focus::repository_name;

/// Who answers for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerHint {
    /// As the file writes it: `/services/checkout/`, or `*`.
    pub pattern: String,
    /// Teams by short name: of `@acme/payments`, `payments`. People and mail addresses are no teams.
    pub teams: Vec<String>,
}

/// Reads CODEOWNERS of GitHub or GitLab, the last line that matches counts there, so here the last of a pattern. A hint,
/// never more: a file of a repository says nothing about who pays.
pub fn codeowners(text: &str) -> Vec<OwnerHint> {
    let mut hints: Vec<OwnerHint> = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        // GitLab's sections stand in brackets; their owners are defaults of lines below, which people read better.
        if line.is_empty() || line.starts_with(['#', '[', '^']) {
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next() else { continue };
        let teams: Vec<String> = words
            .filter_map(|owner| owner.strip_prefix('@')?.rsplit_once('/'))
            .map(|(_, team)| crate::allocate::slug(team))
            .filter(|team| !team.is_empty())
            .collect();
        hints.retain(|hint| hint.pattern != pattern);
        hints.push(OwnerHint { pattern: pattern.to_owned(), teams });
    }
    hints
}

/// Owners of what CODEOWNERS names, as far as the catalogue has services there.
pub fn owners(text: &str, repository: &str, known: &Known) -> Described {
    let repository = repository_name(repository);
    let mut found = Described::default();
    for hint in codeowners(text) {
        let [team] = hint.teams.as_slice() else {
            found.notes.push(format!("{} names {} teams: none of them is taken.", hint.pattern, hint.teams.len()));
            continue;
        };
        let folder = hint.pattern.trim_matches(['/', '*']).rsplit('/').next().unwrap_or_default();
        let of_folder = known.names.get(&folder.to_lowercase());
        let is_whole = matches!(hint.pattern.as_str(), "*" | "/*" | "/" | "/**");
        let services = known.services.iter().filter(|one| match of_folder {
            Some(slug) => one.values.slug == *slug,
            None => is_whole && repository.as_ref().is_some_and(|name| one.values.repositories.contains(name)),
        });
        let before = found.services.len();
        for one in services {
            let mut service = one.values.clone();
            service.owner = Some(team.clone());
            found.services.retain(|known| known.slug != service.slug);
            found.services.push(service);
        }
        if found.services.len() == before {
            found.notes.push(format!("{} is of no service that the catalogue has.", hint.pattern));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_are_hints_and_the_last_line_of_a_pattern_counts() {
        let text = "# all\n* @acme/platform\n[Web]\n/services/checkout/ @acme/payments @jane a@example.com # theirs\n/docs/ @jane\n* @acme/base\n";
        let hint = |pattern: &str, teams: &[&str]| OwnerHint {
            pattern: pattern.into(),
            teams: teams.iter().map(|team| (*team).to_owned()).collect(),
        };
        assert_eq!(
            codeowners(text),
            [hint("/services/checkout/", &["payments"]), hint("/docs/", &[]), hint("*", &["base"])]
        );
    }
}
