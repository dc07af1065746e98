use super::cells::{Cells, present, trimmed};
use super::charge::Rejection;
use super::error::BillError;
use super::native::columns::numbered;
use crate::focus::columns::{self, Version};

/// Most columns that a file may have.
pub(super) const COLUMNS_MAX: usize = 2000;

/// The position of a column that no file has.
const ABSENT: usize = usize::MAX;

/// Longest values, in bytes, of what the database keeps in the keys of its indexes; no provider comes near.
const KEY_BYTES_MAX: u32 = 400;
const RESOURCE_ID_BYTES_MAX: u32 = 2_000;

/// Where a charge's field stands in the file: the column, and another to look at where that is null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub first: usize,
    pub second: usize,
}

impl Slot {
    pub fn is_absent(self) -> bool {
        self.first == ABSENT
    }

    /// What the row says of the field; `None` where that is null.
    #[inline]
    pub fn text<'a>(self, cells: &Cells<'a>) -> Option<&'a str> {
        match present(cells.get(self.first)) {
            None if self.second != ABSENT => present(cells.get(self.second)),
            text => text,
        }
    }
}

/// The columns of a file, once its names are understood.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// The FOCUS name where there is one, otherwise the file's own.
    pub names: Vec<String>,
    pub version: Version,
    pub extra_columns: Vec<String>,
    pub warnings: Vec<String>,
    /// Columns that say what was charged and have no field of their own, and the places of their cells in a row.
    pub attributes: Vec<(usize, usize)>,
    /// What the cell at each place of a row is to a charge.
    pub roles: Vec<Role>,
    /// Columns that hold other costs or quantities, and the places of their cells, in the order of the row.
    pub measures: Vec<(usize, usize)>,
    /// Places whose cells have a greatest length, in bytes.
    pub bounds: Vec<(usize, u32)>,
    /// The places that make up a charge group as runs of neighbours, first and last; none where the cells of a record
    /// lie anywhere in its text.
    pub group_runs: Vec<(usize, usize)>,
    /// What the file calls each column, where it is not FOCUS; empty where no column of it is at fault.
    pub native_names: Vec<String>,
    /// Whether measures of zero are left out.
    pub zeros_say_nothing: bool,
    pub slots: Slots,
    /// The place of each column's cell in a row.
    places: Vec<usize>,
    /// By place.
    allowed_values: Vec<Option<&'static [&'static str]>>,
}

/// What the cell at one place of a row is to a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A cost, quantity or period that has a field, or nothing.
    Line,
    /// Makes up the charge group, by itself or as what such a text is made of.
    Group,
    /// Another cost or quantity, under the name of this column.
    Measure(u16),
}

/// Where the cells of the rows lie that an adapter makes.
pub(super) struct Places<'a> {
    /// The place of each column.
    pub columns: &'a [usize],
    /// How many there are in a row.
    pub count: usize,
    /// Those up to here lie in the text of the row in their order.
    pub in_order: usize,
    /// Columns with a place from here on are computed of what has another place and makes up the group there.
    pub computed_from: usize,
    /// Places that no column has and computed texts are made of.
    pub sources: &'a [usize],
}

/// One slot for each field of a charge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub billed_cost: Slot,
    pub effective_cost: Slot,
    pub list_cost: Slot,
    pub contracted_cost: Slot,
    pub pricing_quantity: Slot,
    pub consumed_quantity: Slot,
    pub billing_currency: Slot,
    pub billing_period_start: Slot,
    pub billing_period_end: Slot,
    pub charge_period_start: Slot,
    pub charge_period_end: Slot,
    pub provider_name: Slot,
    pub invoice_issuer_name: Slot,
    pub billing_account_id: Slot,
    pub sub_account_id: Slot,
    pub sub_account_name: Slot,
    pub service_category: Slot,
    pub service_name: Slot,
    pub region_id: Slot,
    pub sku_id: Slot,
    pub charge_category: Slot,
    pub charge_class: Slot,
    pub pricing_category: Slot,
    pub commitment_discount_status: Slot,
    pub charge_subcategory: Slot,
    pub resource_id: Slot,
    pub resource_name: Slot,
    pub resource_type: Slot,
    pub charge_description: Slot,
    pub tags: Slot,
}

impl Header {
    /// Understands the column names of a FOCUS file.
    pub fn of(file_names: &[String]) -> Result<Self, BillError> {
        let (names, repeated) = canonical_names(file_names)?;
        let known: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| columns::canonical(name).is_some()).collect();
        let has_preview_names = file_names.iter().any(|name| columns::is_preview_name(name.trim()));
        let version = Version::of_columns(&known, has_preview_names);
        let extra_columns = names.iter().filter(|name| columns::canonical(name).is_none()).cloned().collect();
        let measures: Vec<bool> = names.iter().map(|name| columns::is_measure(name)).collect();
        let mut header = Self::sorted(names, version, extra_columns, &measures, &Places::as_in_file(&all(&measures)));
        header.warnings.extend(repeated.into_iter().map(|Repeated { name, own }| {
            format!("Column {name} stands in the file more than once: this one is kept as {own}.")
        }));
        Ok(header)
    }

    /// The columns of rows that an adapter makes: FOCUS names, and behind `focus_count` of them those of the format
    /// that FOCUS has no name for.
    pub fn of_native(names: Vec<String>, focus_count: usize, measures: &[bool], places: &Places<'_>) -> Self {
        let extra_columns = names[focus_count..].to_vec();
        Self::sorted(names, Version::V1_2, extra_columns, measures, places)
    }

    /// The columns of rows whose cells lie as in the file, none of which FOCUS lacks a name for.
    pub fn of_lines(names: Vec<String>, measures: &[bool]) -> Self {
        let known = names.len();
        Self::of_native(names, known, measures, &Places::as_in_file(&all(measures)))
    }

    fn sorted(
        names: Vec<String>,
        version: Version,
        extra_columns: Vec<String>,
        measures: &[bool],
        places: &Places<'_>,
    ) -> Self {
        let position = |name: &str| names.iter().position(|known| known == name);
        let mut header = Self {
            allowed_values: vec![None; places.count],
            slots: Slots::of(|name| position(name).map_or(ABSENT, |column| places.columns[column])),
            warnings: Vec::new(),
            attributes: Vec::new(),
            roles: vec![Role::Line; places.count],
            measures: Vec::new(),
            bounds: Vec::new(),
            group_runs: Vec::new(),
            native_names: Vec::new(),
            zeros_say_nothing: false,
            places: places.columns.to_vec(),
            version,
            extra_columns,
            names: Vec::new(),
        };
        header.bounds = header.slots.bounds();
        header.sort_columns(&Slots::of(|name| position(name).unwrap_or(ABSENT)), measures, places);
        for (name, place) in names.iter().zip(places.columns) {
            let allowed = &mut header.allowed_values[*place];
            *allowed = allowed.or(columns::allowed_values(name));
        }
        header.names = names;
        header.warn_of_absent_costs();
        header
    }

    /// The same rejection with the name that the column has in the file.
    pub fn named(&self, mut rejection: Rejection) -> Rejection {
        let column = self.names.iter().position(|name| *name == rejection.column);
        let native = column.and_then(|column| self.native_names.get(column)).filter(|name| !name.is_empty());
        if let Some(native) = native
            && let Some(rest) = rejection.reason.strip_prefix(&rejection.column)
        {
            rejection.reason = format!("{}, from {native},{rest}", rejection.column);
        }
        rejection
    }

    /// Mandatory columns that the file lacks, in the order of the specification's table.
    pub fn missing_mandatory(&self) -> Vec<&'static str> {
        columns::MANDATORY.into_iter().filter(|name| !self.has(name)).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The column whose cell has a place.
    pub fn name_at(&self, place: usize) -> &str {
        let column = self.places.iter().position(|own| *own == place);
        column.and_then(|column| self.names.get(column)).map_or("", String::as_str)
    }

    /// A value with the letter case that FOCUS gives it, where the column at this place has a fixed set of values.
    pub fn mended<'a>(&self, place: usize, value: &'a str) -> &'a str {
        let Some(Some(allowed)) = self.allowed_values.get(place) else { return value };
        let wanted = trimmed(value);
        allowed.iter().find(|known| known.eq_ignore_ascii_case(wanted)).copied().unwrap_or(value)
    }

    /// What the row says of a field with a fixed set of values.
    pub fn mended_text<'a>(&self, slot: Slot, cells: &Cells<'a>) -> Option<&'a str> {
        slot.text(cells).map(|value| self.mended(slot.first, value))
    }

    /// `own` are the slots by column. What is computed is no part of a group by itself: rows that agree in what it is
    /// computed from agree in it.
    fn sort_columns(&mut self, own: &Slots, measures: &[bool], places: &Places<'_>) {
        let amounts = own.amounts_and_periods().map(|slot| slot.first);
        let texts = own.texts().map(|slot| slot.first);
        for (column, (is_measure, &place)) in measures.iter().zip(places.columns).enumerate() {
            if amounts.contains(&column) {
                continue;
            }
            let is_text = texts.contains(&column);
            if *is_measure && !is_text {
                if self.roles[place] == Role::Line {
                    self.roles[place] = Role::Measure(column as u16);
                }
                continue;
            }
            if !is_text {
                self.attributes.push((column, place));
            }
            if place < places.computed_from {
                self.roles[place] = Role::Group;
            }
        }
        for place in places.sources {
            self.roles[*place] = Role::Group;
        }
        let of_the_record = self.roles.iter().take(places.computed_from).enumerate();
        self.measures = of_the_record
            .filter_map(|(place, role)| match role {
                Role::Measure(column) => Some((usize::from(*column), place)),
                _ => None,
            })
            .collect();
        let group: Vec<usize> = (0..places.in_order).filter(|place| self.roles[*place] == Role::Group).collect();
        let runs = group.chunk_by(|left, right| left + 1 == *right);
        self.group_runs = runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect();
    }

    fn warn_of_absent_costs(&mut self) {
        for name in ["ListCost", "ContractedCost"] {
            if !self.has(name) {
                self.warnings.push(format!("The file has no {name}: that view of these charges stays empty."));
            }
        }
    }
}

impl<'a> Places<'a> {
    /// Each column has its own, in the order of the file.
    fn as_in_file(columns: &'a [usize]) -> Self {
        let count = columns.len();
        Self { columns, count, in_order: count, computed_from: count, sources: &[] }
    }
}

fn all(columns: &[bool]) -> Vec<usize> {
    (0..columns.len()).collect()
}

impl Slots {
    fn of(position: impl Fn(&str) -> usize) -> Self {
        let slot = |name: &str| Slot { first: position(name), second: ABSENT };
        let provider = match (position("ServiceProviderName"), position("ProviderName")) {
            (ABSENT, older) => Slot { first: older, second: ABSENT },
            (newer, older) => Slot { first: newer, second: older },
        };
        Self {
            billed_cost: slot("BilledCost"),
            effective_cost: slot("EffectiveCost"),
            list_cost: slot("ListCost"),
            contracted_cost: slot("ContractedCost"),
            pricing_quantity: slot("PricingQuantity"),
            consumed_quantity: slot("ConsumedQuantity"),
            billing_currency: slot("BillingCurrency"),
            billing_period_start: slot("BillingPeriodStart"),
            billing_period_end: slot("BillingPeriodEnd"),
            charge_period_start: slot("ChargePeriodStart"),
            charge_period_end: slot("ChargePeriodEnd"),
            provider_name: provider,
            invoice_issuer_name: slot("InvoiceIssuerName"),
            billing_account_id: slot("BillingAccountId"),
            sub_account_id: slot("SubAccountId"),
            sub_account_name: slot("SubAccountName"),
            service_category: slot("ServiceCategory"),
            service_name: slot("ServiceName"),
            region_id: slot("RegionId"),
            sku_id: slot("SkuId"),
            charge_category: slot("ChargeCategory"),
            charge_class: slot("ChargeClass"),
            pricing_category: slot("PricingCategory"),
            commitment_discount_status: slot("CommitmentDiscountStatus"),
            charge_subcategory: slot("ChargeSubcategory"),
            resource_id: slot("ResourceId"),
            resource_name: slot("ResourceName"),
            resource_type: slot("ResourceType"),
            charge_description: slot("ChargeDescription"),
            tags: slot("Tags"),
        }
    }

    /// The places of texts that have a greatest length. The second column of a slot is looked at where the first is
    /// null.
    fn bounds(&self) -> Vec<(usize, u32)> {
        let bounds = [
            (self.billing_account_id, KEY_BYTES_MAX),
            (self.billing_currency, KEY_BYTES_MAX),
            (self.provider_name, KEY_BYTES_MAX),
            (self.charge_category, KEY_BYTES_MAX),
            (self.resource_id, RESOURCE_ID_BYTES_MAX),
        ];
        let places = bounds.into_iter().flat_map(|(slot, max)| [(slot.first, max), (slot.second, max)]);
        places.filter(|(place, _)| *place != ABSENT).collect()
    }

    /// What differs from charge to charge of one group.
    fn amounts_and_periods(&self) -> [Slot; 11] {
        [
            self.billed_cost,
            self.effective_cost,
            self.list_cost,
            self.contracted_cost,
            self.pricing_quantity,
            self.consumed_quantity,
            self.billing_currency,
            self.billing_period_start,
            self.billing_period_end,
            self.charge_period_start,
            self.charge_period_end,
        ]
    }

    /// What a charge has a text field for. ChargeSubcategory is not among them: it stays an attribute.
    fn texts(&self) -> [Slot; 18] {
        [
            self.provider_name,
            self.invoice_issuer_name,
            self.billing_account_id,
            self.sub_account_id,
            self.sub_account_name,
            self.service_category,
            self.service_name,
            self.region_id,
            self.sku_id,
            self.charge_category,
            self.charge_class,
            self.pricing_category,
            self.commitment_discount_status,
            self.resource_id,
            self.resource_name,
            self.resource_type,
            self.charge_description,
            self.tags,
        ]
    }
}

/// A column of a name that another one has, and what it is kept as.
struct Repeated {
    name: String,
    own: String,
}

/// The FOCUS or own name of each column, and the own names that repeat with what they are kept as. An old name beside the newer one of the
/// same column (`Region` beside `RegionId`) keeps its own.
fn canonical_names(file_names: &[String]) -> Result<(Vec<String>, Vec<Repeated>), BillError> {
    let mut names: Vec<String> = Vec::with_capacity(file_names.len());
    let mut repeated = Vec::new();
    let has = |wanted: &str| file_names.iter().any(|name| name.trim().eq_ignore_ascii_case(wanted));
    for (index, file_name) in file_names.iter().enumerate() {
        let own = file_name.trim();
        let name = match columns::canonical(own) {
            Some(focus) if columns::is_preview_name(own) && has(focus) => own.to_owned(),
            Some(focus) if names.iter().any(|earlier| earlier == focus) => {
                return Err(BillError::Malformed(format!("column {focus} stands in it twice")));
            }
            Some(focus) => focus.to_owned(),
            None if own.is_empty() => format!("column_{}", index + 1),
            None => own.to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
            continue;
        }
        // The values of both are kept, so each needs a name of its own.
        let own = numbered(&name, |own| names.iter().any(|known| known == own) || has(own));
        repeated.push(Repeated { name, own: own.clone() });
        names.push(own);
    }
    Ok((names, repeated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &str) -> Result<Header, BillError> {
        Header::of(&names.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_matched_in_any_order_and_case() {
        let header = header("chargeperiodstart, BILLEDCOST ,EffectiveCost,x_Project,Region").unwrap();
        assert_eq!(header.names, ["ChargePeriodStart", "BilledCost", "EffectiveCost", "x_Project", "RegionId"]);
        assert_eq!(header.version, Version::Preview1_0);
        assert_eq!(header.extra_columns, ["x_Project"]);
        assert_eq!(header.attributes, [(3, 3)]);
        assert_eq!(header.roles, [Role::Line, Role::Line, Role::Line, Role::Group, Role::Group]);
        assert_eq!(header.group_runs, [(3, 4)]);
    }

    #[test]
    fn places_of_measures_and_of_bounded_texts_are_known() {
        let names = "x_OtherCost,ProviderName,BilledCost,EffectiveCost,ChargePeriodStart,x_AQuantity,ResourceId,\
            ServiceProviderName";
        let header = header(names).unwrap();
        assert_eq!(header.measures, [(0, 0), (5, 5)]);
        assert_eq!(header.bounds, [(7, 400), (1, 400), (6, 2_000)]);
    }

    #[test]
    fn a_focus_column_may_stand_once_only() {
        let error = header("BilledCost,billedcost,EffectiveCost,ChargePeriodStart").unwrap_err();
        assert_eq!(error.to_string(), "The file cannot be read as a bill: column BilledCost stands in it twice.");
    }

    #[test]
    fn own_columns_that_repeat_are_kept_apart() {
        let header = header("BilledCost,EffectiveCost,ChargePeriodStart,x_a,x_cost,x_a,x_cost,x_a,x_a#2").unwrap();
        assert_eq!(header.names[3..], ["x_a", "x_cost", "x_a#3", "x_cost#2", "x_a#4", "x_a#2"]);
        let warned = "Column x_cost stands in the file more than once: this one is kept as x_cost#2.";
        assert!(header.warnings.iter().any(|warning| warning == warned), "{:?}", header.warnings);
    }

    #[test]
    fn the_newer_provider_column_comes_first() {
        let header = header("BilledCost,EffectiveCost,ChargePeriodStart,ProviderName,ServiceProviderName").unwrap();
        assert_eq!((header.slots.provider_name.first, header.slots.provider_name.second), (4, 3));
        assert_eq!(header.attributes, [(3, 3)], "the older one is kept as an attribute");
    }
}
