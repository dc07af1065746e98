//! Any bill, however odd its amounts: what comes out is what went in.

use super::{Line, assert_clean, bill, figures, file, import_as_of, request, withdraw_source};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::rollup::import::Limits;
use costwake::rollup::{ImportOptions, import_with};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use std::collections::BTreeMap;

fn amount() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("0".to_owned()),
        Just("1E-28".to_owned()),
        Just("-0.0000000676".to_owned()),
        Just("170141183460469231731687303715884105727.5".to_owned()),
        (any::<i64>(), 0i64..19)
            .prop_map(|(mantissa, scale)| BigDecimal::new(mantissa.into(), scale).to_plain_string()),
        (-1_000_000_000_000_i64..1_000_000_000_000, 0i64..3).prop_map(|(mantissa, scale)| BigDecimal::new(
            mantissa.into(),
            scale
        )
        .to_plain_string()),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    let list = prop_oneof![3 => amount(), 1 => Just("NULL".to_owned())];
    let place = (0..3_usize, 8u32..11, 1u32..28, 0..5_usize, 0..4_usize, 0..4_usize);
    (place, amount(), amount(), list, amount()).prop_map(|(place, billed, effective, list, contracted)| {
        let (account, month, day, currency, service, category) = place;
        Line {
            account: ["00123", "123", "acme-2"][account].into(),
            period: format!("2026-{month:02}"),
            // Some charges lie outside their billing period: corrections.
            day: format!("2026-{:02}-{day:02}", if day == 27 { month - 1 } else { month }),
            currency: ["USD", "EUR", "JPY", "MC", "CREDITS"][currency].into(),
            costs: [billed, effective, list, contracted],
            service: ["shop", "search", "billing", "platform"][service].into(),
            category: ["Usage", "Credit", "Tax", "Purchase"][category],
            lane: "",
        }
    })
}

/// N01: Σ lines = Σ daily = Σ monthly = what an independent sum over the file says, for every column and currency.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn arbitrary_bills_are_conserved_at_all_levels(pool: PgPool) {
    let mut runner = TestRunner::deterministic();
    for case in 0..12 {
        let lines = prop::collection::vec(line(), 1..80).new_tree(&mut runner).unwrap().current();
        let source = format!("source-{case}");
        let receipt = import_as_of(&pool, &source, &bill(&lines), 1).await;
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
        let mut expected: BTreeMap<(String, String), (i64, [BigDecimal; 4])> = BTreeMap::new();
        for line in &lines {
            let sum = expected.entry((line.period.clone(), line.currency.clone())).or_default();
            sum.0 += 1;
            for (sum, text) in sum.1.iter_mut().zip(&line.costs) {
                *sum += text.parse::<BigDecimal>().unwrap_or_default();
            }
        }
        for table in ["daily_cost", "monthly_cost", "daily_cost_by_key", "charge"] {
            assert_eq!(sums(&pool, table, &source).await, expected, "{table} of case {case}");
        }
        assert_clean(&pool).await;
        withdraw_source(&pool, &source).await;
    }
    assert_clean(&pool).await;
}

async fn sums(pool: &PgPool, table: &str, source: &str) -> BTreeMap<(String, String), (i64, [BigDecimal; 4])> {
    let count = if table == "charge" { "count(*)" } else { "sum(t.charge_count)::bigint" };
    let statement = format!(
        "SELECT to_char(g.billing_period_start, 'YYYY-MM'), billing_currency, {count}, sum(billed_cost),
             sum(effective_cost), coalesce(sum(list_cost), 0), coalesce(sum(contracted_cost), 0)
         FROM {table} t JOIN generation g USING (generation_id) JOIN source s USING (source_id)
         WHERE s.name = $1 AND g.state = 'current' GROUP BY 1, 2"
    );
    type Row = (String, String, i64, BigDecimal, BigDecimal, BigDecimal, BigDecimal);
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(source).fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(period, currency, n, b, e, l, c)| ((period, currency), (n, [b, e, l, c]))).collect()
}

/// Memory is bounded by setting things aside; what is set aside is added up to the same figures.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn narrow_limits_change_no_figure(pool: PgPool) {
    let mut runner = TestRunner::deterministic();
    let lines = prop::collection::vec(line(), 600..601).new_tree(&mut runner).unwrap().current();
    import_as_of(&pool, "wide", &bill(&lines), 1).await;
    let wide = figures(&pool, "wide").await;
    withdraw_source(&pool, "wide").await;
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { groups_max: 5, rollup_keys_max: 4, day_sums_max: 9, ..Limits::default() };
    let request = request(file(folder.path(), &bill(&lines)), Some("narrow"), None);
    let options = ImportOptions { limits, ..ImportOptions::default() };
    let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    assert_eq!(figures(&pool, "narrow").await, wide);
    assert_clean(&pool).await;
}

/// N06: digits go from the file through the database to the receipt, all of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn no_digit_is_lost_on_the_way(pool: PgPool) {
    let literals = [
        ("0.1", "0.1"),
        ("308.00", "308.00"),
        ("35.2E-7", "0.00000352"),
        ("1E-28", "0.0000000000000000000000000001"),
        ("4.173459453429997", "4.173459453429997"),
        ("79228162514264337593543950336.0000000001", "79228162514264337593543950336.0000000001"),
        (
            "-123456789012345678901234567890.123456789012345678901234567890",
            "-123456789012345678901234567890.123456789012345678901234567890",
        ),
    ];
    for (index, (literal, plain)) in literals.iter().enumerate() {
        let source = format!("source {index}");
        let receipt = import_as_of(&pool, &source, &bill(&[Line::of("2026-10", 3, "shop", literal)]), 1).await;
        let json = serde_json::to_value(&receipt).unwrap();
        for column in ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"] {
            assert_eq!(json["totals"][0][column], *plain, "{literal}");
        }
        let stored: String = sqlx::query_scalar(
            "SELECT c.effective_cost::text FROM charge c JOIN generation USING (generation_id)
             JOIN source s USING (source_id) WHERE s.name = $1",
        )
        .bind(&source)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(stored, *plain);
        assert_clean(&pool).await;
        withdraw_source(&pool, &source).await;
    }
    assert_clean(&pool).await;
}
