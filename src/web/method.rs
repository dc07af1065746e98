//! `/docs/method`: how effects of deployments and causes of changes are worked out, in plain words, with how often the
//! method is wrong here.

use super::display::percent;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::store::effect_runs::{self, Run, StoredCalibration};
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
    placebos: Option<Placebos>,
}

struct Placebos {
    learnt: StoredCalibration,
    /// `2.3%`.
    claimed: String,
    outside: String,
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<MethodPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Method", NavItem::Deployments).await?;
    let learnt = effect_runs::calibration(&mut snapshot).await?.filter(|learnt| learnt.placebo_count > 0);
    let share = |count: i64, of: i64| percent(&BigDecimal::from(count), &BigDecimal::from(of)).unwrap_or_default();
    Ok(MethodPage {
        run: effect_runs::last(&mut snapshot).await?,
        placebos: learnt.map(|learnt| Placebos {
            claimed: share(learnt.claimed_count, learnt.placebo_count),
            outside: share(learnt.outside_count, learnt.placebo_count),
            learnt,
        }),
        page,
    })
}
