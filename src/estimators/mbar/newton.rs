//! The multistate equations solved.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::{PARTS, Reduced, origins, square};
use crate::error::{Error, Result};
use crate::math::linear::{BadPivot, Cholesky};

/// Newton steps after which the equations count as unsolved.
const MOST_STEPS: usize = 200;
/// Step, in nats, below which they are solved: Newton's method doubles the digits in each.
const SOLVED: f64 = 1e-9;
/// Nats that a solution may move before the table of Boltzmann factors is made anew around it.
const FAR: f64 = 30.0;

/// Newton's method on Σ_n log Σ_k N_k e^{f_k − u_k(x_n)} − Σ_k N_k f_k over the sampled states.
#[derive(Clone)]
pub(super) struct Newton<'a> {
    sampled: &'a [usize],
    /// f at which `factors` is made.
    base: Array1<f64>,
    /// e^{base_k − u_k(x_n) − top_n}, (samples, sampled states): no exponential is taken in a step.
    factors: Array2<f64>,
    /// max_k base_k − u_k(x_n).
    tops: Vec<f64>,
    /// f − base.
    shift: Array1<f64>,
    /// How many samples each state has, as they count.
    counts: Array1<f64>,
    curvature: Array2<f64>,
    pub(super) steps: usize,
}

impl<'a> Newton<'a> {
    pub(super) fn new(samples: Reduced<'_>, sampled: &'a [usize], log_z: &[f64]) -> Self {
        let base: Array1<f64> = log_z.iter().map(|log_z| -log_z).collect();
        let counts = sampled.iter().map(|&k| samples.counts[k] as f64).collect();
        let (factors, tops) = factors(samples.energies, sampled, base.view());
        let (shift, curvature) = (Array1::zeros(sampled.len()), Array2::zeros((0, 0)));
        Self { sampled, base, factors, tops, shift, counts, curvature, steps: 0 }
    }

    /// The minimum; `times` says how often each sample counts.
    pub(super) fn solve(&self, samples: Reduced<'_>, times: Option<&[f64]>) -> Result<Self> {
        let mut at = self.clone();
        if let Some(times) = times {
            let mut counts = vec![0.0; samples.counts.len()];
            origins(samples.counts).zip(times).for_each(|(origin, times)| counts[origin] += times);
            at.counts = self.sampled.iter().map(|&k| counts[k]).collect();
        }
        let mut damping = 0.0;
        for step in 1..=MOST_STEPS {
            at.steps = step;
            let (value, gradient, curvature) = at.evaluate(at.shift.view(), times, true);
            at.curvature = curvature;
            let Some(direction) = at.direction(&gradient, &mut damping) else { break };
            let size = direction.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            if size < SOLVED {
                at.shift += &direction;
                return Ok(at);
            }
            let slope = gradient.dot(&direction);
            let mut length = 1.0;
            let moved = loop {
                let next = &at.shift + &(length * &direction);
                let found = at.evaluate(next.view(), times, false).0;
                // Near the minimum the decrease drowns in rounding.
                if found <= value + 1e-4 * length * slope + 1e-13 * value.abs() {
                    break Some(next);
                }
                length *= 0.5;
                if length < 1e-10 {
                    break None;
                }
            };
            let Some(next) = moved else { break };
            at.shift = next;
            if at.shift.iter().any(|shift| shift.abs() > FAR) {
                at.base += &at.shift;
                at.shift.fill(0.0);
                (at.factors, at.tops) = factors(samples.energies, self.sampled, at.base.view());
            }
        }
        let (state, overlap) = at.loosest();
        Err(Error::NotReached {
            estimator: "mbar",
            message: format!(
                "state {state} hardly overlaps with any state before it (by {overlap:.0e}), and the equations were not solved in {} \
                 Newton steps; put states between them, or draw more samples",
                at.steps
            ),
        })
    }

    /// The state that is joined to the others most loosely, and its largest overlap with one of them: states are taken one after the
    /// other, always the one that overlaps most with one already taken.
    fn loosest(&self) -> (usize, f64) {
        let states = self.sampled.len();
        let overlap = |i: usize, j: usize| -self.curvature[[i, j]] / self.counts[i].min(self.counts[j]);
        let mut taken = vec![0];
        let mut loosest = (0, f64::INFINITY);
        while taken.len() < states {
            let left = (0..states).filter(|state| !taken.contains(state));
            let best = left
                .map(|state| (state, taken.iter().map(|&other| overlap(state, other)).fold(0.0, f64::max)))
                .max_by(|one, other| one.1.total_cmp(&other.1));
            let Some((state, most)) = best else { break };
            taken.push(state);
            if most < loosest.1 {
                loosest = (state, most);
            }
        }
        (self.sampled[loosest.0], loosest.1)
    }

    /// The Newton direction with the first state held, damped where the curvature is singular to working precision.
    fn direction(&self, gradient: &Array1<f64>, damping: &mut f64) -> Option<Array1<f64>> {
        while *damping <= 1.0 {
            let mut curvature = self.curvature.slice(s![1.., 1..]).to_owned();
            curvature
                .diag_mut()
                .iter_mut()
                .zip(self.counts.iter().skip(1))
                .for_each(|(h, n)| *h += *damping * n);
            if let Ok(factor) = Cholesky::new(curvature.view()) {
                let inner = factor.solve(gradient.slice(s![1..]).mapv(|g| -g));
                *damping = if *damping < 1e-12 { 0.0 } else { *damping * 0.01 };
                return Some(std::iter::once(0.0).chain(inner).collect());
            }
            *damping = (*damping * 100.0).max(1e-12);
        }
        None
    }

    /// The function (but for a constant), its gradient, and its curvature where asked for.
    fn evaluate(
        &self,
        shift: ArrayView1<'_, f64>,
        times: Option<&[f64]>,
        curved: bool,
    ) -> (f64, Array1<f64>, Array2<f64>) {
        let scale: Array1<f64> =
            shift.iter().zip(&self.counts).map(|(shift, count)| count * shift.exp()).collect();
        let states = scale.len();
        let rows = self.factors.nrows().div_ceil(PARTS);
        let parts: Vec<_> = self
            .factors
            .axis_chunks_iter(Axis(0), rows)
            .into_par_iter()
            .enumerate()
            .map(|(part, factors)| {
                let mut value = 0.0;
                let mut sums = Array1::<f64>::zeros(states);
                let mut shares = if curved { factors.to_owned() } else { Array2::zeros((0, 0)) };
                for (i, row) in factors.rows().into_iter().enumerate() {
                    let total = row.dot(&scale);
                    let times = times.map_or(1.0, |times| times[part * rows + i]);
                    value += if times > 0.0 { times * total.ln() } else { 0.0 };
                    if curved {
                        let mut share = shares.row_mut(i);
                        share *= &scale;
                        share *= times.sqrt() / total;
                        sums.scaled_add(times.sqrt(), &share);
                    }
                }
                (value, sums, if curved { square(shares.view()) } else { shares })
            })
            .collect();
        let (mut value, mut sums, mut products) =
            (0.0, Array1::<f64>::zeros(states), Array2::<f64>::zeros((0, 0)));
        for (part_value, part_sums, part_products) in parts {
            value += part_value;
            sums += &part_sums;
            products = if products.is_empty() { part_products } else { products + part_products };
        }
        value -= self.counts.dot(&shift);
        let gradient = &sums - &self.counts;
        let curvature = if curved { Array2::from_diag(&sums) - products } else { products };
        (value, gradient, curvature)
    }

    pub(super) fn factor(&self) -> std::result::Result<Cholesky, BadPivot> {
        Cholesky::new(self.curvature.slice(s![1.., 1..]))
    }

    /// log Σ_k N_k e^{f_k − u_k(x_n)} of every sample.
    pub(super) fn log_totals(&self) -> Vec<f64> {
        let scale: Array1<f64> =
            self.shift.iter().zip(&self.counts).map(|(shift, count)| count * shift.exp()).collect();
        self.factors.rows().into_iter().zip(&self.tops).map(|(row, top)| row.dot(&scale).ln() + top).collect()
    }
}

fn factors(
    energies: ArrayView2<'_, f64>,
    sampled: &[usize],
    base: ArrayView1<'_, f64>,
) -> (Array2<f64>, Vec<f64>) {
    let mut factors = Array2::zeros((energies.ncols(), sampled.len()));
    let tops = factors
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .map(|(sample, mut row)| {
            let mut top = f64::NEG_INFINITY;
            for ((value, &state), base) in row.iter_mut().zip(sampled).zip(base) {
                *value = base - energies[[state, sample]];
                top = top.max(*value);
            }
            row.mapv_inplace(|value| (value - top).exp());
            top
        })
        .collect();
    (factors, tops)
}
