//! The means that the gradient of an RBM's log-likelihood is the difference of.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::math::{log_sum_exp, products, simd};
use crate::models::rbm::softplus;
use crate::models::{GaussianRbm, Model, Rbm};

/// Most units of the smaller side that are summed over, and states of them that are worked on together.
const MOST_BITS: usize = 20;
const BATCH: usize = 256;
/// Batches to a round.
const TOGETHER: usize = 64;
/// Most units of that side whose sums are taken in double precision: a gradient of 784×20 units takes five times as long in it.
const MOST_DOUBLE: usize = 14;

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
    /// ⟨v²⟩ of Gaussian units; empty for bits.
    pub squares: Array1<f64>,
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
        let bits = rbm.to_bits(states);
        let activations = bits.dot(rbm.weights()) + rbm.hidden_bias();
        Self::weighted(bits.view(), activations, probabilities)
    }

    /// The same for real visible units, v and not (v − b)/σ, with ⟨v²⟩.
    ///
    /// In natural parameters, W̃, η = b/σ², c and λ = 1/σ², a log-likelihood's gradient is the difference of the first three means, and
    /// −½ times that of `squares`.
    ///
    /// # Errors
    /// As [`Moments::of`].
    pub fn of_gaussian(
        rbm: &GaussianRbm,
        states: ArrayView2<'_, f64>,
        probabilities: Option<ArrayView1<'_, f64>>,
    ) -> Result<Self> {
        rbm.space().check(states)?;
        let activations = states.dot(rbm.scaled_weights()) + rbm.hidden_bias();
        let means = Self::weighted(states, activations, probabilities)?;
        let shares = shares(states.nrows(), probabilities)?;
        Ok(Self { squares: states.mapv(|v| v * v).t().dot(&shares), ..means })
    }

    fn weighted(
        states: ArrayView2<'_, f64>,
        mut hidden: Array2<f64>,
        probabilities: Option<ArrayView1<'_, f64>>,
    ) -> Result<Self> {
        let shares = shares(states.nrows(), probabilities)?;
        hidden.mapv_inplace(sigmoid);
        let visible = states.t().dot(&shares);
        let mean_hidden = hidden.t().dot(&shares);
        hidden *= &shares.insert_axis(Axis(1));
        Ok(Self { weights: states.t().dot(&hidden), visible, hidden: mean_hidden, squares: Array1::zeros(0) })
    }

    /// Means under the machine itself, by summation over all states of its smaller side, and log Z of the machine of bits (without
    /// its [offset](Rbm::offset)). From 15 units on that side, single precision leaves errors of up to 10⁻⁵ in them.
    ///
    /// # Errors
    /// [`Error::Setting`] where that side has more than 20 units.
    pub fn of_model(rbm: &Rbm) -> Result<(Self, f64)> {
        check_units(rbm.visible().min(rbm.hidden()))?;
        if rbm.hidden() <= rbm.visible() {
            return Ok(Self::of_bits(rbm));
        }
        let (means, log_z) = Self::of_bits(&rbm.transposed());
        let Self { weights, visible, hidden, squares } = means;
        Ok((Self { weights: weights.reversed_axes(), visible: hidden, hidden: visible, squares }, log_z))
    }

    /// Means under the machine itself, by summation over all states of its hidden units, and its log Z.
    ///
    /// # Errors
    /// [`Error::Setting`] for more than 20 hidden units.
    pub fn of_gaussian_model(rbm: &GaussianRbm) -> Result<(Self, f64)> {
        check_units(rbm.hidden())?;
        let variance = rbm.sigma().mapv(|sigma| sigma * sigma);
        let constant = variance.mapv(|v| 0.5 * (2.0 * PI * v).ln()).sum();
        Ok(Self::by_hidden(rbm.visible(), rbm.hidden(), &|hidden| {
            // Πᵢ ∫ exp(−(v − b)²/2σ² + v a) dv = Πᵢ √(2π) σ exp(b a + σ²a²/2), a = W̃h, and v is normal with mean b + σ²a.
            let pull = hidden.dot(&rbm.scaled_weights().t());
            let mut visible = &pull * &variance;
            let log_weights = hidden.dot(rbm.hidden_bias())
                + pull.dot(rbm.visible_bias())
                + (&pull * &visible * 0.5).sum_axis(Axis(1))
                + constant;
            visible += rbm.visible_bias();
            let squares = visible.mapv(|mean| mean * mean) + &variance;
            Given { log_weights: log_weights.to_vec(), visible, squares }
        }))
    }

    /// p(h) ∝ exp(c·h) Πᵢ (1 + exp(bᵢ + (Wh)ᵢ)).
    fn of_bits(rbm: &Rbm) -> (Self, f64) {
        if rbm.hidden() > MOST_DOUBLE { Self::of_bits_single(rbm) } else { Self::of_bits_double(rbm) }
    }

    fn of_bits_double(rbm: &Rbm) -> (Self, f64) {
        Self::by_hidden(rbm.visible(), rbm.hidden(), &|hidden| {
            let mut visible = hidden.dot(&rbm.weights().t()) + rbm.visible_bias();
            let of_rows = visible.rows().into_iter().zip(hidden.dot(rbm.hidden_bias()));
            let log_weights =
                of_rows.map(|(row, bias)| bias + row.iter().map(|&x| softplus(x)).sum::<f64>()).collect();
            visible.mapv_inplace(sigmoid);
            Given { log_weights, visible, squares: Array2::zeros((hidden.nrows(), 0)) }
        })
    }

    /// The same in single precision but for sums over states.
    fn of_bits_single(rbm: &Rbm) -> (Self, f64) {
        let (units, hidden) = rbm.weights().dim();
        let weights = rbm.weights().t().mapv(|w| w as f32);
        let bias: Vec<f32> = rbm.visible_bias().iter().map(|&b| b as f32).collect();
        Self::summed(units, hidden, 0, &|first, rows| {
            let on = |row: usize, unit: usize| (first + row) >> unit & 1 == 1;
            let states =
                Array2::from_shape_fn((rows, hidden), |(row, unit)| f32::from(u8::from(on(row, unit))));
            let mut visible = Array2::zeros((rows, units));
            products::multiply(states.view(), weights.view(), visible.view_mut());
            let log_weights: Vec<f64> = visible
                .rows_mut()
                .into_iter()
                .enumerate()
                .map(|(row, mut inputs)| {
                    let inputs = inputs.as_slice_mut().expect("rows of a whole array are contiguous");
                    inputs.iter_mut().zip(&bias).for_each(|(x, b)| *x += b);
                    let log_sum = simd::sum_softplus(1.0, inputs);
                    simd::sigmoid_all(inputs);
                    let units = (0..hidden).filter(|&unit| on(row, unit));
                    units.map(|unit| rbm.hidden_bias()[unit]).sum::<f64>() + log_sum
                })
                .collect();
            let log_sum = log_sum_exp(&log_weights);
            let shares: Array1<f32> =
                log_weights.iter().map(|weight| (weight - log_sum).exp() as f32).collect();
            let weighted = &states * &shares.view().insert_axis(Axis(1));
            let mut means = Array2::zeros((units, hidden));
            products::multiply(visible.t(), weighted.view(), means.view_mut());
            let means = Self {
                weights: means.mapv(f64::from),
                visible: visible.t().dot(&shares).mapv(f64::from),
                hidden: weighted.sum_axis(Axis(0)).mapv(f64::from),
                squares: Array1::zeros(0),
            };
            (means, log_sum)
        })
    }

    /// ⟨·⟩ = Σₕ p(h) ⟨·⟩ given h.
    fn by_hidden(
        visible: usize,
        hidden: usize,
        given: &(dyn Fn(&Array2<f64>) -> Given + Sync),
    ) -> (Self, f64) {
        let squares = given(&Array2::zeros((1, hidden))).squares.ncols();
        Self::summed(visible, hidden, squares, &|first, rows| {
            let states = Array2::from_shape_fn((rows, hidden), |(row, unit)| {
                f64::from(u8::from((first + row) >> unit & 1 == 1))
            });
            let Given { log_weights, visible, squares } = given(&states);
            let log_sum = log_sum_exp(&log_weights);
            let shares: Array1<f64> = log_weights.iter().map(|weight| (weight - log_sum).exp()).collect();
            let weighted = &states * &shares.view().insert_axis(Axis(1));
            let means = Self {
                weights: visible.t().dot(&weighted),
                visible: visible.t().dot(&shares),
                hidden: weighted.sum_axis(Axis(0)),
                squares: squares.t().dot(&shares),
            };
            (means, log_sum)
        })
    }

    /// Means over all states of the hidden units from those `of` a batch of them, which come with the log of the sum of its weights.
    fn summed(
        visible: usize,
        hidden: usize,
        squares: usize,
        of: &(dyn Fn(usize, usize) -> (Self, f64) + Sync),
    ) -> (Self, f64) {
        let count = 1usize << hidden;
        let firsts: Vec<usize> = (0..count).step_by(BATCH).collect();
        // A share of the batches at a time: the means of each take as much room as W.
        let mut total = Self {
            weights: Array2::zeros((visible, hidden)),
            visible: Array1::zeros(visible),
            hidden: Array1::zeros(hidden),
            squares: Array1::zeros(squares),
        };
        let mut log_z = f64::NEG_INFINITY;
        for firsts in firsts.chunks(TOGETHER) {
            let parts: Vec<(Self, f64)> =
                firsts.par_iter().map(|&first| of(first, BATCH.min(count - first))).collect();
            for (part, log_sum) in &parts {
                let both = log_sum_exp(&[log_z, *log_sum]);
                let (kept, share) = ((log_z - both).exp(), (log_sum - both).exp());
                let pairs = [
                    (&mut total.visible, &part.visible),
                    (&mut total.hidden, &part.hidden),
                    (&mut total.squares, &part.squares),
                ];
                total.weights.zip_mut_with(&part.weights, |sum, mean| *sum = kept * *sum + share * mean);
                for (sums, means) in pairs {
                    sums.zip_mut_with(means, |sum, mean| *sum = kept * *sum + share * mean);
                }
                log_z = both;
            }
        }
        (total, log_z)
    }
}

/// Visible units given rows of hidden states: the logarithm of what they add up to, their means and the means of their squares.
struct Given {
    log_weights: Vec<f64>,
    visible: Array2<f64>,
    squares: Array2<f64>,
}

fn shares(rows: usize, probabilities: Option<ArrayView1<'_, f64>>) -> Result<Array1<f64>> {
    if rows == 0 {
        return Err(Error::data("there are no rows to take means over; at least one is needed"));
    }
    match probabilities {
        Some(given) if given.len() != rows => {
            Err(Error::data(format!("{} probabilities for {rows} rows", given.len())))
        }
        Some(given) => Ok(given.to_owned()),
        None => Ok(Array1::from_elem(rows, 1.0 / rows as f64)),
    }
}

fn check_units(units: usize) -> Result<()> {
    if units <= MOST_BITS {
        return Ok(());
    }
    Err(Error::setting(
        "--negative",
        "exact",
        format!(
            "sums over 2^{units} states are too many for a gradient; a side of up to {MOST_BITS} units can be summed"
        ),
    ))
}

impl std::ops::Sub for &Moments {
    type Output = Moments;

    fn sub(self, other: &Moments) -> Moments {
        Moments {
            weights: &self.weights - &other.weights,
            visible: &self.visible - &other.visible,
            hidden: &self.hidden - &other.hidden,
            squares: &self.squares - &other.squares,
        }
    }
}

/// 1 / (1 + e⁻ˣ).
pub(in crate::training) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use crate::models::Units;
    use rand::RngExt;

    /// As many visible units as images have, and inputs of up to 20.
    #[test]
    fn single_precision_is_enough_for_a_gradient() {
        let mut generator = Stream::new(2).generator();
        let mut uniform = |scale: f64| scale * generator.random_range(-1.0..1.0);
        let weights = Array2::from_shape_simple_fn((784, 10), || uniform(4.0));
        let visible_bias = Array1::from_shape_simple_fn(784, || uniform(3.0) - 3.0);
        let hidden_bias = Array1::from_shape_simple_fn(10, || uniform(30.0));
        let rbm = Rbm::new(weights, visible_bias, hidden_bias, Units::Bits).expect("finite");
        let (double, log_z) = Moments::of_bits_double(&rbm);
        let (single, rough) = Moments::of_bits_single(&rbm);
        let difference = &single - &double;
        let all = difference.weights.iter().chain(&difference.visible).chain(&difference.hidden);
        let largest = all.fold(0.0f64, |largest, d| largest.max(d.abs()));
        assert!(largest < 1e-5, "{largest}");
        assert!((rough - log_z).abs() < 1e-3, "{rough} for {log_z}");
    }
}
