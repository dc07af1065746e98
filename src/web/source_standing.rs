//! How a source stands: read or not, late or not, what wants a hand, and how it delivered so far.

use super::{Page, Result, display, moments};
use crate::sources::kind::Kind;
use crate::store::generations::{self, SmallerBill};
use crate::store::jobs;
use crate::store::source_finds::{self, Find};
use crate::store::source_history::{self, AGE_DAYS_MAX, Arrived, Columns, ControlTotal};
use crate::store::source_reads::{self, READ_SOURCE, ReadRow};
use crate::store::source_settings::{self, SourceSetting};
use crate::store::unread_files::{self, UnreadFile};
use crate::store::{Scope, Snapshot};
use bigdecimal::BigDecimal;
use chrono::{NaiveDate, TimeDelta};
use std::collections::{BTreeMap, BTreeSet};

const READS_SHOWN: i64 = 10;
/// Deliveries whose columns are compared.
const COLUMNS_OF: i64 = 60;
/// Columns that a line names.
const COLUMNS_NAMED: usize = 12;

/// Everything about a source but its bills.
pub(super) struct Standing {
    pub setting: Option<SourceSetting>,
    pub reads: Vec<ReadRow>,
    /// Whether a look is under way or waits for its turn, and how far it is.
    pub running: Option<String>,
    pub wanting: Vec<Find>,
    /// Files that came and could not be read.
    pub unread: Vec<UnreadFile>,
    /// What lies there and is not counted, because other files report the same cost.
    pub left_out: Vec<Find>,
    /// What counts and is much smaller than what it replaced.
    pub smaller: Vec<SmallerBill>,
    /// Why it is late, and what to do.
    pub late: Option<(String, String)>,
    pub lag: Vec<Arrived>,
    pub totals: Vec<TotalRow>,
    pub changes: Vec<ColumnChange>,
}

/// A control total as it is shown.
pub(super) struct TotalRow {
    pub total: ControlTotal,
    pub told: String,
    pub counted: String,
    pub difference: String,
    pub ties: bool,
}

/// Columns that came or went with a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ColumnChange {
    pub delivery_id: i64,
    pub at: String,
    pub added: String,
    pub gone: String,
    /// Whether the delivery counts, or did.
    pub counted: bool,
}

impl Standing {
    pub async fn load(page: &Page, snapshot: &mut Snapshot, scope: &Scope, source_id: i64) -> Result<Self> {
        let setting = source_settings::get(&mut **snapshot, source_id).await?;
        let reads = source_reads::list(&mut **snapshot, source_id, READS_SHOWN).await?;
        let job = jobs::find(&mut **snapshot, READ_SOURCE, &source_id.to_string()).await?;
        let running = job.filter(|job| matches!(job.state.as_str(), "waiting" | "running")).map(|job| {
            let words = if job.state == "waiting" { "Waiting for its turn" } else { "Looking at what lies there" };
            Some(job.progress).filter(|progress| !progress.is_empty()).unwrap_or_else(|| words.into())
        });
        let wanting = source_finds::wanting(&mut **snapshot, source_id).await?;
        let last = source_reads::last_delivery_at(&mut **snapshot, source_id).await?;
        let late = setting.as_ref().and_then(|source| {
            let hours = source.setting.expected_every_hours?;
            let since = last.unwrap_or(source.created_at);
            (since + TimeDelta::hours(i64::from(hours)) < page.now)
                .then(|| (late_words(hours, last.is_some(), &moments::moment(&since)), remedy(source)))
        });
        let totals = source_history::control_totals(snapshot, scope, source_id).await?;
        let columns = source_history::columns(&mut **snapshot, source_id, COLUMNS_OF).await?;
        Ok(Self {
            lag: source_history::lag_curve(snapshot, source_id, page.now).await?,
            totals: totals.into_iter().map(TotalRow::new).collect(),
            changes: column_changes(&columns),
            setting,
            reads,
            running,
            wanting,
            unread: unread_files::list(&mut **snapshot, Some(source_id), page.now).await?,
            left_out: source_finds::left_out(&mut **snapshot, source_id).await?,
            smaller: generations::smaller(&mut **snapshot, source_id).await?,
            late,
        })
    }

    /// The last look, where it failed.
    pub fn failed(&self) -> Option<&ReadRow> {
        self.reads.first().filter(|read| read.result == "failed")
    }

    /// "Half of the days are whole 2 days after they ended."
    pub fn lag_words(&self) -> String {
        match self.lag.iter().find(|arrived| arrived.median_percent == 100) {
            Some(Arrived { age_days: 0, .. }) => "Half of the days or more are whole when they end.".into(),
            Some(arrived) => {
                format!("Half of the days or more are whole {} days after they ended.", arrived.age_days)
            }
            None => format!("Most days are not whole {AGE_DAYS_MAX} days after they ended, or are still too young."),
        }
    }

    /// What to do about a file that could not be read.
    pub fn unread_remedy(&self) -> &'static str {
        if self.is_read() {
            "Put a whole file of the same name in its place: run the export again. The next read takes it."
        } else {
            "Run the export again, and hand the whole file in."
        }
    }

    /// Where the files come from, for people.
    pub fn place(&self) -> String {
        self.setting.as_ref().map_or_else(String::new, |source| source.setting.place.words(source.setting.kind))
    }

    /// When it is read.
    pub fn when(&self) -> String {
        let Some(source) = &self.setting else { return String::new() };
        match (source.is_paused, source.setting.schedule, source.setting.kind.is_read()) {
            (true, ..) => "Paused".into(),
            (_, Some(schedule), _) => {
                format!("Read {schedule}, next {}", moments::moment_or(&source.next_read_at, "soon"))
            }
            (_, None, true) => "Read when someone asks".into(),
            (_, None, false) => "Taken as it comes".into(),
        }
    }

    /// Whether there is a place to look at.
    pub fn is_read(&self) -> bool {
        self.setting.as_ref().is_some_and(|source| source.setting.kind.is_read())
    }

    /// Whether a program hands files in.
    pub fn is_push(&self) -> bool {
        self.setting.as_ref().is_some_and(|source| source.setting.kind == Kind::Push)
    }
}

/// What a look came to, in words.
pub(super) fn result_words(result: &str) -> &'static str {
    match result {
        "running" => "Under way",
        "new" => "New deliveries",
        "nothing-new" => "Nothing new",
        "partial" => "Not all is whole",
        _ => "Failed",
    }
}

/// The class of the result: bad news stands out.
pub(super) fn result_class(result: &str) -> &'static str {
    match result {
        "failed" | "partial" => "up",
        "new" => "down",
        _ => "flat",
    }
}

fn late_words(hours: i32, came: bool, since: &str) -> String {
    if came {
        format!("Something new is expected every {hours} hours, and the last came {since}.")
    } else {
        format!("Something new is expected every {hours} hours, and nothing came since the source was set up {since}.")
    }
}

fn remedy(source: &SourceSetting) -> String {
    match (source.is_paused, source.setting.kind) {
        (true, _) => "The source is paused: let it go on.".into(),
        (_, Kind::Upload) => "Ask whoever hands the bills in, or upload the missing one.".into(),
        (_, Kind::Push) => "Look at the program that pushes: its log, its token, and whether it commits.".into(),
        (_, Kind::Directory) => "Look at what writes to the folder, and read the source now.".into(),
        _ => {
            "Look at the export in the provider's console: whether it still runs, to this bucket and prefix. Then read \
              the source now."
                .into()
        }
    }
}

impl TotalRow {
    fn new(total: ControlTotal) -> Self {
        let text = |amount: &BigDecimal| display::money_exact(amount, &total.billing_currency);
        let billed = &total.counted_billed - &total.told_billed;
        let effective = &total.counted_effective - &total.told_effective;
        let rows = total.counted_rows - total.told_rows;
        let zero = BigDecimal::from(0);
        let ties = billed == zero && effective == zero && rows == 0;
        Self {
            told: text(&total.told_billed),
            counted: text(&total.counted_billed),
            difference: if ties {
                "none".into()
            } else {
                format!("{} BilledCost, {} EffectiveCost, {rows} lines", text(&billed), text(&effective))
            },
            ties,
            total,
        }
    }
}

// Between a delivery and the last one before it that counted, of the same export and billing period, or of the nearest
// earlier period: two months that are restated in turn have columns of their own, and a file that never counted changes
// nothing for the one after it. Newest first.
fn column_changes(deliveries: &[Columns]) -> Vec<ColumnChange> {
    let set = |columns: &Columns| -> BTreeSet<String> { columns.columns.iter().cloned().collect() };
    let named = |names: Vec<&String>| {
        let more = names.len().saturating_sub(COLUMNS_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names: Vec<&str> = names.into_iter().take(COLUMNS_NAMED).map(String::as_str).collect();
        names.join(", ") + &more
    };
    let mut last: BTreeMap<&str, BTreeMap<Option<NaiveDate>, &Columns>> = BTreeMap::new();
    let mut changes = Vec::new();
    for delivery in deliveries {
        let of_export = last.entry(&delivery.export).or_default();
        if let Some((_, earlier)) = of_export.range(..=delivery.period).next_back() {
            let (before, after) = (set(earlier), set(delivery));
            if before != after {
                changes.push(ColumnChange {
                    delivery_id: delivery.delivery_id,
                    at: moments::moment(&delivery.received_at),
                    added: named(after.difference(&before).collect()),
                    gone: named(before.difference(&after).collect()),
                    counted: delivery.counted,
                });
            }
        }
        if delivery.counted {
            of_export.insert(delivery.period, delivery);
        }
    }
    changes.reverse();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_come_and_go_are_named() {
        let of = |export: &str, period: &str, delivery_id: i64, names: &str| Columns {
            delivery_id,
            received_at: Default::default(),
            columns: names.split_whitespace().map(str::to_owned).collect(),
            export: export.to_owned(),
            period: period.parse().ok(),
            counted: true,
        };
        let columns = |delivery_id: i64, names: &str| of("", "", delivery_id, names);
        let found = column_changes(&[columns(1, "a b"), columns(2, "b a"), columns(3, "b c d"), columns(4, "b c d")]);
        assert_eq!(found.len(), 1, "their order is no change");
        assert_eq!((found[0].delivery_id, found[0].added.as_str(), found[0].gone.as_str()), (3, "c, d", "a"));
        let many: Vec<String> = (0..20).map(|number| format!("c{number:02}")).collect();
        let found = column_changes(&[columns(1, "a"), columns(2, &format!("a {}", many.join(" ")))]);
        assert!(found[0].added.ends_with("c11 and 8 more"), "{}", found[0].added);

        // A file with a mistyped column never counted: the whole one after it has the columns of the one before.
        let mistyped = Columns { counted: false, ..columns(2, "a bb") };
        let found = column_changes(&[columns(1, "a b"), mistyped, columns(3, "a b")]);
        let told: Vec<_> = found.iter().map(|one| (one.delivery_id, one.added.as_str(), one.counted)).collect();
        assert_eq!(told, [(2, "bb", false)]);

        // November has a column more, and both months are restated each day; another export lies beside them.
        let (october, november) = ("2026-10-01", "2026-11-01");
        let found = column_changes(&[
            of("cur", october, 1, "a"),
            of("cur", november, 2, "a b"),
            of("focus", november, 3, "x"),
            of("cur", october, 4, "a"),
            of("cur", november, 5, "a b"),
            of("cur", october, 6, "a c"),
            of("focus", november, 7, "x"),
        ]);
        let told: Vec<_> = found.iter().map(|one| (one.delivery_id, one.added.as_str(), one.gone.as_str())).collect();
        assert_eq!(told, [(6, "c", ""), (2, "b", "")]);
    }
}
