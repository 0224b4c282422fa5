//! A machine, its batches and its chains.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, s};
use rand::RngExt;
use rayon::prelude::*;

use super::block::{BLOCK, Block};
use super::chains::Chains;
use super::machine::{Centres, Machine, Model as Means, Precision};
use super::moments::sigmoid;
use super::rows::Rows;
use super::{Settings, log_odds};
use crate::error::Result;
use crate::math::random::Generator;
use crate::math::{Stream, products};
use crate::models::rbm::softplus;
use crate::models::{Model, energies};
use crate::training::{Arrays, Learner, MONITORED, Negative, base_rates, mean, stored};

pub(super) struct RbmLearner<'a> {
    rows: Rows<'a>,
    /// Of bits.
    rates: Option<Array1<f64>>,
    settings: Settings,
    pub machine: Machine,
    pub centres: Centres,
    pub batch: Vec<Block>,
    /// `None` where means are exact.
    pub chains: Option<Chains>,
}

impl<'a> RbmLearner<'a> {
    pub(super) fn new(machine: Machine, rows: Rows<'a>, settings: &Settings) -> Result<Self> {
        let stream = Stream::new(settings.schedule.seed).child(2);
        let rates = machine.precision.is_none().then(|| base_rates(rows.data)).transpose()?;
        let reference = match &rates {
            Some(rates) => rates.iter().map(|&rate| log_odds(rate) as f32).collect(),
            None => vec![0.0; machine.visible_bias.len()],
        };
        let chains = match settings.negative {
            Negative::Exact => {
                machine.moments()?;
                None
            }
            _ => Some(Chains::new(
                &machine,
                &rows,
                settings.chains,
                &settings.betas(),
                settings.gibbs_steps,
                reference,
                stream,
            )),
        };
        let centres = Centres {
            visible: rows.means(),
            hidden: machine.hidden_bias.iter().map(|&c| sigmoid(f64::from(c)) as f32).collect(),
        };
        Ok(Self { rows, rates, settings: settings.clone(), machine, centres, batch: Vec::new(), chains })
    }

    /// The rows of a batch, in blocks, and their vW.
    fn gather(&mut self, batch: &[usize]) {
        let Self { machine, rows: data, .. } = self;
        self.batch.resize_with(batch.len().div_ceil(BLOCK), || Block::new(0, machine));
        self.batch.par_iter_mut().zip(batch.par_chunks(BLOCK)).for_each(|(block, rows)| {
            if block.visible.nrows() != rows.len() {
                *block = Block::new(rows.len(), machine);
            }
            for (row, &pick) in rows.iter().enumerate() {
                data.copy(pick, block, row);
            }
            block.unpack();
            block.enter(machine);
        });
    }
}

impl RbmLearner<'_> {
    /// Mean of (v − v̂)² over the first rows of the data, in the units of training.
    fn reconstruction_error(&self, rows: usize) -> f64 {
        let visible = self.machine.visible_bias.len();
        let mut block = Block::new(rows, &self.machine);
        (0..rows).for_each(|row| self.rows.copy(row, &mut block, row));
        block.unpack();
        block.enter(&self.machine);
        block.finish(&self.machine);
        let mut means = Array2::zeros((rows, visible));
        products::multiply(block.hidden.view(), self.machine.weights.t(), means.view_mut());
        let mut sum = 0.0;
        for ((mean, seen), i) in means.iter().zip(&block.visible).zip((0..visible).cycle()) {
            let input = mean + self.machine.visible_bias[i];
            let mean = match &self.machine.precision {
                Some(precision) => f64::from(input / precision.values[i]),
                None => sigmoid(f64::from(input)),
            };
            sum += (f64::from(*seen) - mean).powi(2);
        }
        sum / (rows * visible) as f64
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
        let finish = |batch: &mut [Block]| {
            batch.par_iter_mut().for_each(|block| block.finish(machine));
        };
        let moments;
        let means = match chains {
            None => {
                finish(batch);
                moments = machine.moments()?;
                Means::Exact(&moments)
            }
            Some(chains) => {
                if settings.negative == Negative::Cd {
                    chains.restart(batch, machine);
                }
                rayon::join(|| chains.sweep(machine), || finish(batch));
                Means::Chains(chains.blocks().collect())
            }
        };
        machine.climb(batch, &means, centres, rate as f32, settings.schedule.weight_decay as f32);
        Ok(())
    }

    fn figures(&mut self, generator: &mut Generator) -> Result<Vec<(&'static str, f64)>> {
        let model = self.model()?;
        let data = self.rows.data;
        let seen = data.slice(s![..data.nrows().min(MONITORED), ..]);
        let mut figures = vec![("reconstruction error", self.reconstruction_error(seen.nrows()))];
        if self.machine.precision.is_none() {
            figures.push(("pseudo-log-likelihood", pseudo_log_likelihood(&*model, seen, generator)));
        }
        if let Some(chains) = &self.chains {
            let states = self.rows.restored(chains.states());
            figures.push((
                "energy gap",
                mean(&energies(&*model, seen)) - mean(&energies(&*model, states.view())),
            ));
        }
        Ok(figures)
    }

    fn model(&self) -> Result<Arc<dyn Model>> {
        if let (Some(precision), Some(scale)) = (&self.machine.precision, &self.rows.scale) {
            return Ok(Arc::new(self.machine.gaussian(precision, scale)?));
        }
        let rbm = self.machine.bits()?;
        Ok(Arc::new(match &self.rates {
            Some(rates) => rbm.with_base_rates(rates.clone())?,
            None => rbm,
        }))
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
        if let Some(precision) = &self.machine.precision {
            state.insert("precision".into(), double(&precision.values));
        }
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
        let precision = match &self.machine.precision {
            Some(precision) => Some(Precision { values: single("precision", visible)?, ..*precision }),
            None => None,
        };
        let machine = Machine::new(
            weights.expect("as many values as that"),
            single("b", visible)?,
            single("c", hidden)?,
            precision,
        );
        self.centres.hidden = single("hidden_centre", hidden)?;
        self.machine = machine;
        if let Some(chains) = self.chains.as_mut().filter(|_| self.settings.negative != Negative::Cd) {
            chains.restore(stored(state, "chains", chains.bits().len())?);
        }
        Ok(())
    }
}

/// p(vᵢ | the others) = 1 / (1 + exp(E(v) − E(v with vᵢ flipped))).
fn pseudo_log_likelihood(rbm: &dyn Model, data: ArrayView2<'_, f64>, generator: &mut Generator) -> f64 {
    let mut flipped = data.to_owned();
    for mut row in flipped.rows_mut() {
        let unit = generator.random_range(0..row.len());
        row[unit] = 1.0 - row[unit];
    }
    let terms = (rbm.energy(data) - rbm.energy(flipped.view())).mapv(softplus);
    -(data.ncols() as f64) * mean(&terms)
}
