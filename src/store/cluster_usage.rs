//! Reports of how clusters were used, and the charges of the machines that they name.

use super::{Scope, locks};
use crate::normalize::cluster_usage::{INTERVAL_HOURS_MAX, Payload, Usage, UsageKey};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

/// Entries that travel to the database at once.
const BATCH: usize = 5_000;

/// A report as it was handed in.
#[derive(Debug, Clone, Copy)]
pub struct NewReport<'a> {
    /// The name of its file.
    pub file_name: &'a str,
    /// SHA-256 of its bytes.
    pub content_sha256: &'a str,
    /// Rows in all.
    pub row_count: i64,
    /// Rows that split nothing.
    pub unused_row_count: i64,
    /// What it is a part of.
    pub payload: Option<&'a Payload>,
    /// When.
    pub received_at: DateTime<Utc>,
    /// By whom.
    pub received_by: &'a str,
}

/// What became of a report.
#[derive(Debug, Clone, Copy)]
pub struct Replaced {
    /// Its number.
    pub report_id: i64,
    /// Intervals longer than its own that it replaced without filling them.
    pub longer_interval_count: i64,
    /// Entries that were left out, because a newer report holds their intervals.
    pub left_out_count: usize,
}

type Entry<'a> = (&'a str, &'a UsageKey, &'a Usage);

/// One interval of a cluster of which a report says something: a row of [`Intervals`]. Entries lend their texts, because
/// a report has many entries for each interval.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Interval<'a> {
    cluster: Cow<'a, str>,
    kind: Cow<'a, str>,
    begins: DateTime<Utc>,
    ends: DateTime<Utc>,
}

impl<'a> Interval<'a> {
    fn of(&(cluster, key, usage): &Entry<'a>) -> Self {
        Self {
            cluster: Cow::Borrowed(cluster),
            kind: Cow::Borrowed(key.kind.name()),
            begins: key.interval_start,
            ends: usage.interval_end,
        }
    }
}

/// The intervals of a report, each once, as the lists that statements unnest.
#[derive(Debug, Default)]
struct Intervals {
    clusters: Vec<String>,
    kinds: Vec<String>,
    begins: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
}

impl Intervals {
    fn of(entries: &[Entry<'_>]) -> Self {
        let distinct: BTreeSet<Interval<'_>> = entries.iter().map(Interval::of).collect();
        let mut all = Self::default();
        for one in distinct {
            all.clusters.push(one.cluster.into_owned());
            all.kinds.push(one.kind.into_owned());
            all.begins.push(one.begins);
            all.ends.push(one.ends);
        }
        all
    }

    /// All that overlaps begins between these: so much of the index is looked through, and no more.
    fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (first, last) = (self.begins.iter().min()?, self.ends.iter().max()?);
        Some((*first - TimeDelta::hours(INTERVAL_HOURS_MAX), *last))
    }
}

/// Stores a report in place of what its clusters had for intervals that overlap with its own. Other files of its
/// payload stay: they add up, in whatever order they come, and one that comes again replaces itself. A payload is as old as
/// the first of its files that came: what a newer report holds is left as it is by those that come late.
pub async fn replace(conn: &mut PgConnection, report: &NewReport<'_>, entries: &[Entry<'_>]) -> sqlx::Result<Replaced> {
    locks::lock_cluster_reports(&mut *conn).await?;
    let report_id = insert_report(&mut *conn, report).await?;
    let newer = held_by_newer(&mut *conn, report, report_id, &Intervals::of(entries)).await?;
    let is_kept = |entry: &&Entry<'_>| newer.is_empty() || !newer.contains(&Interval::of(entry));
    let kept: Vec<Entry<'_>> = entries.iter().filter(is_kept).copied().collect();
    let longer_interval_count = clear(&mut *conn, report, report_id, &Intervals::of(&kept)).await?;
    for batch in kept.chunks(BATCH) {
        insert(&mut *conn, report_id, batch).await?;
    }
    Ok(Replaced { report_id, longer_interval_count, left_out_count: entries.len() - kept.len() })
}

async fn insert_report(conn: &mut PgConnection, report: &NewReport<'_>) -> sqlx::Result<i64> {
    let payload_files = report.payload.map(|payload| payload.files.as_slice()).unwrap_or_default();
    sqlx::query_scalar!(
        "INSERT INTO cluster_report (file_name, content_sha256, row_count, unused_row_count, received_at, received_by,
                                     payload_uuid, payload_file_count, payload_files)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING cluster_report_id",
        report.file_name,
        report.content_sha256,
        report.row_count,
        report.unused_row_count,
        report.received_at,
        report.received_by,
        report.payload.map(|payload| payload.uuid.as_str()),
        report.payload.map(|payload| payload.file_count),
        payload_files,
    )
    .fetch_one(conn)
    .await
}

// Those of these intervals of which a report that is newer than the payload says something.
async fn held_by_newer(
    conn: &mut PgConnection,
    report: &NewReport<'_>,
    report_id: i64,
    intervals: &Intervals,
) -> sqlx::Result<HashSet<Interval<'static>>> {
    let Some((payload, (earliest, last))) = report.payload.zip(intervals.span()) else { return Ok(HashSet::new()) };
    let first_id = sqlx::query_scalar!(
        r#"SELECT min(cluster_report_id) AS "first!" FROM cluster_report WHERE payload_uuid = $1"#,
        payload.uuid.as_str()
    )
    .fetch_one(&mut *conn)
    .await?;
    if first_id == report_id {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query!(
        r#"SELECT n.cluster AS "cluster!", n.kind AS "kind!", n.begins AS "begins!", n.ends AS "ends!"
           FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS n (cluster, kind, begins, ends)
           JOIN (SELECT u.cluster_id, u.kind, range_agg(tstzrange(u.interval_start, u.interval_end)) AS during
                 FROM cluster_usage u
                 WHERE u.interval_start > $5 AND u.interval_start < $6 AND u.interval_end > u.interval_start
                   AND u.cluster_report_id = ANY (ARRAY(
                       SELECT r.cluster_report_id FROM cluster_report r
                       WHERE r.cluster_report_id > $7 AND coalesce(
                           (SELECT min(part.cluster_report_id) FROM cluster_report part
                            WHERE part.payload_uuid = r.payload_uuid), r.cluster_report_id) > $7))
                 GROUP BY u.cluster_id, u.kind) held ON held.cluster_id = n.cluster AND held.kind = n.kind
           WHERE tstzrange(n.begins, n.ends) && held.during"#,
        &intervals.clusters,
        &intervals.kinds,
        &intervals.begins,
        &intervals.ends,
        earliest,
        last,
        first_id,
    )
    .fetch_all(conn)
    .await?;
    let held = rows.into_iter().map(|row| Interval {
        cluster: Cow::Owned(row.cluster),
        kind: Cow::Owned(row.kind),
        begins: row.begins,
        ends: row.ends,
    });
    Ok(held.collect())
}

// Makes room for these intervals, and counts the longer ones that they do not fill. An interval without length, as
// older versions stored it, lies within them by its start.
async fn clear(
    conn: &mut PgConnection,
    report: &NewReport<'_>,
    report_id: i64,
    intervals: &Intervals,
) -> sqlx::Result<i64> {
    let Some((earliest, last)) = intervals.span() else { return Ok(0) };
    let payload_files = report.payload.map(|payload| payload.files.as_slice()).unwrap_or_default();
    sqlx::query_scalar!(
        r#"WITH gone AS (
             DELETE FROM cluster_usage u
             USING (SELECT cluster, kind, range_agg(tstzrange(begins, ends)) AS during, max(ends - begins) AS longest
                    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                         AS n (cluster, kind, begins, ends)
                    GROUP BY cluster, kind) n
             WHERE u.cluster_id = n.cluster AND u.kind = n.kind AND u.interval_start > $5 AND u.interval_start < $6
               AND (u.interval_start <@ n.during
                    OR tstzrange(u.interval_start, greatest(u.interval_start, u.interval_end)) && n.during)
               AND u.cluster_report_id <> $7
               AND (u.payload_file = ANY($8) OR u.cluster_report_id <> ALL (ARRAY(
                   SELECT cluster_report_id FROM cluster_report WHERE payload_uuid = $9)))
             RETURNING u.cluster_id, u.kind, u.interval_start, u.interval_end,
                 u.interval_end - u.interval_start > n.longest
                     AND NOT tstzrange(u.interval_start, greatest(u.interval_start, u.interval_end)) <@ n.during
                     AS is_longer
           )
           SELECT count(DISTINCT (cluster_id, kind, interval_start, interval_end)) FILTER (WHERE is_longer) AS "count!"
           FROM gone"#,
        &intervals.clusters,
        &intervals.kinds,
        &intervals.begins,
        &intervals.ends,
        earliest,
        last,
        report_id,
        payload_files,
        report.payload.map(|payload| payload.uuid.as_str()),
    )
    .fetch_one(conn)
    .await
}

async fn insert(conn: &mut PgConnection, report_id: i64, batch: &[Entry<'_>]) -> sqlx::Result<()> {
    let clusters: Vec<String> = batch.iter().map(|(cluster, _, _)| (*cluster).to_owned()).collect();
    let kinds: Vec<String> = batch.iter().map(|(_, key, _)| key.kind.name().to_owned()).collect();
    let starts: Vec<DateTime<Utc>> = batch.iter().map(|(_, key, _)| key.interval_start).collect();
    let ends: Vec<DateTime<Utc>> = batch.iter().map(|(_, _, usage)| usage.interval_end).collect();
    let resource_ids: Vec<String> = batch.iter().map(|(_, key, _)| key.resource_id.clone()).collect();
    let nodes: Vec<String> = batch.iter().map(|(_, key, _)| key.node.clone()).collect();
    let namespaces: Vec<String> = batch.iter().map(|(_, key, _)| key.namespace.clone()).collect();
    let usages: Vec<BigDecimal> = batch.iter().map(|(_, _, usage)| usage.usage.clone()).collect();
    let capacities: Vec<Option<BigDecimal>> = batch.iter().map(|(_, _, usage)| usage.capacity.clone()).collect();
    let files: Vec<i16> = batch.iter().map(|(_, key, _)| key.payload_file).collect();
    sqlx::query!(
        "INSERT INTO cluster_usage (cluster_id, kind, interval_start, interval_end, resource_id, node, namespace,
                                    usage, capacity, payload_file, cluster_report_id)
         SELECT *, $11 FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[],
                                   $6::text[], $7::text[], $8::numeric[], $9::numeric[], $10::smallint[])",
        &clusters,
        &kinds,
        &starts,
        &ends,
        &resource_ids,
        &nodes,
        &namespaces,
        &usages,
        &capacities as &[Option<BigDecimal>],
        &files,
        report_id,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Files of a payload that have not come yet, in whatever archive.
pub async fn missing_files(conn: &mut PgConnection, payload: &Payload) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT $2::bigint - count(DISTINCT file) AS "missing!"
           FROM cluster_report CROSS JOIN unnest(payload_files) file WHERE payload_uuid = $1"#,
        payload.uuid.as_str(),
        i64::from(payload.file_count),
    )
    .fetch_one(conn)
    .await
}

/// What a namespace used of a cluster's machines on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the table has them")]
pub struct NamespaceDay {
    pub cluster_id: String,
    pub kind: String,
    pub day: NaiveDate,
    pub namespace: String,
    pub usage: BigDecimal,
}

/// All days of all clusters. What OpenCost calls idle, and what is zero, is left out: nobody used it.
pub async fn by_namespace(conn: &mut PgConnection) -> sqlx::Result<Vec<NamespaceDay>> {
    sqlx::query_as!(
        NamespaceDay,
        r#"SELECT cluster_id, kind, (interval_start AT TIME ZONE 'UTC')::date AS "day!", namespace, sum(usage) AS "usage!"
           FROM cluster_usage WHERE namespace NOT IN ('', '__idle__')
           GROUP BY 1, 2, 3, 4 HAVING sum(usage) > 0 ORDER BY 1, 2, 3, 4"#
    )
    .fetch_all(conn)
    .await
}

/// A report that was taken in.
#[derive(Debug, Clone)]
pub struct StoredReport {
    /// The name of its file.
    pub file_name: String,
    /// Rows in all.
    pub row_count: i64,
    /// Rows that split nothing.
    pub unused_row_count: i64,
    /// When.
    pub received_at: DateTime<Utc>,
    /// By whom.
    pub received_by: String,
    /// The clusters of which it still says something; none where later reports replaced it.
    pub clusters: Vec<String>,
    /// The first interval that it still says.
    pub first_interval: Option<DateTime<Utc>>,
    /// The end of the last.
    pub last_interval: Option<DateTime<Utc>>,
    /// Files of its payload that have not come yet.
    pub missing_file_count: i64,
}

/// The newest reports.
pub async fn reports(conn: &mut PgConnection) -> sqlx::Result<Vec<StoredReport>> {
    sqlx::query_as!(
        StoredReport,
        r#"SELECT r.file_name, r.row_count, r.unused_row_count, r.received_at, r.received_by,
                  coalesce(array_agg(DISTINCT u.cluster_id) FILTER (WHERE u.cluster_id IS NOT NULL), '{}')
                      AS "clusters!",
                  min(u.interval_start) AS first_interval, max(u.interval_end) AS last_interval,
                  coalesce(r.payload_file_count - (
                      SELECT count(DISTINCT file) FROM cluster_report part CROSS JOIN unnest(part.payload_files) file
                      WHERE part.payload_uuid = r.payload_uuid), 0) AS "missing_file_count!"
           FROM (SELECT * FROM cluster_report ORDER BY cluster_report_id DESC LIMIT 50) r
           LEFT JOIN cluster_usage u ON u.cluster_report_id = r.cluster_report_id
           GROUP BY r.cluster_report_id, r.file_name, r.row_count, r.unused_row_count, r.received_at, r.received_by,
                    r.payload_uuid, r.payload_file_count
           ORDER BY r.cluster_report_id DESC"#
    )
    .fetch_all(conn)
    .await
}

/// What a namespace used of a machine on a day.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as the table has them")]
pub struct DailyUsage {
    pub cluster_id: String,
    pub kind: String,
    pub day: NaiveDate,
    pub resource_id: String,
    pub node: String,
    pub namespace: String,
    pub usage: BigDecimal,
}

/// The days from `from` to before `to`, in the order of their fields.
pub async fn daily(conn: &mut PgConnection, from: NaiveDate, to: NaiveDate) -> sqlx::Result<Vec<DailyUsage>> {
    sqlx::query_as!(
        DailyUsage,
        r#"SELECT cluster_id, kind, (interval_start AT TIME ZONE 'UTC')::date AS "day!", resource_id, node, namespace,
                  sum(usage) AS "usage!"
           FROM cluster_usage
           WHERE interval_start >= $1::date AT TIME ZONE 'UTC' AND interval_start < $2::date AT TIME ZONE 'UTC'
           GROUP BY 1, 2, 3, 4, 5, 6
           ORDER BY 1, 2, 3, 4, 5, 6"#,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// All that a machine had on a day, over the intervals in which anyone used it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as the table has them")]
pub struct DailyCapacity {
    pub cluster_id: String,
    pub kind: String,
    pub day: NaiveDate,
    pub resource_id: String,
    pub node: String,
    pub capacity: BigDecimal,
}

/// The days from `from` to before `to`; machines whose reports do not say it are left out.
pub async fn capacities(conn: &mut PgConnection, from: NaiveDate, to: NaiveDate) -> sqlx::Result<Vec<DailyCapacity>> {
    sqlx::query_as!(
        DailyCapacity,
        r#"SELECT cluster_id, kind, (interval_start AT TIME ZONE 'UTC')::date AS "day!", resource_id, node,
                  sum(capacity) AS "capacity!"
           FROM (SELECT cluster_id, kind, interval_start, resource_id, node, max(capacity) AS capacity
                 FROM cluster_usage
                 WHERE interval_start >= $1::date AT TIME ZONE 'UTC' AND interval_start < $2::date AT TIME ZONE 'UTC'
                 GROUP BY cluster_id, kind, interval_start, resource_id, node) machine
           WHERE capacity IS NOT NULL
           GROUP BY 1, 2, 3, 4, 5"#,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// What a bill says that a machine cost on a day.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "FOCUS columns under their own names")]
pub struct MachineCost {
    pub resource_key: String,
    pub resource_id: String,
    pub day: NaiveDate,
    pub billing_currency: String,
    pub charge_count: i64,
    pub billed_cost: BigDecimal,
    pub effective_cost: BigDecimal,
}

/// The current charges of these machines, by the last part of their ResourceId in lower case.
pub async fn machine_costs(
    conn: &mut PgConnection,
    scope: &Scope,
    resource_keys: &[String],
    from: NaiveDate,
    to: NaiveDate,
) -> sqlx::Result<Vec<MachineCost>> {
    sqlx::query_as!(
        MachineCost,
        r#"SELECT lower(reverse(split_part(reverse(cg.resource_id), '/', 1))) AS "resource_key!",
                  cg.resource_id AS "resource_id!",
                  (c.charge_period_start AT TIME ZONE 'UTC')::date AS "day!", c.billing_currency,
                  count(*) AS "charge_count!", sum(c.billed_cost) AS "billed_cost!",
                  sum(c.effective_cost) AS "effective_cost!"
           FROM generation g
           JOIN charge c ON c.generation_id = g.generation_id
           JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
           JOIN key_mapping m ON m.sub_account_key = cg.sub_account_key AND m.rollup_key_id = cg.rollup_key_id
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE g.state = 'current' AND g.last_charge_date >= $3 AND g.first_charge_date < $4
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND lower(reverse(split_part(reverse(cg.resource_id), '/', 1))) = ANY($2)
             AND c.charge_period_start >= $3::date AT TIME ZONE 'UTC'
             AND c.charge_period_start < $4::date AT TIME ZONE 'UTC'
           GROUP BY 1, 2, 3, 4
           ORDER BY 1, 2, 3, 4"#,
        scope.team_ids() as Option<&[i64]>,
        resource_keys,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// Clusters with reports, for the words where a month has none: first and last interval of each.
pub async fn clusters(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, DateTime<Utc>, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"SELECT cluster_id, min(interval_start) AS "first!", max(interval_end) AS "last!"
           FROM cluster_usage GROUP BY cluster_id ORDER BY cluster_id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.cluster_id, row.first, row.last)).collect())
}
