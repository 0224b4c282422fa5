//! How long a training is and how large its steps are.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Passes, batches and learning rate of stochastic gradient ascent on the mean log-likelihood.
///
/// The learning rate falls linearly from the first update to the last: chains of the negative phase keep up while it is large, and the
/// noise averages away while it is small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// Passes over the data.
    pub epochs: usize,
    /// Rows of data to an update.
    pub batch_size: usize,
    /// Step along the gradient of the mean log-likelihood at the first update.
    pub learning_rate: f64,
    /// The same at the last update; linear in between.
    pub final_learning_rate: f64,
    /// Strength of the pull of weights or couplings towards 0: ½ weight_decay Σ W² is taken off the mean log-likelihood.
    pub weight_decay: f64,
    /// The seed of all random streams.
    pub seed: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 128,
            learning_rate: 0.05,
            final_learning_rate: 0.0,
            weight_decay: 1e-3,
            seed: 1,
        }
    }
}

impl Schedule {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        counts(&[("--epochs", self.epochs), ("--batch-size", self.batch_size)])?;
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

    /// The learning rate after a share `progress` of all updates.
    pub(super) fn rate_at(&self, progress: f64) -> f64 {
        self.learning_rate + progress * (self.final_learning_rate - self.learning_rate)
    }
}

/// Refuses counts that are zero or beyond a million.
pub(super) fn counts(options: &[(&'static str, usize)]) -> Result<()> {
    match options.iter().find(|(_, value)| !(1..=1 << 20).contains(value)) {
        Some((option, value)) => Err(Error::setting(option, value, "between 1 and 1048576")),
        None => Ok(()),
    }
}
