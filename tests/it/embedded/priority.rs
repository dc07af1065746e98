//! Background work gives way to readers, on the own cluster only.

use super::Place;
use costwake::store::Pools;
use sqlx::PgPool;
use std::fs;

/// The niceness of the backend that a pool hands out: the nineteenth field of its `stat` (`proc(5)`).
async fn niceness(pool: &PgPool) -> i32 {
    let mut conn = pool.acquire().await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *conn).await.unwrap();
    let stat = fs::read_to_string(format!("/proc/{backend}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(16).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_and_analyses_give_way_to_readers() {
    let place = Place::new();
    let cluster = place.open();
    cluster.create_database().await.unwrap();
    let pools = Pools::of_own_cluster(cluster.connect_options());
    let (reading, working) = (niceness(&pools.web).await, niceness(&pools.jobs).await);
    assert_eq!(working, (reading + 10).min(19));
    assert_eq!((niceness(&pools.intake).await, niceness(&pools.health).await), (reading, reading));
    let elsewhere = Pools::connect_lazy(cluster.connect_options());
    assert_eq!(niceness(&elsewhere.jobs).await, reading, "a process of a server that may be another machine's");
}
