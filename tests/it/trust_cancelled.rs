//! Requests that are cut at any moment lose no write that was acknowledged (F22).

use super::support;
use costwake::store::{INTAKE_CONNECTIONS, Pools, Role, guarded};
use costwake::web::AppState;
use costwake::web::server::{self, Limits};
use sqlx::PgPool;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WEB_CONNECTIONS: u32 = 4;

fn small_pools(pool: &PgPool) -> Pools {
    let options = pool.connect_options().as_ref().clone().options([("timezone", "UTC")]);
    let small = |connections| guarded(connections).connect_lazy_with(options.clone());
    Pools { web: small(WEB_CONNECTIONS), jobs: small(2), intake: small(INTAKE_CONNECTIONS), health: small(1) }
}

// Connections that a transaction is still open on while somebody has borrowed them. Whoever borrows one first ends
// what is open on it, so all of them are borrowed, at once.
async fn left_open(pool: &PgPool, pools: &Pools) -> i64 {
    let mut borrowed = Vec::new();
    for _ in 0..WEB_CONNECTIONS {
        borrowed.push(pools.web.acquire().await.unwrap());
    }
    // The server takes a moment to notice that a connection was closed in the middle of a transaction.
    for _ in 0..40 {
        if idle_in_transaction(pool).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    idle_in_transaction(pool).await
}

async fn idle_in_transaction(pool: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    support::count(pool, sql).await
}

/// Without the guard of the pool this loses about one write in eight.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_dropped_begin_does_not_swallow_the_next_write(pool: PgPool) {
    let pools = small_pools(&pool);
    sqlx::query("CREATE TABLE written (number bigint)").execute(&pool).await.unwrap();
    for number in 0..400_i64 {
        let begin = pools.web.begin();
        let _ = tokio::time::timeout(Duration::from_micros(rand::random_range(0..600)), begin).await;
        sqlx::query("INSERT INTO written VALUES ($1)").bind(number).execute(&pools.web).await.unwrap();
    }
    pools.web.close().await;
    assert_eq!(support::count(&pool, "SELECT count(DISTINCT number) FROM written").await, 400);
}

/// Without the guard of the pool one of these finds a transaction that nobody will end.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_dropped_begin_leaves_no_transaction_to_those_who_borrow_next(pool: PgPool) {
    let pools = small_pools(&pool);
    for round in 0..400 {
        let begin = pools.web.begin();
        let _ = tokio::time::timeout(Duration::from_micros(rand::random_range(0..600)), begin).await;
        assert_eq!(left_open(&pool, &pools).await, 0, "after {round} that were cut");
    }
    pools.web.close().await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_thousand_clients_that_hang_up_while_writing_lose_nothing(pool: PgPool) {
    let people = support::app(pool.clone()).await;
    let browser = people.browser(Role::Viewer, false, &[]).await;
    let cookie = format!("session={}", browser.session.as_ref().unwrap());
    let pools = small_pools(&pool);
    let app = AppState::new(support::config(&[]), pools.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = app.draining.clone();
    let serving = tokio::spawn(server::serve_with(app, listener, stop.clone().cancelled_owned(), Limits::default()));

    let mut acknowledged = Vec::new();
    for batch in 0..50 {
        let clients = (0..20).map(|client| {
            let (cookie, name) = (cookie.clone(), format!("n{batch}x{client}"));
            // Some wait to the end and some never read, however fast this machine is; the rest hang up in between.
            let patience = match client % 4 {
                0 => Duration::from_secs(60),
                1 => Duration::ZERO,
                _ => Duration::from_micros(rand::random_range(0..60_000)),
            };
            tokio::spawn(async move { post_and_hang_up(address, &cookie, &name, patience).await.then_some(name) })
        });
        for client in clients.collect::<Vec<_>>() {
            acknowledged.extend(client.await.unwrap());
        }
        assert_eq!(left_open(&pool, &pools).await, 0, "after batch {batch}");
    }
    // A quarter waited for its answer, a quarter did not.
    assert!((250..=750).contains(&acknowledged.len()), "{} of 1000 were answered", acknowledged.len());
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert_eq!(left_open(&pool, &pools).await, 0);
    pools.web.close().await;
    let kept: Vec<String> = sqlx::query_scalar("SELECT name FROM api_token").fetch_all(&pool).await.unwrap();
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !kept.contains(name)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // A token and its line in the audit log are one write.
    let audited = support::count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'token_created'").await;
    assert_eq!(audited, kept.len() as i64);
}

// Whether a complete answer with status 200 came before this client lost its patience and hung up.
async fn post_and_hang_up(address: std::net::SocketAddr, cookie: &str, name: &str, patience: Duration) -> bool {
    let body = format!("name={name}&scope=read&expires_days=");
    let request = format!(
        "POST /settings/tokens HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    matches!(read, Ok(Ok(_))) && answer.starts_with(b"HTTP/1.1 200")
}
