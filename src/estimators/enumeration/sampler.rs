//! Independent exact draws from models small enough to enumerate.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::states::States;
use super::{Sum, hidden_of, quadratic_of};
use crate::error::Result;
use crate::math::log_sum_exp;
use crate::math::random::Generator;
use crate::models::{GaussianRbm, Model, Rbm, Sampler, downcast};

/// At most 2²⁰ configurations are tabulated, in 16 MiB while the table is made (24 for other finite models) and 8 MiB after.
pub const MOST_SAMPLED_BITS: usize = 20;

/// Draws exactly from a model's distribution through the table of all probabilities of its smaller side or its states.
///
/// ```
/// use std::sync::Arc;
/// use lnz::estimators::enumeration::exact_sampler;
/// use lnz::math::Stream;
/// use lnz::models::{Ising, Lattice, Model, Sampler};
/// let model: Arc<dyn Model> = Arc::new(Ising::new(Lattice::Ring { sites: 4 }, 0.5, 0.1)?);
/// let sampler = exact_sampler(&model)?.expect("16 states are few");
/// assert_eq!(sampler.sample(10, &mut Stream::new(1).generator()).dim(), (10, 4));
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Debug)]
pub struct ExactSampler {
    kind: Kind,
    /// Σ of the probabilities of configurations 0..=i, up to a factor.
    cumulative: Vec<f64>,
}

#[derive(Debug)]
enum Kind {
    /// Bits of the hidden side are drawn from the table, the visible ones given them.
    Hidden(Arc<Rbm>),
    Visible(Arc<Rbm>),
    /// The same with Gaussian visible units.
    Gaussian(Arc<GaussianRbm>),
    States(States),
}

/// A sampler for `model`; `None` unless it has at most 2²⁰ states or is an RBM with a side of at most 20 binary units.
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) for an energy of NaN or −∞, [`Error::NotNormalisable`](crate::Error::NotNormalisable)
/// where every state has E = +∞.
pub fn exact_sampler(model: &Arc<dyn Model>) -> Result<Option<ExactSampler>> {
    let (kind, log_weights) = if let Some(rbm) = downcast::<Rbm>(model) {
        if rbm.visible().min(rbm.hidden()) > MOST_SAMPLED_BITS {
            return Ok(None);
        }
        let bits = rbm.visible().min(rbm.hidden());
        let log_weights = Sum::of_rbm(&rbm, bits).log_weights()?;
        (if rbm.hidden() <= rbm.visible() { Kind::Hidden(rbm) } else { Kind::Visible(rbm) }, log_weights)
    } else if let Some(rbm) = downcast::<GaussianRbm>(model) {
        if rbm.hidden() > MOST_SAMPLED_BITS {
            return Ok(None);
        }
        let log_weights = hidden_of(&rbm).log_weights();
        (Kind::Gaussian(rbm), log_weights)
    } else {
        let Some(states) = States::of(model).filter(|states| states.count() <= 1 << MOST_SAMPLED_BITS) else {
            return Ok(None);
        };
        let log_weights = match quadratic_of(model)? {
            Some((quadratic, _)) => quadratic.log_weights(),
            None => states.log_weights()?,
        };
        (Kind::States(states), log_weights)
    };
    let log_sum = crate::estimators::usable(model, log_sum_exp(&log_weights))?;
    let mut total = 0.0;
    let cumulative = log_weights
        .iter()
        .map(|log| {
            total += (log - log_sum).exp();
            total
        })
        .collect();
    Ok(Some(ExactSampler { kind, cumulative }))
}

impl ExactSampler {
    fn draw(&self, generator: &mut Generator) -> u64 {
        let total = *self.cumulative.last().expect("a space has at least one state");
        let level = generator.random::<f64>() * total;
        // The first entry above the level, so that a state of probability 0 is never drawn.
        self.cumulative.partition_point(|sum| *sum <= level).min(self.cumulative.len() - 1) as u64
    }
}

impl Sampler for ExactSampler {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let rbm = match &self.kind {
            Kind::States(states) => {
                let numbers: Vec<u64> = (0..count).map(|_| self.draw(generator)).collect();
                return states.rows(numbers.into_iter());
            }
            Kind::Gaussian(rbm) => {
                let mut states = Array2::zeros((count, rbm.visible()));
                for mut row in states.rows_mut() {
                    let hidden = self.draw(generator);
                    for (unit, x) in row.iter_mut().enumerate() {
                        let sigma = rbm.sigma()[unit];
                        let mean = rbm.visible_bias()[unit]
                            + sigma * sigma * subset(rbm.scaled_weights().row(unit), hidden);
                        *x = mean + sigma * generator.sample::<f64, _>(StandardNormal);
                    }
                }
                return states;
            }
            Kind::Hidden(rbm) | Kind::Visible(rbm) => rbm,
        };
        let mut bits = Array2::zeros((count, rbm.visible()));
        for mut row in bits.rows_mut() {
            let number = self.draw(generator);
            for (unit, x) in row.iter_mut().enumerate() {
                let is_on = if matches!(self.kind, Kind::Visible(_)) {
                    number >> unit & 1 == 1
                } else {
                    let logit = rbm.visible_bias()[unit] + subset(rbm.weights().row(unit), number);
                    generator.random::<f64>() * (1.0 + (-logit).exp()) < 1.0
                };
                *x = f64::from(u8::from(is_on));
            }
        }
        rbm.from_bits(bits)
    }
}

/// Σ of the terms whose bit is set in `number`.
fn subset(terms: ArrayView1<'_, f64>, number: u64) -> f64 {
    terms.iter().enumerate().map(|(bit, term)| if number >> bit & 1 == 1 { *term } else { 0.0 }).sum()
}
