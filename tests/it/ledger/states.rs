//! The state of the ledger is what its deliveries make it, whatever their order and number.

use super::{Line, assert_clean, bill, figures, import_as_of, withdraw_source};
use crate::support;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

const PERIODS: [&str; 2] = ["2026-09", "2026-10"];

fn text(periods: &[usize], content: u32) -> String {
    bill(&lines(periods, content))
}

fn lines(periods: &[usize], content: u32) -> Vec<Line> {
    let of = |period: &usize| {
        let period = PERIODS[*period];
        (1..=content).map(move |day| Line::of(period, day, "shop", &format!("{content}.5")))
    };
    periods.iter().flat_map(of).collect()
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
        for order in orders(4) {
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

/// Every order of so many deliveries.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..count {
        let longer = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            let others = (0..count).filter(|n| !order.contains(n));
            others.map(|n| [order.as_slice(), &[n]].concat()).collect()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

/// N03 for all 720 orders of six deliveries. The ledger decides for each billing account by itself, so 720 accounts
/// take the same six deliveries, each in an order of its own: a file of the first step holds the accounts that get this
/// delivery first, and so on. That is 36 files instead of 4,320, and the way in is that of any file.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn all_orders_of_six_deliveries_end_in_the_same_figures(pool: PgPool) {
    // Periods, content, version. Equal versions share no period: between them the hash of a file decides, and a
    // delivery is several files here.
    let sets: [[(&[usize], u32, u32); 6]; 2] = [
        [(&[1], 3, 1), (&[1], 1, 2), (&[1], 6, 3), (&[1], 2, 4), (&[1], 5, 5), (&[1], 4, 6)],
        [(&[0, 1], 3, 1), (&[0], 1, 2), (&[1], 6, 2), (&[0, 1], 2, 3), (&[1], 5, 4), (&[0], 4, 4)],
    ];
    let orders = orders(6);
    for (number, set) in sets.iter().enumerate() {
        let source = format!("set {number}");
        for step in 0..set.len() {
            for (delivery, (periods, content, version)) in set.iter().enumerate() {
                let mut file = Vec::new();
                for order in orders.iter().filter(|order| order[step] == delivery) {
                    let digits: String = order.iter().map(usize::to_string).collect();
                    let of_account = |line: Line| Line { account: format!("set-{number}-order-{digits}"), ..line };
                    file.extend(lines(periods, *content).into_iter().map(of_account));
                }
                import_as_of(&pool, &source, &bill(&file), *version).await;
            }
        }
        let figures = figures_by_account(&pool, &source).await;
        assert_eq!(figures.len(), 720);
        let expected = figures.values().next().unwrap();
        for (account, figures) in &figures {
            assert_eq!(expected, figures, "{account}");
        }
        let newest = |period: usize| {
            let of_period = set.iter().filter(|(periods, ..)| periods.contains(&period));
            of_period.max_by_key(|(.., version)| *version).map_or(0, |(_, content, _)| *content)
        };
        let charges = expected.iter().filter(|figure| figure.starts_with("charge")).count();
        assert_eq!(charges as u32, newest(0) + newest(1));
    }
    assert_clean(&pool).await;
}

/// All that readers see of each billing account of a source, but on which line of a file a charge stands.
async fn figures_by_account(pool: &PgPool, source: &str) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT g.billing_account_id, concat_ws(' ', 'day', s.slug, d.charge_date, d.provider_name, d.charge_category,
             d.billing_currency, d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)
         FROM daily_cost d JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         LEFT JOIN service s USING (service_id) WHERE g.state = 'current' AND o.name = $1
         UNION ALL
         SELECT g.billing_account_id, concat_ws(' ', 'month', s.slug, m.billing_period_start, m.provider_name,
             m.charge_category, m.billing_currency, m.charge_count, m.billed_cost, m.effective_cost, m.list_cost,
             m.contracted_cost)
         FROM monthly_cost m JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         LEFT JOIN service s USING (service_id) WHERE g.state = 'current' AND o.name = $1
         UNION ALL
         SELECT g.billing_account_id, concat_ws(' ', 'charge', c.charge_period_start, c.billing_currency,
             c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost, c.measures)
         FROM charge c JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         WHERE g.state = 'current' AND o.name = $1
         ORDER BY 1, 2",
    )
    .bind(source)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut figures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (account, figure) in rows {
        figures.entry(account).or_default().push(figure);
    }
    figures
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

/// Pages that are opened right after the first bill are planned for what it brought.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_planner_knows_what_was_just_loaded(pool: PgPool) {
    const KNOWN: &str = "SELECT count(*) FROM pg_class WHERE reltuples > 0 AND relnamespace = 'public'::regnamespace
        AND relname IN ('rollup_key', 'charge_group', 'daily_cost_by_key', 'key_mapping', 'daily_cost', 'monthly_cost')";
    assert_eq!(support::count(&pool, KNOWN).await, 0);
    import_as_of(&pool, "acme", &text(&[0, 1], 4), 1).await;
    assert_eq!(support::count(&pool, KNOWN).await, 6);
}
