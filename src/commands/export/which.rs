//! Which lines an export is of: the conditions of `/charges`, as options.

use crate::focus::BillingPeriod;
use crate::store::charges::ChargeFilter;
use crate::store::{Scope, Snapshot, focus_export, sources};
use crate::web::charge_filter;
use anyhow::{Context, bail};
use chrono::NaiveDate;
use std::path::PathBuf;

const CATEGORIES: [&str; 5] = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"];

/// Without a restriction all lines that count now are written; with several, those that meet all of them.
#[derive(clap::Args)]
pub(super) struct FocusArguments {
    /// The file to write: `.csv`, `.csv.gz`, `.csv.zst` or `.parquet`. One that exists is kept.
    pub file: PathBuf,
    /// Only bills of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only bills of this billing period, such as 2026-10, or of several, such as 2026-08..2026-10.
    #[arg(long, value_name = "MONTHS", value_parser = months)]
    billing_period: Option<(BillingPeriod, BillingPeriod)>,
    /// Only lines charged on this day, such as 2026-10-03, or on these, such as 2026-10-03..2026-10-09.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    charge_days: Option<(NaiveDate, NaiveDate)>,
    /// Only lines of this service of the catalogue, by its address; `none` for those of no service.
    #[arg(long)]
    service: Option<String>,
    /// Only lines of this environment of the catalogue, by its address; `none` for those of no environment.
    #[arg(long)]
    environment: Option<String>,
    /// Only lines of services of this team, by its address; `none` for those of no team.
    #[arg(long)]
    team: Option<String>,
    /// Only lines of this ProviderName, in any letter case.
    #[arg(long)]
    provider: Option<String>,
    /// Only lines of this SubAccountId; `none` for lines without one.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only lines of this ChargeCategory: Usage, Purchase, Tax, Credit or Adjustment.
    #[arg(long, value_parser = category)]
    category: Option<String>,
    /// Only lines in this BillingCurrency.
    #[arg(long)]
    currency: Option<String>,
    /// Only lines of this FOCUS ServiceName: what was bought.
    #[arg(long, value_name = "NAME")]
    service_name: Option<String>,
    /// Only lines of this RegionId.
    #[arg(long)]
    region: Option<String>,
    /// Only lines of this ResourceId; `none` for lines without one.
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Only lines of this InvoiceId; `none` for lines without one.
    #[arg(long, value_name = "ID")]
    invoice: Option<String>,
    /// Only lines with this tag, such as team=shop; team=none for lines without it.
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Option<String>,
    /// Only lines with this value of a dimension of the rules, such as product=Shop; product=none for those without.
    #[arg(long, value_name = "NAME=VALUE", value_parser = dimension)]
    dimension: Option<String>,
}

impl FocusArguments {
    /// Read by what reads an address of `/charges`, so that both mean the same lines.
    pub async fn filter(&self, snapshot: &mut Snapshot) -> anyhow::Result<ChargeFilter> {
        let mut source_id = None;
        if let Some(name) = &self.source {
            let id = sources::id(&mut *snapshot, name).await?.with_context(|| format!("there is no source {name}"))?;
            source_id = Some(id.to_string());
        }
        let mut provider = None;
        if let Some(asked) = self.provider.as_deref().filter(|asked| *asked != "none") {
            provider = match focus_export::provider(snapshot, asked).await? {
                Ok(name) => Some(name),
                Err(known) if known.is_empty() => bail!("there is no bill of any provider yet"),
                Err(known) => bail!("there is no provider {asked}: bills are of {}", known.join(", ")),
            };
        }
        let period = self.charge_days.map(|(first, last)| format!("{first}..{last}"));
        let conditions = [
            ("source", source_id.as_deref()),
            ("service", self.service.as_deref()),
            ("env", self.environment.as_deref()),
            ("team", self.team.as_deref()),
            ("provider", provider.as_deref().or(self.provider.as_deref())),
            ("account", self.account.as_deref()),
            ("charge", self.category.as_deref()),
            ("cur", self.currency.as_deref()),
            ("bought", self.service_name.as_deref()),
            ("region", self.region.as_deref()),
            ("resource", self.resource.as_deref()),
            ("invoice", self.invoice.as_deref()),
            ("tag", self.tag.as_deref()),
            ("dimension", self.dimension.as_deref()),
            ("period", period.as_deref()),
        ];
        let given: Vec<(&str, &str)> =
            conditions.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
        let query = serde_urlencoded::to_string(&given).context("the conditions cannot be written as an address")?;
        let mut filter = charge_filter::for_export(snapshot, &Scope::everything(), &query)
            .await
            .map_err(|error| anyhow::anyhow!("{}", as_options(&error.to_string())))?;
        if let Some((first, last)) = self.billing_period {
            filter.billing_start = Some(first.first_day());
            filter.billing_end = Some(last.next().first_day());
        }
        Ok(filter)
    }
}

// What is refused names the key of an address; the command has options.
fn as_options(sentence: &str) -> String {
    const OPTIONS: [(&str, &str); 7] = [
        ("cur=", "--currency "),
        ("env=", "--environment "),
        ("charge=", "--category "),
        ("bought=", "--service-name "),
        ("service=", "--service "),
        ("team=", "--team "),
        ("period=", "--charge-days "),
    ];
    let of = OPTIONS.iter().find_map(|(key, option)| Some((option, sentence.strip_prefix(key)?)));
    of.map_or_else(|| sentence.to_owned(), |(option, rest)| format!("{option}{rest}"))
}

fn range<T: std::str::FromStr + PartialOrd + Copy>(text: &str, form: &str) -> Result<(T, T), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.trim().parse::<T>(), last.trim().parse::<T>()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        (Ok(_), Ok(_)) => Err("the first is after the last".to_owned()),
        _ => Err(format!("give {form}")),
    }
}

fn months(text: &str) -> Result<(BillingPeriod, BillingPeriod), String> {
    range(text, "a month like 2026-10, or the first and the last like 2026-08..2026-10")
}

fn days(text: &str) -> Result<(NaiveDate, NaiveDate), String> {
    range(text, "a day like 2026-10-03, or the first and the last like 2026-10-03..2026-10-09")
}

fn category(text: &str) -> Result<String, String> {
    let known = CATEGORIES.into_iter().find(|known| known.eq_ignore_ascii_case(text.trim()));
    known.map(str::to_owned).ok_or_else(|| format!("it is one of {}", CATEGORIES.join(", ")))
}

// On an address the name ends at a colon.
fn dimension(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').ok_or("give a name and a value like product=Shop")?;
    Ok(format!("{}:{}", name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_names_the_option() {
        assert_eq!(as_options("cur=XXX is not known. Allowed: USD."), "--currency XXX is not known. Allowed: USD.");
        assert_eq!(as_options("There is no bill."), "There is no bill.");
    }

    #[test]
    fn months_and_days_are_one_or_a_range() {
        let month = |text: &str| text.parse::<BillingPeriod>().unwrap();
        assert_eq!(months("2026-10"), Ok((month("2026-10"), month("2026-10"))));
        assert_eq!(months("2026-08..2026-10"), Ok((month("2026-08"), month("2026-10"))));
        assert!(months("2026-10..2026-08").is_err() && months("October").is_err());
        assert!(days("2026-10-03..2026-10-09").is_ok() && days("2026-10-32").is_err());
        assert_eq!(category("tax").as_deref(), Ok("Tax"));
        assert_eq!(dimension("product=Shop").as_deref(), Ok("product:Shop"));
    }
}
