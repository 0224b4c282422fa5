//! Lower bounds of log Z that hold whatever any chain did, from states near which there may be mass.
//!
//! For any distribution q, log Z ≥ E_q[−E] + H(q). Chains that anneal from a broad reference may miss a narrow mode altogether, and
//! their weights cannot tell; a q that sits in that mode can.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip, concatenate, s};
use rayon::prelude::*;

use super::rbm::softplus;
use super::{Boltzmann, GaussianRbm, Ising, LowerBounds, Potts, Rbm, Units};
use crate::math::{products, simd};

/// Rounds of mean-field updates: more change the bound little once it has found its mode.
const ROUNDS: usize = 12;
/// Steps of a climb among hidden units, and terms that all climbs may add up.
const CLIMB_STEPS: usize = 8;
const CLIMB_TERMS: usize = 20_000_000;

/// By a product of independent visible and hidden units with means μ and ν (Salakhutdinov & Murray 2008, doi:10.1145/1390156.1390266):
/// log Z ≥ b·μ + H(μ) + Σⱼ softplus(cⱼ + (μW)ⱼ), improved by ν ← σ(c + μW), μ ← σ(b + Wν), which never lowers it.
impl LowerBounds for Rbm {
    fn landmarks(&self, most: usize) -> Array2<f64> {
        let hidden = self.hidden();
        let mut singles: Vec<(f64, Vec<bool>)> = largest(self.weights().view(), most)
            .into_par_iter()
            .map(|unit| (single_log_density(self, unit), (0..hidden).map(|j| j == unit).collect()))
            .collect();
        singles.sort_by(|one, other| other.0.total_cmp(&one.0));
        let climbs = (CLIMB_TERMS / (CLIMB_STEPS * hidden * self.visible()).max(1)).clamp(1, 16);
        let mut found: Vec<Vec<bool>> =
            singles.par_iter().take(climbs).map(|(_, on)| climb(self, on)).collect();
        found.extend(singles.into_iter().map(|(_, on)| on));
        // Two rows more, for the extremes: these states may take as much memory as the machine, so they are not copied.
        let wanted = Array2::from_shape_fn((found.len() + 2, hidden), |(row, j)| {
            f64::from(u8::from(found.get(row).is_some_and(|on| on[j])))
        });
        let mut states = signs(product(wanted.view(), self.weights().t()) + self.visible_bias());
        drop(wanted);
        states.slice_mut(s![found.len(), ..]).fill(0.0);
        states.slice_mut(s![found.len() + 1, ..]).fill(1.0);
        self.from_bits(states)
    }

    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut means = self.to_bits(near);
        let weights = self.weights();
        for _ in 0..ROUNDS {
            let hidden = sigmoids(product(means.view(), weights.view()) + self.hidden_bias());
            means = sigmoids(product(hidden.view(), weights.t()) + self.visible_bias());
        }
        let hidden = product(means.view(), weights.view()) + self.hidden_bias();
        means.dot(self.visible_bias()) + entropies(&means) + hidden.mapv(softplus).sum_axis(Axis(1))
            - self.offset()
    }
}

/// By independent hidden units with means ν and the normal visible units that these ask for, with a = W̃ν:
/// log Z ≥ c·ν + H(ν) + Σᵢ (½ log 2πσᵢ² + bᵢaᵢ + ½ σᵢ²aᵢ²).
impl LowerBounds for GaussianRbm {
    fn landmarks(&self, most: usize) -> Array2<f64> {
        let variances = self.sigma().mapv(|s| s * s);
        let weights = self.scaled_weights().select(Axis(1), &largest(self.scaled_weights().view(), most));
        (weights * column(&variances) + column(self.visible_bias())).reversed_axes()
    }

    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64> {
        let weights = self.scaled_weights();
        let variances = self.sigma().mapv(|s| s * s);
        let constant: f64 = variances.iter().map(|v| 0.5 * (2.0 * std::f64::consts::PI * v).ln()).sum();
        let mut visible = near.to_owned();
        let mut best = Array1::from_elem(near.nrows(), f64::NEG_INFINITY);
        for _ in 0..=ROUNDS {
            let means = (product(visible.view(), weights.view()) + self.hidden_bias()).mapv(sigmoid);
            let pulls = product(means.view(), weights.t());
            let squares = (&pulls * &pulls).dot(&variances);
            let bound = means.dot(self.hidden_bias())
                + entropies(&means)
                + pulls.dot(self.visible_bias())
                + 0.5 * squares;
            raise(&mut best, &bound);
            visible = pulls * &variances + self.visible_bias();
        }
        best + constant
    }
}

/// By independent units with means μ: log Z ≥ ½ μᵀJμ + h·μ + H(μ), at every μ on the way of damped updates towards the fixed point.
impl LowerBounds for Boltzmann {
    fn landmarks(&self, most: usize) -> Array2<f64> {
        let pulls = &self.couplings().select(Axis(1), &largest(self.couplings().view(), most))
            + &column(self.fields());
        let states = with_extremes(signs(pulls.reversed_axes()));
        in_units(states, self.units())
    }

    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64> {
        // Spins s = 2x − 1 have p(+1) = σ(2 × field).
        let (slope, spins) = if self.units() == Units::Spins { (2.0, true) } else { (1.0, false) };
        let share = |means: &Array2<f64>| if spins { means.mapv(|m| 0.5 * (m + 1.0)) } else { means.clone() };
        let mut means = near.to_owned();
        let mut best = Array1::from_elem(near.nrows(), f64::NEG_INFINITY);
        for _ in 0..=ROUNDS {
            let pulls = product(means.view(), self.couplings().view());
            let pairs = 0.5 * (&means * &pulls).sum_axis(Axis(1));
            raise(&mut best, &(pairs + means.dot(self.fields()) + entropies(&share(&means))));
            let wanted = in_units((pulls + self.fields()).mapv(|field| sigmoid(slope * field)), self.units());
            means = 0.5 * (means + wanted);
        }
        best - self.offset()
    }
}

/// By single states: log Z ≥ −E.
impl LowerBounds for Ising {
    fn landmarks(&self, _most: usize) -> Array2<f64> {
        let sites = self.lattice().sites();
        Array2::from_shape_fn((2, sites), |(row, _)| if row == 0 { 1.0 } else { -1.0 })
    }

    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64> {
        -super::Model::energy(self, near)
    }
}

/// By single states: log Z ≥ −E.
impl LowerBounds for Potts {
    fn landmarks(&self, most: usize) -> Array2<f64> {
        Array2::from_shape_fn((self.states().min(most), self.fields().nrows()), |(row, _)| row as f64)
    }

    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64> {
        -super::Model::energy(self, near)
    }
}

/// log Σ_v exp(−E(v, h)), where one hidden unit of a machine of bits is on.
fn single_log_density(rbm: &Rbm, unit: usize) -> f64 {
    let fields = rbm.visible_bias() + &rbm.weights().column(unit);
    rbm.hidden_bias()[unit] + fields.mapv(softplus).sum()
}

/// b + Wh.
fn fields(rbm: &Rbm, on: &[bool]) -> Array1<f64> {
    let wanted: Array1<f64> = on.iter().map(|on| f64::from(u8::from(*on))).collect();
    rbm.weights().dot(&wanted) + rbm.visible_bias()
}

/// The steepest way up by turning single hidden units on or off: modes that several of them make together. Single precision finds
/// the way; what the state is worth is computed elsewhere.
fn climb(rbm: &Rbm, start: &[bool]) -> Vec<bool> {
    let mut on = start.to_vec();
    for _ in 0..CLIMB_STEPS {
        let signs: Vec<f64> = on.iter().map(|on| if *on { -1.0 } else { 1.0 }).collect();
        let mut gains: Vec<f64> =
            signs.iter().zip(rbm.hidden_bias()).map(|(sign, bias)| sign * bias).collect();
        for (field, row) in fields(rbm, &on).iter().zip(rbm.weights().rows()) {
            let now = softplus(*field);
            let mut moved: Vec<f32> =
                row.iter().zip(&signs).map(|(weight, sign)| (field + sign * weight) as f32).collect();
            simd::softplus_all(&mut moved);
            gains.iter_mut().zip(moved).for_each(|(gain, moved)| *gain += f64::from(moved) - now);
        }
        let best = (0..gains.len()).max_by(|&one, &other| gains[one].total_cmp(&gains[other]));
        match best.filter(|&unit| gains[unit] > 1e-9) {
            Some(unit) => on[unit] = !on[unit],
            None => break,
        }
    }
    on
}

/// The columns with the largest sums of squares, at most `most`.
fn largest(matrix: ArrayView2<'_, f64>, most: usize) -> Vec<usize> {
    let mut sizes = vec![0.0f64; matrix.ncols()];
    for row in matrix.rows() {
        sizes.iter_mut().zip(row).for_each(|(size, weight)| *size = size.hypot(*weight));
    }
    let mut order: Vec<usize> = (0..matrix.ncols()).collect();
    order.sort_by(|&one, &other| sizes[other].total_cmp(&sizes[one]));
    order.truncate(most);
    order
}

fn column(vector: &Array1<f64>) -> ArrayView2<'_, f64> {
    vector.view().insert_axis(Axis(1))
}

/// 1 where positive, 0 elsewhere.
fn signs(pulls: Array2<f64>) -> Array2<f64> {
    pulls.mapv_into(|pull| f64::from(u8::from(pull > 0.0)))
}

/// The same rows, and those of all ones and of all zeros.
fn with_extremes(states: Array2<f64>) -> Array2<f64> {
    let extremes = Array2::from_shape_fn((2, states.ncols()), |(row, _)| row as f64);
    concatenate(Axis(0), &[states.view(), extremes.view()]).expect("rows of one width")
}

fn in_units(bits: Array2<f64>, units: Units) -> Array2<f64> {
    if units == Units::Spins { bits.mapv_into(|x| 2.0 * x - 1.0) } else { bits }
}

fn product(left: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((left.nrows(), right.ncols()));
    products::multiply(left, right, out.view_mut());
    out
}

fn raise(best: &mut Array1<f64>, bound: &Array1<f64>) {
    Zip::from(best).and(bound).for_each(|best, &bound| *best = best.max(bound));
}

/// Σᵢ −μᵢ log μᵢ − (1 − μᵢ) log (1 − μᵢ) of each row.
fn entropies(means: &Array2<f64>) -> Array1<f64> {
    let one = |share: f64| if share > 0.0 { -share * share.ln() } else { 0.0 };
    let row = |row: ArrayView1<'_, f64>| row.iter().map(|&mean| one(mean) + one(1.0 - mean)).sum();
    means.rows().into_iter().map(row).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// σ of each value in single precision, which is enough for means: a bound holds at whatever means it is taken.
fn sigmoids(values: Array2<f64>) -> Array2<f64> {
    let mut row = vec![0.0f32; values.ncols()];
    let mut values = values;
    for mut values in values.rows_mut() {
        row.iter_mut().zip(&values).for_each(|(x, value)| *x = *value as f32);
        simd::sigmoid_all(&mut row);
        values.iter_mut().zip(&row).for_each(|(value, x)| *value = f64::from(*x));
    }
    values
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::estimators::{Settings, Silent, quickest_exact};
    use crate::models::{Model, builtin};

    /// The best bound from landmarks, with log Z.
    fn best(spec: &str) -> (f64, f64) {
        let model = builtin::parse(spec).expect("valid");
        let bounds = model.lower_bounds().expect("these have some");
        let landmarks = bounds.landmarks(64);
        let found = bounds.lower_bounds(landmarks.view());
        (found.iter().copied().fold(f64::NEG_INFINITY, f64::max), exactly(&model))
    }

    fn exactly(model: &Arc<dyn Model>) -> f64 {
        let (exact, _) = quickest_exact(model).expect("small enough");
        exact.estimate(model, &Settings::default(), &Silent).expect("runs").log_z
    }

    #[test]
    fn bounds_lie_below_log_z_and_not_far() {
        for (spec, far) in [
            ("ref:rbm?visible=14&hidden=8", 2.0),
            ("ref:rbm?visible=12&hidden=9&units=spins", 4.0),
            ("ref:gaussian-rbm?visible=8&hidden=6", 2.0),
            ("ref:boltzmann?dim=12", 3.0),
            ("ref:boltzmann?dim=12&units=spins&coupling=2", 4.0),
            ("ref:ising?side=4&coupling=0.8", 1.0),
            ("ref:potts?side=3&coupling=2", 2.0),
        ] {
            let (bound, log_z) = best(spec);
            assert!(bound <= log_z + 1e-9 && bound > log_z - far, "{spec}: {bound} for {log_z}");
        }
    }

    /// Without couplings the units are independent and the bound is log Z itself.
    #[test]
    fn bounds_are_tight_without_couplings() {
        for spec in ["ref:rbm?scale=0", "ref:gaussian-rbm?scale=0", "ref:boltzmann?dim=9&coupling=0"] {
            let (bound, log_z) = best(spec);
            // Damped updates halve the distance to the fixed point in each round.
            assert!((bound - log_z).abs() < 1e-6, "{spec}: {bound} for {log_z}");
        }
    }
}
