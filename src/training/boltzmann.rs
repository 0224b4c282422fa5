//! Boltzmann machines without hidden units, of bits or spins.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Arrays, Learner, MONITORED, Negative, Schedule, Training, mean, schedule, some, stored};
use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::math::{Stream, log_sum_exp};
use crate::models::{Boltzmann, Model, Units};
use crate::paths::{self, Move, Population};

/// Most units that exact means are taken over, and states that are worked on together.
const MOST_BITS: usize = 20;
const BATCH: usize = 1024;
/// Steps up the pseudo-likelihood that a training starts with, and the length of the first.
const FIRST_STEPS: usize = 50;
const FIRST_LENGTH: f64 = 1.0;
/// Rows that pseudo-likelihoods take at most while they are climbed.
const MOST_ROWS: usize = 10_000;

/// Settings of the training of a Boltzmann machine without hidden units.
///
/// Parameters climb the difference of means over the data, which are taken once, and under the machine: with μ the data's mean,
/// ∇J = ⟨(x − μ)(x − μ)ᵀ⟩_d − ⟨(x − μ)(x − μ)ᵀ⟩_m − weight_decay · J off the diagonal, ∇h = ⟨x⟩_d − ⟨x⟩_m − ∇J μ: the gradient in
/// coordinates in which units are counted from their means (as for [RBMs](super::rbm::Settings)). An epoch has as many updates as batches
/// that the data would make.
///
/// The start is near the maximum of the pseudo-likelihood Σᵢ log p(xᵢ | the others) (Besag 1975, doi:10.2307/2987782; consistent too, but
/// of larger variance): fifty steps up its gradient, on 10,000 rows at most, from independent units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Passes, batches and learning rate.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// How means under the machine are taken; exactly for up to 20 units and with persistent chains beyond where it is left open.
    pub negative: Option<Negative>,
    /// Chains; they start at rows of the data. With [`Negative::Cd`] there are as many as rows in the batch.
    pub chains: usize,
    /// Sweeps of each chain per update.
    pub gibbs_steps: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { schedule: Schedule::default(), negative: None, chains: 128, gibbs_steps: 1 }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        schedule::counts(&[("--chains", self.chains), ("--gibbs-steps", self.gibbs_steps)])?;
        if self.negative == Some(Negative::Tempering) {
            let expected = "a Boltzmann machine without hidden units is trained by exact, pcd or cd";
            return Err(Error::setting("--negative", "tempering", expected));
        }
        self.schedule.check()
    }

    /// How means are taken with `units` units.
    #[must_use]
    pub fn negative_for(&self, units: usize) -> Negative {
        self.negative.unwrap_or(if units <= MOST_BITS { Negative::Exact } else { Negative::Pcd })
    }
}

/// ⟨−∂E/∂J⟩ = ⟨x xᵀ⟩ and ⟨−∂E/∂h⟩ = ⟨x⟩.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// ⟨x xᵀ⟩, (units, units).
    pub pairs: Array2<f64>,
    /// ⟨x⟩.
    pub units: Array1<f64>,
}

impl Moments {
    /// Means over rows.
    #[must_use]
    pub fn of(states: ArrayView2<'_, f64>) -> Self {
        let rows = states.nrows() as f64;
        Self { pairs: states.t().dot(&states) / rows, units: states.sum_axis(Axis(0)) / rows }
    }

    /// Means under a machine by summation over all states, and its log Z.
    ///
    /// # Errors
    /// [`Error::Setting`] beyond 20 units.
    pub fn of_model(machine: &Boltzmann) -> Result<(Self, f64)> {
        let dim = machine.fields().len();
        if dim > MOST_BITS {
            return Err(Error::setting(
                "--negative",
                "exact",
                format!(
                    "sums over 2^{dim} states are too many for a gradient; up to {MOST_BITS} units can be summed"
                ),
            ));
        }
        let low = if machine.units() == Units::Bits { 0.0 } else { -1.0 };
        let count = 1usize << dim;
        let batches: Vec<usize> = (0..count).step_by(BATCH).collect();
        let parts: Vec<(Self, f64)> = batches
            .into_par_iter()
            .map(|first| {
                let states = Array2::from_shape_fn((BATCH.min(count - first), dim), |(row, unit)| {
                    if (first + row) >> unit & 1 == 1 { 1.0 } else { low }
                });
                let log_weights: Vec<f64> = machine.energy(states.view()).iter().map(|e| -e).collect();
                let log_sum = log_sum_exp(&log_weights);
                let shares: Array1<f64> = log_weights.iter().map(|weight| (weight - log_sum).exp()).collect();
                let weighted = &states * &shares.insert_axis(Axis(1));
                (Self { pairs: states.t().dot(&weighted), units: weighted.sum_axis(Axis(0)) }, log_sum)
            })
            .collect();
        let log_sums: Vec<f64> = parts.iter().map(|(_, log_sum)| *log_sum).collect();
        let log_z = log_sum_exp(&log_sums);
        let mut total = Self { pairs: Array2::zeros((dim, dim)), units: Array1::zeros(dim) };
        for (part, log_sum) in &parts {
            let share = (log_sum - log_z).exp();
            total.pairs.scaled_add(share, &part.pairs);
            total.units.scaled_add(share, &part.units);
        }
        Ok((total, log_z))
    }
}

/// A training on rows of bits, or of spins where a value is −1. Figures are the mean over rows of Σᵢ log p(xᵢ | the others)
/// (`pseudo-log-likelihood`) and, where there are chains, the mean energy of the data less that of the chains (`energy gap`), in nats.
///
/// # Errors
/// [`Error::Setting`] from [`Settings::check`], or for exact means of more than 20 units; [`Error::Data`] for no data or values that are
/// neither all bits nor all spins.
///
/// ```
/// use lnz::estimators::Silent;
/// use lnz::training::boltzmann::{Settings, training};
/// let data = ndarray::array![[1.0, 1.0], [-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]];
/// let model = training(data.view(), &Settings::default())?.finish(&Silent)?;
/// assert_eq!(model.kind(), "boltzmann");
/// # Ok::<(), lnz::Error>(())
/// ```
pub fn training<'a>(data: ArrayView2<'a, f64>, settings: &Settings) -> Result<Training<'a>> {
    settings.check()?;
    some(data)?;
    let units = if data.iter().any(|&x| x < 0.0) { Units::Spins } else { Units::Bits };
    crate::models::Space::new(data.ncols(), units.domain()).check(data)?;
    let learner = BoltzmannLearner::new(data, units, settings)?;
    Ok(Training::new(Box::new(learner), &settings.schedule, data.nrows()))
}

struct BoltzmannLearner<'a> {
    data: ArrayView2<'a, f64>,
    units: Units,
    settings: Settings,
    negative: Negative,
    couplings: Array2<f64>,
    fields: Array1<f64>,
    observed: Moments,
    /// Chains, where means are not exact, and what their next sweeps take chance from.
    chains: Array2<f64>,
    stream: Stream,
    updates: u64,
}

impl<'a> BoltzmannLearner<'a> {
    fn new(data: ArrayView2<'a, f64>, units: Units, settings: &Settings) -> Result<Self> {
        let dim = data.ncols();
        let negative = settings.negative_for(dim);
        let stream = Stream::new(settings.schedule.seed).child(2);
        let mut generator = stream.generator();
        let count = if negative == Negative::Exact { 0 } else { settings.chains };
        let picks: Vec<usize> = (0..count).map(|_| generator.random_range(0..data.nrows())).collect();
        let chains = data.select(Axis(0), &picks);
        let seen = data.slice(s![..data.nrows().min(MOST_ROWS), ..]);
        let (couplings, fields) = likeliest_of_each(seen, units);
        let learner = Self {
            data,
            units,
            settings: settings.clone(),
            negative,
            couplings,
            fields,
            observed: Moments::of(data),
            chains,
            stream,
            updates: 0,
        };
        if negative == Negative::Exact {
            Moments::of_model(&learner.machine()?)?;
        }
        Ok(learner)
    }

    fn machine(&self) -> Result<Boltzmann> {
        Boltzmann::new(self.couplings.clone(), self.fields.clone(), self.units)
    }

    /// Sweeps of all chains.
    fn sweep(&mut self, machine: Boltzmann, rows: &[usize]) -> Result<()> {
        if self.negative == Negative::Cd {
            self.chains = self.data.select(Axis(0), rows);
        }
        let model: Arc<dyn Model> = Arc::new(machine);
        let path = paths::for_model(&model, None)?;
        let stream = self.stream.child(self.updates);
        let mut population = Population::adopt(path.as_ref(), self.chains.view(), stream)?;
        for _ in 0..self.settings.gibbs_steps {
            population.step(1.0, Move::Forward);
        }
        self.chains = population.states();
        Ok(())
    }
}

impl Learner for BoltzmannLearner<'_> {
    fn begin_epoch(&mut self, stream: Stream) {
        self.stream = stream;
        self.updates = 0;
    }

    fn update(&mut self, rows: &[usize], rate: f64) -> Result<()> {
        let machine = self.machine()?;
        let expected = if self.negative == Negative::Exact {
            Moments::of_model(&machine)?.0
        } else {
            self.sweep(machine, rows)?;
            Moments::of(self.chains.view())
        };
        self.updates += 1;
        let centre = &self.observed.units;
        let units = centre - &expected.units;
        // ⟨(x − μ)(x − μ)ᵀ⟩ = ⟨x xᵀ⟩ − μ⟨x⟩ᵀ − ⟨x⟩μᵀ + μμᵀ, of which the last is the same for both.
        let slope = &self.observed.pairs - &expected.pairs;
        let mut slope = 0.5 * (&slope + &slope.t());
        for ((i, j), value) in slope.indexed_iter_mut() {
            *value = if i == j { 0.0 } else { *value - centre[i] * units[j] - units[i] * centre[j] };
        }
        self.fields.scaled_add(rate, &(units - slope.dot(centre)));
        slope.scaled_add(-self.settings.schedule.weight_decay, &self.couplings);
        self.couplings.scaled_add(rate, &slope);
        Ok(())
    }

    fn figures(&mut self, _generator: &mut Generator) -> Result<Vec<(&'static str, f64)>> {
        let seen = self.data.slice(s![..self.data.nrows().min(MONITORED), ..]);
        let (value, _) = pseudo_log_likelihood(seen, &self.couplings, &self.fields, self.units);
        let mut figures = vec![("pseudo-log-likelihood", value)];
        if self.negative != Negative::Exact {
            let machine = self.machine()?;
            let gap = mean(&machine.energy(seen)) - mean(&machine.energy(self.chains.view()));
            figures.push(("energy gap", gap));
        }
        Ok(figures)
    }

    fn model(&self) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(self.machine()?))
    }

    fn state(&self) -> Arrays {
        Arrays::from([
            ("J".into(), self.couplings.clone().into_dyn()),
            ("h".into(), self.fields.clone().into_dyn()),
            ("chains".into(), self.chains.clone().into_dyn()),
        ])
    }

    fn restore(&mut self, state: &Arrays) -> Result<()> {
        let dim = self.fields.len();
        let values =
            |name, count| -> Result<Vec<f64>> { Ok(stored(state, name, count)?.iter().copied().collect()) };
        let shaped = |values, rows| Array2::from_shape_vec((rows, dim), values).expect("as many as that");
        let couplings = shaped(values("J", dim * dim)?, dim);
        let fields = values("h", dim)?.into();
        if self.negative == Negative::Pcd {
            let rows = self.chains.nrows();
            self.chains = shaped(values("chains", rows * dim)?, rows);
        }
        (self.couplings, self.fields) = (couplings, fields);
        Ok(())
    }
}

/// J and h that raise the pseudo-likelihood from that of independent units: fifty steps up its gradient, longer after each that
/// succeeds and shorter after each that does not.
fn likeliest_of_each(data: ArrayView2<'_, f64>, units: Units) -> (Array2<f64>, Array1<f64>) {
    let dim = data.ncols();
    let rows = data.nrows() as f64;
    let mut couplings: Array2<f64> = Array2::zeros((dim, dim));
    // Means drawn towards the middle by one observation of each value, so that no field is infinite.
    let sums = data.sum_axis(Axis(0));
    let mut fields = match units {
        Units::Bits => sums.mapv(|ones| ((ones + 1.0) / (rows - ones + 1.0)).ln()),
        Units::Spins => sums.mapv(|sum| (sum / (rows + 2.0)).atanh()),
    };
    let (mut value, mut slope) = pseudo_log_likelihood(data, &couplings, &fields, units);
    let mut length = FIRST_LENGTH / dim as f64;
    for _ in 0..FIRST_STEPS {
        let (more, pull) = (&couplings + &(length * &slope.pairs), &fields + &(length * &slope.units));
        let (reached, next) = pseudo_log_likelihood(data, &more, &pull, units);
        if reached > value {
            (couplings, fields, value, slope) = (more, pull, reached, next);
            length *= 1.5;
        } else {
            length *= 0.3;
        }
    }
    (couplings, fields)
}

/// The mean over rows of Σᵢ log p(xᵢ | the others), and its gradient: with r = x − E[x | the others], ⟨rxᵀ⟩ + ⟨xrᵀ⟩ off the
/// diagonal, and ⟨r⟩.
fn pseudo_log_likelihood(
    data: ArrayView2<'_, f64>,
    couplings: &Array2<f64>,
    fields: &Array1<f64>,
    units: Units,
) -> (f64, Moments) {
    let rows = data.nrows() as f64;
    let mut rest = data.dot(couplings) + fields;
    let mut sum = 0.0;
    ndarray::azip!((a in &mut rest, &x in &data) {
        let (log_sum, mean) = match units {
            Units::Bits => (crate::models::rbm::softplus(*a), 1.0 / (1.0 + (-*a).exp())),
            Units::Spins => (a.abs() + (-2.0 * a.abs()).exp().ln_1p(), a.tanh()),
        };
        sum += x * *a - log_sum;
        *a = x - mean;
    });
    let one_way = rest.t().dot(&data) / rows;
    let mut pairs = &one_way + &one_way.t();
    pairs.diag_mut().fill(0.0);
    (sum / rows, Moments { pairs, units: rest.sum_axis(Axis(0)) / rows })
}
