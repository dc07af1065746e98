//! What else happens around deployments: feature flags of LaunchDarkly, autoscaling of Kubernetes, and the request
//! bodies of Grafana's annotations and Honeycomb's markers, which every CI system has a snippet for.

use super::fields::{Fields, joined};
use super::{Event, EventError, EventKind, clean};
use serde_json::Value;
use sha2::{Digest, Sha256};

const MEMBERS_MAX: usize = 200;

/// Reads an entry of LaunchDarkly's audit log.
pub(super) fn read_launchdarkly(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if fields.word("/kind") != "flag" {
        return Ok(vec![fields.ignored("only changes of flags are used")]);
    }
    // `proj/default:env/test:flag/name`; behind a semicolon stand tags of each part.
    let resource = [fields.word("/target/resources/0"), fields.word("/accesses/0/resource")];
    let resource = resource.into_iter().find(|word| !word.is_empty()).unwrap_or_default();
    let untagged = |part: &str| part.split(';').next().and_then(clean::id);
    let part = |name: &str| resource.split(':').find_map(|part| part.strip_prefix(name)).and_then(untagged);
    let flag = part("flag/").or_else(|| fields.name("/name"));
    let flag = flag.ok_or_else(|| EventError::Unfit("the flag's name is missing".into()))?;
    let mut event = Event { kind: EventKind::FeatureFlag, ..Event::default() };
    event.environment = part("env/").filter(|name| name != "*");
    let at = fields.needed_time("/date", &mut event);
    (event.occurred_at, event.finished_at) = (Some(at), Some(at));
    let id = fields.name("/_id");
    let when = at.timestamp_micros().to_string();
    let place = event.environment.clone().unwrap_or_default();
    event.object_key = Some(id.clone().unwrap_or_else(|| joined(&[&flag, &place, &when])));
    event.external_id = id;
    event.status_raw = Some(direction(&fields, &place));
    event.actor = fields.text("/member/email");
    event.title = fields.text("/title").or_else(|| Some(flag.clone()));
    event.url = fields.url("/_links/site/href");
    event.attributes.extend(part("proj/").map(|project| ("project".to_owned(), project)));
    event.flag = Some(flag);
    Ok(vec![event])
}

// The action does not say in which direction: only the sentence, or the two versions, do. A flag that was on and is on
// was changed in another way.
fn direction(fields: &Fields<'_>, environment: &str) -> String {
    let verb = fields.word("/titleVerb");
    let is_on = |version: &str| {
        let version = fields.root.get(version)?;
        let there = version.get("environments").and_then(|all| all.get(environment)).unwrap_or(version);
        there.get("on")?.as_bool()
    };
    match (is_on("previousVersion"), is_on("currentVersion")) {
        (Some(false), Some(true)) => "on".into(),
        (Some(true), Some(false)) => "off".into(),
        _ if verb.contains("turned on") => "on".into(),
        _ if verb.contains("turned off") => "off".into(),
        _ => clean::text(verb).unwrap_or_else(|| "changed".into()),
    }
}

/// Reads events of a cluster as an event exporter posts them, one or several.
pub(super) fn read_kubernetes(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if fields.root.is_array() {
        return fields.read_each("", MEMBERS_MAX, kubernetes);
    }
    kubernetes(&fields).map(|event| vec![event])
}

fn kubernetes(fields: &Fields<'_>) -> Result<Event, EventError> {
    let reason = fields.word("/reason");
    if !matches!(reason, "SuccessfulRescale" | "KEDAScaleTargetActivated" | "KEDAScaleTargetDeactivated") {
        return Ok(
            fields.ignored(&format!("\"{}\" is no change of size", reason.chars().take(100).collect::<String>()))
        );
    }
    let of = fields.at("/involvedObject");
    let mut event = Event { kind: EventKind::Scale, ..Event::default() };
    let id = fields.id("/metadata/uid")?;
    event.object_key = Some(joined(&[&id, &fields.number("/count").unwrap_or(1).to_string()]));
    event.external_id = Some(id);
    let label = ["/labels/app.kubernetes.io~1name", "/labels/app"].iter().find_map(|pointer| of.text(pointer));
    event.services = label.or_else(|| of.text("/name")).into_iter().collect();
    event.status_raw = clean::text(reason);
    let time = ["/lastTimestamp", "/eventTime", "/firstTimestamp"].iter().find(|pointer| fields.has(pointer));
    event.occurred_at = Some(fields.needed_time(time.unwrap_or(&"/lastTimestamp"), &mut event));
    event.title = fields.first_line("/message");
    of.keep("namespace", "/namespace", &mut event);
    of.keep("workload", "/name", &mut event);
    fields.keep("cluster", "/clusterName", &mut event);
    Ok(event)
}

/// Reads the body of a request for an annotation in Grafana.
pub(super) fn read_grafana(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let mut event = Event { kind: EventKind::Marker, ..Event::default() };
    event.title = fields.first_line("/text").or_else(|| fields.text("/what"));
    if event.title.is_none() {
        return Err(EventError::Unfit("text is missing: this is no annotation of Grafana".into()));
    }
    // What is written for Graphite says when, and its tags are one text.
    let time = if fields.has("/time") { "/time" } else { "/when" };
    event.started_at = Some(fields.needed_time(time, &mut event));
    event.finished_at = fields.time("/timeEnd", &mut event).filter(|end| Some(*end) > event.started_at);
    event.occurred_at = event.started_at;
    event.status_raw = Some("annotation".into());
    // Tags are "key:value" or "key=value" by habit, or a list of words.
    let listed = fields.list("/tags").filter_map(|tag| tag.text(""));
    let written = fields.word("/tags").split_whitespace().filter_map(clean::text);
    for tag in listed.chain(written) {
        let pair = tag.split_once(':').or_else(|| tag.split_once('='));
        let (key, value) = pair.map_or((tag.as_str(), "true"), |(key, value)| (key.trim(), value.trim()));
        event.attributes.extend(clean::text(key).zip(clean::text(value)));
    }
    place_by_attributes(&mut event);
    event.external_id = Some(fields.id("/id").unwrap_or_else(|_| fingerprint(&fields, &event)));
    Ok(vec![event])
}

/// Reads the body of a request for a marker in Honeycomb.
pub(super) fn read_honeycomb(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let mut event = Event { kind: EventKind::Marker, ..Event::default() };
    event.title = fields.first_line("/message").or_else(|| fields.text("/type"));
    if event.title.is_none() {
        return Err(EventError::Unfit("message and type are missing: this is no marker of Honeycomb".into()));
    }
    event.started_at = Some(fields.needed_time("/start_time", &mut event));
    event.finished_at = fields.time("/end_time", &mut event).filter(|end| Some(*end) > event.started_at);
    event.occurred_at = event.started_at;
    event.status_raw = fields.text("/type").or_else(|| Some("marker".into()));
    event.url = fields.url("/url");
    fields.keep("type", "/type", &mut event);
    fields.keep("service", "/service", &mut event);
    fields.keep("environment", "/environment", &mut event);
    place_by_attributes(&mut event);
    event.external_id = Some(fields.id("/id").unwrap_or_else(|_| fingerprint(&fields, &event)));
    Ok(vec![event])
}

fn place_by_attributes(event: &mut Event) {
    let named = |names: [&str; 3]| names.iter().find_map(|name| event.attributes.get(*name).cloned());
    let service = named(["service", "service.name", "app"]);
    let environment = named(["environment", "env", "deployment.environment.name"]);
    event.services = service.into_iter().collect();
    event.environment = environment;
}

// A marker without an id is the same one where it says the same of the same moment.
fn fingerprint(fields: &Fields<'_>, event: &Event) -> String {
    let mut whole = fields.root.clone();
    if event.time_is_received
        && let Value::Object(members) = &mut whole
    {
        members.insert("received_minute".into(), (fields.received_at.timestamp() / 60).into());
    }
    hex::encode(&Sha256::digest(whole.to_string().as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use serde_json::json;

    fn received() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_annotation_of_a_stretch_with_tags() {
        let body = json!({"dashboardUID": "x", "time": 1772359200000_i64, "timeEnd": 1772359800000_i64,
            "tags": ["load-test", "service:checkout", "env=production"], "text": "Load test\nwith details"});
        let event = read_grafana(Fields::new(&body, received())).unwrap().remove(0);
        assert_eq!(event.title.as_deref(), Some("Load test"));
        assert_eq!((event.services[0].as_str(), event.environment.as_deref()), ("checkout", Some("production")));
        assert_eq!((event.finished_at.unwrap() - event.started_at.unwrap()).num_minutes(), 10);
        assert!(read_grafana(Fields::new(&json!({}), received())).is_err());
    }

    #[test]
    fn an_annotation_as_graphite_writes_it() {
        let told = |tags: Value| {
            let body = json!({"what": "Deploy v3", "tags": tags, "when": 1_772_359_200, "data": "by hand"});
            read_grafana(Fields::new(&body, received())).unwrap().remove(0)
        };
        let event = told(json!("deploy  service:checkout env=production"));
        assert_eq!((event.title.as_deref(), event.services[0].as_str()), (Some("Deploy v3"), "checkout"));
        assert_eq!((event.environment.as_deref(), event.attributes["deploy"].as_str()), (Some("production"), "true"));
        assert_eq!((event.started_at.unwrap().timestamp(), event.time_is_received), (1_772_359_200, false));
        assert_eq!(told(json!(["deploy", "service:checkout", "env=production"])).attributes, event.attributes);
    }

    #[test]
    fn a_marker_in_seconds_and_one_without_a_time() {
        let body =
            json!({"message": "deploy #123", "type": "deploy", "url": "javascript:alert(1)", "start_time": 1772359200});
        let event = read_honeycomb(Fields::new(&body, received())).unwrap().remove(0);
        assert_eq!((event.url, event.started_at.unwrap().timestamp()), (None, 1_772_359_200));
        let event = read_honeycomb(Fields::new(&json!({"type": "deploy"}), received())).unwrap().remove(0);
        assert!(event.time_is_received && event.started_at == Some(received()));
    }

    #[test]
    fn autoscaling_names_the_workload() {
        let body = json!({"metadata": {"uid": "u", "name": "x"}, "reason": "SuccessfulRescale", "count": 3,
            "message": "New size: 5; reason: cpu resource utilization above target", "lastTimestamp": "2026-03-01T10:00:00Z",
            "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": "checkout", "namespace": "shop"}});
        let event = read_kubernetes(Fields::new(&body, received())).unwrap().remove(0);
        assert_eq!((event.kind, event.object_key.as_deref()), (EventKind::Scale, Some("u/3")));
        assert_eq!(event.services, ["checkout"]);
        let other = json!({"metadata": {"uid": "u"}, "reason": "ScalingReplicaSet"});
        assert_eq!(read_kubernetes(Fields::new(&other, received())).unwrap()[0].kind, EventKind::Ignore);
    }

    #[test]
    fn a_flag_s_direction_is_in_its_versions_too() {
        let mut body = json!({"kind": "flag", "name": "x", "date": 1772359200000_i64, "titleVerb": "updated targeting",
            "previousVersion": {"on": false}, "currentVersion": {"on": true}, "_id": "abc"});
        let status =
            |body: &Value| read_launchdarkly(Fields::new(body, received())).unwrap()[0].status_raw.clone().unwrap();
        assert_eq!(status(&body), "on");
        body["previousVersion"]["on"] = json!(true);
        body["currentVersion"]["on"] = json!(false);
        assert_eq!(status(&body), "off");
        body["currentVersion"] = json!(null);
        assert_eq!(status(&body), "updated targeting");
        // Other targets of a flag that stays on.
        (body["previousVersion"], body["currentVersion"]) = (json!({"on": true}), json!({"on": true}));
        assert_eq!(status(&body), "updated targeting");
        // A flag has a state in each environment.
        let states = |test: bool| json!({"environments": {"test": {"on": test}, "production": {"on": true}}});
        body["accesses"] = json!([{"action": "updateOn", "resource": "proj/default:env/test:flag/x"}]);
        (body["previousVersion"], body["currentVersion"]) = (states(false), states(true));
        assert_eq!(status(&body), "on");
        (body["previousVersion"], body["currentVersion"]) = (states(true), states(false));
        assert_eq!(status(&body), "off");
    }

    #[test]
    fn tags_of_a_flag_are_no_part_of_names() {
        let body = json!({"kind": "flag", "titleVerb": "turned on the flag", "_id": "a", "date": 1772359200000_i64,
            "target": {"resources": ["proj/shop;web:env/production;critical:flag/fast-cart;cart,ops"]}});
        let event = read_launchdarkly(Fields::new(&body, received())).unwrap().remove(0);
        assert_eq!((event.environment.as_deref(), event.flag.as_deref()), (Some("production"), Some("fast-cart")));
        assert_eq!((event.attributes["project"].as_str(), event.status_raw.as_deref()), ("shop", Some("on")));
    }
}
