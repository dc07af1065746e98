//! The versions that exist in the repositories of a service. They are no deployments, and the section says so.

use super::super::Result;
use crate::store::Snapshot;
use crate::store::release_lists::{self, ListedRelease};
use askama::Template;

const RELEASE_COUNT_MAX: i64 = 10;

/// The section of the service's page; it renders as nothing where there is no release.
#[derive(Clone, Default, Template)]
#[template(path = "partials/releases.html")]
pub(super) struct ReleasesSection {
    releases: Vec<ListedRelease>,
}

impl askama::filters::HtmlSafe for ReleasesSection {}

/// Reads the newest.
pub(super) async fn releases(snapshot: &mut Snapshot, service_id: i64) -> Result<ReleasesSection> {
    Ok(ReleasesSection { releases: release_lists::of_service(snapshot, service_id, RELEASE_COUNT_MAX).await? })
}
