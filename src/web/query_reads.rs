//! What the database says to a query string: the days that it means, and the charges.

use super::error::{Error, Result};
use super::query::{NONE, View};
use super::span::Span;
use crate::focus::DateRange;
use crate::store::costs::CostFilter;
use crate::store::freshness::{self, Freshness};
use crate::store::{catalogue_names, team_heads};
use sqlx::PgConnection;

impl View {
    /// How far bills reach, of the service or the team that this view is narrowed to: a late source is no matter of those
    /// that it does not bill.
    pub async fn bills(&self, conn: &mut PgConnection) -> Result<Freshness> {
        let all = freshness::read(&mut *conn).await?;
        self.narrowed(conn, all).await
    }

    /// The same, where all bills are read already.
    pub async fn narrowed(&self, conn: &mut PgConnection, all: Freshness) -> Result<Freshness> {
        let (service, team) = (self.text("service"), self.text("team"));
        if all.missing.is_empty() || (service.is_none() && team.is_none()) {
            return Ok(all);
        }
        let named = catalogue_names::ids(&mut *conn, service, None, team).await?;
        Ok(match (named.service_id, named.team_id) {
            (Some(service_id), _) => all.of_services(&[service_id]),
            (None, Some(team_id)) => all.of_services(&team_heads::service_ids(conn, team_id).await?),
            (None, None) => all,
        })
    }

    /// The days of this view; `None` before the first bill, or where none of them is complete yet.
    pub fn span(&self, bills: &Freshness) -> Option<Span> {
        let mut span = Span::new(self.period, self.versus, bills.complete_to()?, bills.last_charge_date()?)?;
        span.partial_from = bills.partial_from();
        Some(span)
    }

    /// The charges of this view. Names of the catalogue become ids; one that does not exist is refused.
    pub async fn filter(&self, conn: &mut PgConnection, days: DateRange) -> Result<CostFilter> {
        let named = catalogue_names::ids(conn, self.text("service"), self.text("env"), self.text("team")).await?;
        Ok(CostFilter {
            service_id: found("service", self.text("service"), named.service_id)?,
            environment_id: found("env", self.text("env"), named.environment_id)?,
            team_id: found("team", self.text("team"), named.team_id)?,
            provider_name: self.text("provider").map(str::to_owned),
            charge_category: self.text("charge").map(str::to_owned),
            currency: self.text("cur").map(str::to_owned),
            ..CostFilter::new(days, self.basis)
        })
    }
}

fn found(key: &str, slug: Option<&str>, id: Option<i64>) -> Result<Option<i64>> {
    match (slug, id) {
        (None, _) => Ok(None),
        (Some(NONE), None) => Ok(Some(0)),
        (Some(slug), None) => {
            let list = match key {
                "env" => "/environments",
                "team" => "/teams",
                _ => "/services",
            };
            Err(Error::Invalid(format!(
                "{key}={slug} is not in the catalogue. Allowed: a name listed at {list}, or \"{NONE}\" for what is not allocated."
            )))
        }
        (Some(_), id) => Ok(id),
    }
}
