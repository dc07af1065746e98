//! Values that came and belong to nothing here, counted by what they called themselves.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Kinds of values that are kept apart; beyond them, all are one row under the name "others".
const ROWS_MAX: i64 = 2000;
const ROWS_SHOWN_MAX: i64 = 100;
const NAME_CHARS_MAX: usize = 200;

/// Why a value belongs to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No metric has this name.
    Metric,
    /// No rule and no name of the catalogue says which service.
    Service,
    /// The catalogue has no environment of this name.
    Environment,
    /// A kind of measurement that no value can be taken from.
    Kind,
    /// No number of zero or more.
    Value,
    /// It came so late that nobody can tell whether it came before.
    Late,
}

impl Reason {
    fn key(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Kind => "kind",
            Self::Value => "value",
            Self::Late => "late",
        }
    }

    /// What is wrong and what to do, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Metric => "No metric has this name. Add one, or name it as the OTLP name of one.",
            Self::Service => {
                "No rule and no name in the catalogue says which service. Add the name to a service, or a rule."
            }
            Self::Environment => "The catalogue has no environment of this name. Add it, or the name to one.",
            Self::Kind => "Only sums, gauges and counts of histograms can be taken.",
            Self::Value => "A value is a number of zero or more.",
            Self::Late => {
                "It came after 32 later ones of its series, so that nobody can tell whether it came before. Give each \
                 process a service.instance.id, and send sooner."
            }
        }
    }
}

/// What a value called itself, and why it belongs to nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// The metric.
    pub metric: String,
    /// The service; empty where it said none.
    pub service: String,
    /// The environment; empty where it said none.
    pub environment: String,
    /// Why.
    pub reason: Reason,
}

/// A name as it is counted and shown: without control characters, and where it is long with "…" for its end.
pub fn shown(name: &str) -> String {
    let mut plain = name.chars().filter(|c| !c.is_control());
    let mut kept: String = plain.by_ref().take(NAME_CHARS_MAX).collect();
    if plain.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// Counts values that belong to nothing.
pub async fn count(
    conn: &mut PgConnection,
    origin: &str,
    lost: &BTreeMap<Lost, i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let metrics: Vec<String> = lost.keys().map(|one| shown(&one.metric)).collect();
    let services: Vec<String> = lost.keys().map(|one| shown(&one.service)).collect();
    let environments: Vec<String> = lost.keys().map(|one| shown(&one.environment)).collect();
    let reasons: Vec<String> = lost.keys().map(|one| one.reason.key().to_owned()).collect();
    let counts: Vec<i64> = lost.values().copied().collect();
    sqlx::query!(
        "INSERT INTO usage_unmapped AS known (origin, metric, service_raw, environment_raw, reason, value_count, first_at,
             last_at)
         SELECT $1::text, metric, service_raw, environment_raw, reason, sum(value_count), $7::timestamptz, $7::timestamptz
         FROM (SELECT
                   CASE WHEN is_kept THEN metric ELSE 'others' END AS metric,
                   CASE WHEN is_kept THEN service_raw ELSE '' END AS service_raw,
                   CASE WHEN is_kept THEN environment_raw ELSE '' END AS environment_raw, reason, value_count
               FROM (SELECT n.*, (SELECT count(*) FROM usage_unmapped) < $8 OR EXISTS (
                         SELECT FROM usage_unmapped o WHERE o.origin = $1 AND o.metric = n.metric
                           AND o.service_raw = n.service_raw AND o.environment_raw = n.environment_raw
                           AND o.reason = n.reason) AS is_kept
                     FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                         AS n (metric, service_raw, environment_raw, reason, value_count)) k) n
         GROUP BY 2, 3, 4, 5
         ON CONFLICT (origin, metric, service_raw, environment_raw, reason)
         DO UPDATE SET value_count = known.value_count + excluded.value_count, last_at = excluded.last_at",
        origin,
        &metrics,
        &services,
        &environments,
        &reasons,
        &counts,
        now,
        ROWS_MAX,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Counts the values that one reading leaves, in place of those that the last one of the same origin left: it read most of
/// the same hours. In a transaction.
pub async fn replace(
    conn: &mut PgConnection,
    origin: &str,
    lost: &BTreeMap<Lost, i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // The rows stay meanwhile, and with them since when these values come.
    sqlx::query!("UPDATE usage_unmapped SET value_count = 0 WHERE origin = $1", origin).execute(&mut *conn).await?;
    count(&mut *conn, origin, lost, now).await?;
    sqlx::query!("DELETE FROM usage_unmapped WHERE origin = $1 AND value_count = 0", origin)
        .execute(conn)
        .await
        .map(drop)
}

/// What came and belongs to nothing.
#[derive(Debug, Clone)]
pub struct Unmapped {
    /// Who sent it: `otlp`, or the number of a query.
    pub origin: String,
    /// The metric.
    pub metric: String,
    /// The service as it was sent.
    pub service_raw: String,
    /// The environment as it was sent.
    pub environment_raw: String,
    /// `metric`, `service`, `environment`, `kind`, `value` or `late`.
    pub reason: String,
    /// How many values.
    pub value_count: i64,
    /// Since when.
    pub first_at: DateTime<Utc>,
    /// The last one.
    pub last_at: DateTime<Utc>,
}

impl Unmapped {
    /// What is wrong and what to do, in a sentence.
    pub fn sentence(&self) -> &'static str {
        let all = [Reason::Metric, Reason::Service, Reason::Environment, Reason::Kind, Reason::Value, Reason::Late];
        all.into_iter().find(|reason| reason.key() == self.reason).unwrap_or(Reason::Value).sentence()
    }
}

/// The most frequent ones first.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Unmapped>> {
    sqlx::query_as!(
        Unmapped,
        "SELECT origin, metric, service_raw, environment_raw, reason, value_count, first_at, last_at FROM usage_unmapped
         ORDER BY value_count DESC, origin, metric, service_raw, environment_raw, reason LIMIT $1",
        ROWS_SHOWN_MAX
    )
    .fetch_all(conn)
    .await
}

/// Begins to count anew: what is still wrong comes again.
pub async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query!("DELETE FROM usage_unmapped").execute(conn).await.map(|done| done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_shows_that_it_goes_on() {
        let whole = "é".repeat(NAME_CHARS_MAX);
        assert_eq!((shown(&whole), shown("a\nb")), (whole.clone(), "ab".to_owned()));
        let cut = shown(&format!("{whole}1"));
        assert!(cut.ends_with("é…") && cut.chars().count() == NAME_CHARS_MAX, "{cut}");
        assert_eq!(shown(&cut), cut);
    }
}
