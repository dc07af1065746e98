//! Totals of invoices: the FOCUS 1.4 dataset InvoiceDetail, added up by invoice, or a list with a row an invoice.

use super::error::BillError;
use super::focus_parquet::ParquetRows;
use super::timestamp;
use crate::focus::{BillingPeriod, Decimal};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// More lines than any year of invoices has.
const LINE_COUNT_MAX: usize = 1_000_000;
/// Longer values are no names of invoices.
const TEXT_BYTES_MAX: usize = 500;
/// Most text that the rows of a Parquet file become.
const PARQUET_TEXT_BYTES_MAX: usize = 256 << 20;

/// What one invoice totals in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceTotal {
    /// `InvoiceId`.
    pub invoice_id: String,
    /// `InvoiceIssuerName`; empty where the file does not say.
    pub invoice_issuer_name: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// Σ `BilledCost`.
    pub billed_cost: BigDecimal,
    /// The month of `BillingPeriodStart`, where all lines agree.
    pub month: Option<BillingPeriod>,
    /// `InvoiceIssueDate`.
    pub issue_date: Option<NaiveDate>,
    /// `PaymentDueDate`.
    pub due_date: Option<NaiveDate>,
    /// `InvoiceIssueStatus`: `Open`, `Issued` or `Voided`.
    pub issue_status: String,
    /// Lines of InvoiceDetail; `None` for a list with a row an invoice.
    pub detail_count: Option<i64>,
}

/// Why a file gives no totals. Nothing of it is taken then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoicesError {
    /// It is something else.
    #[error(
        "This is no list of invoices: it needs the columns InvoiceId, BillingCurrency and BilledCost, and has {0}."
    )]
    Columns(String),
    /// Nobody can tell which of the two is meant.
    #[error("The column {0} stands in it twice. Nothing was imported; take one away and import the file again.")]
    ColumnTwice(&'static str),
    /// A cell cannot be read.
    #[error(
        "Line {line}, {column}: {value:?} {reason}. Nothing was imported; mend the line and import the file again."
    )]
    Cell {
        /// 1-based.
        line: u64,
        /// The column.
        column: &'static str,
        /// As it stands.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not text, or a quote that does not end.
    #[error("Line {0} cannot be read as CSV. Nothing was imported.")]
    Record(u64),
    /// A Parquet file that cannot be opened or read to its end.
    #[error("The Parquet file cannot be read: {0}. Nothing was imported.")]
    Parquet(String),
    /// Only a header.
    #[error("The file has no invoice in it.")]
    Empty,
    /// More than any year has.
    #[error("The file has more than {LINE_COUNT_MAX} lines.")]
    TooMany,
}

#[derive(Default)]
struct Columns {
    places: BTreeMap<&'static str, usize>,
}

const NAMES: [&str; 9] = [
    "InvoiceId",
    "InvoiceIssuerName",
    "BillingCurrency",
    "BilledCost",
    "BillingPeriodStart",
    "InvoiceIssueDate",
    "PaymentDueDate",
    "InvoiceIssueStatus",
    "InvoiceDetailId",
];

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, InvoicesError> {
        let mut columns = Self::default();
        for (index, name) in header.iter().enumerate() {
            if let Some(known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name))
                && columns.places.insert(known, index).is_some()
            {
                return Err(InvoicesError::ColumnTwice(known));
            }
        }
        let needed = ["InvoiceId", "BillingCurrency", "BilledCost"];
        if needed.iter().any(|name| !columns.places.contains_key(name)) {
            let has: Vec<&str> = header.iter().take(12).collect();
            return Err(InvoicesError::Columns(has.join(", ").chars().take(200).collect()));
        }
        Ok(columns)
    }

    // FOCUS says NULL for a value that is not there; some files write it.
    fn get<'a>(&self, record: &'a csv::StringRecord, name: &str) -> Option<&'a str> {
        let value = self.places.get(name).and_then(|index| record.get(*index))?;
        (!value.is_empty() && !value.eq_ignore_ascii_case("null")).then_some(value)
    }

    fn has_details(&self) -> bool {
        self.places.contains_key("InvoiceDetailId")
    }
}

/// Reads a file of totals, CSV or Parquet, in order of invoice, issuer and currency.
pub fn invoices(bytes: &[u8]) -> Result<Vec<InvoiceTotal>, InvoicesError> {
    if bytes.starts_with(b"PAR1") { totals(&parquet_as_csv(bytes)?) } else { totals(bytes) }
}

// One reader serves both: the first row of a Parquet file is line 2, as below a header.
fn parquet_as_csv(bytes: &[u8]) -> Result<Vec<u8>, InvoicesError> {
    let not_written = |error: &dyn std::fmt::Display| InvoicesError::Parquet(error.to_string());
    let not_read = |error: BillError| match error {
        BillError::Malformed(reason) | BillError::OutOfBounds(reason) => InvoicesError::Parquet(reason),
        other => InvoicesError::Parquet(other.to_string().trim_end_matches('.').to_owned()),
    };
    let mut file = tempfile::NamedTempFile::new().map_err(|error| not_written(&error))?;
    file.write_all(bytes).map_err(|error| not_written(&error))?;
    let (mut rows, names) = ParquetRows::open(file.path()).map_err(not_read)?;
    if rows.row_count > LINE_COUNT_MAX as u64 {
        return Err(InvoicesError::TooMany);
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(&names).map_err(|error| not_written(&error))?;
    let mut text_bytes = 0;
    while let Some((_, cells)) = rows.next().map_err(not_read)? {
        text_bytes += cells.text.len();
        if text_bytes > PARQUET_TEXT_BYTES_MAX {
            return Err(InvoicesError::Parquet("its rows are more than 256 MiB of text".into()));
        }
        csv.write_record((0..names.len()).map(|column| cells.get(column))).map_err(|error| not_written(&error))?;
    }
    csv.into_inner().map_err(|error| not_written(&error))
}

fn totals(bytes: &[u8]) -> Result<Vec<InvoiceTotal>, InvoicesError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).has_headers(false).flexible(true).from_reader(bytes);
    let mut records = reader.records();
    let header = records.next().and_then(Result::ok).ok_or(InvoicesError::Columns("none".into()))?;
    let columns = Columns::of(&header)?;
    let mut totals: BTreeMap<(String, String, String), InvoiceTotal> = BTreeMap::new();
    let mut detail_ids = BTreeSet::new();
    for (count, record) in records.enumerate() {
        let record = record.map_err(|error| InvoicesError::Record(error.position().map_or(0, csv::Position::line)))?;
        if count >= LINE_COUNT_MAX {
            return Err(InvoicesError::TooMany);
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let row = Row { columns: &columns, record: &record };
        let total = row.read()?;
        let issuer = issuer_key(&total.invoice_issuer_name);
        let key = (total.invoice_id.clone(), issuer, total.billing_currency.clone());
        if columns.has_details() {
            let detail = row.text("InvoiceDetailId")?;
            if !detail_ids.insert((key.clone(), detail.to_owned())) {
                return Err(row.wrong("InvoiceDetailId", detail, "stands twice in this invoice"));
            }
        } else if totals.contains_key(&key) {
            return Err(row.wrong("InvoiceId", &total.invoice_id, "stands twice with this issuer and currency"));
        }
        match totals.get_mut(&key) {
            Some(known) => row.add(known, total)?,
            None => drop(totals.insert(key, total)),
        }
    }
    if totals.is_empty() { Err(InvoicesError::Empty) } else { Ok(totals.into_values().collect()) }
}

// Issuers are the same whatever their letter case and the blanks around them, as where totals are stored: two spellings
// in one file are one invoice. Letter by letter as there, where the last sigma of a word is like any other.
fn issuer_key(name: &str) -> String {
    name.trim().chars().flat_map(char::to_lowercase).collect()
}

struct Row<'a> {
    columns: &'a Columns,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    fn wrong(&self, column: &'static str, value: &str, reason: impl Into<String>) -> InvoicesError {
        let line = self.record.position().map_or(0, csv::Position::line);
        InvoicesError::Cell { line, column, value: value.chars().take(80).collect(), reason: reason.into() }
    }

    fn text(&self, column: &'static str) -> Result<&str, InvoicesError> {
        let value = self.columns.get(self.record, column).ok_or_else(|| self.wrong(column, "", "is empty"))?;
        if value.len() > TEXT_BYTES_MAX || value.contains('\0') {
            return Err(self.wrong(column, value, "is longer than 500 bytes or holds a NUL"));
        }
        Ok(value)
    }

    fn read(&self) -> Result<InvoiceTotal, InvoicesError> {
        let cost = self.text("BilledCost")?;
        let billed_cost = Decimal::parse(cost).map_err(|error| self.wrong("BilledCost", cost, error.to_string()))?;
        let issuer = match self.columns.get(self.record, "InvoiceIssuerName") {
            Some(_) => self.text("InvoiceIssuerName")?,
            None => "",
        };
        Ok(InvoiceTotal {
            invoice_id: self.text("InvoiceId")?.to_owned(),
            invoice_issuer_name: issuer.to_owned(),
            billing_currency: self.text("BillingCurrency")?.to_owned(),
            billed_cost: billed_cost.to_big_decimal(),
            month: self.day("BillingPeriodStart")?.map(BillingPeriod::containing),
            issue_date: self.day("InvoiceIssueDate")?,
            due_date: self.day("PaymentDueDate")?,
            issue_status: self.status()?,
            detail_count: self.columns.has_details().then_some(1),
        })
    }

    fn status(&self) -> Result<String, InvoicesError> {
        let Some(status) = self.columns.get(self.record, "InvoiceIssueStatus") else { return Ok("Issued".into()) };
        let known = ["Open", "Issued", "Voided"].into_iter().find(|known| known.eq_ignore_ascii_case(status));
        known
            .map(str::to_owned)
            .ok_or_else(|| self.wrong("InvoiceIssueStatus", status, "is not one of Open, Issued and Voided"))
    }

    // A month stands for its first day.
    fn day(&self, column: &'static str) -> Result<Option<NaiveDate>, InvoicesError> {
        let Some(text) = self.columns.get(self.record, column) else { return Ok(None) };
        let (first, last) = BillingPeriod::supported();
        let month = text.parse::<BillingPeriod>().map(BillingPeriod::first_day).ok();
        let read = if column == "BillingPeriodStart" { timestamp::read_bound } else { timestamp::read_label };
        let day = month.or_else(|| read(text).map(|at| at.date_naive()));
        day.filter(|day| (first.first_day()..last.next().first_day()).contains(day))
            .map(Some)
            .ok_or_else(|| self.wrong(column, text, "is not a day like 2026-11-03"))
    }

    fn add(&self, known: &mut InvoiceTotal, line: InvoiceTotal) -> Result<(), InvoicesError> {
        if known.issue_status != line.issue_status {
            return Err(self.wrong(
                "InvoiceIssueStatus",
                &line.issue_status,
                format!("is not that of the invoice's other lines, {}", known.issue_status),
            ));
        }
        known.billed_cost += line.billed_cost;
        known.month = known.month.filter(|month| Some(*month) == line.month);
        known.issue_date = known.issue_date.max(line.issue_date);
        known.due_date = known.due_date.max(line.due_date);
        known.detail_count = known.detail_count.map(|count| count + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoice_detail_is_added_up_by_invoice() {
        let text = "InvoiceDetailId,InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost,BillingPeriodStart,BillingPeriodEnd,InvoiceIssueDate,PaymentDueDate,InvoiceIssueStatus\n\
            1,INV-1,Cloud One,USD,100.005,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-11-03T00:00:00Z,NULL,Issued\n\
            2,INV-1,Cloud One,USD,-0.0000001,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-11-03T00:00:00Z,2026-12-03T00:00:00Z,Issued\n\
            1,INV-2,Cloud One,EUR,7,2026-09-30T16:00:00Z,2026-10-31T16:00:00Z,2026-10-31T16:00:00Z,,Voided\n";
        let totals = invoices(text.as_bytes()).unwrap();
        assert_eq!(totals.len(), 2);
        assert_eq!(totals[0].billed_cost.to_plain_string(), "100.0049999");
        assert_eq!((totals[0].month, totals[0].detail_count), ("2026-10".parse().ok(), Some(2)));
        assert_eq!(totals[0].due_date, "2026-12-03".parse().ok());
        assert_eq!(totals[1].issue_status, "Voided");
        // A month that begins at midnight in Beijing; a day of issue stays as it is written.
        assert_eq!((totals[1].month, totals[1].issue_date), ("2026-10".parse().ok(), "2026-10-31".parse().ok()));
    }

    /// An invoice is one, however often its issuer is spelled another way.
    #[test]
    fn an_issuer_in_other_letters_is_the_same_one() {
        let text = "InvoiceDetailId,InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost\n\
            1,INV-1,AWS ΟΣ,USD,60\n2,INV-1, aws οσ ,USD,40\n1,INV-1,Other,USD,7\n";
        let totals = invoices(text.as_bytes()).unwrap();
        let told: Vec<(&str, String, Option<i64>)> = totals
            .iter()
            .map(|one| (one.invoice_issuer_name.as_str(), one.billed_cost.to_plain_string(), one.detail_count))
            .collect();
        assert_eq!(told, [("AWS ΟΣ", "100".to_owned(), Some(2)), ("Other", "7".to_owned(), Some(1))]);
        let twice = text.replacen("\n2,", "\n1,", 1);
        let error = invoices(twice.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("Line 3, InvoiceDetailId: \"1\" stands twice in this invoice"), "{error}");
        let list = "InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost\nINV-1,AWS,USD,60\nINV-1,aws,USD,40\n";
        let error = invoices(list.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("Line 3, InvoiceId: \"INV-1\" stands twice with this issuer and currency"), "{error}");
    }

    #[test]
    fn a_list_has_a_row_an_invoice() {
        let text = "invoiceid,billingcurrency,billedcost,billingperiodstart\nA,USD,1.5,2026-10\nB,USD,2,\n";
        let totals = invoices(text.as_bytes()).unwrap();
        assert_eq!(totals[0].month, "2026-10".parse().ok());
        assert_eq!((totals[1].month, totals[1].detail_count), (None, None));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_is_taken() {
        let head = "InvoiceId,BillingCurrency,BilledCost";
        for (text, says) in [
            ("Date,USD\n", "no list of invoices"),
            (&format!("{head}\nA,USD,1\nA,USD,2\n")[..], "Line 3, InvoiceId: \"A\" stands twice"),
            (&format!("{head}\n,USD,1\n"), "Line 2, InvoiceId: \"\" is empty"),
            (&format!("{head}\nA,USD,\"$1,000\"\n"), "Line 2, BilledCost: \"$1,000\" is not a number"),
            (&format!("{head},InvoiceIssueDate\nA,USD,1,3 Nov\n"), "Line 2, InvoiceIssueDate: \"3 Nov\" is not a day"),
            (&format!("{head},InvoiceIssueStatus\nA,USD,1,Paid\n"), "is not one of Open, Issued and Voided"),
            (&format!("{head},InvoiceDetailId\nA,USD,1,7\nA,USD,1,7\n"), "Line 3, InvoiceDetailId: \"7\" stands twice"),
            (&format!("{head},billedcost\nA,USD,1,2\n"), "The column BilledCost stands in it twice"),
            (&format!("{head}\n"), "no invoice in it"),
        ] {
            let error = invoices(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
