//! Who a cost or a deployment belongs to: ordered rules over its attributes, pure and deterministic.
//!
//! Rules are data. For the service and for the environment each, the first rule that matches and names one
//! decides, so that nothing is ever counted twice. Nothing here reads a clock, a file or the database.

mod attributes;
mod environment_kind;
mod names;
mod rule;
mod rules;
mod slug;
mod split;

pub use attributes::{CHARGE_ATTRIBUTES, DEPLOYMENT_ATTRIBUTES, RESOURCE_ID, TAG_PREFIX, label, tag_key};
pub use environment_kind::EnvironmentKind;
pub use names::Names;
pub use rule::{AppliesTo, Condition, NAME_CHARS_MAX, Operator, Rule, RuleError, TargetRule};
pub use rules::{Assignment, Catalogue, Rules, Subject, Target, assign};
pub use slug::slug;
pub use split::split;
