//! How the Markov steps fare along the schedule: how many proposals are accepted, and how far they reach.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{decimals, thinned};
use super::variance::positions;
use crate::estimators::Estimate;
use crate::estimators::estimate::Rung;
use crate::math::statistics::mean;

/// Points of a curve.
const POINTS: usize = 1000;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let rungs = &estimate.trace.rungs;
    if rungs.len() < 2 {
        return None;
    }
    let accepted = |rung: &Rung| rung.acceptance.filter(|share| (0.0..=1.0).contains(share));
    let shares = curve(rungs, &accepted);
    let all: Vec<f64> = rungs.iter().filter_map(accepted).collect();
    if shares.len() < 2 {
        return None;
    }
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = mean(&all);
    let x = || Axis::linear("β (rungs evenly spaced)", 0.0, 1.0).named(positions(rungs));
    let line = Series::new(format!("mean: {}", decimals(mean, 2)), Colour::Other, Marks::Horizontal(mean));
    let mut panels = vec![Panel::wide(
        x(),
        Axis::linear("proposals accepted", 0.0, 1.0),
        vec![line, Series::unnamed(Colour::Main, Marks::Line(shares))],
    )];
    let sizes = curve(rungs, &|rung| rung.step_size.filter(|size| size.is_finite() && *size > 0.0));
    if sizes.len() > 1 {
        let y = Axis::log("step / spread of reference", sizes.iter().map(|point| point[1]));
        panels.push(Panel::wide(x(), y, vec![Series::unnamed(Colour::Main, Marks::Line(sizes))]));
    }
    Some(Figure {
        name: "acceptance",
        title: format!(
            "Proposals accepted: {} on average, {} at the worst rung",
            decimals(mean, 2),
            decimals(least, 2)
        ),
        reading: "Good: an even share of accepted proposals, about two thirds for HMC, more than half for MALA and a quarter for random \
                  walks, and steps that shorten smoothly as the model takes over. Bad: a share near zero somewhere, where chains \
                  stand still; or steps that collapse at one β, where the density has parts too narrow for them."
            .into(),
        panels,
    })
}

/// (position, value) of the rungs that have one.
fn curve(rungs: &[Rung], value: &dyn Fn(&Rung) -> Option<f64>) -> Vec<[f64; 2]> {
    let at = |k: usize| Some([(k + 1) as f64 / rungs.len() as f64, value(&rungs[k])?]);
    thinned(rungs.len(), POINTS).into_iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    #[test]
    fn curves_are_those_of_the_rungs() {
        for method in ["ais", "reverse-ais"] {
            let estimate = estimate(method, "ref:mixture");
            let figure = figure(&estimate).expect("a kernel that proposes");
            assert_sound(&figure);
            let line = |panel: &Panel| match &panel.series.last().expect("a series").marks {
                Marks::Line(points) => points.clone(),
                _ => panic!("a line"),
            };
            let [shares, sizes] = [line(&figure.panels[0]), line(&figure.panels[1])];
            let rungs = &estimate.trace.rungs;
            let last = rungs.iter().rev().find(|rung| rung.acceptance.is_some()).expect("a rung");
            assert_eq!(shares.last().map(|point| point[1]), last.acceptance, "{method}");
            assert_eq!(sizes.last().map(|point| point[1]), last.step_size, "{method}");
        }
    }

    #[test]
    fn records_without_step_sizes_have_one_panel_and_gibbs_steps_none() {
        let mut older = estimate("ais", "ref:mixture");
        older.trace.rungs.iter_mut().for_each(|rung| rung.step_size = None);
        assert_eq!(figure(&older).expect("acceptance").panels.len(), 1);
        assert!(figure(&estimate("ais", "ref:ising?side=3")).is_none());
    }

    #[test]
    fn no_number_breaks_it() {
        let whole = estimate("ais", "ref:mixture");
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, f64::MIN_POSITIVE] {
            for take in [1, usize::MAX] {
                let mut spoilt = whole.clone();
                for rung in spoilt.trace.rungs.iter_mut().take(take) {
                    (rung.acceptance, rung.step_size) = (Some(bad), Some(bad));
                }
                figure(&spoilt).iter().for_each(assert_sound);
            }
        }
    }
}
