//! The means that the gradient of an RBM's log-likelihood is the difference of.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::models::rbm::softplus;
use crate::models::{Model, Rbm};

/// Most units of the smaller side that are summed over, and states of them that are worked on together.
const MOST_BITS: usize = 20;
const BATCH: usize = 1024;

/// ⟨−∂E/∂W⟩ = ⟨v σ(a)ᵀ⟩, ⟨−∂E/∂b⟩ = ⟨v⟩ and ⟨−∂E/∂c⟩ = ⟨σ(a)⟩ with a = c + vW, for the machine of bits that an RBM equals.
///
/// The gradient of the mean log-likelihood is [`Moments::of`] the data less that of the model (Ackley, Hinton & Sejnowski 1985,
/// doi:10.1207/s15516709cog0901_7, with the hidden units' mean taken exactly).
///
/// ```
/// use ndarray::array;
/// use lnz::models::{Rbm, rbm::Units};
/// use lnz::training::rbm::Moments;
/// let rbm = Rbm::new(array![[0.0]], array![0.0], array![0.0], Units::Bits)?;
/// let data = Moments::of(&rbm, array![[1.0], [1.0]].view(), None)?;
/// let model = Moments::of(&rbm, array![[0.0], [1.0]].view(), None)?;
/// assert_eq!((&data - &model).visible, array![0.5]);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// ⟨v σ(a)ᵀ⟩, (visible, hidden).
    pub weights: Array2<f64>,
    /// ⟨v⟩.
    pub visible: Array1<f64>,
    /// ⟨σ(a)⟩.
    pub hidden: Array1<f64>,
}

impl Moments {
    /// Means over rows of states in the machine's own units, equally weighted or by `probabilities`, one per row, that sum to 1.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, rows outside the machine's space, or another number of probabilities.
    pub fn of(
        rbm: &Rbm,
        states: ArrayView2<'_, f64>,
        probabilities: Option<ArrayView1<'_, f64>>,
    ) -> Result<Self> {
        rbm.space().check(states)?;
        let rows = states.nrows();
        if rows == 0 {
            return Err(Error::data("there are no rows to take means over; at least one is needed"));
        }
        let probabilities = match probabilities {
            Some(given) if given.len() != rows => {
                return Err(Error::data(format!("{} probabilities for {rows} rows", given.len())));
            }
            Some(given) => given.to_owned(),
            None => Array1::from_elem(rows, 1.0 / rows as f64),
        };
        let bits = rbm.to_bits(states);
        let mut hidden = bits.dot(rbm.weights()) + rbm.hidden_bias();
        hidden.mapv_inplace(sigmoid);
        let visible = bits.t().dot(&probabilities);
        let mean_hidden = hidden.t().dot(&probabilities);
        for (mut row, &probability) in hidden.rows_mut().into_iter().zip(&probabilities) {
            row *= probability;
        }
        Ok(Self { weights: bits.t().dot(&hidden), visible, hidden: mean_hidden })
    }

    /// Means under the machine itself, by summation over all states of its smaller side, and log Z of the machine of bits (without
    /// its [offset](Rbm::offset)).
    ///
    /// # Errors
    /// [`Error::Setting`] where that side has more than 20 units.
    pub fn of_model(rbm: &Rbm) -> Result<(Self, f64)> {
        let few = rbm.visible().min(rbm.hidden());
        if few > MOST_BITS {
            return Err(Error::setting(
                "--negative",
                "exact",
                format!(
                    "sums over 2^{few} states are too many for a gradient; a side of up to {MOST_BITS} units can be summed"
                ),
            ));
        }
        if rbm.hidden() <= rbm.visible() {
            return Ok(Self::by_hidden(rbm));
        }
        let (Self { weights, visible, hidden }, log_z) = Self::by_hidden(&rbm.transposed());
        Ok((Self { weights: weights.reversed_axes(), visible: hidden, hidden: visible }, log_z))
    }

    /// ⟨·⟩ = Σₕ p(h) ⟨·⟩ given h, with p(h) ∝ exp(c·h) Πᵢ (1 + exp(bᵢ + (Wh)ᵢ)).
    fn by_hidden(rbm: &Rbm) -> (Self, f64) {
        let count = 1usize << rbm.hidden();
        let batches = (0..count).step_by(BATCH).collect::<Vec<_>>();
        let parts: Vec<(Self, f64)> = batches
            .into_par_iter()
            .map(|first| {
                let rows = BATCH.min(count - first);
                let hidden = Array2::from_shape_fn((rows, rbm.hidden()), |(row, unit)| {
                    f64::from(u8::from((first + row) >> unit & 1 == 1))
                });
                let mut visible = hidden.dot(&rbm.weights().t()) + rbm.visible_bias();
                let log_weights: Vec<f64> = visible
                    .rows()
                    .into_iter()
                    .zip(hidden.dot(rbm.hidden_bias()))
                    .map(|(row, bias)| bias + row.iter().map(|&x| softplus(x)).sum::<f64>())
                    .collect();
                let log_sum = log_sum_exp(&log_weights);
                visible.mapv_inplace(sigmoid);
                let shares: Array1<f64> = log_weights.iter().map(|weight| (weight - log_sum).exp()).collect();
                let weighted = &hidden * &shares.view().insert_axis(Axis(1));
                let means = Self {
                    weights: visible.t().dot(&weighted),
                    visible: visible.t().dot(&shares),
                    hidden: weighted.sum_axis(Axis(0)),
                };
                (means, log_sum)
            })
            .collect();
        let log_sums: Vec<f64> = parts.iter().map(|(_, log_sum)| *log_sum).collect();
        let log_z = log_sum_exp(&log_sums);
        let (visible, hidden) = rbm.weights().dim();
        let mut total = Self {
            weights: Array2::zeros((visible, hidden)),
            visible: Array1::zeros(visible),
            hidden: Array1::zeros(hidden),
        };
        for (part, log_sum) in &parts {
            let share = (log_sum - log_z).exp();
            total.weights.scaled_add(share, &part.weights);
            total.visible.scaled_add(share, &part.visible);
            total.hidden.scaled_add(share, &part.hidden);
        }
        (total, log_z)
    }
}

impl std::ops::Sub for &Moments {
    type Output = Moments;

    fn sub(self, other: &Moments) -> Moments {
        Moments {
            weights: &self.weights - &other.weights,
            visible: &self.visible - &other.visible,
            hidden: &self.hidden - &other.hidden,
        }
    }
}

/// 1 / (1 + e⁻ˣ).
pub(in crate::training) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
