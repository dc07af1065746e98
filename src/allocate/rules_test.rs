use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn rule(id: i64, conditions: &[(&str, Operator, &str)], service: TargetRule, environment: TargetRule) -> Rule {
    let condition = |(attribute, operator, value): &(&str, Operator, &str)| Condition {
        attribute: (*attribute).to_owned(),
        operator: *operator,
        value: (*value).to_owned(),
    };
    Rule {
        mapping_rule_id: id,
        applies_to: AppliesTo::Charges,
        conditions: conditions.iter().map(condition).collect(),
        service,
        environment,
        adds_to_catalogue: false,
    }
}

fn named_by(attribute: &str) -> TargetRule {
    TargetRule::NamedBy(attribute.to_owned())
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.services.insert("checkout-api", 1);
    catalogue.services.insert("search", 2);
    catalogue.services.insert("kasse", 1);
    catalogue.environments.insert("production", 7);
    catalogue
}

fn ask(rules: &[Rule], attributes: &[(&str, &str)]) -> Assignment {
    let rules = Rules::compile(rules, Subject::Charges, catalogue()).unwrap();
    let attributes: BTreeMap<_, _> = attributes.iter().copied().collect();
    assign(&rules, |name| attributes.get(name).map(|value| Cow::Borrowed(*value)))
}

use Operator::{Equals, Glob, OneOf, Prefix, Present};
use TargetRule::{Fixed, Nothing};

/// N14: two rules match; the first counts, once.
#[test]
fn the_first_rule_that_names_a_service_wins() {
    let first = rule(10, &[("sub_account_id", Equals, "123")], Fixed(1), Nothing);
    let second = rule(20, &[("region_id", Prefix, "eu-")], Fixed(2), Fixed(7));
    let attributes = [("sub_account_id", "123"), ("region_id", "EU-west-1")];

    let assignment = ask(&[first.clone(), second.clone()], &attributes);
    assert_eq!(assignment.service, Some(Target::Known(1)));
    assert_eq!(assignment.service_rule_id, Some(10));
    assert_eq!(assignment.environment, Some(Target::Known(7)), "the second names the environment");
    assert_eq!(assignment.environment_rule_id, Some(20));

    let turned = ask(&[second, first], &attributes);
    assert_eq!(turned.service, Some(Target::Known(2)));
    assert_eq!(turned.service_rule_id, Some(20));
}

#[test]
fn all_conditions_must_hold() {
    let both = rule(1, &[("sub_account_id", Equals, "123"), ("tag:team", Equals, "Pay")], Fixed(1), Nothing);
    assert_eq!(ask(std::slice::from_ref(&both), &[("sub_account_id", "123")]).service, None);
    let met = ask(&[both], &[("sub_account_id", "123"), ("tag:team", "PAY")]);
    assert_eq!(met.service, Some(Target::Known(1)));
    assert_eq!(ask(&[rule(1, &[], Fixed(2), Nothing)], &[]).service, Some(Target::Known(2)), "no condition: all");
}

#[test]
fn operators_compare_in_any_case() {
    let cases: &[(Operator, &str, &str, bool)] = &[
        (Equals, "Zürich", "ZÜRICH", true),
        (Equals, "a", "ab", false),
        (Prefix, "arn:aws:s3", "ARN:AWS:S3:::logs", true),
        (Glob, "arn:aws:s3:::logs-*", "arn:aws:s3:::Logs-2026/x", true),
        (Glob, "prod-?", "prod-12", false),
        (Glob, "{a,b}-*", "b-1", true),
        (OneOf, "eu-west-1, eu-central-1\nus-east-1", "US-EAST-1", true),
        (OneOf, "a,b", "a,b", false),
        (Present, "", "x", true),
        (Present, "", "  ", false),
        (Equals, "x", "", false),
        (Prefix, "支付", "支付服务", true),
    ];
    for (operator, wanted, value, expected) in cases {
        let rule = rule(1, &[("tag:x", *operator, wanted)], Fixed(1), Nothing);
        let holds = ask(&[rule], &[("tag:x", value)]).service.is_some();
        assert_eq!(holds, *expected, "{operator:?} {wanted} ~ {value}");
    }
    let long = "a".repeat(1_000_000);
    let rule = rule(1, &[("tag:x", Glob, "*a*a*a*a*b")], Fixed(1), Nothing);
    assert_eq!(ask(&[rule], &[("tag:x", &long)]).service, None, "answers, and soon");
}

#[test]
fn a_name_is_looked_up_then_added_then_told_missing() {
    let mut named = rule(1, &[("tag:service", Present, "")], named_by("tag:service"), Nothing);
    let service = |rule: &Rule, value: &str| ask(std::slice::from_ref(rule), &[("tag:service", value)]).service;
    assert_eq!(service(&named, "KASSE"), Some(Target::Known(1)), "an alias");
    assert_eq!(service(&named, "Checkout API"), Some(Target::Known(1)), "by slug");
    assert_eq!(service(&named, "billing"), Some(Target::NotFound("billing".into())));
    named.adds_to_catalogue = true;
    assert_eq!(service(&named, " billing "), Some(Target::Add("billing".into())));
    assert!(matches!(service(&named, &"x".repeat(201)), Some(Target::NotFound(_))), "too long for a name");
}

#[test]
fn a_blank_name_leaves_the_question_to_the_next_rule() {
    let by_app = rule(1, &[], named_by("tag:app"), Nothing);
    let rest = rule(2, &[], Fixed(2), Nothing);
    let assignment = ask(&[by_app, rest], &[("tag:app", "  ")]);
    assert_eq!((assignment.service, assignment.service_rule_id), (Some(Target::Known(2)), Some(2)));
}

#[test]
fn rules_of_the_other_subject_are_not_asked() {
    let mut rule = rule(1, &[("tag:x", Present, "")], Fixed(1), Nothing);
    rule.applies_to = AppliesTo::Deployments;
    assert_eq!(ask(&[rule], &[("tag:x", "1")]), Assignment::default());
}

#[test]
fn what_is_wrong_is_said() {
    let error = |rule: Rule| rule.check().unwrap_err().to_string();
    assert_eq!(error(rule(1, &[], Nothing, Nothing)), RuleError::NamesNothing.to_string());
    assert!(error(rule(1, &[("repo", Present, "")], Fixed(1), Nothing)).contains("charges have"));
    assert!(error(rule(1, &[("tag:", Present, "")], Fixed(1), Nothing)).contains("not an attribute"));
    assert!(error(rule(1, &[("tag:x", Equals, " ")], Fixed(1), Nothing)).contains("needs a value"));
    assert!(error(rule(1, &[("tag:x", OneOf, " , ")], Fixed(1), Nothing)).contains("needs a value"));
    assert!(error(rule(1, &[("tag:x", Glob, "a[")], Fixed(1), Nothing)).contains("not a pattern"));
    assert!(error(rule(1, &[], named_by("resource_id"), Nothing)).contains("resource id"));
}

#[test]
fn rules_tell_what_they_look_at() {
    let rules = [
        rule(1, &[("tag:cell", Present, ""), ("region_id", Present, "")], named_by("tag:app"), Nothing),
        rule(2, &[("resource_id", Glob, "arn:*:logs-*")], Fixed(1), Nothing),
    ];
    let rules = Rules::compile(&rules, Subject::Charges, catalogue()).unwrap();
    assert_eq!(rules.tag_keys().into_iter().collect::<Vec<_>>(), ["app", "cell"]);
    assert!(rules.looks_at_resource("ARN:aws:logs-1") && !rules.looks_at_resource("arn:aws:db"));
    assert!(rules.may_miss_names());
}

proptest! {
    /// Order decides, and nothing else: the winner is the first rule whose conditions hold.
    #[test]
    fn order_decides_and_the_answer_is_always_the_same(
        values in prop::collection::vec(0u8..4, 1..12),
        asked in 0u8..4,
    ) {
        let rules: Vec<Rule> = values
            .iter()
            .enumerate()
            .map(|(i, value)| rule(i as i64, &[("tag:v", Equals, &value.to_string())], Fixed(i as i64), Nothing))
            .collect();
        let attributes = [("tag:v", asked.to_string())];
        let attributes: Vec<(&str, &str)> = attributes.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let expected = values.iter().position(|value| *value == asked).map(|i| Target::Known(i as i64));
        prop_assert_eq!(&ask(&rules, &attributes).service, &expected);
        prop_assert_eq!(ask(&rules, &attributes), ask(&rules, &attributes));
    }

    #[test]
    fn any_text_is_taken_without_a_panic(pattern in "\\PC{0,40}", value in "\\PC{0,80}") {
        for (operator, ..) in Operator::ALL {
            let rule = rule(1, &[("tag:x", operator, &pattern)], Fixed(1), Nothing);
            if rule.check().is_ok() {
                ask(&[rule], &[("tag:x", &value)]);
            }
        }
    }
}
