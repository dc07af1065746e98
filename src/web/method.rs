//! `/docs/method`: how effects of deployments and causes of changes are worked out, in plain words, with how often the
//! method is wrong here.

use super::display::percent;
use super::forecast_record;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::store::effect_runs::{self, Run, StoredCalibration};
use crate::store::impact_series::Environments;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use bigdecimal::BigDecimal;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/docs/method", Policy::SignedIn, show)
}

#[derive(Template, WebTemplate)]
#[template(path = "method.html")]
struct MethodPage {
    page: Page,
    run: Option<Run>,
    /// Of production, then of all other environments, as far as they were measured.
    placebos: Vec<Placebos>,
    /// How many intervals of forecasts held.
    forecast_record: String,
}

struct Placebos {
    /// "Production".
    environments: &'static str,
    learnt: StoredCalibration,
    /// `2.3%`.
    claimed: String,
    outside: String,
    /// Whether more intervals leave out zero than should, by more than chance makes.
    has_more_outside: bool,
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<MethodPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Method", NavItem::Deployments).await?;
    let mut placebos = Vec::new();
    for environments in Environments::ALL {
        let learnt = effect_runs::calibration(&mut snapshot, environments).await?;
        placebos
            .extend(learnt.filter(|learnt| learnt.placebo_count > 0).map(|learnt| of_placebos(environments, learnt)));
    }
    let forecast_record = forecast_record::read(&mut snapshot).await?;
    Ok(MethodPage { run: effect_runs::last(&mut snapshot).await?, placebos, forecast_record, page })
}

fn of_placebos(environments: Environments, learnt: StoredCalibration) -> Placebos {
    let share =
        |count: i64| percent(&BigDecimal::from(count), &BigDecimal::from(learnt.placebo_count)).unwrap_or_default();
    Placebos {
        environments: match environments {
            Environments::Production => "Production",
            Environments::Others => "Other environments",
        },
        claimed: share(learnt.claimed_count),
        outside: share(learnt.outside_count),
        has_more_outside: is_more_than_a_tenth(learnt.outside_count, learnt.placebo_count),
        learnt,
    }
}

// By more than two standard deviations of a count that is a tenth on average.
fn is_more_than_a_tenth(part: i64, whole: i64) -> bool {
    let above = 10 * part - whole;
    above > 0 && above * above > 36 * whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_tenth_is_said_where_chance_does_not_make_it() {
        assert!(is_more_than_a_tenth(73, 562), "13 of 100");
        assert!(!is_more_than_a_tenth(60, 562), "chance");
        assert!(!is_more_than_a_tenth(20, 562), "fewer are none too many");
        assert!(!is_more_than_a_tenth(0, 0));
    }
}
