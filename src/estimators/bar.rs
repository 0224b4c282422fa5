//! The acceptance ratio of two states: log of the ratio of two partition functions from samples of both.

use crate::error::{Error, Result};
use crate::math::roots::bisect;

/// log Z₁/Z₀ from samples of both states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The estimate of log Z₁ − log Z₀.
    pub log_ratio: f64,
    /// Its standard error for independent samples.
    pub std_err: f64,
}

/// Bennett's acceptance ratio (Bennett 1976, doi:10.1016/0021-9991(76)90078-4; for work values Crooks 1999,
/// doi:10.1103/PhysRevE.60.2721 and Shirts, Bair, Hooker & Pande 2003, doi:10.1103/PhysRevLett.91.140601).
///
/// `forward` holds log f₁(x)/f₀(x) for x from state 0 (or the log-weights of walks from 0 to 1), `reverse` holds log f₀(x)/f₁(x) for
/// x from state 1 (or those of walks back). With M = log n₀/n₁ the estimate r solves Σ σ(gᵢ − r − M) = Σ σ(hⱼ + r + M) over the
/// forward values g and the reverse values h: monotone in r, so it is found by bisection. Its error is the asymptotic one,
/// var(s)/(n s̄²) of both sides added, or where a side is a single value, which has no variance, 1/Σ s(1 − s) − 1/n − 1/m over both.
/// It is too small where hardly a value on either side counts: there s̄ is estimated from few values, and MBAR's overlap or the tails
/// of the weights tell.
///
/// # Errors
/// [`Error::Data`] for no values on a side, NaN or +∞; [`Error::NotReached`] where the two states have no overlap at all.
pub fn bar(forward: &[f64], reverse: &[f64]) -> Result<Ratio> {
    for (values, of) in [(forward, "forward"), (reverse, "reverse")] {
        if values.is_empty() {
            return Err(Error::data(format!("no {of} log-ratios: both states need samples")));
        }
        if let Some(at) = values.iter().position(|x| x.is_nan() || *x == f64::INFINITY) {
            return Err(Error::data(format!(
                "{of} log-ratio {at} is {}; it must be finite or -inf",
                values[at]
            )));
        }
    }
    let finite = || forward.iter().copied().chain(reverse.iter().map(|h| -h)).filter(|x| x.is_finite());
    let most = (forward.len() as f64 / reverse.len() as f64).ln();
    let (low, high) =
        finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let none = || {
        Error::NotReached {
        estimator: "bar",
        message: "the two states do not overlap: no sample of either has weight in the other; put states between them".into(),
    }
    };
    if low > high {
        return Err(none());
    }
    // Beyond these one side of the equation is e times the other.
    let reach = 50.0 + most.abs() + (forward.len() as f64).ln() + (reverse.len() as f64).ln();
    let share = |values: &[f64], shift: f64| -> f64 { values.iter().map(|x| fermi(x + shift)).sum() };
    let log_ratio =
        bisect(low - reach, high + reach, |r| share(forward, -r - most) - share(reverse, r + most));
    let sides = [(forward, -log_ratio - most), (reverse, log_ratio + most)];
    let variance = if sides.iter().any(|(values, _)| values.len() == 1) {
        let shared = |(values, shift): (&[f64], f64)| -> f64 {
            values.iter().map(|x| fermi(x + shift) * fermi(-x - shift)).sum()
        };
        let drawn: f64 = sides.iter().map(|(values, _)| 1.0 / values.len() as f64).sum();
        (1.0 / sides.into_iter().map(shared).sum::<f64>() - drawn).max(0.0)
    } else {
        sides.into_iter().map(|(values, shift)| relative_variance(values, shift)).sum()
    };
    if !(log_ratio.is_finite() && variance.is_finite()) {
        return Err(none());
    }
    Ok(Ratio { log_ratio, std_err: variance.sqrt() })
}

/// The square of the relative standard error of the mean of σ(x + shift).
fn relative_variance(values: &[f64], shift: f64) -> f64 {
    let n = values.len() as f64;
    let shares: Vec<f64> = values.iter().map(|x| fermi(x + shift)).collect();
    let mean = shares.iter().sum::<f64>() / n;
    let square = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
    square / (mean * mean * n)
}

/// 1/(1 + e⁻ˣ), without overflow.
pub(super) fn fermi(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let y = x.exp();
        y / (1.0 + y)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_distr::StandardNormal;

    use super::*;
    use crate::math::{Stream, statistics};

    /// Two normal densities of widths 1 and s, the second shifted: log Z₁/Z₀ = log s.
    fn pair(n: usize, m: usize, shift: f64, width: f64, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut generator = Stream::new(seed).generator();
        let mut normal = || -> f64 { generator.sample(StandardNormal) };
        let log_ratio = |x: f64| 0.5 * x * x - 0.5 * ((x - shift) / width).powi(2);
        let forward = (0..n).map(|_| log_ratio(normal())).collect();
        let reverse = (0..m).map(|_| -log_ratio(shift + width * normal())).collect();
        (forward, reverse)
    }

    #[test]
    fn error_bars_of_normal_pairs_are_right() {
        for (n, m, shift, width) in [(400, 400, 1.0, 1.0), (200, 800, 2.0, 0.5), (900, 100, 0.5, 2.0)] {
            let scores: Vec<f64> = (0..300)
                .map(|seed| {
                    let (forward, reverse) = pair(n, m, shift, width, seed);
                    let found = bar(&forward, &reverse).expect("they overlap");
                    (found.log_ratio - f64::ln(width)) / found.std_err
                })
                .collect();
            let sd = statistics::variance(&scores).sqrt();
            assert!((sd - 1.0).abs() < 0.15, "sd of z {sd} for shift {shift}, width {width}");
            assert!(statistics::mean(&scores).abs() < 0.25, "biased by {}", statistics::mean(&scores));
        }
    }

    #[test]
    fn directions_are_symmetric() {
        let (forward, reverse) = pair(300, 150, 1.0, 0.7, 5);
        let (one, two) =
            (bar(&forward, &reverse).expect("overlap"), bar(&reverse, &forward).expect("overlap"));
        assert!((one.log_ratio + two.log_ratio).abs() < 1e-12 && (one.std_err - two.std_err).abs() < 1e-12);
    }

    #[test]
    fn large_shifts_of_energy_do_not_matter() {
        let (forward, reverse) = pair(300, 300, 1.0, 0.7, 6);
        let moved = bar(
            &forward.iter().map(|g| g + 1e4).collect::<Vec<_>>(),
            &reverse.iter().map(|h| h - 1e4).collect::<Vec<_>>(),
        );
        let plain = bar(&forward, &reverse).expect("overlap");
        assert!((moved.expect("overlap").log_ratio - plain.log_ratio - 1e4).abs() < 1e-9);
    }

    /// pymbar 4.0.3 gives 0.284732 for these two values.
    #[test]
    fn single_values_have_an_error() {
        let found = bar(&[0.025], &[-0.825]).expect("overlap");
        assert!(
            (found.log_ratio - 0.425).abs() < 1e-9 && (found.std_err - 0.284_732).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(bar(&[], &[1.0]).is_err());
        assert!(bar(&[f64::NAN], &[1.0]).is_err());
        assert!(bar(&[f64::INFINITY], &[1.0]).is_err());
        assert!(bar(&[f64::NEG_INFINITY; 3], &[f64::NEG_INFINITY; 2]).is_err());
    }
}
