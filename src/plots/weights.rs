//! The chains' log-weights as a histogram, and which of them carry the estimate.

use super::bins::Bins;
use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{asides, decimals};
use crate::estimators::Estimate;
use crate::math::LogWeights;

/// Bins, for many chains.
const BINS: f64 = 40.0;
/// Nats that a bin may hold.
const WIDEST_BIN: f64 = 0.6;
/// Nats below the largest weight that are shown: a chain further left carries nothing.
const WIDEST: f64 = 60.0;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    // What no run gives, and `LogWeights` would refuse.
    let log: Vec<f64> = estimate.trace.log_weights.iter().copied().filter(|w| *w < f64::INFINITY).collect();
    let weights = LogWeights::new(log);
    let mean = weights.log_mean();
    if weights.len() < 2 || !mean.is_finite() {
        return None;
    }
    let chains = weights.len();
    let centred: Vec<f64> = weights.log().iter().map(|w| w - mean).collect();
    let ends = centred.iter().copied().filter(|w| w.is_finite());
    let (least, high) = ends.fold((0.0f64, 0.0f64), |(low, high), w| (low.min(w), high.max(w)));
    let low = least.max(high - WIDEST);
    let count = (2.0 * (chains as f64).sqrt()).clamp(8.0, BINS).max((high - low) / WIDEST_BIN);
    let bins = Bins::new(low, high, count as usize);
    let counts = bins.heights(centred.iter().map(|&w| (w, 1.0)));
    let shares = weights.normalised().into_iter().map(|share| share * chains as f64);
    let shares = bins.heights(centred.iter().copied().zip(shares));

    let zero = centred.iter().filter(|w| **w == f64::NEG_INFINITY).count();
    let left = centred.iter().filter(|w| w.is_finite() && bins.of(**w).is_none()).count();
    let resampled = estimate.diagnostics.states.is_none()
        && estimate.diagnostics.resamplings.is_some_and(|count| count > 0);
    // After a resampling a start may have left no chain; before one, a state may be forbidden.
    let left_out = asides(&[
        (left, "further left"),
        (zero, if resampled { "without descendants" } else { "of weight 0" }),
    ]);
    let [from, to] = bins.ends();
    let margin = 0.02 * (to - from);
    let x = Axis::linear("log-weight − log mean weight (nats)", from - margin, to + margin);
    let what = estimate.diagnostics.sample();
    let y = Axis::from_zero(what, counts.iter().chain(&shares).copied());
    let series = vec![
        Series::new(format!("{what}{left_out}"), Colour::Main, Marks::Bars(bins.bars(&counts))),
        Series::new("what they carry of the estimate", Colour::Other, Marks::Steps(bins.bars(&shares))),
        Series::new("log mean weight", Colour::Quiet, Marks::Vertical(0.0)),
    ];
    let diagnostics = &estimate.diagnostics;
    let size = diagnostics.effective_sample_size.unwrap_or_else(|| weights.effective_sample_size());
    let whose = if resampled { format!("what {chains} chains became") } else { format!("{chains} {what}") };
    let shape = diagnostics.pareto_shape.map_or(String::new(), |shape| format!(", k̂ {}", decimals(shape, 2)));
    Some(Figure {
        name: "weights",
        title: format!("Log-weights of {whose}: ESS {}{shape}", decimals(size, 0)),
        reading: "Good: one hill, and under the outline, which shows what carries the estimate, many chains; k̂ below 0.7. \
                  Bad: the outline stands to the right of the hill, where a few chains decide everything."
            .into(),
        panels: vec![Panel::wide(x, y, series)],
    })
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    fn total(figure: &Figure, series: usize) -> f64 {
        match &figure.panels[0].series[series].marks {
            Marks::Bars(bars) | Marks::Steps(bars) => bars.iter().map(|bar| bar[2]).sum(),
            _ => panic!("series {series} is a histogram"),
        }
    }

    #[test]
    fn bars_count_every_chain_and_the_outline_the_whole_estimate() {
        let figure = figure(&estimate("ais", "ref:ising?side=4")).expect("weights");
        assert_sound(&figure);
        assert!(figure.title.starts_with("Log-weights of 200 chains: ESS "), "{}", figure.title);
        assert_eq!(total(&figure, 0), 200.0);
        assert!((total(&figure, 1) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_shown_is_told() {
        let mut estimate = estimate("ais", "ref:ising?side=4");
        estimate.trace.log_weights[0] = f64::NEG_INFINITY;
        estimate.trace.log_weights[1] -= 1e3;
        let figure = figure(&estimate).expect("weights");
        assert_eq!(total(&figure, 0), 198.0);
        let label = figure.panels[0].series[0].label.as_deref().expect("a legend");
        assert_eq!(label, "chains (1 further left) (1 of weight 0)");
        assert!(figure.panels[0].x.range[0] > -70.0);
    }
}
