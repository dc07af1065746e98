//! `costwake deploy`: records a deployment from a CI job. By default it never fails the job because Costwake
//! cannot be reached; what Costwake refuses does fail it, for that is a mistake in the call.

mod sender;

use crate::api::deployment_body::{DeployedCommit, NewDeployment};
use anyhow::Context;
use sender::{Outcome, Sender};
use std::process::ExitCode;

/// Records a deployment. What is not given is taken from the variables of the CI system where it sets them.
#[derive(clap::Args)]
pub struct Arguments {
    /// The service; repeat it where one deployment serves several.
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,
    /// The environment, for example production.
    #[arg(long)]
    environment: String,
    /// Version, tag or image [default: the tag that the CI system builds].
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Commit [default: the one that the CI system builds].
    #[arg(long)]
    sha: Option<String>,
    /// Repository, owner/name [default: the CI system's].
    #[arg(long)]
    repo: Option<String>,
    /// pending, in_progress, succeeded, failed, canceled or superseded.
    #[arg(long, default_value = "succeeded")]
    status: String,
    /// When it began: RFC 3339 or an epoch.
    #[arg(long)]
    started_at: Option<String>,
    /// When it ended [default: now].
    #[arg(long)]
    finished_at: Option<String>,
    /// The run's page [default: the CI system's].
    #[arg(long)]
    url: Option<String>,
    /// Who did it [default: the CI system's user].
    #[arg(long)]
    actor: Option<String>,
    /// Your own id of the deployment; calling again with it says what became of it [default: run, service and
    /// environment; outside a CI system none, and each call is another deployment].
    #[arg(long)]
    id: Option<String>,
    /// deploy, rollback, config_sync, restart, scale or infra.
    #[arg(long)]
    kind: Option<String>,
    /// Something that mapping rules look at, as tag:NAME; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    /// Address of Costwake.
    #[arg(long, env = "COSTWAKE_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// API token of scope ingest; better given as COSTWAKE_TOKEN than on the command line.
    #[arg(long, env = "COSTWAKE_TOKEN", hide_env_values = true)]
    token: String,
    /// Send the token over plain HTTP to another machine too, where nobody can listen in on the way.
    #[arg(long)]
    allow_http: bool,
    /// Fail where Costwake cannot be reached.
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let body = body(&arguments, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let sender = Sender::new(&arguments.server, arguments.token, arguments.allow_http)?;
    match sender.record(&body).await {
        Ok(Outcome::Recorded(number)) => {
            println!("Recorded as deployment {number}.");
            if body.id.is_none() {
                eprintln!(
                    "costwake: no CI system says which run this is: called again it is another deployment, unless --id \
                     names it."
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(Outcome::Accepted) => {
            println!("Accepted; it is recorded once the change of the rules that is under way is done.");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Outcome::Refused(sentence)) => anyhow::bail!("Costwake refused the deployment: {sentence}"),
        Err(error) if arguments.strict => Err(error),
        Err(error) => {
            eprintln!("costwake: WARNING: the deployment was not recorded: {error:#}");
            eprintln!("costwake: the job goes on; --strict would make it fail.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

fn body(arguments: &Arguments, variable: Variable<'_>) -> anyhow::Result<NewDeployment> {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
    let repo =
        arguments.repo.clone().or_else(|| first(&["GITHUB_REPOSITORY", "CI_PROJECT_PATH", "BITBUCKET_REPO_FULL_NAME"]));
    let sha = arguments.sha.clone().or_else(|| {
        first(&["GITHUB_SHA", "CI_COMMIT_SHA", "BITBUCKET_COMMIT", "CIRCLE_SHA1", "BUILD_SOURCEVERSION", "GIT_COMMIT"])
    });
    let github_tag = variable("GITHUB_REF_TYPE").filter(|kind| kind == "tag").and_then(|_| variable("GITHUB_REF_NAME"));
    let tag = github_tag.or_else(|| first(&["CI_COMMIT_TAG", "BITBUCKET_TAG", "CIRCLE_TAG"]));
    let github_run = variable("GITHUB_RUN_ID")
        .map(|run| format!("{run}/{}", variable("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".into())));
    let run = github_run.or_else(|| {
        first(&["CI_JOB_ID", "BITBUCKET_BUILD_NUMBER", "CIRCLE_WORKFLOW_ID", "BUILD_BUILDID", "BUILD_TAG"])
    });
    let run_id = run.map(|run| {
        format!(
            "{}:{run}:{}:{}",
            repo.as_deref().unwrap_or_default(),
            arguments.services.join("+"),
            arguments.environment
        )
    });
    let github_url = variable("GITHUB_SERVER_URL")
        .zip(variable("GITHUB_REPOSITORY"))
        .zip(variable("GITHUB_RUN_ID"))
        .map(|((server, repo), run)| format!("{server}/{repo}/actions/runs/{run}"));
    let attributes = arguments.attributes.iter().map(|pair| {
        let (name, value) =
            pair.split_once('=').with_context(|| format!("--attribute \"{pair}\" is not NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let is_open = matches!(arguments.status.as_str(), "pending" | "in_progress");
    // Said now and not by the server, so that a try later tells the same.
    let now = || serde_json::json!(chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
    let time = |text: &Option<String>| text.as_ref().map(|text| serde_json::json!(text));
    Ok(NewDeployment {
        id: arguments.id.clone().or(run_id),
        services: arguments.services.clone(),
        environment: arguments.environment.clone(),
        status: Some(arguments.status.clone()),
        version: arguments.version.clone().or(tag),
        commits: sha.map(|sha| DeployedCommit { repo: repo.clone().unwrap_or_default(), sha }).into_iter().collect(),
        repo,
        reference: first(&[
            "GITHUB_REF",
            "CI_COMMIT_REF_NAME",
            "BITBUCKET_BRANCH",
            "CIRCLE_BRANCH",
            "BUILD_SOURCEBRANCH",
        ]),
        started_at: time(&arguments.started_at).or_else(|| is_open.then(now)),
        finished_at: time(&arguments.finished_at).or_else(|| (!is_open).then(now)),
        actor: arguments
            .actor
            .clone()
            .or_else(|| first(&["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "CIRCLE_USERNAME", "BUILD_REQUESTEDFOR"])),
        url: arguments.url.clone().or(github_url).or_else(|| first(&["CI_JOB_URL", "CIRCLE_BUILD_URL", "BUILD_URL"])),
        kind: arguments.kind.clone(),
        attributes: attributes.collect::<anyhow::Result<_>>()?,
        ..NewDeployment::default()
    })
}

fn path_segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(more: &[&str]) -> Arguments {
        let base = ["deploy", "--service", "checkout", "--environment", "production", "--token", "t"];
        Line::parse_from([&base, more].concat()).arguments
    }

    #[test]
    fn a_github_job_needs_only_service_and_environment() {
        let variables = |name: &str| match name {
            "GITHUB_SHA" => Some("f95f852bd8fca8fcc58a9a2d6c842781e32a215e".to_owned()),
            "GITHUB_REPOSITORY" => Some("acme/checkout".to_owned()),
            "GITHUB_RUN_ID" => Some("77".to_owned()),
            "GITHUB_SERVER_URL" => Some("https://github.com".to_owned()),
            "GITHUB_REF_TYPE" => Some("tag".to_owned()),
            "GITHUB_REF_NAME" => Some("v2".to_owned()),
            _ => None,
        };
        let body = body(&arguments(&[]), &variables).unwrap();
        assert_eq!(body.id.as_deref(), Some("acme/checkout:77/1:checkout:production"));
        assert_eq!(body.version.as_deref(), Some("v2"));
        assert_eq!(body.url.as_deref(), Some("https://github.com/acme/checkout/actions/runs/77"));
        assert_eq!(body.commits[0].repo, "acme/checkout");
        body.check(chrono::Utc::now()).unwrap();
    }

    #[test]
    fn without_a_ci_system_nothing_is_made_up() {
        let body = body(&arguments(&["--status", "in_progress", "--attribute", "region=eu"]), &|_| None).unwrap();
        assert_eq!((body.id.as_deref(), body.version.as_deref(), body.commits.len()), (None, None, 0));
        assert!(body.started_at.is_some() && body.finished_at.is_none());
        assert_eq!(body.attributes["region"], "eu");
    }

    #[test]
    fn an_id_is_one_path_segment() {
        assert_eq!(path_segment("id:a/b 1"), "id:a%2Fb%201");
    }
}
