//! What a person may choose about a run; every default is meant to be left alone.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::decisions::Decisions;
use super::waste_free::{LEAST_CHAINS, LEAST_ISLANDS};
use crate::error::{Error, Result};
pub use crate::kernels::{KernelChoice, ReferenceChoice};

/// Sweeps that three pilots and a small round take.
pub(crate) const LEAST_BUDGET: u64 = 1 << 16;

/// Most pilots of a series: each has twice the rungs of the one before, and no time limit leaves room for more.
const MOST_PILOTS: usize = 24;

/// Most runs from a flat reference that an answer is held against: each has a quarter of its chains.
pub(crate) const MOST_FLAT_RUNS: usize = 4;

/// Most states of a chain at a rung, all of which are kept.
const MOST_STATES: usize = 1024;

/// How rungs are placed between β = 0 and β = 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleChoice {
    /// Equal shares of the barrier that pilots measured.
    #[default]
    EqualBarrier,
    /// Equal steps of β.
    Linear,
    /// Denser at both ends: a logistic curve rescaled to [0, 1], as is usual for networks and RBMs.
    Sigmoidal,
    /// These βs, from 0 to 1.
    Given(Vec<f64>),
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Standard error of log Z to aim at, in nats.
    pub target_se: f64,
    /// Seconds that all phases together may take.
    pub max_time: f64,
    /// Sweeps (kernel steps of single chains) that pilots and answer together take, instead of what the target error needs. The
    /// evidence comes on top, and is in proportion. With it no clock decides anything.
    pub budget: Option<u64>,
    /// Independent chains; `None` lets the estimator choose.
    pub chains: Option<usize>,
    /// Steps of the schedule; `None` lets pilots choose.
    pub rungs: Option<usize>,
    /// States of a chain at a rung, P, where [`Smc`](super::smc::Smc) is to waste none; `chains` are then all states at a rung.
    /// Other methods ignore it.
    pub waste_free: Option<usize>,
    /// Where the rungs lie.
    pub schedule: ScheduleChoice,
    /// The Markov step on a continuous space.
    pub kernel: KernelChoice,
    /// Where chains start on a continuous space.
    pub reference: ReferenceChoice,
    /// The seed of all random streams.
    pub seed: u64,
    /// Confidence level of intervals.
    pub level: f64,
    /// Rows of data in the model's space, to fit the reference to.
    #[serde(skip)]
    pub data: Option<Array2<f64>>,
    /// Decisions of an earlier run to follow, instead of the clock.
    #[serde(skip)]
    pub replay: Option<Decisions>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target_se: 0.1,
            max_time: 300.0,
            budget: None,
            chains: None,
            rungs: None,
            waste_free: None,
            schedule: ScheduleChoice::default(),
            kernel: KernelChoice::default(),
            reference: ReferenceChoice::default(),
            seed: 1,
            level: 0.95,
            data: None,
            replay: None,
        }
    }
}

impl Settings {
    /// Whether the time limit decides anything: with a budget it does not, and a replay follows what it decided before.
    pub(crate) fn asks_the_clock(&self) -> bool {
        self.budget.is_none() && self.replay.is_none()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        let positive = |option, value: f64, what: &str| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(Error::setting(option, value, format!("{what} is a positive finite number")))
            }
        };
        positive("--target-se", self.target_se, "a standard error in nats")?;
        positive("--max-time", self.max_time, "a time limit in seconds")?;
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(Error::setting("--level", self.level, "a confidence level lies between 0 and 1"));
        }
        if let Some(budget) = self.budget
            && !(LEAST_BUDGET..=1 << 50).contains(&budget)
        {
            return Err(Error::setting(
                "--budget",
                budget,
                format!(
                    "pilots and answer together need at least {LEAST_BUDGET} sweeps, and 2^50 is the most"
                ),
            ));
        }
        if let Some(chains) = self.replay.map(|decided| decided.chains).or(self.chains)
            && !(2..=1 << 24).contains(&chains)
        {
            return Err(Error::setting(
                "--chains",
                chains,
                "between 2 and 16777216 chains make an error bar",
            ));
        }
        if let Some(rungs) = self.replay.map(|decided| decided.rungs).or(self.rungs)
            && !(1..=100_000_000).contains(&rungs)
        {
            return Err(Error::setting("--rungs", rungs, "a schedule has between 1 and 100000000 rungs"));
        }
        if let Some(Decisions { pilots, flat, trial, exploring, placing, integration, .. }) = self.replay {
            let (chains, rungs) = integration.unzip();
            for (what, decided, allowed) in [
                ("pilots", Some(pilots), 0..=MOST_PILOTS),
                ("pilots from a flat reference", flat.map(|flat| flat.pilots), 0..=MOST_PILOTS),
                ("rungs from a flat reference", flat.and_then(|flat| flat.rungs), 1..=100_000_000),
                ("runs from a flat reference", flat.and_then(|flat| flat.runs), 1..=MOST_FLAT_RUNS),
                ("rounds of a trial", trial, 8..=1 << 30),
                ("rungs of exploration", exploring, 8..=1 << 30),
                ("rounds of a first ladder", placing, 2..=1 << 10),
                ("chains of an integration", chains, 2..=1 << 24),
                ("rungs of an integration", rungs, 1..=1 << 20),
            ] {
                if let Some(count) = decided.filter(|count| !allowed.contains(count)) {
                    return Err(Error::setting(
                        "--replay",
                        format!("{count} {what}"),
                        "no run decides on so many",
                    ));
                }
            }
        }
        self.waste_free.map_or(Ok(()), |length| self.check_waste_free(length))
    }

    fn check_waste_free(&self, length: usize) -> Result<()> {
        if !(2..=MOST_STATES).contains(&length) {
            let expected = format!("a chain passes through 2 to {MOST_STATES} states at a rung");
            return Err(Error::setting("--waste-free", length, expected));
        }
        let least = LEAST_ISLANDS * LEAST_CHAINS;
        if let Some(chains) = self.chains.filter(|chains| *chains < least * length) {
            let expected = match chains / least {
                0 | 1 => format!(
                    "it takes at least {} --chains, not {chains}, to make an error bar",
                    least * length
                ),
                most => format!(
                    "{chains} --chains make an error bar with at most {most}; or take {}",
                    least * length
                ),
            };
            return Err(Error::setting("--waste-free", length, expected));
        }
        Ok(())
    }
}
