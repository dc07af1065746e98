//! `/docs`: what there is to read here, and `/docs/formats.md`: what is read of bills, as the file says it.

use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, connect_guides};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;

static FORMATS: &str = include_str!("../../docs/formats.md");

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/docs", Policy::SignedIn, show)
        .get("/docs/formats.md", Policy::SignedIn, || std::future::ready(FORMATS))
}

#[derive(Template, WebTemplate)]
#[template(path = "docs.html")]
struct DocsPage {
    page: Page,
    /// Path and title of each.
    guides: Vec<(&'static str, &'static str)>,
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<DocsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Documentation", NavItem::Api).await?;
    Ok(DocsPage { page, guides: connect_guides::all().collect() })
}
