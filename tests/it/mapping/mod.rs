//! Rules, catalogue, and what they do to cost and deployments.

mod catalogue;
mod dated;
mod deployments;
mod imports;
mod ledger;
mod patched;
mod rules;
mod splits;
mod standard;

use crate::support::TestApp;
use chrono::{DateTime, Utc};
use costwake::store::Role;
use sqlx::PgPool;

/// The time of all tests here: October's bill is in.
fn now() -> DateTime<Utc> {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

/// The service at that time, with a browser of finance.
async fn finance(pool: &PgPool) -> TestApp {
    let mut app = crate::support::app(pool.clone()).await;
    app.state = app.state.with(|parts| parts.clock = now);
    app.router = costwake::web::router(app.state.clone());
    app.sign_in(Role::Finance).await;
    app
}

/// The form's fields on a page, as the browser would send them.
fn hidden_fields(html: &str, action: &str) -> Vec<(String, String)> {
    let page = scraper::Html::parse_document(html);
    let selector = format!("form[action='{action}'] input[type='hidden']");
    let inputs = scraper::Selector::parse(&selector).unwrap();
    let field = |input: scraper::ElementRef<'_>| {
        (input.attr("name").unwrap_or_default().to_owned(), input.attr("value").unwrap_or_default().to_owned())
    };
    page.select(&inputs).map(field).collect()
}

/// Where the first link with this text leads.
fn link(html: &str, text: &str) -> Option<String> {
    let page = scraper::Html::parse_document(html);
    let links = scraper::Selector::parse("a").unwrap();
    let found = page.select(&links).find(|link| link.text().collect::<String>().contains(text));
    found.and_then(|link| link.attr("href").map(str::to_owned))
}
