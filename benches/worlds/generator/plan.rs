//! What is released, and what goes wrong without a release.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::{TrueAnomaly, random::Random};

/// What a world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MakeUp {
    /// A release every six weeks, few effects.
    Sparse,
    /// Bills by the hour: the hour of each release is known, releases come weekly.
    Hourly,
    /// Several environments, releases every two weeks, often a fix within days.
    Environments,
}

impl MakeUp {
    pub const ALL: [Self; 3] = [Self::Sparse, Self::Hourly, Self::Environments];

    pub fn word(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Hourly => "hourly",
            Self::Environments => "environments",
        }
    }

    /// Mean days between releases, the share that does nothing, and how often a fix follows within days.
    fn rhythm(self) -> (f64, f64, f64) {
        match self {
            Self::Sparse => (42.0, 0.55, 0.05),
            Self::Hourly => (8.0, 0.75, 0.1),
            Self::Environments => (14.0, 0.65, 0.3),
        }
    }
}

/// The course of an effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Course {
    Nothing,
    Step,
    /// In equal parts over some days.
    Canary(usize),
    /// Comes slowly and bends.
    Leak(usize),
    /// For some days only.
    Passing(usize),
}

impl Course {
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "noop",
            Self::Step => "step",
            Self::Canary(_) => "canary",
            Self::Leak(_) => "leak",
            Self::Passing(_) => "spike",
        }
    }

    /// The share of the effect that is there so many days after the hour of the release.
    pub fn share(self, days: f64) -> f64 {
        match self {
            _ if days <= 0.0 => 0.0,
            Self::Nothing => 0.0,
            Self::Step => 1.0,
            Self::Canary(length) => (days / length as f64).ceil().min(1.0) * (days / length as f64).min(1.0),
            Self::Leak(length) => 1.0 - (-2.5 * days / length as f64).exp(),
            Self::Passing(length) => (-(days / length as f64).powi(4)).exp(),
        }
    }
}

/// A release as it is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub day: usize,
    pub hour: f64,
    pub course: Course,
    /// As a share of cost: 0.1 is 10 % more.
    pub size: f64,
    /// Whether it changes what a request takes; else it adds machines, whatever the traffic.
    pub per_request: bool,
}

pub fn releases(random: &mut Random, make_up: MakeUp, days: usize) -> Vec<Planned> {
    let (pause, nothing, fix) = make_up.rhythm();
    let mut releases: Vec<Planned> = Vec::new();
    let mut day = random.within(2.0, pause) as usize;
    while day < days {
        let course = match random.share() {
            share if share < nothing => Course::Nothing,
            _ => match random.share() {
                share if share < 0.6 => Course::Step,
                share if share < 0.75 => Course::Canary(random.between(2, 9)),
                share if share < 0.88 => Course::Leak(random.between(10, 35)),
                _ => Course::Passing(random.between(1, 6)),
            },
        };
        let size = (random.within(0.02_f64.ln(), 0.7_f64.ln())).exp();
        let size = if random.happens(0.6) { size } else { -0.8 * size };
        let per_request = random.happens(0.5);
        releases.push(Planned { day, hour: random.within(7.0, 19.0), course, size, per_request });
        let next = if random.happens(fix) { random.within(1.0, 4.0) } else { random.within(0.4, 1.6) * pause };
        day += next.max(1.0) as usize;
    }
    releases
}

/// Anomalies of a service in production: at most one, never within ten days of a release that did something.
pub fn anomalies(random: &mut Random, service: usize, days: usize, releases: &[Planned]) -> Vec<TrueAnomaly> {
    if !random.happens(0.5) || days < 120 {
        return Vec::new();
    }
    let start = random.between(90, days - 25);
    let near = |release: &Planned| release.course != Course::Nothing && release.day.abs_diff(start) < 10;
    if releases.iter().any(near) {
        return Vec::new();
    }
    let (kind, length) = match random.between(0, 4) {
        0 => ("spike", random.between(1, 3)),
        1 => ("shift", random.between(14, 40)),
        2 => ("ramp", random.between(18, 40)),
        _ => ("decouple", random.between(25, 45)),
    };
    let size = if kind == "spike" { random.within(0.5, 2.5) } else { random.within(0.3, 0.9) };
    vec![TrueAnomaly { service, environment: "prod", start, end: (start + length).min(days - 1), kind, size }]
}
