//! Mapping rules as the oracle sees them: the first rule that names a service, or an environment, decides.

use super::{Line, NOBODY, Oracle};
use serde_json::{Value, json};

/// A rule that comes and goes, before or after the one that is always there: the tag "service" names the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Gives the service "shop" to "search".
    Shop,
    /// Gives all that has the tag "lane" to "billing". Keys carry that tag only since a rule looks at it.
    Lane,
    /// Gives the machine "vm-green" to "search" on some days. Keys carry its name only since a rule looks at it.
    Machine,
    /// The tag "lane" names the environment, and adds it to the catalogue.
    Environment,
}

/// The first and the last charge day on which [`Rule::Machine`] holds.
const MACHINE_DAYS: [&str; 2] = ["2026-09-02", "2026-10-02"];

impl Rule {
    pub const ALL: [Self; 4] = [Self::Shop, Self::Lane, Self::Machine, Self::Environment];

    /// The rule as the API is told it.
    pub fn told(self, is_first: bool) -> Value {
        let mut told = match self {
            Self::Shop => json!({ "conditions": conditions("tag:service", "equals", "shop"), "service": "search" }),
            Self::Lane => json!({ "conditions": conditions("tag:lane", "present", ""), "service": "billing" }),
            Self::Machine => json!({
                "conditions": conditions("resource_name", "equals", "vm-green"),
                "service": "search",
                "first_day": MACHINE_DAYS[0],
                "last_day": MACHINE_DAYS[1],
            }),
            Self::Environment => json!({
                "conditions": conditions("tag:lane", "present", ""),
                "environment_from_attribute": "tag:lane",
                "adds_to_catalogue": true,
            }),
        };
        told["applies_to"] = json!("charges");
        told["place"] = json!(if is_first { "first" } else { "last" });
        told["reason"] = json!("The model wants it.");
        told
    }

    fn service(self, line: &Line) -> Option<&'static str> {
        match self {
            Self::Shop => (line.service == "shop").then_some("search"),
            Self::Lane => (!line.lane.is_empty()).then_some("billing"),
            Self::Machine => {
                let [first_day, last_day] = MACHINE_DAYS;
                let holds = (first_day..=last_day).contains(&line.day.as_str());
                (line.lane == "green" && holds).then_some("search")
            }
            Self::Environment => None,
        }
    }
}

fn conditions(attribute: &str, operator: &str, value: &str) -> Value {
    json!([{ "attribute": attribute, "operator": operator, "value": value }])
}

impl Oracle {
    /// Adds a rule before or after all others, or takes it away where it is there.
    pub fn change_rule(&mut self, rule: Rule, is_first: bool) {
        if self.has_rule(rule) {
            self.first_rules.retain(|one| *one != rule);
            self.last_rules.retain(|one| *one != rule);
        } else if is_first {
            self.first_rules.insert(0, rule);
        } else {
            self.last_rules.push(rule);
        }
        self.looked_at.insert(rule);
    }

    fn has_rule(&self, rule: Rule) -> bool {
        self.first_rules.contains(&rule) || self.last_rules.contains(&rule)
    }

    /// Whose a line is.
    pub(super) fn service<'a>(&self, line: &'a Line) -> &'a str {
        let first = self.first_rules.iter().find_map(|rule| rule.service(line));
        let tag = Some(line.service.as_str()).filter(|service| !service.is_empty());
        let last = self.last_rules.iter().find_map(|rule| rule.service(line));
        first.or(tag).or(last).unwrap_or(NOBODY)
    }

    /// Where it runs.
    pub(super) fn environment(&self, line: &Line) -> &'static str {
        let is_named = self.has_rule(Rule::Environment) && !line.lane.is_empty();
        if is_named { line.lane } else { NOBODY }
    }

    /// What a rollup key carries of the lane: what a rule looks at, or looked at once.
    pub(super) fn lane_in_key(&self, line: &Line) -> &'static str {
        let carries_tag = [Rule::Lane, Rule::Environment].iter().any(|rule| self.looked_at.contains(rule));
        let carries_machine = self.looked_at.contains(&Rule::Machine) && line.lane == "green";
        if carries_tag || carries_machine { line.lane } else { "" }
    }
}
