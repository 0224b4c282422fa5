//! The means that the gradient of an RBM's log-likelihood is the difference of.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::{Error, Result};
use crate::models::{Model, Rbm};

/// ⟨−∂E/∂W⟩ = ⟨v σ(a)ᵀ⟩, ⟨−∂E/∂b⟩ = ⟨v⟩ and ⟨−∂E/∂c⟩ = ⟨σ(a)⟩ with a = c + vW, for the machine of bits that an RBM equals.
///
/// The gradient of the mean log-likelihood is [`Moments::of`] the data less that of the model (Ackley, Hinton & Sejnowski 1985,
/// doi:10.1207/s15516709cog0901_7, with the hidden units' mean taken exactly).
///
/// ```
/// use ndarray::array;
/// use lnz::models::{Rbm, rbm::Units};
/// use lnz::training::Moments;
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
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
