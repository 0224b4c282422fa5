//! A block of chains of an RBM.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rand_distr::{Distribution, StandardNormal};

use super::{Inward, Parameters, Visible};
use crate::math::bits::{self, BitRows, Sums};
use crate::math::random::Generator;
use crate::math::simd::{self, Lanes};
use crate::math::{Stream, products};
use crate::paths::{Bend, Counts, Ensemble, Move, StepStats, sibling, sibling_mut};

/// Chains of an RBM: visible states with a = c + vW and tilt·v kept beside them.
pub(super) struct RbmBlock {
    parameters: Arc<Parameters>,
    visible: States,
    /// h of the step under way.
    hidden: BitRows,
    /// a, (chains, hidden), and whether by the coarse weights.
    activations: Array2<f32>,
    is_coarse: bool,
    /// r₁ − r₀ of each chain.
    tilts: Vec<f64>,
    /// aⱼ·v of each chain where the path is bent; and whether both are known, which there they are on demand only.
    bends: Vec<[f64; Bend::TERMS]>,
    is_projected: bool,
    /// Room for the products of a step, and for one chain's hWᵀ.
    sums: Sums<u32>,
    coarse_sums: Sums<u16>,
    input: Vec<f32>,
    lanes: Lanes,
    generator: Generator,
    counts: Counts,
}

/// Visible states, a chain after the other.
enum States {
    /// v.
    Bits(BitRows),
    /// u.
    Real(Array2<f32>),
}

impl RbmBlock {
    /// Chains drawn from the path's reference.
    pub(super) fn from_reference(parameters: Arc<Parameters>, chains: usize, stream: Stream) -> Self {
        let mut block = Self::new(parameters, chains, stream);
        block.draw_visible(0.0);
        block.refresh(0.0);
        block
    }

    /// Chains at `states`, which lie in the model's space.
    pub(super) fn at(parameters: Arc<Parameters>, states: ArrayView2<'_, f64>, stream: Stream) -> Self {
        let mut block = Self::new(parameters, states.nrows(), stream);
        match (&mut block.visible, &block.parameters.visible) {
            (States::Bits(rows), Visible::Bernoulli(rbm)) => {
                *rows = BitRows::of(rbm.to_bits(states).view());
            }
            (States::Real(rows), Visible::Gaussian(rbm)) => {
                rows.assign(&((&states - &block.parameters.reference_bias) / rbm.sigma()).mapv(|u| u as f32));
            }
            _ => unreachable!("states are of the units' kind"),
        }
        block.refresh(1.0);
        block
    }

    fn new(parameters: Arc<Parameters>, chains: usize, stream: Stream) -> Self {
        let (visible, hidden) = (parameters.target_bias.len(), parameters.hidden_bias.len());
        let states = match &parameters.visible {
            Visible::Bernoulli(_) => States::Bits(BitRows::unset(chains, visible)),
            Visible::Gaussian(_) => States::Real(Array2::zeros((chains, visible))),
        };
        Self {
            parameters,
            visible: states,
            hidden: BitRows::unset(chains, hidden),
            activations: Array2::zeros((chains, hidden)),
            tilts: vec![0.0; chains],
            bends: vec![[0.0; Bend::TERMS]; chains],
            is_projected: false,
            is_coarse: false,
            sums: Sums::default(),
            coarse_sums: Sums::default(),
            input: vec![0.0; visible],
            lanes: stream.lanes(),
            generator: stream.generator(),
            counts: Counts::default(),
        }
    }

    /// v given h, at β.
    fn draw_visible(&mut self, beta: f64) {
        let parameters = &*self.parameters;
        let bias = parameters.bias_at(beta);
        let outward = &parameters.weights.outward;
        let coarse = parameters.coarse_at(beta).map(|coarse| &coarse.outward);
        match coarse {
            Some(coarse) => coarse.multiply(&self.hidden, &mut self.coarse_sums),
            None => outward.multiply(&self.hidden, &mut self.sums),
        }
        for chain in 0..self.tilts.len() {
            match coarse {
                Some(coarse) => coarse.read(&self.coarse_sums, chain, &[], &mut self.input),
                None => outward.read(&self.sums, chain, &[], &mut self.input),
            }
            match &mut self.visible {
                States::Bits(rows) => {
                    simd::draw_quads(&mut self.lanes, beta as f32, &self.input, &bias, rows.row_mut(chain));
                }
                States::Real(rows) => {
                    for (u, input) in rows.row_mut(chain).iter_mut().zip(&self.input) {
                        let noise: f32 = StandardNormal.sample(&mut self.generator);
                        *u = beta as f32 * input + noise;
                    }
                }
            }
        }
    }

    /// Recomputes what is cached from the visible states, as f_β has it.
    fn refresh(&mut self, beta: f64) {
        let parameters = &*self.parameters;
        let chains = self.tilts.len();
        self.is_coarse = parameters.coarse_at(beta).is_some();
        match (&self.visible, &parameters.weights.inward) {
            (States::Bits(rows), Inward::Bits(weights)) => {
                let c = &parameters.hidden_bias;
                match parameters.coarse_at(beta) {
                    Some(coarse) => {
                        coarse.inward.products(rows, c, &mut self.activations, &mut self.coarse_sums);
                    }
                    None => {
                        weights.products(rows, c, &mut self.activations, &mut self.sums);
                    }
                }
                self.is_projected = false;
                if !parameters.is_bent {
                    self.project();
                }
            }
            (States::Real(rows), Inward::Dense(weights)) => {
                products::multiply(rows.view(), weights.view(), self.activations.view_mut());
                for mut row in self.activations.rows_mut() {
                    row.iter_mut().zip(&parameters.hidden_bias).for_each(|(a, c)| *a += c);
                }
            }
            _ => unreachable!("weights are made for the units' kind"),
        }
        self.counts.energy_evaluations += chains as u64;
    }

    /// Has r₁ − r₀ and, where the path is bent, aⱼ·v of every chain of bits.
    fn project(&mut self) {
        let parameters = &*self.parameters;
        let States::Bits(rows) = &self.visible else { return };
        if std::mem::replace(&mut self.is_projected, true) {
            return;
        }
        for (chain, tilt) in self.tilts.iter_mut().enumerate() {
            *tilt = bits::sum_where(rows.row(chain), &parameters.tilt);
        }
        if !parameters.is_bent {
            return;
        }
        for (chain, bends) in self.bends.iter_mut().enumerate() {
            for (bend, row) in bends.iter_mut().zip(parameters.bend.coefficients().rows()) {
                let row = row.to_slice().expect("rows of a whole array are contiguous");
                *bend = bits::sum_where(rows.row(chain), row);
            }
        }
    }

    /// Adds what the path's biases give each chain at `to` beyond what they do at `from`: from one sum where they are bent, since more
    /// are seldom asked for between two steps.
    fn add_linear(&self, from: f64, to: f64, out: &mut [f64]) {
        match &self.visible {
            States::Bits(rows) if self.parameters.is_bent => {
                let bend = self.parameters.bend.at(to) - self.parameters.bend.at(from);
                let tilt = self.parameters.tilt.iter().zip(&bend);
                let change: Vec<f64> = tilt.map(|(tilt, bend)| (to - from) * tilt + bend).collect();
                for (chain, out) in out.iter_mut().enumerate() {
                    *out += bits::sum_where(rows.row(chain), &change);
                }
            }
            _ => out.iter_mut().zip(&self.tilts).for_each(|(out, tilt)| *out += (to - from) * tilt),
        }
    }

    /// Has a by the weights by which a sibling has it, so that rows can be exchanged.
    fn follow(&mut self, other: &Self) {
        self.prepare(if other.is_coarse { 0.0 } else { 1.0 });
    }

    /// Has a as f_β has it.
    fn prepare(&mut self, beta: f64) {
        if self.is_coarse != self.parameters.coarse_at(beta).is_some() {
            self.refresh(beta);
        }
    }

    fn activation_rows(&self) -> impl Iterator<Item = &[f32]> {
        // No hidden units: empty rows.
        let hidden = self.activations.ncols();
        let all = self.activations.as_slice().expect("a whole array is contiguous");
        (0..self.tilts.len()).map(move |chain| &all[chain * hidden..][..hidden])
    }

    /// What the path's biases give one chain at β beyond r₀, and the same with [`Bend::basis`] or its derivatives for it.
    fn linear(&self, chain: usize, beta: f64, basis: &[f64; Bend::TERMS]) -> f64 {
        let bend: f64 = basis.iter().zip(&self.bends[chain]).map(|(basis, bend)| basis * bend).sum();
        beta * self.tilts[chain] + bend
    }

    /// r₀(v) of one chain.
    fn reference_log_density(&self, chain: usize) -> f64 {
        match &self.visible {
            States::Bits(rows) => {
                let bias = self.parameters.reference_bias.as_slice().expect("a whole array is contiguous");
                bits::sum_where(rows.row(chain), bias)
            }
            States::Real(rows) => -0.5 * rows.row(chain).iter().map(|&u| f64::from(u).powi(2)).sum::<f64>(),
        }
    }
}

impl Ensemble for RbmBlock {
    fn chains(&self) -> usize {
        self.tilts.len()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        self.project();
        let mut room = Vec::new();
        // By one kind of weights and then by the other, whichever are at hand first.
        let first = self.is_coarse;
        for is_coarse in [first, !first] {
            let mine = |beta: &f64| self.parameters.coarse_at(*beta).is_some() == is_coarse;
            let columns: Vec<usize> = (0..betas.len()).filter(|&k| mine(&betas[k])).collect();
            let Some(&column) = columns.first() else { continue };
            self.prepare(betas[column]);
            for (chain, activations) in self.activation_rows().enumerate() {
                let base = self.reference_log_density(chain) + self.parameters.constant;
                for &k in &columns {
                    let beta = betas[k];
                    let linear = self.linear(chain, beta, &Bend::basis(beta));
                    let pulls = pulls(&self.parameters, activations, beta, &mut room);
                    out[(chain, k)] = base + linear + simd::sum_softplus(beta as f32, pulls);
                }
            }
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        if self.parameters.coarse_at(from).is_some() != self.parameters.coarse_at(to).is_some() {
            self.prepare(from);
            for (value, activations) in out.iter_mut().zip(self.activation_rows()) {
                *value = -simd::sum_softplus(from as f32, activations);
            }
            self.prepare(to);
            for (value, activations) in out.iter_mut().zip(self.activation_rows()) {
                *value += simd::sum_softplus(to as f32, activations);
            }
            self.add_linear(from, to, out);
            return;
        }
        self.prepare(from);
        if self.parameters.is_gaussian() {
            let mut room = Vec::new();
            for (value, activations) in out.iter_mut().zip(self.activation_rows()) {
                let mut sum = |beta| {
                    simd::sum_softplus(beta as f32, pulls(&self.parameters, activations, beta, &mut room))
                };
                *value = sum(to) - sum(from);
            }
            return;
        }
        for (value, activations) in out.iter_mut().zip(self.activation_rows()) {
            *value = simd::softplus_difference(from, to, activations);
        }
        self.add_linear(from, to, out);
    }

    fn derivatives(&mut self, beta: f64, first: &mut [f64], second: &mut [f64]) {
        self.prepare(beta);
        self.project();
        if self.parameters.is_gaussian() {
            for (chain, activations) in self.activation_rows().enumerate() {
                (first[chain], second[chain]) =
                    slopes_of_real(activations, &self.parameters.hidden_bias, beta);
            }
            return;
        }
        let [slopes, curvatures] = Bend::basis_derivatives(beta);
        for (chain, activations) in self.activation_rows().enumerate() {
            let (slope, curvature) = simd::softplus_derivatives(beta as f32, activations);
            first[chain] = self.linear(chain, 1.0, &slopes) + slope;
            second[chain] = self.linear(chain, 0.0, &curvatures) + curvature;
        }
    }

    fn step(&mut self, beta: f64, _movement: Move) -> StepStats {
        self.prepare(beta);
        let mut room = Vec::new();
        for chain in 0..self.tilts.len() {
            let activations = self.activations.row(chain);
            let activations = activations.to_slice().expect("rows of a whole array are contiguous");
            let pulls = pulls(&self.parameters, activations, beta, &mut room);
            simd::draw_quads(&mut self.lanes, beta as f32, pulls, &[], self.hidden.row_mut(chain));
        }
        self.draw_visible(beta);
        self.refresh(beta);
        self.counts.sweeps += self.tilts.len() as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            match &mut self.visible {
                States::Bits(rows) => rows.copy(to, from),
                States::Real(rows) => {
                    let state = rows.row(from).to_owned();
                    rows.row_mut(to).assign(&state);
                }
            }
            let activations = self.activations.row(from).to_owned();
            self.activations.row_mut(to).assign(&activations);
            self.tilts[to] = self.tilts[from];
            self.bends[to] = self.bends[from];
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        self.follow(other);
        for &(to, from) in moves {
            match (&mut self.visible, &other.visible) {
                (States::Bits(rows), States::Bits(theirs)) => {
                    rows.row_mut(to).copy_from_slice(theirs.row(from));
                }
                (States::Real(rows), States::Real(theirs)) => rows.row_mut(to).assign(&theirs.row(from)),
                _ => unreachable!("blocks of one path are of one kind"),
            }
            self.activations.row_mut(to).assign(&other.activations.row(from));
            self.tilts[to] = other.tilts[from];
            self.bends[to] = other.bends[from];
        }
        self.is_projected &= other.is_projected;
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        self.follow(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            match (&mut self.visible, &mut other.visible) {
                (States::Bits(rows), States::Bits(theirs)) => rows.swap(theirs, chain),
                (States::Real(rows), States::Real(theirs)) => swap_rows(rows, theirs, chain),
                _ => unreachable!("blocks of one path are of one kind"),
            }
            swap_rows(&mut self.activations, &mut other.activations, chain);
            std::mem::swap(&mut self.tilts[chain], &mut other.tilts[chain]);
            std::mem::swap(&mut self.bends[chain], &mut other.bends[chain]);
        }
        self.is_projected &= other.is_projected;
        other.is_projected = self.is_projected;
    }

    fn states(&self) -> Array2<f64> {
        match (&self.visible, &self.parameters.visible) {
            (States::Bits(rows), Visible::Bernoulli(rbm)) => rbm.from_bits(rows.to_array()),
            (States::Real(rows), Visible::Gaussian(rbm)) => {
                rows.mapv(f64::from) * rbm.sigma() + &self.parameters.reference_bias
            }
            _ => unreachable!("states are of the units' kind"),
        }
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// What, times β, pulls at the hidden units of a chain: a, and a − (1 − β) c where units are real, whose biases grow as β².
fn pulls<'a>(
    parameters: &Parameters,
    activations: &'a [f32],
    beta: f64,
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    if !parameters.is_gaussian() {
        return activations;
    }
    let less = (1.0 - beta) as f32;
    room.clear();
    room.extend(activations.iter().zip(&parameters.hidden_bias).map(|(a, c)| a - less * c));
    room
}

/// The first two derivatives of Σ softplus(β a − (β − β²) c) in β.
fn slopes_of_real(activations: &[f32], bias: &[f32], beta: f64) -> (f64, f64) {
    let (mut first, mut second) = (0.0, 0.0);
    for (&a, &c) in activations.iter().zip(bias) {
        let (a, c) = (f64::from(a), f64::from(c));
        let slope = a - (1.0 - 2.0 * beta) * c;
        let on = 1.0 / (1.0 + (-beta * (a - (1.0 - beta) * c)).exp());
        first += on * slope;
        second += on * (1.0 - on) * slope * slope + 2.0 * on * c;
    }
    (first, second)
}

pub(super) fn swap_rows(a: &mut Array2<f32>, b: &mut Array2<f32>, row: usize) {
    ndarray::Zip::from(a.row_mut(row)).and(b.row_mut(row)).for_each(std::mem::swap);
}
