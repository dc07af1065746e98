//! `/docs/connect`: how senders are connected in full, as the files of `docs/connect` say it.

use super::{Policy, Routes};

/// What there is to read of a sender, or of what posts to the API.
struct Guide {
    /// Of [`crate::events::Sender`]; what posts to the API has a key here alone.
    key: &'static str,
    path: &'static str,
    text: &'static str,
}

static GUIDES: [Guide; 7] = [
    Guide { key: "argocd", path: "/docs/connect/argocd.md", text: include_str!("../../docs/connect/argocd.md") },
    Guide {
        key: "bitbucket",
        path: "/docs/connect/bitbucket.md",
        text: include_str!("../../docs/connect/bitbucket.md"),
    },
    Guide { key: "curl", path: "/docs/connect/curl.md", text: include_str!("../../docs/connect/curl.md") },
    Guide { key: "flux", path: "/docs/connect/flux.md", text: include_str!("../../docs/connect/flux.md") },
    Guide { key: "jenkins", path: "/docs/connect/jenkins.md", text: include_str!("../../docs/connect/jenkins.md") },
    Guide { key: "octopus", path: "/docs/connect/octopus.md", text: include_str!("../../docs/connect/octopus.md") },
    Guide {
        key: "spinnaker",
        path: "/docs/connect/spinnaker.md",
        text: include_str!("../../docs/connect/spinnaker.md"),
    },
];

/// The routes of this file: plain text, as it stands in the files.
pub fn routes(routes: Routes) -> Routes {
    GUIDES
        .iter()
        .fold(routes, |routes, guide| routes.get(guide.path, Policy::SignedIn, move || std::future::ready(guide.text)))
}

/// Address and title of each, as its first line says it.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    GUIDES.iter().map(|guide| (guide.path, guide.text.lines().next().unwrap_or_default().trim_start_matches("# ")))
}

/// The address of what there is to read of a sender; `None` where its steps say all.
pub fn path_of(key: &str) -> Option<&'static str> {
    GUIDES.iter().find(|guide| guide.key == key).map(|guide| guide.path)
}
