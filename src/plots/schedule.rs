//! Where the rungs of the schedule lie, and where the barrier is that they divide.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{significant, thinned};
use crate::estimators::Estimate;
use crate::estimators::estimate::Rung;

/// Points of a curve.
const POINTS: usize = 1000;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let betas = &estimate.trace.schedule;
    let steps = betas.len().saturating_sub(1);
    let mut panels = Vec::new();
    if steps > 1 {
        panels.push(rungs(betas));
    }
    let climb = climb(&estimate.trace.rungs);
    let barrier = climb.last().map_or(0.0, |point| point[1]);
    let mut over = String::new();
    if climb.len() > 2 && barrier > 0.0 {
        panels.push(barrier_panel(&climb));
        over = format!(", over a barrier of Λ = {}", significant(barrier, 3));
    }
    (!panels.is_empty()).then(|| Figure {
        name: "schedule",
        title: format!("Schedule of K = {steps} rungs{over}"),
        reading: "The barrier Λ is how far the reference is from the model; annealing needs about Λ² rungs. Good: β is flat, with \
                  rungs close together, where Λ is steep. Bad: Λ jumps at one β, as at a phase transition."
            .into(),
        panels,
    })
}

fn rungs(betas: &[f64]) -> Panel {
    let steps = (betas.len() - 1) as f64;
    let points = thinned(betas.len(), POINTS).into_iter().map(|k| [k as f64 / steps, betas[k]]).collect();
    Panel::wide(
        Axis::linear("rung k / K", 0.0, 1.0),
        Axis::linear("β", 0.0, 1.0),
        vec![
            Series::new("linear", Colour::Other, Marks::Dashed(vec![[0.0, 0.0], [1.0, 1.0]])),
            Series::unnamed(Colour::Main, Marks::Line(points)),
        ],
    )
}

fn barrier_panel(climb: &[[f64; 2]]) -> Panel {
    let points: Vec<[f64; 2]> = thinned(climb.len(), POINTS).into_iter().map(|k| climb[k]).collect();
    let y = Axis::from_zero("barrier Λ from 0 to β", points.iter().map(|point| point[1]));
    Panel::wide(Axis::linear("β", 0.0, 1.0), y, vec![Series::unnamed(Colour::Main, Marks::Line(points))])
}

/// (β, sum of the discrepancies up to it), from (0, 0); also where the walk went down.
fn climb(rungs: &[Rung]) -> Vec<[f64; 2]> {
    let steps = rungs.iter().map(|rung| (rung.beta, rung.discrepancy));
    let down = rungs.first().zip(rungs.last()).is_some_and(|(first, last)| first.beta > last.beta);
    let steps: Vec<(f64, f64)> = if down {
        // A step down is entered by its lower end, and the climb needs its upper one.
        let uppers = std::iter::once(1.0).chain(rungs.iter().map(|rung| rung.beta));
        let mut steps: Vec<_> = uppers.zip(steps).map(|(upper, (_, size))| (upper, size)).collect();
        steps.reverse();
        steps
    } else {
        steps.collect()
    };
    let mut sum = 0.0;
    let mut climb = vec![[0.0, 0.0]];
    for (beta, size) in steps {
        if size.is_finite() && beta.is_finite() {
            sum += size;
            climb.push([beta, sum]);
        }
    }
    climb
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    #[test]
    fn the_barrier_adds_up_in_both_directions() {
        for method in ["ais", "reverse-ais"] {
            let estimate = estimate(method, "ref:ising?side=3&field=0.5");
            let figure = figure(&estimate).expect("rungs");
            assert_sound(&figure);
            assert_eq!(figure.panels.len(), 2);
            let Marks::Line(climb) = &figure.panels[1].series[0].marks else { panic!("a line") };
            let whole: f64 = estimate.trace.rungs.iter().map(|rung| rung.discrepancy).sum();
            let [beta, sum] = *climb.last().expect("points");
            assert_eq!(beta, 1.0);
            assert!((sum - whole).abs() < 1e-9, "{method}");
            assert!(climb.windows(2).all(|pair| pair[0][0] < pair[1][0]), "{method}");
            // The first step from β = 0, wherever the walk started.
            let low = if method == "ais" { estimate.trace.rungs[0] } else { estimate.trace.rungs[19] };
            assert!((climb[1][1] - low.discrepancy).abs() < 1e-9, "{method}");
            assert_eq!(climb[1][0], estimate.trace.schedule[1]);
        }
    }

    #[test]
    fn without_weights_there_is_one_panel() {
        let figure = figure(&estimate("ti", "ref:ising?side=3")).expect("a schedule");
        assert_eq!(figure.panels.len(), 1);
        assert_eq!(figure.title, "Schedule of K = 20 rungs");
    }
}
