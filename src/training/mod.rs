//! Maximum likelihood for models whose log Z this crate can check.
//!
//! ∂/∂θ of the mean log-likelihood of data is ⟨−∂E/∂θ⟩ over the data, the positive phase, less the same mean under the model, the
//! negative phase, which is the gradient of log Z. Without the second, exp(−E) rises everywhere and nothing is learnt. Families
//! differ in their parameters, methods in where the second mean is taken from: one file or folder per family ([`rbm`], [`boltzmann`]),
//! each with settings and a function that makes a [`Training`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, ArrayD, ArrayView2, Axis};
use rand::seq::SliceRandom;

use crate::error::{Error, Result};
use crate::estimators::Monitor;
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::{Domain, Model, Space};

pub mod boltzmann;
mod negative;
pub mod network;
pub mod rbm;
mod schedule;

pub use negative::Negative;
pub use schedule::Schedule;

/// Rows of data that the figures of an [`Epoch`] are taken over.
const MONITORED: usize = 1000;

/// Named arrays: what a training needs to go on.
pub type Arrays = BTreeMap<String, ArrayD<f64>>;

/// A training that goes on epoch by epoch.
///
/// The same data, settings and seed give the same model on any number of threads of the current rayon pool, and a training that is
/// [resumed](Self::resume) from its state after any epoch goes on to the same bits.
pub struct Training<'a> {
    learner: Box<dyn Learner + 'a>,
    schedule: Schedule,
    rows: usize,
    done: usize,
}

impl fmt::Debug for Training<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Training")
            .field("schedule", &self.schedule)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// Where training stands after a pass over the data.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Passes done, from 1.
    pub number: usize,
    /// What the family tells of itself, by name, over the first 1000 rows of the data at most.
    pub figures: Vec<(&'static str, f64)>,
    /// The model as it is now.
    pub model: Arc<dyn Model>,
}

impl Epoch {
    /// The figure called `name`.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(figure, _)| *figure == name).map(|(_, value)| *value)
    }
}

/// What a family knows of its own training.
pub(crate) trait Learner: Send {
    /// Takes chance from `stream` until told otherwise.
    fn begin_epoch(&mut self, stream: Stream);

    /// One step of length `rate` along the gradient that these rows of data give.
    fn update(&mut self, rows: &[usize], rate: f64) -> Result<()>;

    /// Figures of the model as it is.
    fn figures(&mut self, generator: &mut Generator) -> Result<Vec<(&'static str, f64)>>;

    /// The model as it is.
    ///
    /// # Errors
    /// Where parameters have run away.
    fn model(&self) -> Result<Arc<dyn Model>>;

    /// Everything that the next update depends on, but for data and settings.
    fn state(&self) -> Arrays;

    /// Goes on from a state.
    fn restore(&mut self, state: &Arrays) -> Result<()>;
}

impl<'a> Training<'a> {
    fn new(learner: Box<dyn Learner + 'a>, schedule: &Schedule, rows: usize) -> Self {
        Self { learner, schedule: schedule.clone(), rows, done: 0 }
    }

    /// Epochs that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Goes on from the state that a training of the same data and settings had after `done` epochs.
    ///
    /// # Errors
    /// [`Error::Data`] for a state of another kind or size.
    pub fn resume(mut self, state: &Arrays, done: usize) -> Result<Self> {
        self.learner.restore(state)?;
        self.done = done;
        Ok(self)
    }

    /// The model as it is.
    ///
    /// # Errors
    /// [`Error::Model`] where parameters have run away.
    pub fn model(&self) -> Result<Arc<dyn Model>> {
        self.learner.model()
    }

    /// The state to [resume](Self::resume) from.
    #[must_use]
    pub fn state(&self) -> Arrays {
        self.learner.state()
    }

    /// One pass over the data in an order drawn anew; `None` when all are done.
    ///
    /// # Errors
    /// [`Error::Setting`] when parameters run away.
    pub fn epoch(&mut self, monitor: &dyn Monitor) -> Result<Option<Epoch>> {
        let Schedule { epochs, batch_size, learning_rate, seed, .. } = self.schedule;
        if self.done >= epochs {
            return Ok(None);
        }
        let stream = Stream::new(seed).child(1).child(self.done as u64);
        self.learner.begin_epoch(stream.child(0));
        let mut generator = stream.child(1).generator();
        let mut order: Vec<usize> = (0..self.rows).collect();
        order.shuffle(&mut generator);
        let batches = self.rows.div_ceil(batch_size);
        let updates = epochs * batches;
        let number = self.done + 1;
        monitor.follows((epochs - number) as f64);
        monitor.begin(&format!("epoch {number} of {epochs}"), batches as u64);
        let (learner, schedule, done) = (&mut self.learner, &self.schedule, self.done);
        let pass = || {
            order.chunks(batch_size).enumerate().try_for_each(|(i, batch)| {
                let progress = (done * batches + i) as f64 / (updates - 1).max(1) as f64;
                learner.update(batch, schedule.rate_at(progress))?;
                monitor.advance(1);
                Ok(())
            })
        };
        // On a thread of the pool, which a small update would otherwise wake several times.
        rayon::join(pass, || ()).0?;
        let model = self.learner.model().map_err(|_| {
            Error::setting(
                "--learning-rate",
                learning_rate,
                format!("parameters ran away in epoch {number}; a smaller one is needed"),
            )
        })?;
        let figures = self.learner.figures(&mut generator)?;
        self.done = number;
        Ok(Some(Epoch { number, figures, model }))
    }

    /// All epochs that are left; the last model.
    ///
    /// # Errors
    /// As [`Training::epoch`].
    pub fn finish(mut self, monitor: &dyn Monitor) -> Result<Arc<dyn Model>> {
        while self.epoch(monitor)?.is_some() {}
        self.learner.model()
    }
}

/// An array of a state, of a known number of values.
fn stored<'s>(state: &'s Arrays, name: &str, values: usize) -> Result<&'s ArrayD<f64>> {
    match state.get(name) {
        Some(array) if array.len() == values => Ok(array),
        Some(array) => {
            Err(Error::data(format!("`{name}` of the checkpoint holds {} values, not {values}", array.len())))
        }
        None => Err(Error::data(format!("the checkpoint has no `{name}`"))),
    }
}

/// (ones + 1) / (rows + 2) of each column of bits.
fn base_rates(data: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    some(data)?;
    Space::new(data.ncols(), Domain::Bits).check(data)?;
    Ok((data.sum_axis(Axis(0)) + 1.0) / (data.nrows() as f64 + 2.0))
}

/// Refuses data without a value.
fn some(data: ArrayView2<'_, f64>) -> Result<()> {
    if data.is_empty() {
        return Err(Error::data(format!(
            "the data are {} rows of {} columns; at least one row of one column is needed",
            data.nrows(),
            data.ncols()
        )));
    }
    Ok(())
}

fn mean(values: &Array1<f64>) -> f64 {
    values.sum() / values.len() as f64
}
