//! Statistics of samples: moments, Student quantiles, autocorrelation, the tail of weights.

use ndarray::ArrayView2;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker};

/// The mean; NaN for no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample variance, Σ(x − x̄)² / (n − 1); 0 for fewer than two values.
#[must_use]
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    values.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// The standard error of the mean of independent values.
#[must_use]
pub fn std_err(values: &[f64]) -> f64 {
    (variance(values) / values.len() as f64).sqrt()
}

/// The quantile t with P(|T| ≤ t) = `level` of Student's distribution; the normal's for many degrees of freedom.
#[must_use]
pub fn student_quantile(level: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees.clamp(1.0, 1e6))
        .expect("a positive scale and positive degrees of freedom make a Student distribution")
        .inverse_cdf(0.5 + 0.5 * level)
}

/// The interval that holds a probability at this level where it was seen as this `share` of so many `trials` (Wilson 1927,
/// doi:10.1080/01621459.1927.10502953): all that would not be rejected, so it stays within 0 … 1 and has a length at both ends.
#[must_use]
pub fn wilson_interval(share: f64, trials: usize, level: f64) -> [f64; 2] {
    if trials == 0 {
        return [0.0, 1.0];
    }
    let n = trials as f64;
    let quantile = student_quantile(level, 1e6);
    let shrink = quantile * quantile / n;
    let centre = (share + 0.5 * shrink) / (1.0 + shrink);
    let half = (share * (1.0 - share) * shrink + 0.25 * shrink * shrink).sqrt() / (1.0 + shrink);
    [centre - half, centre + half]
}

/// Integrated autocorrelation time τ = 1 + 2 Σ ρ_t of a stationary series, by Geyer's initial positive sequence
/// (doi:10.1214/ss/1177011137); at least 1, and at most the length.
#[must_use]
pub fn autocorrelation_time(series: &[f64]) -> f64 {
    let n = series.len();
    let spread = variance(series);
    if n < 4 || spread <= 0.0 {
        return 1.0;
    }
    let centre = mean(series);
    let correlation = |lag: usize| {
        let products = series[lag..].iter().zip(series).map(|(x, y)| (x - centre) * (y - centre));
        products.sum::<f64>() / (n as f64 * spread)
    };
    let mut time = 1.0;
    for lag in (1..n - 1).step_by(2) {
        let pair = correlation(lag) + correlation(lag + 1);
        if pair <= 0.0 {
            break;
        }
        time += 2.0 * pair;
    }
    time.clamp(1.0, n as f64)
}

/// R̂ of chains, (draws, chains): near 1 where they agree, above where each has its own mean, width or drift.
///
/// Chains are cut in halves, values replaced by normal scores of their ranks, so that heavy tails and infinities do no harm, and the
/// larger of the R̂ of values and of their distances from the median is taken (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021,
/// doi:10.1214/20-BA1221). An integrated autocorrelation time of τ draws gives R̂² ≈ 1 + τ/n, n the length of a half. 1 where all values are the same;
/// NaN for fewer than four draws.
#[must_use]
pub fn split_r_hat(chains: ArrayView2<'_, f64>) -> f64 {
    let half = chains.nrows() / 2;
    if half < 2 {
        return f64::NAN;
    }
    // One half after the other.
    let mut values = Vec::with_capacity(2 * half * chains.ncols());
    for chain in chains.columns() {
        values.extend(chain.iter().take(half));
        values.extend(chain.iter().skip(chains.nrows() - half));
    }
    let median = Data::new(values.clone()).median();
    let distances = values.iter().map(|x| if *x == median { 0.0 } else { (x - median).abs() }).collect();
    r_hat(&normal_scores(values), half).max(r_hat(&normal_scores(distances), half))
}

/// √(1 − 1/n + B/W) of chains of n values: B is the variance of their means, W the mean of their variances.
fn r_hat(values: &[f64], n: usize) -> f64 {
    let chains = values.chunks(n).map(|chain| (mean(chain), variance(chain)));
    let (means, variances): (Vec<f64>, Vec<f64>) = chains.unzip();
    let between = variance(&means);
    if between == 0.0 { 1.0 } else { (1.0 - 1.0 / n as f64 + between / mean(&variances)).sqrt() }
}

/// What standard normal values of the same ranks would be (Blom 1958).
fn normal_scores(values: Vec<f64>) -> Vec<f64> {
    let count = values.len() as f64;
    let normal = Normal::standard();
    let ranks = Data::new(values).ranks(RankTieBreaker::Average);
    ranks.into_iter().map(|rank| normal.inverse_cdf((rank - 0.375) / (count + 0.25))).collect()
}

/// Shape k̂ of a generalised Pareto distribution fitted to the largest weights, given by their logarithms.
///
/// The number of tail weights is min(N/5, 3√N) (Vehtari, Simpson, Gelman, Yao & Gabry, arXiv:1507.02646); the fit is that of
/// Zhang & Stephens (doi:10.1198/tech.2009.08017) with the weak prior k = ½ of ten observations' weight that the first paper
/// gives. k̂ ≥ 0.7 means that the mean of the weights has not settled. `None` below five tail weights.
#[must_use]
pub fn pareto_shape(log_weights: &[f64]) -> Option<f64> {
    let n = log_weights.len();
    let tail = (0.2 * n as f64).min(3.0 * (n as f64).sqrt()).ceil() as usize;
    if tail < 5 || n <= tail {
        return None;
    }
    let mut sorted = log_weights.to_vec();
    sorted.sort_by(f64::total_cmp);
    let largest = sorted[n - 1];
    if largest == f64::NEG_INFINITY {
        return None;
    }
    let threshold = (sorted[n - tail - 1] - largest).exp();
    let mut excess: Vec<f64> = sorted[n - tail..].iter().map(|w| (w - largest).exp() - threshold).collect();
    let last = excess[tail - 1];
    // On lattices log-weights take few values, and those that equal the threshold, to rounding, are not beyond it.
    excess.retain(|x| *x > 1e-9 * last);
    if excess.len() < 5 {
        // Next to all tail weights are equal: no tail at all.
        return Some(f64::NEG_INFINITY);
    }
    let m = excess.len() as f64;
    let grid = 30 + m.sqrt() as usize;
    let quartile = excess[(m / 4.0 + 0.5) as usize - 1].max(last * 1e-12);
    let profile = |theta: f64| {
        let k = excess.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / m;
        (k, m * ((-theta / k).ln() - k - 1.0))
    };
    let thetas: Vec<f64> = (1..=grid)
        .map(|j| 1.0 / last + (1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile))
        .filter(|theta| *theta != 0.0)
        .collect();
    let levels: Vec<f64> = thetas.iter().map(|&theta| profile(theta).1).collect();
    let top = levels.iter().copied().filter(|l| l.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut weighted) = (0.0, 0.0);
    for (theta, level) in thetas.iter().zip(&levels) {
        if level.is_finite() {
            let weight = (level - top).exp();
            total += weight;
            weighted += weight * theta;
        }
    }
    let k = profile(weighted / total).0;
    Some((k * m + 0.5 * 10.0) / (m + 10.0))
}

/// The trapezoid rule with its end correction, for values g and slopes g′ at increasing abscissas β: Σ ½Δβ (g_k + g_{k+1}) − Δβ²/12 (g′_{k+1} − g′_k).
#[must_use]
pub fn corrected_trapezoid(betas: &[f64], values: &[f64], slopes: &[f64]) -> f64 {
    (1..betas.len())
        .map(|k| {
            let step = betas[k] - betas[k - 1];
            0.5 * step * (values[k] + values[k - 1]) - step * step / 12.0 * (slopes[k] - slopes[k - 1])
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use ndarray::{Array2, s};
    use rand::RngExt;

    #[test]
    fn student_quantiles_match_tables() {
        assert!((student_quantile(0.95, 10.0) - 2.228_138_85).abs() < 1e-6);
        assert!((student_quantile(0.95, 1e9) - 1.959_96).abs() < 1e-3);
    }

    /// Its ends are where the share lies just 1.96 standard deviations away.
    #[test]
    fn wilson_intervals_end_where_the_share_would_be_rejected() {
        for (share, trials) in [(0.95, 200), (0.5, 10), (0.02, 50)] {
            let [low, high] = wilson_interval(share, trials, 0.95);
            assert!(low < share && share < high);
            for end in [low, high] {
                let apart = (share - end).abs() / (end * (1.0 - end) / trials as f64).sqrt();
                assert!((apart - 1.959_96).abs() < 1e-3, "{share} of {trials}: {apart}");
            }
        }
        let [low, high] = wilson_interval(1.0, 200, 0.95);
        assert!((high - 1.0).abs() < 1e-12 && (low - 0.981_15).abs() < 1e-4, "{low} {high}");
        assert_eq!(wilson_interval(0.0, 0, 0.95), [0.0, 1.0]);
    }

    /// Weights drawn from a Pareto tail with shape k are recognised to within 0.2 at n = 4,000 (sd about 0.06).
    #[test]
    fn pareto_shape_finds_the_tail() {
        let mut generator = Stream::new(1).generator();
        for k in [0.2, 0.5, 1.0] {
            let log_weights: Vec<f64> =
                (0..4_000).map(|_| -k * (1.0 - generator.random::<f64>()).ln()).collect();
            let found = pareto_shape(&log_weights).expect("4,000 weights have a tail");
            assert!((found - k).abs() < 0.2, "{found} for {k}");
        }
    }

    #[test]
    fn equal_weights_have_no_tail() {
        assert_eq!(pareto_shape(&[1.0; 100]), Some(f64::NEG_INFINITY));
        assert_eq!(pareto_shape(&[1.0; 10]), None);
    }

    /// Normal log-weights rounded to steps, so that many equal the threshold, have the light tail that they have unrounded.
    #[test]
    fn weights_of_few_values_have_a_light_tail() {
        let mut generator = Stream::new(3).generator();
        for step in [0.05, 0.1, 0.2] {
            let log_weights: Vec<f64> = (0..1024)
                .map(|_| {
                    let normal: f64 = (0..12).map(|_| generator.random::<f64>()).sum::<f64>() - 6.0;
                    (0.3 * normal / step).round() * step + 1e-15 * normal
                })
                .collect();
            let found = pareto_shape(&log_weights).expect("1,024 weights have a tail");
            assert!(found < 0.5, "{found} with steps of {step}");
        }
    }

    /// An AR(1) series with coefficient φ has τ = (1 + φ)/(1 − φ).
    #[test]
    fn autocorrelation_time_of_an_autoregression() {
        let mut generator = Stream::new(2).generator();
        let phi = 0.8;
        let mut x = 0.0;
        let series: Vec<f64> = (0..200_000)
            .map(|_| {
                x = phi * x + generator.random::<f64>() - 0.5;
                x
            })
            .collect();
        assert!((autocorrelation_time(&series) - 9.0).abs() < 0.9);
    }
    /// Of independent values it is 1; of chains that share no mean, no width or no level from half to half it is not.
    #[test]
    fn r_hat_sees_what_chains_do_not_share() {
        let (draws, chains) = (400, 32);
        let mut generator = Stream::new(4).generator();
        let noise = Array2::from_shape_simple_fn((draws, chains), || generator.random::<f64>() - 0.5);
        let of = |change: &dyn Fn(usize, usize, f64) -> f64| {
            let mut values = noise.clone();
            values.indexed_iter_mut().for_each(|((draw, chain), x)| *x = change(draw, chain, *x));
            split_r_hat(values.view())
        };
        let same = of(&|_, _, x| x);
        assert!((same - 1.0).abs() < 0.01, "{same}");
        assert_eq!(of(&|_, _, x| if x > 0.49 { f64::INFINITY } else { x.exp() }).max(1.01), 1.01);
        assert!(of(&|_, chain, x| x + 0.3 * (chain % 2) as f64) > 1.1);
        assert!(of(&|_, chain, x| x * (1 + 2 * (chain % 2)) as f64) > 1.1);
        assert!(of(&|draw, _, x| x + 0.6 * (draw / (draws / 2)) as f64) > 1.1);
        assert_eq!(of(&|_, _, _| 3.0), 1.0);
        assert!(of(&|_, chain, _| chain as f64) > 1e3);
    }

    /// R̂² = 1 + (τ − 1)/n for halves of n: an autoregression with φ = 0.8 has τ = 9.
    #[test]
    fn r_hat_grows_with_autocorrelation() {
        let (draws, chains) = (2000, 1000);
        let mut generator = Stream::new(5).generator();
        let mut x = vec![0.0; chains];
        let values = Array2::from_shape_fn((draws + 50, chains), |(_, chain)| {
            x[chain] = 0.8 * x[chain] + generator.random::<f64>() - 0.5;
            x[chain]
        });
        let found = 1000.0 * (split_r_hat(values.slice(s![50.., ..])).powi(2) - 1.0);
        assert!((found - 8.0).abs() < 1.0, "{found}");
    }
}
