use super::DemoBill;
use super::bill_line::{Bill, Biller, Kind, Line, ONE, SAVINGS_PLAN_ID, key};
use super::components::{self, Component};
use super::cost_model::CostModel;
use super::focus_file::FocusFile;
use super::organisation::{Cloud, ENVIRONMENTS, SERVICES, ServicePlan};
use super::usage::{self, Usage};
use crate::focus::columns::Version;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use std::path::Path;

const BILLERS: [Biller; 5] = [
    Biller {
        source: "aws-acme",
        file_stem: "aws",
        provider_name: "AWS",
        invoice_issuer_name: "Amazon Web Services, Inc.",
        billing_account_id: "210987654321",
        billing_account_name: "acme-shop",
        currency: "USD",
        version: Version::V1_2,
        extension: "csv.gz",
        kind: Kind::Cloud(Cloud::Amazon),
        lag_days: 0,
    },
    Biller {
        source: "google-acme",
        file_stem: "google-cloud",
        provider_name: "Google Cloud",
        invoice_issuer_name: "Google Cloud",
        billing_account_id: "01A2B3-C4D5E6-F70819",
        billing_account_name: "acme shop",
        currency: "USD",
        version: Version::V1_1,
        extension: "csv.gz",
        kind: Kind::Cloud(Cloud::Google),
        lag_days: 0,
    },
    Biller {
        source: "azure-acme",
        file_stem: "azure",
        provider_name: "Microsoft",
        invoice_issuer_name: "Microsoft",
        billing_account_id: "/providers/microsoft.billing/billingaccounts/88123456",
        billing_account_name: "Acme Shop GmbH",
        currency: "EUR",
        version: Version::V1_0,
        extension: "parquet",
        kind: Kind::Cloud(Cloud::Azure),
        lag_days: 0,
    },
    Biller {
        source: "datadog-acme",
        file_stem: "datadog",
        provider_name: "Datadog",
        invoice_issuer_name: "Datadog, Inc.",
        billing_account_id: "dd-1126771",
        billing_account_name: "acme-shop",
        currency: "USD",
        version: Version::V1_3,
        extension: "csv.zst",
        kind: Kind::Monitoring,
        lag_days: 0,
    },
    Biller {
        source: "cloudflare-acme",
        file_stem: "cloudflare",
        provider_name: "Cloudflare",
        invoice_issuer_name: "Cloudflare, Inc.",
        billing_account_id: "cf-90177",
        billing_account_name: "acme-shop",
        currency: "EUR",
        version: Version::V1_0,
        extension: "csv",
        kind: Kind::Network,
        lag_days: 3,
    },
];

/// The version of FOCUS that brought InvoiceId.
const INVOICE_ID_SINCE: Version = Version::V1_2;

/// `BillingCurrency` of a cloud's bill.
pub fn currency(cloud: Cloud) -> &'static str {
    if cloud == Cloud::Azure { "EUR" } else { "USD" }
}

/// Writes every bill of every month; the result is in the order in which the providers wrote them.
pub fn write(folder: &Path, model: &CostModel, seed: u64) -> anyhow::Result<Vec<DemoBill>> {
    let mut bills = Vec::new();
    let plan_fee = usage::plan_fee_a_day(model);
    let running_month = super::first_of_month(model.last_day);
    let restated_month = running_month - Months::new(2);
    let mut month = model.first_day;
    while month <= model.last_day {
        let next = month + Months::new(1);
        let closed = next <= model.last_day;
        let written_at = if closed { at(next + Days::new(4), 6) } else { at(model.last_day + Days::new(1), 0) };
        for biller in &BILLERS {
            let restated = month == restated_month && biller.file_stem == "aws";
            if restated {
                let path =
                    folder.join(format!("{}-{}-first.{}", biller.file_stem, month.format("%Y-%m"), biller.extension));
                bills.push(write_bill(&path, biller, model, month, at(next + Days::new(1), 6), true, seed, plan_fee)?);
            }
            let path = folder.join(format!("{}-{}.{}", biller.file_stem, month.format("%Y-%m"), biller.extension));
            // No version may lie ahead of the clock.
            let as_of = if restated { at(next + Days::new(11), 4) } else { written_at };
            let as_of = as_of.min(at(model.last_day + Days::new(1), 0));
            bills.push(write_bill(&path, biller, model, month, as_of, false, seed, plan_fee)?);
        }
        month = next;
    }
    bills.sort_by_key(|bill| bill.as_of);
    Ok(bills)
}

fn at(day: NaiveDate, hour: u32) -> DateTime<Utc> {
    day.and_hms_opt(hour, 10, 0).expect("an hour of the day").and_utc()
}

#[expect(clippy::too_many_arguments, reason = "what a bill is made of")]
fn write_bill(
    path: &Path,
    biller: &Biller,
    model: &CostModel,
    month: NaiveDate,
    as_of: DateTime<Utc>,
    is_first_version: bool,
    seed: u64,
    plan_fee: i128,
) -> anyhow::Result<DemoBill> {
    let mut bill = Bill { biller, month, file: FocusFile::create(path, biller.version)?, seed, plan_fee, billed: 0 };
    let last_day = (month + Months::new(1) - Days::new(1)).min(model.last_day - Days::new(biller.lag_days));
    for day in month.iter_days().take_while(|day| *day <= last_day) {
        match biller.kind {
            Kind::Cloud(cloud) => bill.write_cloud_day(model, cloud, day, is_first_version)?,
            Kind::Monitoring => bill.write_monitoring_day(model, day)?,
            Kind::Network => bill.write_network_day(model, day)?,
        }
    }
    bill.write_month_rows()?;
    Ok(DemoBill {
        path: path.to_owned(),
        source: biller.source.into(),
        as_of,
        month,
        invoice_issuer_name: biller.invoice_issuer_name.into(),
        billing_currency: biller.currency.into(),
        invoice_id: (biller.version >= INVOICE_ID_SINCE).then(|| bill.invoice_id()),
        billed: bill.billed,
        row_count: bill.file.finish()?,
    })
}

impl Bill<'_> {
    fn write_cloud_day(
        &mut self,
        model: &CostModel,
        cloud: Cloud,
        day: NaiveDate,
        is_first: bool,
    ) -> anyhow::Result<()> {
        let is_amazon = cloud == Cloud::Amazon;
        // The first version of the restated month came before the plan was applied to three days, and before
        // the logs of the last four were metered.
        let has_plan = !(is_first && (12..=14).contains(&day.day()));
        let mut uncommitted = if has_plan { self.plan_fee } else { 0 };
        let month_end = self.month + Months::new(1);
        let logs_missing = is_first && (month_end - day).num_days() <= 4;
        for (index, service) in SERVICES.iter().enumerate().filter(|(_, service)| service.cloud == cloud) {
            for (environment, (environment_name, _, _)) in ENVIRONMENTS.iter().enumerate() {
                for (part_index, part) in components::of(cloud, service.workload).iter().enumerate() {
                    if logs_missing && part.unit == "GB" && part.service_name == "Amazon CloudWatch" {
                        continue;
                    }
                    let usages = usage::on_day(model, index, day, environment, part_index, has_plan);
                    uncommitted -=
                        usages.iter().filter(|usage| usage.is_covered).map(|usage| usage.effective).sum::<i128>();
                    let place = Place { service, index, environment_name, is_production: environment == 0 };
                    self.write_usage(&place, part, part_index, day, &usages)?;
                }
            }
        }
        if is_amazon {
            self.write_plan_rows(day, uncommitted)?;
            self.write_shared_rows(day)?;
        }
        Ok(())
    }

    fn write_usage(
        &mut self,
        place: &Place<'_>,
        part: &Component,
        part_index: usize,
        day: NaiveDate,
        usages: &[Usage],
    ) -> anyhow::Result<()> {
        for (resource, usage) in usages.iter().enumerate() {
            let name =
                format!("{}-{}-{}{}", place.service.slug, place.environment_name, part_index + 1, ["a", "b"][resource]);
            let tags = self.tags(place, part_index);
            let (account, account_name) = self.sub_account(place);
            self.write_line(&Line {
                first_day: day,
                category: "Usage",
                frequency: "Usage-Based",
                description: part.meter,
                pricing_category: if usage.is_covered { "Committed" } else { "Standard" },
                part: Some(part),
                service_name: part.service_name,
                service_category: part.service_category,
                resource_id: &self.resource_id(&name, part),
                resource_name: &name,
                sub_account: &account,
                sub_account_name: &account_name,
                tags: &tags,
                quantity: usage.quantity,
                list: usage.list,
                billed: usage.billed,
                effective: usage.effective,
                commitment_status: if usage.is_covered { "Used" } else { "" },
                ..Line::default()
            })?;
        }
        Ok(())
    }

    // The plan's daily fee, and what of it nothing used: the covered lines and this one add up to the fee. It belongs
    // to no service: what one does not use would show as a step of another.
    fn write_plan_rows(&mut self, day: NaiveDate, unused: i128) -> anyhow::Result<()> {
        let plan = Line {
            first_day: day,
            service_name: "Savings Plans for AWS Compute usage",
            service_category: "Compute",
            resource_id: SAVINGS_PLAN_ID,
            resource_name: "compute savings plan",
            sub_account: "210987654321",
            sub_account_name: "management",
            ..Line::default()
        };
        self.write_line(&Line {
            category: "Purchase",
            frequency: "Recurring",
            pricing_category: "Standard",
            description: "Compute savings plan, no upfront",
            quantity: 240_000,
            list: self.plan_fee,
            billed: self.plan_fee,
            effective: 0,
            ..plan
        })?;
        if unused == 0 {
            return Ok(());
        }
        self.write_line(&Line {
            category: "Usage",
            frequency: "Usage-Based",
            pricing_category: "Committed",
            description: "Compute savings plan, unused",
            quantity: 10_000,
            effective: unused,
            commitment_status: "Unused",
            ..plan
        })
    }

    // Shared network cost belongs to an account, not to a tag; support belongs to nobody.
    fn write_shared_rows(&mut self, day: NaiveDate) -> anyhow::Result<()> {
        let gigabytes = 9_400_000 + i128::from((day.day() * 7919) % 400_000);
        let network = Line {
            first_day: day,
            category: "Usage",
            frequency: "Usage-Based",
            pricing_category: "Standard",
            description: "Transit gateway, data processed",
            service_name: "Amazon Virtual Private Cloud",
            service_category: "Networking",
            resource_id: "arn:aws:ec2:us-east-1:210987650009:transit-gateway/tgw-0a1b2c3d",
            resource_name: "shared-transit",
            sub_account: "210987650009",
            sub_account_name: "shared-network",
            quantity: gigabytes,
            list: gigabytes * 200_000_000,
            billed: gigabytes * 200_000_000,
            effective: gigabytes * 200_000_000,
            ..Line::default()
        };
        self.write_line(&network)?;
        let support = 412 * ONE + i128::from(day.day()) * ONE / 4;
        self.write_line(&Line {
            first_day: day,
            category: "Usage",
            frequency: "Recurring",
            pricing_category: "Standard",
            description: "Enterprise On-Ramp support, daily part",
            service_name: "AWS Support (Enterprise On-Ramp)",
            service_category: "Other",
            sub_account: "210987654321",
            sub_account_name: "management",
            quantity: 10_000,
            list: support,
            billed: support,
            effective: support,
            ..Line::default()
        })
    }

    // Monitoring costs about 1.4 % of what it watches.
    fn write_monitoring_day(&mut self, model: &CostModel, day: NaiveDate) -> anyhow::Result<()> {
        for (index, service) in SERVICES.iter().enumerate() {
            let hosts = ((model.daily_total(index, day) * 0.014 / 0.75 * 10_000.0).round() as i128).max(1);
            let tags = format!("{{\"service\":\"{}\",\"env\":\"production\"}}", service.slug);
            let cost = hosts * 7_500_000_000;
            self.write_line(&Line {
                first_day: day,
                category: "Usage",
                frequency: "Usage-Based",
                pricing_category: "Standard",
                description: "Infrastructure hosts",
                service_name: "Infrastructure Monitoring",
                service_category: "Management and Governance",
                resource_id: service.slug,
                resource_name: service.slug,
                sub_account: "acme",
                sub_account_name: "acme",
                tags: &tags,
                quantity: hosts,
                list: cost * 115 / 100,
                billed: cost,
                effective: cost,
                ..Line::default()
            })?;
        }
        Ok(())
    }

    fn write_network_day(&mut self, model: &CostModel, day: NaiveDate) -> anyhow::Result<()> {
        let load: f64 = (0..SERVICES.len()).map(|index| model.daily_total(index, day)).sum();
        for (zone, share) in [("shop.example", 0.62), ("img.example", 0.31), ("api.example", 0.07)] {
            let gigabytes = (load * 0.009 * share / 0.04 * 10_000.0).round() as i128;
            let cost = gigabytes * 400_000_000;
            self.write_line(&Line {
                first_day: day,
                category: "Usage",
                frequency: "Usage-Based",
                pricing_category: "Standard",
                description: "Bandwidth",
                service_name: "CDN",
                service_category: "Networking",
                resource_id: zone,
                resource_name: zone,
                sub_account: "acme",
                sub_account_name: "acme",
                quantity: gigabytes,
                list: cost,
                billed: cost,
                effective: cost,
                ..Line::default()
            })?;
        }
        Ok(())
    }

    // Once a month: tax on the monitoring bill, credits, and corrections of the month before.
    fn write_month_rows(&mut self) -> anyhow::Result<()> {
        let month_end = self.month + Months::new(1);
        let month = |category: &'static str, description: &'static str, cost: i128| Line {
            first_day: self.month,
            end_day: Some(month_end),
            category,
            frequency: "One-Time",
            description,
            service_name: description,
            service_category: "Other",
            sub_account: "210987654321",
            sub_account_name: "management",
            quantity: 10_000,
            list: cost,
            billed: cost,
            effective: cost,
            ..Line::default()
        };
        let variation = i128::from(self.month.month() * 37 + (self.seed % 11) as u32);
        match self.biller.kind {
            Kind::Monitoring => self.write_line(&month("Tax", "Sales tax", (1_480 + variation) * ONE + ONE / 100 * 37)),
            Kind::Network => {
                self.write_line(&month("Tax", "Value added tax", (2_105 + variation) * ONE + ONE / 100 * 81))
            }
            Kind::Cloud(Cloud::Amazon) => {
                self.write_line(&month("Credit", "Migration credit", -(4_000 + variation) * ONE - ONE / 1000 * 125))?;
                self.write_corrections()
            }
            Kind::Cloud(_) => Ok(()),
        }
    }

    fn write_corrections(&mut self) -> anyhow::Result<()> {
        let part = &components::of(Cloud::Amazon, super::organisation::Workload::Web)[3];
        for days_back in [4_u64, 3, 2] {
            let quantity = -i128::from(90_000 + days_back * 12_345);
            let cost = quantity * i128::from(part.unit_price);
            self.write_line(&Line {
                first_day: self.month - Days::new(days_back),
                category: "Usage",
                class: "Correction",
                frequency: "Usage-Based",
                pricing_category: "Standard",
                description: "Correction of data transfer of the month before",
                part: Some(part),
                service_name: part.service_name,
                service_category: part.service_category,
                resource_id: "orders-api-production-4a",
                resource_name: "orders-api-production-4a",
                sub_account: "210987650014",
                sub_account_name: "fulfilment-production",
                tags: "{\"service\":\"orders-api\",\"environment\":\"production\",\"team\":\"fulfilment\"}",
                quantity,
                list: cost,
                billed: cost,
                effective: cost,
                ..Line::default()
            })?;
        }
        Ok(())
    }

    fn resource_id(&self, name: &str, part: &Component) -> String {
        let kind = part.resource_type.to_lowercase().replace(' ', "-");
        match self.biller.kind {
            Kind::Cloud(Cloud::Amazon) => format!("arn:aws:{kind}:us-east-1:{name}"),
            Kind::Cloud(Cloud::Azure) => format!("/subscriptions/88123456/resourcegroups/{kind}/{name}"),
            _ => format!("//acme-shop/{kind}/{name}"),
        }
    }

    fn sub_account(&self, place: &Place<'_>) -> (String, String) {
        let suffix = if place.is_production { "production" } else { "engineering" };
        let name = format!("{}-{suffix}", place.service.team);
        let number = key(&name) % 9000 + 1000;
        let id = match self.biller.kind {
            Kind::Cloud(Cloud::Google) => format!("acme-{name}"),
            Kind::Cloud(Cloud::Azure) => format!("/subscriptions/0f3a{number}"),
            _ => format!("21098765{number}"),
        };
        (id, name)
    }

    // Some development resources were made by hand, without tags; two services never tag their environment.
    fn tags(&self, place: &Place<'_>, part_index: usize) -> String {
        if place.environment_name == "development" && place.index.is_multiple_of(5) && part_index < 2 {
            return String::new();
        }
        let (slug, environment, team) = (place.service.slug, place.environment_name, place.service.team);
        match self.biller.kind {
            Kind::Cloud(Cloud::Azure) => {
                format!("{{\"app\":\"{slug}\",\"env\":\"{environment}\",\"owner\":\"{team}\"}}")
            }
            _ => format!("{{\"service\":\"{slug}\",\"environment\":\"{environment}\",\"team\":\"{team}\"}}"),
        }
    }
}

/// Where a component runs.
struct Place<'a> {
    service: &'a ServicePlan,
    index: usize,
    environment_name: &'a str,
    is_production: bool,
}
