//! The parameters of a perceptron, its chains, and what each method moves them by.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, IxDyn, concatenate, s};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::adam::Parameter;
use super::{Method, Settings};
use crate::error::{Error, Result};
use crate::kernels::{Ends, Kernel, Mala, Reference, Walkers};
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::network::{Graph, Network, Output, Precision};
use crate::models::rbm::softplus;
use crate::models::{Base, Domain, Model, Tilt, Tilted};
use crate::training::{Arrays, Learner, MONITORED, mean, stored};

/// Chains to a block, which one thread moves.
const BLOCK: usize = 64;
/// The share of the chains of an update that start anew from the base.
const RENEWED: f64 = 0.02;
/// How strongly the step size follows the acceptance of an update.
const ADAPTED: f64 = 0.1;
/// Half of the distance between the two states whose parameter gradients' difference is a second derivative, as a part of 1.
const APART: f64 = 1e-4;

pub(super) struct NetworkLearner<'a> {
    data: ArrayView2<'a, f64>,
    settings: Settings,
    base: Base,
    /// What chains start from and take noise from.
    reference: Reference,
    /// Weights and biases, layer by layer.
    pub parameters: Vec<Parameter>,
    /// log Z as noise contrast learns it.
    pub log_z: Parameter,
    updates: f64,
    buffer: Array2<f64>,
    step_size: f64,
    stream: Stream,
    count: u64,
    pub seen: Vec<(&'static str, f64)>,
}

impl<'a> NetworkLearner<'a> {
    pub(super) fn new(data: ArrayView2<'a, f64>, settings: &Settings) -> Self {
        let dim = data.ncols();
        let stream = Stream::new(settings.schedule.seed).child(2);
        let mut generator = stream.generator();
        let base = settings.base_for(data);
        let sizes: Vec<usize> =
            std::iter::once(dim).chain(settings.layers.iter().copied()).chain([1]).collect();
        let mut parameters = Vec::new();
        for (layer, pair) in sizes.windows(2).enumerate() {
            let bound = if layer == settings.layers.len() { 0.0 } else { 1.0 / (pair[0] as f64).sqrt() };
            let mut uniform = |shape: &[usize]| {
                let draw = || bound * generator.random_range(-1.0..1.0);
                ArrayD::from_shape_simple_fn(IxDyn(shape), draw)
            };
            // As PyTorch names the layers of a sequence in which functions have numbers, too.
            parameters.push(Parameter::new(format!("{}.weight", 2 * layer), uniform(&[pair[1], pair[0]])));
            parameters.push(Parameter::new(format!("{}.bias", 2 * layer), uniform(&[pair[1]])));
        }
        let scales = data.std_axis(Axis(0), 0.0).mapv(|scale| if scale > 0.0 { scale } else { 1.0 });
        let reference = match &base {
            Base::Normal { mean, standard_deviation } => {
                Reference::normal(vec![*mean; dim], vec![*standard_deviation; dim])
            }
            Base::Box { lower, upper } => Reference::uniform(lower.clone(), upper.clone(), scales.to_vec()),
            Base::Own => unreachable!("a base was chosen for the data"),
        };
        let buffer = match settings.method {
            Method::Persistent => reference.sample(settings.buffer, &mut generator),
            _ => Array2::zeros((0, dim)),
        };
        Self {
            data,
            settings: settings.clone(),
            base,
            reference,
            parameters,
            log_z: Parameter::new("log_z".into(), ndarray::arr0(0.0).into_dyn()),
            updates: 0.0,
            buffer,
            step_size: 0.1,
            stream,
            count: 0,
            seen: Vec::new(),
        }
    }

    pub(super) fn network(&self) -> Result<Network> {
        let failed = |message: String| Error::model("network", message);
        let (mut graph, mut value) = Graph::new(&[self.data.ncols()]);
        for (layer, pair) in self.parameters.chunks_exact(2).enumerate() {
            if let Some(name) = pair.iter().find(|p| p.values.iter().any(|x| !x.is_finite())) {
                return Err(failed(format!("`{}` is not finite", name.name)));
            }
            let [weight, bias] = [&pair[0], &pair[1]].map(|p| graph.constant(&p.name, p.values.clone()));
            value = graph.linear(&value, &weight, Some(&bias), true).map_err(failed)?;
            if layer < self.settings.layers.len() {
                value = graph.unary(self.settings.activation.function(), &value).map_err(failed)?;
            }
        }
        Network::new(graph, &value, Output::Energy, Domain::Real, Precision::Double)
    }

    fn tilted(&self) -> Result<Arc<dyn Model>> {
        let tilt = Tilt { base: self.base.clone(), confinement: 0.0 };
        Ok(Arc::new(Tilted::new(Arc::new(self.network()?), tilt)?))
    }

    /// Moves a pick of the chains, and returns it.
    fn sample(&mut self, chains: usize, generator: &mut Generator) -> Result<Array2<f64>> {
        let model = self.tilted()?;
        let chains = chains.min(self.buffer.nrows());
        let picks = rand::seq::index::sample(generator, self.buffer.nrows(), chains).into_vec();
        let renewed = self.reference.sample(chains, generator);
        let mut states = self.buffer.select(Axis(0), &picks);
        for (mut state, fresh) in states.rows_mut().into_iter().zip(renewed.rows()) {
            if generator.random_bool(RENEWED) {
                state.assign(&fresh);
            }
        }
        let stream = self.stream.child(self.count).child(1);
        let (reference, steps, scale) = (&self.reference, self.settings.steps, self.step_size);
        let moved: Vec<(Array2<f64>, f64, f64)> = states
            .axis_chunks_iter(Axis(0), BLOCK)
            .into_par_iter()
            .enumerate()
            .map(|(block, states)| {
                let mut ends = Target { reference, model: &*model };
                let mut generator = stream.child(block as u64).generator();
                let mut walkers = Walkers::new(states.to_owned(), &mut ends, true);
                let (mut accepted, mut proposals) = (0.0, 0.0);
                for _ in 0..steps {
                    let stats = Mala.step(&mut walkers, &mut ends, 1.0, scale, &mut generator);
                    accepted += stats.accepted;
                    proposals += stats.proposals;
                }
                (walkers.states, accepted, proposals)
            })
            .collect();
        let (mut accepted, mut proposals) = (0.0, 0.0);
        for ((block, more, tried), picks) in moved.iter().zip(picks.chunks(BLOCK)) {
            for (state, &pick) in block.rows().into_iter().zip(picks) {
                self.buffer.row_mut(pick).assign(&state);
            }
            accepted += more;
            proposals += tried;
        }
        let acceptance = accepted / f64::max(proposals, 1.0);
        self.step_size *= (ADAPTED * (acceptance - Mala.target_acceptance())).exp();
        self.seen.push(("acceptance", acceptance));
        let views: Vec<_> = moved.iter().map(|(states, ..)| states.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("blocks of one width"))
    }

    /// Moves up Σᵢ wᵢ ∂E(xᵢ)/∂θ less the pull of weight decay.
    fn climb(&mut self, network: &Network, states: ArrayView2<'_, f64>, weights: &[f64], rate: f64) {
        let (_, gradients) = network.parameter_gradients(states, weights);
        self.updates += 1.0;
        for parameter in &mut self.parameters {
            let found = gradients.iter().find(|(name, _)| *name == parameter.name);
            let Some((_, gradient)) = found else { continue };
            let gradient = if parameter.name.ends_with("weight") {
                gradient - &(self.settings.schedule.weight_decay * &parameter.values)
            } else {
                gradient.clone()
            };
            parameter.climb(&gradient, rate, self.updates);
        }
    }

    fn maximise(&mut self, rows: &Array2<f64>, rate: f64, generator: &mut Generator) -> Result<()> {
        let chains = self.sample(rows.nrows(), generator)?;
        let network = self.network()?;
        let (states, weights) = opposed(rows, &chains);
        self.climb(&network, states.view(), &weights, rate);
        Ok(())
    }

    /// ½ |s(x + σξ) + ξ/σ|² with s = −∇(E − log b): its gradient is −∂/∂θ of r·∇E at x + σξ, r = s + ξ/σ, which is a difference of
    /// ∂E/∂θ along r.
    fn match_scores(&mut self, rows: &Array2<f64>, rate: f64, generator: &mut Generator) -> Result<()> {
        let sigma = self.settings.noise * self.data.std(0.0).max(f64::MIN_POSITIVE);
        let noise: Array2<f64> =
            Array2::from_shape_simple_fn(rows.dim(), || StandardNormal.sample(generator));
        let noisy = rows + &(sigma * &noise);
        let model = self.tilted()?;
        let gradients = model.gradient().expect("networks have gradients");
        let rest = noise / sigma - gradients.energy_and_gradient(noisy.view()).1;
        let count = rows.nrows() as f64;
        self.seen.push(("loss", 0.5 * rest.mapv(|r| r * r).sum() / count));
        let longest = rest.rows().into_iter().map(|row| row.dot(&row).sqrt()).fold(0.0, f64::max);
        let step = APART * sigma / longest.max(f64::MIN_POSITIVE);
        let (states, mut weights) = opposed(&(&noisy + &(step * &rest)), &(&noisy - &(step * &rest)));
        // Up the negative loss, whose gradient is ⟨∂E/∂θ at one end less that at the other⟩/2h.
        for weight in &mut weights {
            *weight *= -0.5 / step;
        }
        let network = self.network()?;
        self.climb(&network, states.view(), &weights, rate);
        Ok(())
    }

    /// Up the log-likelihood of a logistic regression with logit −E(x) − c − log ν, since the noise is the base itself, and c = log Z.
    fn contrast(&mut self, rows: &Array2<f64>, rate: f64, generator: &mut Generator) -> Result<()> {
        let network = self.network()?;
        let contrasts = self.settings.contrasts as f64;
        let noise = self.reference.sample(rows.nrows() * self.settings.contrasts, generator);
        let states = concatenate(Axis(0), &[rows.view(), noise.view()]).expect("rows of one width");
        let shift = self.log_z.values.sum() + contrasts.ln() + self.density_of_box();
        let logits = network.energy(states.view()).mapv(|energy| -energy - shift);
        let count = rows.nrows() as f64;
        let mut loss = 0.0;
        // ∂ log-likelihood/∂logit.
        let slopes: Vec<f64> = logits
            .iter()
            .enumerate()
            .map(|(i, &logit)| {
                let data = i < rows.nrows();
                loss += softplus(if data { -logit } else { logit }) / count;
                let chance = 1.0 / (1.0 + (-logit).exp());
                (f64::from(u8::from(data)) - chance) / count
            })
            .collect();
        self.seen.push(("loss", loss));
        let pull = -slopes.iter().sum::<f64>();
        let weights: Vec<f64> = slopes.iter().map(|slope| -slope).collect();
        self.climb(&network, states.view(), &weights, rate);
        // One number whose gradient is a sum over all states may move faster than weights.
        self.log_z.climb(&ndarray::arr0(pull).into_dyn(), 10.0 * rate, self.updates);
        Ok(())
    }

    /// log of the uniform density on a box, which is not in its measure; 0 for a normal, which is.
    fn density_of_box(&self) -> f64 {
        match &self.base {
            Base::Box { lower, upper } => -lower.iter().zip(upper).map(|(l, u)| (u - l).ln()).sum::<f64>(),
            _ => 0.0,
        }
    }
}

/// Rows with weights that give ⟨·⟩ over the second less ⟨·⟩ over the first.
fn opposed(first: &Array2<f64>, second: &Array2<f64>) -> (Array2<f64>, Vec<f64>) {
    let states = concatenate(Axis(0), &[first.view(), second.view()]).expect("rows of one width");
    let each = |rows: usize, sign: f64| std::iter::repeat_n(sign / rows as f64, rows);
    (states, each(first.nrows(), -1.0).chain(each(second.nrows(), 1.0)).collect())
}

/// The model alone, as the end at β = 1.
struct Target<'a> {
    reference: &'a Reference,
    model: &'a dyn Model,
}

impl Ends for Target<'_> {
    fn reference(&self) -> &Reference {
        self.reference
    }

    fn evaluate(&mut self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        -self.model.energy(states)
    }

    fn evaluate_with_gradient(&mut self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let gradient = self.model.gradient().expect("networks have gradients");
        let (energy, slope) = gradient.energy_and_gradient(states);
        (-energy, slope)
    }
}

impl Learner for NetworkLearner<'_> {
    fn begin_epoch(&mut self, stream: Stream) {
        self.stream = stream;
        self.count = 0;
    }

    fn update(&mut self, rows: &[usize], rate: f64) -> Result<()> {
        let rows = self.data.select(Axis(0), rows);
        let mut generator = self.stream.child(self.count).child(0).generator();
        self.seen.clear();
        match self.settings.method {
            Method::Persistent => self.maximise(&rows, rate, &mut generator)?,
            Method::ScoreMatching => self.match_scores(&rows, rate, &mut generator)?,
            Method::NoiseContrast => self.contrast(&rows, rate, &mut generator)?,
        }
        self.count += 1;
        Ok(())
    }

    fn figures(&mut self, _generator: &mut Generator) -> Result<Vec<(&'static str, f64)>> {
        let mut figures = self.seen.clone();
        if self.settings.method == Method::NoiseContrast {
            figures.push(("log Z learnt", self.log_z.values.sum()));
        }
        if self.settings.method == Method::Persistent {
            let seen = self.data.slice(s![..self.data.nrows().min(MONITORED), ..]);
            let model = self.tilted()?;
            let gap = mean(&model.energy(seen)) - mean(&model.energy(self.buffer.view()));
            figures.push(("energy gap", gap));
        }
        Ok(figures)
    }

    fn model(&self) -> Result<Arc<dyn Model>> {
        self.tilted()
    }

    fn state(&self) -> Arrays {
        let number = |x: f64| ndarray::arr0(x).into_dyn();
        let mut state = Arrays::from([
            ("updates".into(), number(self.updates)),
            ("step_size".into(), number(self.step_size)),
            ("buffer".into(), self.buffer.clone().into_dyn()),
        ]);
        for parameter in self.parameters.iter().chain([&self.log_z]) {
            let name = &parameter.name;
            state.insert(name.clone(), parameter.values.clone());
            state.insert(format!("{name}.slope"), parameter.slope.clone());
            state.insert(format!("{name}.square"), parameter.square.clone());
        }
        state
    }

    fn restore(&mut self, state: &Arrays) -> Result<()> {
        let take = |name: &str, like: &ArrayD<f64>| -> Result<ArrayD<f64>> {
            let values = stored(state, name, like.len())?.iter().copied().collect();
            Ok(ArrayD::from_shape_vec(like.raw_dim(), values).expect("as many as that"))
        };
        self.updates = stored(state, "updates", 1)?.sum();
        self.step_size = stored(state, "step_size", 1)?.sum();
        let buffer = take("buffer", &self.buffer.clone().into_dyn())?;
        self.buffer = buffer.into_dimensionality().expect("two axes as before");
        for parameter in self.parameters.iter_mut().chain([&mut self.log_z]) {
            let name = parameter.name.clone();
            parameter.values = take(&name, &parameter.values)?;
            parameter.slope = take(&format!("{name}.slope"), &parameter.slope)?;
            parameter.square = take(&format!("{name}.square"), &parameter.square)?;
        }
        Ok(())
    }
}
