//! The machine that is trained, and its step along the gradient.

use ndarray::{Array1, Array2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::Moments;
use super::block::{BLOCK, Block};
use super::rows::Scale;
use crate::error::Result;
use crate::math::bits::BitMatrix;
use crate::math::{products, simd};
use crate::models::gaussian_rbm::Convention;
use crate::models::rbm::Units;
use crate::models::{GaussianRbm, Rbm};

/// The share of the last batch in the running mean of the hidden units that gradients are centred on.
const RENEWAL: f32 = 0.01;
/// The least precision: real data have variance 1, and units given others have no more.
const LEAST_PRECISION: f32 = 0.25;

/// A machine in single precision: log f(v, h) = b·v − ½ Σ λ v² + vᵀWh + c·h, λ where visible units are real.
pub(super) struct Machine {
    pub weights: Array2<f32>,
    /// Of these weights.
    pub tables: Tables,
    /// b; of real units λ times their mean given h = 0.
    pub visible_bias: Vec<f32>,
    pub hidden_bias: Vec<f32>,
    pub precision: Option<Precision>,
}

/// W as rows of bits are multiplied with it.
pub(super) struct Tables {
    /// From hidden to visible units.
    pub outward: BitMatrix<u32>,
    /// From visible to hidden units, where the former are bits.
    pub inward: Option<BitMatrix<u32>>,
}

impl Tables {
    fn of(weights: &Array2<f32>, bits: bool) -> Self {
        Self { outward: BitMatrix::new(weights.t()), inward: bits.then(|| BitMatrix::new(weights.view())) }
    }

    fn assign(&mut self, weights: &Array2<f32>) {
        self.outward.assign(weights.t());
        if let Some(inward) = &mut self.inward {
            inward.assign(weights.view());
        }
    }
}

/// λ, 1/variance of each visible unit given the hidden ones.
pub(super) struct Precision {
    pub values: Vec<f32>,
    /// What none may exceed.
    pub most: f32,
}

fn single(values: &Array1<f64>) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

fn double(values: &[f32]) -> Array1<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

impl Machine {
    pub(super) fn new(
        weights: Array2<f32>,
        visible_bias: Vec<f32>,
        hidden_bias: Vec<f32>,
        precision: Option<Precision>,
    ) -> Self {
        let tables = Tables::of(&weights, precision.is_none());
        Self { weights, tables, visible_bias, hidden_bias, precision }
    }

    pub(super) fn of_bits(rbm: &Rbm) -> Self {
        let weights = rbm.weights().mapv(|w| w as f32);
        Self::new(weights, single(rbm.visible_bias()), single(rbm.hidden_bias()), None)
    }

    /// `rbm` in the units of u = (v − mean) / spread, no unit of which shall have a standard deviation below `least`.
    pub(super) fn of_gaussian(rbm: &GaussianRbm, scale: &Scale, least: f64) -> Self {
        let Scale { mean, spread } = scale;
        let precision = (spread / rbm.sigma()).mapv(|ratio| ratio * ratio);
        let weights = rbm.scaled_weights() * &spread.view().insert_axis(Axis(1));
        Self::new(
            weights.mapv(|w| w as f32),
            single(&(&precision * &(rbm.visible_bias() - mean) / spread)),
            single(&(rbm.hidden_bias() + &mean.dot(rbm.scaled_weights()))),
            Some(Precision { values: single(&precision), most: least.powi(-2) as f32 }),
        )
    }

    /// The machine as a machine of bits, which it must be.
    ///
    /// # Errors
    /// Where a parameter is not finite.
    pub(super) fn bits(&self) -> Result<Rbm> {
        let weights = self.weights.mapv(f64::from);
        Rbm::new(weights, double(&self.visible_bias), double(&self.hidden_bias), Units::Bits)
    }

    /// The machine of these precisions in the units of the data, rounded as files are.
    ///
    /// # Errors
    /// Where a parameter is not finite.
    pub(super) fn gaussian(&self, precision: &Precision, scale: &Scale) -> Result<GaussianRbm> {
        let Scale { mean, spread } = scale;
        let precision = double(&precision.values);
        let scaled = self.weights.mapv(f64::from) / spread.view().insert_axis(Axis(1));
        let hidden_bias = double(&self.hidden_bias) - mean.dot(&scaled);
        let sigma = spread / &precision.mapv(f64::sqrt);
        let visible_bias = mean + &(spread * &double(&self.visible_bias) / &precision);
        let weights = scaled * &sigma.mapv(|s| s * s).insert_axis(Axis(1));
        let rounded = |values: Array1<f64>| values.mapv(|x| f64::from(x as f32));
        GaussianRbm::new(
            weights.mapv(|w| f64::from(w as f32)),
            rounded(visible_bias),
            rounded(hidden_bias),
            rounded(sigma),
            Convention::Cho,
        )
    }

    /// Means under the machine in its own units, summed over all states of the hidden units or of the smaller side.
    pub(super) fn moments(&self) -> Result<Moments> {
        match &self.precision {
            None => Ok(Moments::of_model(&self.bits()?)?.0),
            Some(precision) => {
                let unit = Scale::unit(self.visible_bias.len());
                Ok(Moments::of_gaussian_model(&self.gaussian(precision, &unit)?)?.0)
            }
        }
    }
}

/// What gradients are centred on.
pub(super) struct Centres {
    /// μ.
    pub visible: Vec<f32>,
    /// λ.
    pub hidden: Vec<f32>,
}

/// The means under the machine as blocks of chains, equally weighted, or summed up.
pub(super) enum Model<'a> {
    Chains(Vec<&'a Block>),
    Exact(&'a Moments),
}

impl Machine {
    /// One step along the centred gradient that `batch` and `model` differ by.
    pub(super) fn climb(
        &mut self,
        batch: &[Block],
        model: &Model<'_>,
        centres: &mut Centres,
        learning_rate: f32,
        weight_decay: f32,
    ) {
        let rows = |blocks: &mut dyn Iterator<Item = &Block>| {
            1.0 / blocks.map(|block| block.visible.nrows()).sum::<usize>() as f32
        };
        let scale = rows(&mut batch.iter());
        let mut blocks: Vec<(f32, &Block)> = batch.iter().map(|block| (scale, block)).collect();

        let mut hidden_mean = vec![0.0; centres.hidden.len()];
        for block in batch {
            add_scaled(scale, &block.hidden_sum, &mut hidden_mean);
        }
        for (centre, mean) in centres.hidden.iter_mut().zip(&hidden_mean) {
            *centre += RENEWAL * (mean - *centre);
        }

        let mut visible_slope = vec![0.0; centres.visible.len()];
        let mut hidden_slope = vec![0.0; centres.hidden.len()];
        let mut square_slope =
            vec![0.0; self.precision.as_ref().map_or(0, |precision| precision.values.len())];
        let mut exact = None;
        match model {
            Model::Chains(chains) => {
                let scale = -rows(&mut chains.iter().copied());
                blocks.extend(chains.iter().map(|&block| (scale, block)));
            }
            Model::Exact(moments) => {
                let off = |slope: &mut [f32], means: &Array1<f64>| {
                    slope.iter_mut().zip(means).for_each(|(slope, &mean)| *slope -= mean as f32);
                };
                off(&mut visible_slope, &moments.visible);
                off(&mut hidden_slope, &moments.hidden);
                off(&mut square_slope, &moments.squares);
                exact = Some(&moments.weights);
            }
        }
        for (scale, block) in &blocks {
            add_scaled(*scale, &block.visible_sum, &mut visible_slope);
            add_scaled(*scale, &block.hidden_sum, &mut hidden_slope);
            add_scaled(*scale, &block.square_sum, &mut square_slope);
        }
        if let Some(Precision { values, most }) = &mut self.precision {
            for (value, slope) in values.iter_mut().zip(&square_slope) {
                *value = (*value - 0.5 * learning_rate * slope).clamp(LEAST_PRECISION, *most);
            }
        }
        let slope = Slope { blocks, exact, hidden: &hidden_slope, centres };
        let parts = self.weights.axis_chunks_iter_mut(Axis(0), BLOCK).collect::<Vec<_>>();
        let passed_on: Vec<Vec<f32>> = parts
            .into_par_iter()
            .zip(self.visible_bias.par_chunks_mut(BLOCK))
            .zip(visible_slope.par_chunks(BLOCK))
            .enumerate()
            .map(|(i, ((weights, bias), visible))| {
                slope.climb(i * BLOCK, weights, bias, visible, learning_rate, weight_decay)
            })
            .collect();
        for part in &passed_on {
            add_scaled(-1.0, part, &mut hidden_slope);
        }
        add_scaled(learning_rate, &hidden_slope, &mut self.hidden_bias);
        self.tables.assign(&self.weights);
    }
}

/// What the rows of ∇W share.
struct Slope<'a> {
    /// Rows of the batch with 1/rows, and of the chains with −1/chains.
    blocks: Vec<(f32, &'a Block)>,
    /// ⟨v pᵀ⟩_m, where there are no chains.
    exact: Option<&'a Array2<f64>>,
    /// ⟨p⟩_d − ⟨p⟩_m.
    hidden: &'a [f32],
    centres: &'a Centres,
}

impl Slope<'_> {
    /// Moves the weights and biases of the visible units from `first` on; returns their share of ∇Wᵀ μ.
    ///
    /// Centring takes rank-one terms off the plain gradient: with x = ⟨v⟩_d − ⟨v⟩_m and y = ⟨p⟩_d − ⟨p⟩_m,
    /// ∇W = ⟨v pᵀ⟩_d − ⟨v pᵀ⟩_m − μ yᵀ − x λᵀ.
    fn climb(
        &self,
        first: usize,
        mut weights: ArrayViewMut2<'_, f32>,
        bias: &mut [f32],
        visible: &[f32],
        learning_rate: f32,
        weight_decay: f32,
    ) -> Vec<f32> {
        let mut gradient = match self.exact {
            Some(means) => means.slice(s![first..first + bias.len(), ..]).mapv(|mean| -mean as f32),
            None => Array2::zeros(weights.dim()),
        };
        for (scale, block) in &self.blocks {
            let columns = block.visible.slice(s![.., first..first + bias.len()]);
            products::multiply_add(*scale, columns.t(), block.hidden.view(), gradient.view_mut());
        }
        let mut passed_on = vec![0.0; self.hidden.len()];
        for (i, mut row) in weights.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("rows of a whole array are contiguous");
            let slope = gradient.row_mut(i).into_slice().expect("rows of a whole array are contiguous");
            let (x, centre) = (visible[i], self.centres.visible[first + i]);
            simd::dispatch(
                #[inline(always)]
                || {
                    for j in 0..row.len() {
                        slope[j] -= centre * self.hidden[j] + x * self.centres.hidden[j];
                        passed_on[j] += centre * slope[j];
                        row[j] += learning_rate * (slope[j] - weight_decay * row[j]);
                    }
                },
            );
            bias[i] += learning_rate * (x - simd::dot(slope, &self.centres.hidden) as f32);
        }
        passed_on
    }
}

/// out += scale · values.
fn add_scaled(scale: f32, values: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out += scale * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::math::Stream;
    use crate::training::rbm::learner::RbmLearner;
    use crate::training::rbm::moments::sigmoid;
    use crate::training::rbm::rows::Rows;
    use crate::training::rbm::{Moments, Settings, Visible};
    use crate::training::{Learner, Negative};
    use rand::RngExt;

    /// Sizes that leave every kind of block incomplete, and parameters that are not small.
    fn learner(data: &Array2<f64>, negative: Negative) -> RbmLearner<'_> {
        let mut generator = Stream::new(3).generator();
        let mut uniform = || generator.random_range(-1.0..1.0);
        let weights = Array2::from_shape_simple_fn((70, 5), &mut uniform);
        let visible_bias = Array1::from_shape_simple_fn(70, &mut uniform);
        let hidden_bias = Array1::from_shape_simple_fn(5, &mut uniform);
        let start = Rbm::new(weights, visible_bias, hidden_bias, Units::Bits).expect("finite");
        let mut settings = Settings { chains: 100, gibbs_steps: 2, negative, ..Settings::default() };
        settings.schedule.weight_decay = 0.1;
        let rows = Rows::new(data.view(), Visible::Bernoulli).expect("bits");
        RbmLearner::new(Machine::of_bits(&start), rows, &settings).expect("small enough")
    }

    fn centred(rbm: &Rbm, states: &Array2<f64>, mu: &Array1<f64>, lambda: &Array1<f64>) -> Array2<f64> {
        let hidden = (states.dot(rbm.weights()) + rbm.hidden_bias()).mapv(sigmoid);
        (states - mu).t().dot(&(hidden - lambda)) / states.nrows() as f64
    }

    #[test]
    fn an_update_is_the_documented_formula() {
        let mut generator = Stream::new(5).generator();
        let data = Array2::from_shape_simple_fn((90, 70), || f64::from(u8::from(generator.random_bool(0.3))));
        for (_, negative) in Negative::NAMES {
            let mut learner = learner(&data, negative);
            let before = learner.machine.bits().expect("finite");
            let rate = 0.5;
            learner.update(&(0..90).collect::<Vec<_>>(), rate).expect("updates");
            let after = learner.machine.bits().expect("finite");

            let double = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Array1<f64>>();
            let (mu, lambda) = (double(&learner.centres.visible), double(&learner.centres.hidden));
            let of = |states: &Array2<f64>| Moments::of(&before, states.view(), None).expect("bits");
            let (model, from_model) = if let Some(chains) = &learner.chains {
                let states = chains.states();
                assert_eq!(states.nrows(), if negative == Negative::Cd { 90 } else { 100 });
                (of(&states), centred(&before, &states, &mu, &lambda))
            } else {
                let (model, _) = Moments::of_model(&before).expect("few");
                let outer = |x: &Array1<f64>, y: &Array1<f64>| {
                    x.view().insert_axis(Axis(1)).dot(&y.view().insert_axis(Axis(0)))
                };
                let centred = &model.weights - &outer(&mu, &model.hidden) - outer(&model.visible, &lambda)
                    + outer(&mu, &lambda);
                (model, centred)
            };
            let plain = &of(&data) - &model;
            let weights = centred(&before, &data, &mu, &lambda) - from_model;
            let visible = &plain.visible - &weights.dot(&lambda);
            let hidden = &plain.hidden - &weights.t().dot(&mu);
            let decayed = &weights - &(0.1 * before.weights());
            let close = |x: &Array1<f64>, y: &Array1<f64>| (x - y).iter().all(|d| d.abs() < 1e-5);
            let moved = after.weights() - before.weights() - rate * decayed;
            assert!(moved.iter().all(|d| d.abs() < 1e-5), "{negative}");
            assert!(close(&((after.visible_bias() - before.visible_bias()) / rate), &visible), "{negative}");
            assert!(close(&((after.hidden_bias() - before.hidden_bias()) / rate), &hidden), "{negative}");

            // Another metric, the same hill: the direction goes up, and strictly.
            let rise = (&weights * &plain.weights).sum()
                + (&visible * &plain.visible).sum()
                + (&hidden * &plain.hidden).sum();
            assert!(rise > 0.0, "{rise}");
        }
    }

    #[test]
    fn batches_of_any_size_follow_each_other() {
        let data = Array2::from_shape_fn((130, 70), |(i, j)| f64::from(u8::from((i + j) % 3 == 0)));
        for negative in [Negative::Pcd, Negative::Cd] {
            let mut learner = learner(&data, negative);
            for rows in [130, 2, 65, 64] {
                learner.update(&(0..rows).collect::<Vec<_>>(), 0.01).expect("updates");
                assert_eq!(learner.batch.iter().map(|block| block.hidden.nrows()).sum::<usize>(), rows);
                let last = learner.batch.last().expect("a block").visible.row(0)[0];
                assert_eq!(last, data[[rows - 1 - (rows - 1) % 64, 0]] as f32);
            }
        }
    }
}
