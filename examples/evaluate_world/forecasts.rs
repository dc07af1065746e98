//! Asks what each service and team will cost in each month, on two days of it.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::{
    effects::Claim,
    world::{COMPLETE_AGE, World},
};
use chrono::{Datelike, Months, NaiveDate};
use costwake::analyze::forecast::{Adaptive, Forecast, Part, Question, forecast};

/// Days of the month on which it is asked.
const ASKED_ON: [u32; 2] = [11, 21];
/// The first month of the world that is asked about.
const FIRST_MONTH: usize = 3;

/// An answer, and what it is about.
pub struct Answer {
    pub scope_kind: &'static str,
    pub scope: String,
    pub month: String,
    pub asked_on: NaiveDate,
    pub forecast: Forecast,
    /// What the month came to.
    #[allow(dead_code, reason = "files of answers hold no truth")]
    pub actual: f64,
}

/// The services of a scope.
struct Scope {
    name: String,
    services: Vec<usize>,
}

/// Forecasts of all scopes, whose levels start anew at releases that are known to have changed them.
pub fn answers(world: &World, claims: &[Claim]) -> Vec<Answer> {
    let services: Vec<Scope> = (0..world.services.len())
        .map(|service| Scope { name: world.services[service].name.clone(), services: vec![service] })
        .collect();
    let mut names: Vec<&str> = world.services.iter().map(|service| service.team.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of_team = |name: &str| (0..world.services.len()).filter(|at| world.services[*at].team == name).collect();
    let teams: Vec<Scope> =
        names.iter().map(|name| Scope { name: (*name).to_owned(), services: of_team(name) }).collect();
    let mut answers = Vec::new();
    for (kind, scopes) in [("service", services), ("team", teams)] {
        for day in ASKED_ON {
            ask(world, claims, (kind, scopes.as_slice()), day, &mut answers);
        }
    }
    answers
}

/// Asks about every month in order, and lets the level of intervals follow what became of the months before.
fn ask(world: &World, claims: &[Claim], (kind, scopes): (&'static str, &[Scope]), day: u32, answers: &mut Vec<Answer>) {
    let mut adaptive = Adaptive::default();
    for month in months(world).into_iter().skip(FIRST_MONTH) {
        let asked_on = month + chrono::Days::new(u64::from(day) - 1);
        let questions: Vec<Question> =
            scopes.iter().map(|scope| question(world, claims, scope, month, asked_on)).collect();
        let (mut held, mut missed) = (0, 0);
        for (scope, forecast) in scopes.iter().zip(forecast(&questions, &adaptive)) {
            let Ok(forecast) = forecast else { continue };
            let actual = actual(world, scope, month);
            let holds =
                forecast.low.is_some_and(|low| low <= actual) && forecast.high.is_some_and(|high| high >= actual);
            *(if holds { &mut held } else { &mut missed }) += 1;
            let month = month.format("%Y-%m").to_string();
            answers.push(Answer { scope_kind: kind, scope: scope.name.clone(), month, asked_on, forecast, actual });
        }
        // By the same day of the next month, this one is over and complete.
        adaptive = adaptive.learn(held, missed);
    }
}

/// The first days of the months that lie whole in the world.
fn months(world: &World) -> Vec<NaiveDate> {
    let last = world.date(world.days - 1);
    let first = world.first_day.with_day(1).unwrap_or(world.first_day);
    let mut month = if first < world.first_day { first + Months::new(1) } else { first };
    let mut months = Vec::new();
    while month + Months::new(1) <= last + chrono::Days::new(1) {
        months.push(month);
        month = month + Months::new(1);
    }
    months
}

fn question(world: &World, claims: &[Claim], scope: &Scope, month: NaiveDate, asked_on: NaiveDate) -> Question {
    let asked = (asked_on - world.first_day).num_days() as usize;
    let complete = asked - COMPLETE_AGE;
    let restarts = |service: usize| -> Vec<NaiveDate> {
        let known = claims.iter().filter(|claim| claim.service == service && claim.stands_on(asked));
        known.map(|claim| claim.day).filter(|day| *day <= world.date(complete)).collect()
    };
    let part = |service: &usize| Part {
        cost: usage(world, *service, asked),
        restarts: restarts(*service),
        late_from: None,
        shown: 0.0,
    };
    let parts = scope.services.iter().map(part);
    Question {
        first_day: world.first_day,
        parts: parts.collect(),
        complete_to: world.date(complete),
        visible_shares: (0..COMPLETE_AGE).rev().map(|age| usual_share(world, scope, complete, age)).collect(),
        from: month,
        to: month + Months::new(1) - chrono::Days::new(1),
        fees: 0.0,
    }
}

/// Usage of all environments of a service, as the bills said it on a day.
fn usage(world: &World, service: usize, asked: usize) -> Vec<Option<f64>> {
    let service = &world.services[service];
    let mut total = vec![None; asked + 1];
    for environment in service.environments.keys() {
        for (sum, cost) in total.iter_mut().zip(service.visible(environment, 0, asked)) {
            if let Some(cost) = cost {
                *sum = Some(sum.unwrap_or(0.0) + cost);
            }
        }
    }
    total
}

/// The median share that days of a scope showed at an age, from days that are complete.
fn usual_share(world: &World, scope: &Scope, complete: usize, age: usize) -> f64 {
    let days = |service: &usize| {
        let service = &world.services[*service];
        (0..=complete).map(|day| service.visible_share(day, age)).collect::<Vec<f64>>()
    };
    let mut shares: Vec<f64> = scope.services.iter().flat_map(days).collect();
    shares.sort_unstable_by(f64::total_cmp);
    shares[shares.len() / 2]
}

fn actual(world: &World, scope: &Scope, month: NaiveDate) -> f64 {
    let first = (month - world.first_day).num_days() as usize;
    let last = (month + Months::new(1) - world.first_day).num_days() as usize;
    let environments = scope.services.iter().flat_map(|service| world.services[*service].environments.values());
    environments.flat_map(|series| series.cost.get(first..last).unwrap_or_default()).flatten().sum()
}
