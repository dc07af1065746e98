//! Deliveries into the ledger: what is counted, when, and that nothing is lost or counted twice.

mod arbitrary;
mod azure;
mod broken_connections;
mod calendar;
mod conflicts;
mod conformance;
mod faults;
mod files;
mod jobs;
mod killed;
mod kills;
mod memory;
mod memory_limit;
mod model;
mod oracle;
mod replaced;
mod states;
mod taking_back;
mod together;
mod twice;

use crate::support;
use chrono::{DateTime, Utc};
use costwake::rollup::{ImportOptions, ImportRequest, Person, import_with, verify, withdraw};
use costwake::store::receipts::Receipt;
use sqlx::PgPool;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingAccountName,BillingCurrency,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ConsumedQuantity,ConsumedUnit,ContractedUnitPrice,InvoiceIssuerName,ListUnitPrice,PricingCategory,\
PricingQuantity,PricingUnit,ProviderName,PublisherName,RegionId,RegionName,ResourceId,ResourceName,ResourceType,\
ServiceCategory,ServiceName,SkuId,SkuPriceId,SubAccountId,SubAccountName,Tags,x_CostInPoints";

/// Who decides.
pub const ANN: Person<'_> = Person { login: "ann", address: "192.0.2.7" };

/// A line of a bill; the rest of its 38 columns does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub account: String,
    /// `2026-10`.
    pub period: String,
    /// `2026-10-03`.
    pub day: String,
    pub currency: String,
    /// BilledCost, EffectiveCost, ListCost, ContractedCost.
    pub costs: [String; 4],
    pub service: String,
    pub category: &'static str,
    /// The tag "lane", and the machine's name after "vm-"; empty where it has neither.
    pub lane: &'static str,
}

impl Line {
    /// One dollar figure in all four columns.
    pub fn of(period: &str, day: u32, service: &str, cost: &str) -> Self {
        Self {
            account: "00123".into(),
            period: period.into(),
            day: format!("{period}-{day:02}"),
            currency: "USD".into(),
            costs: [cost; 4].map(str::to_owned),
            service: service.into(),
            category: "Usage",
            lane: "",
        }
    }
}

/// The text of a FOCUS file with these lines.
pub fn bill(lines: &[Line]) -> String {
    let mut text = format!("{HEADER}\n");
    for Line { account, period, day, currency, costs, service, category, lane } in lines {
        let (year, month) = period.split_once('-').unwrap();
        let (year, month): (u32, u32) = (year.parse().unwrap(), month.parse().unwrap());
        let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let [billed, effective, list, contracted] = costs;
        let (machine, lane_tag) = match *lane {
            "" => ("vm".to_owned(), String::new()),
            lane => (format!("vm-{lane}"), format!(", \"\"lane\"\": \"\"{lane}\"\"")),
        };
        writeln!(
            text,
            "{billed},{effective},{list},{contracted},{account},Payer,{currency},{period}-01T00:00:00Z,\
             {next_year}-{next_month:02}-01T00:00:00Z,{day}T05:00:00Z,{day}T06:00:00Z,{category},,Some use,Usage-Based,\
             1.5,Hours,0.1,Acme,0.2,Standard,1.5,Hours,Acme,Acme,eu-1,Europe,vm-{service},{machine},Machine,Compute,\
             Machines,SKU1,PRICE1,sub-{account},Team account,\"{{\"\"service\"\": \"\"{service}\"\"{lane_tag}}}\",12.5",
        )
        .unwrap();
    }
    text
}

/// A bill of October with as many lines, over the days and seven services.
pub fn october(cost: &str, count: u32) -> String {
    bill(&(0..count).map(|n| Line::of("2026-10", 1 + n % 28, &format!("service-{}", n % 7), cost)).collect::<Vec<_>>())
}

pub fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("bill.csv");
    std::fs::write(&path, text).unwrap();
    path
}

pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn request(path: PathBuf, source: Option<&str>, as_of: Option<DateTime<Utc>>) -> ImportRequest {
    ImportRequest {
        path,
        file_name: "bill.csv".into(),
        source: source.map(str::to_owned),
        as_of,
        received_by: "test".into(),
        now: time("2026-11-20T10:00:00Z"),
    }
}

/// Imports a text as of a day of November 2026.
pub async fn import_as_of(pool: &PgPool, source: &str, text: &str, day: u32) -> Receipt {
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), text), Some(source), Some(time(&format!("2026-11-{day:02}T00:00:00Z"))));
    import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap()
}

/// Takes all back that a source counts, so that another one may hold the same bill.
pub async fn withdraw_source(pool: &PgPool, source: &str) {
    let published: Vec<i64> = sqlx::query_scalar(
        "SELECT delivery_id FROM delivery JOIN source USING (source_id) WHERE name = $1 AND state = 'published'",
    )
    .bind(source)
    .fetch_all(pool)
    .await
    .unwrap();
    for delivery_id in published {
        withdraw(&support::pools(pool), delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    }
}

/// Every invariant holds.
pub async fn assert_clean(pool: &PgPool) {
    for check in verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap() {
        assert!(check.differences.is_empty(), "{}: {:?}", check.name, check.differences);
    }
}

/// All that readers see of a source, every digit of it.
pub async fn figures(pool: &PgPool, source: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', 'day', s.slug, d.charge_date, g.billing_account_id, d.provider_name, d.charge_category,
             d.billing_currency, d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)
         FROM daily_cost d JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         LEFT JOIN service s USING (service_id) WHERE g.state = 'current' AND o.name = $1
         UNION ALL
         SELECT concat_ws(' ', 'month', s.slug, m.billing_period_start, g.billing_account_id, m.provider_name,
             m.charge_category, m.billing_currency, m.charge_count, m.billed_cost, m.effective_cost, m.list_cost,
             m.contracted_cost)
         FROM monthly_cost m JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         LEFT JOIN service s USING (service_id) WHERE g.state = 'current' AND o.name = $1
         UNION ALL
         SELECT concat_ws(' ', 'line', c.line, c.billing_currency, c.billed_cost, c.effective_cost, c.list_cost,
             c.contracted_cost, c.measures)
         FROM charge c JOIN generation g USING (generation_id) JOIN source o USING (source_id)
         WHERE g.state = 'current' AND o.name = $1
         ORDER BY 1",
    )
    .bind(source)
    .fetch_all(pool)
    .await
    .unwrap()
}
