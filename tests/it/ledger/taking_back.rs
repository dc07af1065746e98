//! Quarantine, acceptance, restatement, reverting and withdrawing.

use super::{ANN, Line, assert_clean, bill, figures, file, import_as_of, request, time};
use crate::support;
use costwake::rollup::{ImportOptions, LedgerError, accept, import_with, rebuild, remap, retention, revert, withdraw};
use costwake::store::{Role, receipts};
use sqlx::PgPool;

fn october(cost: &str) -> String {
    bill(&[Line::of("2026-10", 3, "shop", cost), Line::of("2026-10", 4, "search", "2.50")])
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_quarantined_file_counts_only_once_accepted(pool: PgPool) {
    let pools = support::pools(&pool);
    let broken = october("1.00").replace("2.50,2.50", "$2.50,2.50");
    let receipt = import_as_of(&pool, "acme", &broken, 1).await;
    assert_eq!((receipt.state.as_str(), receipt.rows, receipt.rejected_rows), ("quarantined", 2, 1));
    assert_eq!(receipt.rejections[0].line, 3);
    assert_eq!(receipt.totals[0].costs.BilledCost.as_ref().unwrap().to_plain_string(), "1.00");
    assert!(figures(&pool, "acme").await.is_empty());
    assert_clean(&pool).await;

    let now = time("2026-11-21T10:00:00Z");
    let accepted = accept(&pools, receipt.delivery_id, ANN, now).await.unwrap();
    assert_eq!((accepted.state.as_str(), accepted.accepted_by.as_deref()), ("published", Some("ann")));
    assert_eq!(figures(&pool, "acme").await.len(), 3);
    // Again, and by mistake for one that does not exist.
    accept(&pools, receipt.delivery_id, ANN, now).await.unwrap();
    assert!(matches!(accept(&pools, 999, ANN, now).await, Err(LedgerError::UnknownDelivery(999))));
    assert_eq!(import_as_of(&pool, "acme", &broken, 2).await.state, "unchanged");
    assert_clean(&pool).await;
    let actions: Vec<String> = sqlx::query_scalar("SELECT action FROM audit_log").fetch_all(&pool).await.unwrap();
    assert_eq!(actions, ["delivery.accepted"]);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_without_currency_cannot_be_accepted(pool: PgPool) {
    let without = october("1.00").replace("BillingCurrency", "x_Nothing");
    let receipt = import_as_of(&pool, "acme", &without, 1).await;
    assert_eq!(
        (receipt.state.as_str(), receipt.missing_columns.as_slice()),
        ("quarantined", &["BillingCurrency".to_owned()][..])
    );
    assert_eq!(receipt.totals[0].billing_currency, None);
    let result = accept(&support::pools(&pool), receipt.delivery_id, ANN, time("2026-11-21T10:00:00Z")).await;
    assert!(matches!(result, Err(LedgerError::CannotAccept(reason)) if reason.contains("BillingCurrency")));
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_no_bill_is_refused_with_a_receipt(pool: PgPool) {
    for (text, says) in [(super::HEADER.to_owned() + "\n", "no rows"), ("name,mail\na,b\n".to_owned(), "not a FOCUS")] {
        let receipt = import_as_of(&pool, "acme", &text, 1).await;
        assert_eq!(receipt.state, "refused");
        assert!(receipt.reason.as_ref().unwrap().contains(says), "{:?}", receipt.reason);
    }
    assert_clean(&pool).await;
}

/// N05: A → B → A gives the figures of A again, to the last digit; so does taking B back.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_restatement_can_be_undone(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    import_as_of(&pool, "acme", &october("1.10"), 1).await;
    let before = figures(&pool, "acme").await;
    let restated = import_as_of(&pool, "acme", &october("7.25"), 2).await;
    assert_eq!(restated.movements.len(), 1);
    assert_eq!(restated.movements[0].costs.BilledCost.as_ref().unwrap().to_plain_string(), "6.15");
    assert_ne!(figures(&pool, "acme").await, before);
    import_as_of(&pool, "acme", &october("1.10"), 3).await;
    assert_eq!(figures(&pool, "acme").await, before);
    assert_clean(&pool).await;

    let again = import_as_of(&pool, "acme", &october("7.25"), 4).await;
    revert(&pools, again.delivery_id, ANN, now).await.unwrap();
    revert(&pools, again.delivery_id, ANN, now).await.unwrap();
    assert_eq!(figures(&pool, "acme").await, before);
    assert_clean(&pool).await;

    // What was taken back by mistake can be counted again.
    accept(&pools, again.delivery_id, ANN, now).await.unwrap();
    assert_ne!(figures(&pool, "acme").await, before);
    withdraw(&pools, again.delivery_id, ANN, now).await.unwrap();
    assert!(figures(&pool, "acme").await.is_empty());
    assert_clean(&pool).await;
}

/// What was withdrawn does not come back by reverting what had replaced a part of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn nothing_goes_back_to_what_was_withdrawn(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    let lines = |cost: &str, periods: &[&str]| {
        bill(&periods.iter().map(|period| Line::of(period, 3, "shop", cost)).collect::<Vec<_>>())
    };
    let both = import_as_of(&pool, "acme", &lines("1", &["2026-09", "2026-10"]), 2).await;
    let one = import_as_of(&pool, "acme", &lines("2", &["2026-10"]), 3).await;
    withdraw(&pools, both.delivery_id, ANN, now).await.unwrap();
    let result = revert(&pools, one.delivery_id, ANN, now).await;
    assert!(matches!(result, Err(LedgerError::NothingBefore(reason)) if reason.contains("withdraw it instead")));
    let counted = async || -> Vec<i64> {
        let statement = "SELECT delivery_id FROM generation WHERE state = 'current' ORDER BY generation_id";
        sqlx::query_scalar(statement).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(counted().await, [one.delivery_id]);
    assert_clean(&pool).await;

    // A person counts it again, where nothing newer does.
    accept(&pools, both.delivery_id, ANN, now).await.unwrap();
    assert_eq!(counted().await, [both.delivery_id, one.delivery_id]);
    withdraw(&pools, both.delivery_id, ANN, now).await.unwrap();
    withdraw(&pools, one.delivery_id, ANN, now).await.unwrap();
    assert!(counted().await.is_empty());
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_quarantined_file_can_be_withdrawn(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    let broken = october("1.00").replace("2.50,2.50", "$2.50,2.50");
    let receipt = import_as_of(&pool, "acme", &broken, 1).await;
    withdraw(&pools, receipt.delivery_id, ANN, now).await.unwrap();
    withdraw(&pools, receipt.delivery_id, ANN, now).await.unwrap();
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'withdrawn'").await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM pg_class WHERE relname ~ '^charge_d[0-9]+$'").await, 0);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM generation").await, 0);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'delivery.withdrawn'").await, 1);
    let result = accept(&pools, receipt.delivery_id, ANN, now).await;
    assert!(matches!(result, Err(LedgerError::CannotAccept(reason)) if reason.contains("import the file again")));
    assert_clean(&pool).await;
}

/// What a delivery took the place of while both waited is not kept: whoever takes the newer one back is told which file to
/// hand in again, on the page that asks, on the receipt and in the audit log, unless it came again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_takes_the_place_of_another_says_which_file_to_hand_in_again(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    let hand_in = async |name: &str, cost: &str, day: u32| {
        let folder = tempfile::tempdir().unwrap();
        let broken = october(cost).replace("2.50,2.50", "$2.50,2.50");
        let as_of = time(&format!("2026-11-{day:02}T00:00:00Z"));
        let mut request = request(file(folder.path(), &broken), Some("acme"), Some(as_of));
        request.file_name = name.into();
        let receipt = import_with(&pools, request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        assert_eq!(receipt.state, "quarantined", "{name}: {:?}", receipt.reason);
        receipt.delivery_id
    };
    let receipt =
        async |delivery_id: i64| receipts::get(&mut pool.acquire().await.unwrap(), delivery_id).await.unwrap().unwrap();
    let older = hand_in("older.csv", "1.00", 1).await;
    let newer = hand_in("newer.csv", "2.00", 2).await;
    assert_eq!(receipt(older).await.state, "refused");
    let said = format!("It had taken the place of “older.csv” (delivery {older}) on the list of what waits");
    let app = support::app(pool.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let ask = async |what: &str| finance.get(&format!("/deliveries/{newer}/{what}")).await.body;
    assert!(ask("withdraw").await.contains(&said) && !ask("accept").await.contains("older.csv"));
    withdraw(&pools, newer, ANN, now).await.unwrap();
    let reason = receipt(newer).await.reason.unwrap();
    assert!(reason.starts_with(&format!("Withdrawn by ann. {said}")), "{reason}");
    assert!(reason.ends_with("hand that file in again if it is to count."), "{reason}");
    let audited: serde_json::Value =
        sqlx::query_scalar("SELECT details -> 'hand_in_again' FROM audit_log WHERE action = 'delivery.withdrawn'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(audited, serde_json::json!([{ "delivery_id": older, "file": "older.csv" }]));

    let again = hand_in("older.csv", "1.00", 1).await;
    accept(&pools, again, ANN, now).await.unwrap();
    assert_eq!(figures(&pool, "acme").await.len(), 3);
    assert_clean(&pool).await;

    // The file came again before the newer one was taken back: there is nothing to do.
    hand_in("third.csv", "3.00", 3).await;
    let fourth = hand_in("fourth.csv", "4.00", 4).await;
    let third = hand_in("third.csv", "3.00", 3).await;
    withdraw(&pools, fourth, ANN, now).await.unwrap();
    assert_eq!(receipt(fourth).await.reason.as_deref(), Some("Withdrawn by ann."));
    assert_eq!(receipt(third).await.state, "quarantined");
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_older_version_is_refused_and_says_by_what(pool: PgPool) {
    let first = import_as_of(&pool, "acme", &october("1.10"), 5).await;
    let late = import_as_of(&pool, "acme", &october("0.90"), 4).await;
    assert_eq!(late.state, "refused");
    assert!(late.reason.unwrap().contains(&format!("delivery {}", first.delivery_id)));
    assert_eq!(late.totals.len(), 1, "the totals stand on a refused receipt too");
    assert_clean(&pool).await;
}

/// N15: work that runs again adds nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn running_again_changes_nothing(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    import_as_of(&pool, "acme", &october("1.10"), 1).await;
    import_as_of(&pool, "acme", &october("1.20"), 2).await;
    let before = figures(&pool, "acme").await;
    for _ in 0..3 {
        import_as_of(&pool, "acme", &october("1.20"), 2).await;
        rebuild::rebuild(&pools, "test", now, |_, _| {}).await.unwrap();
        remap::remap(&pools, "test", now).await.unwrap();
        retention::sweep(&pools, now).await.unwrap();
        assert_eq!(figures(&pool, "acme").await, before);
        assert_clean(&pool).await;
    }
}

/// The lines of the current generation and the one before are kept; of older ones the daily figures.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn old_lines_go_and_old_figures_stay(pool: PgPool) {
    for day in 1..=4 {
        import_as_of(&pool, "acme", &october(&format!("{day}.00")), day).await;
    }
    let kept: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT count(c.line), g.has_charges FROM generation g LEFT JOIN charge c USING (generation_id)
         GROUP BY g.generation_id ORDER BY g.generation_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(kept, [(0, false), (0, false), (2, true), (2, true)]);
    let days: i64 = support::count(&pool, "SELECT count(*) FROM daily_cost").await;
    assert_eq!(days, 8);
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn parts_are_one_delivery_and_the_file_names_its_source(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("part-2.csv");
    std::fs::write(&second, bill(&[Line::of("2026-10", 5, "shop", "4")])).unwrap();
    let request = request(file(folder.path(), &october("1")), None, None);
    let options = ImportOptions { more_parts: vec![second], ..ImportOptions::default() };
    let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!((receipt.state.as_str(), receipt.rows, receipt.source.as_deref()), ("published", 3, Some("Acme 00123")));
    assert_eq!(receipt.totals[0].costs.BilledCost.as_ref().unwrap().to_plain_string(), "7.50");
    assert_clean(&pool).await;
}
