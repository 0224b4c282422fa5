//! Restricted Boltzmann machines of bits.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::chains::Chains;
use self::machine::{BLOCK, Block, Centres, Machine, Model as Means};
use self::moments::sigmoid;
use super::{Arrays, Learner, MONITORED, Negative, Schedule, Training, base_rates, mean, schedule, stored};
use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::math::{Stream, products};
use crate::models::rbm::{Units, softplus};
use crate::models::{Model, Rbm};

mod chains;
mod machine;
mod moments;

pub use moments::Moments;

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
/// Means under the machine are taken as [`Negative`] says: over chains that make `gibbs_steps` sweeps of block Gibbs between updates,
/// or by summation over all states of the smaller side, of up to 20 units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Passes, batches and learning rate.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Hidden units.
    pub hidden: usize,
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
            negative: Negative::default(),
            chains: 128,
            gibbs_steps: 1,
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
        self.schedule.check()
    }

    fn betas(&self) -> Vec<f32> {
        let count = if self.negative == Negative::Tempering { self.temperatures } else { 1 };
        (0..count).map(|k| 1.0 - k as f32 / (count - 1).max(1) as f32).collect()
    }
}

/// A training on rows of bits, from small random weights. The model's base rates are the data's means, each drawn towards ½ by one
/// observation of each value. Figures are the mean of (v − σ(b + W σ(c + vW)))² over rows and visible units (`reconstruction error`),
/// the mean over rows of Σᵢ log p(vᵢ | the others) in nats, where one unit of each row is drawn (`pseudo-log-likelihood`), and, where
/// there are chains, the mean energy of the data less that of the chains, in nats (`energy gap`): 0 for a machine that equals the
/// data, large where chains are stuck or have run away.
///
/// # Errors
/// [`Error::Setting`] from [`Settings::check`], or for exact means with more than 20 units on either side; [`Error::Data`] for no data or
/// values other than 0 and 1.
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
    let rates = base_rates(data)?;
    let mut generator = Stream::new(settings.schedule.seed).child(0).generator();
    let weights = Array2::from_shape_simple_fn((data.ncols(), settings.hidden), || {
        let normal: f64 = StandardNormal.sample(&mut generator);
        0.01 * normal
    });
    // Hidden units are on half of the time at first, which their weights pass on to the visible ones.
    let visible_bias = rates.mapv(log_odds) - 0.5 * weights.sum_axis(Axis(1));
    let start = Rbm::new(weights, visible_bias, Array1::zeros(settings.hidden), Units::Bits)?;
    training_from(&start, data, settings)
}

/// As [`training`], from the parameters of `start`, whose size replaces [`Settings::hidden`].
///
/// # Errors
/// As [`training`]; [`Error::Model`] for a machine of spins.
pub fn training_from<'a>(
    start: &Rbm,
    data: ArrayView2<'a, f64>,
    settings: &Settings,
) -> Result<Training<'a>> {
    settings.check()?;
    if start.units() != Units::Bits {
        return Err(Error::model(
            "rbm",
            "a machine of spins cannot be trained; train one of bits, s = 2x - 1",
        ));
    }
    start.space().check(data)?;
    let learner = RbmLearner::new(start, data, settings)?;
    Ok(Training::new(Box::new(learner), &settings.schedule, data.nrows()))
}

struct RbmLearner<'a> {
    data: ArrayView2<'a, f64>,
    rates: Array1<f64>,
    settings: Settings,
    machine: Machine,
    centres: Centres,
    batch: Vec<Block>,
    /// `None` where means are exact.
    chains: Option<Chains>,
}

impl<'a> RbmLearner<'a> {
    fn new(start: &Rbm, data: ArrayView2<'a, f64>, settings: &Settings) -> Result<Self> {
        let rates = base_rates(data)?;
        let machine = Machine::of(start);
        let stream = Stream::new(settings.schedule.seed).child(2);
        let reference = rates.iter().map(|&rate| log_odds(rate) as f32).collect();
        let chains = match settings.negative {
            Negative::Exact => {
                Moments::of_model(start)?;
                None
            }
            _ => Some(Chains::new(
                &machine,
                data,
                settings.chains,
                &settings.betas(),
                settings.gibbs_steps,
                reference,
                stream,
            )),
        };
        let means = data.sum_axis(Axis(0)) / data.nrows() as f64;
        let centres = Centres {
            visible: means.iter().map(|&mean| mean as f32).collect(),
            hidden: machine.hidden_bias.iter().map(|&c| sigmoid(f64::from(c)) as f32).collect(),
        };
        Ok(Self { data, rates, settings: settings.clone(), machine, centres, batch: Vec::new(), chains })
    }

    /// The rows of a batch, in blocks.
    fn gather(&mut self, batch: &[usize]) {
        let (visible, hidden) = self.machine.weights.dim();
        self.batch.resize_with(batch.len().div_ceil(BLOCK), || Block::new(0, visible, hidden));
        let data = self.data;
        self.batch.par_iter_mut().zip(batch.par_chunks(BLOCK)).for_each(|(block, rows)| {
            if block.visible.nrows() != rows.len() {
                *block = Block::new(rows.len(), visible, hidden);
            }
            for (mut row, &pick) in block.visible.rows_mut().into_iter().zip(rows) {
                row.zip_mut_with(&data.row(pick), |x, &bit| *x = bit as f32);
            }
        });
    }

    fn rbm(&self) -> Result<Rbm> {
        self.machine.model()?.with_base_rates(self.rates.clone())
    }
}

impl Learner for RbmLearner<'_> {
    fn begin_epoch(&mut self, stream: Stream) {
        if let Some(chains) = &mut self.chains {
            chains.begin_epoch(stream);
        }
    }

    fn update(&mut self, rows: &[usize], rate: f64) -> Result<()> {
        self.gather(rows);
        let Self { machine, batch, chains, centres, settings, .. } = self;
        let enter = |batch: &mut [Block]| {
            batch.par_iter_mut().for_each(|block| {
                products::multiply(block.visible.view(), machine.weights.view(), block.hidden.view_mut());
            });
        };
        let finish = |batch: &mut [Block]| {
            batch.par_iter_mut().for_each(|block| block.finish(&machine.hidden_bias));
        };
        let moments;
        let means = match chains {
            None => {
                enter(batch);
                finish(batch);
                moments = Moments::of_model(&machine.model()?)?.0;
                Means::Exact(&moments)
            }
            Some(chains) => {
                if settings.negative == Negative::Cd {
                    enter(batch);
                    chains.restart(batch, machine);
                    rayon::join(|| chains.sweep(machine), || finish(batch));
                } else {
                    rayon::join(
                        || chains.sweep(machine),
                        || {
                            enter(batch);
                            finish(batch);
                        },
                    );
                }
                Means::Chains(chains.blocks().collect())
            }
        };
        machine.climb(batch, &means, centres, rate as f32, settings.schedule.weight_decay as f32);
        Ok(())
    }

    fn figures(&mut self, generator: &mut Generator) -> Result<Vec<(&'static str, f64)>> {
        let rbm = self.rbm()?;
        let seen = self.data.slice(s![..self.data.nrows().min(MONITORED), ..]);
        let mut figures = vec![
            ("reconstruction error", reconstruction_error(&rbm, seen)),
            ("pseudo-log-likelihood", pseudo_log_likelihood(&rbm, seen, generator)),
        ];
        if let Some(chains) = &self.chains {
            let gap = mean(&rbm.energy(seen)) - mean(&rbm.energy(chains.states().view()));
            figures.push(("energy gap", gap));
        }
        Ok(figures)
    }

    fn model(&self) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(self.rbm()?))
    }

    fn state(&self) -> Arrays {
        let double =
            |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Array1<f64>>().into_dyn();
        let mut state = Arrays::from([
            ("W".into(), self.machine.weights.mapv(f64::from).into_dyn()),
            ("b".into(), double(&self.machine.visible_bias)),
            ("c".into(), double(&self.machine.hidden_bias)),
            ("hidden_centre".into(), double(&self.centres.hidden)),
        ]);
        if let Some(chains) = self.chains.as_ref().filter(|_| self.settings.negative != Negative::Cd) {
            state.insert("chains".into(), chains.bits().into_dyn());
        }
        state
    }

    fn restore(&mut self, state: &Arrays) -> Result<()> {
        let (visible, hidden) = self.machine.weights.dim();
        let single = |name, values| -> Result<Vec<f32>> {
            Ok(stored(state, name, values)?.iter().map(|&x| x as f32).collect())
        };
        let weights = Array2::from_shape_vec((visible, hidden), single("W", visible * hidden)?);
        let machine = Machine {
            weights: weights.expect("as many values as that"),
            visible_bias: single("b", visible)?,
            hidden_bias: single("c", hidden)?,
        };
        self.centres.hidden = single("hidden_centre", hidden)?;
        self.machine = machine;
        if let Some(chains) = self.chains.as_mut().filter(|_| self.settings.negative != Negative::Cd) {
            chains.restore(stored(state, "chains", chains.bits().len())?);
        }
        Ok(())
    }
}

fn log_odds(rate: f64) -> f64 {
    (rate / (1.0 - rate)).ln()
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
