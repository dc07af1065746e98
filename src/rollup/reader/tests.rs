use super::*;
use std::io::Write;
use tokio::sync::mpsc::channel;

const HEADER: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,\
    ChargePeriodEnd,BillingAccountId,ChargeCategory,ServiceName,ProviderName,InvoiceIssuerName";

/// A row of a month, of this provider and issuer.
fn row(month: &str, next: &str, provider: &str, issuer: &str) -> String {
    let (start, end) = (format!("{month}-01T00:00:00Z"), format!("{next}-01T00:00:00Z"));
    format!("1,1,USD,{start},{end},{month}-05T00:00:00Z,{month}-06T00:00:00Z,1,Usage,Servers,{provider},{issuer}\n")
}

fn found(text: &str) -> Found {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let ((charges, _charges), (staged, _staged)) = (channel(64), channel(64));
    let plan = Plan {
        paths: vec![file.path().to_owned()],
        format: None,
        beside: None,
        first_generation_id: 1,
        limits: Limits::default(),
        charges,
        staged,
        progress: Arc::new(|_: u64, _: u64, _: u64| {}),
    };
    match read(plan, KeyAttributes::of(Vec::new(), &[]).unwrap()) {
        Ok(found) => found,
        Err(unread) => panic!("{}", unread.error),
    }
}

fn billers(found: &Found) -> Vec<String> {
    let shown = found.scopes.list().iter().map(|scope| {
        format!("{} {} of {}", scope.billing_period_start, scope.providers.join("+"), scope.issuers.join("+"))
    });
    shown.collect()
}

/// Rows of one charge group stand in two bills: each bill must know who provides and invoices it, in the order of the
/// first rows.
#[test]
fn each_bill_knows_its_billers_though_groups_are_of_several() {
    let october = |provider: &str, issuer: &str| row("2026-10", "2026-11", provider, issuer);
    let november = |provider: &str, issuer: &str| row("2026-11", "2026-12", provider, issuer);
    let rows = [
        october("Acme", "Acme"),
        november("Other", "Reseller"),
        november("Acme", "Acme"),
        october("Acme", "Acme"),
        october("Other", "Reseller"),
        november("Other", "Reseller"),
    ];
    let expected = ["2026-10-01 Acme+Other of Acme+Reseller", "2026-11-01 Other+Acme of Reseller+Acme"];
    assert_eq!(billers(&found(&format!("{HEADER}\n{}", rows.concat()))), expected);
}

/// Nothing of such a file is counted, and who sent it is told all the same.
#[test]
fn billers_are_known_where_no_charge_can_be_counted() {
    let text =
        format!("{HEADER}\n{}", row("2026-10", "2026-11", "Acme", "Reseller")).replace("EffectiveCost", "x_Cost");
    let found = found(&text);
    assert_eq!(found.lacks_essentials(), ["EffectiveCost"]);
    assert_eq!(billers(&found), ["2026-10-01 Acme of Reseller"]);
}
