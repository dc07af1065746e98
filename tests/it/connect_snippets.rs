//! The snippets of `docs/connect`, run as they stand there against a running server.

use crate::support::{self, TestApp};
use costwake::rollup::events::read_new;
use costwake::store::Role;
use costwake::store::event_sources;
use costwake::store::seal::Key;
use costwake::store::tokens::TokenScope;
use costwake::web::server::{self, Limits};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::path::PathBuf;
use std::process::Output;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The service on an address of its own, with a token for sending.
pub struct Server {
    /// The service.
    pub app: TestApp,
    address: String,
    token: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// The service as it starts.
    pub async fn new(pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        let app = support::app_with(pool.clone(), support::config(&["--key-file", key_file.to_str().unwrap()])).await;
        let token = app.token(TokenScope::Ingest, Role::Viewer).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = app.state.draining.clone().cancelled_owned();
        tokio::spawn(server::serve_with(app.state.clone(), listener, stop, Limits::default()));
        Self { app, address, token, folder }
    }

    /// Adds an event source.
    pub async fn add_source(&self, name: &str, kind: &str, secret: &str) {
        let key = Key::load_or_create(&self.folder.path().join("key")).unwrap();
        let mut conn = self.app.state.pools.web.acquire().await.unwrap();
        let created = event_sources::create(&mut conn, &key, name, kind, secret, chrono::Utc::now()).await.unwrap();
        assert!(created.is_some(), "{name}");
    }

    // Runs a script as a CI system does, with nothing but its variables.
    async fn run(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("NO_PROXY", "*");
        command.env("COSTWAKE_URL", &self.address).env("COSTWAKE_TOKEN", &self.token);
        command.envs(variables.iter().copied());
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned();
        assert!(output.status.success(), "{script}\n{said}");
        output
    }

    async fn shown(&self, id: &str) -> Value {
        let token = self.app.token(TokenScope::Read, Role::Viewer).await;
        self.app.api("GET", &format!("/api/v1/deployments/id:{id}"), &token, Value::Null).await.json()
    }
}

fn has(tool: &str) -> bool {
    let found = std::process::Command::new(tool).arg("--version").output().is_ok();
    if !found {
        support::skipped(&format!("{tool} is not there"));
    }
    found
}

/// A page of `docs/connect`.
pub fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/connect").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a language, without the indentation that a list gives them.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != format!("```{language}") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
        found.push(block.iter().map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n"));
    }
    assert!(!found.is_empty(), "no {language} block");
    found
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn curl_as_it_stands(pool: PgPool) {
    if !has("curl") {
        return;
    }
    let server = Server::new(&pool).await;
    for script in blocks(&page("curl.md"), "sh") {
        server.run(&script, &[]).await;
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment WHERE version = '2.14.0'").await, 1);
    read_new(&pool).await.unwrap();
    let job = "SELECT count(*) FROM pipeline_run WHERE name = 'train-ranker' AND finished_at - started_at = interval '90 minutes'";
    assert_eq!(support::count(&pool, job).await, 1);
    let told = server.shown("release-481:checkout:production").await;
    assert_eq!((told["status"].as_str(), told["version"].as_str()), (Some("succeeded"), Some("2.15.0")));
}

// One run deploys two services, and each to staging and production: none takes another's id.
const PLACES: [(&str, &str); 4] =
    [("checkout", "staging"), ("checkout", "production"), ("search", "staging"), ("search", "production")];
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn github_s_step_as_it_stands(pool: PgPool) {
    if !has("curl") {
        return;
    }
    let server = Server::new(&pool).await;
    let yaml = &blocks(&page("github-actions.md"), "yaml")[0];
    let step: Value = serde_saphyr::from_str::<Value>(yaml).unwrap()[0].clone();
    assert_eq!(step["if"], "always()", "what failed or was canceled is told too");
    assert_eq!((&step["env"]["SERVICE"], &step["env"]["ENVIRONMENT"]), (&json!("checkout"), &json!("production")));
    let script = step["run"].as_str().unwrap();
    for (number, (job, status)) in
        [("success", "succeeded"), ("failure", "failed"), ("cancelled", "canceled")].into_iter().enumerate()
    {
        let attempt = number.to_string();
        let status_of_job = chosen(step["env"]["STATUS"].as_str().unwrap(), "job.status", job);
        // A tag is built in the first run, the default branch in the others.
        let (kind, name) = if number == 0 { ("tag", "v3") } else { ("branch", "main") };
        for (service, environment) in PLACES {
            let variables = [
                ("STATUS", status_of_job.as_str()),
                ("SERVICE", service),
                ("ENVIRONMENT", environment),
                ("GITHUB_RUN_ID", "77"),
                ("GITHUB_RUN_ATTEMPT", attempt.as_str()),
                ("GITHUB_REF_NAME", name),
                ("GITHUB_REF_TYPE", kind),
                ("GITHUB_REPOSITORY", "acme/checkout"),
                ("GITHUB_SHA", SHA),
                ("GITHUB_ACTOR", "ada"),
                ("GITHUB_SERVER_URL", "https://github.example.com"),
            ];
            // Sent again, it is the same deployment.
            for _ in 0..2 {
                server.run(script, &variables).await;
            }
            let told = server.shown(&format!("github-77-{attempt}:{service}:{environment}")).await;
            assert_eq!((told["status"].as_str(), told["commits"][0]["sha"].as_str()), (Some(status), Some(SHA)));
            assert_eq!(told["environment_given"], environment);
            assert_eq!(told["version"].as_str(), (kind == "tag").then_some("v3"), "a branch is no version");
            assert_eq!(told["url"], "https://github.example.com/acme/checkout/actions/runs/77");
        }
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 12);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_stage_of_jenkins_as_it_stands(pool: PgPool) {
    if !has("curl") {
        return;
    }
    let server = Server::new(&pool).await;
    let groovy = &blocks(&page("jenkins.md"), "groovy")[0];
    let script = script_of(groovy);
    assert!(script.contains("SERVICE=checkout\n") && script.contains("ENVIRONMENT=production\n"), "{script}");
    for (build, tag, result, status) in [
        ("jenkins-shop-5", None, "FAILURE", "failed"),
        ("jenkins-shop-6", Some("v3"), "SUCCESS", "succeeded"),
        ("jenkins-shop-7", None, "ABORTED", "canceled"),
        ("jenkins-shop-8", None, "UNSTABLE", "failed"),
    ] {
        let (variable, told) = variable_of(groovy, result);
        assert_eq!((variable, told), ("STATUS", status), "{result}");
        for (service, environment) in PLACES {
            let mut variables = vec![
                (variable, told),
                ("BUILD_TAG", build),
                ("BUILD_NUMBER", "5"),
                ("GIT_COMMIT", SHA),
                ("GIT_URL", "https://ci:hidden@git.example.com/acme/shop.git"),
                ("BUILD_URL", "https://ci.example.com/5"),
            ];
            variables.extend(tag.map(|tag| ("TAG_NAME", tag)));
            let script = script
                .replace("SERVICE=checkout", &format!("SERVICE={service}"))
                .replace("ENVIRONMENT=production", &format!("ENVIRONMENT={environment}"));
            server.run(&script, &variables).await;
            let told = server.shown(&format!("{build}:{service}:{environment}")).await;
            assert_eq!((told["version"].as_str(), told["status"].as_str()), (tag, Some(status)));
            assert_eq!((&told["environment_given"], &told["commits"][0]["sha"]), (&json!(environment), &json!(SHA)));
            // By both it knows what shipped.
            assert_eq!((&told["repo"], &told["commits"][0]["repo"]), (&json!("acme/shop"), &json!("acme/shop")));
        }
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 16);
}

/// The shell script of a stage, as Groovy hands it over: within three quotes a backslash continues the line.
fn script_of(groovy: &str) -> String {
    let script = groovy.split("'''").nth(1).unwrap().replace("\\\n", "");
    assert!(!script.contains('\\'), "Groovy takes a backslash for itself: {script}");
    script
}

/// The variable that `withEnv(["NAME=${…}"])` sets where the build has this result. The expression is a chain of
/// `currentBuild.currentResult == 'A' ? 'a' : …`.
fn variable_of<'a>(groovy: &'a str, result: &str) -> (&'a str, &'a str) {
    let list = groovy.split("withEnv([\"").nth(1).unwrap().split("\"])").next().unwrap();
    let (name, expression) = list.split_once("=${").unwrap();
    let mut rest = expression.strip_suffix('}').unwrap();
    let quoted = |text: &'a str| text.trim().strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
    while let Some((condition, branches)) = rest.split_once(" ? ") {
        let (left, right) = condition.split_once(" == ").unwrap();
        assert_eq!(left.trim(), "currentBuild.currentResult");
        let (met, otherwise) = branches.split_once(" : ").unwrap();
        if quoted(right) == result {
            return (name, quoted(met));
        }
        rest = otherwise;
    }
    (name, quoted(rest))
}

// Without Jenkins nobody compiles it: every bracket is closed by its own kind, and every text ends.
#[test]
fn the_stage_of_jenkins_is_whole() {
    let groovy = &blocks(&page("jenkins.md"), "groovy")[0];
    let mut open = Vec::new();
    let mut rest = groovy.as_str();
    while let Some(next) = rest.chars().next() {
        let quotes = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quotes| rest.starts_with(quotes));
        if let Some(quotes) = quotes {
            let (text, after) = rest[quotes.len()..].split_once(quotes).expect("a text ends");
            assert!(quotes.len() == 3 || !text.contains('\n'), "it ends on its line: {text}");
            rest = after;
            continue;
        }
        match next {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => assert_eq!(open.pop(), Some(next), "{rest}"),
            _ => {}
        }
        rest = &rest[next.len_utf8()..];
    }
    assert!(open.is_empty(), "{open:?}");
    for block in ["stage('Deploy') {", "steps {", "post {", "always {", "withCredentials(["] {
        assert!(groovy.contains(block), "{block}");
    }
}

/// What an expression of GitHub, `a == 'x' && 'y' || … || 'z'`, gives where `name` has this value.
fn chosen(expression: &str, name: &str, value: &str) -> String {
    let inner = expression.trim().strip_prefix("${{").unwrap().strip_suffix("}}").unwrap();
    let quoted = |text: &str| text.trim().trim_matches('\'').to_owned();
    let found = inner.split("||").find_map(|part| match part.split_once("&&") {
        Some((condition, result)) => {
            let (left, right) = condition.split_once("==").unwrap();
            assert_eq!(left.trim(), name);
            (quoted(right) == value).then(|| quoted(result))
        }
        None => Some(quoted(part)),
    });
    found.unwrap()
}

/// Whether one of a job's rules, each `$A == $B`, lets it run. A job without rules always runs.
fn runs(job: &Value, variables: &[(&str, &str)]) -> bool {
    let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(rules) = job["rules"].as_array() else { return true };
    rules.iter().any(|rule| {
        assert_eq!(rule.as_object().unwrap().len(), 1, "{rule}");
        let (left, right) = rule["if"].as_str().unwrap().split_once("==").unwrap();
        value(left.trim().trim_start_matches('$')) == value(right.trim().trim_start_matches('$'))
    })
}

// GitLab's job tells what it deployed from the default branch, however it ended, and nothing of other branches and tags.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn gitlab_s_job_as_it_stands(pool: PgPool) {
    if !has("curl") {
        return;
    }
    let yaml = &blocks(&page("gitlab-ci.md"), "yaml")[0];
    let job = serde_saphyr::from_str::<Value>(yaml).unwrap()["deploy"].clone();
    let of_branch = |branch: &'static str| [("CI_DEFAULT_BRANCH", "main"), ("CI_COMMIT_BRANCH", branch)];
    assert!(runs(&job, &of_branch("main")));
    assert!(!runs(&job, &of_branch("try-something")));
    let of_tag = [("CI_DEFAULT_BRANCH", "main"), ("CI_COMMIT_TAG", "v4")];
    assert!(!runs(&job, &of_tag) && !runs(&job, &[("CI_DEFAULT_BRANCH", "main")]));
    let server = Server::new(&pool).await;
    let script = job["after_script"][0].as_str().unwrap();
    assert_eq!(job["variables"]["SERVICE"], "checkout");
    for (id, (ended, status)) in
        [("success", "succeeded"), ("failed", "failed"), ("canceled", "canceled")].into_iter().enumerate()
    {
        let id = id.to_string();
        // One job that tells of two services.
        for service in ["checkout", "search"] {
            let variables = [
                ("CI_JOB_STATUS", ended),
                ("CI_JOB_ID", id.as_str()),
                ("SERVICE", service),
                ("CI_ENVIRONMENT_NAME", job["environment"]["name"].as_str().unwrap()),
                ("CI_COMMIT_SHORT_SHA", &SHA[..8]),
                ("CI_PROJECT_PATH", "acme/checkout"),
                ("CI_COMMIT_SHA", SHA),
                ("CI_JOB_STARTED_AT", "2026-03-01T10:00:00Z"),
                ("GITLAB_USER_LOGIN", "ada"),
                ("CI_JOB_URL", "https://gitlab.example.com/acme/checkout/-/jobs/12"),
            ];
            server.run(script, &variables).await;
            let told = server.shown(&format!("gitlab-{id}:{service}:production")).await;
            assert_eq!((told["status"].as_str(), told["version"].as_str()), (Some(status), Some("01234567")));
            assert_eq!(
                (told["started_at"].as_str(), &told["environment"]["slug"]),
                (Some("2026-03-01T10:00:00Z"), &json!("production"))
            );
        }
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn octopus_as_it_stands(pool: PgPool) {
    if !has("curl") {
        return;
    }
    let server = Server::new(&pool).await;
    // The function that Octopus gives to Bash scripts.
    let prelude = r#"get_octopusvariable() {
        case "$1" in
            Costwake.Url) echo "$COSTWAKE_URL" ;;
            Costwake.Token) echo "$COSTWAKE_TOKEN" ;;
            Octopus.Deployment.Error) echo "$ERROR" ;;
            Octopus.Deployment.Id) echo "Deployments-9$ERROR" ;;
            Octopus.Project.Name) echo "checkout" ;;
            Octopus.Environment.Name) echo "production" ;;
            Octopus.Release.Number) echo "1.2.3" ;;
            Octopus.Deployment.CreatedBy.Username) echo "ada" ;;
            *) exit 1 ;;
        esac
    }"#;
    let script = format!("{prelude}\n{}", blocks(&page("octopus.md"), "sh")[0]);
    for (error, status) in [("", "succeeded"), ("x", "failed")] {
        server.run(&script, &[("ERROR", error)]).await;
        let told = server.shown(&format!("octopus-Deployments-9{error}:checkout:production")).await;
        assert_eq!((told["version"].as_str(), told["actor"].as_str()), (Some("1.2.3"), Some("ada")));
        assert_eq!(told["status"], status);
    }
}

// Spinnaker's stage, filled in as its expressions are, is a deployment; what its headers say lets it in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_stage_of_spinnaker_as_it_stands(pool: PgPool) {
    let server = Server::new(&pool).await;
    let mut text = blocks(&page("spinnaker.md"), "json")[0].clone();
    for (expression, value) in [
        ("parameters.costwake_token", server.token.as_str()),
        ("execution.id", "01H"),
        ("execution.application", "checkout"),
        ("execution.name", "Deploy"),
        ("trigger.buildInfo.number", "77"),
        ("execution.authentication.user", "ada"),
    ] {
        text = text.replace(&format!("${{{expression}}}"), value);
    }
    assert!(!text.contains("${"), "{text}");
    let stage: Value = serde_json::from_str(&text).unwrap();
    let path = stage["url"].as_str().unwrap().strip_prefix("https://costs.example.com").unwrap();
    let mut request = server.app.request(axum::http::Method::POST, path);
    for (name, values) in stage["customHeaders"].as_object().unwrap() {
        request = request.header(name.as_str(), values[0].as_str().unwrap());
    }
    let told = server.app.send(request.body(stage["payload"].to_string().into()).unwrap()).await;
    assert_eq!(told.status, axum::http::StatusCode::CREATED, "{}", told.body);
    let told = server.shown("spinnaker-01H:checkout:production").await;
    assert_eq!((told["version"].as_str(), told["status"].as_str()), (Some("77"), Some("succeeded")));
    // The body of its listener is what the adapter reads: the address is that of a source of its own kind.
    let listener = &blocks(&page("spinnaker.md"), "yaml")[0];
    assert!(listener.contains("/webhooks/spinnaker/") && listener.contains("Authorization: Bearer"), "{listener}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_page_of_bitbucket_s_api_as_it_stands(pool: PgPool) {
    if !has("curl") || !has("openssl") {
        return;
    }
    let server = Server::new(&pool).await;
    server.add_source("shop", "bitbucket", "s3cret-of-shop").await;
    // What the API answers, from a folder: curl reads it like an address.
    let listed = json!({"pagelen": 100, "values": [{"type": "deployment", "uuid": "{1}", "environment": {"name": "Production"},
        "release": {"name": "#7", "url": "https://bitbucket.org/acme/shop/addon/x",
            "commit": {"hash": "a".repeat(40), "links": {"html": {"href": "https://bitbucket.org/acme/shop/commits/a"}}}},
        "state": {"name": "COMPLETED", "started_on": "2026-03-01T10:00:00Z", "completed_on": "2026-03-01T10:01:00Z"}}]});
    let api = axum::Router::new().fallback(move || {
        let listed = listed.clone();
        async move { axum::Json(listed) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, api).await });
    let script = &blocks(&page("bitbucket.md"), "sh")[0];
    let webhook = format!("{}/webhooks/bitbucket/shop", server.address);
    let variables = [
        ("BITBUCKET_API", address.as_str()),
        ("BITBUCKET_TOKEN", "x"),
        ("WORKSPACE", "acme"),
        ("REPOSITORY", "shop"),
        ("SECRET", "s3cret-of-shop"),
        ("WEBHOOK", &webhook),
    ];
    for _ in 0..2 {
        server.run(script, &variables).await;
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    let told: (String, String) =
        sqlx::query_as("SELECT repo, environment_raw FROM deployment").fetch_one(&pool).await.unwrap();
    assert_eq!(told, ("acme/shop".to_owned(), "Production".to_owned()));
}
