//! Says of each operational event which services and which environment it belongs to, by the rules for deployments.
//! What is only context adds nothing to the catalogue.

use super::map_deployments::{DeploymentRow, assign};
use super::mapper::Mapper;
use crate::store::locks;
use sqlx::PgConnection;

/// Maps these operational events by the present rules and writes it down.
pub async fn map_operational_events(conn: &mut PgConnection, operational_event_ids: &[i64]) -> anyhow::Result<()> {
    locks::share_mapping(conn).await?;
    let mapper = Mapper::load(conn).await?;
    map(conn, &mapper, Some(operational_event_ids)).await
}

/// Maps those again that name an environment or a service which the catalogue lacked: deployments and bills add some, and
/// which came first must not matter.
pub(super) async fn map_lacking(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<()> {
    let lacking = sqlx::query_scalar!(
        "SELECT o.operational_event_id FROM operational_event o
         WHERE (o.environment_id IS NULL AND o.environment_raw IS NOT NULL)
            OR cardinality(o.service_raw) > (SELECT count(*) FROM operational_event_service os
                                             WHERE os.operational_event_id = o.operational_event_id)"
    )
    .fetch_all(&mut *conn)
    .await?;
    if lacking.is_empty() { Ok(()) } else { map(conn, mapper, Some(&lacking)).await }
}

/// Maps all of them again, after rules or the catalogue changed.
pub(super) async fn map_all(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<()> {
    map(conn, mapper, None).await
}

async fn map(conn: &mut PgConnection, mapper: &Mapper, operational_event_ids: Option<&[i64]>) -> anyhow::Result<()> {
    for row in rows(conn, operational_event_ids).await? {
        let assignment = assign(mapper, &row);
        let first = assignment.first();
        let environment_id = first.and_then(|one| mapper.environment_id(one.environment.as_ref()));
        let environment_rule_id = first.and_then(|one| one.environment_rule_id);
        let service_rule_id = assignment.answers.iter().find_map(|one| one.service_rule_id);
        let service_ids = assignment.service_ids(mapper);
        let is_as_before = (environment_id, environment_rule_id, service_rule_id)
            == (row.environment_id, row.environment_rule_id, row.service_rule_id)
            && service_ids == row.service_ids;
        if is_as_before {
            continue;
        }
        sqlx::query!(
            "UPDATE operational_event SET environment_id = $2, environment_rule_id = $3, service_rule_id = $4
             WHERE operational_event_id = $1",
            row.deployment_id,
            environment_id,
            environment_rule_id,
            service_rule_id,
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!(
            "DELETE FROM operational_event_service WHERE operational_event_id = $1 AND NOT service_id = ANY($2)",
            row.deployment_id,
            &service_ids,
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!(
            "INSERT INTO operational_event_service (operational_event_id, service_id)
             SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING",
            row.deployment_id,
            &service_ids,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Whether one names an environment that the catalogue has by now.
pub(super) async fn lacks_known(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let is_lacking = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM operational_event o
                          JOIN environment e ON lower(o.environment_raw) IN (lower(e.name), e.slug)
                          WHERE o.environment_id IS NULL) AS "lacks!""#
    );
    is_lacking.fetch_one(conn).await
}

// Rules see an operational event as they see a deployment: under its own number here.
async fn rows(conn: &mut PgConnection, operational_event_ids: Option<&[i64]>) -> sqlx::Result<Vec<DeploymentRow>> {
    sqlx::query_as!(
        DeploymentRow,
        r#"SELECT o.operational_event_id AS deployment_id, s.name AS source_name, o.repo, NULL::text AS git_ref,
                  o.environment_raw, o.service_raw, o.attributes, o.environment_id, o.environment_rule_id,
                  o.service_rule_id, '{}'::text[] AS "service_unmapped!",
                  coalesce((SELECT array_agg(os.service_id ORDER BY os.service_id) FROM operational_event_service os
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_ids!",
                  false AS "is_run!"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           WHERE $1::bigint[] IS NULL OR o.operational_event_id = ANY($1)
           ORDER BY o.operational_event_id"#,
        operational_event_ids
    )
    .fetch_all(conn)
    .await
}
