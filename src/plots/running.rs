//! log Ẑ of the first n chains, as n grows.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{sorted, with_error};
use crate::estimators::{Estimate, Guarantee};
use crate::math::{log_add_exp, log_mean_exp};

/// Points of the line.
const POINTS: f64 = 300.0;
/// Fewest chains to show this for.
const FEWEST: usize = 8;
/// Half of a normal 95 % interval, in standard errors.
const NORMAL: f64 = 1.96;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let sign = sign_of_the_weights(estimate)?;
    let log: Vec<f64> = estimate.trace.log_weights.iter().copied().filter(|w| *w < f64::INFINITY).collect();
    let offset = estimate.log_z - sign * log_mean_exp(&log);
    if log.len() < FEWEST || !offset.is_finite() {
        return None;
    }
    let curve: Vec<(f64, f64, f64)> = prefixes(&log)
        .into_iter()
        .map(|(n, log_mean, error)| (n, offset + sign * log_mean, NORMAL * error))
        .filter(|(_, value, half)| value.is_finite() && half.is_finite())
        .collect();
    // The first chains may be far off: what the later ones need decides on the range, and the line starts where it enters it.
    let late = |n: f64| n >= 0.03 * log.len() as f64;
    let shown =
        curve.iter().filter(|(n, ..)| late(*n)).flat_map(|(_, value, half)| [value - half, value + half]);
    let y = Axis::around("log Ẑ of the first n chains (nats)", sorted(shown.chain([estimate.log_z])));
    let [low, high] = y.range;
    let first =
        curve.iter().rposition(|(_, value, _)| !(low..=high).contains(value)).map_or(0, |last| last + 1);
    let curve = &curve[first..];
    let line = curve.iter().map(|(n, value, _)| [*n, *value]).collect();
    let band = curve
        .iter()
        .map(|(n, value, half)| [*n, (value - half).max(low), (value + half).min(high)])
        .collect();
    let what = estimate.diagnostics.sample();
    let x = Axis::log(format!("{what} n"), curve.iter().map(|(n, ..)| *n));
    let log_z = with_error(estimate.log_z, estimate.std_err.unwrap_or(0.0));
    Some(Figure {
        name: "running",
        title: format!("Running log Ẑ of {} {what} ends at {log_z}", log.len()),
        reading: format!(
            "Good: the line settles long before the right end and stays within its band. Bad: it still drifts, or jumps {} \
             late: then rare heavy weights are missing, and more chains would bring more of them.",
            if sign > 0.0 { "upwards" } else { "downwards" }
        ),
        panels: vec![Panel::wide(
            x,
            y,
            vec![
                Series::new("±1.96 standard errors", Colour::Main, Marks::Band(band)),
                Series::new(format!("all {what}"), Colour::Other, Marks::Horizontal(estimate.log_z)),
                Series::unnamed(Colour::Main, Marks::Line(line)),
            ],
        )],
    })
}

/// 1 where log Ẑ is a constant plus the log of the mean weight, −1 where it is a constant minus that, as on the way down; none
/// where it is made from more than these weights.
fn sign_of_the_weights(estimate: &Estimate) -> Option<f64> {
    match estimate.guarantee {
        Guarantee::UnbiasedZ | Guarantee::Conditional(_) => Some(1.0),
        Guarantee::StochasticUpper => Some(-1.0),
        _ => None,
    }
}

/// (n, log of the mean of the first n weights, its standard error by the delta method) for about 300 n, evenly in log n.
fn prefixes(log: &[f64]) -> Vec<(f64, f64, f64)> {
    let ratio = (log.len() as f64 / 2.0).powf(1.0 / POINTS);
    let (mut sum, mut squares) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (mut next, mut found) = (2.0, Vec::new());
    for (i, w) in log.iter().enumerate() {
        sum = log_add_exp(sum, *w);
        squares = log_add_exp(squares, 2.0 * w);
        let n = (i + 1) as f64;
        if n >= next || (i + 1 == log.len()) {
            let per_weight = n * (squares - 2.0 * sum).exp();
            found.push((n, sum - n.ln(), ((per_weight - 1.0).max(0.0) / (n - 1.0)).sqrt()));
            while next <= n {
                next *= ratio.max(1.0 + 1e-9);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;
    use crate::math::LogWeights;

    #[test]
    fn the_line_and_its_band_end_at_the_reported_interval() {
        for method in ["ais", "reverse-ais"] {
            let estimate = estimate(method, "ref:ising?side=3&field=0.2");
            let figure = figure(&estimate).expect("weights");
            assert_sound(&figure);
            let series = &figure.panels[0].series;
            let (Marks::Band(band), Marks::Line(line)) = (&series[0].marks, &series[2].marks) else {
                panic!("a band and a line")
            };
            let [n, value] = *line.last().expect("points");
            assert_eq!(n, 200.0);
            assert!((value - estimate.log_z).abs() < 1e-9, "{method}");
            let half = NORMAL * estimate.std_err.expect("a standard error");
            assert!((band.last().expect("points")[2] - estimate.log_z - half).abs() < 1e-9, "{method}");
            assert!((100..=302).contains(&line.len()), "{}", line.len());
        }
        assert!(figure(&estimate("ti", "ref:ising?side=3")).is_none());
        assert!(figure(&estimate("sandwich", "ref:ising?side=3")).is_none());
    }

    #[test]
    fn prefixes_are_those_of_log_weights() {
        let log = [0.3, -1.0, 2.0, f64::NEG_INFINITY, 700.0, 699.0];
        for (n, mean, error) in prefixes(&log) {
            let weights = LogWeights::new(log[..n as usize].to_vec());
            assert!((mean - weights.log_mean()).abs() < 1e-9);
            assert!((error - weights.std_err()).abs() < 1e-9);
        }
    }
}
