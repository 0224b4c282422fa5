//! A series of pilots on one path, each twice as long as the one before, until what they saw can be extrapolated from.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;

use super::bend::{Runs, bend};
use super::variance::{decay, shares, spread};
use super::{AIMED_VARIANCE, FIRST_RUNGS, SETTLED, fairly_weighted, resampling, standing};
use crate::error::Result;
use crate::estimators::annealing::Annealed;
use crate::estimators::estimate::PilotRecord;
use crate::estimators::phases::Phases;
use crate::estimators::settings::{ScheduleChoice, Settings};
use crate::math::Stream;
use crate::paths::{Move, Path, Pilot, Population, Schedule, Start};

/// Pilots whose states the reference of a finite space is fitted to.
const FITTING: usize = 2;

/// When a series ends, if not before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// Most rungs of a pilot.
    pub rungs: usize,
    /// Most runs that bend the path.
    pub bends: usize,
    /// Share of the limit that the run may have used by then.
    pub share: f64,
    /// Pilots and bending runs that a replay asks for, instead of the clock.
    pub replay: Option<(usize, Option<usize>)>,
}

/// Pilots on one path, and what the last of them saw.
pub(super) struct Series<'a> {
    settings: &'a Settings,
    begin: Instant,
    stream: Stream,
    /// What follows a pilot's number in its name.
    suffix: &'static str,
    /// Whether chains of the first pilots are to be fitted to, and therefore not resampled.
    fitting: bool,
    pub path: Arc<dyn Path>,
    pub curve: Schedule,
    pub records: Vec<PilotRecord>,
    pub barrier: f64,
    pub length: f64,
    pub variance: f64,
    pub support: f64,
    /// Seconds to a step of a chain.
    pub pace: f64,
    /// Where the chains of the last pilot that was not resampled ended, where they are fitted to.
    pub states: Option<Array2<f64>>,
    /// Runs that bent the path, and pilots before them.
    pub bends: Option<usize>,
    before: usize,
    rungs: usize,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        path: Arc<dyn Path>,
        curve: Schedule,
        fitting: bool,
        suffix: &'static str,
        (settings, begin, stream): (&'a Settings, Instant, Stream),
    ) -> Self {
        Self {
            settings,
            begin,
            stream,
            suffix,
            fitting,
            path,
            curve,
            records: Vec::new(),
            barrier: 0.0,
            length: 0.0,
            variance: f64::INFINITY,
            support: 1.0,
            pace: 0.0,
            states: None,
            bends: None,
            before: 0,
            rungs: FIRST_RUNGS,
        }
    }

    /// Runs pilots until the variance of log-weights is at most [`SETTLED`], or it is time. The first two fit reference and kernel;
    /// only a pilot after them, and after bending, measures what will be run.
    pub(super) fn run(&mut self, until: Until, phases: &mut Phases<'_>) -> Result<()> {
        let most = self.settings.rungs.unwrap_or(usize::MAX).min(until.rungs).max(FIRST_RUNGS);
        loop {
            let longest = self.records.last().is_some_and(|last| last.rungs >= most);
            let settled = self.records.len() > FITTING.max(self.before) && (self.is_settled() || longest);
            let next = (self.path.pilot_chains() * self.rungs) as f64;
            let share = match self.settings.budget {
                Some(budget) => (phases.cost.counts.sweeps as f64 + next) / budget as f64,
                None => (self.begin.elapsed().as_secs_f64() + self.pace * next) / self.settings.max_time,
            };
            let stop = match until.replay {
                Some((pilots, _)) => self.records.len() >= pilots,
                None => share > until.share,
            };
            if settled || (!self.records.is_empty() && stop) {
                return Ok(());
            }
            self.pilot(phases)?;
            if self.variance > SETTLED || self.records.len() > FITTING {
                self.rungs = (2 * self.rungs).min(most);
            }
            if self.records.len() == FITTING {
                self.bend(until, phases)?;
            }
        }
    }

    fn pilot(&mut self, phases: &mut Phases<'_>) -> Result<()> {
        let (number, rungs) = (self.records.len(), self.rungs);
        let chains = self.path.pilot_chains();
        let name = format!("pilot {}{}", number + 1, self.suffix);
        let schedule = self.curve.with_rungs(rungs);
        let stream = self.stream.child(number as u64);
        let population = Population::from_reference(self.path.as_ref(), chains, stream);
        // Copies of chains in one mode would hide from a fit that there are others.
        let fits = self.fitting && number < FITTING;
        let resampling = resampling(self.path.as_ref(), stream.child(u64::MAX)).filter(|_| !fits);
        let mut run = phases.forward(&name, population, &schedule, Move::Adapting, resampling)?;
        self.pace = phases.last_seconds() / (chains * rungs) as f64;
        self.measure(&run, &schedule);
        let record = PilotRecord {
            chains,
            rungs,
            log_z: self.path.log_z_reference() + run.weights.log_mean(),
            std_err: run.families.std_err(),
            effective_sample_size: run.families.effective_sample_size(),
            log_weight_variance: self.variance,
            barrier: self.barrier,
        };
        phases.monitor.note(&format!(
            "{name}: {rungs} rungs, log Z = {:.2} ± {:.2}, ESS {:.0} of {chains}, barrier {:.1}",
            record.log_z, record.std_err, record.effective_sample_size, self.barrier
        ));
        self.records.push(record);
        self.fit(&mut run, fits);
        Ok(())
    }

    fn measure(&mut self, run: &Annealed, schedule: &Schedule) {
        let rungs = schedule.rungs();
        self.barrier = run.rungs.iter().map(|rung| rung.discrepancy).sum();
        self.support = run.support.max(1.0 / run.weights.len() as f64);
        self.variance = spread(run, self.support);
        let shares = shares(&run.rungs);
        if self.settings.schedule == ScheduleChoice::EqualBarrier {
            self.length = shares.iter().sum();
            self.curve = schedule.equal_barrier(&shares, rungs);
        } else {
            self.length = rungs as f64 * shares.iter().copied().fold(0.0, f64::max);
        }
    }

    /// Fits reference and kernel: on finite spaces the reference to all chains alike, wherever they ended, because a fit by weights has
    /// forgotten what the heaviest chains did not see.
    fn fit(&mut self, run: &mut Annealed, fits: bool) {
        let states = if fits {
            self.states.insert(run.population.states()).clone()
        } else if self.path.start() == Some(Start::Open) {
            return;
        } else {
            let label = 1_000 + self.records.len() as u64;
            let stream = self.stream.child(self.records.len() as u64 - 1).child(label);
            let ends = || run.population.log_density(&[1.0]).into_raw_vec_and_offset().0;
            let weights = standing(run.weights.log().to_vec(), ends);
            run.population.pick(&fairly_weighted(&weights, stream))
        };
        if let Some(tuned) = self.path.tuned(&Pilot { rungs: &run.steps, states: states.view() }) {
            self.path = tuned;
        }
    }

    fn bend(&mut self, until: Until, phases: &mut Phases<'_>) -> Result<()> {
        let runs = match until.replay {
            Some((_, None)) => return Ok(()),
            Some((_, Some(runs))) => Runs::Decided(runs),
            None => Runs::AtMost(until.bends),
        };
        let stream = self.stream.child(998);
        let bent =
            bend(&self.path, &self.curve, (self.barrier, self.pace), self.settings, runs, stream, phases)?;
        if let Some(bent) = bent {
            self.path = bent.path;
            if self.settings.schedule == ScheduleChoice::EqualBarrier {
                self.curve = bent.schedule;
            }
            (self.bends, self.before) = (Some(bent.runs), self.records.len());
        }
        Ok(())
    }

    /// Whether the last pilot is good enough to extrapolate from.
    pub(super) fn is_settled(&self) -> bool {
        self.variance <= SETTLED
    }

    /// Rungs at which the variance of log-weights will be this: it falls as K^−a, a as the last pilots saw it.
    pub(super) fn rungs_for(&self, aimed: f64) -> f64 {
        let last = self.last();
        let power = 1.0 / decay(&self.records[self.before..]);
        last.rungs as f64 * (self.variance / aimed).max(1.0).powf(power)
    }

    /// Rungs of a round whose weights are as they should be.
    pub(super) fn needed(&self) -> f64 {
        self.rungs_for(AIMED_VARIANCE).max(self.barrier * self.barrier / AIMED_VARIANCE)
    }

    pub(super) fn last(&self) -> &PilotRecord {
        self.records.last().expect("the first pilot always runs")
    }
}
