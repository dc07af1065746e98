//! When sources are read: by schedule, once however many processes there are, and never while they are paused.

use super::{Home, assert_counts, by, delivery, folder_setting, october};
use crate::ledger::{ANN, Line, bill};
use crate::support;
use chrono::{TimeDelta, Utc};
use costwake::jobs::ask_for_due_reads;
use costwake::rollup::close_month;
use costwake::sources::kind::Layout;
use costwake::sources::place::Credentials;
use costwake::sources::setting::Setting;
use costwake::store::{source_reads, source_settings};
use costwake::web::source_change;
use sqlx::PgPool;

async fn scheduled(home: &Home, pool: &PgPool, schedule: &str) -> i64 {
    let setting = folder_setting("files", Layout::Files, &home.bills());
    let setting = Setting { schedule: schedule.parse().ok(), ..setting };
    home.add(pool, &setting, &Credentials::default()).await
}

/// Three instances on one schedule read once, all at the same moment or one after the other.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn three_instances_on_one_schedule_read_once(pool: PgPool) {
    let home = Home::new();
    home.put("a.csv", october("1.5"));
    let source_id = scheduled(&home, &pool, "every 30 minutes").await;
    let mut now = Utc::now() + TimeDelta::seconds(1);
    for round in 1..=4 {
        let pools = support::pools(&pool);
        let asked = tokio::join!(
            ask_for_due_reads(&pools, now),
            ask_for_due_reads(&pools, now),
            ask_for_due_reads(&pools, now + TimeDelta::seconds(1)),
        );
        let asked = [asked.0.unwrap(), asked.1.unwrap(), asked.2.unwrap()];
        assert_eq!(asked.iter().sum::<usize>(), 1, "round {round}: {asked:?}");
        let workers = [home.worker(&pool), home.worker(&pool), home.worker(&pool)];
        let took = tokio::join!(workers[0].take_one(), workers[1].take_one(), workers[2].take_one());
        let took = [took.0.unwrap(), took.1.unwrap(), took.2.unwrap()];
        assert_eq!(took.iter().filter(|took| **took).count(), 1, "round {round}: {took:?}");
        assert_eq!(source_reads::list(&pool, source_id, 10).await.unwrap().len(), round);
        now += TimeDelta::minutes(30) + TimeDelta::seconds(2);
    }
    let reads = source_reads::list(&pool, source_id, 10).await.unwrap();
    let results: Vec<&str> = reads.iter().map(|read| read.result.as_str()).collect();
    assert_eq!(results, ["nothing-new", "nothing-new", "nothing-new", "new"]);
    assert!(reads.iter().all(|read| read.asked_by == "schedule"));
    assert_counts(&pool, "files", 1, "1.5").await;
    let deliveries = support::count(&pool, "SELECT count(*) FROM delivery").await;
    assert_eq!(deliveries, 1);
}

/// F28: three instances, a thousand ticks of one schedule, all at the same moment or a little apart: each time is
/// asked for once, and what came due while everything stood still is asked for once in all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_thousand_ticks_of_three_instances_ask_once_each(pool: PgPool) {
    let home = Home::new();
    let source_id = scheduled(&home, &pool, "every 30 minutes").await;
    let pools = support::pools(&pool);
    let mut now = Utc::now() + TimeDelta::seconds(1);
    for tick in 0..1_000_i64 {
        let apart = TimeDelta::milliseconds(tick % 7 * 300);
        let asked = tokio::join!(
            ask_for_due_reads(&pools, now),
            ask_for_due_reads(&pools, now + apart),
            ask_for_due_reads(&pools, now + apart * 2),
        );
        let asked = [asked.0.unwrap(), asked.1.unwrap(), asked.2.unwrap()];
        assert_eq!(asked.iter().sum::<usize>(), 1, "tick {tick}: {asked:?}");
        assert_eq!(ask_for_due_reads(&pools, now + apart * 2).await.unwrap(), 0, "tick {tick} was asked for again");
        let done = sqlx::query("DELETE FROM job WHERE kind = 'read_source'").execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "tick {tick}");
        // Now and then everything stands still for many times of the schedule: they are skipped, not made up for.
        now += TimeDelta::minutes(if tick % 100 == 99 { 30 * 50 } else { 30 }) + TimeDelta::seconds(4);
    }
    assert!(source_reads::list(&pool, source_id, 1).await.unwrap().is_empty(), "nothing was read here");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_paused_source_waits(pool: PgPool) {
    let home = Home::new();
    let source_id = scheduled(&home, &pool, "every 30 minutes").await;
    let later = Utc::now() + TimeDelta::days(2);
    let pause = async |is_paused| {
        let source = source_settings::get(&pool, source_id).await.unwrap().unwrap();
        source_change::pause(&mut pool.acquire().await.unwrap(), &source, is_paused, &by()).await.unwrap();
    };
    pause(true).await;
    assert_eq!(ask_for_due_reads(&support::pools(&pool), later).await.unwrap(), 0);
    pause(false).await;
    assert_eq!(ask_for_due_reads(&support::pools(&pool), later).await.unwrap(), 1);
    assert_eq!(ask_for_due_reads(&support::pools(&pool), later).await.unwrap(), 0);
}

/// A process that dies while it reads leaves a look that says so, and the next worker reads.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_read_whose_process_died_is_taken_over(pool: PgPool) {
    let home = Home::new();
    home.put("a.csv", october("1.5"));
    let source_id = scheduled(&home, &pool, "every 30 minutes").await;
    let pools = support::pools(&pool);
    ask_for_due_reads(&pools, Utc::now() + TimeDelta::seconds(1)).await.unwrap();
    costwake::store::jobs::lease(&pool, costwake::store::jobs::Lane::Imports, 60).await.unwrap().unwrap();
    source_reads::begin(&mut pool.acquire().await.unwrap(), source_id, "schedule", Utc::now()).await.unwrap();
    assert!(!home.worker(&pool).take_one().await.unwrap(), "somebody else has it");
    sqlx::query("UPDATE job SET leased_until = now() - interval '1 second'").execute(&pool).await.unwrap();
    assert!(home.worker(&pool).take_one().await.unwrap());
    let reads = source_reads::list(&pool, source_id, 10).await.unwrap();
    assert_eq!((reads[0].result.as_str(), reads[1].result.as_str()), ("new", "failed"));
    assert_counts(&pool, "files", 1, "1.5").await;
}

/// A delivery that waits because it changes a closed month keeps nobody from reading what comes after it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_waits_for_a_closed_month_does_not_hold_up_the_next(pool: PgPool) {
    let home = Home::new();
    home.put("a.csv", october("1.5"));
    home.age("a.csv", 30);
    let source_id = scheduled(&home, &pool, "every 30 minutes").await;
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    let month = "2026-10".parse().unwrap();
    close_month::close(&support::pools(&pool), month, "Done.", ANN, Utc::now()).await.unwrap();
    home.put("later/b.csv", october("2.5"));
    home.age("later/b.csv", 20);
    home.put("c.csv", bill(&[Line::of("2026-11", 3, "shop", "4")]));
    home.age("c.csv", 10);
    let read = home.read(&pool, source_id).await;
    assert!(read.message.as_ref().unwrap().contains("1 waiting for a decision"), "{:?}", read.message);
    let (state, reason) = delivery(&pool, read.delivery_ids[0]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("October 2026 is closed"), "{reason}");
    assert_counts(&pool, "files", 2, "5.5").await;
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new", "and it is not read again");
}
