//! The geometric path of any energy on a continuous space.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{Counts, Ensemble, Move, Path, Pilot, RungStats, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::kernels::{Ends, Hmc, Kernel, RandomWalk, Reference, Walkers, mix};
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::{Domain, Model, Space};

/// log f_β = (1−β) log f₀ + β log f₁, f₀ a normalised product of normals, or uniform on the model's box.
///
/// On ℝᵈ the reference is N(0, 1) in every coordinate until it is fitted to data or a pilot: mean and 1.2 standard deviations.
/// The kernel is HMC where the model has a gradient and random-walk Metropolis otherwise, with a step size that depends on β
/// and is fitted to the pilots' acceptance.
#[derive(Clone, Debug)]
pub struct GeometricPath {
    shared: Arc<Shared>,
    kernel: Arc<dyn Kernel>,
    step_size: Arc<StepSize>,
    fitted_to_data: bool,
}

#[derive(Clone, Debug)]
struct Shared {
    model: Arc<dyn Model>,
    space: Space,
    /// Mean and standard deviation of f₀ on ℝᵈ; on a box, its centre and a quarter of its sides.
    centre: Vec<f64>,
    spread: Vec<f64>,
    /// Those that the first fit gave: later fits may have lost modes that it still saw.
    explored: Option<(Vec<f64>, Vec<f64>)>,
}

impl GeometricPath {
    /// The path of a model on ℝᵈ or a box.
    ///
    /// # Panics
    /// For a model on a finite space.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, data: Option<ArrayView2<'_, f64>>) -> Self {
        let space = model.space();
        assert!(space.values().is_none(), "this path is for continuous spaces");
        let kernel: Arc<dyn Kernel> =
            if model.gradient().is_some() { Arc::new(Hmc::default()) } else { Arc::new(RandomWalk) };
        let (centre, spread) = match &space.domain {
            Domain::Box { lower, upper } => (
                lower.iter().zip(upper).map(|(l, u)| 0.5 * (l + u)).collect(),
                lower.iter().zip(upper).map(|(l, u)| 0.25 * (u - l)).collect(),
            ),
            _ => (vec![0.0; space.dim], vec![1.0; space.dim]),
        };
        let mut shared = Shared { model, space, centre, spread, explored: None };
        if let Some(data) = data {
            shared.fit(data);
        }
        Self {
            shared: Arc::new(shared),
            kernel,
            step_size: Arc::new(StepSize::constant(0.5)),
            fitted_to_data: data.is_some_and(|data| data.nrows() > 1),
        }
    }

    /// The same path with another kernel.
    #[must_use]
    pub fn with_kernel(mut self, kernel: Arc<dyn Kernel>) -> Self {
        self.kernel = kernel;
        self
    }

    /// The same path from N(centre, spread²) in each coordinate, on ℝᵈ.
    ///
    /// # Panics
    /// Unless there are `dim` finite centres and positive spreads.
    #[must_use]
    pub fn with_reference(mut self, centre: Vec<f64>, spread: Vec<f64>) -> Self {
        assert!(centre.len() == self.shared.space.dim && spread.len() == centre.len(), "one per coordinate");
        assert!(spread.iter().all(|s| *s > 0.0) && centre.iter().all(|c| c.is_finite()), "a proper normal");
        self.shared = Arc::new(Shared { centre, spread, ..(*self.shared).clone() });
        self.fitted_to_data = true;
        self
    }

    /// The same path from a reference `factor` times as wide.
    fn stretched(&self, factor: f64) -> Self {
        self.with_spread(self.shared.spread.iter().map(|spread| factor * spread).collect())
    }

    /// The same path from a reference of another width, with steps of about the same length.
    fn with_spread(&self, spread: Vec<f64>) -> Self {
        // Step sizes are in units of the spread.
        let growth = spread.iter().zip(&self.shared.spread).map(|(new, old)| (new / old).ln()).sum::<f64>();
        let step_size = Arc::new(self.step_size.divided((growth / spread.len() as f64).exp()));
        Self { shared: Arc::new(Shared { spread, ..(*self.shared).clone() }), step_size, ..self.clone() }
    }

    fn block(&self, states: Array2<f64>, stream: Stream) -> Box<dyn Ensemble> {
        let mut ends = Counted {
            model: Arc::clone(&self.shared.model),
            reference: self.shared.reference(),
            counts: Counts::default(),
        };
        let walkers = Walkers::new(states, &mut ends, self.kernel.uses_gradients());
        Box::new(GeometricEnsemble {
            ends,
            walkers,
            kernel: Arc::clone(&self.kernel),
            step_size: Arc::clone(&self.step_size),
            adapted: None,
            generator: stream.generator(),
        })
    }
}

impl Shared {
    /// Fits f₀ to rows of states: mean and 1.2 standard deviations. A box keeps its uniform reference.
    fn fit(&mut self, states: ArrayView2<'_, f64>) {
        if self.space.domain != Domain::Real || states.nrows() < 2 {
            return;
        }
        for (i, column) in states.axis_iter(Axis(1)).enumerate() {
            let mean = column.mean().unwrap_or(0.0);
            let variance = column.mapv(|x| (x - mean).powi(2)).sum() / (column.len() - 1) as f64;
            self.centre[i] = mean;
            // A coordinate that never varied would make a reference without width.
            self.spread[i] = 1.2 * variance.sqrt().max(1e-6 * (1.0 + mean.abs()));
        }
        if self.explored.is_none() {
            self.explored = Some((self.centre.clone(), self.spread.clone()));
        }
    }

    fn reference(&self) -> Reference {
        match &self.space.domain {
            Domain::Box { lower, upper } => {
                Reference::uniform(lower.clone(), upper.clone(), self.spread.clone())
            }
            _ => Reference::normal(self.centre.clone(), self.spread.clone()),
        }
    }
}

impl Path for GeometricPath {
    fn space(&self) -> Space {
        self.shared.space.clone()
    }

    fn log_z_reference(&self) -> f64 {
        0.0
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        let mut generator = stream.child(0).generator();
        let shared = &self.shared;
        let states = Array2::from_shape_fn((chains, shared.space.dim), |(_, i)| {
            if let Domain::Box { lower, upper } = &shared.space.domain {
                return lower[i] + (upper[i] - lower[i]) * generator.random::<f64>();
            }
            let noise: f64 = StandardNormal.sample(&mut generator);
            shared.centre[i] + shared.spread[i] * noise
        });
        self.block(states, stream)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.shared.space.check(states)?;
        Ok(self.block(states.to_owned(), stream))
    }

    fn tuned(&self, pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        let mut tuned = self.clone();
        if let Some(step_size) = StepSize::fitted(pilot.rungs) {
            tuned.step_size = Arc::new(step_size);
        }
        if !self.fitted_to_data {
            let mut shared = (*self.shared).clone();
            shared.fit(pilot.states);
            tuned.shared = Arc::new(shared);
        }
        Some(Arc::new(tuned))
    }

    fn explorers(&self) -> Vec<Arc<dyn Path>> {
        if self.fitted_to_data || self.shared.space.domain != Domain::Real {
            return Vec::new();
        }
        [0.3, 1.0, 3.0, 10.0, 30.0].map(|factor| Arc::new(self.stretched(factor)) as Arc<dyn Path>).to_vec()
    }

    fn finer(&self) -> Option<Arc<dyn Path>> {
        Some(Arc::new(Self { step_size: Arc::new(self.step_size.divided(4.0)), ..self.clone() }))
    }

    fn widened(&self) -> Option<Arc<dyn Path>> {
        if self.shared.space.domain != Domain::Real {
            return None;
        }
        let Shared { centre, spread, explored, .. } = self.shared.as_ref();
        let mut wide: Vec<f64> = spread.iter().map(|spread| 3.0 * spread).collect();
        if let Some((first_centre, first_spread)) = explored {
            for (i, wide) in wide.iter_mut().enumerate() {
                *wide = wide.max((centre[i] - first_centre[i]).abs() + first_spread[i]);
            }
        }
        Some(Arc::new(self.with_spread(wide)))
    }

    fn kernel(&self) -> String {
        self.kernel.name().into()
    }
}

/// The step size as a function of β: its logarithm is linear between knots.
#[derive(Clone, Debug, PartialEq)]
struct StepSize {
    knots: Vec<(f64, f64)>,
}

impl StepSize {
    fn constant(scale: f64) -> Self {
        Self { knots: vec![(0.0, scale.ln())] }
    }

    fn divided(&self, factor: f64) -> Self {
        Self { knots: self.knots.iter().map(|(beta, log)| (*beta, log - factor.ln())).collect() }
    }

    /// Through the adapted step sizes of a pilot, each averaged with its neighbours over a tenth of the rungs.
    fn fitted(rungs: &[RungStats]) -> Option<Self> {
        let logs: Vec<(f64, f64)> =
            rungs.iter().filter_map(|rung| Some((rung.beta, rung.step.mean_scale()?.ln()))).collect();
        let reach = logs.len() / 20;
        let knots: Vec<(f64, f64)> = (0..logs.len())
            .map(|k| {
                let near = &logs[k.saturating_sub(reach)..(k + reach + 1).min(logs.len())];
                (logs[k].0, near.iter().map(|(_, log)| log).sum::<f64>() / near.len() as f64)
            })
            .collect();
        (!knots.is_empty()).then_some(Self { knots })
    }

    fn at(&self, beta: f64) -> f64 {
        let after = self.knots.partition_point(|(knot, _)| *knot < beta);
        let log = if after == 0 {
            self.knots[0].1
        } else if after == self.knots.len() {
            self.knots[after - 1].1
        } else {
            let ((b0, y0), (b1, y1)) = (self.knots[after - 1], self.knots[after]);
            y0 + (y1 - y0) * (beta - b0) / (b1 - b0)
        };
        log.exp()
    }
}

/// Both ends of the path, counting what they are asked.
struct Counted {
    model: Arc<dyn Model>,
    reference: Reference,
    counts: Counts,
}

impl Ends for Counted {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn evaluate(&mut self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.counts.energy_evaluations += states.nrows() as u64;
        -self.model.energy(states)
    }

    fn evaluate_with_gradient(&mut self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        self.counts.energy_evaluations += states.nrows() as u64;
        self.counts.gradient_evaluations += states.nrows() as u64;
        let model = self.model.gradient().expect("kernels with gradients are for models that have them");
        let (energy, gradient) = model.energy_and_gradient(states);
        let gradient =
            if gradient.is_standard_layout() { gradient } else { gradient.as_standard_layout().into_owned() };
        (-energy, gradient)
    }
}

struct GeometricEnsemble {
    ends: Counted,
    walkers: Walkers,
    kernel: Arc<dyn Kernel>,
    step_size: Arc<StepSize>,
    /// The step size that an adapting pilot has come to.
    adapted: Option<f64>,
    generator: Generator,
}

impl Ensemble for GeometricEnsemble {
    fn chains(&self) -> usize {
        self.walkers.states.nrows()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for ((chain, k), value) in out.indexed_iter_mut() {
            *value = mix(betas[k], self.walkers.reference[chain], self.walkers.target[chain]);
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        let ends = self.walkers.target.iter().zip(&self.walkers.reference);
        for (value, (target, reference)) in out.iter_mut().zip(ends) {
            *value = (to - from) * (target - reference);
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        let ends = self.walkers.target.iter().zip(&self.walkers.reference);
        for (value, (target, reference)) in first.iter_mut().zip(ends) {
            *value = target - reference;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        let scale = match movement {
            Move::Adapting => self.adapted.unwrap_or_else(|| self.step_size.at(beta)),
            Move::Forward | Move::Reversed => self.step_size.at(beta),
        };
        let stats = self.kernel.step(&mut self.walkers, &mut self.ends, beta, scale, &mut self.generator);
        if movement == Move::Adapting {
            let miss = stats.acceptance().unwrap_or(1.0) - self.kernel.target_acceptance();
            self.adapted = Some((scale * (0.7 * miss).exp()).clamp(1e-8, 10.0));
        }
        self.ends.counts.sweeps += self.walkers.states.nrows() as u64;
        stats
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        let before = self.walkers.clone();
        for &(to, from) in moves {
            self.walkers.assign(to, &before, from);
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            self.walkers.assign(to, &other.walkers, from);
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        let mine = self.walkers.clone();
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            self.walkers.assign(chain, &other.walkers, chain);
            other.walkers.assign(chain, &mine, chain);
        }
    }

    fn states(&self) -> Array2<f64> {
        self.walkers.states.clone()
    }

    fn counts(&self) -> Counts {
        self.ends.counts
    }
}
