//! How far one source of bills reaches, and whether more is expected of it.

use chrono::{DateTime, NaiveDate, Utc};

/// How far one source of bills reaches, or a billing account of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReach {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// The billing account, where it is not all of the source.
    pub account: Option<String>,
    /// The first day that its current bills tell of: what was before is not known, it is not zero.
    pub bills_from: NaiveDate,
    /// The last day that its current bills can hold in full.
    pub complete_to: NaiveDate,
    /// The last day that has a charge.
    pub last_charge_date: NaiveDate,
    /// When the newest of its bills became visible.
    pub read_at: DateTime<Utc>,
    /// Whether any of its bills has charges on several days. One day of another stands for its whole billing period.
    pub is_daily: bool,
    /// After how many days its days are complete, where its history tells ([`super::completeness`]).
    pub settles_after_days: Option<i32>,
    /// Whether more is expected of it: it is set up to bring bills by itself, or brought some on several days or of several
    /// billing periods. One bill of a month that is over promises no other.
    pub has_rhythm: bool,
}

impl SourceReach {
    /// The word for [`SourceState::Ended`].
    pub fn ended_word(&self) -> &'static str {
        if self.has_rhythm { "Ended" } else { "One bill so far" }
    }
}

/// Whether a source keeps up with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Within the usual lag.
    Complete,
    /// Behind the others by this many days more than is usual.
    Late(u32),
    /// No bill for so long that none is expected, or only one ever, of a month that is over.
    Ended,
}
