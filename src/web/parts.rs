//! Parts that several pages have: filters, key figures, links that switch a view.

use super::display::Delta;
use super::in_force::InForce;
use super::query::{Span, View};
use crate::focus::{BillingPeriod, CostBasis};
use askama::Template;

/// One choice of a select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// In the address.
    pub value: String,
    /// What people read.
    pub label: String,
    /// Whether it is the present one.
    pub is_selected: bool,
}

/// One select of the filter form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The key in the address.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// In order.
    pub choices: Vec<Choice>,
}

impl Select {
    /// A select over pairs of value and label; the first pair with an empty value stands for "all".
    pub fn new(name: &'static str, label: &'static str, selected: &str, pairs: Vec<(String, String)>) -> Self {
        let has_selected = pairs.iter().any(|(value, _)| value == selected);
        let mut choices: Vec<Choice> =
            pairs.into_iter().map(|(value, label)| Choice { is_selected: value == selected, value, label }).collect();
        if !has_selected {
            choices.push(Choice { value: selected.to_owned(), label: selected.to_owned(), is_selected: true });
        }
        Self { name, label, choices }
    }
}

/// A text field of the filter form, with what may be written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key in the address.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What is written there.
    pub value: String,
    /// Values and what they mean.
    pub choices: Vec<(String, String)>,
    /// What fits into it, in characters.
    pub length_max: usize,
}

/// Two days and what stands between them fit.
const DAYS_LENGTH_MAX: usize = 40;

/// The filter form: one setting for the whole page. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/filters.html")]
pub struct Filters {
    action: String,
    summary: String,
    search: Option<String>,
    fields: Vec<Field>,
    selects: Vec<Select>,
    /// What the form has no field for and keeps all the same.
    hidden: Vec<(&'static str, String)>,
    in_force: InForce,
    fixed_href: String,
    clear_href: String,
    /// What totals in this basis leave out; may be empty.
    left_out: &'static str,
}

impl askama::filters::HtmlSafe for Filters {}

impl Filters {
    /// Period, comparison and basis, with the page's own selects between them.
    pub fn new(path: &str, view: &View, span: Option<&Span>, own: Vec<Select>) -> Self {
        let mut selects = vec![periods(view)];
        if span.is_some() {
            selects.push(versus(view));
        }
        selects.extend(own);
        selects.push(bases(view));
        let against = |span: &Span| match span.names_both() {
            true => format!(" against {}", span.before_label()),
            false => String::new(),
        };
        let summary = span
            .map(|span| format!("Filters: {}{}, {}", span.label(), against(span), view.basis.label()))
            .unwrap_or_default();
        Self {
            action: path.to_owned(),
            summary: if summary.is_empty() { "Filters".into() } else { summary },
            search: None,
            fields: Vec::new(),
            in_force: InForce::new(path, view, &selects),
            hidden: hidden(view, &selects),
            selects,
            fixed_href: span
                .filter(|span| span.is_relative())
                .map(|span| view.link(path, &[("period", &span.fixed())]))
                .unwrap_or_default(),
            clear_href: if view.is_filtered() { path.to_owned() } else { String::new() },
            left_out: view.basis.left_out(),
        }
    }

    /// A form with the period alone, for a page that takes no other key ([`View::of_period_only`]).
    pub fn of_period(path: &str, view: &View, span: Option<&Span>) -> Self {
        let mut filters = Self::new(path, view, span, Vec::new());
        filters.selects.retain(|select| select.name == "period");
        filters.summary = span.map_or_else(|| "Filters".into(), |span| format!("Filters: {}", span.label()));
        filters
    }

    /// A form without period and basis, for lists that show no money.
    pub fn plain(path: &str, view: &View, own: Vec<Select>) -> Self {
        Self {
            action: path.to_owned(),
            summary: "Filters".into(),
            search: None,
            fields: Vec::new(),
            in_force: InForce::new(path, view, &own),
            hidden: hidden(view, &own),
            selects: own,
            fixed_href: String::new(),
            clear_href: if view.is_filtered() || view.text("period").is_some() {
                path.to_owned()
            } else {
                String::new()
            },
            left_out: "",
        }
    }

    /// Takes any two periods: both are text fields, with the words of the selects and these months to choose from.
    pub fn with_any_days(mut self, view: &View, months: &[BillingPeriod]) -> Self {
        self.selects.retain(|select| !matches!(select.name, "period" | "vs"));
        self.hidden.retain(|(key, _)| !matches!(*key, "period" | "vs"));
        let months = months.iter().map(|month| (month.to_string(), month.label()));
        let choices = |select: Select| -> Vec<(String, String)> {
            select.choices.into_iter().map(|choice| (choice.value, choice.label)).chain(months.clone()).collect()
        };
        self.fields = vec![
            Field {
                name: "period",
                label: "Period",
                value: view.period_key(),
                choices: choices(periods(view)),
                length_max: DAYS_LENGTH_MAX,
            },
            Field {
                name: "vs",
                label: "Compare with",
                value: view.text("vs").unwrap_or("prev").to_owned(),
                choices: choices(versus(view)),
                length_max: DAYS_LENGTH_MAX,
            },
        ];
        for field in &mut self.fields {
            let mut seen = std::collections::BTreeSet::new();
            field.choices.retain(|(value, _)| seen.insert(value.clone()));
        }
        self
    }

    /// Adds a text field after those for days.
    pub fn with_field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Adds a text field `q`.
    pub fn with_search(mut self, view: &View) -> Self {
        self.hidden.retain(|(key, _)| *key != "q");
        self.search = Some(view.field("q").to_owned());
        self
    }
}

// What no field of the form says stays as it is: it would be lost with the first other choice.
fn hidden(view: &View, selects: &[Select]) -> Vec<(&'static str, String)> {
    let has_field = |key: &str| selects.iter().any(|select| select.name == key);
    view.kept().filter(|(key, _)| !has_field(key)).map(|(key, value)| (key, value.to_owned())).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

fn periods(view: &View) -> Select {
    let list = [
        ("30d", "Last 30 days"),
        ("60d", "Last 60 days"),
        ("90d", "Last 90 days"),
        ("mtd", "Month to date"),
        ("12m", "Last 12 months"),
    ];
    Select::new("period", "Period", &view.period_key(), pairs(&list))
}

fn versus(view: &View) -> Select {
    let selected = view.text("vs").unwrap_or("prev");
    Select::new("vs", "Compare with", selected, pairs(&[("prev", "The period before"), ("py", "Same days last year")]))
}

fn bases(view: &View) -> Select {
    let list = CostBasis::ALL.map(|basis| (basis.key(), basis.label()));
    Select::new("basis", "Cost basis", view.basis.key(), pairs(&list))
}

/// One key figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub label: String,
    /// One a currency, or a single text.
    pub values: Vec<String>,
    /// One change a currency.
    pub deltas: Vec<Delta>,
    /// A sentence below.
    pub note: String,
    /// What shows how it is made; empty where no page has the same figure.
    pub href: String,
}

impl Figure {
    /// A figure without a change.
    pub fn plain(label: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            values: vec![value.into()],
            deltas: Vec::new(),
            note: note.into(),
            href: String::new(),
        }
    }

    /// What its link is called: "Spend, 30 complete days: $44,190".
    fn name(&self) -> String {
        format!("{}: {}", self.label, self.values.join(" and "))
    }
}

/// Key figures in one ruled row. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/figures.html")]
pub struct Figures(pub Vec<Figure>);

impl askama::filters::HtmlSafe for Figures {}

/// A link of a switch, or of a sortable head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// What people read.
    pub label: &'static str,
    /// Where it leads.
    pub href: String,
    /// Whether it is the present one.
    pub is_current: bool,
}

/// A switch over the values of `by`.
pub fn switches(view: &View, path: &str, choices: &[(&'static str, &'static str)]) -> Vec<Switch> {
    choices
        .iter()
        .enumerate()
        .map(|(index, (value, label))| Switch {
            label,
            href: view.link(path, &[("by", if index == 0 { "" } else { value })]),
            is_current: view.by() == *value,
        })
        .collect()
}
