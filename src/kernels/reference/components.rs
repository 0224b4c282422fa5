//! A mixture of normal distributions as a reference.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayView1};
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::math::linear::Cholesky;
use crate::math::log_sum_exp;
use crate::math::random::Generator;

/// One normal distribution of a mixture.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its share of the mass.
    pub weight: f64,
    /// Its mean.
    pub mean: Array1<f64>,
    /// What its standard normal numbers are multiplied by.
    pub spread: Spread,
}

/// Scale and shape of a [`Component`].
#[derive(Clone, Debug)]
pub enum Spread {
    /// Standard deviations of independent coordinates.
    Diagonal(Array1<f64>),
    /// The Cholesky factor of the covariance.
    Full(Cholesky),
}

impl Spread {
    fn log_volume(&self) -> f64 {
        match self {
            Self::Diagonal(scales) => scales.iter().map(|scale| scale.ln()).sum(),
            Self::Full(factor) => 0.5 * factor.log_determinant(),
        }
    }

    /// x becomes L⁻¹ x.
    fn whiten(&self, x: &mut Array1<f64>) {
        match self {
            Self::Diagonal(scales) => *x /= scales,
            Self::Full(factor) => factor.solve_lower(x.view_mut()),
        }
    }

    /// x becomes L⁻ᵀ x.
    fn whiten_gradient(&self, x: &mut Array1<f64>) {
        match self {
            Self::Diagonal(scales) => *x /= scales,
            Self::Full(factor) => factor.solve_upper(x.view_mut()),
        }
    }

    /// x becomes L x.
    fn colour(&self, x: &mut Array1<f64>) {
        match self {
            Self::Diagonal(scales) => *x *= scales,
            Self::Full(factor) => *x = factor.lower().dot(x),
        }
    }

    /// Variance of each coordinate.
    #[must_use]
    pub fn variances(&self) -> Array1<f64> {
        match self {
            Self::Diagonal(scales) => scales.mapv(|scale| scale * scale),
            Self::Full(factor) => factor.lower().rows().into_iter().map(|row| row.dot(&row)).collect(),
        }
    }
}

/// A normalised mixture Σₖ wₖ N(μₖ, LₖLₖᵀ).
#[derive(Clone, Debug)]
pub struct Components {
    parts: Vec<Component>,
    /// log wₖ − log |Lₖ| − ½ d log 2π.
    offsets: Vec<f64>,
}

impl Components {
    /// The mixture of these; weights are divided by their sum.
    ///
    /// # Panics
    /// Without a component.
    #[must_use]
    pub fn new(mut parts: Vec<Component>) -> Self {
        assert!(!parts.is_empty(), "a mixture has components");
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        for part in &mut parts {
            part.weight /= total;
        }
        let offset = |part: &Component| {
            part.weight.ln() - part.spread.log_volume() - 0.5 * part.mean.len() as f64 * (2.0 * PI).ln()
        };
        let offsets = parts.iter().map(offset).collect();
        Self { parts, offsets }
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &[Component] {
        &self.parts
    }

    /// log wₖ N(x; μₖ, LₖLₖᵀ) of every component.
    pub fn log_terms(&self, state: ArrayView1<'_, f64>, out: &mut Vec<f64>) {
        out.clear();
        for (part, offset) in self.parts.iter().zip(&self.offsets) {
            let mut away = &state - &part.mean;
            part.spread.whiten(&mut away);
            out.push(offset - 0.5 * away.dot(&away));
        }
    }

    /// log of the density at each row.
    #[must_use]
    pub fn log_densities(&self, states: &Array2<f64>) -> Array1<f64> {
        let mut terms = Vec::with_capacity(self.parts.len());
        states
            .rows()
            .into_iter()
            .map(|state| {
                self.log_terms(state, &mut terms);
                log_sum_exp(&terms)
            })
            .collect()
    }

    /// ∇(−log f) = Σₖ rₖ Σₖ⁻¹ (x − μₖ) at each row, r the components' shares.
    #[must_use]
    pub fn gradients(&self, states: &Array2<f64>) -> Array2<f64> {
        let mut gradients = Array2::zeros(states.dim());
        let mut terms = Vec::with_capacity(self.parts.len());
        for (state, mut gradient) in states.rows().into_iter().zip(gradients.rows_mut()) {
            self.log_terms(state, &mut terms);
            let sum = log_sum_exp(&terms);
            for (part, term) in self.parts.iter().zip(&terms) {
                let share = (term - sum).exp();
                // Most are nowhere near; what is below rounding of the largest adds nothing.
                if share < 1e-17 {
                    continue;
                }
                let mut away = &state - &part.mean;
                part.spread.whiten(&mut away);
                part.spread.whiten_gradient(&mut away);
                gradient.scaled_add(share, &away);
            }
        }
        gradients
    }

    /// Exact draws, as rows.
    #[must_use]
    pub fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let mut draws = Array2::zeros((count, self.parts[0].mean.len()));
        for mut row in draws.rows_mut() {
            let mut left: f64 = generator.random();
            let chosen = self.parts.iter().position(|part| {
                left -= part.weight;
                left < 0.0
            });
            let part = &self.parts[chosen.unwrap_or(self.parts.len() - 1)];
            let mut noise =
                Array1::from_shape_simple_fn(part.mean.len(), || generator.sample(StandardNormal));
            part.spread.colour(&mut noise);
            row.assign(&(noise + &part.mean));
        }
        draws
    }
}
