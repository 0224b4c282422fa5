//! Error against cost, one line per estimator.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{counted, quantile, sorted};
use crate::estimators::Guarantee;
use crate::studies::{Comparison, Standing};

pub(super) fn figure(comparison: &Comparison) -> Option<Figure> {
    let mut methods: Vec<(&str, Vec<[f64; 2]>)> = Vec::new();
    for standing in &comparison.standings {
        let Some(point) = point(standing) else { continue };
        match methods.iter_mut().find(|(method, _)| *method == standing.method) {
            Some((_, points)) => points.push(point),
            None => methods.push((&standing.method, vec![point])),
        }
    }
    let all: Vec<[f64; 2]> = methods.iter().flat_map(|(_, points)| points.iter().copied()).collect();
    let guide = guide(&all)?;
    let axis = |label: &str, coordinate: usize| {
        Axis::log(label, all.iter().chain(&guide).map(move |point| point[coordinate]))
    };
    let x = axis("cost of a run (sweeps, or what costs as much)", 0);
    let y = axis("root-mean-square error (nats)", 1);
    let mut series = vec![Series::new(
        "slope −½: errors fall with the root of the cost",
        Colour::Quiet,
        Marks::Dashed(guide.to_vec()),
    )];
    let count = methods.len();
    for (i, (method, mut points)) in methods.into_iter().enumerate() {
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        if points.len() > 1 {
            series.push(Series::unnamed(Colour::Nth(i), Marks::Line(points.clone())));
        }
        series.push(Series::new(method, Colour::Nth(i), Marks::Points(points)));
    }
    Some(Figure {
        name: "cost",
        title: format!("Error of {} against what a run costs", counted(count, "estimator")),
        reading: "Lower left is better. Good: a line that falls like the dashed one, so that more work buys less error. Bad: a \
                  line that stays level, as that of a biased estimator does."
            .into(),
        panels: vec![Panel::wide(x, y, series)],
    })
}

/// Cost and error; none for exact and numerical methods, whose rounding errors would stretch the axis over ten powers of ten.
fn point(standing: &Standing) -> Option<[f64; 2]> {
    let usable = |number: &f64| number.is_finite() && *number > 0.0;
    let samples = !matches!(standing.guarantee, Guarantee::Exact | Guarantee::Numerical);
    let error = standing.root_mean_square_error.filter(usable)?;
    (samples && usable(&standing.cost)).then_some([standing.cost, error])
}

/// A line of slope −½ across all costs, through the middle of the points.
fn guide(points: &[[f64; 2]]) -> Option<[[f64; 2]; 2]> {
    let costs = sorted(points.iter().map(|point| point[0]));
    let (low, high) = (*costs.first()?, *costs.last()?);
    // One cost alone has no direction: show a factor of three to either side.
    let (low, high) = if high > 1.5 * low { (low, high) } else { (low / 3.0, high * 3.0) };
    let levels = points.iter().map(|[cost, error]| error.ln() + 0.5 * cost.ln());
    let level = quantile(&sorted(levels), 0.5)?;
    Some([low, high].map(|cost| [cost, (level - 0.5 * cost.ln()).exp()]))
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, comparison};
    use super::*;

    #[test]
    fn samplers_stand_at_their_costs_and_the_guide_has_slope_minus_one_half() {
        let comparison = comparison();
        let figure = figure(&comparison).expect("samplers");
        assert_sound(&figure);
        let series = &figure.panels[0].series;
        let Marks::Dashed(guide) = &series[0].marks else { panic!("a guide") };
        let slope = (guide[1][1] / guide[0][1]).ln() / (guide[1][0] / guide[0][0]).ln();
        assert!((slope + 0.5).abs() < 1e-9);
        let points = |name: &str| {
            let named = series.iter().find(|series| series.label.as_deref() == Some(name));
            match named.map(|series| &series.marks) {
                Some(Marks::Points(points)) => points.clone(),
                _ => Vec::new(),
            }
        };
        assert_eq!(points("enumeration"), Vec::<[f64; 2]>::new());
        let found = points("ais");
        assert_eq!(found.len(), comparison.budgets.len());
        assert!(found[0][0] < found[1][0]);
        let best = comparison.standings.iter().find(|s| s.method == "ais").expect("it took part");
        assert_eq!(found[1], [best.cost, best.root_mean_square_error.expect("there is a truth")]);
    }
}
