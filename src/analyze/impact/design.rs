//! The columns of the regression: what log cost is explained by.

#![expect(clippy::float_arithmetic, reason = "columns of a regression")]

use super::{Model, NeighbourCourse, window::Window};

/// The courses of near neighbours in the first pass.
pub(super) const FIRST_COURSES: [NeighbourCourse; 2] = [NeighbourCourse::Step, NeighbourCourse::Pulse];

/// A column that is always in the regression, and the standard deviation of its coefficient beforehand.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) role: Role,
    pub(super) values: Vec<f64>,
    pub(super) sd: f64,
}

/// What a column stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Level,
    Weekday,
    Traffic,
    Siblings,
    Calendar,
    /// A price event, by its place in the window's list.
    Price(usize),
    /// What rules or tags moved on a day.
    Move,
    /// A launch, by its place in the window's list.
    Launch(usize),
    /// Another release, by its place in the window's list.
    Release(usize),
    /// A shift that nobody announced, on a day counted from the release.
    Shift(i32),
    /// One odd day.
    Outlier(i32),
}

/// The regression of one window: what is to be explained, and by what.
#[derive(Debug, Clone)]
pub(super) struct Design {
    /// Log cost less the means of what is known beforehand.
    pub(super) target: Vec<f64>,
    /// What is always in.
    pub(super) base: Vec<Column>,
    /// The courses that the release's own effect may have.
    pub(super) shapes: Vec<Vec<f64>>,
    /// The courses that are tried of near neighbours, one column each.
    pub(super) courses: Vec<NeighbourCourse>,
    /// The near neighbours.
    pub(super) neighbours: Vec<Neighbour>,
    /// How many columns of the base were there before anything was found in the days.
    announced: usize,
}

/// A neighbour of which several courses are tried.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    /// Its place in the window's list of other releases.
    pub(super) index: usize,
    /// A column for each course.
    pub(super) columns: Vec<Vec<f64>>,
}

impl Design {
    /// The columns for a window.
    pub(super) fn of(window: &Window, model: &Model) -> Self {
        let mut design = Self {
            target: window.log_cost.clone(),
            base: Vec::with_capacity(40),
            shapes: Vec::new(),
            courses: NeighbourCourse::COLUMNS
                .into_iter()
                .filter(|course| model.neighbour_states.iter().any(|(state, ..)| state == course))
                .collect(),
            neighbours: Vec::new(),
            announced: 0,
        };
        design.add_calendar(window, model);
        design.add_traffic(window, model);
        design.add_siblings(window, model);
        design.add_known_steps(window);
        for (index, (first, last)) in window.launches.iter().enumerate() {
            let values = window.days.iter().map(|day| f64::from(u8::from((*first..=*last).contains(day)))).collect();
            design.base.push(Column { role: Role::Launch(index), values, sd: model.launch_sd });
        }
        design.add_releases(window, model);
        let share = |day: &i32, shape: super::Shape| shape.share(*day, window.first_share);
        design.announced = design.base.len();
        design.shapes =
            model.shapes.iter().map(|(shape, _)| window.days.iter().map(|day| share(day, *shape)).collect()).collect();
        design
    }

    /// The columns that every kind of noise needs, in the order in which it keeps them: what is explained, the base, a
    /// step of the release, the first courses of near neighbours. What is found later comes after them, and then
    /// `late_columns`.
    pub(super) fn early_columns(&self) -> impl Iterator<Item = &[f64]> {
        let (announced, tried) = (self.announced, self.tried_columns());
        std::iter::once(&self.target)
            .chain(self.base[..announced].iter().map(|column| &column.values))
            .chain(tried.filter(|(early, _)| *early).map(|(_, values)| values))
            .map(Vec::as_slice)
    }

    /// The columns that only kinds of noise need that are likely: the other courses.
    pub(super) fn late_columns(&self) -> impl Iterator<Item = &[f64]> {
        self.tried_columns().filter(|(early, _)| !early).map(|(_, values)| values.as_slice())
    }

    /// All columns of which several are tried: shapes of the release, courses of near neighbours; and whether each is
    /// an early one.
    fn tried_columns(&self) -> impl Iterator<Item = (bool, &Vec<f64>)> {
        let shapes = self.shapes.iter().enumerate().map(|(index, values)| (index == 0, values));
        let courses = |neighbour: &'_ Neighbour| -> Vec<bool> {
            neighbour.columns.iter().zip(&self.courses).map(|(_, course)| FIRST_COURSES.contains(course)).collect()
        };
        let neighbours =
            self.neighbours.iter().flat_map(move |neighbour| courses(neighbour).into_iter().zip(&neighbour.columns));
        shapes.chain(neighbours)
    }

    /// The place of a column of the base among all columns.
    pub(super) fn place_of_base(&self, index: usize) -> usize {
        if index < self.announced { 1 + index } else { 1 + self.early_count() + index }
    }

    /// The places of all columns that are tried, in their order: shapes, then the courses of one neighbour after the
    /// other. The late ones are there once nothing is added to the base any more.
    pub(super) fn places_of_tried(&self) -> Vec<usize> {
        let (mut early, mut late) = (1 + self.announced, 1 + self.early_count() + self.base.len());
        self.tried_columns()
            .map(|(is_early, _)| {
                let next = if is_early { &mut early } else { &mut late };
                *next += 1;
                *next - 1
            })
            .collect()
    }

    fn early_count(&self) -> usize {
        self.tried_columns().filter(|(early, _)| *early).count()
    }

    /// The place of a near neighbour's course among the columns that are tried.
    pub(super) fn tried_of_neighbour(&self, neighbour: usize, course: NeighbourCourse) -> usize {
        let course = self.courses.iter().position(|other| *other == course).unwrap_or(0);
        self.shapes.len() + neighbour * self.courses.len() + course
    }

    /// The base with the places and standard deviations of its columns.
    pub(super) fn base_places(&self) -> Vec<(usize, f64)> {
        self.base.iter().enumerate().map(|(index, column)| (self.place_of_base(index), column.sd)).collect()
    }

    fn add_calendar(&mut self, window: &Window, model: &Model) {
        let count = window.days.len();
        self.base.push(Column { role: Role::Level, values: vec![1.0; count], sd: 1.0 });
        let weekday_sd = model.weekday_sd.max(weekday_spread(window));
        for weekday in 0..7 {
            let values = window.weekdays.iter().map(|day| f64::from(u8::from(*day == weekday)) - 1.0 / 7.0).collect();
            self.base.push(Column { role: Role::Weekday, values, sd: weekday_sd });
        }
        if let Some(sd) = model.slope_sd {
            let first = window.days[0];
            let values = window.days.iter().map(|day| f64::from(day - first) / 70.0).collect();
            self.base.push(Column { role: Role::Calendar, values, sd });
        }
        if let Some(sd) = model.month_start_sd {
            let values = window.month_days.iter().map(|day| f64::from(u8::from(*day <= 2))).collect();
            self.base.push(Column { role: Role::Calendar, values, sd });
        }
    }

    fn add_traffic(&mut self, window: &Window, model: &Model) {
        let Some(traffic) = &window.traffic else { return };
        let centred = centred(traffic, window.before);
        subtract(&mut self.target, model.elasticity.0, &centred);
        if let Some(sd) = model.late_elasticity_sd {
            let values =
                (0..centred.len()).map(|at| if at == 0 { 0.0 } else { centred[at - 1] - centred[at] }).collect();
            self.base.push(Column { role: Role::Traffic, values, sd });
        }
        self.base.push(Column { role: Role::Traffic, values: centred, sd: model.elasticity.1 });
    }

    fn add_siblings(&mut self, window: &Window, model: &Model) {
        if let Some(siblings) = &window.siblings {
            let values = centred(siblings, window.before);
            self.base.push(Column { role: Role::Siblings, values, sd: model.sibling_sd });
        }
        if let (Some(traffic), Some(sd)) = (&window.sibling_traffic, model.sibling_traffic_sd) {
            self.base.push(Column { role: Role::Siblings, values: centred(traffic, window.before), sd });
        }
    }

    /// Steps whose size is known beforehand: it is taken off, and what is not known of it has a column.
    fn add_known_steps(&mut self, window: &Window) {
        let prices = window.prices.iter().enumerate();
        let prices = prices.map(|(index, (day, mean, sd, _))| (Role::Price(index), *day, *mean, *sd));
        let moves = window.moves.iter().map(|one| (Role::Move, one.day, one.log_ratio, one.log_ratio_sd));
        for (role, day, mean, sd) in prices.chain(moves) {
            let values = step(&window.days, day, 1.0);
            subtract(&mut self.target, mean, &values);
            self.base.push(Column { role, values, sd });
        }
    }

    fn add_releases(&mut self, window: &Window, model: &Model) {
        let horizon = window.asked.len() as i32;
        let mut near = 0;
        for (index, (day, first_share)) in window.others.iter().enumerate() {
            if near < model.neighbours.min(super::reduced::NEIGHBOURS)
                && (-model.neighbour_reach_days..=horizon).contains(day)
            {
                near += 1;
                let columns = self
                    .courses
                    .iter()
                    .map(|course| {
                        let shape = course.shape(*day);
                        window.days.iter().map(|at| shape.share(at - day, *first_share)).collect()
                    })
                    .collect();
                self.neighbours.push(Neighbour { index, columns });
                continue;
            }
            let values = step(&window.days, *day, *first_share);
            self.base.push(Column { role: Role::Release(index), values, sd: model.other_release_sd });
        }
    }
}

/// A step on a day.
pub(super) fn step(days: &[i32], on: i32, first_share: f64) -> Vec<f64> {
    days.iter().map(|day| super::Shape::Step.share(day - on, first_share)).collect()
}

fn subtract(target: &mut [f64], factor: f64, values: &[f64]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target -= factor * value;
    }
}

fn centred(values: &[f64], before: usize) -> Vec<f64> {
    let mean = super::window::mean(&values[..before]);
    values.iter().map(|value| value - mean).collect()
}

/// How far the weekdays lie apart in the days before, as a standard deviation: services that rest on some days differ
/// by more than the model expects of a weekday.
fn weekday_spread(window: &Window) -> f64 {
    let before = &window.log_cost[..window.before];
    let level = super::window::median(before);
    let squares: Vec<f64> = (0..7)
        .map(|weekday| {
            let same: Vec<f64> = before
                .iter()
                .zip(&window.weekdays)
                .filter(|(_, day)| **day == weekday)
                .map(|(cost, _)| *cost)
                .collect();
            if same.is_empty() { 0.0 } else { (super::window::median(&same) - level).powi(2) }
        })
        .collect();
    let spread = super::window::mean(&squares).sqrt();
    // Within twice what the model expects the data speak for themselves.
    if spread > 0.3 { spread } else { 0.0 }
}
