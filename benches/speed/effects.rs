//! Effects of many deployments from the database to the database: what the job does after a publication, on an
//! organisation whose services are all released every twelve days.

use anyhow::ensure;
use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use costwake::jobs::effects::{self, Settled, Spent};
use costwake::rollup::{ImportRequest, import_file};
use costwake::store::embedded::Cluster;
use costwake::store::{MIGRATIONS, Pools};
use sqlx::PgPool;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// Days of the bill, the last of which is `last_day`.
const DAYS: u64 = 420;
/// Releases of each service, so many days apart, the first one on or soon after the hundredth day: at the end of the bill
/// all of them are settled.
const RELEASES: u64 = 25;
const APART_DAYS: u64 = 12;
const FIRST_RELEASE_DAY: u64 = 100;
/// How long hours of bills may be read: these have none.
const READ_AT_MOST: Duration = Duration::from_secs(60);
const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,\
BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,\
ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,InvoiceId,ServiceCategory,ServiceName,SubAccountId,\
ResourceId,RegionId,SkuId,PricingQuantity,PricingUnit,Tags";

fn last_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 18).unwrap_or_default()
}

/// When the bill came, the morning after its last day.
fn received_at() -> DateTime<Utc> {
    (last_day() + Days::new(1)).and_hms_opt(6, 0, 0).unwrap_or_default().and_utc()
}

/// Settles the effects of 25 releases of each of `services` services, again without a change, and all of them anew.
pub async fn run(folder: &Path, services: u32, as_json: bool) -> anyhow::Result<()> {
    let data_dir = folder.join("data");
    let cluster = tokio::task::spawn_blocking(move || Cluster::open(&data_dir, None)).await??;
    cluster.create_database().await?;
    let pools = Pools::connect_lazy(cluster.connect_options());
    MIGRATIONS.run(&pools.jobs).await?;
    eprintln!("Writing a bill of {services} services and {DAYS} days …");
    let bill = folder.join("bill.csv");
    write_bill(&bill, services)?;
    let request = ImportRequest {
        path: bill,
        file_name: "bill.csv".into(),
        source: Some("bench".into()),
        as_of: None,
        received_by: "bench".into(),
        now: received_at(),
    };
    let receipt = import_file(&pools, request, |_, _, _| {}).await?;
    ensure!(receipt.state == "published", "the bill is {}: {:?}", receipt.state, receipt.reason);
    release(&pools.jobs).await?;
    cluster.analyze().await?;

    let mut runs = vec![("first answers", settle(&pools).await?), ("nothing changed", settle(&pools).await?)];
    ensure!(runs[1].1.0.computed_count == 0, "{} answers were worked out again", runs[1].1.0.computed_count);
    // As if each of them rested on something else: all are worked out and written again beside those that stand.
    sqlx::query("UPDATE deployment_effect SET fingerprint = 'other'").execute(&pools.jobs).await?;
    cluster.analyze().await?;
    runs.push(("all settled anew", settle(&pools).await?));
    let all = runs[0].1.0.release_count;
    ensure!(all as u64 == u64::from(services) * RELEASES, "{all} releases were found");
    ensure!(runs[2].1.0.written_count == all, "{} of {all} were written anew", runs[2].1.0.written_count);
    for (name, (settled, spent)) in &runs {
        print(name, settled, spent, as_json);
    }
    Ok(())
}

async fn settle(pools: &Pools) -> anyhow::Result<(Settled, Spent)> {
    effects::settle_timed(pools, received_at(), READ_AT_MOST).await
}

fn print(name: &str, settled: &Settled, spent: &Spent, as_json: bool) {
    let [reading, computing, writing] = [spent.reading, spent.computing, spent.writing].map(|time| time.as_secs_f64());
    let all = reading + computing + writing;
    let ms_each = 1000.0 * all / settled.release_count.max(1) as f64;
    let database_share = (reading + writing) / all;
    if as_json {
        let rounded = |value: f64, digits: i32| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
        let object = serde_json::json!({
            "run": name,
            "deployments": settled.release_count,
            "computed": settled.computed_count,
            "written": settled.written_count,
            "seconds": rounded(all, 2),
            "ms_a_deployment": rounded(ms_each, 3),
            "database_share": rounded(database_share, 3),
            "reading_s": rounded(reading, 2),
            "computing_s": rounded(computing, 2),
            "writing_s": rounded(writing, 2),
        });
        println!("{object}");
        return;
    }
    println!(
        "{name:18}{} deployments in {all:.1} s, {ms_each:.2} ms each (bar 3 ms: 10,000 in 30 s); database {:.0} % \
         (read {reading:.1} s, worked out {} in {computing:.1} s, wrote {} in {writing:.1} s)",
        settled.release_count,
        100.0 * database_share,
        settled.computed_count,
        settled.written_count,
    );
}

/// A line a service and day: a level of its own, weekdays, some noise, and a step with each third release.
fn write_bill(path: &Path, services: u32) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{HEADER}")?;
    let first = last_day() - Days::new(DAYS - 1);
    let mut random = 12_345_u64;
    for number in 0..DAYS {
        let day = first + Days::new(number);
        let next = day + Days::new(1);
        let month = day.with_day(1).unwrap_or(day);
        let next_month = month + chrono::Months::new(1);
        for service in 0..u64::from(services) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let level = 10_000 + 500 * (service % 40);
            let weekday = if day.weekday().num_days_from_monday() >= 5 { 80 } else { 100 };
            let released = number.saturating_sub(FIRST_RELEASE_DAY + service % APART_DAYS) / APART_DAYS;
            // A tenth up, and down again three releases later.
            let step = if released / 3 % 2 == 1 { 110 } else { 100 };
            let noise = 980 + (random >> 33) % 41;
            let cents = level * weekday * step * noise / 10_000_000;
            let cost = format!("{}.{:02}", cents / 100, cents % 100);
            writeln!(
                file,
                "{cost},{cost},{cost},{cost},USD,acct-1,{month}T00:00:00Z,{next_month}T00:00:00Z,{day}T00:00:00Z,\
                 {next}T00:00:00Z,Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,\
                 vm-{service},eu-1,sku-1,1,Hours,\"{{\"\"service\"\":\"\"app{service:03}\"\",\
                 \"\"environment\"\":\"\"production\"\"}}\""
            )?;
        }
    }
    file.flush()?;
    Ok(())
}

/// Releases of every service of the bill, as a sender would have told them.
async fn release(pool: &PgPool) -> anyhow::Result<()> {
    let first = last_day() - Days::new(DAYS - 1 - FIRST_RELEASE_DAY);
    let made = "INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at,
             finished_at, version)
         SELECT 1, 'bench-' || s.service_id || '-' || n, e.environment_id, 'succeeded', t, t, t, 'v' || n
         FROM service s
         JOIN environment e ON e.slug = 'production'
         CROSS JOIN generate_series(0, $2::integer - 1) AS n
         CROSS JOIN LATERAL (
             SELECT ($1::date + right(s.slug, 3)::integer % $3::integer + $3::integer * n + time '12:00')
                        AT TIME ZONE 'UTC' AS t
         ) moment
         WHERE s.slug LIKE 'app%'";
    let (releases, apart) = (i32::try_from(RELEASES)?, i32::try_from(APART_DAYS)?);
    sqlx::query(made).bind(first).bind(releases).bind(apart).execute(pool).await?;
    let of_services = "INSERT INTO deployment_service (deployment_id, service_id)
         SELECT deployment_id, split_part(external_id, '-', 2)::bigint FROM deployment WHERE external_id LIKE 'bench-%'";
    sqlx::query(of_services).execute(pool).await?;
    Ok(())
}
