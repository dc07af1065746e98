//! When a finding about capacity is held back: low use is normal around a release, and cost without one of its bills tells
//! nothing.

use super::super::impact::SETTLED_DAYS;
use chrono::{Days, NaiveDate};

/// Days ahead of a release window in which capacity is needed for it.
pub const AHEAD_DAYS: u64 = 14;
/// Days ahead of a launch or redesign: what is not used until then could go meanwhile.
pub const LAUNCH_AHEAD_DAYS: u64 = 60;

/// What somebody registered for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    /// A launch or campaign: more is used soon.
    Launch,
    /// A redesign: what is there now goes.
    Redesign,
    /// Days on which it is released.
    ReleaseWindow,
}

impl PlanKind {
    /// Every kind with what people call it.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Launch, "Launch"), (Self::Redesign, "Redesign"), (Self::ReleaseWindow, "Release window")];

    /// In forms, JSON and the database.
    pub fn key(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Redesign => "redesign",
            Self::ReleaseWindow => "release-window",
        }
    }

    /// The kind of a word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().map(|(kind, _)| *kind).find(|kind| kind.key() == key)
    }

    /// What people call it.
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, label)| label)
    }
}

/// A plan that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it is.
    pub kind: PlanKind,
    /// What people call it.
    pub title: String,
    /// First day.
    pub first_day: NaiveDate,
    /// Last day, included.
    pub last_day: NaiveDate,
}

/// What is known of the releases of a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Releases {
    /// The day of the last deployment that went live there.
    pub last_deployed: Option<NaiveDate>,
    /// What is registered for the service.
    pub plans: Vec<Plan>,
}

/// A bill of a material part of a service that lacks on some of the days looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBill {
    /// Whose bill it is: "acme", or "acme, account 42".
    pub name: String,
    /// The first day without it.
    pub since: NaiveDate,
    /// The last day without it; `None` where it is late.
    pub until: Option<NaiveDate>,
}

/// Why a finding waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// A bill lacks: what seems to be left over or little used may be all that is known.
    Bill(MissingBill),
    /// A launch, redesign or release window is registered, to its last day.
    Plan(Plan),
    /// A deployment of this day has not settled; it has once bills are complete to the other.
    Deployment {
        /// When it went live.
        day: NaiveDate,
        /// The last of the days after it that its verdict needs.
        settled_on: NaiveDate,
    },
}

impl Held {
    /// What it waits for, in JSON.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bill(_) => "bill",
            Self::Plan(plan) => plan.kind.key(),
            Self::Deployment { .. } => "deployment",
        }
    }
}

/// Why a finding about this place waits, by the last complete day of the bills. A launch or redesign holds it from 60 days
/// ahead, a release window from two weeks ahead.
pub(super) fn hold(releases: &Releases, complete_to: NaiveDate) -> Option<Held> {
    let holds = |plan: &&Plan| {
        let ahead = match plan.kind {
            PlanKind::Launch | PlanKind::Redesign => LAUNCH_AHEAD_DAYS,
            PlanKind::ReleaseWindow => AHEAD_DAYS,
        };
        plan.first_day - Days::new(ahead) <= complete_to && complete_to <= plan.last_day
    };
    // The one that lasts longest: when it is over, nothing else holds.
    if let Some(plan) = releases.plans.iter().filter(holds).max_by_key(|plan| plan.last_day) {
        return Some(Held::Plan(plan.clone()));
    }
    let day = releases.last_deployed?;
    // As its verdict: so many complete days after the one of the release.
    let settled_on = day + Days::new(u64::from(SETTLED_DAYS));
    (day <= complete_to && complete_to < settled_on).then_some(Held::Deployment { day, settled_on })
}
