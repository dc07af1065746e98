//! Many webhooks in one statement: each is stored as if it came alone, and only by a proof that still holds.

use crate::support::{count, pools};
use axum::body::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::Headers;
use costwake::store::event_deliveries::{NewDelivery, Stored};
use costwake::store::event_intake::{self, Incoming};
use costwake::store::event_sources::{self, EventSource};
use costwake::store::jobs;
use costwake::store::seal::Key;
use costwake::web::webhook_intake::{Intake, Proven, Taken};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const ALL: &str = "SELECT count(*) FROM event_delivery";
const JOBS: &str = "SELECT count(*) FROM job WHERE kind = 'normalize_events' AND key = ''";

struct Sources {
    pool: PgPool,
    key: Key,
    headers: Headers,
    now: DateTime<Utc>,
    _folder: TempDir,
}

impl Sources {
    // "first" and "second", which GitLab sends to.
    async fn new(pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::load_or_create(&folder.path().join("key")).unwrap();
        let now: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
        let mut conn = pool.acquire().await.unwrap();
        for name in ["first", "second"] {
            event_sources::create(&mut conn, &key, name, "gitlab", "a secret", now).await.unwrap();
        }
        Self { pool: pool.clone(), key, headers: Headers::redacted([("x-gitlab-event", "push")]), now, _folder: folder }
    }

    async fn find(&self, name: &str) -> EventSource {
        event_sources::find(&mut self.pool.acquire().await.unwrap(), name).await.unwrap().unwrap()
    }

    fn incoming<'a>(&'a self, source: &'a EventSource, dedupe_key: &'a str, body: &'a str) -> Incoming<'a> {
        let new = NewDelivery {
            event_source_id: source.event_source_id,
            dedupe_key,
            event_name: "push",
            headers: &self.headers,
            body: body.as_bytes(),
            body_sha256: body,
            received_at: self.now,
        };
        Incoming { new, source, is_signed: false }
    }

    async fn store(&self, all: &[Incoming<'_>]) -> Vec<Option<Stored>> {
        event_intake::store(&mut self.pool.acquire().await.unwrap(), all).await.unwrap()
    }

    async fn change(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }
}

/// What a proof rests on is looked at by the statement that stores, column by column, and nothing else of a source is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_changed_source_takes_nothing_by_an_older_proof(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let others = ["last_received_at = now()", "last_error = 'x'", "plain_token_allowed = true", "created_at = now()"];
    for (number, change) in others.into_iter().enumerate() {
        let source = sources.find("first").await;
        sources.change(&format!("UPDATE event_source SET {change} WHERE name = 'first'")).await;
        let key = format!("same-{number}");
        assert!(sources.store(&[sources.incoming(&source, &key, "a")]).await[0].is_some(), "{change}");
    }
    sources.change("UPDATE event_source SET plain_token_allowed = false WHERE name = 'first'").await;
    sources.change("DELETE FROM event_delivery").await;
    sources.change("DELETE FROM job WHERE kind = 'normalize_events'").await;
    for change in [
        "secret_current_sealed = 'x'",
        "secret_current_sealed = NULL",
        "secret_previous_sealed = 'y'",
        "secret_previous_valid_until = now()",
        "secret_previous_valid_until = NULL",
        "signed_since = now()",
        "plain_token_allowed = true",
        "kind = 'circleci'",
        "enabled = false",
    ] {
        let source = sources.find("first").await;
        let other = sources.find("second").await;
        sources.change(&format!("UPDATE event_source SET {change} WHERE name = 'first'")).await;
        let last_error = "UPDATE event_source SET last_error = 'kept' WHERE name = 'first'";
        sources.change(last_error).await;
        let stored = sources.store(&[sources.incoming(&source, change, "a")]).await;
        assert!(stored[0].is_none(), "{change}");
        assert_eq!((count(&pool, ALL).await, count(&pool, JOBS).await), (0, 0), "{change}");
        assert_eq!(sources.find("first").await.last_error.as_deref(), Some("kept"), "nothing came");
        // It keeps none of another source out.
        let both = [sources.incoming(&source, change, "a"), sources.incoming(&other, change, "a")];
        let stored = sources.store(&both).await;
        assert!(stored[0].is_none() && stored[1].is_some_and(|stored| stored.is_new), "{change}");
        sources.change("DELETE FROM event_delivery").await;
        sources.change("DELETE FROM job WHERE kind = 'normalize_events'").await;
    }
}

/// Of two requests of one source, one proven before a change and one after it, only the second is stored, though both have
/// one key.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn of_two_proofs_only_the_one_that_holds_is_taken(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let before = sources.find("first").await;
    let mut conn = pool.acquire().await.unwrap();
    event_sources::rotate(&mut conn, &sources.key, &before, "another secret", sources.now).await.unwrap();
    let after = sources.find("first").await;
    // Read twice, it is still one.
    let again = sources.find("first").await;
    let all = [
        sources.incoming(&before, "one", "old"),
        sources.incoming(&after, "one", "new"),
        sources.incoming(&again, "one", "new"),
    ];
    let stored = sources.store(&all).await;
    let (second, third) = (stored[1].unwrap(), stored[2].unwrap());
    assert!(stored[0].is_none() && second.is_new && !third.is_new && third.is_same_body);
    assert_eq!(second.event_delivery_id, third.event_delivery_id);
    let row: (String, i32) =
        sqlx::query_as("SELECT body_sha256, repeat_count FROM event_delivery").fetch_one(&pool).await.unwrap();
    assert_eq!(row, ("new".into(), 1));
}

/// Repetitions in one batch and in a later one count, and change nothing of the first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn repetitions_are_counted_within_a_batch_and_across(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let (first, second) = (sources.find("first").await, sources.find("second").await);
    let mut late = sources.incoming(&first, "a", "one");
    late.new.received_at += TimeDelta::seconds(2);
    let all = [
        sources.incoming(&second, "a", "one"),
        sources.incoming(&first, "b", "one"),
        sources.incoming(&first, "a", "one"),
        late.clone(),
    ];
    let stored: Vec<Stored> = sources.store(&all).await.into_iter().map(Option::unwrap).collect();
    assert_eq!(stored.iter().map(|stored| stored.is_new).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(stored[2].event_delivery_id, stored[3].event_delivery_id);
    late.new.received_at += TimeDelta::seconds(2);
    late.new.body = b"another";
    late.new.body_sha256 = "another";
    let again = sources.store(&[late]).await[0].unwrap();
    assert!(!again.is_new && !again.is_same_body && again.event_delivery_id == stored[2].event_delivery_id);
    let row: (String, i32, DateTime<Utc>) = sqlx::query_as(
        "SELECT convert_from(body, 'UTF8'), repeat_count, repeated_at FROM event_delivery WHERE event_delivery_id = $1",
    )
    .bind(again.event_delivery_id)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(row, ("one".into(), 2, sources.now + TimeDelta::seconds(4)));
    assert_eq!(count(&pool, ALL).await, 3);
}

/// One job reads all that waits. It is asked for again where it may have looked already, and by nothing that was read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_job_that_reads_is_asked_for_where_something_is_unread(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let source = sources.find("first").await;
    let store = async |key: &str| sources.store(&[sources.incoming(&source, key, "one")]).await[0].unwrap();
    for key in ["a", "b"] {
        assert!(store(key).await.is_unread);
        assert_eq!(count(&pool, JOBS).await, 1);
    }
    let job_id = count(&pool, "SELECT job_id FROM job WHERE kind = 'normalize_events'").await;
    let job = jobs::lease_one(&pool, job_id, 60).await.unwrap().unwrap();
    sources.change("UPDATE event_delivery SET state = 'done'").await;
    let again = "SELECT count(*) FROM job WHERE kind = 'normalize_events' AND payload ? 'again'";
    assert!(!store("a").await.is_unread);
    assert_eq!(count(&pool, again).await, 0, "nothing is new");
    for key in ["c", "d"] {
        store(key).await;
        assert_eq!(count(&pool, again).await, 1);
    }
    jobs::finish(&mut pool.acquire().await.unwrap(), job.fence()).await.unwrap();
    let waiting = "SELECT count(*) FROM job WHERE kind = 'normalize_events' AND state = 'waiting'";
    assert_eq!(count(&pool, waiting).await, 1, "another one follows");
    // It failed too often: what was not read is asked for by the next that comes, be it a repetition.
    sources.change("UPDATE job SET state = 'failed', finished_at = now() WHERE state = 'waiting'").await;
    for (key, count_then) in [("a", 0), ("c", 1), ("c", 1)] {
        assert!(!store(key).await.is_new);
        assert_eq!(count(&pool, waiting).await, count_then, "{key}");
    }
}

/// What is remembered of a source: when it signed first, and from time to time that something came.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_remembers_its_first_signature_and_that_something_came(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let source = sources.find("first").await;
    let after = |seconds: i64| sources.now + TimeDelta::seconds(seconds);
    let at = |key: &'static str, seconds: i64, is_signed: bool| {
        let mut incoming = sources.incoming(&source, key, "one");
        incoming.new.received_at = after(seconds);
        incoming.is_signed = is_signed;
        incoming
    };
    sources.change("UPDATE event_source SET last_error = 'a wrong secret' WHERE name = 'first'").await;
    sources.store(&[at("a", 0, false)]).await;
    let now = sources.find("first").await;
    assert_eq!((now.last_received_at, now.last_error, now.signed_since), (Some(after(0)), None, None));
    sources.store(&[at("b", 9, false)]).await;
    assert_eq!(sources.find("first").await.last_received_at, Some(after(0)), "it is remembered every ten seconds");
    sources.store(&[at("c", 12, false), at("d", 11, false)]).await;
    assert_eq!(sources.find("first").await.last_received_at, Some(after(12)));
    sources.store(&[at("e", 13, false), at("f", 15, true), at("g", 14, true)]).await;
    let now = sources.find("first").await;
    assert_eq!((now.signed_since, now.last_received_at), (Some(after(14)), Some(after(15))));
    // From now on its plain token is refused: what was proven before is proven anew.
    assert!(sources.store(&[at("h", 16, true)]).await[0].is_none());
    assert_eq!(sources.find("second").await.last_received_at, None, "another source");
}

/// A source that somebody is changing is waited for where something of it is to be remembered, and what was written of it
/// meanwhile is kept.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_that_is_being_changed_is_remembered_as_it_is_by_then(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let (first, second) = (sources.find("first").await, sources.find("second").await);
    let earlier = sources.now - TimeDelta::hours(1);
    let mut change = pool.begin().await.unwrap();
    sqlx::query("UPDATE event_source SET signed_since = $1, last_error = 'a wrong secret' WHERE name = 'first'")
        .bind(earlier)
        .execute(&mut *change)
        .await
        .unwrap();
    let mut signed = sources.incoming(&first, "a", "one");
    signed.is_signed = true;
    let all = [signed, sources.incoming(&second, "a", "one")];
    let mut storing = Box::pin(sources.store(&all));
    assert!(timeout(Duration::from_millis(300), &mut storing).await.is_err(), "it waits");
    change.commit().await.unwrap();
    assert!(storing.await.iter().all(|stored| stored.is_some_and(|stored| stored.is_new)));
    let now = sources.find("first").await;
    assert_eq!((now.signed_since, now.last_received_at, now.last_error), (Some(earlier), Some(sources.now), None));
    assert_eq!(sources.find("second").await.last_received_at, Some(sources.now));
    assert_eq!((count(&pool, ALL).await, count(&pool, JOBS).await), (2, 1));
}

/// Two who write the same keys at once, each in another order, wait for each other and never both.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn writers_of_the_same_keys_do_not_block_each_other(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    let (first, second) = (sources.find("first").await, sources.find("second").await);
    let keys: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
    for round in 0..10 {
        sources.change("DELETE FROM event_delivery").await;
        sources.change("UPDATE event_source SET last_received_at = NULL").await;
        let writers = (0..4).map(|writer| {
            let mut all: Vec<Incoming<'_>> = keys
                .iter()
                .flat_map(|key| [sources.incoming(&first, key, "one"), sources.incoming(&second, key, "one")])
                .collect();
            all.rotate_left(20 * writer);
            if writer % 2 == 1 {
                all.reverse();
            }
            let sources = &sources;
            async move { sources.store(&all).await }
        });
        let stored: Vec<Stored> = join_all(writers).await.into_iter().flatten().map(Option::unwrap).collect();
        assert_eq!(stored.iter().filter(|stored| stored.is_new).count(), 80, "round {round}");
        assert_eq!(count(&pool, "SELECT sum(repeat_count) FROM event_delivery").await, 240, "round {round}");
    }
}

/// Of many that go in together, one that the database refuses keeps no other out, is told so by itself, and costs few
/// statements: not as many as there are others.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_that_is_refused_keeps_no_other_out(pool: PgPool) {
    let sources = Sources::new(&pool).await;
    for sql in [
        "CREATE SEQUENCE tried",
        "CREATE FUNCTION count_try() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM nextval('tried'); RETURN NULL; END $$",
        "CREATE TRIGGER count_try BEFORE INSERT ON event_delivery FOR EACH STATEMENT EXECUTE FUNCTION count_try()",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.dedupe_key = 'bad' THEN RAISE EXCEPTION 'too long' USING ERRCODE = '54000'; END IF;
             RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON event_delivery FOR EACH ROW EXECUTE FUNCTION refuse()",
    ] {
        sources.change(sql).await;
    }
    let source = Arc::new(sources.find("first").await);
    let (pools, intake) = (pools(&pool), Intake::default());
    // The second is one that is refused before any of its statement is done.
    for (round, bad) in ["bad", "with \0"].into_iter().enumerate() {
        let keys: Vec<String> =
            (0..64).map(|number| if number == 37 { bad.into() } else { format!("{round}-{number}") }).collect();
        let proven = |key: &String| Proven {
            source: Arc::clone(&source),
            is_signed: false,
            dedupe_key: key.clone(),
            event_name: "push".into(),
            headers: sources.headers.clone(),
            body: Bytes::from_static(b"{}"),
            body_sha256: "same".into(),
            received_at: sources.now,
        };
        let results = join_all(keys.iter().map(|key| intake.store(&pools, proven(key)))).await;
        let stored: Vec<(String, i64)> =
            sqlx::query_as("SELECT dedupe_key, event_delivery_id FROM event_delivery").fetch_all(&pool).await.unwrap();
        let stored: HashMap<String, i64> = stored.into_iter().collect();
        assert_eq!(stored.len(), 63 * (round + 1));
        for (key, result) in keys.iter().zip(results) {
            match result {
                Ok(Taken::Stored(told)) => {
                    assert_eq!((told.event_delivery_id, told.is_new), (stored[key], true), "{key}")
                }
                Ok(Taken::SourceChanged(_)) => panic!("{key}: nobody changed it"),
                Err(error) => assert_eq!(key, bad, "{error}"),
            }
        }
        if round == 0 {
            // Seven in which it is, the last of them three times, and what lies beside it in six.
            let tried = count(&pool, "SELECT last_value FROM tried").await;
            assert!((10..=20).contains(&tried), "{tried}");
        }
    }
}
