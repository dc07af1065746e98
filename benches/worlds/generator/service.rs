//! What a service costs day by day.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::{Environment, MakeUp, Planned, TrueAnomaly, random::Random};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archetype {
    Machines,
    Reserved,
    Stored,
    Jobs,
    Functions,
}

impl Archetype {
    pub fn word(self) -> &'static str {
        match self {
            Self::Machines => "autoscale",
            Self::Reserved => "fixed",
            Self::Stored => "storage",
            Self::Jobs => "batch",
            Self::Functions => "serverless",
        }
    }

    pub fn category(self) -> &'static str {
        match self {
            Self::Machines | Self::Jobs | Self::Functions => "Compute",
            Self::Reserved => "Databases",
            Self::Stored => "Storage",
        }
    }
}

/// What a service is like.
pub struct Blueprint {
    pub archetype: Archetype,
    scale: f64,
    noise: f64,
    /// The largest wave of what nobody explains.
    wave: f64,
    /// Cost of one machine as a share of the scale: scaling goes by steps.
    machine: f64,
    fixed_share: f64,
    weekend: f64,
    growth_a_day: f64,
    measured: bool,
    follows_market: f64,
    hourly: bool,
}

impl Blueprint {
    pub fn draw(random: &mut Random, index: usize, make_up: MakeUp) -> Self {
        use Archetype::{Functions, Jobs, Machines, Reserved, Stored};
        let archetype = [Machines, Reserved, Functions, Stored, Jobs, Machines, Functions][index % 7];
        let noise = random.within(0.01_f64.ln(), 0.05_f64.ln()).exp();
        Self {
            archetype,
            scale: random.within(20.0_f64.ln(), 3000.0_f64.ln()).exp(),
            noise: if archetype == Jobs { 2.5 * noise } else { noise },
            wave: if random.happens(0.5) { random.within(0.01, 0.08) } else { 0.0 },
            machine: random.within(0.02, 0.12),
            fixed_share: random.within(0.1, 0.7),
            weekend: random.within(0.5, 1.1),
            growth_a_day: random.within(-0.0005, 0.002),
            measured: random.happens(0.8),
            follows_market: random.within(0.0, 1.0),
            hourly: make_up == MakeUp::Hourly,
        }
    }
}

/// How all customers move: campaigns and a slow season.
pub fn market(random: &mut Random, days: usize) -> Vec<f64> {
    let phase = random.within(0.0, 6.3);
    let campaign = random.between(days / 2, days);
    let mut slow = 0.0;
    (0..days)
        .map(|day| {
            slow = 0.97 * slow + random.normal(0.01);
            let bump = 0.25 * (-((day as f64 - campaign as f64) / 3.0).powi(2)).exp();
            0.06 * (day as f64 / 29.0 + phase).sin() + bump + slow
        })
        .collect()
}

/// What is drawn for each day, whatever is released.
pub struct Days {
    requests: Vec<f64>,
    measured: Option<Vec<f64>>,
    noise: Vec<f64>,
    price: Vec<f64>,
}

impl Days {
    pub fn draw(
        random: &mut Random,
        blueprint: &Blueprint,
        days: usize,
        market: &[f64],
        events: &[(usize, String, &'static str, String)],
    ) -> Self {
        let (mut slow, mut own) = (0.0, 0.0);
        let (wave_days, phase) = (random.within(25.0, 70.0), random.within(0.0, 6.3));
        let mut drawn = Self { requests: Vec::new(), measured: None, noise: Vec::new(), price: Vec::new() };
        let mut measured = Vec::new();
        let changes: Vec<(usize, f64)> = events
            .iter()
            .filter(|event| event.3 == blueprint.archetype.category())
            .map(|event| (event.0, if event.0 % 2 == 0 { -0.12 } else { 0.07 }))
            .collect();
        for day in 0..days {
            // The first day is a Monday.
            let weekday = [1.0, 1.04, 1.05, 1.03, 0.98, blueprint.weekend, 0.95 * blueprint.weekend][day % 7];
            own = 0.8 * own + random.normal(0.03);
            let log = blueprint.follows_market * market[day] + own + blueprint.growth_a_day * day as f64;
            let requests = 1e5 * weekday * log.exp();
            measured.push((requests * random.normal(0.01).exp()).round());
            drawn.requests.push(requests);
            // Noise remembers and comes back; now and then a day is far out.
            let burst = if random.happens(0.01) { random.within(1.0, 5.0) } else { 0.0 };
            slow = 0.5 * slow + random.normal(0.87);
            let wave = blueprint.wave * (day as f64 / wave_days * std::f64::consts::TAU + phase).sin();
            drawn.noise.push((blueprint.noise * (slow + burst) + wave).exp());
            let price: f64 = changes.iter().filter(|(from, _)| day >= *from).map(|(_, size)| 1.0 + size).product();
            drawn.price.push(price);
        }
        drawn.measured = blueprint.measured.then_some(measured);
        drawn
    }

    pub fn measured_requests(&self) -> Option<Vec<f64>> {
        self.measured.clone()
    }

    /// Cost of each day with all releases but these, by their places.
    pub fn cost(
        &self,
        blueprint: &Blueprint,
        releases: &[Planned],
        without: &[usize],
        anomalies: &[TrueAnomaly],
    ) -> Vec<f64> {
        let counted = || releases.iter().enumerate().filter(|(place, _)| !without.contains(place));
        // Bills by the hour are added up hour by hour; others know the hour of a release as well, but not when.
        let hours: &[f64] =
            if blueprint.hourly { &[1.5, 4.5, 7.5, 10.5, 13.5, 16.5, 19.5, 22.5] } else { &[6.0, 18.0] };
        (0..self.requests.len())
            .map(|day| {
                let of_hour = |hour: &f64| {
                    let (mut taken, mut added) = (1.0, 0.0);
                    for (_, release) in counted() {
                        let since = day as f64 - release.day as f64 + (hour - release.hour) / 24.0;
                        let effect = release.size * release.course.share(since);
                        if release.per_request { taken *= 1.0 + effect } else { added += effect }
                    }
                    self.of_day(blueprint, day, taken, added)
                };
                let usual = hours.iter().map(of_hour).sum::<f64>() / hours.len() as f64;
                usual * anomalies.iter().map(|anomaly| anomaly.factor(day)).product::<f64>()
            })
            .collect()
    }

    /// Cost of a day, when a request takes `taken` of what it did and machines for `added` of the cost were added.
    fn of_day(&self, blueprint: &Blueprint, day: usize, taken: f64, added: f64) -> f64 {
        let load = self.requests[day] / 1e5 * taken;
        let fixed = blueprint.fixed_share;
        let used = match blueprint.archetype {
            Archetype::Machines => {
                let machines = ((1.0 - fixed) * load / blueprint.machine).ceil();
                fixed + machines * blueprint.machine
            }
            Archetype::Reserved => fixed + (1.0 - fixed) * taken,
            Archetype::Stored => (1.0 + 0.0015 * day as f64) * (0.9 + 0.1 * load) * taken,
            Archetype::Jobs => (0.3 + 0.7 * load) * if day.is_multiple_of(30) { 1.5 } else { 1.0 },
            Archetype::Functions => load,
        };
        blueprint.scale * (used + added).max(0.02) * self.price[day] * self.noise[day]
    }
}

impl TrueAnomaly {
    /// What it multiplies the cost of a day by.
    fn factor(&self, day: usize) -> f64 {
        if !(self.start..=self.end).contains(&day) {
            return 1.0;
        }
        let since = (day - self.start + 1) as f64 / (self.end - self.start + 1) as f64;
        match self.kind {
            "ramp" | "decouple" => 1.0 + self.size * since.min(1.0),
            _ => 1.0 + self.size,
        }
    }
}

/// Environments beside production, some of which somebody forgets.
pub fn other_environments(
    random: &mut Random,
    blueprint: &Blueprint,
    days: usize,
    service: usize,
    anomalies: &mut Vec<TrueAnomaly>,
) -> Vec<Environment> {
    let shares = [("staging", 0.15), ("dev", 0.08)];
    shares
        .into_iter()
        .map(|(name, share)| {
            let forgotten = (random.happens(0.15) && days > 150).then(|| {
                let start = random.between(100, days - 30);
                (start, start + random.between(15, 40))
            });
            if let Some((start, end)) = forgotten {
                let end = end.min(days - 1);
                anomalies.push(TrueAnomaly { service, environment: name, start, end, kind: "idle", size: 0.0 });
            }
            let idle = |day: usize| forgotten.is_some_and(|(start, end)| (start..=end).contains(&day));
            let cost = (0..days).map(|_| blueprint.scale * share * random.normal(0.04).exp()).collect();
            let rest = |day: usize| if day % 7 >= 5 { 0.3 } else { 1.0 };
            let used = |day: usize, random: &mut Random| 900.0 * rest(day) * random.normal(0.2).exp();
            let requests = (0..days).map(|day| if idle(day) { 0.0 } else { used(day, random).round() }).collect();
            (name, cost, Some(requests))
        })
        .collect()
}
