//! Short runs that place the rungs of a ladder and bend its path.

use std::sync::Arc;

use ndarray::{Array1, ArrayView2};

use super::{Length, Observables, Positions, Start, Tempered};
use crate::error::Result;
use crate::estimators::phases::Phases;
use crate::math::Stream;
use crate::paths::{Path, Schedule};

/// Rounds of a run that places rungs, after half as many that do not count; and how long one is that bends the path.
pub(crate) const PLACING: usize = 100;
const BENDING: Length = Length { burn_in: 2, rounds: 8, every: 2 };
/// Runs that bend it, to a unit of the ladder's barrier and at most, and the barrier below which paths are straight enough.
const BENDS: f64 = 4.0;
const MOST_BENDS: f64 = 40.0;
const LEAST_BARRIER: f64 = 3.0;
/// The share of the way that the first goes, and how fast later ones go less: by SHARE/(1 + SLOWING k). Bits depend on each other, and
/// where the first went half of the way paths swung to and fro.
const SHARE: f64 = 0.2;
const SLOWING: f64 = 0.1;
/// Their streams are labelled from here on.
const LABELS: u64 = 1 << 32;
/// Share of a run's mean state at β = 1 in the running mean.
const RENEWED: f64 = 0.15;

/// A ladder that is being fitted: its path, its rungs, and where its systems stand.
#[derive(Debug)]
pub(crate) struct Fit<'a, 'm> {
    pub path: Arc<dyn Path>,
    pub schedule: Schedule,
    /// Where the last run ended.
    pub ends: Option<Positions>,
    systems: usize,
    /// How many rungs there are to be, where that is given.
    pub rungs: Option<usize>,
    /// Rounds of the runs that place them.
    pub placing: usize,
    stream: Stream,
    /// What the model's mean state is thought to be: a running mean, from the reference's on.
    mean: Option<Array1<f64>>,
    phases: &'a mut Phases<'m>,
}

impl<'a, 'm> Fit<'a, 'm> {
    /// Nothing is fitted yet, and systems start from the reference.
    pub(crate) fn new(
        path: Arc<dyn Path>,
        schedule: Schedule,
        systems: usize,
        stream: Stream,
        phases: &'a mut Phases<'m>,
    ) -> Self {
        Self {
            path,
            schedule,
            ends: None,
            systems,
            rungs: None,
            placing: PLACING,
            stream,
            mean: None,
            phases,
        }
    }

    /// Places rungs so that exchanges are rejected equally often, in so many runs.
    pub(crate) fn place(&mut self, runs: usize) -> Result<()> {
        let length = Length { burn_in: self.placing / 2, rounds: self.placing, every: self.placing };
        for run in 0..runs {
            let name = format!("ladder {}", run + 1);
            let run = self.run(&name, run as u64, length, Observables::NONE)?;
            self.take(&run);
        }
        Ok(())
    }

    /// Bends the path, where it can be and its barrier calls for it, and places rungs; in so many runs at most. Answers with how many
    /// there were.
    pub(crate) fn bend(&mut self, most: usize) -> Result<usize> {
        if self.path.bend().is_none() {
            return Ok(0);
        }
        let (mut bends, mut wanted) = (0, 1);
        while bends < wanted.min(most) {
            let barrier = self.bend_by(bends as u64, SHARE / (1.0 + SLOWING * bends as f64))?;
            if barrier >= LEAST_BARRIER {
                wanted = wanted.max((BENDS * barrier).min(MOST_BENDS) as usize);
            }
            bends += 1;
        }
        Ok(bends)
    }

    /// Sweeps of single chains that one of these runs takes.
    pub(crate) fn sweeps(&self) -> usize {
        (BENDING.burn_in + BENDING.rounds) * self.schedule.betas().len() * self.systems
    }

    /// Bends the path by this share of the way that the means of all rungs are off, and answers with the barrier as it was.
    fn bend_by(&mut self, label: u64, share: f64) -> Result<f64> {
        let states = |states: ArrayView2<'_, f64>| states.t().to_owned();
        let keep = Observables { number: self.path.space().dim, of: &states, averaged: true };
        let run = self.run("bending", LABELS + label, BENDING, keep)?;
        let betas = run.samples.schedule.betas();
        let means = run.observed.t();
        let mean = self.mean.get_or_insert_with(|| means.row(0).to_owned());
        *mean = (1.0 - RENEWED) * &*mean + RENEWED * &means.row(betas.len() - 1);
        let bend = self.path.better_bend(betas, means, mean.view(), share);
        if let Some(bent) = bend.and_then(|bend| self.path.bent(bend)) {
            self.path = bent;
        }
        self.take(&run);
        Ok(run.barrier())
    }

    fn run(&mut self, name: &str, label: u64, length: Length, keep: Observables<'_>) -> Result<Tempered> {
        let Self { path, schedule, ends, systems, stream, phases, .. } = self;
        let start = Start { schedule, systems: *systems, before: ends.as_ref(), stream: stream.child(label) };
        phases.run(name, length.burn_in + length.rounds, |monitor| {
            let run = super::run(path.as_ref(), start, length, keep, monitor)?;
            let counts = run.counts;
            Ok((run, counts))
        })
    }

    /// Goes on from a run.
    fn take(&mut self, run: &Tempered) {
        self.schedule = run.better_schedule(self.rungs);
        self.ends = Some(run.positions());
    }
}
