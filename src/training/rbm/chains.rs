//! The chains that stand for a machine in its negative phase.

use ndarray::{Array2, ArrayD};
use rand::RngExt;
use rayon::prelude::*;

use super::machine::{BLOCK, Block, Machine, Precision, flat, flat_mut};
use super::rows::Rows;
use crate::math::simd::{self, Lanes};
use crate::math::{Stream, products};

/// Chains at β = 1, and at lower β where there is tempering: log f_β(v, h) = β (vᵀWh + c·h) + (1−β) b⁰·v + β b·v, with b⁰ the
/// log-odds of the data's means; for real units (1−β) (−½ Σ v²) + β (b·v − ½ Σ λ v²) in place of the last two.
pub(super) struct Chains {
    levels: Vec<Level>,
    /// Sweeps between two updates.
    steps: usize,
    /// b⁰.
    reference: Vec<f32>,
    /// What exchanges and restarts take chance from.
    stream: Stream,
    /// How many of them there were in this epoch.
    count: u64,
}

/// Chains of one β.
struct Level {
    beta: f32,
    blocks: Vec<Walkers>,
}

/// Chains are held as hidden bits between updates: those were drawn from the product that the last gradient needed anyway.
struct Walkers {
    block: Block,
    bits: Array2<f32>,
    /// hWᵀ.
    input: Array2<f32>,
    lanes: Lanes,
    /// ∂_β log f_β of each.
    slopes: Vec<f32>,
    /// Room for the noise of real units.
    noise: Vec<f64>,
}

impl Walkers {
    fn new(rows: usize, visible: usize, hidden: usize, stream: Stream) -> Self {
        Self {
            block: Block::new(rows, visible, hidden),
            bits: Array2::zeros((rows, hidden)),
            input: Array2::zeros((rows, visible)),
            lanes: stream.lanes(),
            slopes: vec![0.0; rows],
            noise: Vec::new(),
        }
    }

    fn sweep(&mut self, steps: usize, machine: &Machine, at: &Biases<'_>, tempered: bool) {
        for _ in 0..steps {
            products::multiply(self.bits.view(), machine.weights.t(), self.input.view_mut());
            match &at.normal {
                None => draw(&mut self.lanes, at.beta, &self.input, at.visible, &mut self.block.visible),
                Some(normal) => self.draw_normal(at, normal),
            }
            let (visible, hidden) = (self.block.visible.view(), self.block.hidden.view_mut());
            products::multiply(visible, machine.weights.view(), hidden);
            draw(&mut self.lanes, at.beta, &self.block.hidden, at.hidden, &mut self.bits);
        }
        if tempered {
            let rows = self.bits.rows().into_iter().zip(self.block.hidden.rows());
            for ((slope, (bits, inputs)), visible) in
                self.slopes.iter_mut().zip(rows).zip(self.block.visible.rows())
            {
                let hidden: f32 =
                    bits.iter().zip(inputs).zip(&machine.hidden_bias).map(|((h, a), c)| h * (a + c)).sum();
                let tilt: f32 = visible.iter().zip(at.tilt).map(|(v, t)| v * t).sum();
                let squares = at.normal.iter().flat_map(|normal| visible.iter().zip(&normal.tilt));
                *slope = hidden + tilt - 0.5 * squares.map(|(u, tilt)| u * u * tilt).sum::<f32>();
            }
        }
    }

    /// Visible units given their input: normal with mean (β · input + bias) / λ and variance 1/λ.
    fn draw_normal(&mut self, at: &Biases<'_>, normal: &Normal) {
        let units = at.visible.len();
        self.noise.resize(units, 0.0);
        let rows = flat(&self.input).chunks(units).zip(flat_mut(&mut self.block.visible).chunks_mut(units));
        for (input, out) in rows {
            simd::fill_normal(&mut self.lanes, &mut self.noise);
            for i in 0..units {
                let mean = (at.beta * input[i] + at.visible[i]) * normal.variance[i];
                out[i] = mean + normal.deviation[i] * self.noise[i] as f32;
            }
        }
    }

    /// Chain `row` and that of `other` change places.
    fn swap(&mut self, other: &mut Self, row: usize) {
        ndarray::azip!((x in self.bits.row_mut(row), y in other.bits.row_mut(row)) std::mem::swap(x, y));
        let (mine, theirs) = (&mut self.block, &mut other.block);
        ndarray::azip!((x in mine.visible.row_mut(row), y in theirs.visible.row_mut(row)) std::mem::swap(x, y));
        ndarray::azip!((x in mine.hidden.row_mut(row), y in theirs.hidden.row_mut(row)) std::mem::swap(x, y));
        std::mem::swap(&mut self.slopes[row], &mut other.slopes[row]);
    }
}

/// The biases of a level.
struct Biases<'a> {
    beta: f32,
    visible: &'a [f32],
    hidden: &'a [f32],
    /// b − b⁰.
    tilt: &'a [f32],
    /// Where units are real.
    normal: Option<Normal>,
}

/// What real units of a level have beside their biases.
struct Normal {
    /// 1/λ_β and its square root, λ_β = 1 − β + β λ.
    variance: Vec<f32>,
    deviation: Vec<f32>,
    /// λ − 1.
    tilt: Vec<f32>,
}

impl Normal {
    fn new(beta: f32, precision: &Precision) -> Self {
        let variance: Vec<f32> = precision.values.iter().map(|p| 1.0 / (1.0 - beta + beta * p)).collect();
        Self {
            deviation: variance.iter().map(|v| v.sqrt()).collect(),
            tilt: precision.values.iter().map(|p| p - 1.0).collect(),
            variance,
        }
    }
}

impl Chains {
    /// `count` chains at each β of `betas`, the first of which is 1, at rows of the data.
    pub(super) fn new(
        machine: &Machine,
        data: &Rows<'_>,
        count: usize,
        betas: &[f32],
        steps: usize,
        reference: Vec<f32>,
        stream: Stream,
    ) -> Self {
        let (visible, hidden) = machine.weights.dim();
        let levels = betas
            .iter()
            .zip(0u64..)
            .map(|(&beta, level)| {
                let blocks = (0..count.div_ceil(BLOCK))
                    .map(|i| {
                        let stream = stream.child(level).child(i as u64);
                        let rows = BLOCK.min(count - i * BLOCK);
                        let mut walkers = Walkers::new(rows, visible, hidden, stream);
                        let mut generator = stream.generator();
                        for row in walkers.block.visible.rows_mut() {
                            data.copy(generator.random_range(0..data.data.nrows()), row);
                        }
                        let Walkers { block, bits, lanes, .. } = &mut walkers;
                        products::multiply(
                            block.visible.view(),
                            machine.weights.view(),
                            block.hidden.view_mut(),
                        );
                        draw(lanes, beta, &block.hidden, &scaled(beta, &machine.hidden_bias), bits);
                        walkers
                    })
                    .collect();
                Level { beta, blocks }
            })
            .collect();
        Self { levels, steps, reference, stream, count: 0 }
    }

    /// Takes chance from `stream` from here on.
    pub(super) fn begin_epoch(&mut self, stream: Stream) {
        self.stream = stream.child(u64::MAX);
        self.count = 0;
        for (level, label) in self.levels.iter_mut().zip(0u64..) {
            for (walkers, i) in level.blocks.iter_mut().zip(0u64..) {
                walkers.lanes = stream.child(label).child(i).lanes();
            }
        }
    }

    /// Chains start anew at the hidden units of a batch, whose blocks hold their pre-activations.
    pub(super) fn restart(&mut self, batch: &[Block], machine: &Machine) {
        let (visible, hidden) = machine.weights.dim();
        let stream = self.stream.child(self.count);
        self.count += 1;
        let blocks = &mut self.levels[0].blocks;
        blocks.resize_with(batch.len(), || Walkers::new(0, visible, hidden, stream));
        blocks.par_iter_mut().zip(batch).enumerate().for_each(|(i, (walkers, block))| {
            let rows = block.visible.nrows();
            if walkers.bits.nrows() != rows {
                *walkers = Walkers::new(rows, visible, hidden, stream);
            }
            walkers.lanes = stream.child(i as u64).lanes();
            draw(&mut walkers.lanes, 1.0, &block.hidden, &machine.hidden_bias, &mut walkers.bits);
        });
    }

    /// Sweeps of all chains, and exchanges between neighbouring β after them.
    pub(super) fn sweep(&mut self, machine: &Machine) {
        let tilt: Vec<f32> = machine.visible_bias.iter().zip(&self.reference).map(|(b, r)| b - r).collect();
        let (steps, reference) = (self.steps, &self.reference);
        let tempered = self.levels.len() > 1;
        self.levels.par_iter_mut().for_each(|level| {
            let beta = level.beta;
            let visible: Vec<f32> = reference.iter().zip(&tilt).map(|(r, t)| r + beta * t).collect();
            let hidden = scaled(beta, &machine.hidden_bias);
            let normal = machine.precision.as_ref().map(|precision| Normal::new(beta, precision));
            let at = Biases { beta, visible: &visible, hidden: &hidden, tilt: &tilt, normal };
            level.blocks.par_iter_mut().for_each(|walkers| walkers.sweep(steps, machine, &at, tempered));
        });
        if tempered {
            self.exchange();
        }
        self.levels[0].blocks.par_iter_mut().for_each(|walkers| walkers.block.finish(machine));
    }

    /// Chain i of a β and chain i of the next change places with probability min(1, exp((β − β′)(s′ − s))), s their slopes; odd and
    /// even pairs in turn.
    fn exchange(&mut self) {
        let mut generator = self.stream.child(self.count).generator();
        let parity = (self.count % 2) as usize;
        self.count += 1;
        for pair in self.levels[parity..].chunks_exact_mut(2) {
            let [one, other] = pair else { unreachable!("chunks of two") };
            let apart = one.beta - other.beta;
            for (mine, theirs) in one.blocks.iter_mut().zip(&mut other.blocks) {
                for row in 0..mine.slopes.len() {
                    let log_ratio = apart * (theirs.slopes[row] - mine.slopes[row]);
                    if generator.random::<f32>() < log_ratio.exp() {
                        mine.swap(theirs, row);
                    }
                }
            }
        }
    }

    /// The blocks of β = 1.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> + Clone {
        self.levels[0].blocks.iter().map(|walkers| &walkers.block)
    }

    /// The visible states at β = 1.
    pub(super) fn states(&self) -> Array2<f64> {
        let blocks: Vec<_> = self.blocks().map(|block| block.visible.view()).collect();
        let states = ndarray::concatenate(ndarray::Axis(0), &blocks);
        states.expect("blocks of one machine have one width").mapv(f64::from)
    }

    /// Hidden bits of all chains, a row each: all of the past that the next sweep depends on.
    pub(super) fn bits(&self) -> Array2<f64> {
        let blocks: Vec<_> =
            self.levels.iter().flat_map(|level| &level.blocks).map(|walkers| walkers.bits.view()).collect();
        ndarray::concatenate(ndarray::Axis(0), &blocks)
            .expect("blocks of one machine have one width")
            .mapv(f64::from)
    }

    /// Chains at bits that [`Chains::bits`] gave.
    pub(super) fn restore(&mut self, bits: &ArrayD<f64>) {
        let mut stored = bits.iter();
        for walkers in self.levels.iter_mut().flat_map(|level| &mut level.blocks) {
            walkers.bits.iter_mut().zip(&mut stored).for_each(|(bit, &stored)| *bit = stored as f32);
        }
    }
}

fn scaled(beta: f32, values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| beta * value).collect()
}

/// Bits that are 1 with probability σ(β · input + bias).
fn draw(lanes: &mut Lanes, beta: f32, input: &Array2<f32>, bias: &[f32], bits: &mut Array2<f32>) {
    for (row, out) in flat(input).chunks(bias.len()).zip(flat_mut(bits).chunks_mut(bias.len())) {
        simd::draw_bits(lanes, beta, row, bias, out);
    }
}
