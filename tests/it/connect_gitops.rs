//! What Argo CD and Flux send by the snippets of `docs/connect`. The notifications of Argo CD are rendered by what its
//! engine is made of (`tests/connect/argo_render`), and posted as it posts them.

use crate::connect_snippets::{Server, blocks, page};
use crate::support;
use crate::webhooks::minute;
use axum::http::{Method, StatusCode};
use costwake::rollup::events::read_new;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where Debian's packages put sources of Go.
const GO_PATH: &str = "/usr/share/gocode";
const GO_PACKAGES: [(&str, &str); 3] = [
    ("github.com/Masterminds/sprig", "golang-github-masterminds-sprig-dev"),
    ("github.com/antonmedv/expr", "golang-github-antonmedv-expr-dev"),
    ("gopkg.in/yaml.v3", "golang-gopkg-yaml.v3-dev"),
];
const SECRET: &str = "s3cret-of-shop";
/// What the snippets call the service's address.
const EXAMPLE: &str = "https://costs.example.com";

/// The program that renders notifications, built once; or what it lacks.
fn renderer() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_renderer).as_deref().map_err(Clone::clone)
}

fn build_renderer() -> Result<PathBuf, String> {
    if Command::new("go").arg("version").output().is_err() {
        return Err("go is not there (golang-go)".into());
    }
    let lacking = GO_PACKAGES.iter().find(|(path, _)| !Path::new(GO_PATH).join("src").join(path).is_dir());
    if let Some((path, package)) = lacking {
        return Err(format!("{path} is not in {GO_PATH} ({package})"));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("argo_render");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connect/argo_render/main.go");
    let mut command = Command::new("go");
    command.arg("build").arg("-o").arg(&program).arg(source).current_dir(folder);
    command.envs([("GO111MODULE", "off"), ("GOPATH", GO_PATH), ("GOENV", "off"), ("GOTOOLCHAIN", "local")]);
    command.env("GOCACHE", folder.join("go-cache"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", support::said(&output));
    Ok(program)
}

/// Argo CD beside the service: what it sent is not sent again.
struct ArgoCd {
    server: Server,
    renderer: &'static Path,
    /// The ConfigMap, in parts.
    data: Vec<String>,
    sent: BTreeSet<String>,
}

impl ArgoCd {
    /// With the snippets as they stand; nothing, and the reason told, where they cannot be rendered here.
    async fn new(pool: &PgPool) -> Option<Self> {
        let renderer = match renderer() {
            Ok(renderer) => renderer,
            Err(lacks) => {
                support::skipped(&format!("the template of Argo CD, because {lacks}"));
                return None;
            }
        };
        let server = Server::new(pool).await;
        server.add_source("shop", "argocd", SECRET).await;
        Some(Self { server, renderer, data: blocks(&page("argocd.md"), "yaml"), sent: BTreeSet::new() })
    }

    /// What the controller would send of an Application now.
    fn requests(&self, app: &Value) -> Vec<Value> {
        let input = json!({"data": self.data, "secrets": {"costwake-token": SECRET}, "app": app});
        let mut command = Command::new(self.renderer);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "the controller logs {errors} of {app}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Lets the controller see an Application; what it sends is taken. Gives the bodies.
    async fn sees(&mut self, app: &Value) -> Vec<Value> {
        let mut bodies = Vec::new();
        for request in self.requests(app) {
            if !self.sent.insert(request["state"].as_str().unwrap().to_owned()) {
                continue;
            }
            assert_eq!(request["method"], "POST");
            let text = request["body"].as_str().unwrap();
            bodies.push(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")));
            let path = request["url"].as_str().unwrap().strip_prefix(EXAMPLE).unwrap();
            let mut sent = self.server.app.request(Method::POST, path);
            for (name, value) in request["headers"].as_object().unwrap() {
                sent = sent.header(name.as_str(), value.as_str().unwrap());
            }
            let answer = self.server.app.send(sent.body(text.to_owned().into()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        }
        bodies
    }
}

/// An Application whose last sync began then and took a minute, as the cluster holds it.
fn application(phase: &str, health: &str, version: &str, at: i64) -> Value {
    let image = format!("registry:5000/shop/checkout:{version}");
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "checkout-eu", "namespace": "argocd", "uid": "u-1", "labels": {
            "app.kubernetes.io/name": "checkout", "env": "production"}},
        "spec": {"project": "shop", "destination": {"namespace": "checkout", "server": "https://kubernetes.default.svc"},
            "source": {"repoURL": "https://git.example.com/acme/deploy.git", "path": "checkout", "targetRevision": "HEAD"}},
        "status": {
            "health": {"status": health}, "sync": {"status": "Synced", "revision": "9d0c1f"},
            "summary": {"images": [image, "registry:5000/shop/sidecar:2"]},
            "operationState": {"phase": phase, "message": "successfully synced (all tasks run)",
                "startedAt": minute(at), "finishedAt": minute(at + 1),
                "operation": {"initiatedBy": {"username": "ada"}, "sync": {"revision": "9d0c1f"}},
                "syncResult": {"revision": "9d0c1f", "source": {}, "resources": [
                    {"kind": "Service", "name": "checkout", "status": "Synced", "message": "service/checkout unchanged"},
                    {"kind": "Deployment", "name": "checkout", "status": "Synced", "images": [image]}]}}}})
}

async fn deployments(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', s.slug, coalesce(e.slug, 'nowhere'), coalesce(d.version, 'of no version'), d.status, d.kind,
             to_char(d.finished_at AT TIME ZONE 'UTC', 'MI'), d.title)
         FROM deployment d JOIN deployment_service ds USING (deployment_id) JOIN service s USING (service_id)
         LEFT JOIN environment e ON e.environment_id = d.environment_id ORDER BY d.finished_at, d.deployment_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_sync_of_argo_cd_is_told_as_it_went(pool: PgPool) {
    let Some(mut argo) = ArgoCd::new(&pool).await else { return };
    let first = application("Succeeded", "Healthy", "1.4", 0);
    assert_eq!(argo.sees(&first).await.len(), 1);
    assert!(argo.sees(&first).await.is_empty(), "each time the controller looks it is the same sync");

    // Under way it is not told. Pods of the version before are still ending once it is healthy.
    assert!(argo.sees(&application("Running", "Progressing", "1.5", 10)).await.is_empty());
    assert!(argo.sees(&application("Succeeded", "Progressing", "1.5", 10)).await.is_empty());
    let mut next = application("Succeeded", "Healthy", "1.5", 10);
    let images = next["status"]["summary"]["images"].as_array_mut().unwrap();
    images.insert(0, json!("registry:5000/shop/checkout:1.4"));
    assert_eq!(argo.sees(&next).await.len(), 1);

    // A sync that fails is told once, whatever runs meanwhile, and says why.
    let mut failed = application("Failed", "Missing", "1.6", 20);
    failed["status"]["summary"] = json!({});
    failed["status"]["operationState"]["message"] =
        json!("one \"object\" failed: {\\} </script>\nDeployment \"checkout\" is invalid\u{2028}");
    assert_eq!(argo.sees(&failed).await.len(), 1);
    failed["status"]["health"]["status"] = json!("Degraded");
    assert!(argo.sees(&failed).await.is_empty());

    // Back to the version before the last one that was live.
    assert_eq!(argo.sees(&application("Succeeded", "Healthy", "1.4", 30)).await.len(), 1);
    // Nothing but its configuration.
    let mut configuration = application("Succeeded", "Healthy", "1.4", 40);
    configuration["status"]["operationState"]["syncResult"]["resources"] =
        json!([{"kind": "ConfigMap", "name": "checkout", "status": "Synced"}]);
    assert_eq!(argo.sees(&configuration).await.len(), 1);

    // Degraded at first, and later on.
    for health in ["Degraded", "Healthy", "Degraded"] {
        argo.sees(&application("Succeeded", health, "1.7", 50)).await;
    }
    assert_eq!(argo.sent.len(), 7, "{:?}", argo.sent);
    assert_eq!(read_new(&pool).await.unwrap().done, 7);
    assert_eq!(
        deployments(&pool).await,
        [
            "checkout production 1.4 succeeded deploy 01",
            "checkout production 1.5 succeeded deploy 11",
            "checkout production 1.6 failed deploy 21 one \"object\" failed: {\\} </script>",
            "checkout production 1.4 succeeded rollback 31",
            "checkout production 1.4 succeeded config_sync 41",
            "checkout production 1.7 succeeded deploy 51",
        ]
    );
    let told: (String, String, Value) =
        sqlx::query_as("SELECT DISTINCT url, actor, attributes - 'health' FROM deployment WHERE status = 'succeeded'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(told.0, "https://argocd.example.com/applications/argocd/checkout-eu");
    assert_eq!(told.1, "ada");
    let attributes = json!({"app": "checkout-eu", "project": "shop", "namespace": "checkout", "revision": "9d0c1f",
        "cluster": "https://kubernetes.default.svc", "app.kubernetes.io/name": "checkout", "env": "production"});
    assert_eq!(told.2, attributes);
}

/// What an Application need not have, and what names may hold.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_an_application_of_argo_cd_lacks_is_told_as_nothing(pool: PgPool) {
    let Some(mut argo) = ArgoCd::new(&pool).await else { return };
    // It was never synced, has no status yet, or nobody knows yet how it is.
    let mut never = application("Succeeded", "Healthy", "1.4", 0);
    never["status"] = json!({"health": {}, "sync": {"status": "OutOfSync"}});
    let mut new = never.clone();
    new.as_object_mut().unwrap().remove("status");
    let mut unknown = application("Succeeded", "Healthy", "1.4", 0);
    unknown["status"]["health"] = json!({});
    for app in [&never, &new, &unknown] {
        assert!(argo.sees(app).await.is_empty(), "{app}");
    }
    // Of several sources, by itself, to a cluster by name, from an Argo CD that does not tell what a sync brought.
    let mut several = application("Succeeded", "Healthy", "1.4", 0);
    several["metadata"]["uid"] = json!("u-2");
    several["spec"]["destination"] = json!({"namespace": "checkout", "name": "eu \"1\" \\ <west>\nspare"});
    several["status"]["operationState"]["operation"] = json!({"initiatedBy": {"automated": true}});
    several["status"]["operationState"]["syncResult"] =
        json!({"revision": "", "revisions": ["9d0c1f", "0.3.13"], "source": {}, "resources": [{"kind": "Deployment"}]});
    let body = argo.sees(&several).await.remove(0);
    assert_eq!((&body["synced"], &body["by"]), (&json!([]), &json!({"automated": true})));
    // It ended before anything of it was known.
    let mut bare = application("Error", "Unknown", "1.4", 10);
    bare["metadata"] = json!({"name": "prices", "namespace": "argocd", "uid": "u-3"});
    bare["spec"] = json!({"project": "default", "destination": {"server": "https://10.0.0.1"}});
    bare["status"]["summary"] = json!({});
    let operation = bare["status"]["operationState"].as_object_mut().unwrap();
    operation.retain(|name, _| ["phase", "startedAt", "finishedAt"].contains(&name.as_str()));
    // Nobody said where people open Argo CD.
    argo.data[0] = argo.data[0].replace("argocdUrl: https://argocd.example.com", "environmentName: eu");
    let body = argo.sees(&bare).await.remove(0);
    for name in ["namespace", "labels", "message", "revision", "revisions", "images", "by", "url"] {
        assert_eq!(body[name], Value::Null, "{name}");
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 2);
    assert_eq!(
        deployments(&pool).await,
        ["checkout production 1.4 succeeded deploy 01", "prices nowhere of no version failed deploy 11"]
    );
    let told: Vec<(Option<String>, Value)> =
        sqlx::query_as("SELECT actor, attributes FROM deployment ORDER BY finished_at").fetch_all(&pool).await.unwrap();
    assert_eq!(told[0].0, None);
    assert_eq!(told[0].1["revision"], "9d0c1f 0.3.13");
    let cluster = told[0].1["cluster"].as_str().unwrap();
    assert!(cluster.starts_with("eu \"1\" \\ <west>") && cluster.ends_with("spare"), "{cluster}");
    assert!(told[1].1.get("revision").is_none(), "{}", told[1].1);
}

/// Argo CD compiles all triggers of its ConfigMap, and with one that it cannot read it sends nothing at all: older ones
/// do not know `?.`, and what is rendered here may be newer.
#[test]
fn the_triggers_of_argo_cd_are_in_words_that_each_version_knows() {
    let parts: Vec<Value> = blocks(&page("argocd.md"), "yaml").iter().map(|part| yaml(part)).collect();
    let triggers = yaml(parts[0]["trigger.costwake-deployment"].as_str().unwrap());
    for condition in triggers.as_array().unwrap() {
        for expression in ["when", "oncePer"] {
            let text = condition[expression].as_str().unwrap();
            assert!(!text.contains("?.") && !text.contains("??"), "{text}");
        }
        assert_eq!(condition["send"], json!(["costwake-deployment"]));
    }
    let subscriptions = yaml(parts[1]["subscriptions"].as_str().unwrap());
    assert_eq!(subscriptions, json!([{"recipients": ["costwake"], "triggers": ["costwake-deployment"]}]));
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The fields of a Provider's and an Alert's `spec` in notification.toolkit.fluxcd.io/v1beta3.
const PROVIDER: [&str; 13] = [
    "type",
    "interval",
    "channel",
    "username",
    "address",
    "timeout",
    "proxy",
    "proxySecretRef",
    "secretRef",
    "certSecretRef",
    "serviceAccountName",
    "commitStatusExpr",
    "suspend",
];
const ALERT: [&str; 8] = [
    "providerRef",
    "eventSeverity",
    "eventSources",
    "eventMetadata",
    "inclusionList",
    "exclusionList",
    "summary",
    "suspend",
];
const EVENT_SOURCE: [&str; 5] = ["apiVersion", "kind", "name", "namespace", "matchLabels"];

fn has_only(object: &Value, fields: &[&str]) {
    for name in object.as_object().unwrap().keys() {
        assert!(fields.contains(&name.as_str()), "{name} in {object}");
    }
}

/// Flux's objects as they stand: what they select is told, signed with the Secret's `token`, and lands where it should.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_provider_and_alert_of_flux_as_they_stand(pool: PgPool) {
    let documents = blocks(&page("flux.md"), "yaml").remove(0);
    let objects: BTreeMap<String, Value> = documents
        .split("\n---\n")
        .map(yaml)
        .map(|object| (object["kind"].as_str().unwrap().to_owned(), object))
        .collect();
    let (provider, alert) = (&objects["Provider"], &objects["Alert"]);
    for object in [provider, alert] {
        assert_eq!(object["apiVersion"], "notification.toolkit.fluxcd.io/v1beta3");
        assert_eq!(object["metadata"], json!({"name": "costwake", "namespace": "flux-system"}));
    }
    has_only(&provider["spec"], &PROVIDER);
    has_only(&alert["spec"], &ALERT);
    assert_eq!((&provider["spec"]["type"], &alert["spec"]["eventSeverity"]), (&json!("generic-hmac"), &json!("info")));
    assert_eq!(alert["spec"]["providerRef"], json!({"name": "costwake"}));
    assert_eq!(provider["spec"]["secretRef"], json!({"name": "costwake"}));
    let command = blocks(&page("flux.md"), "sh").remove(0);
    assert!(
        command.contains("--namespace flux-system create secret generic costwake --from-literal=token="),
        "{command}"
    );

    let server = Server::new(&pool).await;
    server.add_source("shop", "flux", SECRET).await;
    let path = provider["spec"]["address"].as_str().unwrap().strip_prefix(EXAMPLE).unwrap();
    for (number, source) in alert["spec"]["eventSources"].as_array().unwrap().iter().enumerate() {
        has_only(source, &EVENT_SOURCE);
        assert_eq!(source["name"], "*");
        let (kind, namespace) =
            (source["kind"].as_str().unwrap(), source["namespace"].as_str().unwrap_or("flux-system"));
        let body = flux_event(kind, namespace, &alert["spec"]["eventMetadata"], number as i64);
        let post = async |secret: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
            let request = server.app.request(Method::POST, path).header("X-Signature", signature);
            let request =
                request.header("Content-Type", "application/json").header("Gotk-Component", "kustomize-controller");
            server.app.send(request.body(body.clone().into()).unwrap()).await.status
        };
        assert_eq!(post("another").await, StatusCode::UNAUTHORIZED);
        assert_eq!(post(SECRET).await, StatusCode::ACCEPTED);
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 4);
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', s.slug, e.slug, coalesce(d.version, left(d.sha, 7)), d.status, d.attributes ->> 'namespace')
         FROM deployment d JOIN deployment_service ds USING (deployment_id) JOIN service s USING (service_id)
         JOIN environment e ON e.environment_id = d.environment_id ORDER BY d.finished_at",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        told,
        [
            "checkout production 731f7ea succeeded flux-system",
            "checkout production 6.5.1 succeeded flux-system",
            "checkout production 731f7ea succeeded shop",
            "checkout production 6.5.1 succeeded shop",
        ]
    );
}

// The bytes that the notification-controller writes: Go escapes signs of HTML, and the metadata has lost the prefix of the
// object's group. What the Alert adds stands beside it.
fn flux_event(kind: &str, namespace: &str, more: &Value, at: i64) -> String {
    let (group, reason, revision) = match kind {
        "Kustomization" => {
            ("kustomize", "ReconciliationSucceeded", "main@sha1:731f7eaddfb6af01cb2173e18f0f75b0ba780ef1")
        }
        _ => ("helm", "UpgradeSucceeded", "6.5.1"),
    };
    let mut metadata = json!({"revision": revision});
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let event = json!({
        "involvedObject": {"kind": kind, "namespace": namespace, "name": "checkout", "uid": format!("u-{kind}-{namespace}"),
            "apiVersion": format!("{group}.toolkit.fluxcd.io/v1"), "resourceVersion": "7"},
        "severity": "info", "timestamp": minute(at), "message": "Reconciliation finished <in 1s>, next run in 10m0s",
        "reason": reason, "metadata": metadata, "reportingController": format!("{group}-controller"),
        "reportingInstance": format!("{group}-controller-5d4f"),
    });
    event.to_string().replace('<', "\\u003c").replace('>', "\\u003e")
}
