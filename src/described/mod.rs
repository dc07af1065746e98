//! Descriptions of services and teams that are kept elsewhere: Backstage's files, CODEOWNERS, tables. Pure: text in,
//! descriptions out, with what was not understood.

mod backstage;
mod codeowners;
mod plan;
mod table;

pub use backstage::backstage;
pub use codeowners::{OwnerHint, codeowners, owners};
pub use plan::{Change, Conflict, GoneRule, Known, KnownRule, KnownService, Plan, plan, written};
pub use table::table;

use serde::{Deserialize, Serialize};

/// A team that is described.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribedTeam {
    /// Short name.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Where finance books it, where that is said.
    pub cost_center: Option<String>,
}

/// A rule that follows from a description: all of the conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedRule {
    /// `charges` or `deployments`.
    pub applies_to: String,
    /// Attribute and the value that it equals.
    pub conditions: Vec<(String, String)>,
    /// What in the description says so.
    pub evidence: String,
}

/// A service that is described. What is `None` or empty is not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribedService {
    /// Short name.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The short name of the team that owns it.
    pub owner: Option<String>,
    /// `experimental`, `production` or `deprecated`.
    pub lifecycle: Option<String>,
    /// 1 to 9.
    pub tier: Option<i16>,
    /// Where finance books it, where that is not its team's.
    pub cost_center: Option<String>,
    /// What is sold.
    pub product: Option<String>,
    /// Repositories, as `owner/name`.
    pub repositories: Vec<String>,
    /// Where to look when it is down.
    pub runbook: Option<String>,
    /// Names that mean it too.
    pub aliases: Vec<String>,
    /// Rules that follow.
    pub rules: Vec<DescribedRule>,
}

/// What a text describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// Teams.
    pub teams: Vec<DescribedTeam>,
    /// Services.
    pub services: Vec<DescribedService>,
    /// What stands there and is not taken, in sentences.
    pub notes: Vec<String>,
}

/// Reads a description of a kind: `backstage`, `table` or `codeowners`, the last of a repository and over the services
/// that are known. What is wrong, in sentences.
pub fn read(kind: &str, text: &str, repository: &str, known: &Known) -> Result<Described, Vec<String>> {
    match kind {
        "backstage" => backstage(text).map_err(|fault| vec![fault]),
        "table" => table(text),
        "codeowners" => Ok(owners(text, repository, known)),
        _ => Err(vec!["Choose what the file is.".into()]),
    }
}
