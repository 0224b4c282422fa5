//! A first look around, where a path's own reference is a mere guess.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Axis, concatenate};

use super::{CHAINS, EXPLORING_RUNGS, fairly_weighted, standing};
use crate::error::Result;
use crate::estimators::annealing::forward;
use crate::estimators::phases::Phases;
use crate::math::Stream;
use crate::paths::{Counts, Move, Path, Pilot, Population, Schedule};

/// Fits the path to what short runs from its explorers found together; `None` if it has none. `rungs` of those after the first follow
/// from the seconds that the first took and how many others there are; they are the second part of the answer.
///
/// Each chain's weight is an unbiased estimate of Z whatever reference it came from, so the runs pool as one weighted population.
pub(super) fn explore(
    path: &dyn Path,
    stream: Stream,
    rungs: &dyn Fn(f64, usize) -> usize,
    phases: &mut Phases<'_>,
) -> Result<Option<(Arc<dyn Path>, usize)>> {
    let explorers = path.explorers();
    if explorers.is_empty() {
        return Ok(None);
    }
    let begin = Instant::now();
    let mut size = EXPLORING_RUNGS;
    let (log_weights, ends, states) = phases.run("exploration", size * explorers.len(), |monitor| {
        let mut log_weights = Vec::new();
        let mut ends = Vec::new();
        let mut states = Vec::new();
        let mut counts = Counts::default();
        for (i, explorer) in explorers.iter().enumerate() {
            let population = Population::from_reference(explorer.as_ref(), CHAINS, stream.child(i as u64));
            let mut run = forward(population, &Schedule::linear(size), Move::Adapting, None, monitor)?;
            if i == 0 {
                size = rungs(begin.elapsed().as_secs_f64(), explorers.len() - 1);
            }
            log_weights.extend_from_slice(run.weights.log());
            ends.extend(run.population.log_density(&[1.0]));
            counts += run.population.counts();
            states.push(run.population.states());
        }
        Ok(((log_weights, ends, states), counts))
    })?;
    let views: Vec<_> = states.iter().map(|states| states.view()).collect();
    let states = concatenate(Axis(0), &views).expect("states of one space have one width");
    let picks = fairly_weighted(&standing(log_weights, || ends), stream.child(u64::MAX));
    let tuned = path.tuned(&Pilot { rungs: &[], states: states.select(Axis(0), &picks).view() });
    Ok(tuned.map(|tuned| (tuned, size)))
}
