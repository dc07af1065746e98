use super::super::rule::Operator;
use super::super::test::Details;
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
        team: Nothing,
        dimensions: Vec::new(),
        validity: Validity::default(),
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
    catalogue.teams.insert("payments", 4);
    catalogue.teams.insert("search-team", 5);
    catalogue.team_shares.insert(4, TeamShare { service_id: Some(40), name: "Payments, no service".into() });
    catalogue.team_shares.insert(5, TeamShare { service_id: None, name: "Search, no service".into() });
    catalogue
}

fn ask(rules: &[Rule], attributes: &[(&str, &str)]) -> Assignment {
    let rules = Rules::compile(rules, Subject::Charges, catalogue()).unwrap();
    let attributes: BTreeMap<_, _> = attributes.iter().copied().collect();
    assign(&rules, |name| attributes.get(name).map(|value| Cow::Borrowed(*value)))
}

use Operator::{Equals, Glob, OneOf, Prefix, Present, Regex};
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
        (OneOf, "eu-west-1, eu-central-1, us-east-1", "US-EAST-1", true),
        (OneOf, "a,b", "a,b", false),
        (OneOf, "Compute, storage and more\nOther\n", "compute, storage and more", true),
        (OneOf, "Compute, storage and more\nOther", "compute", false),
        (OneOf, "a, b\r\n", "b", true),
        (Present, "", "x", true),
        (Present, "", "  ", false),
        (Equals, "x", "", false),
        (Prefix, "支付", "支付服务", true),
        (Regex, "^checkout-[0-9]+$", "CHECKOUT-12", true),
        (Regex, "^checkout-[0-9]+$", "checkout-x", false),
        (Regex, "out", "checkout", true),
        (Regex, "straße|платёж", "ПЛАТЁЖ-1", true),
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
    assert_eq!(
        error(rule(1, &[("invoice_id", Present, "")], Fixed(1), Nothing)),
        "“invoice_id” is not an attribute that charges have. Write column:InvoiceId."
    );
    assert_eq!(
        error(rule(1, &[("column:invoice_id", Present, "")], Fixed(1), Nothing)),
        "“column:invoice_id” is not an attribute that charges have. Write column:InvoiceId."
    );
    assert!(error(rule(1, &[("column:BilledCost", Present, "")], Fixed(1), Nothing)).contains("is a cost, a quantity"));
    let long = format!("tag:{}", "x".repeat(300));
    assert!(error(rule(1, &[(&long, Present, "")], Fixed(1), Nothing)).contains("longer than 300 characters"));
    assert!(error(rule(1, &[("tag:x", Equals, " ")], Fixed(1), Nothing)).contains("needs a value"));
    assert!(error(rule(1, &[("tag:x", OneOf, " , ")], Fixed(1), Nothing)).contains("needs a value"));
    assert!(error(rule(1, &[("tag:x", Glob, "a[")], Fixed(1), Nothing)).contains("not a pattern"));
    for name in ["resource_id", "ResourceId", "column:ResourceId"] {
        assert_eq!(error(rule(1, &[], named_by(name), Nothing)), RuleError::NamedByResource.to_string());
    }
    assert!(error(rule(1, &[("tag:x", Regex, "a(")], Fixed(1), Nothing)).contains("unclosed group"));
    assert!(error(rule(1, &[("tag:x", Regex, "(a{1000}){1000}")], Fixed(1), Nothing)).contains("too large"));
    assert!(error(rule(1, &[("tag:x", Regex, &"a".repeat(501))], Fixed(1), Nothing)).contains("500 characters"));
    let mut dated = rule(1, &[], Fixed(1), Nothing);
    dated.validity = Validity { first_day: Some(day("2026-10-02")), last_day: Some(day("2026-10-01")) };
    assert!(error(dated.clone()).contains("before its first day"));
    dated.validity.last_day = None;
    dated.applies_to = AppliesTo::Both;
    assert!(error(dated).contains("Only a rule for charges can have a first"));
}

/// Advice is for saving: a rule that was saved before it goes on, and stops no import.
#[test]
fn a_rule_that_could_not_be_saved_any_more_still_holds() {
    for (attribute, instead) in [
        ("column:invoice_id", "Write column:InvoiceId."),
        ("column:ProviderName", "Write provider_name."),
        ("column:BilledCost", "BilledCost is a cost, a quantity, a time or the currency, and no rule looks at those."),
    ] {
        for kept in [
            rule(1, &[(attribute, Equals, "AWS")], Fixed(1), Nothing),
            rule(1, &[("tag:x", Equals, "1")], Nothing, named_by(attribute)),
        ] {
            let told = format!("“{attribute}” is not an attribute that charges have. {instead}");
            assert_eq!(kept.check().unwrap_err().to_string(), told);
            assert_eq!(Rules::compile(&[kept], Subject::Charges, catalogue()).map(drop), Ok(()), "{attribute}");
        }
    }
    let kept = rule(1, &[("column:invoice_id", Equals, "7")], Fixed(1), Nothing);
    assert_eq!(ask(&[kept], &[("column:invoice_id", "7")]).service, Some(Target::Known(1)));
    let by_resource = rule(1, &[], named_by("column:ResourceId"), Nothing);
    assert_eq!(by_resource.check(), Err(RuleError::NamedByResource));
    assert_eq!(ask(&[by_resource], &[("column:ResourceId", "search")]).service, Some(Target::Known(2)));
    // What no rule could ever be is refused as before.
    let compiled = |rule: Rule| Rules::compile(&[rule], Subject::Charges, catalogue()).map(drop);
    assert_eq!(compiled(rule(1, &[], named_by("resource_id"), Nothing)), Err(RuleError::NamedByResource));
    let unknown = compiled(rule(1, &[("invoice_id", Present, "")], Fixed(1), Nothing));
    assert!(matches!(unknown, Err(RuleError::UnknownAttribute { .. })), "{unknown:?}");
}

#[test]
fn rules_tell_what_they_look_at() {
    let rules = [
        rule(1, &[("tag:cell", Present, ""), ("region_id", Present, "")], named_by("tag:app"), Nothing),
        rule(2, &[("resource_id", Glob, "arn:*:logs-*")], Fixed(1), Nothing),
    ];
    let rules = Rules::compile(&rules, Subject::Charges, catalogue()).unwrap();
    assert_eq!(rules.tag_keys().into_iter().collect::<Vec<_>>(), ["app", "cell"]);
    let details = Details::compile(&rules.details()).unwrap();
    assert!(details.keep("resource_id", "ARN:aws:logs-1") && !details.keep("resource_id", "arn:aws:db"));
    assert!(rules.may_miss_names());
}

/// A bound on what one value may cost: an expression that backtracking engines never finish with.
#[test]
fn an_expression_answers_soon_and_a_huge_value_is_not_matched() {
    let nested = rule(1, &[("tag:x", Regex, "^(a+)+$")], Fixed(1), Nothing);
    let value = format!("{}!", "a".repeat(16_000));
    assert_eq!(ask(std::slice::from_ref(&nested), &[("tag:x", &value)]).service, None);
    let matching = "a".repeat(16 * 1024);
    assert!(ask(std::slice::from_ref(&nested), &[("tag:x", &matching)]).service.is_some());
    let longer = "a".repeat(16 * 1024 + 1);
    assert_eq!(ask(&[nested], &[("tag:x", &longer)]).service, None);
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_rule_holds_on_its_days_and_the_next_one_on_the_others() {
    let mut november = rule(1, &[("tag:x", Equals, "a")], Fixed(2), Nothing);
    november.validity = Validity { first_day: Some(day("2026-11-01")), last_day: Some(day("2026-11-30")) };
    let always = rule(2, &[], Fixed(1), Fixed(7));
    let rules = Rules::compile(&[november, always], Subject::Charges, catalogue()).unwrap();
    let by_day = |value: &'static str| {
        let found = assign_by_day(&rules, |_| Some(Cow::Borrowed(value)));
        found
            .into_iter()
            .map(|one| (one.days.start(), one.days.end(), one.assignment.service_rule_id))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        by_day("a"),
        [
            (FIRST_DAY, day("2026-11-01"), Some(2)),
            (day("2026-11-01"), day("2026-12-01"), Some(1)),
            (day("2026-12-01"), END_DAY, Some(2))
        ]
    );
    assert_eq!(by_day("b"), [(FIRST_DAY, END_DAY, Some(2))], "a rule that does not match cuts nothing");
}

#[test]
fn a_team_gets_what_has_no_service() {
    let mut by_team = rule(1, &[], Nothing, Nothing);
    by_team.team = named_by("tag:team");
    let by_service = rule(2, &[], named_by("tag:service"), Nothing);
    let rules = [by_team, by_service];
    let asked = |attributes: &[(&str, &str)]| {
        let assignment = ask(&rules, attributes);
        (assignment.service, assignment.service_rule_id)
    };
    assert_eq!(asked(&[("tag:team", "Payments")]), (Some(Target::Known(40)), Some(1)));
    assert_eq!(asked(&[("tag:team", "Payments"), ("tag:service", "search")]), (Some(Target::Known(2)), Some(2)));
    assert_eq!(asked(&[("tag:team", "search-team")]).0, Some(Target::Add("Search, no service".into())));
    assert_eq!(asked(&[("tag:team", "nobody")]), (None, None), "a team is not added");
    // Only a team that gets something needs an entry for it.
    let compiled = Rules::compile(&rules, Subject::Charges, catalogue()).unwrap();
    let needed = |team: &str| {
        let answers = [ask(&rules, &[("tag:team", team)])];
        compiled.teams_without_entry(answers.iter()).into_iter().collect::<Vec<_>>()
    };
    assert_eq!((needed("payments"), needed("search-team"), needed("nobody")), (vec![], vec![5], vec![]));
}

#[test]
fn dimensions_are_each_decided_by_the_first_rule_that_names_one() {
    let target = |dimension: &str, value: Option<&str>, from: Option<&str>| DimensionTarget {
        dimension: dimension.into(),
        value: value.map(str::to_owned),
        from_attribute: from.map(str::to_owned),
    };
    let mut first = rule(1, &[("tag:x", Equals, "1")], Nothing, Nothing);
    first.dimensions = vec![target("product", Some("Shop"), None)];
    let mut second = rule(2, &[], Nothing, Nothing);
    second.dimensions = vec![target("product", None, Some("tag:product")), target("tier", Some("gold"), None)];
    let values = |attributes: &[(&str, &str)]| {
        let found = ask(&[first.clone(), second.clone()], attributes).dimensions;
        found.into_iter().map(|(key, named)| format!("{key}={} by {}", named.value, named.rule_id)).collect::<Vec<_>>()
    };
    assert_eq!(values(&[("tag:x", "1"), ("tag:product", "Search")]), ["product=Shop by 1", "tier=gold by 2"]);
    assert_eq!(values(&[("tag:product", " Search ")]), ["product=Search by 2", "tier=gold by 2"]);
    assert_eq!(values(&[("tag:product", " ")]), ["tier=gold by 2"]);
}

proptest! {
    /// The days are cut without a gap, and each day's answer is what the rules of that day say.
    #[test]
    fn every_day_has_the_answer_of_its_own_rules(
        days in prop::collection::vec((prop::option::of(0u64..40), prop::option::of(0u64..40)), 0..6),
        asked in 0u64..40,
    ) {
        let start = day("2026-10-01");
        let at = |offset: u64| start + chrono::Days::new(offset);
        let mut rules = Vec::new();
        for (number, (first, last)) in days.iter().enumerate() {
            let mut one = rule(number as i64 + 1, &[], Fixed(number as i64 + 1), Nothing);
            one.validity = Validity { first_day: first.map(at), last_day: last.map(at) };
            if one.validity.is_in_order() {
                rules.push(one);
            }
        }
        let wanted = rules.iter().find(|rule| rule.validity.holds_on(at(asked))).map(|rule| rule.mapping_rule_id);
        let compiled = Rules::compile(&rules, Subject::Charges, Catalogue::default()).unwrap();
        let found = assign_by_day(&compiled, |_| None);
        prop_assert_eq!(found.first().map(|one| one.days.start()), Some(FIRST_DAY));
        prop_assert_eq!(found.last().map(|one| one.days.end()), Some(END_DAY));
        prop_assert!(found.windows(2).all(|two| two[0].days.end() == two[1].days.start()));
        prop_assert!(found.windows(2).all(|two| two[0].assignment != two[1].assignment));
        let on_that_day = found.iter().find(|one| one.days.start() <= at(asked) && at(asked) < one.days.end());
        prop_assert_eq!(on_that_day.and_then(|one| one.assignment.service_rule_id), wanted);
    }

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
