//! F24: object stores that are slow, refuse, break off, mark wrongly, lag behind or change. A source tries again where
//! that helps, says what it could not do where it does not, and never takes in half a delivery or two mixed ones.

use super::fake_store::FakeStore;
use super::stores::{DATA, MANIFEST, export, google};
use super::{Home, assert_counts};
use crate::ledger::{assert_clean, withdraw_source};
use crate::support;
use axum::http::StatusCode;
use costwake::sources::setting::Setting;
use sqlx::PgPool;
use std::time::{Duration, Instant};

struct World {
    home: Home,
    store: FakeStore,
    source_id: i64,
}

async fn world(pool: &PgPool, name: &str) -> World {
    let (home, store) = (Home::new(), FakeStore::start("bills").await);
    export(&store, "e1", ["1.5", "2"]);
    let (setting, credentials) = google(&store.endpoint);
    let source_id = home.add(pool, &Setting { name: name.into(), ..setting }, &credentials).await;
    World { home, store, source_id }
}

/// A store that is slow, and one that says 503 or 429 for a while, are waited for.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_slow_store_and_a_busy_one_are_waited_for(pool: PgPool) {
    let slow = world(&pool, "slow").await;
    slow.store.slow_down(Duration::from_millis(400));
    let began = Instant::now();
    assert_eq!(slow.home.read(&pool, slow.source_id).await.result, "new");
    assert!(began.elapsed() > Duration::from_millis(1_600), "it was slow: {:?}", began.elapsed());
    assert_counts(&pool, "slow", 2, "3.5").await;
    withdraw_source(&pool, "slow").await;
    for (name, statuses) in [
        ("busy", [StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE]),
        ("limited", [StatusCode::TOO_MANY_REQUESTS, StatusCode::TOO_MANY_REQUESTS]),
    ] {
        let busy = world(&pool, name).await;
        for key in ["", MANIFEST, DATA[1]] {
            busy.store.refuse(key, &statuses);
        }
        let read = busy.home.read(&pool, busy.source_id).await;
        assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{name}: {read:?}");
        assert_eq!(busy.store.refusals_left(), 0, "{name}");
        assert_counts(&pool, name, 2, "3.5").await;
        withdraw_source(&pool, name).await;
    }
    assert_clean(&pool).await;
}

/// One that never recovers fails the read with what it said and what to do, and what counted before stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_store_that_stays_busy_fails_the_read_and_keeps_the_figures(pool: PgPool) {
    let world = world(&pool, "store").await;
    assert_eq!(world.home.read(&pool, world.source_id).await.result, "new");
    export(&world.store, "e2", ["10", "20"]);
    world.store.refuse(DATA[0], &[StatusCode::SERVICE_UNAVAILABLE; 40]);
    let read = world.home.read(&pool, world.source_id).await;
    assert_eq!(read.result, "failed", "{read:?}");
    assert!(read.message.as_ref().is_some_and(|message| message.contains("SlowDown")), "{read:?}");
    assert!(read.remedy.is_some(), "{read:?}");
    assert_counts(&pool, "store", 2, "3.5").await;
    // Once it is well again the same delivery comes in.
    world.store.refuse(DATA[0], &[]);
    while world.store.refusals_left() > 0 {
        world.home.read(&pool, world.source_id).await;
    }
    world.home.read(&pool, world.source_id).await;
    assert_counts(&pool, "store", 2, "30").await;
    assert_clean(&pool).await;
}

/// What a fault does to the store, and what mends it.
type Change = fn(&FakeStore);

/// An object that breaks off, one with another mark than was asked for, and one that the listing lacks as yet are no
/// part of any delivery; once they are right the delivery counts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_breaks_off_is_mismarked_or_lags_behind_is_not_taken_in(pool: PgPool) {
    let faults: [(&str, Change, Change, &str); 3] = [
        ("cut", |store| store.cut(DATA[1]), FakeStore::mend, "failed"),
        ("mismarked", |store| store.mismark(Some(DATA[0])), |store| store.mismark(None), ""),
        ("lagging", |store| store.unlist(Some(DATA[1])), |store| store.unlist(None), "partial"),
    ];
    for (name, break_it, mend, result) in faults {
        let world = world(&pool, name).await;
        break_it(&world.store);
        let read = world.home.read(&pool, world.source_id).await;
        assert!(read.result != "new" && (result.is_empty() || read.result == result), "{name}: {read:?}");
        assert!(read.message.is_some(), "{name}: {read:?}");
        assert_counts(&pool, name, 0, "0").await;
        assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'loading'").await, 0);
        mend(&world.store);
        let read = world.home.read(&pool, world.source_id).await;
        assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{name}: {read:?}");
        assert_counts(&pool, name, 2, "3.5").await;
        withdraw_source(&pool, name).await;
    }
    assert_clean(&pool).await;
}

/// An object that is replaced while the store is slow, at each of a delivery's objects: always one version, whole.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_object_that_is_replaced_while_it_is_read_is_never_mixed(pool: PgPool) {
    for (number, key) in [DATA[0], DATA[1], MANIFEST].into_iter().enumerate() {
        let name = format!("replaced {number}");
        let world = world(&pool, &name).await;
        world.store.slow_down(Duration::from_millis(30));
        let second = world.store.clone();
        world.store.once_after(key, move || {
            // The next ask meets a busy store as well.
            second.refuse(DATA[0], &[StatusCode::SERVICE_UNAVAILABLE]);
            export(&second, "e2", ["100", "200"]);
        });
        let read = world.home.read(&pool, world.source_id).await;
        assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "after {key}: {read:?}");
        assert_counts(&pool, &name, 2, "300").await;
        withdraw_source(&pool, &name).await;
    }
    assert_clean(&pool).await;
}
