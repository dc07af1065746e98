//! Which lines of bills are meant: the conditions of `/charges`, of what is downloaded there, and of FOCUS exports.

use super::limits;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Bills whose lines are looked through at once.
const BILL_COUNT_MAX: i64 = 200_000;

/// Which lines. Absent means any; every condition must hold.
#[derive(Debug, Clone, Default)]
pub struct ChargeFilter {
    /// First charge day.
    pub first_day: Option<NaiveDate>,
    /// The day after the last charge day.
    pub end_day: Option<NaiveDate>,
    /// First day of the billing month.
    pub billing_start: Option<NaiveDate>,
    /// First day of the month after the billing month.
    pub billing_end: Option<NaiveDate>,
    /// 0 for what no rule gives to a service.
    pub service_id: Option<i64>,
    /// 0 for what no rule gives to an environment.
    pub environment_id: Option<i64>,
    /// The team that owns the service; 0 for services without one, what is not allocated included.
    pub team_id: Option<i64>,
    /// FOCUS ProviderName.
    pub provider_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: Option<String>,
    /// Where the bill came from.
    pub source_id: Option<i64>,
    /// One delivery, also one that is not current any more.
    pub delivery_id: Option<i64>,
    /// FOCUS ResourceId, exactly.
    pub resource_id: Option<String>,
    /// FOCUS SubAccountId.
    pub sub_account_id: Option<String>,
    /// The charge group.
    pub group_id: Option<Uuid>,
    /// FOCUS ServiceName: what was bought.
    pub service_name: Option<String>,
    /// FOCUS ServiceCategory; empty for lines that name none.
    pub service_category: Option<String>,
    /// FOCUS PricingCategory, but `Committed` for what a commitment was used for, and `Unused` for what is left of one;
    /// empty for lines that tell neither.
    pub pricing: Option<String>,
    /// FOCUS RegionId.
    pub region_id: Option<String>,
    /// FOCUS SkuId.
    pub sku_id: Option<String>,
    /// FOCUS InvoiceId, exactly.
    pub invoice_id: Option<String>,
    /// FOCUS InvoiceIssuerName, letter case and blanks around it aside.
    pub invoice_issuer_name: Option<String>,
    /// Whether FOCUS ChargeClass says "Correction".
    pub is_correction: Option<bool>,
    /// The tags that rules look at, all of them and no others.
    pub mapping_tags: Option<serde_json::Value>,
    /// A dimension and its value, which is empty for lines without one. As on the dimension's page, the cost center of
    /// what no rule gives one is that of the service's team.
    pub dimension: Option<(String, String)>,
    /// FOCUS CommitmentDiscountId; empty for lines that name none.
    pub commitment_id: Option<String>,
    /// FOCUS CommitmentDiscountStatus: `Used` or `Unused`.
    pub commitment_status: Option<String>,
    /// What a figure of another page is made of.
    pub part: Option<ChargePart>,
    /// The cost center of the service's team; empty for what has none, what is not allocated included.
    pub cost_center: Option<String>,
    /// Whether a rule gives it to a service.
    pub is_allocated: Option<bool>,
    /// No lines at all: only what splits moved.
    pub is_shared_only: bool,
    /// Lines alone, without what splits moved, where both could be told.
    pub is_own_only: bool,
    /// A tag of the lines and its value, which is empty for lines without that tag.
    pub tag: Option<(String, String)>,
    /// The rollup keys: those that meet a required tag in one way.
    pub rollup_key_ids: Option<Vec<Uuid>>,
    /// The kinds of environment, as a required tag is asked of some only.
    pub environment_kinds: Option<Vec<String>>,
}

/// Lines that a figure of another page is made of, which no one column tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargePart {
    /// Usage, but for what a commitment left unused.
    Usage,
    /// Of it, what was under commitment.
    Covered,
    /// Of it, what was bought of providers' services that commitments cover.
    Committed,
    /// Credits that correct nothing.
    Credits,
    /// Tax that corrects nothing.
    Tax,
    /// Corrections of any category, and adjustments.
    Corrections,
    /// Purchases, and what a commitment left unused.
    Commitments,
    /// Usage that corrects nothing, but for what a commitment left unused: what a change of spend is divided of.
    Used,
}

impl ChargePart {
    /// In no order.
    pub const ALL: [Self; 8] = [
        Self::Usage,
        Self::Covered,
        Self::Committed,
        Self::Credits,
        Self::Tax,
        Self::Corrections,
        Self::Commitments,
        Self::Used,
    ];

    /// In an address, and for the database.
    pub fn key(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Covered => "covered",
            Self::Committed => "committed",
            Self::Credits => "credits",
            Self::Tax => "tax",
            Self::Corrections => "corrections",
            Self::Commitments => "commitments",
            Self::Used => "used",
        }
    }

    /// As a condition.
    pub fn words(self) -> &'static str {
        match self {
            Self::Usage => "usage, without unused commitments",
            Self::Covered => "usage under commitment",
            Self::Committed => "usage of services that commitments cover",
            Self::Credits => "credits, without corrections",
            Self::Tax => "tax, without corrections",
            Self::Corrections => "corrections and adjustments",
            Self::Commitments => "purchases and unused commitments",
            Self::Used => "usage, without corrections and unused commitments",
        }
    }
}

impl ChargeFilter {
    /// Whether it narrows by what shared cost is not kept by: a resource, an account, what was bought, an invoice.
    /// A figure with such a condition is made of lines alone.
    pub fn is_of_lines_only(&self) -> bool {
        let texts = [
            &self.resource_id,
            &self.sub_account_id,
            &self.service_name,
            &self.service_category,
            &self.pricing,
            &self.region_id,
            &self.sku_id,
            &self.invoice_id,
            &self.invoice_issuer_name,
            &self.commitment_id,
            &self.commitment_status,
        ];
        self.mapping_tags.is_some()
            || self.dimension.is_some()
            || self.group_id.is_some()
            || self.is_correction.is_some()
            || self.part.is_some()
            || self.is_own_only
            || self.tag.is_some()
            || self.rollup_key_ids.is_some()
            || self.environment_kinds.is_some()
            || texts.iter().any(|text| text.is_some())
    }

    /// Whether it narrows by what no rollup is kept by.
    pub fn is_of_single_lines(&self) -> bool {
        self.resource_id.is_some() || self.invoice_id.is_some() || self.group_id.is_some() || self.tag.is_some()
    }

    /// Whether a month's statement knows the figure of this filter: it keeps nothing by day, source or delivery.
    pub fn is_of_a_statement(&self) -> bool {
        !self.is_of_lines_only()
            && !self.is_shared_only
            && self.first_day.is_none()
            && self.end_day.is_none()
            && self.source_id.is_none()
            && self.delivery_id.is_none()
    }

    // The generations whose lines can match: few, so that only their partitions are read.
    pub(super) async fn generations(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
        let rows = sqlx::query_scalar!(
            "SELECT generation_id FROM generation
             WHERE has_charges
               AND (CASE WHEN $1::bigint IS NULL THEN state = 'current'
                    ELSE delivery_id = $1 AND state IN ('current', 'superseded', 'ready', 'withdrawn') END)
               AND ($2::bigint IS NULL OR source_id = $2)
               AND ($3::date IS NULL OR billing_period_start >= $3)
               AND ($4::date IS NULL OR billing_period_start < $4)
               AND ($5::date IS NULL OR last_charge_date IS NULL OR last_charge_date >= $5)
               AND ($6::date IS NULL OR first_charge_date IS NULL OR first_charge_date < $6)
               AND ($7::text IS NULL OR EXISTS (SELECT FROM invoice_cost c
                        WHERE c.generation_id = generation.generation_id AND c.invoice_id = $7))
             ORDER BY generation_id LIMIT $8",
            self.delivery_id,
            self.source_id,
            self.billing_start,
            self.billing_end,
            self.first_day,
            self.end_day,
            self.invoice_id,
            BILL_COUNT_MAX + 1,
        )
        .fetch_all(conn)
        .await?;
        limits::within(rows, BILL_COUNT_MAX, "bills with such lines")
    }

    pub(super) fn start(&self) -> Option<DateTime<Utc>> {
        self.first_day.map(midnight)
    }

    pub(super) fn end(&self) -> Option<DateTime<Utc>> {
        self.end_day.map(midnight)
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}
