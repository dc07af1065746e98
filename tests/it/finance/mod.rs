//! Currencies, closed months, invoices, restatements: small bills through the front door, followed by hand.

mod adjusted;
mod api;
mod bill_gaps;
mod booked_late;
mod commitments;
mod cost_centers;
mod cross_view;
mod currency;
mod drill;
mod drill_causes;
mod drill_closed;
mod drill_figures;
mod first_bill;
mod invoice_items;
mod invoices;
mod invoices_of_issuers;
mod late;
mod line_totals;
mod list_prices;
mod missing_bills;
mod months;
mod narrowed;
mod prices;
mod restated;
mod unbilled;
mod why;
mod why_commitments;
mod why_dimension;
mod why_places;

use crate::support::{self, TestApp, config, pools};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use costwake::focus::BillingPeriod;
use costwake::rollup::{ImportOptions, ImportRequest, Person, accept, import_with, verify};
use costwake::store::Role;
use costwake::store::receipts::Receipt;
use costwake::web::{self, AppState};
use scraper::{Html, Selector};
use sqlx::PgPool;

/// The columns of these bills.
pub const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,InvoiceId,ServiceCategory,ServiceName,SubAccountId,\
ResourceId,RegionId,SkuId,PricingQuantity,PricingUnit,Tags";

/// Who decides.
pub const BY: Person<'_> = Person { login: "fin", address: "192.0.2.9" };

/// A line of a bill; what the tests do not look at is the same on each.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub cost: &'static str,
    pub currency: &'static str,
    /// `2026-10`: its bill.
    pub billed: &'static str,
    /// `2026-10-05`: when it arose.
    pub day: &'static str,
    pub service: &'static str,
    pub category: &'static str,
    pub invoice: &'static str,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            cost: "1",
            currency: "USD",
            billed: "2026-10",
            day: "2026-10-05",
            service: "checkout",
            category: "Usage",
            invoice: "",
        }
    }
}

/// The text of a FOCUS file.
pub fn bill(lines: &[Line]) -> String {
    let mut text = format!("{HEADER}\n");
    for Line { cost, currency, billed, day, service, category, invoice } in lines {
        let month: BillingPeriod = billed.parse().unwrap();
        let next = day.parse::<chrono::NaiveDate>().unwrap().succ_opt().unwrap();
        text.push_str(&format!(
            "{cost},{cost},{cost},{cost},{currency},acct-1,{billed}-01T00:00:00Z,{}T00:00:00Z,{day}T00:00:00Z,\
             {next}T00:00:00Z,{category},,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,{invoice},Compute,Machines,\
             sub-1,vm-{service},eu-1,sku-1,1,Hours,\"{{\"\"service\"\":\"\"{service}\"\"}}\"\n",
            month.next().first_day(),
        ));
    }
    text
}

fn clock() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

pub fn decimal(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

/// The service on a test's database, on 20 November 2026.
pub struct World {
    pub app: TestApp,
    pub folder: tempfile::TempDir,
    pub db: PgPool,
}

pub async fn world(db: &PgPool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let state = AppState::new(config(&["--data-dir", data_dir.to_str().unwrap()]), pools(db)).unwrap();
    let state = state.with(|parts| parts.clock = clock);
    let mut app = support::app(db.clone()).await;
    app.router = web::router(state.clone());
    app.state = state;
    World { app, folder, db: db.clone() }
}

impl World {
    /// Imports these lines as a bill of the source `cloud-one`, published at this instant.
    pub async fn import(&self, lines: &[Line], now: &str) -> Receipt {
        self.import_text(&bill(lines), now).await
    }

    /// Imports this text in the same way. What waits because it changes a closed month is accepted, so that the test
    /// is about what comes then.
    pub async fn import_text(&self, text: &str, now: &str) -> Receipt {
        self.import_as("cloud-one", text, now).await
    }

    /// Imports this text as a bill of this source, and accepts what waits in the same way.
    pub async fn import_as(&self, source: &str, text: &str, now: &str) -> Receipt {
        let mut receipt = self.hand_in_as(source, text, now).await;
        if receipt.waits_for_closed_month {
            receipt = accept(&self.app.state.pools, receipt.delivery_id, BY, time(now)).await.unwrap();
        }
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
        receipt
    }

    /// Imports this text as a bill of the source `cloud-one`, whatever becomes of it.
    pub async fn hand_in(&self, text: &str, now: &str) -> Receipt {
        self.hand_in_as("cloud-one", text, now).await
    }

    async fn hand_in_as(&self, source: &str, text: &str, now: &str) -> Receipt {
        self.hand_in_file((source, "bill.csv", ""), text, now).await
    }

    /// Makes a source whose files add up: each name counts by itself ([`Self::import_object`]).
    pub async fn add_appending(&self, source: &str) {
        sqlx::query(
            "WITH made AS (INSERT INTO source (name) VALUES ($1) RETURNING source_id)
             INSERT INTO source_setting (source_id, kind, layout, restatement, created_at, created_by, changed_at)
             SELECT source_id, 'directory', 'oci', 'append-by-object', now(), 'test', now() FROM made",
        )
        .bind(source)
        .execute(&self.db)
        .await
        .unwrap();
    }

    /// Imports these lines as a file of this name, which its source adds to its other files.
    pub async fn import_object(&self, (source, object): (&str, &str), lines: &[Line], now: &str) {
        let receipt = self.hand_in_file((source, object, ""), &bill(lines), now).await;
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    }

    /// Imports these lines as a bill of one export of a source, which counts beside its others.
    pub async fn import_export(&self, (source, export): (&str, &str), lines: &[Line], now: &str) {
        let receipt = self.hand_in_file((source, "bill.csv", export), &bill(lines), now).await;
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    }

    async fn hand_in_file(&self, file: (&str, &str, &str), text: &str, now: &str) -> Receipt {
        let (source, file_name, export) = file;
        let path = self.folder.path().join("bill.csv");
        std::fs::write(&path, text).unwrap();
        let request = ImportRequest {
            path,
            file_name: file_name.into(),
            source: Some(source.into()),
            as_of: None,
            received_by: "test".into(),
            now: time(now),
        };
        // Bills of several sources are of one account here, and all of them are meant.
        let options =
            ImportOptions { is_counted_elsewhere_too: true, export: export.into(), ..ImportOptions::default() };
        import_with(&self.app.state.pools, request, options, |_, _, _| {}).await.unwrap()
    }

    pub async fn finance(&self) -> TestApp {
        self.app.browser(Role::Finance, false, &[]).await
    }

    /// Every invariant holds.
    pub async fn assert_clean(&self) {
        for check in self.checks().await {
            assert!(check.differences.is_empty(), "{}: {:?}", check.name, check.differences);
        }
    }

    pub async fn checks(&self) -> Vec<verify::Check> {
        verify::verify(&mut self.db.acquire().await.unwrap()).await.unwrap()
    }
}

/// The texts of all elements that a selector finds.
pub fn texts(html: &str, selector: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector)
        .map(|one| one.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The cells of a column of a CSV file.
pub fn column(text: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("{name}: {text}"));
    reader.records().map(|row| row.unwrap()[at].to_owned()).collect()
}

/// What a column of a CSV file adds up to.
pub fn sum(text: &str, name: &str) -> BigDecimal {
    column(text, name).iter().filter(|cell| !cell.is_empty()).map(|cell| decimal(cell)).sum()
}

/// A deployment of a service that succeeded at this instant.
pub async fn deployed(
    db: &PgPool,
    (external_id, version): (&str, &str),
    service: &str,
    environment: &str,
    at: &str,
) -> i64 {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at, finished_at,
             version)
         SELECT 1, $1, environment_id, 'succeeded', $2, $2, $2, $3 FROM environment WHERE slug = $4
         RETURNING deployment_id",
    )
    .bind(external_id)
    .bind(time(at))
    .bind(version)
    .bind(environment)
    .fetch_one(db)
    .await
    .unwrap();
    let sql =
        "INSERT INTO deployment_service (deployment_id, service_id) SELECT $1, service_id FROM service WHERE slug = $2";
    sqlx::query(sql).bind(id).bind(service).execute(db).await.unwrap();
    id
}
