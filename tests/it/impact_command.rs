//! `costwake impact` as somebody runs it beside a database: what it prints, as text and as JSON, and how it ends.

use crate::effects::{deploy, filled};
use crate::finance::{World, column, decimal};
use crate::support::said;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};
use std::process::Output;
use tokio::process::Command;

async fn run(database: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", database).env("COSTWAKE_DATA_DIR", folder.path());
    command.arg("impact").args(arguments).output().await.unwrap()
}

async fn impact(pool: &PgPool, arguments: &[&str]) -> Output {
    run(pool.connect_options().to_url_lossy().as_str(), arguments).await
}

// What it printed, where it ended well.
async fn printed(pool: &PgPool, arguments: &[&str]) -> String {
    let output = impact(pool, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

async fn objects(pool: &PgPool, arguments: &[&str]) -> Vec<Value> {
    let text = printed(pool, &[arguments, &["--json"]].concat()).await;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn told_by_api(world: &World, deployment_id: i64) -> Value {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/deployments/{deployment_id}/impact");
    world.app.api("GET", &path, &token, Value::Null).await.json()["answers"][0].clone()
}

/// Nothing was worked out before: the command does that, and then says what the API and the page say.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_says_of_a_deployment_what_the_api_says(pool: PgPool) {
    let world = filled(&pool).await;
    let step = deploy(&pool, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    let id = step.to_string();
    let all = objects(&pool, &[&id]).await;
    assert_eq!(all.len(), 1, "of one service in one currency: {all:?}");
    let own = &all[0];
    let api = told_by_api(&world, step).await;
    assert_eq!((&own["deployment_id"], &own["finding"]), (&step.into(), &"increase".into()), "{own}");
    for key in ["phase", "per_day", "per_day_low", "per_day_high", "per_30_days", "per_30_days_low", "per_30_days_high"]
    {
        assert!(own[key].is_string() && own[key] == api[key], "{key}: {own} {api}");
    }
    assert_eq!(own["days"].as_array().map(Vec::len), api["days"].as_array().map(Vec::len));
    let strong = &own["placebos_as_strong"];
    assert!(strong.is_number() && *strong == api["placebos_as_strong"], "{own} {api}");

    let text = printed(&pool, &[&id]).await;
    let head = format!("checkout in {}, released 2026-10-28", api["environment"].as_str().unwrap());
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains(api["sentence"].as_str().unwrap()), "{text}");
    assert!(text.contains("\n  Settled: increase. The cost moved with the release"), "{text}");
    let sum = api["per_30_days"].as_str().unwrap().parse::<f64>().unwrap().round() as i64;
    let over_30_days = format!("\n  Per 30 days: +${},{:03}, 90% interval ", sum / 1000, sum % 1000);
    assert!((1000..1500).contains(&sum) && text.contains(&over_30_days), "{over_30_days}: {text}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_lists_the_newest_answers_and_those_of_a_finding(pool: PgPool) {
    let world = filled(&pool).await;
    let empty = printed(&pool, &[]).await;
    assert!(empty.starts_with("No deployment has an answer yet: "), "{empty}");
    assert_eq!(printed(&pool, &["--json"]).await, "");

    let step = deploy(&pool, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    let newest = deploy(&pool, "4", "mail", "production", "2026-11-17T12:00:00Z").await;
    let of_nothing = deploy(&pool, "5", "nobody", "production", "2026-11-10T12:00:00Z").await;
    let listed = printed(&pool, &[]).await;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let begin = |id: i64, day: &str, word: &str| [id.to_string(), day.to_owned(), word.to_owned()];
    assert_eq!(lines.len(), 2, "{listed}");
    assert_eq!(lines[0][..3], begin(newest, "2026-11-17", "Measuring"), "{listed}");
    assert_eq!(lines[1][..3], begin(step, "2026-10-28", "Increase"), "{listed}");
    assert_eq!((lines[0].last(), lines[1].last()), (Some(&"mail"), Some(&"checkout")), "{listed}");
    assert!(listed.contains("not known") && listed.contains("+$"), "{listed}");

    let found = objects(&pool, &["--finding", "increase"]).await;
    let api = told_by_api(&world, step).await;
    assert_eq!((found.len(), &found[0]["deployment_id"]), (1, &step.into()), "{found:?}");
    for key in ["per_day", "per_30_days", "per_30_days_low", "per_30_days_high"] {
        let [own, told] = [&found[0], &api].map(|answer| decimal(answer[key].as_str().unwrap()));
        assert_eq!(own, told, "{key}: {found:?}");
    }
    let measuring = objects(&pool, &["--finding", "measuring"]).await;
    assert_eq!((measuring.len(), &measuring[0]["per_30_days"]), (1, &Value::Null), "{measuring:?}");
    // One word for it in the command, the API and the file: the phase says that nothing is told yet.
    let told = told_by_api(&world, newest).await;
    let csv = world.finance().await.get("/deployments.csv?finding=measuring").await.body;
    for (key, name, word) in [("phase", "Phase", "measuring"), ("finding", "Finding", "cannot-tell")] {
        assert_eq!((&measuring[0][key], &told[key]), (&word.into(), &word.into()), "{measuring:?} {told}");
        assert_eq!(column(&csv, name), [word], "{csv}");
    }
    assert_eq!(measuring[0]["environment"], told["environment"], "{measuring:?}");
    let none = printed(&pool, &["--finding", "decrease"]).await;
    assert_eq!(none, "No deployment has an answer with the finding decrease.\n");

    // What is deployed to no service has no answer, which is no error.
    let id = of_nothing.to_string();
    let nothing = printed(&pool, &[&id]).await;
    assert!(nothing.starts_with(&format!("Nothing is said of deployment {id}: ")), "{nothing}");
    assert_eq!(printed(&pool, &[&id, "--json"]).await, "");
    let fail = "UPDATE deployment SET status = 'failed' WHERE deployment_id = $1";
    sqlx::query(fail).bind(of_nothing).execute(&pool).await.unwrap();
    assert_eq!(printed(&pool, &[&id]).await, format!("Deployment {id} did not go live: nothing to compare.\n"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_cannot_be_told_ends_with_a_sentence_and_an_exit_code(pool: PgPool) {
    for (arguments, code, sentence) in [
        (&["999999"][..], 1, "There is no deployment 999999. `costwake impact` lists the newest."),
        (&["999999", "--json"][..], 1, "There is no deployment 999999."),
        (&["--finding", "dear"][..], 1, "--finding dear is not known. Allowed: increase, decrease, no-material-change"),
        (&["1", "--finding", "increase"][..], 2, "cannot be used with"),
        (&["v1.2"][..], 2, "invalid value 'v1.2'"),
    ] {
        let output = impact(&pool, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}: a reader of JSON gets none of it");
    }
    let elsewhere = run("nowhere", &[]).await;
    assert_eq!(elsewhere.status.code(), Some(1), "{}", said(&elsewhere));
    assert!(said(&elsewhere).contains("DATABASE_URL"), "{}", said(&elsewhere));
}
