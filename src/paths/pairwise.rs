//! The path of a model with pair interactions on a finite space: Boltzmann machines and Potts models, with cached fields.

use std::any::Any;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use rand::RngExt;

use super::{Counts, Ensemble, Move, Path, Pilot, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::math::random::Generator;
use crate::math::{Stream, log_sum_exp};
use crate::models::{Boltzmann, Model, Potts, Space, downcast};

/// log f_β(x) = β Σ_{i<j} Jᵢⱼ k(xᵢ, xⱼ) + Σᵢ [(1−β) g⁰ᵢ(xᵢ) + β gᵢ(xᵢ)] with k(x, y) = xy (Boltzmann) or δ(x, y) (Potts).
///
/// At β = 0 coordinates are independent: log Z₀ = Σᵢ log Σₛ exp g⁰ᵢ(s). g⁰ is the log of smoothed marginals, from data or a
/// pilot; without either, it is the model's own field g. Each chain keeps Σⱼ Jᵢⱼ k(s, xⱼ) for every site, so a site is drawn
/// at once and only a change costs the site's degree. The kernel is a sweep of single-site Gibbs updates in the order of the
/// sites; its reversal sweeps the other way.
#[derive(Debug)]
pub struct PairwisePath {
    shared: Arc<Shared>,
    fitted_to_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interaction {
    /// k(x, y) = x y: one cached number a site.
    Product,
    /// k(x, y) = δ(x, y): one cached number a site and state.
    Delta,
}

#[derive(Clone, Debug)]
struct Shared {
    space: Space,
    interaction: Interaction,
    values: Vec<f64>,
    neighbours: Arc<Vec<Vec<(usize, f64)>>>,
    /// g and g⁰, (dim, states).
    target: Array2<f64>,
    reference: Array2<f64>,
}

/// The cached-field path for a Boltzmann machine or a Potts model.
pub(super) fn for_model(
    model: &Arc<dyn Model>,
    data: Option<ArrayView2<'_, f64>>,
) -> Option<Result<Arc<dyn Path>>> {
    let (interaction, edges, target) = if let Some(model) = downcast::<Boltzmann>(model) {
        let values = model.space().values().expect("bits and spins are finite");
        let fields = model.fields();
        let target = Array2::from_shape_fn((fields.len(), 2), |(i, s)| fields[i] * values[s]);
        (Interaction::Product, model.edges().to_vec(), target)
    } else {
        let model = downcast::<Potts>(model)?;
        (Interaction::Delta, model.edges().to_vec(), model.fields().to_owned())
    };
    let mut neighbours = vec![Vec::new(); target.nrows()];
    for (a, b, coupling) in edges {
        neighbours[a].push((b, coupling));
        neighbours[b].push((a, coupling));
    }
    let space = model.space();
    let values = space.values().expect("both kinds of model are finite");
    let reference = data.map(|data| log_marginals(&values, data));
    let shared = Shared {
        interaction,
        values,
        neighbours: Arc::new(neighbours),
        reference: reference.unwrap_or_else(|| target.clone()),
        target,
        space,
    };
    Some(Ok(Arc::new(PairwisePath { shared: Arc::new(shared), fitted_to_data: data.is_some() })))
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
        block.refresh();
        block.counts = Counts { energy_evaluations: chains as u64, ..Counts::default() };
        Box::new(block)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.shared.space.check(states)?;
        let mut block = PairwiseEnsemble::new(Arc::clone(&self.shared), states.nrows(), stream);
        for ((chain, site), &x) in states.indexed_iter() {
            block.states[(chain, site)] = index_of(&self.shared.values, x) as u16;
        }
        block.refresh();
        Ok(Box::new(block))
    }

    fn tuned(&self, pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        if self.fitted_to_data {
            return None;
        }
        let reference = log_marginals(&self.shared.values, pilot.states);
        let shared = Shared { reference, ..(*self.shared).clone() };
        Some(Arc::new(Self { shared: Arc::new(shared), fitted_to_data: false }))
    }

    fn kernel(&self) -> String {
        "single-site Gibbs with cached fields".into()
    }
}

struct PairwiseEnsemble {
    shared: Arc<Shared>,
    /// Indices into the space's values, (chains, dim).
    states: Array2<u16>,
    /// Σⱼ Jᵢⱼ k(s, xⱼ), (chains, dim × width), width 1 for products (without the factor s) and one per state for δ.
    fields: Array2<f64>,
    /// (Σ_{i<j} Jᵢⱼ k, Σ g⁰, Σ g) of each chain, while up to date.
    sums: Option<Vec<[f64; 3]>>,
    generator: Generator,
    counts: Counts,
}

impl PairwiseEnsemble {
    fn new(shared: Arc<Shared>, chains: usize, stream: Stream) -> Self {
        let dim = shared.space.dim;
        let width = match shared.interaction {
            Interaction::Product => 1,
            Interaction::Delta => shared.values.len(),
        };
        let mut block = Self {
            states: Array2::zeros((chains, dim)),
            fields: Array2::zeros((chains, dim * width)),
            sums: None,
            generator: stream.generator(),
            counts: Counts::default(),
            shared,
        };
        block.refresh();
        block
    }

    /// Recomputes the fields from the states.
    fn refresh(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.fields.fill(0.0);
        for (state, mut field) in self.states.rows().into_iter().zip(self.fields.rows_mut()) {
            let field = field.as_slice_mut().expect("rows of a whole array are contiguous");
            for (site, &x) in state.iter().enumerate() {
                shared.spread(site, usize::from(x), 1.0, field);
            }
        }
        self.sums = None;
        self.counts.energy_evaluations += self.states.nrows() as u64;
    }

    fn sums(&mut self) -> &[[f64; 3]] {
        if self.sums.is_none() {
            let shared = &self.shared;
            let rows = self.states.rows().into_iter().zip(self.fields.rows());
            let sums = rows
                .map(|(state, field)| {
                    let mut sums = [0.0; 3];
                    for (site, &x) in state.iter().enumerate() {
                        let x = usize::from(x);
                        // Every pair is met from both of its ends.
                        sums[0] += 0.5 * shared.pair_term(field.as_slice().expect("contiguous"), site, x);
                        sums[1] += shared.reference[(site, x)];
                        sums[2] += shared.target[(site, x)];
                    }
                    sums
                })
                .collect();
            self.sums = Some(sums);
        }
        self.sums.as_deref().expect("computed just above")
    }
}

impl Shared {
    /// Σⱼ Jᵢⱼ k(s, xⱼ) for site i at its state s.
    fn pair_term(&self, field: &[f64], site: usize, state: usize) -> f64 {
        match self.interaction {
            Interaction::Product => self.values[state] * field[site],
            Interaction::Delta => field[site * self.values.len() + state],
        }
    }

    /// Adds `sign` times what `site` in `state` does to its neighbours' fields.
    fn spread(&self, site: usize, state: usize, sign: f64, field: &mut [f64]) {
        match self.interaction {
            Interaction::Product => {
                let value = sign * self.values[state];
                if value != 0.0 {
                    for &(other, coupling) in &self.neighbours[site] {
                        field[other] += value * coupling;
                    }
                }
            }
            Interaction::Delta => {
                for &(other, coupling) in &self.neighbours[site] {
                    field[other * self.values.len() + state] += sign * coupling;
                }
            }
        }
    }
}

impl Ensemble for PairwiseEnsemble {
    fn chains(&self) -> usize {
        self.states.nrows()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for (mut row, [pairs, reference, target]) in out.rows_mut().into_iter().zip(self.sums()) {
            for (value, beta) in row.iter_mut().zip(betas) {
                *value = beta * (pairs + target) + (1.0 - beta) * reference;
            }
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        for (value, [pairs, reference, target]) in out.iter_mut().zip(self.sums()) {
            *value = (to - from) * (pairs + target - reference);
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        for (value, [pairs, reference, target]) in first.iter_mut().zip(self.sums()) {
            *value = pairs + target - reference;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        let shared = Arc::clone(&self.shared);
        let (dim, states) = shared.target.dim();
        let tilted: Array2<f64> = &shared.reference * (1.0 - beta) + &shared.target * beta;
        let mut logits = vec![0.0; states];
        for (mut state, mut field) in self.states.rows_mut().into_iter().zip(self.fields.rows_mut()) {
            let field = field.as_slice_mut().expect("rows of a whole array are contiguous");
            for k in 0..dim {
                let site = if movement == Move::Reversed { dim - 1 - k } else { k };
                for (s, logit) in logits.iter_mut().enumerate() {
                    *logit = tilted[(site, s)] + beta * shared.pair_term(field, site, s);
                }
                let (old, new) = (usize::from(state[site]), draw(&logits, &mut self.generator));
                if new != old {
                    shared.spread(site, old, -1.0, field);
                    shared.spread(site, new, 1.0, field);
                    state[site] = new as u16;
                }
            }
        }
        self.sums = None;
        self.counts.sweeps += self.states.nrows() as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            let (state, field) = (self.states.row(from).to_owned(), self.fields.row(from).to_owned());
            self.states.row_mut(to).assign(&state);
            self.fields.row_mut(to).assign(&field);
        }
        self.sums = None;
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            self.states.row_mut(to).assign(&other.states.row(from));
            self.fields.row_mut(to).assign(&other.fields.row(from));
        }
        self.sums = None;
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            ndarray::Zip::from(self.states.row_mut(chain))
                .and(other.states.row_mut(chain))
                .for_each(std::mem::swap);
            ndarray::Zip::from(self.fields.row_mut(chain))
                .and(other.fields.row_mut(chain))
                .for_each(std::mem::swap);
        }
        (self.sums, other.sums) = (None, None);
    }

    fn states(&self) -> Array2<f64> {
        self.states.mapv(|x| self.shared.values[usize::from(x)])
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// An index drawn with probability ∝ exp(logits).
pub(super) fn draw(logits: &[f64], generator: &mut Generator) -> usize {
    if let [first, second] = logits {
        return usize::from(generator.random::<f64>() * (1.0 + (first - second).exp()) < 1.0);
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = Array1::from_iter(logits.iter().map(|l| (l - largest).exp()));
    let mut left = generator.random::<f64>() * weights.sum();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    // Rounding may leave a crumb: the largest has positive weight.
    logits.iter().position(|l| *l == largest).unwrap_or(0)
}
