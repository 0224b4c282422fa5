//! Persistent contrastive divergence for RBMs of bits.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::moments::sigmoid;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::estimators::Monitor;
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::rbm::{Units, softplus};
use crate::models::{Domain, Model, Rbm, Space};

/// Rows of data that the figures of an [`Epoch`] are taken over.
const MONITORED: usize = 1000;

/// Settings of persistent contrastive divergence (Tieleman 2008, doi:10.1145/1390156.1390290).
///
/// Per batch, chains that live as long as the training make `gibbs_steps` sweeps of block Gibbs under the current machine, and
/// parameters climb the difference of means ⟨·⟩ over the batch (d) and over the chains (m), p = σ(c + vW):
///
/// - ∇W = ⟨(v − μ)(p − λ)ᵀ⟩_d − ⟨(v − μ)(p − λ)ᵀ⟩_m − weight_decay · W
/// - ∇b = ⟨v⟩_d − ⟨v⟩_m − ∇W λ
/// - ∇c = ⟨p⟩_d − ⟨p⟩_m − ∇Wᵀ μ, with weight decay left out of the ∇W in ∇b and ∇c
///
/// μ is the data's mean and λ a running mean of ⟨p⟩_d. With μ = λ = 0 this is the plain gradient; centring makes it the gradient
/// in coordinates in which flipping the meaning of 0 and 1 changes nothing, and learning far less ill-conditioned (Melchior,
/// Fischer & Wiskott 2016, JMLR 17(99); arXiv 1311.1354). Other choices follow Hinton's guide (2012,
/// doi:10.1007/978-3-642-35289-8_32): W from N(0, 0.01²), b from the log-odds of the data's means, c = 0.
///
/// A learning rate that falls linearly lets chains keep up while it is large and averages the noise away while it is small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pcd {
    /// Hidden units.
    pub hidden: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Rows of data to an update.
    pub batch_size: usize,
    /// Persistent chains; they start at rows of the data.
    pub chains: usize,
    /// Step along the gradient of the mean log-likelihood at the first update.
    pub learning_rate: f64,
    /// The same at the last update; linear in between.
    pub final_learning_rate: f64,
    /// Strength of the pull of weights towards 0: ½ weight_decay Σ W² is taken off the mean log-likelihood.
    pub weight_decay: f64,
    /// Sweeps (v, then h) of each chain per update.
    pub gibbs_steps: usize,
    /// The seed of all random streams.
    pub seed: u64,
}

impl Default for Pcd {
    fn default() -> Self {
        Self {
            hidden: 500,
            epochs: 30,
            batch_size: 128,
            chains: 128,
            learning_rate: 0.05,
            final_learning_rate: 0.0,
            weight_decay: 1e-3,
            gibbs_steps: 1,
            seed: 1,
        }
    }
}

impl Pcd {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("--hidden", self.hidden),
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--chains", self.chains),
            ("--gibbs-steps", self.gibbs_steps),
        ];
        for (option, value) in counts {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::setting(option, value, "between 1 and 1048576"));
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(Error::setting(
                "--learning-rate",
                self.learning_rate,
                "a learning rate is a positive finite number, usually 0.01 to 0.1",
            ));
        }
        let not_negative =
            [("--final-learning-rate", self.final_learning_rate), ("--weight-decay", self.weight_decay)];
        for (option, value) in not_negative {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::setting(option, value, "a finite number that is not negative"));
            }
        }
        Ok(())
    }

    fn learning_rate_at(&self, progress: f64) -> f32 {
        (self.learning_rate + progress * (self.final_learning_rate - self.learning_rate)) as f32
    }
}

/// Where training stands after a pass over the data. Figures are over the first 1000 rows of the data at most.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Passes done, from 1.
    pub number: usize,
    /// Mean of (v − σ(b + W σ(c + vW)))² over rows and visible units.
    pub reconstruction_error: f64,
    /// Estimate of the mean over rows of Σᵢ log p(vᵢ | the other units), in nats: one unit of each row is drawn.
    pub pseudo_log_likelihood: f64,
    /// Mean energy of the data less that of the chains, in nats: 0 for a machine that equals the data, large where chains are
    /// stuck or have run away.
    pub energy_gap: f64,
    /// The machine as it is now.
    pub model: Rbm,
}

/// Trains a machine on rows of bits, tells `monitor` of every update, and `listener` after each epoch, whose error ends the training.
/// Its base rates are the data's means, each drawn towards ½ by one observation of each value.
///
/// The same data, settings and seed give the same machine on any number of threads of the current rayon pool.
///
/// # Errors
/// [`Error::Setting`] from [`Pcd::check`] or when parameters run away; [`Error::Data`] for no data or values other than 0 and 1; that of
/// the listener.
///
/// ```
/// use lnz::estimators::Silent;
/// use lnz::training::{Pcd, pcd};
/// let data = ndarray::array![[0.0, 0.0], [1.0, 1.0]];
/// let settings = Pcd { hidden: 2, epochs: 5, ..Pcd::default() };
/// let rbm = pcd::train(data.view(), &settings, &Silent, |_| Ok(()))?;
/// assert_eq!((rbm.visible(), rbm.hidden()), (2, 2));
/// # Ok::<(), lnz::Error>(())
/// ```
pub fn train(
    data: ArrayView2<'_, f64>,
    settings: &Pcd,
    monitor: &dyn Monitor,
    listener: impl FnMut(&Epoch) -> Result<()>,
) -> Result<Rbm> {
    settings.check()?;
    let visible = data.ncols();
    let rates = base_rates(data)?;
    let mut generator = Stream::new(settings.seed).child(0).generator();
    let weights = Array2::from_shape_simple_fn((visible, settings.hidden), || {
        let normal: f64 = StandardNormal.sample(&mut generator);
        0.01 * normal
    });
    // Hidden units are on half of the time at first, which their weights pass on to the visible ones.
    let visible_bias = rates.mapv(|rate| (rate / (1.0 - rate)).ln()) - 0.5 * weights.sum_axis(Axis(1));
    let start = Rbm::new(weights, visible_bias, Array1::zeros(settings.hidden), Units::Bits)?;
    train_from(&start, data, settings, monitor, listener)
}

/// As [`train`], from the parameters of `start`, whose size replaces [`Pcd::hidden`].
///
/// # Errors
/// As [`train`]; [`Error::Model`] for a machine of spins.
pub fn train_from(
    start: &Rbm,
    data: ArrayView2<'_, f64>,
    settings: &Pcd,
    monitor: &dyn Monitor,
    mut listener: impl FnMut(&Epoch) -> Result<()>,
) -> Result<Rbm> {
    settings.check()?;
    if start.units() != Units::Bits {
        return Err(Error::model(
            "rbm",
            "a machine of spins cannot be trained; train one of bits, s = 2x - 1",
        ));
    }
    start.space().check(data)?;
    let rates = base_rates(data)?;
    let stream = Stream::new(settings.seed).child(1);
    let mut trainer = Trainer::new(start, data, settings, stream.child(0));
    let mut order: Vec<usize> = (0..data.nrows()).collect();
    let batches = data.nrows().div_ceil(settings.batch_size);
    let updates = settings.epochs * batches;
    monitor.begin("training", updates as u64);
    for epoch in 0..settings.epochs {
        let mut generator = stream.child(1).child(epoch as u64).generator();
        order.shuffle(&mut generator);
        for (i, batch) in order.chunks(settings.batch_size).enumerate() {
            let progress = (epoch * batches + i) as f64 / (updates - 1).max(1) as f64;
            trainer.gather(data, batch);
            trainer.sweep(settings.gibbs_steps);
            trainer.climb(settings.learning_rate_at(progress), settings.weight_decay as f32);
            monitor.advance(1);
        }
        let model = trainer.model().map_err(|_| {
            Error::setting(
                "--learning-rate",
                settings.learning_rate,
                format!("parameters ran away in epoch {}; a smaller one is needed", epoch + 1),
            )
        })?;
        let model = model.with_base_rates(rates.clone())?;
        let seen = data.slice(s![..data.nrows().min(MONITORED), ..]);
        listener(&Epoch {
            number: epoch + 1,
            reconstruction_error: reconstruction_error(&model, seen),
            pseudo_log_likelihood: pseudo_log_likelihood(&model, seen, &mut generator),
            energy_gap: mean(&model.energy(seen)) - mean(&model.energy(trainer.states().view())),
            model,
        })?;
    }
    trainer.model()?.with_base_rates(rates)
}

/// (ones + 1) / (rows + 2) of each column.
fn base_rates(data: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    if data.is_empty() {
        return Err(Error::data(format!(
            "the data are {} rows of {} columns; at least one row of one column is needed",
            data.nrows(),
            data.ncols()
        )));
    }
    Space::new(data.ncols(), Domain::Bits).check(data)?;
    Ok((data.sum_axis(Axis(0)) + 1.0) / (data.nrows() as f64 + 2.0))
}

fn mean(values: &Array1<f64>) -> f64 {
    values.sum() / values.len() as f64
}

fn reconstruction_error(rbm: &Rbm, data: ArrayView2<'_, f64>) -> f64 {
    let hidden = (data.dot(rbm.weights()) + rbm.hidden_bias()).mapv(sigmoid);
    let visible = (hidden.dot(&rbm.weights().t()) + rbm.visible_bias()).mapv(sigmoid);
    (visible - data).mapv(|x| x * x).mean().expect("there are data")
}

/// p(vᵢ | the others) = 1 / (1 + exp(E(v) − E(v with vᵢ flipped))).
fn pseudo_log_likelihood(rbm: &Rbm, data: ArrayView2<'_, f64>, generator: &mut Generator) -> f64 {
    let mut flipped = data.to_owned();
    for mut row in flipped.rows_mut() {
        let unit = generator.random_range(0..row.len());
        row[unit] = 1.0 - row[unit];
    }
    let terms = (rbm.energy(data) - rbm.energy(flipped.view())).mapv(softplus);
    -(data.ncols() as f64) * mean(&terms)
}
