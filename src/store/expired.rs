//! What nobody can use any more: sessions, one-time links, failed sign-ins that throttle nothing, browsers whose cookie
//! has ended, refusals of event sources that no page tells of.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Deletes it. Gives the number of rows.
pub async fn delete(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let sessions = sqlx::query!("DELETE FROM session WHERE expires_at < $1", now).execute(&mut *conn).await?;
    let links = sqlx::query!("DELETE FROM sign_in_link WHERE expires_at < $1::timestamptz - interval '7 days'", now)
        .execute(&mut *conn)
        .await?;
    let failures =
        sqlx::query!("DELETE FROM sign_in_failure WHERE failed_at < $1::timestamptz - interval '2 days'", now)
            .execute(&mut *conn)
            .await?;
    let browsers = sqlx::query!("DELETE FROM known_browser WHERE seen_at < $1::timestamptz - interval '400 days'", now)
        .execute(&mut *conn)
        .await?;
    let refusals =
        sqlx::query!("DELETE FROM event_source_refusal WHERE last_at < $1::timestamptz - interval '90 days'", now)
            .execute(conn)
            .await?;
    let all = [sessions, links, failures, browsers, refusals];
    Ok(all.iter().map(sqlx::postgres::PgQueryResult::rows_affected).sum())
}
