//! Adds up BilledCost by invoice while lines stream by.

use crate::focus::Decimal;
use crate::normalize::Charge;
use crate::store::generations;
use crate::store::invoices::InvoiceSum;
use rustc_hash::FxHashMap;

/// Invoices of one delivery that are told apart. A file that names more has something else in its InvoiceId.
const INVOICE_COUNT_MAX: usize = 100_000;

/// What a sum is kept by: scope, currency, invoice.
pub(super) type InvoiceKey = (u16, u16, u32);

/// The sums of a load.
#[derive(Debug, Default)]
pub(super) struct InvoiceSums {
    /// `InvoiceId` and `InvoiceIssuerName`, by number.
    names: Vec<(String, String)>,
    places: FxHashMap<(String, String), u32>,
    sums: FxHashMap<InvoiceKey, (i64, Decimal)>,
    is_cut: bool,
}

impl InvoiceSums {
    /// The number of the invoice that a line names; asked once for each group of cells.
    pub fn invoice(&mut self, charge: &Charge<'_>) -> u32 {
        let id = charge.attributes().find(|(name, _)| *name == "InvoiceId").map_or("", |(_, value)| value);
        let issuer = charge.invoice_issuer_name.unwrap_or_default();
        let mut key = (id.to_owned(), issuer.to_owned());
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        if self.names.len() >= INVOICE_COUNT_MAX {
            self.is_cut = true;
            key = (String::new(), String::new());
            if let Some(place) = self.places.get(&key) {
                return *place;
            }
        }
        let place = self.names.len() as u32;
        self.names.push(key.clone());
        self.places.insert(key, place);
        place
    }

    /// Adds a line.
    #[inline]
    pub fn add(&mut self, key: InvoiceKey, billed_cost: Option<&Decimal>) {
        let (count, sum) = self.sums.entry(key).or_insert((0, Decimal::ZERO));
        *count += 1;
        if let Some(cost) = billed_cost {
            *sum += cost;
        }
    }

    /// What a receipt has to say about it.
    pub fn warning(&self) -> Option<String> {
        self.is_cut.then(|| {
            "It names more than 100,000 invoices: the lines of the others are counted as lines without one.".to_owned()
        })
    }

    /// The sums as they are stored.
    pub fn rows(&self, delivery_id: i64, currency: impl Fn(u16) -> String) -> Vec<InvoiceSum> {
        let first = generations::first_id(delivery_id);
        let mut rows: Vec<InvoiceSum> = self
            .sums
            .iter()
            .map(|((scope, place, invoice), (count, sum))| {
                let (invoice_id, invoice_issuer_name) = self.names[*invoice as usize].clone();
                InvoiceSum {
                    generation_id: first + i64::from(*scope),
                    invoice_id,
                    invoice_issuer_name,
                    billing_currency: currency(*place),
                    charge_count: *count,
                    billed_cost: sum.to_big_decimal(),
                }
            })
            .collect();
        rows.sort_by(|left, right| {
            (left.generation_id, &left.invoice_id, &left.invoice_issuer_name).cmp(&(
                right.generation_id,
                &right.invoice_id,
                &right.invoice_issuer_name,
            ))
        });
        rows
    }
}
