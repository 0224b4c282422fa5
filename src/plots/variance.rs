//! How the variance of the log-weights grows along the schedule, and the ESS falls.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{significant, thinned};
use crate::estimators::Estimate;
use crate::estimators::estimate::Rung;

/// Points of a curve.
const POINTS: usize = 1000;
/// Named positions along the rungs.
const NAMES: usize = 6;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let rungs = &estimate.trace.rungs;
    // Methods that do not weigh leave zeros.
    if rungs.len() < 2 || !rungs.iter().any(|rung| rung.effective_sample_size > 0.0) {
        return None;
    }
    let chains = estimate.diagnostics.chains.unwrap_or(estimate.trace.log_weights.len()).max(1) as f64;
    let what = estimate.diagnostics.sample();
    let kept = thinned(rungs.len(), POINTS);
    let curve = |start: f64, value: &dyn Fn(&Rung) -> f64| -> Vec<[f64; 2]> {
        let at = |k: usize| [(k + 1) as f64 / rungs.len() as f64, value(&rungs[k])];
        std::iter::once([0.0, start]).chain(kept.iter().map(|&k| at(k))).collect()
    };
    let variance = curve(0.0, &|rung| rung.log_weight_variance);
    let share = curve(1.0, &|rung| rung.effective_sample_size / chains);

    let x = || Axis::linear("β (rungs evenly spaced)", 0.0, 1.0).named(positions(rungs));
    let top = variance.iter().map(|point| point[1]).chain([1.0]);
    let upper = Panel::wide(
        x(),
        Axis::from_zero("variance of log-weights", top),
        vec![
            Series::new(
                "Neal's guide: a straight line to one",
                Colour::Other,
                Marks::Dashed(vec![[0.0, 0.0], [1.0, 1.0]]),
            ),
            Series::unnamed(Colour::Main, Marks::Line(variance.clone())),
        ],
    );
    let lower = Panel::wide(
        x(),
        Axis::linear(format!("ESS / {what}"), 0.0, 1.05),
        vec![Series::unnamed(Colour::Main, Marks::Line(share.clone()))],
    );
    let end = |curve: &[[f64; 2]], digits| significant(curve[curve.len() - 1][1], digits);
    let resampled = match estimate.diagnostics.resamplings {
        None | Some(0) => String::new(),
        Some(1) => ", one resampling".into(),
        Some(count) => format!(", {count} resamplings"),
    };
    Some(Figure {
        name: "variance",
        title: format!(
            "{} rungs{resampled}: variance of log-weights to {}, ESS to {} of the {what}",
            rungs.len(),
            end(&variance, 3),
            end(&share, 2)
        ),
        reading: "Good: the variance rises steadily and ends near or below one, and the ESS falls gently. Bad: a sudden step, \
                  where the schedule has too few rungs or the chains do not mix. Where chains are \
                  resampled the ESS starts again at one."
            .into(),
        panels: vec![upper, lower],
    })
}

/// About six even positions with the β there.
pub(super) fn positions(rungs: &[Rung]) -> Vec<(f64, String)> {
    let count = rungs.len();
    // A walk down starts where a walk up ends.
    let start = if rungs[0].beta > rungs[count - 1].beta { 1.0 } else { 0.0 };
    let mut at: Vec<usize> = (0..NAMES).map(|i| (i * count + (NAMES - 1) / 2) / (NAMES - 1)).collect();
    at.dedup();
    let betas: Vec<f64> = at.iter().map(|&k| if k == 0 { start } else { rungs[k - 1].beta }).collect();
    let names = |digits: usize| -> Vec<String> { betas.iter().map(|&b| significant(b, digits)).collect() };
    let differ = |names: &Vec<String>| names.windows(2).all(|pair| pair[0] != pair[1]);
    let names = (2..=6).map(names).find(differ).unwrap_or_else(|| names(3));
    let mut named: Vec<(f64, String)> = at.iter().map(|&k| k as f64 / count as f64).zip(names).collect();
    named.dedup_by(|next, last| next.1 == last.1);
    named
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    fn line(panel: &Panel) -> &[[f64; 2]] {
        let mut lines = panel.series.iter().filter_map(|series| match &series.marks {
            Marks::Line(points) => Some(points),
            _ => None,
        });
        lines.next_back().expect("a line")
    }

    #[test]
    fn curves_end_at_the_reported_figures() {
        let estimate = estimate("ais", "ref:ising?side=4");
        let figure = figure(&estimate).expect("rungs");
        assert_sound(&figure);
        let diagnostics = &estimate.diagnostics;
        let [x, y] = *line(&figure.panels[0]).last().expect("points");
        assert_eq!((x, Some(y)), (1.0, diagnostics.log_weight_variance));
        let [_, y] = *line(&figure.panels[1]).last().expect("points");
        assert!((y * 200.0 - diagnostics.effective_sample_size.expect("weights")).abs() < 1e-9);
        assert_eq!(line(&figure.panels[0]).len(), 21);
    }

    #[test]
    fn positions_are_named_by_distinct_betas() {
        let rungs = |betas: &[f64]| -> Vec<Rung> {
            betas.iter().map(|&beta| Rung { beta, ..Rung::default() }).collect()
        };
        let named = |betas: &[f64]| positions(&rungs(betas)).into_iter().map(|(_, b)| b).collect::<Vec<_>>();
        assert_eq!(named(&[0.031, 0.25, 1.0]), ["0", "0.031", "0.25", "1"]);
        assert_eq!(named(&[0.5, 0.0]), ["1", "0.5", "0"]);
        let many: Vec<f64> = (1..=1_000_000).map(|k| f64::from(k) / 1e6).collect();
        assert_eq!(named(&many), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(named(&[0.9991, 0.9992, 0.9993, 0.9994, 1.0])[1..3], ["0.9991", "0.9992"]);
    }
}
