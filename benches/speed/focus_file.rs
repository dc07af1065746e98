//! A FOCUS 1.2 bill of one month with as many rows as asked for: 55 columns, about 1 KB a row.
//!
//! Cardinalities follow what was seen in real bills: 225 sub accounts, 40 provider services, about 1,000 SKUs, one
//! to five SKUs a resource, one resource in fourteen metered by the hour, four in ten living two days only, so
//! that some twelve lines share a charge group.

use chrono::{Months, NaiveDate};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The columns in the order of the file.
pub const COLUMNS: [&str; 55] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
];

const SUB_ACCOUNTS: u32 = 225;
const SERVICES: u32 = 40;
const SKUS_A_SERVICE: u32 = 25;
const REGIONS: u32 = 12;
const APPLICATIONS: u32 = 120;
/// Mean rows of a resource in a month: 3 SKUs × 31 days × (13/14 + 24/14) lines a day.
const ROWS_A_RESOURCE: u64 = 246;

/// A billing month.
#[derive(Debug, Clone, Copy)]
pub struct Month {
    first_day: NaiveDate,
}

impl Month {
    /// The month that bills without history are of.
    pub const OCTOBER_2026: Self = Self { first_day: NaiveDate::from_ymd_opt(2026, 10, 1).expect("it is a day") };

    /// So many months before.
    pub fn minus(self, months: u32) -> Self {
        Self { first_day: self.first_day - Months::new(months) }
    }

    fn next(self) -> Self {
        Self { first_day: self.first_day + Months::new(1) }
    }

    fn days(self) -> u32 {
        (self.next().first_day - self.first_day).num_days() as u32
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.first_day.format("%Y-%m"))
    }
}

/// What one resource and one of its SKUs give every line.
struct Meter {
    sku: u32,
    unit_price: u64,
}

struct Resource {
    number: u64,
    account: u32,
    service: u32,
    region: u32,
    application: u32,
    environment: &'static str,
    is_hourly: bool,
    is_short_lived: bool,
    meters: Vec<Meter>,
}

/// The seed of the first bill.
pub const SEED: u64 = 55;

/// Writes the file, packed where its name ends in `.gz`, and returns its bytes before packing. Another seed makes
/// other quantities and prices of other resources.
pub fn write(path: &Path, rows: u64, month: Month, seed: u64) -> anyhow::Result<u64> {
    let file = File::create(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let bytes = write_to(&mut packed, rows, month, seed)?;
        packed.finish()?.flush()?;
        return Ok(bytes);
    }
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let bytes = write_to(&mut file, rows, month, seed)?;
    file.flush()?;
    Ok(bytes)
}

fn write_to(file: &mut impl Write, rows: u64, month: Month, seed: u64) -> anyhow::Result<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let resources: Vec<_> = (0..(rows / ROWS_A_RESOURCE + 1)).map(|number| resource(&mut random, number)).collect();
    let header = COLUMNS.join(",");
    writeln!(file, "{header}")?;
    let (mut written, mut bytes) = (0, header.len() as u64 + 1);
    let mut row = Vec::with_capacity(2048);
    'rows: loop {
        for day in 0..month.days() {
            for resource in &resources {
                for meter in &resource.meters {
                    for hour in 0..if resource.is_hourly { 24 } else { 1 } {
                        row.clear();
                        write_row(&mut row, &mut random, (resource, meter), month, day, hour)?;
                        file.write_all(&row)?;
                        bytes += row.len() as u64;
                        written += 1;
                        if written == rows {
                            break 'rows;
                        }
                    }
                }
            }
        }
    }
    Ok(bytes)
}

// An application lives in few places: an account for each environment, a home region with a second one, and a
// handful of provider services with the SKUs that it chose.
fn resource(random: &mut ChaCha8Rng, number: u64) -> Resource {
    let application = random.random_range(0..APPLICATIONS);
    let environment = random.random_range(0..4_usize);
    let service = (application * 7 + random.random_range(0..5)) % SERVICES;
    let first_sku = application % 5 * 5;
    let meters = (0..random.random_range(1..=5))
        .map(|_| Meter {
            sku: service * SKUS_A_SERVICE + first_sku + random.random_range(0..5),
            unit_price: random.random_range(1_000_000..4_000_000_000),
        })
        .collect();
    let is_abroad = random.random_range(0..5) == 0;
    Resource {
        number,
        account: (application * 4 + environment as u32) % SUB_ACCOUNTS,
        service,
        region: (application + u32::from(is_abroad)) % REGIONS,
        application,
        environment: ["production", "production", "staging", "development"][environment],
        is_hourly: random.random_range(0..14) == 0,
        is_short_lived: random.random_range(0..10) < 4,
        meters,
    }
}

fn write_row(
    out: &mut Vec<u8>,
    random: &mut ChaCha8Rng,
    (resource, meter): (&Resource, &Meter),
    month: Month,
    day: u32,
    hour: u32,
) -> std::io::Result<()> {
    let Resource { account, service, region, application, environment, .. } = resource;
    // A short-lived resource is another one every second day.
    let identity =
        if resource.is_short_lived { resource.number * 100 + u64::from(day / 2) } else { resource.number * 100 };
    let quantity: u64 = random.random_range(1..240_000);
    // Quantity has 4 decimals and the price 10: 14 decimals, as real bills have.
    let list = Decimal(u128::from(quantity) * u128::from(meter.unit_price), 14);
    let (quantity, price) = (Decimal(quantity.into(), 4), Decimal(meter.unit_price.into(), 10));
    let (start, end) = if resource.is_hourly {
        let next = if hour == 23 { (day + 2, 0) } else { (day + 1, hour + 1) };
        (Time(month, day + 1, hour), Time(month, next.0, next.1))
    } else {
        (Time(month, day + 1, 0), Time(month, day + 2, 0))
    };
    let next = month.next();
    let sku = meter.sku;
    write!(
        out,
        "use1-az{zone},{list},900000000001,Example Corporation,Management,USD,{next}-01T00:00:00Z,{month}-01T00:00:00Z,\
         Usage,,\"$0.0464 per On Demand unit of meter {sku} (x8664, shared)\",Usage-Based,{end},{start},,,,,,,,{quantity},Hours,\
         {list},{price},{list},INV-{month}-{account:04},\"Example Cloud, Inc.\",{list},{price},Standard,USD,{price},{list},{price},\
         {quantity},Hours,Example Cloud,Example Cloud,region-{region},Region number {region},\
         arn:example:service{service}:region-{region}:9000{account:08}:resource/{identity:020x},\
         app{application:03}-{environment}-{identity:x},Instance,{category},Example Service {service},Virtual Machines,\
         SKU{sku:06},Region{region}-BoxUsage:m{sku}.xlarge,\
         \"{{\"\"InstanceType\"\":\"\"m{sku}.xlarge\"\",\"\"CoreCount\"\":\"\"4\"\",\"\"MemorySize\"\":\"\"16 GiB\"\",\"\"OperatingSystem\"\":\"\"Linux\"\"}}\",\
         SKU{sku:06}.JRTCKXETXF.6YS6EN2CT7,9000{account:08},account-{account:03},Linked,\
         \"{{\"\"service\"\":\"\"app{application:03}\"\",\"\"environment\"\":\"\"{environment}\"\",\"\"team\"\":\"\"team{team:02}\"\",\
         \"\"cost-center\"\":\"\"{cost_center}\"\",\"\"Name\"\":\"\"app{application:03}-{environment}-{identity:x}\"\"}}\"",
        zone = region % 6,
        category = ["Compute", "Storage", "Databases", "Networking"][*service as usize % 4],
        team = application % 20,
        cost_center = 4000 + application % 20,
    )?;
    out.push(b'\n');
    Ok(())
}

/// An exact decimal: digits and scale.
struct Decimal(u128, u32);

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = 10_u128.pow(self.1);
        write!(f, "{}.{:0width$}", self.0 / unit, self.0 % unit, width = self.1 as usize)
    }
}

/// A day of a month, or the one behind its last, and an hour.
struct Time(Month, u32, u32);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(month, day, hour) = *self;
        let (month, day) = if day > month.days() { (month.next(), day - month.days()) } else { (month, day) };
        write!(f, "{month}-{day:02}T{hour:02}:00:00Z")
    }
}
