//! `costwake demo --check`: signs in as a reader, opens every page of the navigation and one of each page that it
//! leads to, looks for empty ones and for totals of nothing, and verifies all totals.

use super::client::{Caller, succeeded};
use super::step;
use crate::commands::running::Running;
use crate::rollup::verify;
use crate::store::Pools;
use anyhow::{Context, bail, ensure};
use reqwest::{Method, StatusCode};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Pages of one kind that are opened, like `/services/{slug}`.
const PAGES_OF_A_KIND_MAX: usize = 3;
const PAGES_MAX: usize = 400;
const PROOF_WAIT_MAX: Duration = Duration::from_secs(120);

/// Fails on the first thing that is wrong.
pub async fn check(running: &Running, pools: &Pools, link: &str) -> anyhow::Result<()> {
    let caller = Caller::new(running.address())?;
    let path = link.strip_prefix(&running.address()).context("the sign-in link is on another address")?;
    let cookie = sign_in(&caller, path).await?;
    let opened = open_pages(&caller, &cookie).await?;
    let filled = look_at_navigation(&caller, &cookie).await?;
    step(format_args!("{opened} pages open, {filled} of the navigation show something"));

    let mut snapshot = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let checks = verify::verify(&mut snapshot).await?;
    snapshot.commit().await?;
    for check in &checks {
        ensure!(check.checked > 0, "verify: {}: there was nothing to check", check.name);
        if let Some(difference) = check.differences.first() {
            bail!("verify: {}: {difference}", check.name);
        }
    }
    step(format_args!("{} checks of all totals hold", checks.len()));
    Ok(())
}

async fn sign_in(caller: &Caller, path: &str) -> anyhow::Result<String> {
    succeeded(caller.request(Method::GET, path).send().await?, path).await?;
    let password = crate::web::secret::random();
    let form = serde_urlencoded::to_string([("password", &password), ("password_again", &password)])?;
    let request = caller.request(Method::POST, path).header("Content-Type", "application/x-www-form-urlencoded");
    let response = request.body(form).send().await?;
    ensure!(response.status() == StatusCode::SEE_OTHER, "signing in answered {}", response.status());
    let cookie = response.headers().get("set-cookie").context("signing in set no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn open_pages(caller: &Caller, cookie: &str) -> anyhow::Result<usize> {
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut opened = 0;
    while let Some(path) = waiting.pop_front() {
        ensure!(
            opened < PAGES_MAX,
            "the pages lead to more than {PAGES_MAX} pages, however few of each kind are opened"
        );
        let response = caller.request(Method::GET, &path).header("Cookie", cookie).send().await?;
        let is_page =
            response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let body = succeeded(response, &path).await?;
        opened += 1;
        if !is_page {
            continue;
        }
        ensure!(body.contains("</html>"), "{path} ends half-way");
        for link in links(&body) {
            let of_its_kind = kinds.entry(kind(&link)).or_default();
            if *of_its_kind < PAGES_OF_A_KIND_MAX && seen.insert(link.clone()) {
                *of_its_kind += 1;
                waiting.push_back(link);
            }
        }
    }
    ensure!(opened > 10, "only {opened} pages were found: the navigation is missing");
    Ok(opened)
}

/// The navigation's own pages, and the latest statement: none is empty, and those with a total have one.
async fn look_at_navigation(caller: &Caller, cookie: &str) -> anyhow::Result<usize> {
    let open = async |path: &str| {
        succeeded(caller.request(Method::GET, path).header("Cookie", cookie).send().await?, path).await
    };
    run_the_proof(caller, cookie, &open).await?;
    let overview = open("/").await?;
    let navigation = between(&overview, "<nav class=\"nav\"", "</nav>").context("there is no navigation")?;
    let paths: BTreeSet<String> = links(navigation).into_iter().collect();
    let mut empty = Vec::new();
    for path in &paths {
        let page = open(path).await?;
        if shows_empty_state(&page) {
            empty.push(path.as_str());
        }
        if ["/", "/services"].contains(&path.as_str()) {
            ensure!(has_total(&page), "{path} has no total, or one of nothing");
        }
    }
    ensure!(empty.is_empty(), "these pages have nothing to show: {}", empty.join(", "));
    let statements = links(&open("/finance/statements").await?);
    let is_month = |path: &&String| path.starts_with("/finance/statements/2") && !path.contains(".csv");
    let statement = statements.iter().find(is_month).context("/finance/statements names no month")?;
    ensure!(has_total(&open(statement).await?), "{statement} has no total, or one of nothing");
    look_at_finance(&open).await?;
    look_at_events(&open).await?;
    Ok(paths.len())
}

/// What finance did: divided costs, compared invoices, closed months, and figures in the reporting currency.
async fn look_at_finance(open: &impl AsyncFn(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    shows(open, "/splits", "id=\"split-").await?;
    shows(open, "/finance/invoices?state=differs", "class=\"total\"").await?;
    shows(open, "/finance/invoices?state=within-tolerance", "class=\"total\"").await?;
    shows(open, "/finance/statements", "Closed").await?;
    shows(open, "/finance/rates", "entered").await?;
    shows(open, "/savings", "of the capacity is used, by utilization").await
}

/// What else happened: an event that rules placed, one that is pinned, and one that waits for a rule.
async fn look_at_events(open: &impl AsyncFn(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    for words in ["Service by", "Pinned by", "not mapped"] {
        shows(open, "/events", words).await?;
    }
    shows(open, "/unmapped?show=events", "/events/").await?;
    let is_event = |path: &&String| path.strip_prefix("/events/").is_some_and(|id| id.parse::<i64>().is_ok());
    let listed = links(&open("/events").await?);
    let newest = listed.iter().find(is_event).context("/events leads to no event")?;
    shows(open, newest, "How it was matched").await
}

async fn shows(open: &impl AsyncFn(&str) -> anyhow::Result<String>, path: &str, words: &str) -> anyhow::Result<()> {
    let page = open(path).await?;
    ensure!(page.contains(words), "{path} does not show {words:?}");
    Ok(())
}

/// By the button of its page, which shows nothing before.
async fn run_the_proof(
    caller: &Caller,
    cookie: &str,
    open: &impl AsyncFn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let answer = caller.request(Method::POST, "/verify").header("Cookie", cookie).send().await?;
    ensure!(answer.status() == StatusCode::SEE_OTHER, "running the proof answered {}", answer.status());
    let began = Instant::now();
    while shows_empty_state(&open("/verify").await?) {
        ensure!(began.elapsed() < PROOF_WAIT_MAX, "the proof had no result after {} s", PROOF_WAIT_MAX.as_secs());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn between<'a>(page: &'a str, start: &str, end: &str) -> Option<&'a str> {
    page.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}

fn shows_empty_state(page: &str) -> bool {
    ["class=\"state\"", "class=\"section state\"", "class=\"state bad\""].iter().any(|state| page.contains(state))
}

/// Whether the first amount in the first row of totals is not zero.
fn has_total(page: &str) -> bool {
    let row = between(page, "<tr class=\"total\">", "</tr>");
    let cell = row.and_then(|row| between(row, "<td class=\"n\">", "</td>")).unwrap_or_default();
    let text: String = cell.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    text.contains(|digit: char| ('1'..='9').contains(&digit))
}

/// The links of a page to the same server.
fn links(page: &str) -> Vec<String> {
    let targets = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = targets.filter(|target| target.starts_with('/') && !target.starts_with("//"));
    let plain =
        own.map(|target| target.split('#').next().unwrap_or_default().replace("&amp;", "&").replace("&#38;", "&"));
    plain.filter(|target| !target.starts_with("/static/") && target != "/sign-out").collect()
}

/// Pages of one kind differ in what they show, not in what they are: `/services/a` and `/services/b?from=…`.
fn kind(link: &str) -> String {
    let path = link.split('?').next().unwrap_or_default();
    let mut parts = path.trim_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    // Below these every path is a page of its own.
    if matches!(first, "settings" | "finance" | "docs" | "api") && !path.ends_with(|last: char| last.is_ascii_digit()) {
        return path.to_owned();
    }
    let rest = parts.map(|part| if part.ends_with(".csv") { "x.csv" } else { "x" });
    format!("{first}/{}", rest.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_own_server_are_found() {
        let page = r##"<a href="/services/a?x=1&amp;y=2#t"><a href="//evil"><a href="https://x"><link href="/static/1/a.css"><a href="#c">"##;
        assert_eq!(links(page), ["/services/a?x=1&y=2"]);
    }

    #[test]
    fn totals_of_nothing_and_empty_states_are_seen() {
        let page = |amount: &str| {
            format!(
                "<tr><td class=\"n\">7</td></tr><tr class=\"total\"><th>Total</th><td class=\"n\"><span class=\"amount a1\">{amount}</span></td><td class=\"n\">100 %</td></tr>"
            )
        };
        assert!(has_total(&page("$1,024.00")) && !has_total(&page("$0.00")) && !has_total("<table></table>"));
        assert!(shows_empty_state("<div class=\"section state\"><h3>No cost</h3>") && !shows_empty_state(&page("1")));
    }

    #[test]
    fn pages_of_one_kind_are_told_from_others() {
        assert_eq!(kind("/services/a"), kind("/services/b"));
        assert_ne!(kind("/services"), kind("/services/b"));
        assert_eq!(kind("/services/a"), kind("/services/a?basis=billed"));
        assert_eq!(kind("/finance/statements/2026-01"), kind("/finance/statements/2026-02"));
        assert_ne!(kind("/settings/users"), kind("/settings/tokens"));
    }
}
