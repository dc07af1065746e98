//! Filters that name what is not there. An empty list would say that nothing was found, where a name is mistyped.

use super::error::Result;
use crate::store::catalogue_names;
use crate::web;
use sqlx::PgConnection;

/// Refuses a service or an environment that the catalogue does not have.
pub async fn in_catalogue(conn: &mut PgConnection, service: Option<&str>, environment: Option<&str>) -> Result<()> {
    let ids = catalogue_names::ids(conn, service, environment, None).await?;
    let lacking = service.filter(|_| ids.service_id.is_none());
    refuse("service", lacking, "Allowed: a slug that /api/v1/services lists.")?;
    let lacking = environment.filter(|_| ids.environment_id.is_none());
    refuse("environment", lacking, "Allowed: a slug that /api/v1/environments lists.")
}

/// Refuses a value that is not known, and says what is.
pub fn refuse(key: &str, unknown: Option<&str>, allowed: &str) -> Result<()> {
    match unknown {
        None => Ok(()),
        Some(text) => Err(web::Error::Invalid(format!("{key}={text} is not known. {allowed}")).into()),
    }
}
