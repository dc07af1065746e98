//! The state of the ledger is what its deliveries make it, whatever their order and number.

use super::{Line, assert_clean, bill, figures, import_as_of, withdraw_source};
use crate::support;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

const PERIODS: [&str; 2] = ["2026-09", "2026-10"];

fn text(periods: &[usize], content: u32) -> String {
    let lines: Vec<Line> = periods
        .iter()
        .flat_map(|period| {
            (1..=content).map(move |day| Line::of(PERIODS[*period], day, "shop", &format!("{content}.5")))
        })
        .collect();
    bill(&lines)
}

/// N03: versioned deliveries of one scope in every order end in the same figures.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_order_of_arrival_does_not_matter(pool: PgPool) {
    let mut expected = None;
    for first in 0..4_u32 {
        for second in (0..4).filter(|n| *n != first) {
            for third in (0..4).filter(|n| ![first, second].contains(n)) {
                let fourth = 6 - first - second - third;
                let source = format!("order {first}{second}{third}{fourth}");
                for version in [first, second, third, fourth] {
                    import_as_of(&pool, &source, &text(&[1], version + 1), version + 1).await;
                }
                let figures = figures(&pool, &source).await;
                assert_eq!(*expected.get_or_insert(figures.clone()), figures, "{source}");
                withdraw_source(&pool, &source).await;
            }
        }
    }
    assert_clean(&pool).await;
}

/// N03 for files of several periods, for files with the same version, and for the same bytes with another version.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_order_of_files_with_several_periods_does_not_matter(pool: PgPool) {
    // Periods, content, version.
    let sets: [[(&[usize], u32, u32); 4]; 2] = [
        [(&[0, 1], 1, 1), (&[0], 2, 2), (&[1], 3, 1), (&[0], 4, 2)],
        [(&[0, 1], 1, 1), (&[0], 2, 2), (&[0, 1], 1, 3), (&[1], 3, 2)],
    ];
    for (number, set) in sets.iter().enumerate() {
        let mut expected = None;
        for order in orders() {
            let source = format!("set {number} {order:?}");
            for index in order {
                let (periods, content, version) = set[index];
                import_as_of(&pool, &source, &text(periods, content), version).await;
            }
            let figures = figures(&pool, &source).await;
            assert_eq!(*expected.get_or_insert(figures.clone()), figures, "{source}");
            withdraw_source(&pool, &source).await;
        }
    }
    assert_clean(&pool).await;
}

fn orders() -> Vec<[usize; 4]> {
    let all =
        (0..4).flat_map(|a| (0..4).flat_map(move |b| (0..4).map(move |c| [a, b, c, 6_usize.wrapping_sub(a + b + c)])));
    all.filter(|order| order.iter().collect::<BTreeSet<_>>().iter().map(|n| **n).eq(0..4)).collect()
}

/// N03 at random: fifty deliveries of several periods and versions, in orders that nobody chose.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn fifty_deliveries_in_any_order_end_in_the_same_figures(pool: PgPool) {
    let seed = std::env::var("COSTWAKE_ORDER_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    println!("COSTWAKE_ORDER_SEED={seed}");
    let mut random = Random(seed | 1);
    let periods: [&[usize]; 3] = [&[0], &[1], &[0, 1]];
    let mut deliveries: Vec<(&[usize], u32, u32)> =
        (0..50).map(|_| (periods[random.below(3)], 1 + random.below(12) as u32, 1 + random.below(18) as u32)).collect();
    let mut expected = None;
    for round in 0..3 {
        let source = format!("order {round}");
        for (periods, content, version) in &deliveries {
            import_as_of(&pool, &source, &text(periods, *content), *version).await;
        }
        let figures = figures(&pool, &source).await;
        assert_eq!(*expected.get_or_insert(figures.clone()), figures, "COSTWAKE_ORDER_SEED={seed} {source}");
        withdraw_source(&pool, &source).await;
        for place in (1..deliveries.len()).rev() {
            deliveries.swap(place, random.below(place + 1));
        }
    }
    assert_clean(&pool).await;
}

/// Xorshift: enough to shuffle.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// I10: what is older of a file replaces nothing and is named on its receipt; the rest of it counts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_counts_where_it_is_newer_and_names_where_it_is_not(pool: PgPool) {
    let newer = import_as_of(&pool, "acme", &text(&[0], 2), 2).await;
    let both = import_as_of(&pool, "acme", &text(&[0, 1], 1), 1).await;
    assert_eq!(both.state, "published");
    let note = both.reason.unwrap();
    assert!(
        note.starts_with("Not all of it: Billing period 2026-09 of account 00123 is counted from delivery"),
        "{note}"
    );
    assert!(note.contains(&newer.delivery_id.to_string()), "{note}");
    assert_eq!(support::count(&pool, "SELECT count(*) FROM charge").await, 3);
    assert_clean(&pool).await;
    // The same bytes as a newer version are no repetition: the refused period counts now.
    let again = import_as_of(&pool, "acme", &text(&[0, 1], 1), 3).await;
    assert_eq!((again.state.as_str(), again.reason), ("published", None));
    assert_clean(&pool).await;
}

/// N04: the same file handed in five times at once counts once; every attempt has its receipt.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn duplicates_at_once_count_once(pool: PgPool) {
    let text = text(&[0, 1], 4);
    let receipts = futures_util::future::join_all((0..5).map(|_| import_as_of(&pool, "acme", &text, 1))).await;
    let published = receipts.iter().filter(|receipt| receipt.state == "published").count();
    let unchanged = receipts.iter().filter(|receipt| receipt.state == "unchanged").count();
    assert_eq!((published, unchanged), (1, 4));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM charge").await, 8);
    assert_clean(&pool).await;
}
