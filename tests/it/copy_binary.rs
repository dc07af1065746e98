//! The binary COPY encoder against a real PostgreSQL.

use bigdecimal::BigDecimal;
use costwake::store::copy_binary::CopyBuffer;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;

/// Every NUMERIC comes back digit by digit and with its scale: signs, zero, huge, more than 28 decimals.
#[sqlx::test(migrations = false)]
async fn numeric_round_trips_exactly(pool: PgPool) -> sqlx::Result<()> {
    let mut runner = TestRunner::deterministic();
    let strategy = (any::<i128>(), 0u32..127, 0u32..39).prop_map(|(mantissa, shift, scale)| (mantissa >> shift, scale));
    let mut cases: Vec<(i128, u32)> = (0..2000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    for scale in 0..39 {
        cases.extend([(0, scale), (1, scale), (-1, scale), (10_000, scale), (i128::MAX, scale), (i128::MIN, scale)]);
    }
    let huge =
        ["-1e400", "1.5E-300", "123456789012345678901234567890123456789012345678901.000000000000000000000000001"];

    let mut buffer = CopyBuffer::default();
    buffer.header();
    let mut expected = Vec::new();
    for &(mantissa, scale) in &cases {
        let value = BigDecimal::new(mantissa.into(), i64::from(scale));
        expected.push(value.to_plain_string());
        buffer.row(3);
        buffer.int4(expected.len() as i32);
        buffer.numeric_fixed(mantissa, scale);
        buffer.numeric(&value).unwrap();
    }
    for text in huge {
        let value: BigDecimal = text.parse().unwrap();
        expected.push(value.to_plain_string());
        buffer.row(3);
        buffer.int4(expected.len() as i32);
        buffer.numeric(&value).unwrap();
        buffer.numeric(&value).unwrap();
    }
    buffer.trailer();

    let mut connection = pool.acquire().await?;
    sqlx::query("CREATE TABLE number (n int, a numeric, b numeric)").execute(&mut *connection).await?;
    let mut copy = connection.copy_in_raw("COPY number FROM STDIN (FORMAT binary)").await?;
    copy.send(buffer.take()).await?;
    copy.finish().await?;
    let rows: Vec<(i32, String, String)> =
        sqlx::query_as("SELECT n, a::text, b::text FROM number ORDER BY n").fetch_all(&mut *connection).await?;
    assert_eq!(rows.len(), expected.len());
    for (n, a, b) in rows {
        assert_eq!(a, expected[n as usize - 1]);
        assert_eq!(b, expected[n as usize - 1]);
    }
    // What the server takes for equal it must also store the same way.
    let odd: Vec<String> = sqlx::query_scalar(
        "SELECT a::text FROM number WHERE a::text::numeric <> a OR scale(a) <> scale(a::text::numeric)",
    )
    .fetch_all(&mut *connection)
    .await?;
    assert!(odd.is_empty(), "{odd:?}");
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn every_type_comes_back(pool: PgPool) -> sqlx::Result<()> {
    let time: chrono::DateTime<chrono::Utc> = "2026-02-28T23:59:59.123456Z".parse().unwrap();
    let date = time.date_naive();
    let id = uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let mut buffer = CopyBuffer::default();
    buffer.header();
    buffer.row(7);
    buffer.int8(-5);
    buffer.text("a\0b");
    buffer.uuid(id);
    buffer.timestamptz(time);
    buffer.date(date);
    buffer.jsonb(r#"{"k": "v"}"#);
    buffer.null();
    buffer.trailer();
    let mut connection = pool.acquire().await?;
    sqlx::query("CREATE TABLE sample (a int8, b text, c uuid, d timestamptz, e date, f jsonb, g numeric)")
        .execute(&mut *connection)
        .await?;
    let mut copy = connection.copy_in_raw("COPY sample FROM STDIN (FORMAT binary)").await?;
    copy.send(buffer.take()).await?;
    copy.finish().await?;
    let row: (i64, String, uuid::Uuid, chrono::DateTime<chrono::Utc>, chrono::NaiveDate, serde_json::Value) =
        sqlx::query_as("SELECT a, b, c, d, e, f FROM sample WHERE g IS NULL").fetch_one(&mut *connection).await?;
    assert_eq!(row, (-5, "a\u{fffd}b".into(), id, time, date, serde_json::json!({"k": "v"})));
    Ok(())
}
