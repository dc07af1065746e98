/// The longest name that is taken, in bytes.
const LENGTH_MAX: usize = 200;

/// `owner/name` of a repository, however it is written: `https://github.com/acme/shop/tree/main/api/`,
/// `git@github.com:acme/shop.git` and `acme/shop` are `acme/shop`. Of Azure Repos it is `project/name`, written as the
/// address writes it (`Web%20Shop/api`). Nothing where it is none of these.
pub fn repository_name(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("url:");
    let (path, is_address) = match address_path(text) {
        Some(path) => (path.split(['?', '#']).next().unwrap_or(path), true),
        None => (text, false),
    };
    // GitLab puts /-/ before what lies inside a repository, and groups may be nested.
    let (path, is_whole) = match path.split_once("/-/") {
        Some((before, _)) => (before, true),
        None => (path, !is_address),
    };
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    if let Some(of_azure) = azure_parts(text, &parts) {
        parts = of_azure;
    } else if !is_whole && let Some(inside) = parts.iter().position(|part| matches!(*part, "tree" | "blob" | "src")) {
        parts.truncate(inside.max(2));
    }
    let name = parts.join("/");
    let name = name.trim_end_matches(".git");
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '+' | '%');
    (parts.len() >= 2 && name.len() <= LENGTH_MAX && name.chars().all(is_fit)).then(|| name.to_owned())
}

// Azure Repos puts `_git` before a repository, and leaves out a project that is called the same. Its organization or
// collection is no part of the name: webhooks do not name it beside a project.
fn azure_parts<'a>(text: &str, parts: &[&'a str]) -> Option<Vec<&'a str>> {
    let is_hosted = text.contains("dev.azure.com");
    if (is_hosted || text.contains("vs-ssh.visualstudio.com"))
        && let ["v3", _, project, repository] = parts
    {
        return Some(vec![*project, *repository]);
    }
    let git = parts.iter().position(|part| *part == "_git")?;
    let repository = *parts.get(git + 1)?;
    let projects = parts.get(usize::from(is_hosted)..git).unwrap_or_default();
    let project = projects.last().filter(|part| !part.eq_ignore_ascii_case("DefaultCollection"));
    Some(vec![project.copied().unwrap_or(repository), repository])
}

// What follows the host of an address, also as ssh writes one: `git@github.com:acme/shop.git`.
fn address_path(text: &str) -> Option<&str> {
    if let Some((_, rest)) = text.split_once("://") {
        return Some(rest.split_once('/').map_or("", |(_, path)| path));
    }
    let (host, path) = text.split_once(':')?;
    (!host.contains('/') && host.contains(['@', '.'])).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::repository_name;

    #[test]
    fn a_repository_is_known_in_every_way_to_write_it() {
        for (text, name) in [
            ("acme/shop", Some("acme/shop")),
            (" acme/shop/ ", Some("acme/shop")),
            ("url:https://github.com/acme/shop/tree/main/services/api/", Some("acme/shop")),
            ("https://github.com/acme/shop", Some("acme/shop")),
            ("https://github.com/acme/shop.git", Some("acme/shop")),
            ("https://bot:hush@github.example.com:8443/acme/shop?ref=main#top", Some("acme/shop")),
            ("ssh://git@github.com:22/acme/shop.git", Some("acme/shop")),
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            ("github.com:acme/shop", Some("acme/shop")),
            ("url:https://gitlab.com/acme/web/shop/-/tree/main/api", Some("acme/web/shop")),
            ("git@gitlab.com:acme/web/shop.git", Some("acme/web/shop")),
            ("https://acme@dev.azure.com/acme/web/_git/shop", Some("web/shop")),
            ("url:https://dev.azure.com/acme/web/_git/shop?path=/api&version=GBmain", Some("web/shop")),
            ("https://dev.azure.com/acme/Web%20Shop/_git/Web%20Api", Some("Web%20Shop/Web%20Api")),
            ("https://dev.azure.com/acme/_git/shop", Some("shop/shop")),
            ("https://dev.azure.com/acme/DefaultCollection/_git/shop", Some("shop/shop")),
            ("https://acme.visualstudio.com/DefaultCollection/web/_git/shop", Some("web/shop")),
            ("https://acme.visualstudio.com/_git/shop", Some("shop/shop")),
            ("https://tfs.example.com/tfs/Main/web/_git/shop", Some("web/shop")),
            ("git@ssh.dev.azure.com:v3/acme/web/shop", Some("web/shop")),
            ("ssh://acme@vs-ssh.visualstudio.com/v3/acme/web/shop", Some("web/shop")),
            // What is a name already stays as it is, whatever its groups are called.
            ("acme/src/shop", Some("acme/src/shop")),
            ("dir:./", None),
            ("acme", None),
            ("repo-1", None),
            ("", None),
            ("https://github.com", None),
            ("https://github.com/acme", None),
            ("acme/shop and more", None),
        ] {
            assert_eq!(repository_name(text).as_deref(), name, "{text}");
            if let Some(name) = name {
                assert_eq!(repository_name(name).as_deref(), Some(name), "a name is its own name");
            }
        }
    }
}
