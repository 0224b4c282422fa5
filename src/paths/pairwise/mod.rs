//! The path of a model with pair interactions on a finite space: Boltzmann machines and Potts models, 32 chains at once.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};

use self::sweep::{Couplings, Fields, GROUP, Interaction, Row, Sums};
use super::lean::{FLAT, towards_flat};
use super::{Counts, Ensemble, Move, Path, Pilot, Start, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::math::simd::Lanes;
use crate::math::{Stream, log_sum_exp};
use crate::models::{Boltzmann, Model, Potts, Space, downcast};

mod sweep;

/// log f_β(x) = β Σ_{i<j} Jᵢⱼ k(xᵢ, xⱼ) + Σᵢ [(1−β) g⁰ᵢ(xᵢ) + β gᵢ(xᵢ)] with k(x, y) = xy (Boltzmann) or δ(x, y) (Potts).
///
/// At β = 0 coordinates are independent: log Z₀ = Σᵢ log Σₛ exp g⁰ᵢ(s). g⁰ is the log of smoothed marginals of data, or of pilot
/// chains and then drawn towards flat where these are in several modes; without either it is 0, and every state as
/// likely as any other. So it is, whatever chains did, where the model is *even*: where a global flip of all bits or spins, or any
/// permutation of all Potts states, leaves E alone. The kernel is a sweep of single-site Gibbs updates in the order of the
/// sites; its reversal sweeps the other way. What pulls at a site is added up in f64 when it is visited, for 32 chains at once:
/// nothing is carried from sweep to sweep but the states. The uniform numbers have 31 bits, so a value less likely than 2⁻³² is
/// never drawn.
#[derive(Debug)]
pub struct PairwisePath {
    shared: Arc<Shared>,
    start: Start,
}

#[derive(Clone, Debug)]
struct Shared {
    space: Space,
    values: Vec<f64>,
    couplings: Arc<Couplings>,
    /// g and g⁰, (dim, states).
    target: Array2<f64>,
    reference: Array2<f64>,
}

impl PairwisePath {
    /// The same path from another reference.
    fn with(&self, reference: Array2<f64>, start: Start) -> Arc<dyn Path> {
        let shared = Shared { reference, ..(*self.shared).clone() };
        Arc::new(Self { shared: Arc::new(shared), start })
    }
}

/// The vectorised path for a Boltzmann machine or a Potts model.
pub(super) fn for_model(
    model: &Arc<dyn Model>,
    data: Option<ArrayView2<'_, f64>>,
) -> Option<Result<Arc<dyn Path>>> {
    let (couplings, target, is_even) = if let Some(model) = downcast::<Boltzmann>(model) {
        let values = model.space().values().expect("bits and spins are finite");
        let fields = model.fields();
        let mut target = Array2::from_shape_fn((fields.len(), 2), |(i, s)| fields[i] * values[s]);
        // A constant is a field that is the same for both values of one unit.
        target.row_mut(0).map_inplace(|field| *field -= model.offset());
        (Couplings::new(Interaction::Product, fields.len(), model.edges()), target, model.is_even())
    } else {
        let model = downcast::<Potts>(model)?;
        let target = model.fields().as_standard_layout().into_owned();
        (Couplings::new(Interaction::Delta, target.nrows(), model.edges()), target, model.is_even())
    };
    let space = model.space();
    let values = space.values().expect("both kinds of model are finite");
    let start = match data {
        Some(_) => Start::Known,
        None if is_even => Start::Flat,
        None => Start::Open,
    };
    let reference = data.map(|data| log_marginals(&values, data));
    let shared = Shared {
        values,
        couplings: Arc::new(couplings),
        reference: reference.unwrap_or_else(|| Array2::zeros(target.dim())),
        target,
        space,
    };
    Some(Ok(Arc::new(PairwisePath { shared: Arc::new(shared), start })))
}

/// Logs of the marginals of rows of states, with one observation spread over all values so that none is −∞.
fn log_marginals(values: &[f64], states: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut counts = Array2::from_elem((states.ncols(), values.len()), 1.0 / values.len() as f64);
    for ((_, site), x) in states.indexed_iter() {
        counts[(site, index_of(values, *x))] += 1.0;
    }
    (counts / (states.nrows() as f64 + 1.0)).mapv(f64::ln)
}

fn index_of(values: &[f64], x: f64) -> usize {
    values.iter().position(|v| *v == x).expect("states were checked against the space")
}

impl Path for PairwisePath {
    fn space(&self) -> Space {
        self.shared.space.clone()
    }

    fn log_z_reference(&self) -> f64 {
        self.shared.reference.rows().into_iter().map(|row| log_sum_exp(&row.to_vec())).sum()
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        let mut block = PairwiseEnsemble::new(Arc::clone(&self.shared), chains, stream);
        block.step(0.0, Move::Forward);
        block.counts = Counts { energy_evaluations: chains as u64, ..Counts::default() };
        Box::new(block)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.shared.space.check(states)?;
        let mut block = PairwiseEnsemble::new(Arc::clone(&self.shared), states.nrows(), stream);
        for ((chain, site), &x) in states.indexed_iter() {
            *block.state_mut(chain, site) = x;
        }
        block.add_up();
        Ok(Box::new(block))
    }

    fn tuned(&self, pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        if self.start != Start::Open {
            return None;
        }
        let values = &self.shared.values;
        let reference = towards_flat(log_marginals(values, pilot.states), values, pilot.states);
        Some(self.with(reference, Start::Open))
    }

    fn flat(&self) -> Option<Arc<dyn Path>> {
        let leans = |row: ArrayView1<'_, f64>| row.iter().any(|g| (g - row[0]).abs() > FLAT);
        let is_flat = self.start != Start::Open && !self.shared.reference.rows().into_iter().any(leans);
        (!is_flat).then(|| self.with(Array2::zeros(self.shared.reference.dim()), Start::Flat))
    }

    fn start(&self) -> Option<Start> {
        Some(self.start)
    }

    fn kernel(&self) -> String {
        "single-site Gibbs, 32 chains at once".into()
    }
}

struct PairwiseEnsemble {
    shared: Arc<Shared>,
    chains: usize,
    /// Values of the space: groups of chains, in each a row per site. The last group may hold chains that nobody asked for.
    states: Vec<Row>,
    /// What the chains of each group add up to.
    sums: Vec<Sums>,
    lanes: Lanes,
    counts: Counts,
}

impl PairwiseEnsemble {
    fn new(shared: Arc<Shared>, chains: usize, stream: Stream) -> Self {
        let groups = chains.div_ceil(GROUP);
        Self {
            chains,
            states: vec![Row([shared.values[0]; GROUP]); groups * shared.space.dim],
            sums: vec![Sums::ZERO; groups],
            lanes: stream.lanes(),
            counts: Counts::default(),
            shared,
        }
    }

    fn state(&self, chain: usize, site: usize) -> f64 {
        self.states[chain / GROUP * self.shared.space.dim + site].0[chain % GROUP]
    }

    fn state_mut(&mut self, chain: usize, site: usize) -> &mut f64 {
        &mut self.states[chain / GROUP * self.shared.space.dim + site].0[chain % GROUP]
    }

    /// (Σ_{i<j} Jᵢⱼ k + Σ g, Σ g⁰) of a chain.
    fn sums(&self, chain: usize) -> (f64, f64) {
        let sums = &self.sums[chain / GROUP];
        (sums.target[chain % GROUP], sums.reference[chain % GROUP])
    }

    fn set_sums(&mut self, chain: usize, (target, reference): (f64, f64)) {
        let sums = &mut self.sums[chain / GROUP];
        (sums.target[chain % GROUP], sums.reference[chain % GROUP]) = (target, reference);
    }

    /// Makes the sums for states that were put here.
    fn add_up(&mut self) {
        let fields = self.shared.fields();
        for (states, sums) in self.states.chunks_exact(self.shared.space.dim).zip(&mut self.sums) {
            *sums = self.shared.couplings.sums(&fields, states);
        }
        self.counts.energy_evaluations += self.chains as u64;
    }
}

impl Shared {
    fn fields(&self) -> Fields<'_> {
        Fields {
            values: &self.values,
            target: self.target.as_slice().expect("made in standard layout"),
            reference: self.reference.as_slice().expect("made in standard layout"),
        }
    }
}

impl Ensemble for PairwiseEnsemble {
    fn chains(&self) -> usize {
        self.chains
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for (chain, mut row) in out.rows_mut().into_iter().enumerate() {
            let (target, reference) = self.sums(chain);
            for (value, beta) in row.iter_mut().zip(betas) {
                *value = beta * target + (1.0 - beta) * reference;
            }
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        for (chain, value) in out.iter_mut().enumerate() {
            let (target, reference) = self.sums(chain);
            *value = (to - from) * (target - reference);
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        for (chain, value) in first.iter_mut().enumerate() {
            let (target, reference) = self.sums(chain);
            *value = target - reference;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        let fields = self.shared.fields();
        let reversed = movement == Move::Reversed;
        for (states, sums) in self.states.chunks_exact_mut(self.shared.space.dim).zip(&mut self.sums) {
            *sums = self.shared.couplings.sweep(&fields, beta, reversed, states, &mut self.lanes);
        }
        self.counts.sweeps += self.chains as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            for site in 0..self.shared.space.dim {
                *self.state_mut(to, site) = self.state(from, site);
            }
            self.set_sums(to, self.sums(from));
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            for site in 0..self.shared.space.dim {
                *self.state_mut(to, site) = other.state(from, site);
            }
            self.set_sums(to, other.sums(from));
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            for site in 0..self.shared.space.dim {
                std::mem::swap(self.state_mut(chain, site), other.state_mut(chain, site));
            }
            let (mine, theirs) = (self.sums(chain), other.sums(chain));
            self.set_sums(chain, theirs);
            other.set_sums(chain, mine);
        }
    }

    fn states(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.chains, self.shared.space.dim), |(chain, site)| self.state(chain, site))
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}
