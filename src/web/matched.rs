//! How a deployment or an operational event came to its services and environment, as its page says it, and pinning that.

use crate::store::pins::Matching;
use askama::Template;

/// What the rule that each installation begins with says of itself, though it places operational events as well.
const FIRST_RULE_NOTE: &str = "A deployment that names its environment belongs to it.";
/// The same of both.
const FIRST_RULE_NOTE_OF_BOTH: &str = "What names its environment belongs to it.";

/// A rule as the page names it: what it decided, its page, and what it says of itself.
pub struct RuleRow {
    pub what: &'static str,
    pub href: String,
    pub note: String,
}

pub fn rows(matching: &Matching) -> Vec<RuleRow> {
    let row = |what, id: Option<i64>, note: &Option<String>| {
        id.map(|id| RuleRow {
            what,
            href: if note.is_some() { format!("/rules/{id}/history") } else { String::new() },
            note: match note.as_deref() {
                Some("") => format!("rule {id}"),
                Some(FIRST_RULE_NOTE) => FIRST_RULE_NOTE_OF_BOTH.to_owned(),
                Some(note) => note.to_owned(),
                None => format!("rule {id}, which is gone by now"),
            },
        })
    };
    let service = row("Service", matching.service_rule_id, &matching.service_rule_note);
    let environment = row("Environment", matching.environment_rule_id, &matching.environment_rule_note);
    service.into_iter().chain(environment).collect()
}

/// `Pinned by ann on 3 Mar 2026`; nothing where nobody did.
pub fn pinned(matching: &Matching) -> Option<String> {
    let (by, at) = (matching.pinned_by.as_deref()?, matching.pinned_at?);
    Some(format!("Pinned by {by} on {}", at.format("%-d %b %Y")))
}

/// What its sender told beside names, `stage: Deploy`: rules can look at each, as `pipeline`, `path` or a tag.
fn told(attributes: &serde_json::Value) -> Vec<String> {
    let pairs = attributes.as_object().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.map(|(key, value)| format!("{key}: {}", text(value))).collect()
}

/// The part of a page that says it. Written into a template as it is.
#[derive(Template)]
#[template(path = "partials/matched.html")]
pub struct MatchSection {
    /// The address of the page: pinning is posted below it.
    path: String,
    /// Who decided.
    decided: String,
    is_pinned: bool,
    service_raw: Vec<String>,
    environment_raw: Option<String>,
    told: Vec<String>,
    rules: Vec<RuleRow>,
    /// Why no service has it; empty where one has.
    lacks: String,
    can_pin: bool,
    /// There is a match to pin as it is.
    can_keep: bool,
    /// Where it may be pinned to; none where only its present match may be.
    places: Option<PinPlaces>,
}

impl askama::filters::HtmlSafe for MatchSection {}

/// The names that the form of a pin offers, and those that are chosen: short names, each with its name.
pub struct PinPlaces {
    pub services: Vec<(String, String)>,
    /// None where it has none, or several.
    pub service: String,
    /// Those that it has stay unless one is chosen.
    pub has_several: bool,
    pub environments: Vec<(String, String)>,
    pub environment: String,
    /// What it is in where none is chosen: `any environment`.
    pub no_environment: &'static str,
    /// The form of a rule that would map all of its kind; empty where it has a service.
    pub rule_href: String,
}

impl MatchSection {
    /// Of what stands at this address, with what its sender told.
    pub fn new(
        path: String,
        matching: &Matching,
        service_raw: &[String],
        environment_raw: Option<&str>,
        attributes: &serde_json::Value,
    ) -> Self {
        let by = pinned(matching);
        Self {
            path,
            is_pinned: by.is_some(),
            decided: match by {
                Some(by) => format!("{by}: rules do not move it"),
                None => "Rules decide, and move it when they change".into(),
            },
            service_raw: service_raw.to_vec(),
            environment_raw: environment_raw.map(str::to_owned),
            told: told(attributes),
            rules: rows(matching),
            lacks: String::new(),
            can_pin: false,
            can_keep: false,
            places: None,
        }
    }

    /// The same of what no service has, for this reason.
    pub fn lacking(self, lacks: String) -> Self {
        Self { lacks, ..self }
    }

    /// The same for somebody who may pin it: as it is where it `can_keep` its match, and to one of these places.
    pub fn pinnable(self, can_keep: bool, places: Option<PinPlaces>) -> Self {
        Self { can_pin: true, can_keep, places, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_gone_is_still_named() {
        let matching = Matching {
            service_rule_id: Some(3),
            environment_rule_id: Some(4),
            environment_rule_note: Some(String::new()),
            ..Matching::default()
        };
        let rows: Vec<(String, String)> = rows(&matching).into_iter().map(|row| (row.href, row.note)).collect();
        let expected = [("", "rule 3, which is gone by now"), ("/rules/4/history", "rule 4")];
        assert_eq!(rows, expected.map(|(href, note)| (href.to_owned(), note.to_owned())));
        assert_eq!(pinned(&matching), None);
    }

    #[test]
    fn the_first_rule_speaks_of_events_too() {
        let note = Some(FIRST_RULE_NOTE.to_owned());
        let matching = Matching { environment_rule_id: Some(1), environment_rule_note: note, ..Matching::default() };
        assert_eq!(rows(&matching)[0].note, FIRST_RULE_NOTE_OF_BOTH);
    }
}
