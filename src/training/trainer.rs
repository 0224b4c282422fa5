//! The state of a training run by persistent contrastive divergence, and its two moves: sweep the chains, climb the gradient.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rand::RngExt;
use rayon::prelude::*;

use super::Pcd;
use super::moments::sigmoid;
use crate::error::Result;
use crate::math::simd::{self, Lanes};
use crate::math::{Stream, products};
use crate::models::Rbm;
use crate::models::rbm::Units;

/// Rows of data or chains to a task, and visible units to a task of the update. Fixed, so that a machine does not depend on
/// the number of threads that trained it.
const BLOCK: usize = 64;
/// The share of the last batch in the running mean of the hidden units that gradients are centred on.
const RENEWAL: f32 = 0.01;

/// Rows of one batch or of the chains, with what the update needs of them.
struct Block {
    visible: Array2<f32>,
    /// σ(c + vW).
    hidden: Array2<f32>,
    visible_sum: Vec<f32>,
    hidden_sum: Vec<f32>,
}

impl Block {
    fn new(rows: usize, visible: usize, hidden: usize) -> Self {
        Self {
            visible: Array2::zeros((rows, visible)),
            hidden: Array2::zeros((rows, hidden)),
            visible_sum: Vec::new(),
            hidden_sum: Vec::new(),
        }
    }

    /// c is added and probabilities taken where `hidden` holds vW.
    fn finish(&mut self, bias: &[f32]) {
        for row in flat_mut(&mut self.hidden).chunks_mut(bias.len()) {
            simd::dispatch(
                #[inline(always)]
                || {
                    for (a, c) in row.iter_mut().zip(bias) {
                        *a = simd::sigmoid(*a + c);
                    }
                },
            );
        }
        self.visible_sum = self.visible.sum_axis(Axis(0)).to_vec();
        self.hidden_sum = self.hidden.sum_axis(Axis(0)).to_vec();
    }
}

/// Chains are held as hidden bits between updates: those were drawn from the product that the last gradient needed anyway.
struct Chains {
    block: Block,
    bits: Array2<f32>,
    /// hWᵀ.
    input: Array2<f32>,
    lanes: Lanes,
}

impl Chains {
    fn sweep(&mut self, steps: usize, machine: &Machine) {
        for step in 0..steps {
            products::multiply(self.bits.view(), machine.weights.t(), self.input.view_mut());
            draw(&mut self.lanes, &self.input, &machine.visible_bias, &mut self.block.visible);
            products::multiply(
                self.block.visible.view(),
                machine.weights.view(),
                self.block.hidden.view_mut(),
            );
            draw(&mut self.lanes, &self.block.hidden, &machine.hidden_bias, &mut self.bits);
            if step + 1 == steps {
                self.block.finish(&machine.hidden_bias);
            }
        }
    }
}

fn draw(lanes: &mut Lanes, input: &Array2<f32>, bias: &[f32], bits: &mut Array2<f32>) {
    for (row, out) in flat(input).chunks(bias.len()).zip(flat_mut(bits).chunks_mut(bias.len())) {
        simd::draw_bits(lanes, 1.0, row, bias, out);
    }
}

struct Machine {
    weights: Array2<f32>,
    visible_bias: Vec<f32>,
    hidden_bias: Vec<f32>,
}

pub(super) struct Trainer {
    machine: Machine,
    batch: Vec<Block>,
    chains: Vec<Chains>,
    /// μ and λ.
    visible_centre: Vec<f32>,
    hidden_centre: Vec<f32>,
}

impl Trainer {
    pub(super) fn new(start: &Rbm, data: ArrayView2<'_, f64>, settings: &Pcd, stream: Stream) -> Self {
        let (visible, hidden) = start.weights().dim();
        let single = |values: &Array1<f64>| values.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let machine = Machine {
            weights: start.weights().mapv(|w| w as f32),
            visible_bias: single(start.visible_bias()),
            hidden_bias: single(start.hidden_bias()),
        };
        let chains = (0..settings.chains.div_ceil(BLOCK))
            .map(|i| {
                let rows = BLOCK.min(settings.chains - i * BLOCK);
                let stream = stream.child(i as u64);
                let mut generator = stream.generator();
                let mut block = Block::new(rows, visible, hidden);
                for mut row in block.visible.rows_mut() {
                    let pick = data.row(generator.random_range(0..data.nrows()));
                    row.zip_mut_with(&pick, |x, &bit| *x = bit as f32);
                }
                let (mut bits, mut lanes) = (Array2::zeros((rows, hidden)), stream.lanes());
                products::multiply(block.visible.view(), machine.weights.view(), block.hidden.view_mut());
                draw(&mut lanes, &block.hidden, &machine.hidden_bias, &mut bits);
                Chains { block, bits, input: Array2::zeros((rows, visible)), lanes }
            })
            .collect();
        let means = data.sum_axis(Axis(0)) / data.nrows() as f64;
        Self {
            hidden_centre: machine.hidden_bias.iter().map(|&c| sigmoid(f64::from(c)) as f32).collect(),
            machine,
            batch: Vec::new(),
            chains,
            visible_centre: single(&means),
        }
    }

    /// The rows of a batch, in blocks.
    pub(super) fn gather(&mut self, data: ArrayView2<'_, f64>, batch: &[usize]) {
        let (visible, hidden) = self.machine.weights.dim();
        self.batch.resize_with(batch.len().div_ceil(BLOCK), || Block::new(0, visible, hidden));
        for (block, rows) in self.batch.iter_mut().zip(batch.chunks(BLOCK)) {
            if block.visible.nrows() != rows.len() {
                *block = Block::new(rows.len(), visible, hidden);
            }
            for (mut row, &pick) in block.visible.rows_mut().into_iter().zip(rows) {
                row.zip_mut_with(&data.row(pick), |x, &bit| *x = bit as f32);
            }
        }
    }

    /// Hidden probabilities of the batch, and sweeps of the chains.
    pub(super) fn sweep(&mut self, steps: usize) {
        let Self { machine, batch, chains, .. } = self;
        rayon::join(
            || chains.par_iter_mut().for_each(|chains| chains.sweep(steps, machine)),
            || {
                batch.par_iter_mut().for_each(|block| {
                    products::multiply(block.visible.view(), machine.weights.view(), block.hidden.view_mut());
                    block.finish(&machine.hidden_bias);
                });
            },
        );
    }

    /// One step along the centred gradient.
    pub(super) fn climb(&mut self, learning_rate: f32, weight_decay: f32) {
        let batch_rows: usize = self.batch.iter().map(|block| block.visible.nrows()).sum();
        let chain_rows: usize = self.chains.iter().map(|chains| chains.bits.nrows()).sum();
        let from_data = self.batch.iter().map(|block| (1.0 / batch_rows as f32, block));
        let from_chains = self.chains.iter().map(|chains| (-1.0 / chain_rows as f32, &chains.block));

        let mut hidden_mean = vec![0.0; self.hidden_centre.len()];
        from_data.clone().for_each(|(scale, block)| add_scaled(scale, &block.hidden_sum, &mut hidden_mean));
        for (centre, mean) in self.hidden_centre.iter_mut().zip(&hidden_mean) {
            *centre += RENEWAL * (mean - *centre);
        }

        let blocks: Vec<(f32, &Block)> = from_data.chain(from_chains).collect();
        let mut visible_slope = vec![0.0; self.visible_centre.len()];
        let mut hidden_slope = vec![0.0; self.hidden_centre.len()];
        for (scale, block) in &blocks {
            add_scaled(*scale, &block.visible_sum, &mut visible_slope);
            add_scaled(*scale, &block.hidden_sum, &mut hidden_slope);
        }
        let slope = Slope {
            blocks,
            hidden: &hidden_slope,
            visible_centre: &self.visible_centre,
            hidden_centre: &self.hidden_centre,
        };
        let parts = self.machine.weights.axis_chunks_iter_mut(Axis(0), BLOCK).collect::<Vec<_>>();
        let passed_on: Vec<Vec<f32>> = parts
            .into_par_iter()
            .zip(self.machine.visible_bias.par_chunks_mut(BLOCK))
            .zip(visible_slope.par_chunks(BLOCK))
            .enumerate()
            .map(|(i, ((weights, bias), visible))| {
                slope.climb(i * BLOCK, weights, bias, visible, learning_rate, weight_decay)
            })
            .collect();
        for part in &passed_on {
            add_scaled(-1.0, part, &mut hidden_slope);
        }
        add_scaled(learning_rate, &hidden_slope, &mut self.machine.hidden_bias);
    }

    pub(super) fn model(&self) -> Result<Rbm> {
        let double = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect();
        Rbm::new(
            self.machine.weights.mapv(f64::from),
            double(&self.machine.visible_bias),
            double(&self.machine.hidden_bias),
            Units::Bits,
        )
    }

    /// The chains' visible states.
    pub(super) fn states(&self) -> Array2<f64> {
        let blocks: Vec<_> = self.chains.iter().map(|chains| chains.block.visible.view()).collect();
        let states = ndarray::concatenate(Axis(0), &blocks).expect("blocks of one machine have one width");
        states.mapv(f64::from)
    }
}

/// What the rows of ∇W share.
struct Slope<'a> {
    /// Rows of the batch with 1/rows, and of the chains with −1/chains.
    blocks: Vec<(f32, &'a Block)>,
    /// ⟨p⟩_d − ⟨p⟩_m.
    hidden: &'a [f32],
    /// μ and λ.
    visible_centre: &'a [f32],
    hidden_centre: &'a [f32],
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
        let mut gradient = Array2::zeros(weights.dim());
        for (scale, block) in &self.blocks {
            let columns = block.visible.slice(s![.., first..first + bias.len()]);
            products::multiply_add(*scale, columns.t(), block.hidden.view(), gradient.view_mut());
        }
        let mut passed_on = vec![0.0; self.hidden.len()];
        for (i, mut row) in weights.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("rows of a whole array are contiguous");
            let slope = gradient.row_mut(i).into_slice().expect("rows of a whole array are contiguous");
            let (x, centre) = (visible[i], self.visible_centre[first + i]);
            simd::dispatch(
                #[inline(always)]
                || {
                    for j in 0..row.len() {
                        slope[j] -= centre * self.hidden[j] + x * self.hidden_centre[j];
                        passed_on[j] += centre * slope[j];
                        row[j] += learning_rate * (slope[j] - weight_decay * row[j]);
                    }
                },
            );
            bias[i] += learning_rate * (x - simd::dot(slope, self.hidden_centre) as f32);
        }
        passed_on
    }
}

/// out += scale · values.
fn add_scaled(scale: f32, values: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out += scale * value);
}

fn flat(array: &Array2<f32>) -> &[f32] {
    array.as_slice().expect("a whole array is contiguous")
}

fn flat_mut(array: &mut Array2<f32>) -> &mut [f32] {
    array.as_slice_mut().expect("a whole array is contiguous")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Moments;

    /// Sizes that leave every kind of block incomplete, and parameters that are not small.
    fn trainer(data: &Array2<f64>) -> Trainer {
        let mut generator = Stream::new(3).generator();
        let mut uniform = || generator.random_range(-1.0..1.0);
        let weights = Array2::from_shape_simple_fn((70, 5), &mut uniform);
        let visible_bias = Array1::from_shape_simple_fn(70, &mut uniform);
        let hidden_bias = Array1::from_shape_simple_fn(5, &mut uniform);
        let start = Rbm::new(weights, visible_bias, hidden_bias, Units::Bits).expect("finite");
        let settings = Pcd { chains: 100, ..Pcd::default() };
        Trainer::new(&start, data.view(), &settings, Stream::new(4))
    }

    fn centred(rbm: &Rbm, states: &Array2<f64>, mu: &Array1<f64>, lambda: &Array1<f64>) -> Array2<f64> {
        let hidden = (states.dot(rbm.weights()) + rbm.hidden_bias()).mapv(sigmoid);
        (states - mu).t().dot(&(hidden - lambda)) / states.nrows() as f64
    }

    #[test]
    fn an_update_is_the_documented_formula() {
        let mut generator = Stream::new(5).generator();
        let data = Array2::from_shape_simple_fn((90, 70), || f64::from(u8::from(generator.random_bool(0.3))));
        let mut trainer = trainer(&data);
        trainer.gather(data.view(), &(0..90).collect::<Vec<_>>());
        trainer.sweep(2);
        let before = trainer.model().expect("finite");
        let chains = trainer.states();
        let (rate, decay) = (0.5, 0.1);
        trainer.climb(rate as f32, decay as f32);
        let after = trainer.model().expect("finite");

        let double = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Array1<f64>>();
        let (mu, lambda) = (double(&trainer.visible_centre), double(&trainer.hidden_centre));
        let of = |states: &Array2<f64>| Moments::of(&before, states.view(), None).expect("bits");
        let plain = &of(&data) - &of(&chains);
        let weights = centred(&before, &data, &mu, &lambda) - centred(&before, &chains, &mu, &lambda);
        let visible = &plain.visible - &weights.dot(&lambda);
        let hidden = &plain.hidden - &weights.t().dot(&mu);
        let decayed = &weights - &(decay * before.weights());
        let close = |x: &Array1<f64>, y: &Array1<f64>| (x - y).iter().all(|d| d.abs() < 1e-5);
        assert!((after.weights() - before.weights() - rate * decayed).iter().all(|d| d.abs() < 1e-5));
        assert!(close(&((after.visible_bias() - before.visible_bias()) / rate), &visible));
        assert!(close(&((after.hidden_bias() - before.hidden_bias()) / rate), &hidden));

        // Another metric, the same hill: the direction goes up, and strictly.
        let rise = (&weights * &plain.weights).sum()
            + (&visible * &plain.visible).sum()
            + (&hidden * &plain.hidden).sum();
        assert!(rise > 0.0, "{rise}");
    }

    #[test]
    fn batches_of_any_size_follow_each_other() {
        let data = Array2::from_shape_fn((130, 70), |(i, j)| f64::from(u8::from((i + j) % 3 == 0)));
        let mut trainer = trainer(&data);
        for rows in [130, 2, 65, 64] {
            trainer.gather(data.view(), &(0..rows).collect::<Vec<_>>());
            trainer.sweep(1);
            assert_eq!(trainer.batch.iter().map(|block| block.hidden.nrows()).sum::<usize>(), rows);
            assert_eq!(
                trainer.batch.last().expect("a block").visible.row(0)[0],
                data[[rows - 1 - (rows - 1) % 64, 0]] as f32
            );
        }
    }
}
