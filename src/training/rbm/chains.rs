//! The chains that stand for a machine in its negative phase.

use ndarray::{Array2, ArrayD};
use rand::RngExt;
use rayon::prelude::*;

use super::block::{BLOCK, Block, flat};
use super::machine::{Machine, Precision};
use super::rows::Rows;
use crate::math::Stream;
use crate::math::bits::{self, BitMatrix, BitRows, Sums};
use crate::math::simd::{self, Lanes};

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
    /// v and vW, and whatever else the gradient takes.
    block: Block,
    hidden: BitRows,
    sums: Sums<u32>,
    /// hWᵀ of one chain.
    input: Vec<f32>,
    lanes: Lanes,
    /// ∂_β log f_β of each.
    slopes: Vec<f32>,
    /// Room for the noise of real units.
    noise: Vec<f64>,
}

impl Walkers {
    fn new(rows: usize, machine: &Machine, stream: Stream) -> Self {
        let (visible, hidden) = machine.weights.dim();
        Self {
            block: Block::new(rows, machine),
            hidden: BitRows::unset(rows, hidden),
            sums: Sums::default(),
            input: vec![0.0; visible],
            lanes: stream.lanes(),
            slopes: vec![0.0; rows],
            noise: Vec::new(),
        }
    }

    fn sweep(&mut self, steps: usize, machine: &Machine, at: &Biases<'_>, tempered: bool) {
        for _ in 0..steps {
            self.draw_visible(&machine.tables.outward, at);
            self.block.enter(machine);
            draw(&mut self.lanes, at.beta, &self.block.hidden, at.hidden, &mut self.hidden);
        }
        self.block.unpack();
        if tempered {
            let mut inputs = vec![0.0; machine.hidden_bias.len()];
            for (row, slope) in self.slopes.iter_mut().enumerate() {
                let activations = self.block.hidden.row(row);
                for ((input, a), c) in inputs.iter_mut().zip(activations).zip(&machine.hidden_bias) {
                    *input = f64::from(a + c);
                }
                let visible = self.block.visible.row(row);
                let tilt: f32 = visible.iter().zip(at.tilt).map(|(v, t)| v * t).sum();
                let squares = at.normal.iter().flat_map(|normal| visible.iter().zip(&normal.tilt));
                *slope = bits::sum_where(self.hidden.row(row), &inputs) as f32 + tilt
                    - 0.5 * squares.map(|(u, tilt)| u * u * tilt).sum::<f32>();
            }
        }
    }

    /// v given h, at β.
    fn draw_visible(&mut self, outward: &BitMatrix<u32>, at: &Biases<'_>) {
        outward.multiply(&self.hidden, &mut self.sums);
        for row in 0..self.hidden.len() {
            outward.read(&self.sums, row, &[], &mut self.input);
            match &at.normal {
                None => {
                    let bits = self.block.bits.row_mut(row);
                    simd::draw_quads(&mut self.lanes, at.beta, &self.input, at.visible, bits);
                }
                Some(normal) => self.draw_normal(row, at, normal),
            }
        }
    }

    /// Visible units of a chain given their input: normal with mean (β · input + bias) / λ and variance 1/λ.
    fn draw_normal(&mut self, row: usize, at: &Biases<'_>, normal: &Normal) {
        self.noise.resize(self.input.len(), 0.0);
        simd::fill_normal(&mut self.lanes, &mut self.noise);
        for (i, out) in self.block.visible.row_mut(row).iter_mut().enumerate() {
            let mean = (at.beta * self.input[i] + at.visible[i]) * normal.variance[i];
            *out = mean + normal.deviation[i] * self.noise[i] as f32;
        }
    }

    /// Chain `row` and that of `other` change places.
    fn swap(&mut self, other: &mut Self, row: usize) {
        self.hidden.swap(&mut other.hidden, row);
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
        let levels = betas
            .iter()
            .zip(0u64..)
            .map(|(&beta, level)| {
                let blocks = (0..count.div_ceil(BLOCK))
                    .map(|i| {
                        let stream = stream.child(level).child(i as u64);
                        let rows = BLOCK.min(count - i * BLOCK);
                        let mut walkers = Walkers::new(rows, machine, stream);
                        let mut generator = stream.generator();
                        let Walkers { block, hidden, lanes, .. } = &mut walkers;
                        for row in 0..rows {
                            data.copy(generator.random_range(0..data.data.nrows()), block, row);
                        }
                        block.enter(machine);
                        draw(lanes, beta, &block.hidden, &scaled(beta, &machine.hidden_bias), hidden);
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
        let stream = self.stream.child(self.count);
        self.count += 1;
        let blocks = &mut self.levels[0].blocks;
        blocks.resize_with(batch.len(), || Walkers::new(0, machine, stream));
        blocks.par_iter_mut().zip(batch).enumerate().for_each(|(i, (walkers, block))| {
            let rows = block.visible.nrows();
            if walkers.hidden.len() != rows {
                *walkers = Walkers::new(rows, machine, stream);
            }
            walkers.lanes = stream.child(i as u64).lanes();
            draw(&mut walkers.lanes, 1.0, &block.hidden, &machine.hidden_bias, &mut walkers.hidden);
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
            let sweep = |walkers: &mut Walkers| walkers.sweep(steps, machine, &at, tempered);
            level.blocks.par_iter_mut().for_each(sweep);
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
        let walkers = self.levels.iter().flat_map(|level| &level.blocks);
        let rows: Vec<_> = walkers.map(|walkers| walkers.hidden.to_array()).collect();
        let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
        ndarray::concatenate(ndarray::Axis(0), &views).expect("blocks of one machine have one width")
    }

    /// Chains at bits that [`Chains::bits`] gave.
    pub(super) fn restore(&mut self, bits: &ArrayD<f64>) {
        let mut stored = bits.iter();
        for walkers in self.levels.iter_mut().flat_map(|level| &mut level.blocks) {
            let shape = (walkers.hidden.len(), walkers.hidden.bits());
            let rows =
                Array2::from_shape_simple_fn(shape, || *stored.next().expect("a bit of each chain and unit"));
            walkers.hidden = BitRows::of(rows.view());
        }
    }
}

fn scaled(beta: f32, values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| beta * value).collect()
}

/// Bits that are 1 with probability σ(β · input + bias).
fn draw(lanes: &mut Lanes, beta: f32, input: &Array2<f32>, bias: &[f32], bits: &mut BitRows) {
    for (row, input) in flat(input).chunks(bias.len()).enumerate() {
        simd::draw_quads(lanes, beta, input, bias, bits.row_mut(row));
    }
}
