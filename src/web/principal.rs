//! The person or token behind a request.

use super::error::Error;
use crate::store::{Role, Scope};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Who is asking. Put into the request by the route registry; a handler takes it as an argument.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The account.
    pub user_id: i64,
    /// The account's name, as it stands in the audit log.
    pub login: String,
    /// What the account may do.
    pub role: Role,
    /// An administrator who was granted finance too.
    pub also_finance: bool,
    /// The teams of a member.
    pub team_ids: Vec<i64>,
    /// `light`, `dark`, or empty for the reader's own setting.
    pub theme: String,
}

impl Principal {
    /// The money this person may see.
    pub fn scope(&self) -> Scope {
        match self.role {
            Role::Viewer | Role::Finance => Scope::everything(),
            Role::Member => Scope::teams(self.team_ids.clone()),
            Role::Admin if self.also_finance => Scope::everything(),
            Role::Admin => Scope::nothing(),
        }
    }

    /// Finance, or an administrator with finance.
    pub fn is_finance(&self) -> bool {
        self.role == Role::Finance || self.also_finance
    }

    /// Administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::Unauthorized)
    }
}
