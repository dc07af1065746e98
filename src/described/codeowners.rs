use super::{Described, DescribedService, Known};
use crate::focus::repository_name;
use std::collections::BTreeSet;

/// Who answers for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerHint {
    /// As the file writes it: `/services/checkout/`, or `*`.
    pub pattern: String,
    /// Teams by short name, in the order of the line: of `@acme/payments`, `payments`. People and mail addresses are no
    /// teams.
    pub teams: Vec<String>,
}

/// Reads CODEOWNERS of GitHub or GitLab, the last line that matches counts there, so here the last of a pattern. A hint,
/// never more: a file of a repository says nothing about who pays. Of `known_teams` are those that a name without a slash
/// may stand for: GitLab's groups and people are written alike.
pub fn codeowners(text: &str, known_teams: &BTreeSet<String>) -> Vec<OwnerHint> {
    let mut hints: Vec<OwnerHint> = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        // GitLab's sections stand in brackets; their owners are defaults of lines below, which people read better.
        if line.is_empty() || line.starts_with(['#', '[', '^']) {
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next() else { continue };
        let mut teams: Vec<String> = Vec::new();
        for team in words.filter_map(|owner| team_of(owner, known_teams)) {
            if !teams.contains(&team) {
                teams.push(team);
            }
        }
        hints.retain(|hint| hint.pattern != pattern);
        hints.push(OwnerHint { pattern: pattern.to_owned(), teams });
    }
    hints
}

// GitLab's `@@developer` is a role and no team.
fn team_of(owner: &str, known_teams: &BTreeSet<String>) -> Option<String> {
    let name = owner.strip_prefix('@').filter(|name| !name.is_empty() && !name.starts_with('@'))?;
    match name.rsplit_once('/') {
        Some((_, team)) => Some(team).filter(|team| !team.is_empty()).map(crate::allocate::slug),
        None => Some(crate::allocate::slug(name)).filter(|team| known_teams.contains(team)),
    }
}

/// Owners of what CODEOWNERS names, as far as the catalogue has services there.
pub fn owners(text: &str, repository: &str, known: &Known) -> Described {
    let repository = repository_name(repository);
    let mut found = Described::default();
    for hint in codeowners(text, &known.teams) {
        let Some(team) = hint.teams.first() else {
            found.notes.push(format!("{} names no team.", hint.pattern));
            continue;
        };
        let folder = hint.pattern.trim_matches(['/', '*']).rsplit('/').next().unwrap_or_default();
        let of_folder = known.names.get(&folder.to_lowercase());
        let is_whole = matches!(hint.pattern.as_str(), "*" | "/*" | "/" | "/**");
        let is_here = |one: &DescribedService| repository.as_ref().is_some_and(|name| one.repositories.contains(name));
        let services = known.services.iter().filter(|one| match of_folder {
            // A folder may be called like a service that lies elsewhere.
            Some(slug) => one.values.slug == *slug && (one.values.repositories.is_empty() || is_here(&one.values)),
            None => is_whole && is_here(&one.values),
        });
        let mut is_any = false;
        for one in services {
            is_any = true;
            let mut service = one.values.clone();
            service.owner = Some(team.clone());
            found.services.retain(|known| known.slug != service.slug);
            found.services.push(service);
        }
        if !is_any {
            found.notes.push(match of_folder {
                Some(slug) => format!("{} is not {slug}: that has other repositories.", hint.pattern),
                None => format!("{} is of no service that the catalogue has.", hint.pattern),
            });
        } else if hint.teams.len() > 1 {
            let count = hint.teams.len();
            found.notes.push(format!("{} names {count} teams: the first, {team}, is taken.", hint.pattern));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::KnownService;
    use super::*;

    #[test]
    fn teams_are_hints_and_the_last_line_of_a_pattern_counts() {
        let text = "# all\n* @acme/platform\n[Web]\n/services/checkout/ @acme/payments @jane a@example.com # theirs\n/docs/ @jane\n* @acme/base\n";
        let hint = |pattern: &str, teams: &[&str]| OwnerHint {
            pattern: pattern.into(),
            teams: teams.iter().map(|team| (*team).to_owned()).collect(),
        };
        assert_eq!(
            codeowners(text, &BTreeSet::new()),
            [hint("/services/checkout/", &["payments"]), hint("/docs/", &[]), hint("*", &["base"])]
        );
    }

    #[test]
    fn a_group_without_a_slash_is_a_team_where_one_is_called_so() {
        let known = BTreeSet::from(["payments".to_owned(), "web".to_owned()]);
        let teams = |line: &str| codeowners(line, &known).remove(0).teams;
        assert_eq!(teams("/a @payments"), ["payments"]);
        assert_eq!(teams("/a @Payments @acme/backend/web"), ["payments", "web"]);
        assert_eq!(teams("/a @acme/web @web"), ["web"]);
        for line in ["/a @jane", "/a @@payments", "/a payments", "/a payments@example.com", "/a @ @/"] {
            assert!(teams(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn of_several_teams_the_first_is_taken_and_that_is_said() {
        let service = |slug: &str| KnownService {
            values: DescribedService { slug: slug.into(), ..Default::default() },
            described_by: None,
        };
        let known = Known {
            teams: BTreeSet::from(["payments".to_owned()]),
            services: vec![service("shop"), service("search")],
            names: ["shop", "search"].into_iter().map(|name| (name.to_owned(), name.to_owned())).collect(),
            ..Known::default()
        };
        let found = owners("/shop/ @payments @acme/web\n/search/ @jane\n/docs/ @acme/a @acme/b\n", "acme/mono", &known);
        let owned: Vec<_> = found.services.iter().map(|one| (one.slug.as_str(), one.owner.as_deref())).collect();
        assert_eq!(owned, [("shop", Some("payments"))]);
        assert_eq!(
            found.notes,
            [
                "/shop/ names 2 teams: the first, payments, is taken.",
                "/search/ names no team.",
                "/docs/ is of no service that the catalogue has."
            ]
        );
    }

    #[test]
    fn a_folder_called_like_a_service_of_another_repository_is_not_that_service() {
        let values = DescribedService {
            slug: "docs".into(),
            repositories: vec!["acme/docs-site".into(), "acme/manual".into()],
            ..Default::default()
        };
        let known = Known {
            services: vec![KnownService { values, described_by: None }],
            names: [("docs".to_owned(), "docs".to_owned())].into_iter().collect(),
            ..Known::default()
        };
        let of = |repository: &str| owners("/docs/ @acme/retail\n", repository, &known);
        let elsewhere = of("acme/totally-other");
        assert!(elsewhere.services.is_empty(), "{:?}", elsewhere.services);
        assert_eq!(elsewhere.notes, ["/docs/ is not docs: that has other repositories."]);
        for own in ["acme/docs-site", "https://github.com/acme/manual.git"] {
            assert_eq!(of(own).services[0].owner.as_deref(), Some("retail"), "{own}");
        }
    }
}
