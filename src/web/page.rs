//! What every page has around its content: navigation, freshness, the person, the theme.

use super::missing_bills::MissingBills;
use super::query::View;
use super::{AppState, Policy, Principal, Result, unknown_keys};
use crate::store::anomaly_lists::{self, OPEN_COUNT_MAX};
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Part;
use crate::store::{Scope, Snapshot};
use chrono::{DateTime, Datelike, Utc};

/// More of what is unmapped is shown as "99+".
const UNMAPPED_COUNT_MAX: i64 = 100;

/// The entries of the navigation; the open one is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the page of that name")]
pub enum NavItem {
    Overview,
    Services,
    Environments,
    Teams,
    Deployments,
    Savings,
    UnitCosts,
    Statements,
    Rates,
    Invoices,
    Forecast,
    Anomalies,
    Unmapped,
    Catalogue,
    Metrics,
    Rules,
    Sources,
    Users,
    Tokens,
    Audit,
    EventSources,
    Proof,
    Api,
    None,
}

/// The frame of a page. Every template struct has one as `page`; `layout.html` reads it.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the title bar: "checkout-api · Services".
    pub title: String,
    /// The open entry of the navigation.
    pub nav: NavItem,
    /// The person's login.
    pub login: String,
    /// Whether money pages are in this person's navigation.
    pub shows_money: bool,
    /// Whether organisation totals are.
    pub shows_organisation: bool,
    /// Whether unallocated money and the rules over it are.
    pub shows_finance: bool,
    /// Whether bills and sources are.
    pub shows_bills: bool,
    /// Whether users, the audit log and event sources are.
    pub shows_admin: bool,
    /// "Bills complete to Fri 20 Nov · read 06:10 UTC".
    pub freshness: String,
    /// How far the bills are complete, for the page's own figures.
    pub bills: Freshness,
    /// Open anomalies that this person may see, up to `OPEN_COUNT_MAX`; 0 for those who see no money.
    pub open_anomaly_count: i64,
    /// Rows that "Unmapped" lists as open; 0 for those who do not see it.
    pub unmapped_count: i64,
    /// The number of the last publication that the page's figures include; 0 before the first.
    pub publication_id: i64,
    /// `light`, `dark` or empty for the reader's own setting.
    pub theme: String,
    /// Names the keys of the address that the page does not know; empty where it knows all.
    pub note: String,
    /// When the page was made.
    pub now: DateTime<Utc>,
}

impl Page {
    /// The frame for this person and this view of the data. A page that reads its address says so by [`Self::noting`],
    /// [`Self::of_days`] or [`Self::of_view`].
    pub async fn new(
        app: &AppState,
        principal: &Principal,
        snapshot: &mut Snapshot,
        title: impl Into<String>,
        nav: NavItem,
    ) -> Result<Self> {
        let bills = app.bills(snapshot).await?;
        let bills = bills.of_part(snapshot, &principal.scope(), Part::default()).await?;
        Self::with_bills(app, principal, snapshot, title.into(), nav, bills).await
    }

    /// The same, of what its view is narrowed to.
    pub async fn of_view(
        app: &AppState,
        principal: &Principal,
        snapshot: &mut Snapshot,
        title: impl Into<String>,
        nav: NavItem,
        view: &View,
    ) -> Result<Self> {
        let bills = view.bills(app, snapshot, &principal.scope()).await?;
        let page = Self::with_bills(app, principal, snapshot, title.into(), nav, bills).await?;
        Ok(page.noting(view.note()))
    }

    async fn with_bills(
        app: &AppState,
        principal: &Principal,
        snapshot: &mut Snapshot,
        title: String,
        nav: NavItem,
        bills: Freshness,
    ) -> Result<Self> {
        let now = app.now();
        let shows_money = Policy::Money.allows(principal);
        let open_anomaly_count = match shows_money && bills.publication_id > 0 {
            true => anomaly_lists::open_count(snapshot, &principal.scope()).await?,
            false => 0,
        };
        let shows_finance = Policy::Finance.allows(principal);
        let unmapped_count = match shows_finance {
            true => app.unmapped_count(snapshot, &principal.scope(), &bills).await?,
            false => 0,
        };
        Ok(Self {
            title,
            nav,
            login: principal.login.clone(),
            shows_money,
            open_anomaly_count,
            unmapped_count,
            shows_organisation: Policy::OrganisationMoney.allows(principal),
            shows_finance,
            shows_bills: Policy::Bills.allows(principal),
            shows_admin: Policy::Admin.allows(principal),
            freshness: freshness_line(&bills, now),
            publication_id: bills.publication_id,
            bills,
            theme: principal.theme.clone(),
            note: unknown_keys::note(&[]),
            now,
        })
    }

    /// The same page, of these services: how far their bills reach.
    pub fn of_services(self, service_ids: &[i64]) -> Self {
        let bills = self.bills.of_services(service_ids);
        self.with(bills)
    }

    /// The same page, of this part of all cost: how far its bills reach.
    pub async fn of_part(mut self, snapshot: &mut Snapshot, scope: &Scope, part: Part) -> Result<Self> {
        let all = std::mem::take(&mut self.bills);
        let bills = all.of_part(snapshot, scope, part).await?;
        Ok(self.with(bills))
    }

    /// The same page, on the days of this view.
    pub fn of_days(mut self, view: &View) -> Self {
        self.bills = view.looked_at(std::mem::take(&mut self.bills));
        self.noting(view.note())
    }

    /// The same page with this note on its address; empty where it passed over none of the keys.
    pub fn noting(self, note: String) -> Self {
        Self { note, ..self }
    }

    fn with(self, bills: Freshness) -> Self {
        Self { freshness: freshness_line(&bills, self.now), bills, ..self }
    }

    /// What late sources leave out of the page's cost on its days.
    pub fn missing(&self) -> MissingBills<'_> {
        MissingBills { bills: &self.bills, shows_sources: self.shows_bills }
    }

    /// `aria-current="page"` for the open entry.
    pub fn is_at(&self, item: &NavItem) -> bool {
        self.nav == *item
    }

    /// The number beside "Anomalies": "3 open".
    pub fn open_anomalies(&self) -> String {
        match self.open_anomaly_count {
            0 => String::new(),
            count if count >= OPEN_COUNT_MAX => "99+ open".into(),
            count => format!("{count} open"),
        }
    }

    /// The number beside "Unmapped".
    pub fn unmapped(&self) -> String {
        match self.unmapped_count {
            0 => String::new(),
            count if count >= UNMAPPED_COUNT_MAX => "99+".into(),
            count => count.to_string(),
        }
    }

    /// The number beside "Data sources": "1 late".
    pub fn late(&self) -> String {
        match self.bills.late().count() {
            0 => String::new(),
            count => format!("{count} late"),
        }
    }
}

fn freshness_line(bills: &Freshness, now: DateTime<Utc>) -> String {
    let Some((complete_to, read_at)) = bills.complete_to().zip(bills.read_at()) else {
        return "No bills yet".into();
    };
    let day = complete_to.format(if complete_to.year() == now.year() { "%a %-d %b" } else { "%-d %b %Y" });
    let late = match bills.late().count() {
        0 => String::new(),
        1 => ", 1 source late".into(),
        count => format!(", {count} sources late"),
    };
    let is_today = read_at.date_naive() == now.date_naive();
    let read = read_at.format(if is_today { "%H:%M" } else { "%-d %b %H:%M" });
    format!("Bills complete to {day}{late} · read {read} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::freshness::SourceReach;

    #[test]
    fn freshness_says_how_far_and_since_when() {
        let read_at: DateTime<Utc> = "2026-11-23T06:10:00Z".parse().unwrap();
        let source = |name: &str, day: &str| SourceReach {
            source_id: 1,
            name: name.into(),
            account: None,
            bills_from: "2026-10-01".parse().unwrap(),
            complete_to: day.parse().unwrap(),
            last_charge_date: day.parse().unwrap(),
            read_at,
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        };
        let bills = Freshness {
            sources: vec![source("aws", "2026-11-20"), source("saas", "2026-11-15")],
            ..Freshness::default()
        };
        let line = freshness_line(&bills, read_at);
        assert_eq!(line, "Bills complete to Fri 20 Nov, 1 source late · read 06:10 UTC");
        assert_eq!(freshness_line(&Freshness::default(), read_at), "No bills yet");
    }
}
