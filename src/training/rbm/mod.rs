//! Restricted Boltzmann machines with bits or real numbers as visible units.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use self::learner::RbmLearner;
use self::machine::Machine;
use self::rows::{Rows, Scale};
use super::{Negative, Schedule, Training, base_rates, schedule};
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::gaussian_rbm::Convention;
use crate::models::rbm::Units;
use crate::models::{GaussianRbm, Model, Rbm, downcast};

mod block;
mod chains;
mod learner;
mod machine;
mod moments;
mod rows;

pub use moments::Moments;

/// What visible units are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visible {
    /// Bits.
    #[default]
    Bernoulli,
    /// Real numbers, normal given the hidden units.
    Gaussian,
}

impl Visible {
    /// Both, by name.
    pub const NAMES: [(&'static str, Self); 2] =
        [("bernoulli", Self::Bernoulli), ("gaussian", Self::Gaussian)];
}

/// Settings of the training of an RBM.
///
/// Per batch, parameters climb the difference of means ⟨·⟩ over the batch (d) and under the machine (m), p = σ(c + vW):
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
/// Gaussian units are trained as u = (v − mean) / spread of each column of the data, in natural parameters: log p(u, h) = η·u − ½ Σ λ u² +
/// uᵀWh + c·h + const. ∇W, ∇η (which stands for ∇b, with μ = 0) and ∇c are as above, ∇λ = −½ (⟨u²⟩_d − ⟨u²⟩_m), and λ starts at 1 and
/// W near 0, so that the first model is a normal of the data's mean and spread. [`Settings::least_sigma`] bounds 1/√λ from below: the
/// likelihood of data that lie on a plane has no maximum.
///
/// Means under the machine are taken as [`Negative`] says: over chains that make `gibbs_steps` sweeps of block Gibbs between updates,
/// or by summation over all states of the smaller side, of up to 20 units. Fewer steps than the default's five are quicker, and leave
/// modes where no data are: 784×500 units on MNIST came to −97 nats of the test images in eight epochs with one, to −89.5 with three,
/// and their log Z was much harder to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Passes, batches and learning rate.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Hidden units.
    pub hidden: usize,
    /// What visible units are.
    pub visible: Visible,
    /// Least standard deviation of a Gaussian unit given the hidden ones, as a share of its column's.
    pub least_sigma: f64,
    /// How means under the machine are taken.
    pub negative: Negative,
    /// Chains at each β; they start at rows of the data. With [`Negative::Cd`] there are as many as rows in the batch.
    pub chains: usize,
    /// Sweeps (v, then h) of each chain per update.
    pub gibbs_steps: usize,
    /// Values of β, from 1 down to 0 in equal steps, with [`Negative::Tempering`].
    pub temperatures: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            hidden: 500,
            visible: Visible::default(),
            least_sigma: 0.1,
            negative: Negative::default(),
            chains: 128,
            gibbs_steps: 5,
            temperatures: 10,
        }
    }
}

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        schedule::counts(&[
            ("--hidden", self.hidden),
            ("--chains", self.chains),
            ("--gibbs-steps", self.gibbs_steps),
        ])?;
        if !(2..=1000).contains(&self.temperatures) {
            return Err(Error::setting("--temperatures", self.temperatures, "between 2 and 1000"));
        }
        if !(self.least_sigma >= 1e-3 && self.least_sigma < 1.0) {
            let expected = "a share of each column's standard deviation, at least 0.001 and below 1";
            return Err(Error::setting("--least-sigma", self.least_sigma, expected));
        }
        self.schedule.check()
    }

    /// These, for a machine of the kind and size of `start`.
    ///
    /// # Errors
    /// [`Error::Model`] for another model than a machine of bits or a Gaussian one.
    pub fn like(&self, start: &Arc<dyn Model>) -> Result<Self> {
        let (hidden, visible) = match (downcast::<Rbm>(start), downcast::<GaussianRbm>(start)) {
            (Some(rbm), _) if rbm.units() == Units::Bits => (rbm.hidden(), Visible::Bernoulli),
            (_, Some(rbm)) => (rbm.hidden(), Visible::Gaussian),
            _ => {
                return Err(Error::model(
                    "rbm",
                    "training goes on from an RBM of bits or a Gaussian one; bits of spins are x = (s + 1)/2",
                ));
            }
        };
        Ok(Self { hidden, visible, ..self.clone() })
    }

    fn betas(&self) -> Vec<f32> {
        let count = if self.negative == Negative::Tempering { self.temperatures } else { 1 };
        (0..count).map(|k| 1.0 - k as f32 / (count - 1).max(1) as f32).collect()
    }
}

/// A training on rows of bits or of real numbers, from small random weights. A model of bits has the data's means as base rates, each
/// drawn towards ½ by one observation of each value.
///
/// Figures are the mean over rows and visible units of (v − v̂)², v̂ the mean of v given the hidden units' means given v, in the units of
/// training (`reconstruction error`); for bits the mean over rows of Σᵢ log p(vᵢ | the others) in nats, where one unit of each row is
/// drawn (`pseudo-log-likelihood`); and, where there are chains, the mean energy of the data less that of the chains, in nats
/// (`energy gap`): 0 for a machine that equals the data, large where chains are stuck or have run away.
///
/// # Errors
/// [`Error::Setting`] from [`Settings::check`], or for exact means with more than 20 units on either side (20 hidden ones where visible
/// units are real); [`Error::Data`] for no data, or values that are not of the visible units.
///
/// ```
/// use lnz::estimators::Silent;
/// use lnz::training::{Schedule, rbm};
/// let data = ndarray::array![[0.0, 0.0], [1.0, 1.0]];
/// let schedule = Schedule { epochs: 5, ..Schedule::default() };
/// let settings = rbm::Settings { hidden: 2, schedule, ..rbm::Settings::default() };
/// let model = rbm::training(data.view(), &settings)?.finish(&Silent)?;
/// assert_eq!(model.space().dim, 2);
/// # Ok::<(), lnz::Error>(())
/// ```
pub fn training<'a>(data: ArrayView2<'a, f64>, settings: &Settings) -> Result<Training<'a>> {
    settings.check()?;
    let rows = Rows::new(data, settings.visible)?;
    let mut generator = Stream::new(settings.schedule.seed).child(0).generator();
    let weights = Array2::from_shape_simple_fn((data.ncols(), settings.hidden), || {
        let normal: f64 = StandardNormal.sample(&mut generator);
        0.01 * normal
    });
    let bias = match settings.visible {
        Visible::Bernoulli => base_rates(data)?.mapv(log_odds),
        Visible::Gaussian => Array1::zeros(data.ncols()),
    };
    // Hidden units are on half of the time at first, which their weights pass on to the visible ones.
    let bias = bias - 0.5 * weights.sum_axis(Axis(1));
    let hidden_bias = Array1::zeros(settings.hidden);
    let machine = match settings.visible {
        Visible::Bernoulli => Machine::of_bits(&Rbm::new(weights, bias, hidden_bias, Units::Bits)?),
        Visible::Gaussian => {
            let sigma = Array1::ones(data.ncols());
            let rbm = GaussianRbm::new(weights, bias, hidden_bias, sigma, Convention::Cho)?;
            Machine::of_gaussian(&rbm, &Scale::unit(data.ncols()), settings.least_sigma)
        }
    };
    train(machine, rows, settings)
}

/// As [`training`], from the parameters of `start`, whose kind and size [replace](Settings::like) those of the settings.
///
/// # Errors
/// As [`training`]; [`Error::Model`] for another model than a machine of bits or a Gaussian one.
pub fn training_from<'a>(
    start: &Arc<dyn Model>,
    data: ArrayView2<'a, f64>,
    settings: &Settings,
) -> Result<Training<'a>> {
    let settings = settings.like(start)?;
    settings.check()?;
    start.space().check(data)?;
    let rows = Rows::new(data, settings.visible)?;
    let machine = match (downcast::<GaussianRbm>(start), &rows.scale) {
        (Some(rbm), Some(scale)) => Machine::of_gaussian(&rbm, scale, settings.least_sigma),
        _ => Machine::of_bits(&downcast::<Rbm>(start).expect("a machine of bits or a Gaussian one")),
    };
    train(machine, rows, &settings)
}

fn train<'a>(machine: Machine, rows: Rows<'a>, settings: &Settings) -> Result<Training<'a>> {
    let count = rows.data.nrows();
    let learner = RbmLearner::new(machine, rows, settings)?;
    Ok(Training::new(Box::new(learner), &settings.schedule, count))
}

fn log_odds(rate: f64) -> f64 {
    (rate / (1.0 - rate)).ln()
}
