//! Everything that is read for the estimates, in one view of the database.

use crate::focus::DateRange;
use crate::store::impact_series::{
    self, CommitmentStep, DaySeries, Environments, LiveRelease, MetricDay, PriceStep, RuleStep,
};
use crate::store::known_days::KnownDays;
use crate::store::release_hours::{self, ReleaseHours};
use crate::store::service_measures::{self, Measure, VolumeUnit};
use crate::store::service_plans::{self, ServicePlan};
use crate::store::variance_known::Known;
use crate::store::{freshness, retagging};
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days before the first release that are read: enough for its history.
const DAYS_BEFORE: u64 = 140;

/// What was read.
#[derive(Debug, Default)]
pub(in crate::jobs) struct Inputs {
    /// The days that all series have.
    pub range: Option<DateRange>,
    /// The last day on which the bills are complete.
    pub complete_to: NaiveDate,
    /// Which days of which service are known, of its own cost: estimates leave shares of split cost out.
    pub known: Arc<KnownDays>,
    pub releases: Vec<LiveRelease>,
    /// In which hours of a day cost usually arises, around releases whose bills tell it.
    pub hours: Vec<ReleaseHours>,
    pub days: Vec<DaySeries>,
    pub traffic: Vec<MetricDay>,
    pub replicas: Vec<MetricDay>,
    /// What the traffic of each service is counted in.
    pub volume_units: BTreeMap<i64, VolumeUnit>,
    pub commitments: Vec<CommitmentStep>,
    pub prices: Vec<PriceStep>,
    pub rules: Vec<RuleStep>,
    /// What resources moved whose tags changed.
    pub retags: Vec<RuleStep>,
    /// Launches, redesigns and release windows that reach into the days.
    pub plans: Vec<ServicePlan>,
}

impl Inputs {
    /// The last day on which everything that bills this service in this currency is complete.
    pub fn complete_to_of(&self, service_id: i64, currency: &str) -> NaiveDate {
        self.known.missing_since(service_id, currency).map_or(self.complete_to, |since| since - Days::new(1))
    }

    /// Reads all that effects in these environments are estimated from. Without a release there is
    /// nothing, and without bills nothing but the releases.
    pub async fn read(conn: &mut PgConnection, environments: Environments) -> sqlx::Result<Self> {
        let releases = impact_series::releases(&mut *conn, environments).await?;
        let Some(first) = releases.first().map(|release| release.at.date_naive()) else { return Ok(Self::default()) };
        Self::since(conn, environments, releases, |_| first - Days::new(DAYS_BEFORE)).await
    }

    /// Reads the last days of these environments, releases or not. Without bills there is nothing but these.
    pub async fn last_days(conn: &mut PgConnection, environments: Environments, days: u64) -> sqlx::Result<Self> {
        let releases = impact_series::releases(&mut *conn, environments).await?;
        Self::since(conn, environments, releases, |complete_to| complete_to - Days::new(days)).await
    }

    async fn since(
        conn: &mut PgConnection,
        environments: Environments,
        releases: Vec<LiveRelease>,
        first: impl Fn(NaiveDate) -> NaiveDate,
    ) -> sqlx::Result<Self> {
        let bills = freshness::read(&mut *conn).await?;
        let complete_to = bills.complete_to();
        let reach = impact_series::reach(&mut *conn).await?;
        // Answers may stand that rest on bills which were taken back.
        let Some(reach) = reach else { return Ok(Self { releases, ..Self::default() }) };
        let Some(complete_to) = complete_to else { return Ok(Self::default()) };
        let start = reach.start().max(first(complete_to));
        let Some(range) = DateRange::new(start, complete_to + Days::new(1)) else { return Ok(Self::default()) };
        let known = Known::of(&bills, range.end());
        Ok(Self {
            range: Some(range),
            complete_to,
            known: bills.known_own,
            releases,
            hours: release_hours::list(&mut *conn, range.start()).await?,
            days: impact_series::days(&mut *conn, range, environments).await?,
            traffic: impact_series::measured(&mut *conn, Measure::Volume, range).await?,
            replicas: impact_series::measured(&mut *conn, Measure::Replicas, range).await?,
            volume_units: service_measures::volume_units(&mut *conn).await?,
            commitments: impact_series::commitment_steps(&mut *conn, range, environments).await?,
            prices: impact_series::price_steps(&mut *conn, range, environments).await?,
            rules: impact_series::rule_steps(&mut *conn, range, &known).await?,
            retags: retagging::steps(&mut *conn, range).await?,
            plans: service_plans::list(conn, None, range.start()).await?,
        })
    }
}
