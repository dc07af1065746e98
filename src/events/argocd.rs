//! Argo CD by the notification template that `docs/connect/argocd.md` ships: the body is our own, so nothing is
//! guessed. The revision is that of the GitOps repository and not the service's commit; what runs are the images.

use super::fields::{Fields, joined, status_of};
use super::{Event, EventError, EventKind, Status, clean};
use serde_json::Value;
use std::collections::BTreeSet;

const SCHEMA: &str = "argocd.v1";
const IMAGES_MAX: usize = 1000;
/// Labels that name the service, most exact first.
const SERVICE_LABELS: [&str; 2] = ["/labels/app.kubernetes.io~1name", "/labels/service"];
const ENVIRONMENT_LABELS: [&str; 3] = ["/labels/deployment.environment.name", "/labels/environment", "/labels/env"];

/// Reads one notification.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let schema = fields.word("/schema");
    if schema != SCHEMA {
        return Err(EventError::Unfit(format!(
            "the schema is \"{}\", not \"{SCHEMA}\": use the template that this server shows at /docs/connect/argocd.md",
            schema.chars().take(50).collect::<String>()
        )));
    }
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    let app = fields.text("/app").ok_or_else(|| EventError::Unfit("app is missing".into()))?;
    event.external_id = Some(joined(&[&fields.id("/uid")?, fields.word("/startedAt")]));
    event.services = vec![first_of(&fields, &SERVICE_LABELS).unwrap_or_else(|| app.clone())];
    event.environment = first_of(&fields, &ENVIRONMENT_LABELS);
    let (phase, health) = (fields.word("/phase"), fields.word("/health"));
    let status = match (status_of(phase), health) {
        // The sync went through and what it brought does not run: it did not go live.
        (Status::Succeeded, "Degraded") => Status::Failed,
        (Status::Succeeded, "Progressing") => Status::InProgress,
        (status, _) => status,
    };
    event.status = Some(status);
    event.status_raw = clean::text(&format!("{phase} {health}"));
    // Why a sync failed; what one says that went through is nothing that its status does not say.
    event.title = fields.first_line("/message").filter(|_| status_of(phase) == Status::Failed);
    let images = images(&fields);
    event.version = version(&images, &app, &event.services[0]);
    event.artifact = (!images.is_empty()).then(|| images.join(" "));
    // What runs nothing, an application of applications say, has the same images at each sync: none.
    let runs_nothing = images.is_empty() && status == Status::Succeeded;
    event.deployment_kind = runs_nothing.then(|| "config_sync".to_owned());
    event.started_at = fields.time("/startedAt", &mut event);
    event.finished_at = fields.time("/finishedAt", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = fields.url("/url");
    event.actor = fields.text("/by/username");
    fields.keep_attributes("/labels", &mut event);
    for name in ["app", "project", "namespace", "cluster", "revision", "health"] {
        fields.keep(name, &format!("/{name}"), &mut event);
    }
    if let Some(Value::Array(revisions)) = fields.root.get("revisions")
        && !event.attributes.contains_key("revision")
    {
        let revisions: Vec<&str> = revisions.iter().filter_map(Value::as_str).collect();
        event.attributes.extend(clean::whole(&revisions.join(" ")).map(|text| ("revision".to_owned(), text)));
    }
    let beyond = [("/images", "images"), ("/synced", "synced images")];
    let beyond = beyond.into_iter().filter_map(|(list, what)| fields.beyond(list, what, IMAGES_MAX));
    Ok(std::iter::once(event).chain(beyond).collect())
}

fn first_of(fields: &Fields<'_>, pointers: &[&str]) -> Option<String> {
    pointers.iter().find_map(|pointer| fields.text(pointer))
}

// What runs, by its pods, of which those of the version before may still be ending: of a repository that the sync brought
// an image of, that one counts. A sync may bring a part of an application only, so that it does not tell the others.
fn images(fields: &Fields<'_>) -> Vec<String> {
    let list = |pointer: &str| -> Vec<String> {
        fields.list(pointer).take(IMAGES_MAX).filter_map(|image| image.text("")).collect()
    };
    let (running, synced) = (list("/images"), list("/synced"));
    let [are_running, are_synced] =
        [&running, &synced].map(|all| all.iter().map(|image| repository(image)).collect::<BTreeSet<&str>>());
    let mut images: Vec<String> =
        running.iter().filter(|image| !are_synced.contains(repository(image))).cloned().collect();
    let brought = synced.iter().filter(|image| running.is_empty() || are_running.contains(repository(image)));
    images.extend(brought.cloned());
    images.sort();
    images.dedup();
    images
}

// The tag of the image that is named like the service; of the only one; else all of them.
fn version(images: &[String], app: &str, service: &str) -> Option<String> {
    let is_own = |image: &&String| [app, service].contains(&name_and_tag(image).0);
    match images {
        [] => None,
        [only] => clean::text(name_and_tag(only).1),
        many => match many.iter().find(is_own) {
            Some(own) => clean::text(name_and_tag(own).1),
            None => {
                let all: Vec<String> =
                    many.iter().map(|image| name_and_tag(image)).map(|(name, tag)| format!("{name}:{tag}")).collect();
                clean::text(&all.join(" "))
            }
        },
    }
}

// `registry:5000/team/checkout:1.4@sha256:…` is `checkout` and `1.4`; without a tag the digest stands for it.
fn name_and_tag(image: &str) -> (&str, &str) {
    let (plain, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = plain.rsplit('/').next().unwrap_or(plain);
    match last.split_once(':') {
        Some((name, tag)) => (name, tag),
        None if digest.is_empty() => (last, "latest"),
        None => (last, digest),
    }
}

// `registry:5000/team/checkout:1.4@sha256:…` is `registry:5000/team/checkout`.
fn repository(image: &str) -> &str {
    let (plain, _) = image.split_once('@').unwrap_or((image, ""));
    match plain.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Told, derive};
    use super::*;
    use serde_json::json;

    fn body() -> Value {
        json!({"schema": "argocd.v1", "app": "checkout-eu", "uid": "u1", "project": "shop", "namespace": "checkout",
            "cluster": "https://10.0.0.1", "labels": {"app.kubernetes.io/name": "checkout", "env": "production"},
            "phase": "Succeeded", "health": "Healthy", "revision": "9d0c1f", "revisions": null,
            "images": ["registry:5000/shop/sidecar:2", "registry:5000/shop/checkout:1.4@sha256:00"],
            "startedAt": "2026-03-01T10:00:00Z", "finishedAt": "2026-03-01T10:01:00Z", "by": {"username": "ada"}})
    }

    fn read_one(body: &Value) -> Event {
        read(Fields::new(body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap().remove(0)
    }

    #[test]
    fn what_runs_is_the_image_and_not_the_revision() {
        let event = read_one(&body());
        assert_eq!((event.services.as_slice(), event.version.as_deref()), (&["checkout".to_owned()][..], Some("1.4")));
        assert_eq!((event.environment.as_deref(), event.sha), (Some("production"), None));
        assert_eq!(
            (event.status, event.external_id.as_deref()),
            (Some(Status::Succeeded), Some("u1/2026-03-01T10:00:00Z"))
        );
        assert_eq!(event.attributes["namespace"], "checkout");
    }

    /// Pods of the version before are still ending when the sync is told.
    #[test]
    fn of_two_versions_that_run_the_one_that_the_sync_brought_counts() {
        let of = |running: &[&str], synced: Value| {
            let mut told = body();
            (told["images"], told["synced"]) = (json!(running), synced);
            let event = read_one(&told);
            (event.version.unwrap_or_default(), event.artifact.unwrap_or_default())
        };
        let both = ["r:5000/shop/checkout:1.4", "r:5000/shop/checkout:1.5", "r:5000/shop/sidecar:2"];
        for (tag, other) in [("1.5", "1.4"), ("1.4", "1.5")] {
            let own = format!("r:5000/shop/checkout:{tag}");
            let expected = (tag.to_owned(), format!("{own} r:5000/shop/sidecar:2"));
            assert_eq!(of(&both, json!([own, "r:5000/shop/nightly:7"])), expected);
            // What runs may also be told too early.
            let before = format!("r:5000/shop/checkout:{other}");
            assert_eq!(of(&[before.as_str(), both[2]], json!([own])), expected);
        }
        // One that changed nothing of them, and an Argo CD that does not tell what a sync brought.
        for synced in [json!([]), Value::Null] {
            assert_eq!(of(&both[1..], synced), ("1.5".to_owned(), both[1..].join(" ")));
        }
        // Nothing runs yet.
        assert_eq!(of(&[], json!([both[1]])), ("1.5".to_owned(), both[1].to_owned()));
        for (image, expected) in
            [("a:5/b/c:1", "a:5/b/c"), ("a:5/b/c", "a:5/b/c"), ("c@sha256:0", "c"), ("c:1@sha256:0", "c")]
        {
            assert_eq!(repository(image), expected);
        }
    }

    #[test]
    fn a_sync_that_failed_says_why() {
        let title = |phase: &str, health: &str| {
            let mut told = body();
            told["message"] = json!("one \"object\" failed\nand more");
            (told["phase"], told["health"]) = (json!(phase), json!(health));
            read_one(&told).title
        };
        for phase in ["Failed", "Error"] {
            assert_eq!(title(phase, "Missing").as_deref(), Some("one \"object\" failed"));
        }
        for health in ["Healthy", "Degraded"] {
            assert_eq!(title("Succeeded", health), None);
        }
    }

    #[test]
    fn what_does_not_run_did_not_go_live() {
        let mut degraded = body();
        degraded["health"] = json!("Degraded");
        assert_eq!(read_one(&degraded).status, Some(Status::Failed));
    }

    #[test]
    fn a_sync_of_what_runs_nothing_deploys_nothing() {
        let kind = |images: Value, health: &str| {
            let mut told = body();
            (told["images"], told["health"]) = (images, json!(health));
            read_one(&told).deployment_kind
        };
        for none in [json!([]), json!(null)] {
            assert_eq!(kind(none, "Healthy").as_deref(), Some("config_sync"));
        }
        // Nothing runs yet of what is to run: that may come.
        assert_eq!(kind(json!([]), "Degraded"), None);
        assert_eq!(kind(json!(["shop/checkout:1"]), "Healthy"), None);
    }

    #[test]
    fn a_sync_that_was_ever_healthy_went_live() {
        let told = |health: &str| {
            let mut told = body();
            told["health"] = json!(health);
            Told { event: read_one(&told), received_at: "2026-03-01T12:00:00Z".parse().unwrap() }
        };
        // Degraded at first, or later on, in whatever order it came.
        for order in [["Degraded", "Healthy"], ["Healthy", "Degraded"]] {
            let sync = derive(&order.map(told)).unwrap();
            assert_eq!((sync.status, sync.attempts), (Status::Succeeded, 1), "{order:?}");
            assert_eq!(sync.finished_at, Some("2026-03-01T10:01:00Z".parse().unwrap()));
        }
        assert_eq!(derive(&[told("Degraded")]).unwrap().status, Status::Failed);
    }
}
