//! Energies that are perceptrons, on continuous data.

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use self::learner::NetworkLearner;
use super::{Schedule, Training, schedule, some};
use crate::error::{Error, Result};
use crate::models::network::Function;
use crate::models::{Base, Domain, FunctionModel, Model, Space, Tilt, Tilted};

mod adam;
mod learner;

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

#[cfg(test)]
mod tests {
    use super::adam::MEMORY;
    use super::*;
    use crate::estimators::{Settings as Effort, Silent, by_name};
    use crate::math::Stream;
    use crate::training::{Learner, mean};
    use ndarray::Array2;
    use rand_distr::{Distribution, StandardNormal};

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

    /// A learner whose last layer, which starts at zero, where most slopes vanish, does not; with one number of a parameter moved.
    fn away<'a>(
        data: &'a Array2<f64>,
        settings: &Settings,
        moved: Option<(usize, usize, f64)>,
    ) -> NetworkLearner<'a> {
        let mut learner = NetworkLearner::new(data.view(), settings);
        for (i, value) in learner.parameters[4].values.iter_mut().enumerate() {
            *value = 0.5 - 0.3 * i as f64;
        }
        learner.log_z.values.fill(0.7);
        if let Some((parameter, index, by)) = moved {
            let parameter = learner.parameters.get_mut(parameter).unwrap_or(&mut learner.log_z);
            parameter.values.as_slice_mut().expect("contiguous")[index] += by;
        }
        learner
    }

    /// The gradient of maximum likelihood, with the mean under the model from a grid in place of chains, against differences of the
    /// exact log-likelihood.
    #[test]
    fn the_likelihood_rises_along_its_gradient() {
        const SPACING: f64 = 0.1;
        let data = data(12);
        let settings = Settings { layers: vec![3, 2], ..settings(Method::Persistent) };
        let log_z = |learner: &NetworkLearner<'_>| {
            let model = learner.model().expect("finite");
            let quadrature = by_name("quadrature").expect("registered");
            quadrature.estimate(&model, &Effort::default(), &Silent).expect("integrates").log_z
        };
        let likelihood = |moved: (usize, usize, f64)| {
            let learner = away(&data, &settings, Some(moved));
            -mean(&learner.model().expect("finite").energy(data.view())) - log_z(&learner)
        };
        let found = away(&data, &settings, None);
        let grid = Array2::from_shape_fn((301 * 301, 2), |(i, axis)| {
            SPACING * ([i / 301, i % 301][axis] as f64 - 150.0)
        });
        let energies = found.model().expect("finite").energy(grid.view());
        let cell = SPACING * SPACING * (-log_z(&found)).exp();
        let of_grid: Vec<f64> = energies.iter().map(|energy| cell * (-energy).exp()).collect();
        assert!((of_grid.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let states = ndarray::concatenate![ndarray::Axis(0), data, grid];
        let weights: Vec<f64> = std::iter::repeat_n(-1.0 / 12.0, 12).chain(of_grid).collect();
        let (_, gradients) = found.network().expect("finite").parameter_gradients(states.view(), &weights);
        for (number, parameter) in found.parameters.iter().enumerate() {
            let (_, gradient) =
                gradients.iter().find(|(name, _)| *name == parameter.name).expect("every parameter");
            for (index, slope) in gradient.iter().enumerate() {
                let step = 1e-4;
                let [up, down] = [step, -step].map(|by| likelihood((number, index, by)));
                let difference = (up - down) / (2.0 * step);
                assert!(
                    (slope - difference).abs() < 2e-5 * (1.0 + difference.abs()),
                    "{}[{index}]: {slope} for {difference}",
                    parameter.name
                );
            }
        }
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
                let mut learner = away(&data, &settings, moved);
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
