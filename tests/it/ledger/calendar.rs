//! Months, days and hours: a charge counts where the provider says, to the last instant, and no hour is lost where
//! clocks are changed.

use super::{Line, assert_clean, bill, file, import_as_of, request};
use crate::support;
use bigdecimal::BigDecimal;
use chrono::{Duration, NaiveDate};
use costwake::rollup::{ImportOptions, import_with};
use sqlx::PgPool;

/// One line with periods of its own.
fn charged(billed: &str, start: &str, end: &str, cost: &str) -> String {
    let mut line = Line::of(billed, 1, "shop", cost);
    line.account = "00123".into();
    let text = bill(&[line]);
    let day = format!("{billed}-01");
    text.lines().nth(1).unwrap().replace(&format!("{day}T05:00:00Z,{day}T06:00:00Z"), &format!("{start},{end}")) + "\n"
}

fn file_of(lines: &[String]) -> String {
    bill(&[]) + &lines.concat()
}

async fn sums(pool: &PgPool, sql: &'static str) -> Vec<(String, BigDecimal)> {
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

const BY_MONTH: &str = "SELECT to_char(billing_period_start, 'YYYY-MM'), sum(billed_cost) FROM monthly_cost
    JOIN generation g USING (generation_id, billing_period_start) WHERE g.state = 'current' GROUP BY 1 ORDER BY 1";
const BY_DAY: &str = "SELECT charge_date::text, sum(billed_cost) FROM daily_cost
    JOIN generation g USING (generation_id) WHERE g.state = 'current' GROUP BY 1 ORDER BY 1";

fn expect(rows: &[(&str, &str)]) -> Vec<(String, BigDecimal)> {
    rows.iter().map(|(name, sum)| ((*name).to_owned(), sum.parse().unwrap())).collect()
}

/// One file may have accounts of two zones: each bill is in the month that its midnight begins, in either order of rows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_midnights_of_one_file_begin_the_same_month(pool: PgPool) {
    let of = |account: &str, hour: &str, cost: &str| {
        charged("2026-10", "2026-10-05T00:00:00Z", "2026-10-06T00:00:00Z", cost).replace("00123", account).replace(
            "2026-10-01T00:00:00Z,2026-11-01T00:00:00Z",
            &format!("2026-09-30T{hour}:00:00Z,2026-10-31T{hour}:00:00Z"),
        )
    };
    let (beijing, tokyo) = (of("beijing", "16", "1"), of("tokyo", "15", "2"));
    for (day, lines) in [(1, [beijing.clone(), tokyo.clone()]), (2, [tokyo, beijing])] {
        let receipt = import_as_of(&pool, "acme", &file_of(&lines), day).await;
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
        assert_eq!(sums(&pool, BY_MONTH).await, expect(&[("2026-10", "3")]), "day {day}");
    }
    let scopes = "SELECT count(DISTINCT billing_account_id) FROM generation WHERE state = 'current'";
    assert_eq!(support::count(&pool, scopes).await, 2);
    assert_clean(&pool).await;
}

/// N16: the billing period is the provider's label, whatever the days of the charges: at the last millisecond and the
/// first instant of a month, on 29 February, over a year's end, and for a charge that spans months.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_charge_is_in_the_month_that_its_provider_names(pool: PgPool) {
    let february = file_of(&[
        charged("2024-02", "2024-02-01T00:00:00Z", "2024-02-01T01:00:00Z", "1"),
        charged("2024-02", "2024-02-29T23:00:00Z", "2024-02-29T23:59:59.999Z", "2"),
        // Billed in February, though it begins where March does.
        charged("2024-02", "2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z", "4"),
    ]);
    let march = file_of(&[
        charged("2024-03", "2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z", "8"),
        // A correction of the month before.
        charged("2024-03", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "-0.5"),
    ]);
    let year_end = file_of(&[
        charged("2025-12", "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z", "16"),
        // One that spans three months counts on the day on which it starts.
        charged("2025-12", "2025-12-15T00:00:00Z", "2026-02-15T00:00:00Z", "32"),
    ]);
    // April of a provider whose months begin at midnight in Beijing, told in UTC; May of one that gives its last second.
    let beijing = file_of(&[charged("2026-04", "2026-03-31T16:00:00Z", "2026-03-31T17:00:00Z", "64")])
        .replace("2026-04-01T00:00:00Z,2026-05-01T00:00:00Z", "2026-03-31T16:00:00Z,2026-04-30T16:00:00Z");
    let last_second = file_of(&[charged("2026-05", "2026-05-31T00:00:00Z", "2026-06-01T00:00:00Z", "128")])
        .replace("2026-05-01T00:00:00Z,2026-06-01T00:00:00Z", "2026-05-01T00:00:00Z,2026-05-31T23:59:59Z");
    for (day, text) in [(1, february), (2, march), (3, year_end), (4, beijing), (5, last_second)] {
        let receipt = import_as_of(&pool, "acme", &text, day).await;
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    }
    let months = [("2024-02", "7"), ("2024-03", "7.5"), ("2025-12", "48"), ("2026-04", "64"), ("2026-05", "128")];
    assert_eq!(sums(&pool, BY_MONTH).await, expect(&months));
    let last: NaiveDate = sqlx::query_scalar("SELECT max(billing_period_end) FROM generation WHERE state = 'current'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(last.to_string(), "2026-06-01", "the day after its last");
    let days = expect(&[
        ("2024-02-01", "1"),
        ("2024-02-29", "1.5"),
        ("2024-03-01", "12"),
        ("2025-12-15", "32"),
        ("2025-12-31", "16"),
        ("2026-03-31", "64"),
        ("2026-05-31", "128"),
    ]);
    assert_eq!(sums(&pool, BY_DAY).await, days);
    assert_clean(&pool).await;
}

/// N17: hours of senders in the zones +14:00, -12:00 and +05:45, and of Berlin on the days of 23 and 25 hours. Each is
/// one instant, so hours add up to days and days to the month; none is lost and none counts twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn no_hour_is_lost_where_clocks_are_changed(pool: PgPool) {
    let zones = ["+14:00", "-12:00", "+05:45", "Z"];
    let first: chrono::NaiveDateTime = "2026-10-20T00:00:00".parse().unwrap();
    // Ten days of hours, each written in another zone, and each with a cost of its own.
    let hours: Vec<(chrono::NaiveDateTime, String)> =
        (0..240).map(|hour| (first + Duration::hours(hour), format!("0.{:04}", hour + 1))).collect();
    let written = |at: chrono::NaiveDateTime, zone: &str| {
        let offset: chrono::FixedOffset = if zone == "Z" { "+00:00".parse() } else { zone.parse() }.unwrap();
        at.and_utc().with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%:z").to_string()
    };
    let mut lines: Vec<String> = hours
        .iter()
        .enumerate()
        .map(|(number, (at, cost))| {
            let zone = zones[number % zones.len()];
            charged("2026-10", &written(*at, zone), &written(*at + Duration::hours(1), zone), cost)
        })
        .collect();
    // Berlin on 25 October 2026: the hour from 2 to 3 comes twice, told apart by its offset. And on 29 March the
    // hour from 2 to 3 does not exist: 01:59:59+01:00 is followed by 03:00:00+02:00.
    lines.push(charged("2026-10", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "100"));
    lines.push(charged("2026-10", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00", "200"));
    lines.push(charged("2026-10", "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", "400"));
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), &file_of(&lines)), Some("acme"), None);
    let receipt = import_with(&support::pools(&pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 243), "{:?}", receipt.reason);

    let mut expected: std::collections::BTreeMap<NaiveDate, BigDecimal> = std::collections::BTreeMap::new();
    for (at, cost) in &hours {
        *expected.entry(at.date()).or_default() += cost.parse::<BigDecimal>().unwrap();
    }
    *expected.entry("2026-10-25".parse().unwrap()).or_default() += BigDecimal::from(300);
    *expected.entry("2026-03-29".parse().unwrap()).or_default() += BigDecimal::from(400);
    let expected: Vec<(String, BigDecimal)> = expected.into_iter().map(|(day, sum)| (day.to_string(), sum)).collect();
    assert_eq!(sums(&pool, BY_DAY).await, expected);
    let by_hour = "SELECT to_char(charge_period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), sum(billed_cost)
                   FROM charge GROUP BY 1 ORDER BY 1";
    let by_hour = sums(&pool, by_hour).await;
    assert_eq!(by_hour.len(), 243, "each hour is an instant of its own");
    let twice: Vec<&(String, BigDecimal)> =
        by_hour.iter().filter(|(hour, _)| hour == "2026-10-25 00:30" || hour == "2026-10-25 01:30").collect();
    assert_eq!(twice.len(), 2, "the hour that comes twice is two hours: {twice:?}");
    let total: BigDecimal = expected.iter().map(|(_, sum)| sum).sum();
    assert_eq!(by_hour.iter().map(|(_, sum)| sum).sum::<BigDecimal>(), total);
    assert_eq!(sums(&pool, BY_MONTH).await, [("2026-10".to_owned(), total)]);
    assert_clean(&pool).await;
}
