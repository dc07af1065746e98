//! What to do at each sender to connect it: where to look, and what to enter there.

use super::connect_guides;
use crate::events::{Proof, Sender};

/// The steps of one sender.
pub struct Steps {
    /// Where to go.
    pub place: &'static str,
    /// What to enter, in order.
    pub rows: Vec<(&'static str, String)>,
    /// Where all of it stands, with what is to be copied; `None` where this is all.
    pub guide: Option<&'static str>,
    /// How the service is found that something is about.
    pub service: &'static str,
    /// Where lies what no rule finds a service for.
    pub unmapped: &'static str,
}

/// Stands for a secret that was made before: it was shown once, and nobody can read it any more.
pub const HIDDEN_SECRET: &str = "‹secret›";

/// Labels whose values are typed or copied as they are.
const CODES: [&str; 8] =
    ["Address", "Secret", "Content type", "Command", "Header", "Configuration", "Password", "Token"];

impl Steps {
    /// Whether a value is typed or copied as it is.
    pub fn is_code(&self, label: &str) -> bool {
        CODES.contains(&label)
    }
}

/// The steps that connect this sender.
pub fn steps(sender: &Sender, address: &str, secret: &str) -> Steps {
    let bearer = || format!("Authorization: Bearer {secret}");
    let (place, rest): (&'static str, Vec<(&'static str, String)>) = match sender.key {
        "github" => (
            "In GitHub, open the repository or organization, then Settings, Webhooks, Add webhook, and enter:",
            vec![
                ("Content type", "application/json".into()),
                ("Secret", secret.into()),
                ("SSL verification", "Enabled".into()),
                (
                    "Individual events",
                    "Deployments, Deployment statuses, Pull requests, Pushes, Releases, Workflow runs, and Workflow jobs where jobs are counted".into(),
                ),
            ],
        ),
        "gitlab" => (
            "In GitLab, open the project or group, then Settings, Webhooks, Add new webhook. Where your GitLab offers a signing token, enter the secret there; else as the secret token:",
            vec![
                ("Secret", secret.into()),
                ("SSL verification", "Enabled".into()),
                (
                    "Trigger",
                    "Push events, Tag push events, Merge request events, Pipeline events, Deployment events, Feature flag events, Releases events".into(),
                ),
            ],
        ),
        "bitbucket" => (
            "In Bitbucket, open the repository, then Repository settings, Webhooks, Add webhook. Deployments have no webhook: a command that runs every hour posts what Bitbucket's API lists, or this source is read by schedule.",
            vec![
                ("Secret", secret.into()),
                ("Triggers", "Push; Build status created and updated; Pull request merged and declined".into()),
            ],
        ),
        "azure_devops" => (
            "In Azure DevOps, open Project settings, Service hooks, Create subscription, Web Hooks, once for each event:",
            vec![
                ("Events", "Run stage state changed, Run state changed, Build completed, Pull request merge attempted, Code pushed; of classic releases: Release deployment started and completed".into()),
                ("Basic authentication username", "any".into()),
                ("Password", secret.into()),
                ("Resource details to send", "All".into()),
            ],
        ),
        "circleci" => (
            "In CircleCI, open Project Settings, Webhooks, Add Webhook:",
            vec![("Secret", secret.into()), ("Events", "Workflow Completed, Job Completed".into())],
        ),
        "argocd" => (
            "Add the notification template of the steps in full to the ConfigMap argocd-notifications-cm, and the secret to argocd-notifications-secret:",
            vec![("Token", secret.into())],
        ),
        "flux" => (
            "Add a Provider of type generic-hmac and an Alert, as the steps in full show; the secret goes into the Secret that the Provider names, under the key token:",
            vec![("Token", secret.into())],
        ),
        "spinnaker" => (
            "In Echo's configuration, add a REST listener with this address and this header, as the steps in full show:",
            vec![("Header", bearer())],
        ),
        "cdevents" => (
            "Give your CDEvents sender this address; binary, structured and batched CloudEvents are taken:",
            vec![("Header", bearer())],
        ),
        "devlake" => (
            "Where a job posts deployments to DevLake's webhook, post the same body here:",
            vec![("Header", bearer())],
        ),
        "terraform" => (
            "In HCP Terraform, open the workspace, then Settings, Notifications, Create a notification, Webhook:",
            vec![("Token", secret.into()), ("Triggers", "Run events: Applying, Completed, Errored".into())],
        ),
        "atlantis" => (
            "In the server configuration of Atlantis, add a webhook of kind http for the event apply, and the header to --webhook-http-headers:",
            vec![("Header", bearer())],
        ),
        "pagerduty" => (
            "In PagerDuty, open Integrations, Generic Webhooks (v3), New Webhook. PagerDuty shows its signing secret once: enter it with “New secret” beside the source, for PagerDuty takes none from here.",
            vec![("Events", "incident.triggered, acknowledged, resolved, reopened, priority_updated".into()), ("Secret", secret.into())],
        ),
        "alertmanager" => (
            "In Alertmanager's configuration, add a receiver with webhook_configs:",
            vec![
                ("Configuration", format!("http_config: {{ authorization: {{ credentials: {secret} }} }}")),
                ("send_resolved", "true".into()),
                ("repeat_interval", "4h, as it is unless set; 5d at most".into()),
            ],
        ),
        "launchdarkly" => (
            "In LaunchDarkly, open Integrations, Webhooks, Add integration, and switch on “Sign this webhook”:",
            vec![("Secret", secret.into())],
        ),
        "kubernetes" => (
            "In kubernetes-event-exporter's configuration, add a webhook receiver, and a route for the reasons SuccessfulRescale, KEDAScaleTargetActivated and KEDAScaleTargetDeactivated:",
            vec![("Header", bearer())],
        ),
        "grafana" => (
            "Post the bodies that you post to Grafana's /api/annotations to this address too:",
            vec![("Header", bearer())],
        ),
        "honeycomb" => (
            "Post the bodies that you post to Honeycomb's markers to this address too:",
            vec![("Header", format!("X-Honeycomb-Team: {secret}"))],
        ),
        _ => ("Post to this address:", vec![("Header", bearer())]),
    };
    debug_assert!(sender.proof != Proof::Token || rest.iter().any(|(_, value)| value.contains(secret)));
    let address = std::iter::once(("Address", address.to_owned()));
    // What is told of beside deployments has a list of its own.
    let unmapped =
        if sender.tells.ends_with("as context") { "/unmapped?show=events" } else { "/unmapped?show=deployments" };
    let guide = connect_guides::path_of(sender.key);
    Steps { place, rows: address.chain(rest).collect(), guide, service: service(sender), unmapped }
}

// What `events/` reads as the service. Names are those of the catalogue, or become it by the rules that are there from the
// beginning.
fn service(sender: &Sender) -> &'static str {
    match sender.key {
        "github" => {
            "The service is what the deployment's payload calls “service”, or “services” (a list). Where it has neither, \
             a mapping rule finds the service by repository, ref or another field of the payload."
        }
        "gitlab" | "bitbucket" => {
            "What is sent names no service: a mapping rule finds it by repository, ref or pipeline."
        }
        "devlake" => "What is sent names no service: a mapping rule finds it by repository or environment.",
        "azure_devops" | "circleci" => {
            "What is sent names no service: a mapping rule finds it by pipeline, repository or ref."
        }
        "argocd" => {
            "The service is the application's label app.kubernetes.io/name, else its label service, else the \
             application's own name."
        }
        "flux" => "The service is the name of the Kustomization or of the Helm release.",
        "spinnaker" => "What is sent names no service: a mapping rule finds it by pipeline, or by tag:application.",
        "cdevents" => "The service is the id of the event's subject, of deployments the service's own.",
        "terraform" => "The service is the one that is called like the workspace.",
        "atlantis" => "The service is the one that is called like the project, else like the directory.",
        "pagerduty" => {
            "The service is the one that is called like PagerDuty's service; a mapping rule may look at its id \
             (tag:service_id) instead."
        }
        "alertmanager" => {
            "The service is the alert's label service, app, app_kubernetes_io_name or job, the first there is."
        }
        "launchdarkly" => "What is sent names no service: a mapping rule finds it by tag:project.",
        "kubernetes" => {
            "The service is the label app.kubernetes.io/name or app of what was scaled, else the name of that object."
        }
        "grafana" => "The service is the tag “service:…”, “service.name:…” or “app:…”.",
        "honeycomb" => "The service is the field “service” of the marker.",
        _ => "A mapping rule finds the service.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::WEBHOOK_SENDERS;

    #[test]
    fn every_sender_is_told_its_address_and_its_secret() {
        for sender in &WEBHOOK_SENDERS {
            let steps = steps(sender, "https://costs.example.com/x", "s3cret");
            assert_ne!(steps.service, "A mapping rule finds the service.", "{}", sender.key);
            assert_eq!(steps.rows[0], ("Address", "https://costs.example.com/x".to_owned()), "{}", sender.key);
            assert!(
                steps.rows.iter().any(|(label, value)| value.contains("s3cret") && steps.is_code(label)),
                "{}",
                sender.key
            );
            let names_them = steps.place.contains("steps in full");
            assert!(!names_them || steps.guide.is_some(), "{}", sender.key);
        }
    }
}
