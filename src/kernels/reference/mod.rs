//! f₀ of a geometric path: a normalised density with exact draws, one of a closed set of kinds.
//!
//! Kernels propose in units of [`Reference::scales`]. A correlated reference has a [`Frame`] in addition: chains then live in
//! coordinates in which it is round, and so every kernel is preconditioned by it. To add a kind: a variant of `Shape` with its
//! density, gradient and draws here, and its fit in [`paths::geometric`](crate::paths::geometric).

use std::f64::consts::PI;

use ndarray::{Array1, Array2, Axis};
use rand::RngExt;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use statrs::function::gamma::ln_gamma;

use super::sum_of_squares;
use crate::math::random::Generator;
use crate::math::simd::dispatch;

mod components;
mod frame;

pub use components::{Component, Components, Spread};
pub use frame::Frame;

/// f₀ of a geometric path: normal, Student t, a mixture of normals, or uniform on a box.
#[derive(Clone, Debug)]
pub struct Reference {
    pub(super) centre: Vec<f64>,
    pub(super) scales: Vec<f64>,
    /// 1/scale for normals and Student's t; 0 for what has its gradient elsewhere, or none.
    pub(super) rates: Vec<f64>,
    /// What log f₀ has beside its shape: its highest value, where it has one.
    log_peak: f64,
    shape: Shape,
    frame: Option<Frame>,
}

#[derive(Clone, Debug)]
enum Shape {
    Normal,
    Uniform { lower: Vec<f64>, upper: Vec<f64> },
    Student { freedom: f64 },
    Mixture(Components),
}

impl Reference {
    /// N(centre, spread²) in each coordinate.
    #[must_use]
    pub fn normal(centre: Vec<f64>, spread: Vec<f64>) -> Self {
        let half_log_2pi = 0.5 * (2.0 * PI).ln();
        Self {
            rates: spread.iter().map(|s| 1.0 / s).collect(),
            log_peak: -spread.iter().map(|s| s.ln() + half_log_2pi).sum::<f64>(),
            centre,
            scales: spread,
            shape: Shape::Normal,
            frame: None,
        }
    }

    /// Uniform between `lower` and `upper`.
    #[must_use]
    pub fn uniform(lower: Vec<f64>, upper: Vec<f64>, scales: Vec<f64>) -> Self {
        Self {
            centre: vec![0.0; lower.len()],
            rates: vec![0.0; lower.len()],
            log_peak: -lower.iter().zip(&upper).map(|(l, u)| (u - l).ln()).sum::<f64>(),
            scales,
            shape: Shape::Uniform { lower, upper },
            frame: None,
        }
    }

    /// The multivariate t distribution ∝ (1 + |(x − centre)/scales|²/ν)^{−(ν+d)/2} with `freedom` ν.
    #[must_use]
    pub fn student(centre: Vec<f64>, scales: Vec<f64>, freedom: f64) -> Self {
        let dim = centre.len() as f64;
        let log_peak = ln_gamma(0.5 * (freedom + dim))
            - ln_gamma(0.5 * freedom)
            - 0.5 * dim * (freedom * PI).ln()
            - scales.iter().map(|s| s.ln()).sum::<f64>();
        Self { log_peak, shape: Shape::Student { freedom }, ..Self::normal(centre, scales) }
    }

    /// A mixture of normals, with proposals in units of `scales`.
    #[must_use]
    pub fn mixture(components: Components, scales: Vec<f64>) -> Self {
        Self {
            centre: vec![0.0; scales.len()],
            rates: vec![0.0; scales.len()],
            log_peak: 0.0,
            scales,
            shape: Shape::Mixture(components),
            frame: None,
        }
    }

    /// The same density of z, for x = m + L z: densities are per volume of x.
    #[must_use]
    pub fn within(mut self, frame: Frame) -> Self {
        self.log_peak -= frame.log_volume();
        self.frame = Some(frame);
        self
    }

    /// log f₀ of each row of an array in standard layout.
    #[must_use]
    pub fn log_densities(&self, states: &Array2<f64>) -> Array1<f64> {
        match &self.shape {
            Shape::Uniform { .. } => Array1::from_elem(states.nrows(), self.log_peak),
            Shape::Normal => self.distances(states).mapv_into(|square| self.log_peak - 0.5 * square),
            Shape::Student { freedom } => {
                let power = 0.5 * (freedom + states.ncols() as f64);
                self.distances(states).mapv_into(|square| self.log_peak - power * (square / freedom).ln_1p())
            }
            Shape::Mixture(components) => components.log_densities(states) + self.log_peak,
        }
    }

    /// |(x − centre)/scales|² of each row.
    fn distances(&self, states: &Array2<f64>) -> Array1<f64> {
        let mut values = Array1::zeros(states.nrows());
        let dim = states.ncols().max(1);
        let rows = states.as_slice().expect("states are in standard layout").chunks_exact(dim);
        let (centre, rates) = (&self.centre[..], &self.rates[..]);
        let mut distances = vec![0.0; dim];
        dispatch(
            #[inline(always)]
            || {
                for (value, state) in values.iter_mut().zip(rows) {
                    let from_centre = state.iter().zip(centre).zip(rates);
                    for (distance, ((x, c), rate)) in distances.iter_mut().zip(from_centre) {
                        *distance = (x - c) * rate;
                    }
                    *value = sum_of_squares(&distances);
                }
            },
        );
        values
    }

    /// What (x − centre)·rates is to be multiplied by, for each row, to make it scales · ∇(−log f₀); `None` for 1.
    pub(super) fn pulls(&self, states: &Array2<f64>) -> Option<Vec<f64>> {
        let Shape::Student { freedom } = self.shape else { return None };
        let whole = freedom + states.ncols() as f64;
        Some(self.distances(states).iter().map(|square| whole / (freedom + square)).collect())
    }

    /// What `centre` and `rates` leave out of scales · ∇(−log f₀), if anything.
    pub(super) fn slopes(&self, states: &Array2<f64>) -> Option<Array2<f64>> {
        let Shape::Mixture(components) = &self.shape else { return None };
        let mut slopes = components.gradients(states);
        slopes *= &Array1::from_vec(self.scales.clone()).insert_axis(Axis(0));
        Some(slopes)
    }

    /// scales · ∇(−log f₀) of each row.
    #[must_use]
    pub fn gradients(&self, states: &Array2<f64>) -> Array2<f64> {
        let pulls = self.pulls(states);
        let mut gradients = self.slopes(states).unwrap_or_else(|| Array2::zeros(states.dim()));
        for ((row, i), slope) in gradients.indexed_iter_mut() {
            let pull = pulls.as_ref().map_or(1.0, |pulls| pulls[row]);
            *slope += pull * (states[[row, i]] - self.centre[i]) * self.rates[i];
        }
        gradients
    }

    /// `count` exact draws, as rows, in the frame if there is one.
    #[must_use]
    pub fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let shape = (count, self.scales.len());
        match &self.shape {
            Shape::Uniform { lower, upper } => Array2::from_shape_fn(shape, |(_, i)| {
                lower[i] + (upper[i] - lower[i]) * generator.random::<f64>()
            }),
            Shape::Normal => Array2::from_shape_fn(shape, |(_, i)| {
                let noise: f64 = StandardNormal.sample(generator);
                self.centre[i] + self.scales[i] * noise
            }),
            Shape::Student { freedom } => {
                let chi_squared = ChiSquared::new(*freedom).expect("degrees of freedom are positive");
                let mut draws = Array2::zeros(shape);
                for mut row in draws.rows_mut() {
                    let stretch = (freedom / chi_squared.sample(generator)).sqrt();
                    for (i, x) in row.iter_mut().enumerate() {
                        let noise: f64 = StandardNormal.sample(generator);
                        *x = self.centre[i] + stretch * self.scales[i] * noise;
                    }
                }
                draws
            }
            Shape::Mixture(components) => components.sample(count, generator),
        }
    }

    /// A scale for each coordinate: proposals are made in units of it.
    #[must_use]
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// The centre of a normal or Student t distribution; 0 otherwise.
    #[must_use]
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// The box that states stay in, (lower, upper), if there is one.
    #[must_use]
    pub fn bounds(&self) -> Option<(&[f64], &[f64])> {
        match &self.shape {
            Shape::Uniform { lower, upper } => Some((lower, upper)),
            _ => None,
        }
    }

    /// The coordinates that chains live in, if they are not the model's.
    #[must_use]
    pub fn frame(&self) -> Option<&Frame> {
        self.frame.as_ref()
    }

    /// Whether it is independent normals of these centres and scales, in its frame.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        matches!(self.shape, Shape::Normal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::linear::Cholesky;
    use crate::math::{Stream, log_sum_exp, statistics};
    use ndarray::array;

    /// One of each kind in the plane, with how far out its mass reaches.
    fn kinds() -> [(Reference, f64); 4] {
        let factor = |matrix: Array2<f64>| Cholesky::new(matrix.view()).expect("positive definite");
        let components = Components::new(vec![
            Component { weight: 1.0, mean: array![2.0, 0.0], spread: Spread::Diagonal(array![0.5, 1.5]) },
            Component {
                weight: 3.0,
                mean: array![-2.0, 1.0],
                spread: Spread::Full(factor(array![[1.0, 0.6], [0.6, 0.8]])),
            },
        ]);
        [
            (Reference::normal(vec![0.3, -0.5], vec![1.3, 0.7]), 12.0),
            (Reference::student(vec![0.3, -0.5], vec![1.3, 0.7], 20.0), 60.0),
            (Reference::mixture(components.clone(), vec![1.0, 2.0]), 14.0),
            (
                Reference::mixture(components, vec![1.0; 2])
                    .within(Frame::new(array![1.0, 2.0], factor(array![[2.0, 0.4], [0.4, 1.0]]))),
                14.0,
            ),
        ]
    }

    #[test]
    fn densities_are_normalised() {
        for (number, (reference, reach)) in kinds().into_iter().enumerate() {
            let points = 701;
            let step = 2.0 * reach / (points - 1) as f64;
            let grid = Array2::from_shape_fn((points * points, 2), |(row, i)| {
                step * (if i == 0 { row / points } else { row % points }) as f64 - reach
            });
            // Of z, for a reference in a frame.
            let volume = reference.frame().map_or(0.0, Frame::log_volume);
            let log_z = log_sum_exp(&reference.log_densities(&grid).to_vec()) + 2.0 * step.ln() + volume;
            assert!(log_z.abs() < 1e-9, "{number}: {log_z}");
        }
    }

    #[test]
    fn gradients_are_differences() {
        let states = array![[0.1, 0.4], [-3.0, 2.0], [1.5, -1.0]];
        for (number, (reference, _)) in kinds().into_iter().enumerate() {
            let gradients = reference.gradients(&states);
            for i in 0..2 {
                let at = |shift: f64| {
                    let mut moved = states.clone();
                    moved.column_mut(i).mapv_inplace(|x| x + shift);
                    reference.log_densities(&moved)
                };
                let slope = (at(-1e-5) - at(1e-5)) / 2e-5 * reference.scales()[i];
                for row in 0..3 {
                    assert!((slope[row] - gradients[[row, i]]).abs() < 1e-7, "{number}: {row}, {i}");
                }
            }
        }
    }

    /// E[∇ log f₀] = 0 and E[x ∇(−log f₀)] = 1 under its own draws, within 4.5 standard errors.
    #[test]
    fn draws_are_of_the_density() {
        for (number, (reference, _)) in kinds().into_iter().enumerate() {
            let draws = reference.sample(20_000, &mut Stream::new(3).generator());
            let gradients = reference.gradients(&draws);
            for i in 0..2 {
                let slope: Vec<f64> = gradients.column(i).to_vec();
                let virial: Vec<f64> = (&gradients.column(i) * &draws.column(i)).to_vec();
                for (values, expected) in [(slope, 0.0), (virial, reference.scales()[i])] {
                    let off = (statistics::mean(&values) - expected) / statistics::std_err(&values);
                    assert!(off.abs() < 4.5, "{number}, {i}: {off}");
                }
            }
        }
    }

    #[test]
    fn frames_go_there_and_back() {
        let factor = Cholesky::new(array![[2.0, 0.4], [0.4, 1.0]].view()).expect("positive definite");
        let frame = Frame::new(array![1.0, 2.0], factor);
        let states = array![[0.3, -0.2], [5.0, 1.0]];
        let back = frame.inward(frame.outward(states.view()).view());
        assert!((&back - &states).iter().all(|d| d.abs() < 1e-12));
    }
}
