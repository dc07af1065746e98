//! The same bill counts once, under whatever name its files come.

use super::{ANN, Line, assert_clean, bill, figures, file, import_as_of, request, time};
use crate::support;
use costwake::rollup::{ImportOptions, accept, import_with, verify, withdraw};
use costwake::store::receipts::Receipt;
use sqlx::PgPool;

/// A file without a source's name, of November of 2026.
async fn import_unnamed(pool: &PgPool, text: &str, day: u32) -> Receipt {
    let folder = tempfile::tempdir().unwrap();
    let as_of = time(&format!("2026-11-{day:02}T00:00:00Z"));
    let request = request(file(folder.path(), text), None, Some(as_of));
    import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap()
}

fn of_account(account: &str, cost: &str) -> Line {
    Line { account: account.into(), ..Line::of("2026-10", 3, "shop", cost) }
}

async fn current(pool: &PgPool) -> i64 {
    support::count(pool, "SELECT count(*) FROM generation WHERE state = 'current'").await
}

/// I10: a bill of another account goes beside and replaces nothing. The name stays when a marketplace's product or a second account comes into the file.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_goes_where_its_bill_went_before(pool: PgPool) {
    let first = import_unnamed(&pool, &bill(&[of_account("A1", "1")]), 1).await;
    assert_eq!(first.source.as_deref(), Some("Acme A1"));
    let both = bill(&[of_account("A1", "2"), of_account("A1", "3")]);
    let of_two_providers = both.replacen("Hours,Acme,Acme,eu-1", "Hours,Databricks,Acme,eu-1", 1);
    assert_ne!(both, of_two_providers);
    let second = import_unnamed(&pool, &of_two_providers, 2).await;
    assert_eq!((second.state.as_str(), second.source_id), ("published", first.source_id));
    let third = import_unnamed(&pool, &bill(&[of_account("A1", "4"), of_account("A2", "5")]), 3).await;
    assert_eq!((third.state.as_str(), third.source_id), ("published", first.source_id));
    let fourth = import_unnamed(&pool, &bill(&[of_account("A2", "6")]), 4).await;
    assert_eq!((fourth.state.as_str(), fourth.source_id), ("published", first.source_id));
    assert_eq!(current(&pool).await, 2);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM source").await, 1);
    assert_clean(&pool).await;
}

/// A file of many providers is named after who invoices.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_name_is_that_of_the_invoice(pool: PgPool) {
    let both = bill(&[of_account("A1", "2"), of_account("A1", "3")]);
    let receipt =
        import_unnamed(&pool, &both.replacen("Hours,Acme,Acme,eu-1", "Hours,Databricks,Acme,eu-1", 1), 1).await;
    assert_eq!(receipt.source.as_deref(), Some("Acme A1"));
}

/// I10: what another source counts waits for a decision, and what was decided holds for the next files of both.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_same_bill_from_another_source_waits_for_a_decision(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    import_as_of(&pool, "by hand", &bill(&[of_account("A1", "1")]), 1).await;
    let twice = import_unnamed(&pool, &bill(&[of_account("A1", "1"), of_account("A9", "1")]), 2).await;
    assert_eq!(twice.state, "quarantined");
    let reason = twice.reason.unwrap();
    assert!(reason.contains("“by hand” counts this bill already: 2026-10 of account A1"), "{reason}");
    assert_eq!(current(&pool).await, 1);
    assert_clean(&pool).await;

    accept(&pools, twice.delivery_id, ANN, now).await.unwrap();
    assert_eq!(current(&pool).await, 3);
    assert_clean(&pool).await;
    for (source, day) in [(None, 3), (Some("by hand"), 4), (None, 5)] {
        let text = bill(&[of_account("A1", &day.to_string())]);
        let next = match source {
            Some(source) => import_as_of(&pool, source, &text, day).await,
            None => import_unnamed(&pool, &text, day).await,
        };
        assert_eq!((next.state.as_str(), next.reason), ("published", None), "{source:?}");
    }
    assert_clean(&pool).await;

    // An accident that no import lets happen is found.
    sqlx::query("DELETE FROM accepted_beside").execute(&pool).await.unwrap();
    let checks = verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    let wrong: Vec<_> = checks.iter().filter(|check| !check.differences.is_empty()).collect();
    assert_eq!((wrong.len(), wrong[0].differences.len()), (1, 1), "{wrong:?}");
    assert!(wrong[0].name.starts_with("No bill is counted from two sources"));
}

/// Naming a source does not say that a bill is meant twice: that is asked for, beforehand or on the receipt.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_named_source_counts_what_another_counts_only_where_that_is_asked_for(pool: PgPool) {
    import_as_of(&pool, "one", &bill(&[of_account("A1", "1")]), 1).await;
    let text = bill(&[of_account("A1", "2")]);
    let held = import_as_of(&pool, "other", &text, 2).await;
    assert_eq!((held.state.as_str(), current(&pool).await), ("quarantined", 1));
    let reason = held.reason.unwrap();
    assert!(reason.contains("“one” counts this bill already: 2026-10 of account A1 (delivery 1)"), "{reason}");
    withdraw(&support::pools(&pool), held.delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), &text), Some("other"), Some(time("2026-11-02T00:00:00Z")));
    let options = ImportOptions { is_counted_elsewhere_too: true, ..ImportOptions::default() };
    let asked_for = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!((asked_for.state.as_str(), current(&pool).await), ("published", 2));
    let warnings = asked_for.warnings.join(" ");
    assert!(warnings.contains("“one” counts this bill too: 2026-10 of account A1 (delivery 1)"), "{warnings}");
    assert_clean(&pool).await;
    // What was decided holds for the next files of both.
    for (source, day) in [("one", 3), ("other", 4)] {
        let next = import_as_of(&pool, source, &bill(&[of_account("A1", "5")]), day).await;
        assert_eq!(next.state, "published", "{source}");
    }
    assert_clean(&pool).await;
}

/// Whoever accepts a bill that another source counts finds on its receipt what counts beside it, as whoever asked for
/// it beforehand does; counted again later, the receipt does not say it a second time.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_acceptance_says_once_what_counts_beside_it(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    import_as_of(&pool, "one", &bill(&[of_account("A1", "1")]), 1).await;
    let held = import_as_of(&pool, "other", &bill(&[of_account("A1", "2")]), 2).await;
    assert_eq!((held.state.as_str(), held.warnings.len()), ("quarantined", 0), "{:?}", held.warnings);
    for _ in 0..2 {
        let accepted = accept(&pools, held.delivery_id, ANN, now).await.unwrap();
        assert_eq!((accepted.state.as_str(), accepted.warnings.len()), ("published", 1), "{:?}", accepted.warnings);
        let warning = &accepted.warnings[0];
        assert!(warning.contains("“one” counts this bill too: 2026-10 of account A1 (delivery 1)"), "{warning}");
        assert_clean(&pool).await;
        withdraw(&pools, held.delivery_id, ANN, now).await.unwrap();
    }
}

/// I10: that two sources count the same bill says nothing of a third one, whichever of both is still there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_third_source_is_asked_about_beside_an_accepted_one(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    let of_day = |day: u32| bill(&[of_account("A1", &day.to_string())]);
    let first = import_as_of(&pool, "one", &of_day(1), 1).await;
    let second = import_as_of(&pool, "two", &of_day(2), 2).await;
    accept(&pools, second.delivery_id, ANN, now).await.unwrap();
    let third = import_as_of(&pool, "three", &of_day(3), 3).await;
    assert_eq!((third.state.as_str(), current(&pool).await), ("quarantined", 2));
    let reason = third.reason.unwrap();
    assert!(reason.starts_with("Sources “one” and “two” count this bill already: 2026-10 of account A1"), "{reason}");
    withdraw(&pools, third.delivery_id, ANN, now).await.unwrap();

    // The accepted one stands alone by now, and holds the same cost all the same.
    withdraw(&pools, first.delivery_id, ANN, now).await.unwrap();
    let third = import_as_of(&pool, "three", &of_day(4), 4).await;
    assert_eq!((third.state.as_str(), current(&pool).await), ("quarantined", 1));
    assert!(third.reason.unwrap().starts_with("Source “two” counts this bill already"));
    accept(&pools, third.delivery_id, ANN, now).await.unwrap();
    for (source, day) in [("two", 5), ("three", 6)] {
        assert_eq!(import_as_of(&pool, source, &of_day(day), day).await.state, "published", "{source}");
    }
    assert_clean(&pool).await;
    // What was taken back is asked about when it comes again.
    let again = import_as_of(&pool, "one", &of_day(7), 7).await;
    assert_eq!((again.state.as_str(), current(&pool).await), ("quarantined", 2));
    assert!(again.reason.unwrap().starts_with("Sources “three” and “two” count this bill already"));
    assert_clean(&pool).await;
}

/// What is asked is asked once: a newer file takes the place of what waits with the same bill. One that lacks something
/// leaves a whole one waiting, and one that counts leaves nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn of_what_waits_only_the_newest_does(pool: PgPool) {
    let first = import_as_of(&pool, "one", &bill(&[of_account("A1", "1")]), 1).await;
    let whole = |cost: &str| bill(&[of_account("A1", cost)]);
    let lacking = |cost: &str| {
        let mut unreadable = of_account("A1", cost);
        unreadable.costs[0] = "$1".into();
        bill(&[of_account("A1", cost), unreadable])
    };
    let mut told = Vec::new();
    for (text, day) in [whole("2"), whole("3"), lacking("4"), lacking("5")].iter().zip(2..) {
        let receipt = import_as_of(&pool, "other", text, day).await;
        assert_eq!(receipt.state, "quarantined", "{day}");
        told.push(receipt.delivery_id);
    }
    let states = async || -> Vec<String> {
        let statement = "SELECT state FROM delivery WHERE delivery_id = ANY($1) ORDER BY delivery_id";
        sqlx::query_scalar(statement).bind(&told).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(states().await, ["refused", "quarantined", "refused", "quarantined"]);
    assert_clean(&pool).await;
    withdraw(&support::pools(&pool), first.delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_eq!(import_as_of(&pool, "other", &whole("6"), 6).await.state, "published");
    assert_eq!(states().await, ["refused"; 4]);
    assert_clean(&pool).await;
}

/// A faulty file that holds less of a bill than a faulty one before it may lack what that one has: both wait.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_faulty_file_takes_the_place_of_none_with_more_lines(pool: PgPool) {
    let faulty = |costs: &[&str]| {
        let mut lines: Vec<Line> = costs.iter().map(|cost| of_account("A1", cost)).collect();
        lines.push(of_account("A1", "$1"));
        bill(&lines)
    };
    let mut told = Vec::new();
    for (costs, day) in [["1", "2"].as_slice(), &["3"], &["4", "5"]].iter().zip(1..) {
        told.push(import_as_of(&pool, "one", &faulty(costs), day).await.delivery_id);
        let states: Vec<String> =
            sqlx::query_scalar("SELECT state FROM delivery ORDER BY delivery_id").fetch_all(&pool).await.unwrap();
        let expected = [["quarantined"; 3].as_slice(), &["quarantined"; 3], &["refused", "refused", "quarantined"]];
        assert_eq!(states, expected[told.len() - 1][..told.len()], "after {costs:?}");
    }
    assert_clean(&pool).await;
}

/// Once the other source's bill is taken back, there is nothing to decide.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bill_can_move_to_another_source(pool: PgPool) {
    let first = import_as_of(&pool, "old name", &bill(&[of_account("A1", "1")]), 1).await;
    let now = time("2026-11-21T10:00:00Z");
    withdraw(&support::pools(&pool), first.delivery_id, ANN, now).await.unwrap();
    let second = import_as_of(&pool, "new name", &bill(&[of_account("A1", "1")]), 1).await;
    assert_eq!(second.state, "published");
    assert!(figures(&pool, "old name").await.is_empty());
    assert_clean(&pool).await;
}

/// An id that lost its zeros is another account, and the receipt says that it looks like one that is known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_account_that_lost_its_zeros_is_pointed_out(pool: PgPool) {
    let first = import_as_of(&pool, "acme", &bill(&[of_account("0099", "1")]), 1).await;
    assert!(first.warnings.is_empty(), "{:?}", first.warnings);
    let second = import_as_of(&pool, "acme", &bill(&[of_account("99", "1")]), 2).await;
    assert_eq!(second.state, "published");
    assert!(
        second.warnings.iter().any(|warning| warning.contains("BillingAccountId 99 differs only by leading zeros"))
    );
    assert_eq!(current(&pool).await, 2);
}
