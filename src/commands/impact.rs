//! `costwake impact [DEPLOYMENT]`: what deployments did to cost.

use super::database;
use crate::config::Config;
use crate::jobs::effects;
use crate::store::deployment_list::{self, DeploymentFilter, ListedDeployment, not_live};
use crate::store::effect_runs::{self, StoredCalibration};
use crate::store::effects::{EffectBrief, EffectRow, ServiceLine};
use crate::store::impact_series::Environments;
use crate::store::{Pools, Scope, deployment_lists};
use crate::web::deployment::FlagRow;
use crate::web::effects::{Answer, FINDINGS};
use anyhow::ensure;
use chrono::Utc;
use serde_json::json;
use std::process::ExitCode;

/// Deployments that the list has at most.
const LIST_MAX: i64 = 500;

/// Which deployments.
#[derive(clap::Args)]
pub struct Arguments {
    /// The number of a deployment; without it, the newest ones with an answer.
    deployment: Option<i64>,
    /// Only those with this finding: increase, decrease, no-material-change, cannot-tell; or measuring: those of which
    /// nothing is told yet (in JSON "phase":"measuring", with the finding cannot-tell as in the API).
    #[arg(long, conflicts_with = "deployment")]
    finding: Option<String>,
    /// One object of JSON a line.
    #[arg(long)]
    json: bool,
}

/// Runs the command. Answers are brought up to date first.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    if let Some(finding) = &arguments.finding {
        let known: Vec<&str> = FINDINGS.iter().map(|(known, _)| *known).collect();
        ensure!(known.contains(&finding.as_str()), "--finding {finding} is not known. Allowed: {}.", known.join(", "));
    }
    let database = database::open(config).await?;
    let shown = show(&database.pools, &arguments).await;
    database.close().await;
    shown
}

async fn show(pools: &Pools, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if effects::is_behind(pools).await? {
        effects::settle(pools, Utc::now()).await?;
    }
    match arguments.deployment {
        Some(id) => one(pools, id, arguments.json).await,
        None => newest(pools, arguments).await,
    }
}

async fn one(pools: &Pools, id: i64, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut snapshot = pools.snapshot().await?;
    let Some(deployment) = deployment_lists::get(&mut snapshot, id).await? else {
        eprintln!("There is no deployment {id}. `costwake impact` lists the newest.");
        return Ok(ExitCode::FAILURE);
    };
    let rows = crate::store::effects::of_deployment(&mut snapshot, &Scope::everything(), id).await?;
    let standing = crate::web::deployment::standing(&rows);
    if standing.is_empty() && !as_json {
        match not_live(&deployment.status) {
            Some(words) => println!("Deployment {id} {}{words}.", if words.starts_with("not") { "is " } else { "" }),
            None => println!(
                "Nothing is said of deployment {id}: effects are estimated where something new went live in an environment that is known and no preview."
            ),
        }
    }
    let lines = crate::store::effects::lines(&mut snapshot, &Scope::everything(), id).await?;
    let environments = Environments::of_kind(deployment.environment_kind.as_deref());
    let learnt = effect_runs::calibration(&mut snapshot, environments).await?;
    for row in standing {
        if as_json {
            println!("{}", object(row, &lines, learnt.as_ref()));
        } else {
            print(row);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(row: &EffectRow) {
    let answer = Answer::from(row);
    println!("{} in {}, released {}", row.service_name, row.environment_name, row.release_date);
    println!("  {}", answer.sentence(&row.service_name));
    if let Some((amount, interval)) = answer.amount_30_days().zip(answer.interval_30_days()) {
        println!("  Per 30 days: {amount}, 90% interval {interval}.");
    }
    if !answer.shared_with.is_empty() {
        let others: Vec<String> = answer.shared_with.iter().map(i64::to_string).collect();
        println!("  One answer with deployment {}: count it once.", others.join(", "));
    }
    println!("  {}: {}. {}", answer.phase_words(), answer.finding_word().to_lowercase(), answer.reason_sentence());
    for flag in crate::web::deployment::flags(row) {
        println!("  {}", flag_line(&flag));
    }
}

// As the deployment's page says it, in a line: with its day, and the deployments that it is about.
fn flag_line(flag: &FlagRow) -> String {
    let a_day = if flag.has_amount { " a day" } else { "" };
    let word = if flag.deployments.len() == 1 { "deployment" } else { "deployments" };
    let ids: Vec<String> = flag.deployments.iter().map(i64::to_string).collect();
    let others = if ids.is_empty() { String::new() } else { format!(", {word} {}", ids.join(", ")) };
    format!("{}: {}{a_day}, {}{others}", flag.name, flag.amount, flag.detail)
}

fn object(row: &EffectRow, lines: &[ServiceLine], learnt: Option<&StoredCalibration>) -> serde_json::Value {
    let answer = crate::api::impact::Answer::standing(row, lines).ranked(learnt);
    let mut object = serde_json::to_value(answer).unwrap_or_default();
    object["deployment_id"] = json!(row.deployment_id);
    object
}

async fn newest(pools: &Pools, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut snapshot = pools.snapshot().await?;
    let scope = Scope::everything();
    let finding = arguments.finding.clone().map(|finding| (finding, scope.clone()));
    let filter = DeploymentFilter { finding, ..DeploymentFilter::default() };
    let listed = deployment_list::list(&mut snapshot, &filter, LIST_MAX).await?;
    let ids: Vec<i64> = listed.iter().map(|one| one.deployment_id).collect();
    let answers = crate::store::effects::briefs(&mut snapshot, &scope, &ids, None).await?;
    let mut count = 0;
    for one in &listed {
        let asked = |effect: &&EffectBrief| has_finding(effect, arguments.finding.as_deref());
        for effect in answers.iter().filter(|effect| effect.deployment_id == one.deployment_id).filter(asked) {
            count += 1;
            println!("{}", if arguments.json { listed_object(one, effect).to_string() } else { line(one, effect) });
        }
    }
    if count == 0 && !arguments.json {
        println!("{}", nothing(arguments.finding.as_deref()));
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(finding: Option<&str>) -> String {
    match finding {
        Some(finding) => format!("No deployment has an answer with the finding {finding}."),
        None => "No deployment has an answer yet: effects are estimated where something new went live in an environment that is known and no preview.".into(),
    }
}

// A deployment is listed for any of its answers; those of other services and currencies have findings of their own. Of
// what is still measured no finding is told.
fn has_finding(effect: &EffectBrief, finding: Option<&str>) -> bool {
    let Some(finding) = finding else { return true };
    if effect.phase == "measuring" { finding == "measuring" } else { finding == effect.finding }
}

fn listed_object(one: &ListedDeployment, effect: &EffectBrief) -> serde_json::Value {
    let text = |amount: &Option<bigdecimal::BigDecimal>| amount.as_ref().map(|amount| amount.to_plain_string());
    json!({
        "deployment_id": effect.deployment_id, "version": one.label(), "services": one.service_names.join(", "),
        "environment": one.environment_name, "release_date": effect.release_date,
        "billing_currency": effect.billing_currency, "phase": effect.phase, "finding": effect.finding,
        "reason": effect.reason, "per_day": text(&effect.per_day), "per_day_low": text(&effect.per_day_low),
        "per_day_high": text(&effect.per_day_high), "per_30_days": text(&effect.per_30_days),
        "per_30_days_low": text(&effect.per_30_days_low), "per_30_days_high": text(&effect.per_30_days_high),
        "shares_answer_with": Answer::from(effect).shared_with,
    })
}

// An answer that several share stands at each of them: who adds the column up would count it more than once.
fn line(one: &ListedDeployment, effect: &EffectBrief) -> String {
    let answer = Answer::from(effect);
    let others: Vec<String> = answer.shared_with.iter().map(i64::to_string).collect();
    let shared = match others.is_empty() {
        true => String::new(),
        false => format!(" (one answer with deployment {}: count it once)", others.join(", ")),
    };
    format!(
        "{:>8}  {}  {:<18} {:<24} {:>12}  {:<12} {}{shared}",
        effect.deployment_id,
        effect.release_date,
        answer.finding_word(),
        one.label(),
        answer.amount().unwrap_or_else(|| "not known".into()),
        one.environment_name.as_deref().unwrap_or("not known"),
        one.service_names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(phase: &str, finding: &str) -> EffectBrief {
        EffectBrief {
            deployment_id: 1,
            service_id: 1,
            billing_currency: "USD".into(),
            release_date: "2026-11-02".parse().unwrap(),
            phase: phase.into(),
            finding: finding.into(),
            reason: String::new(),
            days_after: 14,
            per_day: None,
            per_day_low: None,
            per_day_high: None,
            per_30_days: None,
            per_30_days_low: None,
            per_30_days_high: None,
            before_per_day: None,
            flags: json!([]),
            joint: None,
        }
    }

    #[test]
    fn of_a_deployment_only_the_answers_with_the_finding_are_listed() {
        let all = [
            effect("settled", "increase"),
            effect("settled", "no-material-change"),
            effect("measuring", "cannot-tell"),
            effect("settled", "cannot-tell"),
        ];
        let listed = |finding| all.iter().filter(|one| has_finding(one, finding)).count();
        assert_eq!(listed(None), 4);
        for (known, _) in FINDINGS {
            let expected = usize::from(known != "decrease");
            assert_eq!(listed(Some(known)), expected, "{known}");
        }
    }

    fn listed() -> ListedDeployment {
        ListedDeployment {
            deployment_id: 1,
            at: chrono::DateTime::UNIX_EPOCH,
            started_at: None,
            time_is_received: false,
            status: "succeeded".into(),
            status_at: chrono::DateTime::UNIX_EPOCH,
            kind: "deploy".into(),
            is_noop: false,
            commits: Vec::new(),
            version: Some("v2026.10.4".into()),
            sha: None,
            title: None,
            actor: None,
            repo: None,
            environment_id: 2,
            environment_slug: Some("staging".into()),
            environment_name: Some("Staging".into()),
            environment_kind: Some("staging".into()),
            service_slugs: vec!["search".into()],
            service_names: vec!["search".into()],
        }
    }

    #[test]
    fn a_line_names_the_environment_and_who_shares_the_answer() {
        let own = effect("settled", "increase");
        let plain = line(&listed(), &own);
        assert!(plain.contains(" Staging ") && plain.ends_with(" search"), "{plain}");
        let shared = EffectBrief { joint: Some(json!({ "deployment_ids": [73] })), ..own };
        let told = line(&listed(), &shared);
        assert!(told.ends_with(" search (one answer with deployment 73: count it once)"), "{told}");
        let object = listed_object(&listed(), &shared);
        assert_eq!((&object["environment"], &object["shares_answer_with"]), (&json!("Staging"), &json!([73])));
    }

    #[test]
    fn a_flag_is_said_with_its_day_and_deployments_and_without_an_amount_in_words() {
        let flag = |amount: &str, has_amount, deployments: &[i64]| FlagRow {
            name: "Another release",
            detail: "of the same service, near this one, 4 Nov 2026".into(),
            amount: amount.into(),
            has_amount,
            deployments: deployments.to_vec(),
        };
        assert_eq!(
            flag_line(&flag("+$1.41", true, &[7])),
            "Another release: +$1.41 a day, of the same service, near this one, 4 Nov 2026, deployment 7"
        );
        let unknown = flag_line(&flag("not known", false, &[]));
        assert_eq!(unknown, "Another release: not known, of the same service, near this one, 4 Nov 2026");
    }
}
