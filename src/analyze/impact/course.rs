//! How the effect of a release lies over the days: what its mean does not tell.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::{Model, SETTLED_DAYS, Shape, fit::Fit, window::Window};

/// The effect of a release day by day, as far as the courses tell it that it may have taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EffectCourse {
    /// On each of the 14 days after the release, in units of the currency. Over the days asked their mean is the
    /// effect.
    pub after: [f64; SETTLED_DAYS as usize],
    /// On each day from then on: what of it lasts.
    pub lasting_per_day: f64,
}

/// The course of the effect of a window whose answer tells `per_day`. `None` where courses that undo each other leave
/// no effect to spread.
pub(super) fn of(window: &Window, fit: &Fit, model: &Model, per_day: f64) -> Option<EffectCourse> {
    let courses = model.shapes.iter().zip(&fit.posterior.amounts);
    let courses: Vec<(Shape, f64)> = courses.map(|((shape, _), amount)| (*shape, *amount)).collect();
    spread(&courses, &window.asked, per_day)
}

// Each course has its part of the effect, over the days by the share of it that is there and by what these days cost.
fn spread(courses: &[(Shape, f64)], asked: &[f64], per_day: f64) -> Option<EffectCourse> {
    let usual = super::window::mean(asked);
    let told: f64 = courses.iter().map(|(_, amount)| amount).sum();
    let mut course = EffectCourse { after: [0.0; SETTLED_DAYS as usize], lasting_per_day: 0.0 };
    for (shape, amount) in courses {
        let share = |day: usize| shape.share(day as i32, 1.0);
        let over: Vec<f64> = asked.iter().enumerate().map(|(index, cost)| share(index + 1) * cost).collect();
        let over = super::window::mean(&over);
        if over <= 0.0 {
            continue;
        }
        // What is told may be another share of the effect than the mean of the model.
        let size = amount / over * (per_day / told);
        for (index, of_day) in course.after.iter_mut().enumerate() {
            *of_day += size * share(index + 1) * asked.get(index).copied().unwrap_or(usual);
        }
        course.lasting_per_day += size * share(course.after.len() + 1) * usual;
    }
    let is_told = course.after.iter().chain([&course.lasting_per_day]).all(|amount| amount.is_finite());
    is_told.then_some(course)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(course: &EffectCourse) -> f64 {
        course.after.iter().sum()
    }

    #[test]
    fn a_pulse_ends_a_ramp_grows_and_a_step_stays() {
        let asked = [100.0; 14];
        let of = |courses: &[(Shape, f64)]| spread(courses, &asked, 40.0).unwrap();
        let step = of(&[(Shape::Step, 40.0)]);
        assert!(
            step.after.iter().chain([&step.lasting_per_day]).all(|amount| (amount - 40.0).abs() < 1e-9),
            "{step:?}"
        );
        // There on the day of the release and the two days after it.
        let pulse = of(&[(Shape::Pulse(3), 40.0)]);
        assert!((pulse.after[1] - 280.0).abs() < 1e-9 && pulse.after[2] == 0.0, "{pulse:?}");
        assert_eq!(pulse.lasting_per_day, 0.0);
        let ramp = of(&[(Shape::Ramp(14), 40.0)]);
        assert!((ramp.after[13] - 14.0 * ramp.after[0]).abs() < 1e-9, "{ramp:?}");
        assert!((ramp.lasting_per_day - ramp.after[13]).abs() < 1e-9, "{ramp:?}");
        for course in [step, pulse, ramp] {
            assert!((sum(&course) - 14.0 * 40.0).abs() < 1e-9, "{course:?}");
        }
    }

    #[test]
    fn courses_have_their_parts_and_the_mean_is_what_is_told() {
        // Five days asked, more of them to come; the answer tells half as much again as the mean of the model.
        let asked = [90.0, 110.0, 100.0, 95.0, 105.0];
        let mixed = spread(&[(Shape::Step, 12.0), (Shape::Pulse(2), 8.0)], &asked, 30.0).unwrap();
        let told = mixed.after[..5].iter().sum::<f64>() / 5.0;
        assert!((told - 30.0).abs() < 1e-9, "{mixed:?}");
        assert!((mixed.lasting_per_day - 18.0).abs() < 1e-9, "of it the step lasts: {mixed:?}");
        assert!((mixed.after[13] - 18.0).abs() < 1e-9, "{mixed:?}");
        // What undoes itself has no course.
        assert_eq!(spread(&[(Shape::Step, 12.0), (Shape::Pulse(2), -12.0)], &asked, 0.0), None);
        assert_eq!(spread(&[], &asked, 0.0).map(|course| course.lasting_per_day), Some(0.0));
    }
}
