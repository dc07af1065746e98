//! What the address of `/charges` narrows its lines by, as a filter and in words.

use super::charges::ACCEPTS;
use super::query::{NONE, Period, VALUE_BYTES_MAX, View, is_supported, range_label};
use super::{Error, Result};
use crate::allocate::TagState;
use crate::focus::{BillingPeriod, DateRange};
use crate::rollup::tag_coverage::{self, GapCharges, TagGap};
use crate::store::charges::{ChargeFilter, ChargePart};
use crate::store::freshness::{self, Freshness};
use crate::store::{Scope, Snapshot, catalogue_names};
use std::str::FromStr;

/// A condition in words, and the key that takes it away.
pub(super) struct Condition {
    pub(super) key: &'static str,
    pub(super) text: String,
}

/// What an address narrows, as a filter and in words.
pub(super) async fn filter(
    conn: &mut Snapshot,
    view: &View,
    bills: &Freshness,
) -> Result<(ChargeFilter, Vec<Condition>)> {
    let named = catalogue_names::ids(conn, view.text("service"), view.text("env"), view.text("team")).await?;
    let known = view.known_values(conn).await?;
    let billing: Option<BillingPeriod> = number("billing", view.text("billing"), "a month like 2026-10")?;
    let is_bounded = ["billing", "delivery", "group", "invoice"].iter().any(|key| view.text(key).is_some());
    let days = match view.text("day") {
        Some(text) => Some(day(text)?),
        None => days(view, bills, is_bounded),
    };
    let class = view.text("class");
    let (sub_account_id, service_name) =
        (view.text("account").map(without_none), view.text("bought").map(without_none));
    let of_gap = match view.text("gap").map(gap).transpose()? {
        Some(gap) => Some(charges_of(conn, &gap, sub_account_id.as_deref(), service_name.as_deref()).await?),
        None => None,
    };
    let (rollup_key_ids, environment_kinds) =
        of_gap.map_or((None, None), |of_gap| (Some(of_gap.rollup_key_ids), of_gap.environment_kinds));
    let filter = ChargeFilter {
        first_day: days.map(DateRange::start),
        end_day: days.map(DateRange::end),
        billing_start: billing.map(BillingPeriod::first_day),
        billing_end: billing.map(|month| month.next().first_day()),
        service_id: found("service", view.text("service"), named.service_id)?,
        environment_id: found("env", view.text("env"), named.environment_id)?,
        team_id: found("team", view.text("team"), named.team_id)?,
        provider_name: known.provider,
        charge_category: known.charge,
        billing_currency: known.currency,
        source_id: number("source", view.text("source"), "the number of a source")?,
        delivery_id: number("delivery", view.text("delivery"), "the number of a delivery")?,
        resource_id: view.text("resource").map(without_none),
        sub_account_id,
        group_id: number("group", view.text("group"), "the id of a charge group")?,
        service_name,
        service_category: view.text("service_category").map(without_none),
        pricing: view.text("pricing").map(without_none),
        region_id: view.text("region").map(Into::into),
        sku_id: view.text("sku").map(Into::into),
        invoice_id: view.text("invoice").map(without_none),
        invoice_issuer_name: view.text("issuer").map(without_none),
        is_correction: match class {
            None | Some("shared" | "own") => None,
            Some("correction") => Some(true),
            Some("other") => Some(false),
            Some(other) => {
                let allowed = "correction, other, own, shared";
                return Err(Error::Invalid(format!("class={other} is not known. Allowed: {allowed}.")));
            }
        },
        is_shared_only: class == Some("shared"),
        is_own_only: class == Some("own"),
        part: view.text("part").map(part).transpose()?,
        cost_center: view.text("center").map(without_none),
        is_allocated: match view.text("allocated") {
            None => None,
            Some("yes") => Some(true),
            Some("no") => Some(false),
            Some(other) => return Err(Error::Invalid(format!("allocated={other} is not known. Allowed: yes, no."))),
        },
        mapping_tags: view.text("tags").map(tags).transpose()?,
        tag: view.text("tag").map(tag).transpose()?,
        dimension: view.text("dimension").map(dimension).transpose()?,
        commitment_id: view.text("commitment").map(without_none),
        commitment_status: view.text("commitment_status").map(Into::into),
        rollup_key_ids,
        environment_kinds,
    };
    Ok((filter, conditions(view, days, billing)))
}

/// The same for a file of lines: what an address says of `/charges`, and any day where it names none.
///
/// # Errors
/// Where a condition is not known; nothing is passed over, as a page does that shows what it passed over.
pub async fn for_export(conn: &mut Snapshot, scope: &Scope, query: &str) -> Result<ChargeFilter> {
    let view = View::parse(Some(query), ACCEPTS)?;
    if !view.note().is_empty() {
        return Err(Error::Invalid(view.note()));
    }
    let bills = view.narrowed(freshness::read(conn).await?, conn, scope).await?;
    let (mut filter, _) = filter(conn, &view, &bills).await?;
    if view.text("day").is_none() && view.text("period").is_none() {
        (filter.first_day, filter.end_day) = (None, None);
    }
    Ok(filter)
}

// An address has no empty values: "none" stands for lines without one.
fn without_none(value: &str) -> String {
    if value == NONE { String::new() } else { value.to_owned() }
}

fn part(text: &str) -> Result<ChargePart> {
    ChargePart::ALL.into_iter().find(|part| part.key() == text).ok_or_else(|| {
        let keys: Vec<&str> = ChargePart::ALL.iter().map(|part| part.key()).collect();
        Error::Invalid(format!("part={text} is not known. Allowed: {}.", keys.join(", ")))
    })
}

fn tags(text: &str) -> Result<serde_json::Value> {
    let tags = serde_json::from_str(text).ok().filter(serde_json::Value::is_object);
    tags.ok_or_else(|| Error::Invalid("tags is not a JSON object like {\"service\": \"shop\"}.".into()))
}

// Keys may have a colon, as `aws:createdBy` has.
fn tag(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(|| {
        Error::Invalid(format!("tag={text} is not known. Give a key and a value like team=shop, or team=none."))
    })?;
    Ok((key.trim().to_owned(), without_none(value.trim())))
}

// How a required tag is met, the tag, and perhaps its value.
fn gap(text: &str) -> Result<TagGap> {
    let parts = text.split_once(':').and_then(|(state, rest)| {
        let state = TagState::ALL.into_iter().find(|one| one.key() == state)?;
        let (key, value) = rest.split_once('=').map_or((rest, None), |(key, value)| (key, Some(value)));
        Some(TagGap { state, tag_key: key.trim().to_owned(), value: value.map(|value| value.trim().to_owned()) })
    });
    parts.ok_or_else(|| {
        Error::Invalid(format!(
            "gap={text} is not known. Give a way to meet a required tag, and the tag, like missing:team or \
             not-allowed:team=shop."
        ))
    })
}

async fn charges_of(
    conn: &mut Snapshot,
    gap: &TagGap,
    sub_account_id: Option<&str>,
    service_name: Option<&str>,
) -> Result<GapCharges> {
    let found = tag_coverage::charges_of(conn, gap, sub_account_id, service_name).await?;
    found.ok_or_else(|| Error::Invalid(format!("No tag “{}” is asked for: see /tags.", gap.tag_key)))
}

/// The address's word for the charges of a gap.
pub(super) fn gap_text(gap: &TagGap) -> String {
    let state = gap.state.key();
    let whole = gap.value.as_ref().map(|value| format!("{state}:{}={value}", gap.tag_key));
    // A value that does not fit into an address is left out.
    whole.filter(|text| text.len() <= VALUE_BYTES_MAX).unwrap_or_else(|| format!("{state}:{}", gap.tag_key))
}

fn gap_words(text: &str) -> String {
    let Ok(gap) = gap(text) else { return text.to_owned() };
    let value = gap.value.map(|value| format!(": {value}")).unwrap_or_default();
    format!("required tag {} {}{value}", gap.tag_key, gap.state.label())
}

/// A dimension and a value of it, which is empty for `none`: `product:Shop`.
pub(super) fn dimension(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        Error::Invalid(format!("dimension={text} is not known. Give a name and a value like product:Shop."))
    })?;
    Ok((name.to_owned(), without_none(value)))
}

fn day(text: &str) -> Result<DateRange> {
    let day: Option<chrono::NaiveDate> = text.parse().ok().filter(|day| is_supported(*day));
    day.and_then(|day| DateRange::new(day, day.succ_opt()?))
        .ok_or_else(|| Error::Invalid(format!("day={text} is not known. Give a day like 2026-11-03.")))
}

fn days(view: &View, bills: &Freshness, is_bounded: bool) -> Option<DateRange> {
    match view.period {
        // Given days are taken as they are, those still arriving too.
        Period::Days(range) => Some(range),
        // Nothing but the default period was meant to narrow a delivery or a bill.
        Period::LastDays(_) if is_bounded && view.text("period").is_none() => None,
        _ => view.span(bills).map(|span| span.days),
    }
}

fn conditions(view: &View, days: Option<DateRange>, billing: Option<BillingPeriod>) -> Vec<Condition> {
    let mut out = Vec::new();
    if let Some(days) = days {
        let key = if view.text("day").is_some() { "day" } else { "period" };
        out.push(Condition { key, text: format!("charged {}", range_label(days)) });
    }
    if let Some(month) = billing {
        out.push(Condition { key: "billing", text: format!("billed in {}", month.label()) });
    }
    const WORDS: [(&str, &str); 27] = [
        ("service", "service"),
        ("env", "environment"),
        ("team", "team"),
        ("provider", "provider"),
        ("charge", "category"),
        ("cur", "currency"),
        ("source", "source"),
        ("delivery", "delivery"),
        ("resource", "resource"),
        ("account", "account"),
        ("group", "charge group"),
        ("bought", "bought"),
        ("service_category", "service category"),
        ("pricing", "pricing category"),
        ("region", "region"),
        ("sku", "SKU"),
        ("class", "class"),
        ("part", ""),
        ("center", "cost center"),
        ("allocated", ""),
        ("tags", "tags"),
        ("tag", "tag"),
        ("dimension", "dimension"),
        ("commitment", "commitment"),
        ("commitment_status", "commitment"),
        ("invoice", "invoice"),
        ("issuer", "issued by"),
    ];
    for (key, word) in WORDS {
        if let Some(value) = view.text(key) {
            let value = match (key, value) {
                ("service" | "env", "none") => "not allocated",
                ("class", "own") => "own, without shared cost",
                ("allocated", "yes") => "given to a service",
                ("allocated", _) => "given to no service",
                ("part", _) => part(value).map_or_else(|_| value, |part| part.words()),
                _ => value,
            };
            out.push(Condition { key, text: format!("{word} {value}").trim().to_owned() });
        }
    }
    out.extend(view.text("gap").map(|text| Condition { key: "gap", text: gap_words(text) }));
    out
}

fn number<T: FromStr>(key: &str, text: Option<&str>, form: &str) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|_| Error::Invalid(format!("{key}={text} is not known. Give {form}."))))
        .transpose()
}

fn found(key: &str, slug: Option<&str>, id: Option<i64>) -> Result<Option<i64>> {
    match (slug, id) {
        (Some(NONE), None) => Ok(Some(0)),
        (Some(slug), None) => Err(Error::Invalid(format!("{key}={slug} is not in the catalogue."))),
        (_, id) => Ok(id),
    }
}
