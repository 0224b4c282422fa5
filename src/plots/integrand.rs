//! The integrand of thermodynamic integration, whose area is log Z − log Z₀.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{significant, thinned, with_error};
use crate::estimators::Estimate;

/// Points of the curve.
const POINTS: usize = 1000;
/// So few points have room for an error bar each.
const FEW: usize = 40;
/// Half of a normal 95 % interval, in standard errors.
const NORMAL: f64 = 1.96;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    // (β, mean, its standard error)
    let points: Vec<(f64, f64, f64)> = estimate
        .trace
        .rungs
        .iter()
        .filter_map(|rung| Some((rung.beta, rung.derivative?, rung.derivative_std_err.unwrap_or(0.0))))
        .filter(|(beta, value, _)| beta.is_finite() && value.is_finite())
        .collect();
    if points.len() < 2 {
        return None;
    }
    let kept: Vec<_> = thinned(points.len(), POINTS).into_iter().map(|k| points[k]).collect();
    let ends = kept.iter().flat_map(|(_, g, error)| [g - NORMAL * error, g + NORMAL * error, *g, 0.0]);
    let y = Axis::around("E[∂ log f / ∂β] (nats)", ends);
    let area = kept.iter().map(|(beta, g, _)| [*beta, g.min(0.0), g.max(0.0)]).collect();
    let errors = if kept.len() <= FEW {
        Marks::ErrorBars(kept.iter().map(|(b, g, e)| [*b, *g, g - NORMAL * e, g + NORMAL * e]).collect())
    } else {
        Marks::Band(kept.iter().map(|(b, g, e)| [*b, g - NORMAL * e, g + NORMAL * e]).collect())
    };
    let series = vec![
        Series::new("its area is log Z − log Z₀", Colour::Quiet, Marks::Band(area)),
        Series::unnamed(Colour::Main, Marks::Line(kept.iter().map(|(beta, g, _)| [*beta, *g]).collect())),
        Series::new("mean ±1.96 standard errors", Colour::Main, errors),
    ];
    let bracket = estimate.diagnostics.bracket.filter(|ends| ends.iter().all(|end| end.is_finite()));
    let area = area_of(estimate.log_z, bracket, &points);
    let sums = bracket.map_or(String::new(), |[low, high]| {
        let written = |end: f64| significant(end, 6);
        format!(" Left and right sums put log Z between {} and {}.", written(low), written(high))
    });
    Some(Figure {
        name: "integrand",
        title: format!(
            "Thermodynamic integration: area {}",
            with_error(area, estimate.std_err.unwrap_or(0.0))
        ),
        reading: format!(
            "Good: a smooth curve with many rungs wherever it bends, and error bars that are hard to see. Bad: a cliff between \
             two rungs, which no rule of integration can guess.{sums}"
        ),
        panels: vec![Panel::wide(Axis::linear("β", 0.0, 1.0), y, series)],
    })
}

/// The integral: what was reported less log Z₀, which the bracket's lower end tells, since it is log Z₀ plus the left sum; without
/// one, the trapezoid rule.
fn area_of(log_z: f64, bracket: Option<[f64; 2]>, points: &[(f64, f64, f64)]) -> f64 {
    let sum = |height: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * height(pair[0].1, pair[1].1)).sum()
    };
    bracket.map_or_else(
        || sum(&|left, right| 0.5 * (left + right)),
        |[low, _]| log_z - (low - sum(&|left, _| left)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    /// The reference of an Ising model keeps its field: log Z₀ = d log (2 cosh h).
    #[test]
    fn the_area_is_log_z_less_that_of_the_reference() {
        let estimate = estimate("ti", "ref:ising?side=3&field=0.5");
        let points: Vec<_> = estimate
            .trace
            .rungs
            .iter()
            .map(|rung| (rung.beta, rung.derivative.expect("measured"), 0.0))
            .collect();
        let reference = 9.0 * (2.0 * 0.5f64.cosh()).ln();
        let by_bracket = area_of(estimate.log_z, estimate.diagnostics.bracket, &points);
        assert!((by_bracket - (estimate.log_z - reference)).abs() < 1e-9);
        assert!((area_of(estimate.log_z, None, &points) - by_bracket).abs() < 0.1);
        let figure = figure(&estimate).expect("an integrand");
        assert_sound(&figure);
        assert!(figure.reading.contains("Left and right sums"));
    }

    #[test]
    fn other_methods_have_no_integrand() {
        assert!(figure(&estimate("ais", "ref:ising?side=3")).is_none());
    }
}
