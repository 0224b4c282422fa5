//! Energies that are perceptrons, on continuous data.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, IxDyn, concatenate, s};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Arrays, Learner, MONITORED, Schedule, Training, mean, schedule, some, stored};
use crate::error::{Error, Result};
use crate::kernels::{Ends, Kernel, Mala, Reference, Walkers};
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::network::{Function, Graph, Network, Output, Precision};
use crate::models::rbm::softplus;
use crate::models::{Base, Domain, FunctionModel, Model, Space, Tilt, Tilted};

/// Chains to a block, which one thread moves.
const BLOCK: usize = 64;
/// The share of the chains of an update that start anew from the base.
const RENEWED: f64 = 0.02;
/// How strongly the step size follows the acceptance of an update.
const ADAPTED: f64 = 0.1;
/// Adam's memory of slopes and of their squares, and what keeps a division by nothing away.
const MEMORY: [f64; 2] = [0.9, 0.999];
const LEAST: f64 = 1e-8;
/// Half of the distance between the two states whose parameter gradients' difference is a second derivative, as a part of 1.
const APART: f64 = 1e-4;

/// What an energy is fitted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Maximum likelihood; the negative phase from chains that are kept in a buffer and moved by the Metropolis-adjusted Langevin
    /// algorithm at each update (Tieleman 2008, doi:10.1145/1390156.1390290; Du & Mordatch 2019, arXiv:1903.08689).
    #[default]
    Persistent,
    /// Denoising score matching (Vincent 2011, doi:10.1162/NECO_a_00142): of the data with noise added, so no maximum likelihood, and
    /// Z plays no part in it.
    ScoreMatching,
    /// Noise-contrastive estimation (Gutmann & Hyvärinen 2012, JMLR 13:307): data are told from draws of the base, and log Z is learnt
    /// as a parameter.
    NoiseContrast,
}

impl Method {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("persistent", Self::Persistent),
        ("score-matching", Self::ScoreMatching),
        ("noise-contrast", Self::NoiseContrast),
    ];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Persistent => "maximum likelihood with persistent Langevin chains",
            Self::ScoreMatching => "denoising score matching",
            Self::NoiseContrast => "noise-contrastive estimation",
        })
    }
}

/// Settings of the training of a perceptron E: ℝᵈ → ℝ whose density is exp(−E(x)) against a base: a normal, or a box.
///
/// Parameters are moved by Adam (Kingma & Ba 2015, arXiv:1412.6980) along the gradient of the method. The last layer starts at zero, so
/// that the first model is the base itself, and chains start there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Passes, batches and learning rate.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Units of each hidden layer.
    pub layers: Vec<usize>,
    /// What comes after each hidden layer.
    pub activation: Activation,
    /// What exp(−E) is a density against; a normal of the data's mean and twice their standard deviation where it is
    /// [`Base::Own`].
    pub base: Base,
    /// What it is fitted by.
    pub method: Method,
    /// Chains that are kept, from which each update picks as many as there are rows in a batch.
    pub buffer: usize,
    /// Langevin steps of these per update.
    pub steps: usize,
    /// The standard deviation of the noise of score matching, as a share of the data's.
    pub noise: f64,
    /// Draws of noise to a row of data, with noise contrast.
    pub contrasts: usize,
}

/// The function between layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// x σ(x).
    #[default]
    Silu,
    /// log(1 + eˣ).
    Softplus,
    /// tanh x.
    Tanh,
    /// max(0, x).
    Relu,
}

impl Activation {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 4] =
        [("silu", Self::Silu), ("softplus", Self::Softplus), ("tanh", Self::Tanh), ("relu", Self::Relu)];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, choice)| *choice == self).expect("all are listed").0
    }

    fn function(self) -> Function {
        match self {
            Self::Silu => Function::Silu,
            Self::Softplus => Function::Softplus,
            Self::Tanh => Function::Tanh,
            Self::Relu => Function::LeakyRelu { slope: 0.0 },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule: Schedule { learning_rate: 1e-3, weight_decay: 0.0, ..Schedule::default() },
            layers: vec![128, 128],
            activation: Activation::default(),
            base: Base::Own,
            method: Method::default(),
            buffer: 4096,
            steps: 20,
            noise: 0.1,
            contrasts: 8,
        }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        for units in &self.layers {
            schedule::counts(&[("--layers", *units)])?;
        }
        if !(1..=32).contains(&self.layers.len()) {
            return Err(Error::setting("--layers", self.layers.len(), "between 1 and 32 hidden layers"));
        }
        schedule::counts(&[
            ("--buffer", self.buffer),
            ("--steps", self.steps),
            ("--contrasts", self.contrasts),
        ])?;
        if !(self.noise > 0.0 && self.noise <= 10.0) {
            return Err(Error::setting(
                "--noise",
                self.noise,
                "a positive share of the data's spread, such as 0.1",
            ));
        }
        self.schedule.check()
    }

    /// The base for these data, with as few digits as do, so that it is easily written.
    #[must_use]
    pub fn base_for(&self, data: ArrayView2<'_, f64>) -> Base {
        if self.base != Base::Own {
            return self.base.clone();
        }
        let (mean, spread) = (data.mean().unwrap_or(0.0), 2.0 * data.std(0.0));
        let digit = 10f64.powf(spread.log10().floor() - 1.0);
        if !digit.is_normal() {
            return Base::Normal { mean, standard_deviation: 1.0 };
        }
        // By way of text, which has no rounding of its own.
        let short = |x: f64| format!("{:.0}e{:.0}", x / digit, digit.log10()).parse().unwrap_or(x);
        Base::Normal { mean: short(mean), standard_deviation: short(spread) }
    }
}

/// A training on rows of real numbers. Its models are [`Tilted`] networks.
///
/// Figures: with [`Method::Persistent`] the mean energy of the data less that of all chains (`energy gap`) and the
/// acceptance of the last update's steps (`acceptance`); with the others the loss of the last update (`loss`); with
/// [`Method::NoiseContrast`] the learnt log Z (`log Z learnt`).
///
/// # Errors
/// [`Error::Setting`] from [`Settings::check`] or for a base that does not suit the data's width; [`Error::Data`] for no data, values
/// that are not finite, or rows outside the box.
pub fn training<'a>(data: ArrayView2<'a, f64>, settings: &Settings) -> Result<Training<'a>> {
    settings.check()?;
    some(data)?;
    Space::new(data.ncols(), Domain::Real).check(data)?;
    let flat = FunctionModel::new(Space::new(data.ncols(), Domain::Real), |_| 0.0);
    let base = settings.base_for(data);
    Tilted::new(Arc::new(flat), Tilt { base, confinement: 0.0 })?.space().check(data)?;
    let learner = NetworkLearner::new(data, settings);
    Ok(Training::new(Box::new(learner), &settings.schedule, data.nrows()))
}

/// A parameter, with Adam's memory.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    values: ArrayD<f64>,
    slope: ArrayD<f64>,
    square: ArrayD<f64>,
}

impl Parameter {
    fn new(name: String, values: ArrayD<f64>) -> Self {
        let zero = ArrayD::zeros(values.raw_dim());
        Self { name, slope: zero.clone(), square: zero, values }
    }

    /// One step of Adam up `gradient`, the `count`-th.
    fn climb(&mut self, gradient: &ArrayD<f64>, rate: f64, count: f64) {
        let [slopes, squares] = MEMORY;
        let corrected = |memory: f64| 1.0 - memory.powf(count);
        let (first, second) = (corrected(slopes), corrected(squares));
        ndarray::azip!((value in &mut self.values, m in &mut self.slope, v in &mut self.square, &g in gradient) {
            *m = slopes * *m + (1.0 - slopes) * g;
            *v = squares * *v + (1.0 - squares) * g * g;
            *value += rate * (*m / first) / ((*v / second).sqrt() + LEAST);
        });
    }
}

struct NetworkLearner<'a> {
    data: ArrayView2<'a, f64>,
    settings: Settings,
    base: Base,
    /// What chains start from and take noise from.
    reference: Reference,
    /// Weights and biases, layer by layer.
    parameters: Vec<Parameter>,
    /// log Z as noise contrast learns it.
    log_z: Parameter,
    updates: f64,
    buffer: Array2<f64>,
    step_size: f64,
    stream: Stream,
    count: u64,
    seen: Vec<(&'static str, f64)>,
}

impl<'a> NetworkLearner<'a> {
    fn new(data: ArrayView2<'a, f64>, settings: &Settings) -> Self {
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

    fn network(&self) -> Result<Network> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimators::{Settings as Effort, Silent, by_name};

    /// Two normals of unequal weight in the plane.
    fn data(rows: usize) -> Array2<f64> {
        let mut generator = Stream::new(8).generator();
        Array2::from_shape_fn((rows, 2), |(row, column)| {
            let normal: f64 = StandardNormal.sample(&mut generator);
            let (centre, spread) = if row % 3 == 0 { (-1.5, 0.3) } else { (1.0, 0.5) };
            centre * f64::from(u8::from(column == 0)) + spread * normal
        })
    }

    fn settings(method: Method) -> Settings {
        Settings { layers: vec![5, 4], method, activation: Activation::Tanh, ..Settings::default() }
    }

    /// The gradient that Adam was given, against differences of the loss with the same noise.
    #[test]
    fn losses_fall_along_their_gradients() {
        let data = data(12);
        let rows: Vec<usize> = (0..12).collect();
        let bounded = Base::Box { lower: vec![-4.0, -3.0], upper: vec![4.0, 5.0] };
        for (method, base) in [
            (Method::ScoreMatching, Base::Own),
            (Method::NoiseContrast, Base::Own),
            (Method::NoiseContrast, bounded),
        ] {
            let settings = Settings { base, ..settings(method) };
            let make = |moved: Option<(usize, usize, f64)>| {
                let mut learner = NetworkLearner::new(data.view(), &settings);
                // The last layer starts at zero, where most slopes vanish.
                for (i, value) in learner.parameters[4].values.iter_mut().enumerate() {
                    *value = 0.5 - 0.3 * i as f64;
                }
                learner.log_z.values.fill(0.7);
                if let Some((parameter, index, by)) = moved {
                    let parameter = learner.parameters.get_mut(parameter).unwrap_or(&mut learner.log_z);
                    let values = &mut parameter.values;
                    values.as_slice_mut().expect("contiguous")[index] += by;
                }
                learner.update(&rows, 0.0).expect("updates");
                learner
            };
            let loss = |learner: &NetworkLearner<'_>| {
                learner.seen.iter().find(|(name, _)| *name == "loss").expect("told").1
            };
            let found = make(None);
            let slopes = found.parameters.iter().chain([&found.log_z]).map(|parameter| &parameter.slope);
            for (number, slope) in slopes.enumerate() {
                if number == found.parameters.len() && method == Method::ScoreMatching {
                    continue;
                }
                for (index, slope) in slope.iter().enumerate() {
                    let step = 1e-5;
                    let at = |by: f64| loss(&make(Some((number, index, by))));
                    let difference = (at(step) - at(-step)) / (2.0 * step);
                    // Adam's memory of one slope, which goes up.
                    let claimed = -slope / (1.0 - MEMORY[0]);
                    let scale = 1.0 + difference.abs();
                    assert!(
                        (claimed - difference).abs() < 2e-5 * scale,
                        "{method}, {number}[{index}]: {claimed} for {difference}"
                    );
                }
            }
        }
    }

    /// The entropy of the source is 1.75 nats (but for the little that its parts overlap), which bounds the likelihood from above.
    #[test]
    fn every_method_finds_two_normals_and_noise_contrast_their_log_z() {
        let data = data(3000);
        for (method, least) in
            [(Method::Persistent, -1.85), (Method::ScoreMatching, -2.1), (Method::NoiseContrast, -1.85)]
        {
            let schedule = Schedule { epochs: 40, learning_rate: 5e-3, ..Settings::default().schedule };
            let settings = Settings {
                layers: vec![32, 32],
                activation: Activation::Silu,
                buffer: 512,
                schedule,
                ..settings(method)
            };
            let mut training = training(data.view(), &settings).expect("valid");
            let mut last = None;
            while let Some(epoch) = training.epoch(&Silent).expect("trains") {
                last = Some(epoch);
            }
            let last = last.expect("an epoch");
            let quadrature = by_name("quadrature").expect("registered");
            let log_z =
                quadrature.estimate(&last.model, &Effort::default(), &Silent).expect("integrates").log_z;
            let reached = -mean(&last.model.energy(data.view())) - log_z;
            assert!(reached > least && reached < -1.68, "{method}: {reached}");
            if let Some(learnt) = last.figure("log Z learnt") {
                assert!((learnt - log_z).abs() < 0.1, "{learnt} for {log_z}");
            }
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads_and_after_a_break() {
        let data = data(300);
        for (_, method) in Method::NAMES {
            let mut settings = settings(method);
            settings.schedule.epochs = 3;
            let make = || training(data.view(), &settings).expect("valid");
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| make().finish(&Silent).expect("trains").energy(data.view()))
            };
            let one = on(1);
            assert!(one == on(3), "{method}");
            let mut first = make();
            first.epoch(&Silent).expect("trains");
            let rest = make().resume(&first.state(), 1).expect("its own state");
            assert!(one == rest.finish(&Silent).expect("trains").energy(data.view()), "{method}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let data = data(30);
        let refused = |settings: Settings| training(data.view(), &settings).expect_err("refused").to_string();
        let usual = || settings(Method::Persistent);
        assert!(refused(Settings { layers: vec![], ..usual() }).starts_with("--layers 0"));
        assert!(refused(Settings { layers: vec![0], ..usual() }).starts_with("--layers 0"));
        assert!(refused(Settings { buffer: 0, ..usual() }).starts_with("--buffer 0"));
        assert!(refused(Settings { noise: 0.0, ..usual() }).starts_with("--noise 0"));
        let narrow = Base::Box { lower: vec![0.0; 2], upper: vec![0.1; 2] };
        assert!(refused(Settings { base: narrow, ..usual() }).contains("row 0"));
        let short = Base::Box { lower: vec![0.0], upper: vec![0.1] };
        assert!(refused(Settings { base: short, ..usual() }).contains("a box is LO,HI"));
        let base = usual().base_for(data.view());
        assert!(
            matches!(base, Base::Normal { mean, standard_deviation } if mean.abs() < 1.0 && (1.5..3.0).contains(&standard_deviation)),
            "{base:?}"
        );
    }
}
