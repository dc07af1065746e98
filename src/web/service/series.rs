use super::super::charts::{Marker, Shape, environment_class, ranked_class};
use super::super::comparison::{Around, WEEK, rollout_from};
use super::super::daily::Series;
use super::super::deployment_marker::{LIST, deployment_marker};
use super::super::effects::Answer;
use super::super::query::Span;
use super::deployed::Deployed;
use super::loaded::{Loaded, charge_of, provider_of};
use crate::store::deployment_marks::MarkedDeployment;
use crate::store::effects::EffectBrief;
use crate::store::service_costs::{EnvironmentLabel, ServiceDay, ServiceHead};
use bigdecimal::BigDecimal;
use std::collections::{BTreeMap, HashMap};

/// More series than this are shown as the largest and "Other".
const SERIES_COUNT_MAX: usize = 6;

/// Which series a row belongs to.
pub(super) type SeriesOf<'a> = Box<dyn Fn(&ServiceDay) -> usize + 'a>;

/// The colours of the stack. Environments of one kind share one: previews come and go by the dozen.
pub(super) fn series<'a>(by: &str, days: &'a Loaded) -> (Vec<Series>, SeriesOf<'a>) {
    if by == "env" {
        return environment_series(days);
    }
    let name: fn(&ServiceDay) -> &str = if by == "provider" { provider_of } else { charge_of };
    let mut totals: BTreeMap<&str, BigDecimal> = BTreeMap::new();
    for row in days.kept() {
        *totals.entry(name(row)).or_default() += row.cost.abs();
    }
    let mut ranked: Vec<(&str, BigDecimal)> = totals.into_iter().collect();
    ranked.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    let kept = if ranked.len() > SERIES_COUNT_MAX { SERIES_COUNT_MAX - 1 } else { ranked.len() };
    let mut series: Vec<Series> = ranked[..kept]
        .iter()
        .enumerate()
        .map(|(rank, (name, _))| Series {
            label: if name.is_empty() { "Not named".into() } else { (*name).to_owned() },
            href: String::new(),
            class: ranked_class(rank),
        })
        .collect();
    if kept < ranked.len() {
        let label = format!("Other, {}", ranked.len() - kept);
        series.push(Series { label, href: String::new(), class: "other" });
    }
    let names: Vec<String> = ranked[..kept].iter().map(|(name, _)| (*name).to_owned()).collect();
    (series, Box::new(move |row| names.iter().position(|one| one == name(row)).unwrap_or(names.len())))
}

/// Kinds of environment from the bottom of the stack, and what people call them.
pub(super) const KINDS: [(&str, &str); 6] = [
    ("production", "Production"),
    ("staging", "Staging"),
    ("preview", "Preview"),
    ("development", "Development"),
    ("test", "Test"),
    ("other", "Other"),
];

fn environment_series(days: &Loaded) -> (Vec<Series>, SeriesOf<'_>) {
    let kind_of = |id: i64| days.environment(id).map_or("", |one| one.kind.as_str());
    let mut series = Vec::new();
    let mut kinds = Vec::new();
    for (kind, name) in KINDS {
        let of_kind: Vec<&EnvironmentLabel> = days.environments.iter().filter(|one| one.kind == kind).collect();
        match of_kind.as_slice() {
            [] => continue,
            [one] => series.push(Series {
                label: one.name.clone(),
                href: format!("/environments/{}", one.slug),
                class: environment_class(Some(kind)),
            }),
            several => series.push(Series {
                label: format!("{name}, {} environments", several.len()),
                href: String::new(),
                class: environment_class(Some(kind)),
            }),
        }
        kinds.push(kind);
    }
    series.push(Series { label: "No environment".into(), href: String::new(), class: "other" });
    (
        series,
        Box::new(move |row| kinds.iter().position(|kind| *kind == kind_of(row.environment_id)).unwrap_or(kinds.len())),
    )
}

/// Deployments that went live, on the bars of the chart.
pub(super) fn markers(service: &ServiceHead, span: &Span, days: &Loaded, deployed: &Deployed) -> Vec<Marker> {
    let buckets = span.buckets();
    let list_href = format!("{LIST}?service={}", service.slug);
    let mut effects: HashMap<i64, Vec<&EffectBrief>> = HashMap::new();
    for effect in &deployed.effects {
        effects.entry(effect.deployment_id).or_default().push(effect);
    }
    let inside = deployed.marked.iter().filter(|one| days.environment_id.is_none_or(|id| one.environment_id == id));
    inside
        .filter_map(|one| {
            let own = effects.get(&one.deployment_id).map(Vec::as_slice).unwrap_or_default();
            Some(Marker { shape: shape(one, span, own), ..deployment_marker(one, &buckets, &list_href)? })
        })
        .collect()
}

fn shape(deployment: &MarkedDeployment, span: &Span, effects: &[&EffectBrief]) -> Shape {
    let answers = effects.iter().map(|effect| Answer::from(*effect));
    if let Some(answer) = answers.max_by_key(|answer| (answer.is_claimed(), answer.size()))
        && (answer.is_claimed() || deployment.kind != "rollback")
    {
        return answer.shape();
    }
    if deployment.kind == "rollback" {
        return Shape::Rollback;
    }
    let day = deployment.day();
    let (bills_from, bills_to) = span.billed_around(day);
    let around = Around::new(day, rollout_from(deployment.started_at, deployment.at), bills_from, bills_to, WEEK);
    if around.days_after() < WEEK { Shape::Measuring } else { Shape::Plain }
}
