//! Who a cost or a deployment belongs to: ordered rules over its attributes, pure and deterministic.
//!
//! Rules are data. For the service and for the environment each, the first rule that matches and names one
//! decides, so that nothing is ever counted twice. Nothing here reads a clock, a file or the database.

mod attributes;
mod dimension;
mod environment_kind;
mod job_kind;
mod names;
mod rule;
mod rules;
mod slug;
pub mod split;
mod tag_standard;
mod test;
mod validity;

pub use attributes::{
    CHARGE_ATTRIBUTES, COLUMN_PREFIX, DEPLOYMENT_ATTRIBUTES, RESOURCE_ID, TAG_PREFIX, column_name, is_detail, label,
    tag_key,
};
pub use dimension::{COST_CENTER, DimensionError, DimensionTarget, PRODUCT, dimension_key, dimension_label};
pub use environment_kind::EnvironmentKind;
pub use job_kind::{
    JOB_ATTRIBUTES, JobKindError, JobKindRule, JobKinds, LABEL_SEPARATOR, check_job_kind, jobs_metric, minutes_metric,
};
pub use names::Names;
pub use rule::{AppliesTo, Condition, NAME_CHARS_MAX, Operator, Rule, RuleError, TargetRule};
pub use rules::{
    Assignment, Catalogue, DatedAssignment, DimensionValue, Entry, Rules, Subject, Target, TeamShare, assign,
    assign_by_day, assign_known,
};
pub use slug::slug;
pub use tag_standard::{AllowedValue, TagRule, TagRuleError, TagState};
pub use test::Details;
pub use validity::{END_DAY, FIRST_DAY, Validity, all_days};
