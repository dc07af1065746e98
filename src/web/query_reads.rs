//! What the database says to a query string: the days that it means, and the charges.

use super::AppState;
use super::charge_filter;
use super::error::{Error, Result};
use super::query::{NONE, Period, Versus, View};
use super::span::Span;
use crate::focus::DateRange;
use crate::store::costs::CostFilter;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Part;
use crate::store::{Scope, catalogue_names, dimension_costs};
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;

impl View {
    /// How far bills reach, of what this view is narrowed to and these readers may see: a late source is no matter of
    /// what it does not bill.
    pub async fn bills(&self, app: &AppState, conn: &mut PgConnection, scope: &Scope) -> Result<Freshness> {
        let all = app.bills(&mut *conn).await?;
        self.narrowed(all, conn, scope).await
    }

    /// Of all bills, what [`Self::bills`] gives: those of this part of all cost, looked at on these days.
    pub async fn narrowed(&self, all: Freshness, conn: &mut PgConnection, scope: &Scope) -> Result<Freshness> {
        if all.missing.is_empty() && all.gaps.is_empty() {
            // What no bill has is refused also where nothing lacks and no day is complete.
            self.known_values(conn).await?;
            return Ok(all);
        }
        let part = self.part(&mut *conn).await?;
        Ok(self.looked_at(all.of_part(conn, scope, part).await?))
    }

    /// How far these bills reach, looked at on the days of this view and those that they are compared with. Days that are
    /// still to come are looked at too where they are asked for: a source that figures wait for is missing on them.
    pub fn looked_at(&self, bills: Freshness) -> Freshness {
        let Some(span) = self.span(&bills) else { return bills };
        let end = match self.period {
            Period::Month(month) => month.days().end(),
            Period::Days(days) => days.end(),
            Period::LastDays(_) | Period::TwelveMonths | Period::MonthToDate => {
                bills.newest().map_or(span.days.end(), |newest| span.days.end().max(newest + Days::new(1)))
            }
        };
        let before = match self.versus {
            Versus::Month(month) => month.days(),
            Versus::Days(days) => days,
            Versus::Previous | Versus::PreviousYear => span.before,
        };
        bills.of_days(DateRange::new(span.days.start(), end).into_iter().chain([before]).collect())
    }

    /// The same bills, looked at on the days of this view alone: for figures that are compared with nothing.
    pub fn looked_at_alone(&self, bills: Freshness) -> Freshness {
        let asked = match self.period {
            Period::Month(month) => Some(month.days()),
            Period::Days(days) => Some(days),
            Period::LastDays(_) | Period::TwelveMonths | Period::MonthToDate => {
                let end = bills.newest().map(|newest| newest + Days::new(1));
                self.span(&bills).and_then(|span| {
                    DateRange::new(span.days.start(), end.map_or(span.days.end(), |end| end.max(span.days.end())))
                })
            }
        };
        match asked {
            Some(days) => bills.of_days(vec![days]),
            None => bills,
        }
    }

    /// The part of all cost that it is narrowed to. A name that the catalogue does not know narrows nothing here.
    pub async fn part(&self, conn: &mut PgConnection) -> Result<Part> {
        let named = catalogue_names::ids(&mut *conn, self.text("service"), self.text("env"), self.text("team")).await?;
        let known = self.known_values(conn).await?;
        let id = |key, id: Option<i64>| id.or_else(|| (self.text(key) == Some(NONE)).then_some(0));
        Ok(Part {
            service_id: id("service", named.service_id),
            environment_id: id("env", named.environment_id),
            team_id: id("team", named.team_id),
            provider_name: known.provider,
            charge_category: known.charge,
            currency: known.currency,
        })
    }

    /// The days of this view; `None` before the first bill, or where none of them is complete yet.
    pub fn span(&self, bills: &Freshness) -> Option<Span> {
        let mut span = Span::new(self.period, self.versus, bills.complete_to()?, bills.last_charge_date()?)?;
        span.partial_from = bills.partial_from();
        span.bills_from = bills.bills_from();
        Some(span.with_gaps(bills.gaps.iter().map(|gap| gap.period), bills.unbilled.iter().copied()))
    }

    /// The days of this view up to today: for what no bill tells.
    pub fn span_to(&self, today: NaiveDate) -> Option<Span> {
        Span::new(self.period, self.versus, today, today)
    }

    /// The charges of this view. Names of the catalogue become ids; one that does not exist is refused, as is a provider, a
    /// category or a currency that no bill has.
    pub async fn filter(&self, conn: &mut PgConnection, days: DateRange) -> Result<CostFilter> {
        let named = catalogue_names::ids(&mut *conn, self.text("service"), self.text("env"), self.text("team")).await?;
        let known = self.known_values(conn).await?;
        Ok(CostFilter {
            service_id: found("service", self.text("service"), named.service_id)?,
            environment_id: found("env", self.text("env"), named.environment_id)?,
            team_id: found("team", self.text("team"), named.team_id)?,
            provider_name: known.provider,
            charge_category: known.charge,
            currency: known.currency,
            ..CostFilter::new(days, self.basis)
        })
    }

    /// The dimension and the value that it is narrowed to, in the words of `/charges`. A dimension that nothing has is
    /// refused: without a value of it is all cost.
    pub async fn dimension(&self, conn: &mut PgConnection) -> Result<Option<(String, String)>> {
        let Some(text) = self.text("dimension") else { return Ok(None) };
        let (name, value) = charge_filter::dimension(text)?;
        if !dimension_costs::names(conn).await?.contains(&name) {
            return Err(Error::Invalid(format!(
                "dimension={text} is not known. Allowed: a name listed at /dimensions with a value, like product:Shop, or \"{NONE}\" for what has no value."
            )));
        }
        Ok(Some((name, value)))
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
