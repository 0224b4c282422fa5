//! Mixtures of normals fitted to states by expectation maximisation.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;

use super::INFLATION;
use crate::kernels::reference::{Component, Components, Spread};
use crate::math::linear::Cholesky;
use crate::math::random::Generator;
use crate::math::{Stream, log_sum_exp};

const ITERATIONS: usize = 30;
/// Most dimensions, and fewest states of a component and dimension, for which components have correlations.
const MOST_CORRELATED: usize = 10;
const LEAST_STATES: usize = 6;

/// `count` components with inflated spreads, and the inflated spread within them, pooled.
///
/// Starts are spread by k-means++ (Arthur & Vassilvitskii 2007). Covariances are shrunk towards the pooled one as if that had been
/// seen in d + 2 states more, so that a component of few states keeps a width.
pub(super) fn expectation_maximisation(
    states: ArrayView2<'_, f64>,
    count: usize,
    stream: Stream,
) -> (Vec<Component>, Vec<f64>) {
    let (rows, dim) = states.dim();
    let correlated = dim <= MOST_CORRELATED && rows >= LEAST_STATES * count * dim;
    let mut shares = starts(states, count, &mut stream.generator());
    let mut fitted = (Vec::new(), Vec::new());
    let mut terms = Vec::with_capacity(count);
    for iteration in 0..ITERATIONS {
        let last = iteration + 1 == ITERATIONS;
        fitted = maximise(states, &shares, correlated, if last { INFLATION } else { 1.0 });
        if last {
            break;
        }
        let mixture = Components::new(fitted.0.clone());
        for (state, mut row) in states.rows().into_iter().zip(shares.rows_mut()) {
            mixture.log_terms(state, &mut terms);
            let sum = log_sum_exp(&terms);
            row.iter_mut().zip(&terms).for_each(|(share, term)| *share = (term - sum).exp());
        }
    }
    fitted
}

/// Every state belongs to the nearest of `count` states, each drawn in proportion to its squared distance from those before it.
fn starts(states: ArrayView2<'_, f64>, count: usize, generator: &mut Generator) -> Array2<f64> {
    let rows = states.nrows();
    let scales = states.std_axis(Axis(0), 0.0).mapv(|scale| if scale > 0.0 { scale } else { 1.0 });
    let units = &states / &scales.insert_axis(Axis(0));
    let mut nearest = vec![(f64::INFINITY, 0); rows];
    for number in 0..count {
        let total: f64 = nearest.iter().map(|(distance, _)| distance).sum();
        let mut left = generator.random::<f64>() * if total.is_finite() { total } else { 1.0 };
        let chosen = if number == 0 {
            (left * rows as f64) as usize
        } else {
            let found = nearest.iter().position(|(distance, _)| {
                left -= distance;
                left < 0.0
            });
            found.unwrap_or(0)
        };
        let centre = units.row(chosen.min(rows - 1)).to_owned();
        for (row, nearest) in units.rows().into_iter().zip(&mut nearest) {
            let distance = row.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c)).sum();
            if distance < nearest.0 {
                *nearest = (distance, number);
            }
        }
    }
    let mut shares = Array2::zeros((rows, count));
    for (row, (_, number)) in nearest.iter().enumerate() {
        shares[[row, *number]] = 1.0;
    }
    shares
}

fn maximise(
    states: ArrayView2<'_, f64>,
    shares: &Array2<f64>,
    correlated: bool,
    inflation: f64,
) -> (Vec<Component>, Vec<f64>) {
    let (rows, dim) = states.dim();
    let masses = shares.sum_axis(Axis(0));
    let floor = states.var_axis(Axis(0), 0.0).mapv(|variance| 1e-6 * variance.max(1e-12));
    let mut scatters = Vec::new();
    let mut pooled = Array2::<f64>::zeros((dim, dim));
    for (number, mass) in masses.iter().enumerate() {
        let column = shares.column(number);
        let mean: Array1<f64> = states.t().dot(&column) / mass.max(1e-12);
        let away = &states - &mean.view().insert_axis(Axis(0));
        let weighted = &away * &column.insert_axis(Axis(1));
        let scatter = if correlated {
            away.t().dot(&weighted)
        } else {
            Array2::from_diag(&(&away * &weighted).sum_axis(Axis(0)))
        };
        pooled += &scatter;
        scatters.push((mean, scatter));
    }
    pooled /= rows as f64;
    for (i, least) in floor.iter().enumerate() {
        pooled[[i, i]] = pooled[[i, i]].max(*least);
    }
    let prior = (dim + 2) as f64;
    let parts = scatters.into_iter().zip(&masses).filter(|(_, mass)| **mass > 0.5);
    let parts = parts
        .map(|((mean, scatter), mass)| {
            let covariance = (scatter + prior * &pooled) * (inflation * inflation / (mass + prior));
            let diagonal = || Spread::Diagonal(covariance.diag().mapv(f64::sqrt));
            let spread = if correlated {
                Cholesky::new(covariance.view()).map_or_else(|_| diagonal(), Spread::Full)
            } else {
                diagonal()
            };
            Component { weight: mass / rows as f64, mean, spread }
        })
        .collect();
    (parts, pooled.diag().iter().map(|variance| inflation * variance.sqrt()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::builtin;

    #[test]
    fn separated_modes_are_found_with_their_widths() {
        let model = builtin::parse("ref:two-modes?dim=2&separation=12&width-ratio=0.5").expect("a reference");
        let draws = model.sampler().expect("exact").sample(600, &mut Stream::new(4).generator());
        let (mut parts, _) = expectation_maximisation(draws.view(), 2, Stream::new(1));
        parts.sort_by(|one, other| one.weight.total_cmp(&other.weight));
        for (part, (weight, width)) in parts.iter().zip([(0.25, 1.0), (0.75, 0.5)]) {
            assert!((part.weight - weight).abs() < 0.08, "{}", part.weight);
            for variance in part.spread.variances() {
                assert!((variance.sqrt() / (INFLATION * width) - 1.0).abs() < 0.15, "{variance}");
            }
        }
    }
}
