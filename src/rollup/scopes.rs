//! The scopes and currencies that a file names, by small numbers in the order of their first row.

use super::import::ImportError;
use crate::normalize::Charge;
use crate::store::generations::GENERATIONS_PER_DELIVERY_MAX;
use chrono::{DateTime, Days, NaiveDate, Utc};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Providers and issuers of a scope that are told apart.
const NAMES_MAX: usize = 32;
/// The longest charge period that tells the hour in which a cost arose.
const HOUR_SECONDS: i64 = 3600;

/// One billing account and billing period of a file.
#[derive(Debug, Clone)]
pub(super) struct ScopeFound {
    pub billing_account_id: String,
    pub billing_period_start: NaiveDate,
    pub billing_period_end: NaiveDate,
    /// Days since 1970-01-01.
    pub first_day: i32,
    pub last_day: i32,
    /// `ProviderName` and `InvoiceIssuerName` of its rows, the first ones.
    pub providers: Vec<String>,
    pub issuers: Vec<String>,
    /// Whether some of its usage is charged by the hour.
    pub has_hourly_charges: bool,
}

impl ScopeFound {
    /// Who provides or invoices, in lower case and order: what tells the same bill in another source.
    pub fn biller_names(&self) -> Vec<String> {
        let names: BTreeSet<String> =
            self.providers.iter().chain(&self.issuers).map(|name| name.trim().to_lowercase()).collect();
        names.into_iter().collect()
    }
}

fn is_hourly(charge: &Charge<'_>) -> bool {
    let period = charge.charge_period_start.zip(charge.charge_period_end);
    let seconds = period.map_or(0, |(start, end)| end.timestamp() - start.timestamp());
    // Fees and taxes often stand on an hour, also in bills of days.
    (1..=HOUR_SECONDS).contains(&seconds) && charge.charge_category == Some("Usage")
}

fn note(names: &mut Vec<String>, name: Option<&str>) {
    let Some(name) = name else { return };
    if names.len() < NAMES_MAX && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

#[derive(Debug, Default)]
pub(super) struct Scopes {
    list: Vec<ScopeFound>,
    places: FxHashMap<(String, NaiveDate), u16>,
    // Consecutive rows mostly share their scope and currency.
    last: Option<(DateTime<Utc>, u16)>,
    currencies: Vec<String>,
    currency_places: FxHashMap<String, u16>,
    last_currency: u16,
}

impl Scopes {
    /// The scopes in the order of their generation ids.
    pub fn list(&self) -> &[ScopeFound] {
        &self.list
    }

    /// The scope of a row.
    pub fn scope(&mut self, charge: &Charge<'_>, day: i32) -> Result<u16, ImportError> {
        let account = charge.billing_account_id.unwrap_or_default();
        let period = charge.billing_period_start.unwrap_or_default();
        let place = match self.last {
            Some((last, place)) if last == period && self.list[place as usize].billing_account_id == account => place,
            _ => {
                let place = self.place(charge, account, period.date_naive(), day)?;
                self.last = Some((period, place));
                place
            }
        };
        let scope = &mut self.list[place as usize];
        scope.first_day = scope.first_day.min(day);
        scope.last_day = scope.last_day.max(day);
        scope.has_hourly_charges = scope.has_hourly_charges || is_hourly(charge);
        Ok(place)
    }

    /// Remembers who provides and invoices a row of a scope. Rows of one charge group have the same: once is enough.
    pub fn note_billers(&mut self, place: u16, charge: &Charge<'_>) {
        let scope = &mut self.list[place as usize];
        note(&mut scope.providers, charge.provider_name);
        note(&mut scope.issuers, charge.invoice_issuer_name);
    }

    fn place(&mut self, charge: &Charge<'_>, account: &str, start: NaiveDate, day: i32) -> Result<u16, ImportError> {
        let key = (account.to_owned(), start);
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        if self.list.len() as i64 >= GENERATIONS_PER_DELIVERY_MAX {
            return Err(ImportError::TooManyScopes);
        }
        let place = self.list.len() as u16;
        let end = charge.billing_period_end.map_or(start + Days::new(1), |end| end.date_naive());
        self.list.push(ScopeFound {
            billing_account_id: key.0.clone(),
            billing_period_start: start,
            billing_period_end: end,
            first_day: day,
            last_day: day,
            providers: Vec::new(),
            issuers: Vec::new(),
            has_hourly_charges: false,
        });
        self.places.insert(key, place);
        Ok(place)
    }

    pub fn currency(&mut self, name: &str) -> Result<u16, ImportError> {
        if self.currencies.get(self.last_currency as usize).is_some_and(|last| last == name) {
            return Ok(self.last_currency);
        }
        self.last_currency = match self.currency_places.get(name) {
            Some(place) => *place,
            None => {
                let place = u16::try_from(self.currencies.len()).map_err(|_| ImportError::TooManyCurrencies)?;
                self.currencies.push(name.to_owned());
                self.currency_places.insert(name.to_owned(), place);
                place
            }
        };
        Ok(self.last_currency)
    }

    pub fn currency_name(&self, place: u16) -> &str {
        &self.currencies[place as usize]
    }
}
