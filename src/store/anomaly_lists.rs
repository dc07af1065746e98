//! Anomalies as pages and the API read them, within a scope.

use super::Scope;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// An anomaly in a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there; names are those of the catalogue now")]
pub struct ListedAnomaly {
    pub anomaly_id: i64,
    pub service_id: Option<i64>,
    pub service_slug: Option<String>,
    pub service_name: Option<String>,
    pub environment_id: Option<i64>,
    pub environment_name: Option<String>,
    /// The team that owns it: the service's, or its own.
    pub team_id: Option<i64>,
    pub team_slug: Option<String>,
    pub team_name: Option<String>,
    pub service_category: String,
    pub billing_currency: String,
    pub kind: String,
    pub state: String,
    /// Why it was closed without an answer, also where it was answered since.
    pub close_reason: Option<String>,
    pub start_date: NaiveDate,
    pub end_date: NaiveDate,
    pub found_on: NaiveDate,
    pub opened_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub publication_id: i64,
    pub day_count: i32,
    /// Exact.
    pub actual_total: BigDecimal,
    /// An estimate.
    pub expected_total: BigDecimal,
    pub expected_low: Option<BigDecimal>,
    pub expected_high: Option<BigDecimal>,
    pub evidence: Value,
    pub planned_until: Option<NaiveDate>,
    /// What the last person who answered gave as the reason; empty where the answer was taken back.
    pub last_reason: String,
    pub last_done_by: String,
}

impl ListedAnomaly {
    /// What came above what was expected; below zero where less came.
    pub fn excess(&self) -> BigDecimal {
        &self.actual_total - &self.expected_total
    }

    /// Whether it still waits for an answer or an end.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "open" | "acknowledged")
    }

    /// Whether it is about one kind of cost of a team, and of no single service.
    pub fn is_of_team(&self) -> bool {
        self.service_id.is_none()
    }

    /// Whether it was closed without an answer: it is over, whatever is answered or taken back.
    pub fn was_closed(&self) -> bool {
        self.close_reason.is_some()
    }

    /// Whether it is less cost: worth knowing and no alarm.
    pub fn is_drop(&self) -> bool {
        self.kind == "drop"
    }
}

/// Which anomalies.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnomalyFilter<'a> {
    /// This one.
    pub anomaly_id: Option<i64>,
    /// Of this service.
    pub service_id: Option<i64>,
    /// Of this team and its services; 0 for those without one.
    pub team_id: Option<i64>,
    /// `open` (acknowledged ones included), `closed` (all others), or one state; none for all.
    pub state: Option<&'a str>,
    /// One kind.
    pub kind: Option<&'a str>,
    /// Those that end on this day or later.
    pub from: Option<NaiveDate>,
}

/// Anomalies within the scope: open ones first, drops last. Currencies stand apart, the one with most anomalies first; in
/// each the largest amount first.
pub async fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: AnomalyFilter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<ListedAnomaly>> {
    sqlx::query_as!(
        ListedAnomaly,
        r#"SELECT a.anomaly_id, a.service_id, s.slug AS "service_slug?", s.name AS "service_name?", a.environment_id,
                  v.name AS "environment_name?", t.team_id AS "team_id?", t.slug AS "team_slug?", t.name AS "team_name?",
                  a.service_category, a.billing_currency, a.kind, a.state, a.close_reason, a.start_date, a.end_date,
                  a.found_on, a.opened_at, a.changed_at, a.publication_id, a.day_count, a.actual_total, a.expected_total,
                  a.expected_low, a.expected_high, a.evidence, a.planned_until,
                  coalesce(l.reason, '') AS "last_reason!", coalesce(l.done_by, '') AS "last_done_by!"
           FROM anomaly a
           LEFT JOIN service s ON s.service_id = a.service_id
           LEFT JOIN environment v ON v.environment_id = a.environment_id
           LEFT JOIN team t ON t.team_id = coalesce(s.team_id, a.team_id)
           LEFT JOIN LATERAL (SELECT e.state, reason, done_by FROM anomaly_event e
               WHERE e.anomaly_id = a.anomaly_id AND e.done_by <> '' ORDER BY anomaly_event_id DESC LIMIT 1) l
               ON a.state <> 'open' AND l.state NOT IN ('open', 'closed')
           WHERE ($1::bigint[] IS NULL OR t.team_id = ANY($1))
             AND ($2::bigint IS NULL OR a.anomaly_id = $2)
             AND ($3::bigint IS NULL OR a.service_id = $3)
             AND ($4::bigint IS NULL OR coalesce(t.team_id, 0) = $4)
             AND ($5::text IS NULL OR a.state = $5
                  OR ($5 = 'open' AND a.state = 'acknowledged')
                  OR ($5 = 'closed' AND a.state IN ('explained', 'planned', 'false-alarm')))
             AND ($6::text IS NULL OR a.kind = $6)
             AND ($7::date IS NULL OR a.end_date >= $7)
           ORDER BY (a.state IN ('open', 'acknowledged')) DESC, a.kind = 'drop',
                    count(*) OVER (PARTITION BY a.billing_currency) DESC, a.billing_currency,
                    abs(a.actual_total - a.expected_total) DESC, a.anomaly_id DESC
           LIMIT $8"#,
        scope.team_ids(),
        filter.anomaly_id,
        filter.service_id,
        filter.team_id,
        filter.state,
        filter.kind,
        filter.from,
        limit
    )
    .fetch_all(conn)
    .await
}

/// One anomaly within the scope.
pub async fn get(conn: &mut PgConnection, scope: &Scope, anomaly_id: i64) -> sqlx::Result<Option<ListedAnomaly>> {
    let filter = AnomalyFilter { anomaly_id: Some(anomaly_id), ..AnomalyFilter::default() };
    Ok(list(conn, scope, filter, 1).await?.pop())
}

/// The days and parts of an anomaly: JSON with amounts as text.
#[derive(Debug, Clone)]
pub struct AnomalyDetail {
    /// `[{"day", "actual", "expected", "low", "high"}]`.
    pub days: Value,
    /// `[{"resource_id", "name", "service_name", "region_id", "expected", "actual"}]`.
    pub parts: Value,
}

/// The days and parts of an anomaly within the scope.
pub async fn detail(conn: &mut PgConnection, scope: &Scope, anomaly_id: i64) -> sqlx::Result<Option<AnomalyDetail>> {
    sqlx::query_as!(
        AnomalyDetail,
        "SELECT a.days, a.parts FROM anomaly a LEFT JOIN service s ON s.service_id = a.service_id
         WHERE a.anomaly_id = $1 AND ($2::bigint[] IS NULL OR coalesce(s.team_id, a.team_id) = ANY($2))",
        anomaly_id,
        scope.team_ids()
    )
    .fetch_optional(conn)
    .await
}

/// Open anomalies that cost money, of one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSum {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// How many.
    pub count: i64,
    /// What came above what was expected.
    pub excess: BigDecimal,
}

/// How many anomalies that cost money are open within the scope, by currency.
pub async fn open_sums(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<Vec<OpenSum>> {
    sqlx::query_as!(
        OpenSum,
        r#"SELECT a.billing_currency, count(*) AS "count!", sum(a.actual_total - a.expected_total) AS "excess!"
           FROM anomaly a LEFT JOIN service s ON s.service_id = a.service_id
           WHERE a.state IN ('open', 'acknowledged') AND a.kind <> 'drop'
             AND ($1::bigint[] IS NULL OR coalesce(s.team_id, a.team_id) = ANY($1))
           GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100"#,
        scope.team_ids()
    )
    .fetch_all(conn)
    .await
}

/// Open anomalies that are counted at most: nobody reads a larger number in a navigation.
pub const OPEN_COUNT_MAX: i64 = 100;

/// How many anomalies that cost money are open within the scope, as `open_sums` counts them, up to `OPEN_COUNT_MAX`. For
/// every page: the index on the state leads to the few that are open, whatever there was before.
pub async fn open_count(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
             SELECT 1 FROM anomaly a LEFT JOIN service s ON s.service_id = a.service_id
             WHERE a.state IN ('open', 'acknowledged') AND a.kind <> 'drop'
               AND ($1::bigint[] IS NULL OR coalesce(s.team_id, a.team_id) = ANY($1)) LIMIT $2
           ) open"#,
        scope.team_ids(),
        OPEN_COUNT_MAX
    )
    .fetch_one(conn)
    .await
}

/// A threshold that answers moved, with whose it is.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "see `anomaly_watch::Lesson`")]
pub struct ListedLesson {
    pub service_id: i64,
    pub team_id: i64,
    pub name: String,
    pub href: String,
    pub lesson: String,
    pub false_alarm_count: i64,
    pub right_count: i64,
}

/// Thresholds that answers moved, of services and teams within the scope.
pub async fn lessons(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<Vec<ListedLesson>> {
    let all = super::anomaly_watch::lessons(&mut *conn).await?;
    let mut listed = Vec::new();
    for one in all {
        let named = sqlx::query!(
            r#"SELECT '/services/' || slug AS "href!", name AS "name!" FROM service
               WHERE service_id = $1 AND ($3::bigint[] IS NULL OR team_id = ANY($3))
               UNION ALL
               SELECT '/teams/' || slug, name FROM team
               WHERE team_id = $2 AND ($3::bigint[] IS NULL OR team_id = ANY($3)) LIMIT 1"#,
            one.service_id,
            one.team_id,
            scope.team_ids()
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(named) = named {
            listed.push(ListedLesson {
                service_id: one.service_id,
                team_id: one.team_id,
                name: named.name,
                href: named.href,
                lesson: one.lesson,
                false_alarm_count: one.false_alarm_count,
                right_count: one.right_count,
            });
        }
    }
    Ok(listed)
}
