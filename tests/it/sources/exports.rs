//! Several exports of one place: what does not overlap adds up, what does is held, and none takes another's place. What
//! leaves an export leaves the figures.

use super::{Home, assert_counts, delivery, october};
use crate::ledger::{ANN, Line, assert_clean, bill, import_as_of, time, withdraw_source};
use crate::support;
use costwake::rollup::{accept, rebuild, revert, withdraw};
use costwake::sources::kind::Layout;
use costwake::store::{Role, overlaps};
use sqlx::PgPool;

/// A bill of October of one sub account of the billing account 00123.
fn of_sub_account(name: &str, cost: &str) -> String {
    october(cost).replace("sub-00123", name)
}

/// A run of an Azure export of one subscription or billing account.
fn put_run(home: &Home, folder: &str, resource: &str, kind: &str, run: (&str, &str), text: &str) {
    let folder = format!("{folder}/20261001-20261031/{}", run.0);
    let key = format!("{folder}/part_0_0001.csv");
    let manifest = serde_json::json!({
        "exportConfig": { "exportName": "daily", "resourceId": resource, "type": kind },
        "blobCount": 1,
        "runInfo": { "runId": run.0, "submittedTime": run.1, "startDate": "2026-10-01T00:00:00" },
        "blobs": [{ "blobName": key, "byteCount": text.len() }],
    });
    home.put(&format!("{folder}/manifest.json"), manifest.to_string());
    home.put(&key, text);
    home.age(&key, 1);
}

/// A version of October of an AWS data export that belongs to an account.
fn put_version(home: &Home, name: &str, account: &str, version: &str, text: &str) {
    put_month(home, (name, "2026-10"), account, version, text);
}

fn put_month(home: &Home, (name, month): (&str, &str), account: &str, version: &str, text: &str) {
    let folder = format!("BILLING_PERIOD={month}/{version}-{name}");
    let key = format!("p/{name}/data/{folder}/{name}-00001.csv");
    home.put(&key, text);
    let id = "0e818247-daba-463a-9819-0f9f647e956a";
    let manifest = serde_json::json!({
        "executionId": format!("{name} {version}"),
        "exportArn": format!("arn:aws:bcm-data-exports:us-east-1:{account}:export/{name}-{id}"),
        "dataFiles": [format!("s3://bucket/{key}")],
    });
    home.put(&format!("p/{name}/metadata/{folder}/{name}-Manifest.json"), manifest.to_string());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn exports_of_two_subscriptions_add_up(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let put = |folder: &str, name: &str, run: (&str, &str), cost: &str| {
        let resource = format!("/subscriptions/{name}");
        put_run(&home, folder, &resource, "FocusCost", run, &of_sub_account(name, cost));
    };
    put("exports/a", "sub-a", ("a1", "2026-11-01T01:00:00Z"), "1.5");
    put("exports/b", "sub-b", ("b1", "2026-11-01T02:00:00Z"), "2");
    // Both write to one folder, because both exports are called the same.
    put("exports/same", "sub-c", ("c1", "2026-11-01T03:00:00Z"), "4");
    put("exports/same", "sub-d", ("d1", "2026-11-01T04:00:00Z"), "8");
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 4), "{read:?}");
    assert_counts(&pool, "azure", 4, "15.5").await;
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");

    // A later run replaces its own export only, also from another folder.
    put("exports/a", "sub-a", ("a2", "2026-11-02T01:00:00Z"), "1");
    put("exports/last-month", "sub-c", ("c2", "2026-11-02T03:00:00Z"), "5");
    assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 2);
    assert_counts(&pool, "azure", 4, "16").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_of_the_same_cost_waits_for_a_decision(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let account = "/providers/Microsoft.Billing/billingAccounts/00123";
    let all = of_sub_account("sub-a", "1.5") + october("2").lines().nth(1).unwrap() + "\n";
    put_run(&home, "e/all", account, "FocusCost", ("a1", "2026-11-01T01:00:00Z"), &all);
    let one = of_sub_account("sub-a", "1.5");
    put_run(&home, "e/one", "/subscriptions/sub-a", "FocusCost", ("b1", "2026-11-01T02:00:00Z"), &one);
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.delivery_ids.len(), 2, "{read:?}");
    let (state, reason) = delivery(&pool, read.delivery_ids[1]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("“providers/microsoft.billing/billingaccounts/00123 as focuscost”"), "{reason}");
    assert_counts(&pool, "azure", 2, "3.5").await;

    // Its next run waits in its place, and the next run of the other one counts.
    put_run(&home, "e/one", "/subscriptions/sub-a", "FocusCost", ("b2", "2026-11-02T02:00:00Z"), &one);
    put_run(&home, "e/all", account, "FocusCost", ("a2", "2026-11-02T01:00:00Z"), &all.replace("1.5,1.5", "7,7"));
    let again = home.read(&pool, source_id).await.delivery_ids[1];
    assert_counts(&pool, "azure", 2, "9").await;
    assert_eq!(delivery(&pool, again).await.0, "quarantined");
    let (state, reason) = delivery(&pool, read.delivery_ids[1]).await;
    assert_eq!(state, "refused");
    assert!(reason.contains(&format!("Delivery {again} is newer and holds the same bills")), "{reason}");
    assert_clean(&pool).await;

    // A person may say that both are meant; that holds for later runs.
    accept(&support::pools(&pool), again, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_counts(&pool, "azure", 3, "10.5").await;
    put_run(
        &home,
        "e/one",
        "/subscriptions/sub-a",
        "FocusCost",
        ("b3", "2026-11-03T02:00:00Z"),
        &of_sub_account("sub-a", "2.5"),
    );
    home.read(&pool, source_id).await;
    assert_counts(&pool, "azure", 3, "11.5").await;
    assert_clean(&pool).await;
}

/// One accepted beside another says nothing of a third that holds the rest of its cost.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_beside_an_accepted_one_waits(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let account = "/providers/Microsoft.Billing/billingAccounts/00123";
    let all = of_sub_account("sub-a", "1.5") + october("2").lines().nth(1).unwrap() + "\n";
    let one = of_sub_account("sub-a", "1.5");
    put_run(&home, "e/one", "/subscriptions/sub-a", "FocusCost", ("a1", "2026-11-01T01:00:00Z"), &one);
    put_run(&home, "e/all", account, "FocusCost", ("b1", "2026-11-01T02:00:00Z"), &all);
    let held = home.read(&pool, source_id).await.delivery_ids[1];
    assert_eq!(delivery(&pool, held).await.0, "quarantined");
    accept(&support::pools(&pool), held, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_counts(&pool, "azure", 3, "5").await;

    let rest = october("2");
    put_run(&home, "e/rest", "/subscriptions/sub-00123", "FocusCost", ("c1", "2026-11-01T03:00:00Z"), &rest);
    let third = home.read(&pool, source_id).await.delivery_ids[0];
    let (state, reason) = delivery(&pool, third).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("“providers/microsoft.billing/billingaccounts/00123 as focuscost”"), "{reason}");
    assert_counts(&pool, "azure", 3, "5").await;
    assert_clean(&pool).await;
}

/// FOCUS and actual cost of one billing account: their columns name it in different ways.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn focus_beside_actual_cost_of_one_account_waits(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let account = "/providers/Microsoft.Billing/billingAccounts/8611537";
    let actual = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,\
                  MeterCategory,Quantity,Cost,BillingCurrency,ResourceId,ChargeType,Frequency,PricingModel\n\
                  8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,m1,Virtual Machines,24,1.5,EUR,/vm/1,Usage,UsageBased,\
                  OnDemand\n";
    put_run(&home, "e/a", account, "ActualCost", ("a1", "2026-11-01T01:00:00Z"), actual);
    let focus = of_sub_account("/subscriptions/sub-1", "1.5").replace(",00123,", &format!(",{account},"));
    put_run(&home, "e/f", account, "FocusCost", ("f1", "2026-11-01T02:00:00Z"), &focus);
    let read = home.read(&pool, source_id).await;
    let (state, reason) = delivery(&pool, read.delivery_ids[1]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("“providers/microsoft.billing/billingaccounts/8611537” of this source"), "{reason}");
    assert_counts(&pool, "azure", 1, "1.5").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_data_exports_of_one_payer_count_once(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    let put = |name: &str, account: &str, version: &str, text: &str| put_version(&home, name, account, version, text);
    put("cur2", "00123", "2026-10-05T01:00:00.000Z", &october("1.5"));
    put("focus", "00123", "2026-10-06T01:00:00.000Z", &october("1.5"));
    // A linked account's own export of the same payer.
    put("linked", "00456", "2026-10-07T01:00:00.000Z", &of_sub_account("sub-00456", "2"));
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.delivery_ids.len(), 3, "{read:?}");
    let (state, reason) = delivery(&pool, read.delivery_ids[1]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains(":00123:export/cur2” of this source: 2026-10 of account 00123 (delivery 1)."), "{reason}");
    assert_counts(&pool, "aws", 2, "3.5").await;

    // The other one takes over once the first is taken back.
    withdraw(&support::pools(&pool), read.delivery_ids[0], ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    put("focus", "00123", "2026-10-08T01:00:00.000Z", &october("1.75"));
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "aws", 2, "3.75").await;
    assert_clean(&pool).await;
}

/// Neither file has PricingModel, and one of them no row with a commitment: its manifest says which cost it has.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_two_costs_of_azure_are_told_without_pricing_model(pool: PgPool) {
    let header = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,MeterCategory,\
                  Quantity,Cost,BillingCurrency,ResourceId,ReservationId,ChargeType,Frequency,Tags\n";
    let row = |meter: &str, cost: &str, reservation: &str, kind: &str| {
        format!(
            "8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,{meter},Virtual Machines,24,{cost},EUR,/vm/{meter},\
             {reservation},{kind},UsageBased,\n"
        )
    };
    let machine = row("m1", "2.40", "", "Usage");
    let actual = format!("{header}{machine}");
    let amortized = format!("{header}{machine}{}", row("m2", "0.2", "a", "UnusedReservation"));
    for (source, actual_day, amortized_day) in [("one", 1, 2), ("other", 2, 1)] {
        let home = Home::new();
        let source_id = home.add_folder(&pool, source, Layout::AzureExport).await;
        let put = |folder: &str, kind: &str, day: u32, text: &str| {
            let submitted = format!("2026-11-{day:02}T01:00:00Z");
            let resource = "/providers/Microsoft.Billing/billingAccounts/8611537";
            put_run(&home, folder, resource, kind, (kind, submitted.as_str()), text);
        };
        put("e/a", "ActualCost", actual_day, &actual);
        put("e/b", "AmortizedCost", amortized_day, &amortized);
        assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 2);
        assert_counts(&pool, source, 2, "2.40").await;
        let effective: bigdecimal::BigDecimal = sqlx::query_scalar(
            "SELECT sum(effective_cost) FROM monthly_cost JOIN generation g USING (generation_id)
             WHERE g.state = 'current'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(effective, "2.6".parse::<bigdecimal::BigDecimal>().unwrap());
        assert_clean(&pool).await;
        withdraw_source(&pool, source).await;
    }
}

/// A subscription that is exported without its billing account, and all of that account in another source: whichever
/// comes second waits.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_subscription_beside_its_billing_account_waits(pool: PgPool) {
    let whole = of_sub_account("/subscriptions/ab-1", "1.5");
    let part = bill(&[Line { account: "ab-1".into(), ..Line::of("2026-10", 3, "shop", "1.5") }]);
    for (number, texts) in [[&whole, &part], [&part, &whole]].into_iter().enumerate() {
        let sources = ["first", "second"].map(|name| format!("{name} {number}"));
        let mut states = Vec::new();
        for (source, text) in sources.iter().zip(texts) {
            let home = Home::new();
            let source_id = home.add_folder(&pool, source, Layout::Files).await;
            home.put("a.csv", text);
            let read = home.read(&pool, source_id).await;
            states.push(delivery(&pool, read.delivery_ids[0]).await);
        }
        assert_eq!((states[0].0.as_str(), states[1].0.as_str()), ("published", "quarantined"), "{states:?}");
        assert!(states[1].1.contains(&format!("already by source “{}”", sources[0])), "{states:?}");
        assert_clean(&pool).await;
        withdraw_source(&pool, &sources[0]).await;
    }
}

/// Days of a subscription in the bill of one billing profile.
fn of_profile(profile: &str, subscription: &str, days: &[(u32, &str)]) -> String {
    let line = |(day, cost): &(u32, &str)| Line { account: profile.into(), ..Line::of("2026-10", *day, "shop", cost) };
    let text = bill(&days.iter().map(line).collect::<Vec<_>>());
    text.replace(&format!("sub-{profile}"), subscription).replace("Acme", "Microsoft")
}

/// The same subscription under two billing profiles of one customer agreement, in two sources and named in two ways.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_subscription_of_two_billing_profiles_counts_once(pool: PgPool) {
    let read = async |source: &str, text: String| {
        let home = Home::new();
        let source_id = home.add_folder(&pool, source, Layout::Files).await;
        home.put("a.csv", text);
        let read = home.read(&pool, source_id).await;
        delivery(&pool, read.delivery_ids[0]).await
    };
    let whole = [(3, "1.5"), (4, "2"), (5, "4")];
    let first = read("first", of_profile("p-1", "/subscriptions/AB-1", &whole)).await;
    assert_eq!(first.0, "published");
    // Of a later day more is known, and the last digits are cut off.
    let again = [(3, "1.5"), (4, "2.00000000001"), (5, "5")];
    let (state, reason) = read("second", of_profile("p-2", "ab-1", &again)).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("already by source “first”: 2026-10 of account p-2 (delivery 1)"), "{reason}");

    // It moved to another profile on the fifth: only that day is in both, and in neither whole.
    let moved = [(5, "4"), (6, "8")];
    assert_eq!(read("third", of_profile("p-3", "ab-1", &moved)).await.0, "published");
    assert_eq!(read("fourth", of_profile("p-4", "cd-2", &whole)).await.0, "published", "another subscription");

    // One after the other in one source they replace nothing of each other either.
    let home = Home::new();
    let source_id = home.add_folder(&pool, "fifth", Layout::Files).await;
    home.put("a.csv", of_profile("p-5", "ef-3", &whole));
    home.read(&pool, source_id).await;
    home.put("b.csv", of_profile("p-6", "ef-3", &whole));
    let (state, reason) = delivery(&pool, home.read(&pool, source_id).await.delivery_ids[0]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("already by what was handed in to this source: 2026-10 of account p-6"), "{reason}");
    assert_clean(&pool).await;
}

/// What a bill holds of each subscription by day is kept when it is loaded: the page that asks reads no other sum of the
/// two bills, however many they have. What is gone leaves nothing, and a rebuild makes it anew.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_page_that_asks_about_two_billing_profiles_reads_no_daily_sums(pool: PgPool) {
    let now = time("2026-11-21T10:00:00Z");
    let pools = support::pools(&pool);
    let kept = async || support::count(&pool, "SELECT count(*) FROM subscription_day").await;
    let days = [(3, "1.5"), (4, "2"), (5, "0")];
    import_as_of(&pool, "first", &of_profile("p-1", "/subscriptions/AB-1", &days), 1).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-10", 3, "shop", "1")]), 1).await;
    assert_eq!(kept().await, 2, "neither of a day that cost nothing, nor of who is not Azure");
    let held = import_as_of(&pool, "second", &of_profile("p-2", "ab-1", &days), 1).await;
    assert_eq!((held.state.as_str(), kept().await), ("quarantined", 4), "{:?}", held.reason);

    sqlx::query("DELETE FROM daily_cost_by_key").execute(&pool).await.unwrap();
    let app = support::app(pool.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let ask = finance.get(&format!("/deliveries/{}/accept", held.delivery_id)).await.body;
    assert!(ask.contains("What it holds is counted already"), "{ask}");
    assert!(ask.contains("already by source “first”: 2026-10 of account p-2"), "{ask}");
    withdraw(&pools, held.delivery_id, ANN, now).await.unwrap();
    assert_eq!(kept().await, 2);
    sqlx::query("DELETE FROM subscription_day").execute(&pool).await.unwrap();
    rebuild::rebuild(&pools, "test", now, |_, _| {}).await.unwrap();
    assert_eq!(kept().await, 2);
    assert_clean(&pool).await;
}

/// Days of a subscription in a cost export of Azure: a machine that costs the same in each, and one that a reservation
/// covers, which is free in an actual export.
fn of_reserved(account: &str, subscription: &str, days: &[u32], machines: &[(&str, &str, &str)]) -> String {
    let header = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,\
                  MeterCategory,Quantity,Cost,BillingCurrency,ResourceId,ReservationId,ChargeType,Frequency,PricingModel\n";
    let mut text = header.to_owned();
    for day in days {
        for (meter, cost, reservation) in machines {
            let model = if reservation.is_empty() { "OnDemand" } else { "Reservation" };
            text.push_str(&format!(
                "{account},10/01/2026,10/31/2026,{subscription},10/{day:02}/2026,{meter},Virtual Machines,24,{cost},EUR,\
                 /vm/{meter},{reservation},Usage,UsageBased,{model}\n"
            ));
        }
    }
    text
}

/// Where a reservation covers something every day, an actual and an amortized export agree on no day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn actual_cost_beside_amortized_cost_of_another_account_waits(pool: PgPool) {
    let machine = ("m1", "1.5", "");
    let (free, amortized) = (("m2", "0", "r"), ("m2", "3.1", "r"));
    let import = async |source: &str, text: String| import_as_of(&pool, source, &text, 1).await;
    let first = import("first", of_reserved("a-1", "sub-1", &[3, 4, 5], &[machine, free])).await;
    assert_eq!(first.state, "published", "{:?}", first.reason);
    let held = import("second", of_reserved("a-2", "sub-1", &[3, 4, 5], &[machine, amortized])).await;
    assert_eq!(held.state, "quarantined");
    let reason = held.reason.unwrap();
    assert!(reason.contains("already by source “first”: 2026-10 of account a-2 (delivery 1)"), "{reason}");

    // It moved on the fifth; another subscription; and days without any commitment, of which none is the same.
    let moved = import("third", of_reserved("a-3", "sub-1", &[5, 6, 7], &[machine, amortized])).await;
    assert_eq!(moved.state, "published", "{:?}", moved.reason);
    let other = import("fourth", of_reserved("a-4", "sub-2", &[3, 4, 5], &[machine, amortized])).await;
    assert_eq!(other.state, "published", "{:?}", other.reason);
    let plain = import("fifth", of_reserved("a-5", "sub-5", &[3, 4, 5], &[machine])).await;
    assert_eq!(plain.state, "published", "{:?}", plain.reason);
    let differs = import("sixth", of_reserved("a-6", "sub-5", &[3, 4, 5], &[("m1", "9", "")])).await;
    assert_eq!(differs.state, "published", "{:?}", differs.reason);

    // All of it is covered: the actual export has no cost on any day, and its days are known all the same.
    let free = import("seventh", of_reserved("a-7", "sub-7", &[3, 4], &[free])).await;
    assert_eq!(free.state, "published", "{:?}", free.reason);
    let held = import("eighth", of_reserved("a-8", "sub-7", &[3, 4], &[amortized])).await;
    assert_eq!(held.state, "quarantined", "{:?}", held.reason);
    assert_clean(&pool).await;
}

async fn warnings(pool: &PgPool, delivery_id: i64) -> String {
    let warnings: Vec<String> = sqlx::query_scalar("SELECT warnings FROM delivery WHERE delivery_id = $1")
        .bind(delivery_id)
        .fetch_one(pool)
        .await
        .unwrap();
    warnings.join(" ")
}

/// A manifest proves that its files are all of the month: an account that left them, or all of them, counts as zero.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_left_a_complete_export_counts_no_more(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    let put = |day: u32, text: &str| put_version(&home, "x", "00123", &format!("2026-10-{day:02}T01:00:00.000Z"), text);
    let one = Line::of("2026-10", 3, "shop", "1.5");
    let other = Line { account: "00456".into(), ..Line::of("2026-10", 3, "shop", "2") };
    let both = bill(&[one.clone(), other]);
    put(1, &both);
    home.read(&pool, source_id).await;
    assert_counts(&pool, "aws", 2, "3.5").await;

    put(2, &bill(&[one]));
    let second = home.read(&pool, source_id).await.delivery_ids[0];
    assert_counts(&pool, "aws", 1, "1.5").await;
    let told = warnings(&pool, second).await;
    assert!(told.contains("Billing account 00456 is not in this complete export of 2026-10 any more"), "{told}");
    assert!(told.contains("counts as zero with it; delivery 1 had 1 line of it."), "{told}");
    assert_clean(&pool).await;
    revert(&support::pools(&pool), second, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_counts(&pool, "aws", 2, "3.5").await;

    put(3, &bill(&[]));
    let empty = home.read(&pool, source_id).await.delivery_ids[0];
    assert_eq!(delivery(&pool, empty).await.0, "published");
    assert!(warnings(&pool, empty).await.contains("Billing account 00123 is not in"));
    assert_counts(&pool, "aws", 0, "0").await;
    assert_clean(&pool).await;

    // What comes back counts again, and the same emptiness is not taken for what counts.
    put(4, &both.replace("1.5,1.5", "7,7"));
    home.read(&pool, source_id).await;
    assert_counts(&pool, "aws", 2, "9").await;
    put(5, &bill(&[]));
    home.read(&pool, source_id).await;
    assert_counts(&pool, "aws", 0, "0").await;
    assert_clean(&pool).await;
}

/// Two months whose exports are empty hold the same bytes: each of them is emptied.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_empty_export_empties_its_own_month(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    let put = |month: &str, day: u32, text: &str| {
        put_month(&home, ("x", month), "00123", &format!("2026-11-{day:02}T01:00:00.000Z"), text);
    };
    put("2026-10", 2, &bill(&[Line::of("2026-10", 3, "shop", "1.5")]));
    put("2026-11", 3, &bill(&[Line::of("2026-11", 1, "shop", "2")]));
    home.read(&pool, source_id).await;
    assert_counts(&pool, "aws", 2, "3.5").await;
    put("2026-10", 4, &bill(&[]));
    home.read(&pool, source_id).await;
    assert_counts(&pool, "aws", 1, "2").await;
    put("2026-11", 5, &bill(&[]));
    let emptied = home.read(&pool, source_id).await.delivery_ids[0];
    assert_eq!(delivery(&pool, emptied).await.0, "published");
    assert_counts(&pool, "aws", 0, "0").await;
    // Again the same is nothing new.
    put("2026-11", 6, &bill(&[]));
    let again = home.read(&pool, source_id).await.delivery_ids[0];
    assert_eq!(delivery(&pool, again).await.0, "unchanged");
    assert_clean(&pool).await;
}

/// An account that left an export counts as zero there: the export that it went to does not wait.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_left_an_export_keeps_no_other_waiting(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    let stays = Line { account: "00777".into(), ..Line::of("2026-10", 3, "shop", "2") };
    let leaves = Line { account: "ab-1".into(), ..Line::of("2026-10", 3, "shop", "1.5") };
    put_version(&home, "x", "00777", "2026-10-05T01:00:00.000Z", &bill(&[stays.clone(), leaves]));
    home.read(&pool, source_id).await;
    put_version(&home, "x", "00777", "2026-10-06T01:00:00.000Z", &bill(&[stays]));
    let left = home.read(&pool, source_id).await.delivery_ids[0];
    assert_counts(&pool, "aws", 1, "2").await;

    let whole = Home::new();
    let whole_id = whole.add_folder(&pool, "whole", Layout::Files).await;
    whole.put("a.csv", of_sub_account("/subscriptions/ab-1", "1.5"));
    let read = whole.read(&pool, whole_id).await;
    assert_eq!(delivery(&pool, read.delivery_ids[0]).await.0, "published");
    assert_clean(&pool).await;

    // Nor does going back count it twice.
    let refused = revert(&support::pools(&pool), left, ANN, time("2026-11-21T10:00:00Z")).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("counted by delivery {} of", read.delivery_ids[0])), "{refused}");
    withdraw(&support::pools(&pool), read.delivery_ids[0], ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    revert(&support::pools(&pool), left, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_counts(&pool, "aws", 2, "3.5").await;
    assert_clean(&pool).await;
}

/// Whatever days and kinds of lines two exports of an account have, a sub account in common tells that they overlap, in
/// whatever letters and with a path before it or without. Lines without one could be anyone's.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn exports_overlap_by_any_sub_account_in_common(pool: PgPool) {
    sqlx::query("INSERT INTO source (name) VALUES ('azure')").execute(&pool).await.unwrap();
    type Export = (&'static str, &'static str, &'static str, &'static [Option<&'static str>]);
    let exports: [Export; 8] = [
        ("a", "A", "current", &[Some("sub-0"), Some("SUB-1"), Some("sub-2")]),
        ("b", "A", "current", &[Some("sub-3")]),
        ("c", "/providers/a", "current", &[Some("sub-8"), Some("/subscriptions/sub-1")]),
        ("d", "A", "current", &[None]),
        ("e", "A", "current", &[Some("sub-9"), None]),
        ("f", "B", "current", &[Some("sub-2")]),
        ("g", "A", "superseded", &[Some("sub-2")]),
        ("b as ActualCost", "A", "current", &[Some("sub-7")]),
    ];
    for (id, (export, account, state, sub_accounts)) in (1_i64..).zip(exports) {
        let delivery =
            "INSERT INTO delivery (delivery_id, source_id, file_name, version_at, version_basis, received_at, received_by, state)
             OVERRIDING SYSTEM VALUE SELECT $1, source_id, 'f', now(), 'receipt', now(), 'test', 'published' FROM source";
        sqlx::query(delivery).bind(id).execute(&pool).await.unwrap();
        let generation = "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id,
                 billing_period_start, billing_period_end, append_object, state, charge_count)
             SELECT $1, $1, source_id, $2, '2026-10-01', '2026-11-01', $3, $4, 20 FROM source";
        sqlx::query(generation).bind(id).bind(account).bind(export).bind(state).execute(&pool).await.unwrap();
        for sub_account in sub_accounts {
            let days = "WITH key AS (
                     INSERT INTO rollup_key (sub_account_key, rollup_key_id, billing_account_id, sub_account_id)
                     SELECT hashtext(coalesce($2, '')), gen_random_uuid(), 'A', $2 FROM generate_series(1, 5)
                     RETURNING sub_account_key, rollup_key_id
                 )
                 INSERT INTO daily_cost_by_key (generation_id, sub_account_key, rollup_key_id, charge_date,
                     billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost)
                 SELECT $1, sub_account_key, rollup_key_id, date '2026-10-01' + day, 'USD', 1, 1, 1, 1, 1
                 FROM key, generate_series(0, 3) AS day";
            sqlx::query(days).bind(id).bind(*sub_account).execute(&pool).await.unwrap();
        }
    }
    let overlapping: [(i64, &[&str]); 8] = [
        (1, &["c"]),
        (2, &["b as ActualCost"]),
        (3, &["a"]),
        (4, &["e"]),
        (5, &["d"]),
        (6, &[]),
        (7, &["a"]),
        (8, &["b"]),
    ];
    for (id, expected) in overlapping {
        let found = overlaps::of_delivery(&pool, id).await.unwrap();
        let exports: Vec<&str> = found.iter().map(|overlap| overlap.export.as_str()).collect();
        assert_eq!(exports, expected, "delivery {id}");
    }
}
