//! Errors in units of the standard error that was claimed, against what honest error bars would give.

use std::f64::consts::PI;

use super::bins::Bins;
use super::coverage::by_method;
use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{asides, counted, decimals, sorted};
use crate::math::statistics::{mean, variance};
use crate::studies::{Calibration, Calibrations};

/// Standard errors to either side that are shown, and bins.
const REACH: f64 = 5.0;
const BINS: usize = 40;
/// Points of the curve.
const POINTS: i32 = 200;

pub(super) fn figure(found: &Calibrations) -> Option<Figure> {
    let methods = by_method(found.cells.iter().filter(|cell| cell.due));
    let mut panels: Vec<Panel> = Vec::new();
    let mut spreads = Vec::new();
    for (method, cells) in &methods {
        let (panel, spread) = panel(method, cells, panels.is_empty());
        panels.push(panel);
        spreads.push(spread);
    }
    panels.last_mut()?.x.label = "error / claimed standard error".into();
    let spreads = sorted(spreads);
    let range = match spreads.as_slice() {
        [] => "unknown".into(),
        [one] => decimals(*one, 2),
        [low, .., high] => format!("{} to {}", decimals(*low, 2), decimals(*high, 2)),
    };
    Some(Figure {
        name: "deviations",
        title: format!("Are error bars of {} honest? sd of z: {range}", counted(methods.len(), "sampler")),
        reading: "z is a run's error over the standard error that it claimed, of all runs on references where intervals should \
                  cover. Good: bars fill the dashed curve, the standard normal. Bad: bars that are wider or have long tails, \
                  from error bars that are too small; or that stand beside the curve, from a bias. Narrower bars mean error \
                  bars that are larger than need be."
            .into(),
        panels,
    })
}

/// One sampler, and the standard deviation of its z.
fn panel(method: &str, cells: &[&Calibration], first: bool) -> (Panel, f64) {
    let all = || cells.iter().flat_map(|cell| cell.z.iter().copied());
    let finite = sorted(all());
    let bins = Bins::new(-REACH, REACH, BINS);
    let share = BINS as f64 / (2.0 * REACH) / all().count().max(1) as f64;
    let heights = bins.heights(finite.iter().map(|&z| (z, share)));
    let outside = finite.iter().filter(|z| bins.of(**z).is_none()).count();
    let aside = asides(&[(outside, "outside"), (all().count() - finite.len(), "infinite")]);
    let spread = variance(&finite).sqrt();
    let label = format!(
        "{method}: {} on {}, mean {}, sd {}{aside}",
        counted(all().count(), "run"),
        counted(cells.len(), "reference"),
        decimals(mean(&finite), 2),
        decimals(spread, 2)
    );
    let at = |i: i32| {
        let z = REACH * f64::from(i) / f64::from(POINTS / 2);
        [z, (-0.5 * z * z).exp() / (2.0 * PI).sqrt()]
    };
    let normal: Vec<[f64; 2]> = (-POINTS / 2..=POINTS / 2).map(at).collect();
    let top = heights.iter().copied().chain(normal.iter().map(|point| point[1]));
    let y = Axis::from_zero("density", top.collect::<Vec<_>>());
    let name = first.then(|| "standard normal".into());
    let series = vec![
        Series::new(label, Colour::Main, Marks::Bars(bins.bars(&heights))),
        Series { label: name, colour: Colour::Other, marks: Marks::Dashed(normal) },
    ];
    (Panel::wide(Axis::linear("", -REACH, REACH), y, series), spread)
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, calibrations};
    use super::*;

    #[test]
    fn bars_hold_the_runs_of_due_cells() {
        let mut found = calibrations();
        found.cells[0].z[0] = 7.0;
        found.cells[0].z[1] = f64::INFINITY;
        let figure = figure(&found).expect("cells");
        assert_sound(&figure);
        assert_eq!(figure.panels.len(), 2);
        let area = |panel: &Panel| match &panel.series[0].marks {
            Marks::Bars(bars) => bars.iter().map(|[from, to, height]| (to - from) * height).sum::<f64>(),
            _ => panic!("bars"),
        };
        // Two cells of 200 runs are due; two of these runs lie outside.
        assert!((area(&figure.panels[0]) - 398.0 / 400.0).abs() < 1e-9);
        assert!((area(&figure.panels[1]) - 1.0).abs() < 1e-9);
        let label = |panel: usize| figure.panels[panel].series[0].label.as_deref().expect("a legend");
        assert!(label(0).starts_with("smc: 400 runs on 2 references, mean 0."), "{}", label(0));
        assert!(label(0).ends_with("(1 outside) (1 infinite)"), "{}", label(0));
        assert!(label(1).starts_with("ti: 200 runs on 1 reference, "), "{}", label(1));
        let Marks::Dashed(curve) = &figure.panels[0].series[1].marks else { panic!("a curve") };
        let mass: f64 = curve.windows(2).map(|p| 0.5 * (p[0][1] + p[1][1]) * (p[1][0] - p[0][0])).sum();
        assert!((mass - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_spread_in_the_title_is_that_of_the_runs() {
        let mut found = calibrations();
        found.cells.truncate(1);
        let right = figure(&found).expect("a cell");
        found.cells[0].z.iter_mut().for_each(|z| *z *= 2.0);
        let wide = figure(&found).expect("a cell");
        assert_eq!(right.title, "Are error bars of 1 sampler honest? sd of z: 1.00");
        assert_eq!(wide.title, "Are error bars of 1 sampler honest? sd of z: 2.00");
        found.cells[0].due = false;
        assert!(figure(&found).is_none());
    }
}
