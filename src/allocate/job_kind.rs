//! What a run of a pipeline, or one of its jobs, does: training, say. The first rule that fits says it.

use super::rule::{Condition, RuleError};
use super::test::Test;
use std::borrow::Cow;

/// What rules look at, with the words of a menu.
pub const JOB_ATTRIBUTES: [(&str, &str); 7] = [
    ("pipeline", "Pipeline or workflow"),
    ("job", "Job"),
    ("stage", "Stage"),
    ("label", "Label or tag of the job's runner"),
    ("repo", "Repository"),
    ("path", "Workflow file"),
    ("ref", "Branch or tag"),
];
/// Of a job and not of the run that it is part of.
const OF_JOBS: [&str; 3] = ["job", "stage", "label"];
const KIND_CHARS_MAX: usize = 40;
/// Between several labels of one job.
pub const LABEL_SEPARATOR: char = ',';

/// What somebody says of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKindRule {
    /// Its row.
    pub job_kind_rule_id: i64,
    /// The event source whose runs it is about; any, for none.
    pub source_name: Option<String>,
    /// One attribute of [`JOB_ATTRIBUTES`], or `tag:` and what the sender calls one of its own.
    pub condition: Condition,
    /// `training`: such runs are counted as `training_jobs`.
    pub kind: String,
}

/// Why a rule cannot be kept. Each message says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum JobKindError {
    #[error("Name the kind with 1 to {KIND_CHARS_MAX} small letters, digits and _, such as training.")]
    BadKind,
    #[error("Runs are known by {}, or by tag: and the name of an attribute that their sender adds.",
        JOB_ATTRIBUTES.map(|(name, _)| name).join(", "))]
    BadAttribute,
    #[error(transparent)]
    Condition(#[from] RuleError),
}

/// Whether a rule can be kept.
pub fn check_job_kind(kind: &str, condition: &Condition) -> Result<(), JobKindError> {
    let fits = kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.len() <= KIND_CHARS_MAX
        && kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !fits {
        return Err(JobKindError::BadKind);
    }
    let attribute = condition.attribute.as_str();
    if super::tag_key(attribute).is_none() && !JOB_ATTRIBUTES.iter().any(|(name, _)| *name == attribute) {
        return Err(JobKindError::BadAttribute);
    }
    Ok(condition.check()?)
}

/// The metric that counts jobs of this kind.
pub fn jobs_metric(kind: &str) -> String {
    format!("{kind}_jobs")
}

/// The metric of the minutes that they take.
pub fn minutes_metric(kind: &str) -> String {
    format!("{kind}_minutes")
}

/// Rules made ready to be asked of many runs.
#[derive(Debug, Default)]
pub struct JobKinds(Vec<(JobKindRule, Test)>);

impl JobKinds {
    /// In their order.
    pub fn compile(rules: Vec<JobKindRule>) -> Result<Self, RuleError> {
        let ready = |rule: JobKindRule| Test::compile(&rule.condition).map(|test| (rule, test));
        Ok(Self(rules.into_iter().map(ready).collect::<Result<_, _>>()?))
    }

    /// The first rule that fits. A job is asked about itself only, and a run about itself: else each job of a run would
    /// count with it.
    pub fn of<'a>(
        &self,
        is_job: bool,
        source_name: &str,
        attribute: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<&JobKindRule> {
        let fits = |(rule, test): &&(JobKindRule, Test)| {
            let name = rule.condition.attribute.as_str();
            let is_of_any = super::tag_key(name).is_some();
            if !(is_of_any || OF_JOBS.contains(&name) == is_job)
                || rule.source_name.as_deref().is_some_and(|wanted| wanted != source_name)
            {
                return false;
            }
            let Some(value) = attribute(name) else { return false };
            match name {
                "label" => value.split(LABEL_SEPARATOR).any(|label| test.holds(label)),
                _ => test.holds(&value),
            }
        };
        self.0.iter().find(fits).map(|(rule, _)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operator;
    use super::*;

    fn rule(source: Option<&str>, attribute: &str, value: &str, kind: &str) -> JobKindRule {
        let condition = Condition { attribute: attribute.into(), operator: Operator::Glob, value: value.into() };
        JobKindRule { job_kind_rule_id: 1, source_name: source.map(str::to_owned), condition, kind: kind.into() }
    }

    fn kind(rules: &JobKinds, is_job: bool, source: &str, attributes: &[(&str, &str)]) -> Option<String> {
        let attribute = |name: &str| {
            attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Owned((*value).to_owned()))
        };
        rules.of(is_job, source, attribute).map(|rule| rule.kind.clone())
    }

    #[test]
    fn the_first_rule_that_fits_names_the_kind() {
        let rules = JobKinds::compile(vec![
            rule(Some("models"), "pipeline", "train-*", "training"),
            rule(None, "job", "evaluate*", "evaluation"),
            rule(None, "label", "gpu*", "training"),
        ]);
        let rules = rules.unwrap();
        let run = [("pipeline", "Train-ranker")];
        assert_eq!(kind(&rules, false, "models", &run).as_deref(), Some("training"));
        assert_eq!(kind(&rules, false, "shop", &run), None, "of another source");
        // A job of that pipeline counts with it, unless it is something by itself.
        assert_eq!(kind(&rules, true, "models", &run), None);
        let job = |name, label| [("pipeline", "train-ranker"), ("job", name), ("label", label)];
        assert_eq!(kind(&rules, true, "models", &job("evaluate all", "gpu-a100")).as_deref(), Some("evaluation"));
        assert_eq!(kind(&rules, true, "x", &job("fit", "linux,GPU-a100")).as_deref(), Some("training"));
        assert_eq!(kind(&rules, true, "x", &job("fit", "linux")), None);
    }

    #[test]
    fn what_cannot_be_kept_says_why() {
        let condition = |attribute: &str, value: &str| rule(None, attribute, value, "x").condition;
        assert_eq!(check_job_kind("training", &condition("tag:mode", "*")), Ok(()));
        assert_eq!(check_job_kind("Training jobs", &condition("job", "*")), Err(JobKindError::BadKind));
        assert_eq!(check_job_kind("training", &condition("region", "*")), Err(JobKindError::BadAttribute));
        assert!(matches!(check_job_kind("training", &condition("job", " ")), Err(JobKindError::Condition(_))));
    }
}
