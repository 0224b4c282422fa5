//! Independent exact draws from models small enough to enumerate.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1};
use rand::RngExt;

use super::bipartite::Bipartite;
use super::quadratic_of;
use super::states::States;
use crate::error::Result;
use crate::math::log_sum_exp;
use crate::math::random::Generator;
use crate::models::{Model, Rbm, Sampler, downcast};

/// Most configurations whose probabilities are tabulated: 2²⁰, in 16 MiB while the table is made and 8 MiB after.
pub(super) const MOST_STATES: u64 = 1 << 20;

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
    States(States),
}

/// A sampler for `model`, if it is an RBM with a side of at most 20 units or has at most 2²⁰ states; `None` otherwise.
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) for an energy of NaN or −∞, [`Error::NotNormalisable`](crate::Error::NotNormalisable)
/// where every state has E = +∞.
pub fn exact_sampler(model: &Arc<dyn Model>) -> Result<Option<ExactSampler>> {
    let (kind, log_weights) = if let Some(rbm) = downcast::<Rbm>(model) {
        if 1u64.checked_shl(rbm.visible().min(rbm.hidden()) as u32).is_none_or(|count| count > MOST_STATES) {
            return Ok(None);
        }
        let (visible_bias, hidden_bias) = (rbm.visible_bias().view(), rbm.hidden_bias().view());
        if rbm.hidden() <= rbm.visible() {
            let machine = Bipartite::new(rbm.weights().t(), hidden_bias, visible_bias);
            (Kind::Hidden(Arc::clone(&rbm)), machine.log_weights())
        } else {
            let machine = Bipartite::new(rbm.weights().view(), visible_bias, hidden_bias);
            (Kind::Visible(Arc::clone(&rbm)), machine.log_weights())
        }
    } else {
        let Some(states) = States::of(model).filter(|states| states.count() <= MOST_STATES) else {
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
            Kind::Hidden(rbm) | Kind::Visible(rbm) => rbm,
        };
        let mut bits = Array2::zeros((count, rbm.visible()));
        for mut row in bits.rows_mut() {
            let number = self.draw(generator);
            let is_on = |bit: usize| number >> bit & 1 == 1;
            if matches!(self.kind, Kind::Visible(_)) {
                row.iter_mut().enumerate().for_each(|(bit, x)| *x = f64::from(u8::from(is_on(bit))));
                continue;
            }
            let hidden: Vec<usize> = (0..rbm.hidden()).filter(|&bit| is_on(bit)).collect();
            for (unit, x) in row.iter_mut().enumerate() {
                let weights: ArrayView1<'_, f64> = rbm.weights().row(unit);
                let logit = rbm.visible_bias()[unit] + hidden.iter().map(|&j| weights[j]).sum::<f64>();
                *x = f64::from(u8::from(generator.random::<f64>() * (1.0 + (-logit).exp()) < 1.0));
            }
        }
        rbm.from_bits(bits)
    }
}
