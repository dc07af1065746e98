//! From the names of an address to ids, in one query.

use sqlx::PgConnection;

/// What was found; `None` for a name that is absent or unknown.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each is the id of that table")]
pub struct Ids {
    pub service_id: Option<i64>,
    pub environment_id: Option<i64>,
    pub team_id: Option<i64>,
}

/// The ids of these slugs.
pub async fn ids(
    conn: &mut PgConnection,
    service: Option<&str>,
    environment: Option<&str>,
    team: Option<&str>,
) -> sqlx::Result<Ids> {
    if service.is_none() && environment.is_none() && team.is_none() {
        return Ok(Ids::default());
    }
    sqlx::query_as!(
        Ids,
        r#"
        SELECT
            (SELECT service_id FROM service WHERE slug = $1) AS service_id,
            (SELECT environment_id FROM environment WHERE slug = $2) AS environment_id,
            (SELECT team_id FROM team WHERE slug = $3) AS team_id
        "#,
        service,
        environment,
        team,
    )
    .fetch_one(conn)
    .await
}
