//! The phases of a run: pilots, the reported round, evidence. Each is announced, timed and counted here and nowhere else.

use std::time::Instant;

use super::annealing::{self, Annealed, Resampling};
use super::deadline::Deadline;
use super::estimate::{Cost, Role};
use super::monitor::Monitor;
use super::settings::Settings;
use super::waste_free::{self, Islands};
use crate::error::Result;
use crate::math::Stream;
use crate::paths::{Counts, Move, Path, Population, Schedule};

/// What has been done so far, and who listens.
pub struct Phases<'a> {
    /// Hears of every phase.
    pub monitor: &'a dyn Monitor,
    /// What all of them took.
    pub cost: Cost,
    /// What the next phases are for.
    pub role: Role,
    began: Instant,
}

impl std::fmt::Debug for Phases<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phases").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl<'a> Phases<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(monitor: &'a dyn Monitor) -> Self {
        Self { monitor, cost: Cost::default(), role: Role::Answer, began: Instant::now() }
    }

    /// The end of `max_time`, stretched by this factor, from when these began.
    pub(crate) fn deadline(&self, settings: &Settings, stretch: f64) -> Deadline {
        if settings.asks_the_clock() {
            Deadline::after(self.began, stretch * settings.max_time)
        } else {
            Deadline::default()
        }
    }

    /// A phase of `units` units of work, which answers with what it found and what it counted.
    ///
    /// # Errors
    /// As `work`.
    pub fn run<R>(
        &mut self,
        name: &str,
        units: usize,
        work: impl FnOnce(&dyn Monitor) -> Result<(R, Counts)>,
    ) -> Result<R> {
        let begin = Instant::now();
        self.monitor.begin(name, units as u64);
        let (found, counts) = work(self.monitor)?;
        self.cost.add(name, self.role, begin.elapsed().as_secs_f64(), counts);
        Ok(found)
    }

    /// [`annealing::forward`] as a phase.
    ///
    /// # Errors
    /// As [`annealing::forward`].
    pub fn forward(
        &mut self,
        name: &str,
        population: Population,
        schedule: &Schedule,
        movement: Move,
        resampling: Option<Resampling>,
    ) -> Result<Annealed> {
        self.run(name, schedule.rungs(), |monitor| {
            let run = annealing::forward(population, schedule, movement, resampling, monitor)?;
            let counts = run.population.counts();
            Ok((run, counts))
        })
    }

    /// [`waste_free::forward`] as a phase.
    ///
    /// # Errors
    /// As [`waste_free::forward`].
    pub fn waste_free(
        &mut self,
        name: &str,
        path: &dyn Path,
        schedule: &Schedule,
        islands: Islands,
        stream: Stream,
    ) -> Result<Annealed> {
        let units = islands.count * islands.chains * schedule.rungs();
        self.run(name, units, |monitor| {
            let run = waste_free::forward(path, schedule, islands, stream, monitor)?;
            let counts = run.population.counts();
            Ok((run, counts))
        })
    }

    /// [`annealing::reverse`] as a phase.
    ///
    /// # Errors
    /// As [`annealing::reverse`].
    pub fn reverse(
        &mut self,
        name: &str,
        population: Population,
        schedule: &Schedule,
        resampling: Option<Resampling>,
    ) -> Result<Annealed> {
        self.run(name, schedule.rungs(), |monitor| {
            let run = annealing::reverse(population, schedule, resampling, monitor)?;
            let counts = run.population.counts();
            Ok((run, counts))
        })
    }

    /// Sweeps of single chains that a share of the time limit is enough for, at the pace of the last phase; `None` where no clock may
    /// decide anything.
    pub(crate) fn affordable(&self, settings: &Settings, share: f64) -> Option<f64> {
        let last = self.cost.phases.last().filter(|_| settings.asks_the_clock())?;
        let pace = last.seconds / last.counts.sweeps.max(1) as f64;
        Some(share * settings.max_time / pace)
    }

    /// Seconds that the last phase took.
    #[must_use]
    pub fn last_seconds(&self) -> f64 {
        self.cost.phases.last().map_or(0.0, |phase| phase.seconds)
    }
}
