//! A FOCUS 1.2 bill of one month with as many rows as asked for: 55 columns, about 1 KB a row.
//!
//! Cardinalities follow what was seen in real bills: 225 sub accounts, 40 provider services, about 1,000 SKUs, one
//! to five SKUs a resource, one resource in fourteen metered by the hour, four in ten living two days only, so
//! that some twelve lines share a charge group.

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

const DAYS: u32 = 31;
const SUB_ACCOUNTS: u32 = 225;
const SERVICES: u32 = 40;
const SKUS_A_SERVICE: u32 = 25;
const REGIONS: u32 = 12;
const APPLICATIONS: u32 = 120;
/// Mean rows of a resource in a month: 3 SKUs × 31 days × (13/14 + 24/14) lines a day.
const ROWS_A_RESOURCE: u64 = 246;

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

/// Writes the file and returns its bytes.
pub fn write(path: &Path, rows: u64) -> anyhow::Result<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(55);
    let resources: Vec<_> = (0..(rows / ROWS_A_RESOURCE + 1)).map(|number| resource(&mut random, number)).collect();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(file, "{}", COLUMNS.join(","))?;
    let mut written = 0;
    let mut row = Vec::with_capacity(2048);
    'rows: loop {
        for day in 0..DAYS {
            for resource in &resources {
                for meter in &resource.meters {
                    for hour in 0..if resource.is_hourly { 24 } else { 1 } {
                        row.clear();
                        write_row(&mut row, &mut random, resource, meter, day, hour)?;
                        file.write_all(&row)?;
                        written += 1;
                        if written == rows {
                            break 'rows;
                        }
                    }
                }
            }
        }
    }
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
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
    resource: &Resource,
    meter: &Meter,
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
        (Time(day + 1, hour), Time(next.0, next.1))
    } else {
        (Time(day + 1, 0), Time(day + 2, 0))
    };
    let sku = meter.sku;
    write!(
        out,
        "use1-az{zone},{list},900000000001,Example Corporation,Management,USD,2026-11-01T00:00:00Z,2026-10-01T00:00:00Z,\
         Usage,,\"$0.0464 per On Demand unit of meter {sku} (x8664, shared)\",Usage-Based,{end},{start},,,,,,,,{quantity},Hours,\
         {list},{price},{list},INV-2026-10-{account:04},\"Example Cloud, Inc.\",{list},{price},Standard,USD,{price},{list},{price},\
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

/// Day (1 to 32) and hour of October 2026.
struct Time(u32, u32);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (month, day) = if self.0 > DAYS { (11, self.0 - DAYS) } else { (10, self.0) };
        write!(f, "2026-{month:02}-{day:02}T{:02}:00:00Z", self.1)
    }
}
