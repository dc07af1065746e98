//! Who may see which money.

use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// All services, organisation totals, no user data.
    Viewer,
    /// Money of the own teams, everyone's deployments.
    Member,
    /// All money, uploads, rules.
    Finance,
    /// Users, tokens, sources, settings; money only where finance is granted too.
    Admin,
}

/// Which money a query may read. There is no query of money without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Option<Vec<i64>>);

impl Scope {
    /// All services and what is not allocated.
    pub fn everything() -> Self {
        Self(None)
    }

    /// The services of these teams, and nothing else.
    pub fn teams(team_ids: Vec<i64>) -> Self {
        Self(Some(team_ids))
    }

    /// No money at all.
    pub fn nothing() -> Self {
        Self(Some(Vec::new()))
    }

    /// For SQL: `($1::bigint[] IS NULL OR service.team_id = ANY($1))`.
    pub fn team_ids(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }

    /// Whether the money of what this team owns may be shown. What no team owns is shown with everything only.
    pub fn has_team(&self, team_id: Option<i64>) -> bool {
        self.0.as_ref().is_none_or(|own| team_id.is_some_and(|team| own.contains(&team)))
    }

    /// Whether organisation totals may be shown.
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }
}
