//! The ladder: independent systems with one chain per rung, and the exchanges between rungs.

use ndarray::{Array2, ArrayView2, Axis, s};
use rand::RngExt;
use rayon::prelude::*;

use crate::error::Result;
use crate::estimators::monitor::Monitor;
use crate::estimators::samples::Samples;
use crate::math::{Generator, Stream};
use crate::paths::{Counts, Move, Path, Population, Schedule};

mod fit;

pub(crate) use fit::{Fit, PLACING};

/// Fewest independent systems unless asked for otherwise: enough for an error bar. More would make runs shorter for the same error,
/// and what they have not forgotten of their start a larger part of it.
pub(crate) const SYSTEMS: usize = 32;
/// Rungs of the first ladder to a unit of the annealing barrier: for normal increments of standard deviation d an exchange is
/// rejected with probability about d/√π, and a half is best.
pub(crate) const DENSITY: f64 = 1.2;

/// Steps that a rung's chains take where the rung below left them, before the first round.
const SETTLING: usize = 10;

/// What independent tempering systems measured.
#[derive(Debug)]
pub struct Tempered {
    /// What was kept.
    pub samples: Samples,
    /// The [`Observables`] of every kept state, (quantities, N), or their means at each rung, (quantities, K + 1).
    pub observed: Array2<f64>,
    /// Mean probability that an exchange between rungs k and k + 1 is accepted.
    pub swap_rates: Vec<f64>,
    /// How often states went from the reference to the model and back, in each system.
    pub round_trips: Vec<u64>,
    /// One population per rung, where it ended.
    pub populations: Vec<Population>,
    /// Work done.
    pub counts: Counts,
}

impl Tempered {
    /// Round trips of a system, on average.
    #[must_use]
    pub fn trips(&self) -> f64 {
        self.round_trips.iter().sum::<u64>() as f64 / self.round_trips.len() as f64
    }

    /// Where it ended.
    #[must_use]
    pub fn positions(&self) -> Positions {
        let states = self.populations.iter().map(Population::states).collect();
        Positions { schedule: self.samples.schedule.clone(), states }
    }

    /// Rungs between which exchanges should be rejected equally often: so many, or 2Λ.
    #[must_use]
    pub fn better_schedule(&self, rungs: Option<usize>) -> Schedule {
        let rejected: Vec<f64> = self.swap_rates.iter().map(|rate| 1.0 - rate).collect();
        let rungs = rungs.unwrap_or(((2.0 * self.barrier()).ceil() as usize).max(2));
        self.samples.schedule.equal_barrier(&rejected, rungs)
    }

    /// Λ = Σ of the rejection rates, the communication barrier.
    #[must_use]
    pub fn barrier(&self) -> f64 {
        self.swap_rates.iter().map(|rate| 1.0 - rate).sum()
    }
}

/// The states of all systems at every rung, to go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// The rungs.
    pub schedule: Schedule,
    /// States of the systems, a row each, at every rung.
    pub states: Vec<Array2<f64>>,
}

impl Positions {
    /// The same states on other rungs: each has those of the nearest rung.
    #[must_use]
    pub fn on(&self, schedule: Schedule) -> Self {
        let nearest = |beta: &f64| self.states[nearest(self.schedule.betas(), *beta)].clone();
        Self { states: schedule.betas().iter().map(nearest).collect(), schedule }
    }
}

/// How long to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Rounds before anything is measured.
    pub burn_in: usize,
    /// Rounds after that.
    pub rounds: usize,
    /// Every how many of these states are kept.
    pub every: usize,
}

/// What a run is to keep of its states beside their energies on its path.
#[derive(Clone, Copy)]
pub struct Observables<'a> {
    /// How many quantities.
    pub number: usize,
    /// Their values, (quantities, n), at states (n, dim).
    pub of: &'a (dyn Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync),
    /// Whether only their means over the kept states of each rung are wanted.
    pub averaged: bool,
}

impl std::fmt::Debug for Observables<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observables").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Observables<'_> {
    /// Nothing.
    pub const NONE: Self =
        Self { number: 0, of: &|states| Array2::zeros((0, states.nrows())), averaged: false };
}

/// Where a run starts.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The rungs.
    pub schedule: &'a Schedule,
    /// How many independent systems.
    pub systems: usize,
    /// Where a run ended that is gone on from: each rung starts where its nearest one did. Without such, where the rung below it
    /// settled.
    pub before: Option<&'a Positions>,
    /// What all chance comes from.
    pub stream: Stream,
}

/// Runs `systems` independent ladders with one chain per rung, each round one kernel step at every rung and one sweep of exchanges,
/// even pairs and odd pairs in turn (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, doi:10.1111/rssb.12464). Chain i of every rung's
/// population belongs to system i.
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) when a density ratio becomes NaN or +∞.
pub fn run(
    path: &dyn Path,
    start: Start<'_>,
    length: Length,
    observables: Observables<'_>,
    monitor: &dyn Monitor,
) -> Result<Tempered> {
    let Start { schedule, systems, .. } = start;
    let smooth = path.smooth().is_none();
    let mut ladder = Ladder::start(path, start)?;
    for round in 0..length.burn_in {
        ladder.round(round)?;
        monitor.advance(1);
    }
    ladder.swaps.fill((0.0, 0.0));
    ladder.visits.iter_mut().for_each(Visits::forget);
    let kept = length.rounds / length.every;
    let rungs = schedule.betas().len();
    let mut energies = Array2::zeros((rungs, rungs * kept * systems));
    let mut derivatives = Array2::zeros((2, rungs * kept * systems));
    let mut jumps = Vec::with_capacity(kept * systems);
    let columns = if observables.averaged { rungs } else { rungs * kept * systems };
    let mut observed = Array2::zeros((observables.number, columns));
    for round in 0..length.rounds {
        ladder.round(length.burn_in + round)?;
        if (round + 1) % length.every == 0 {
            let at = (round + 1) / length.every - 1;
            for (rung, (rows, slopes)) in ladder.measure().into_iter().enumerate() {
                let from = (rung * kept + at) * systems;
                energies.slice_mut(s![.., from..from + systems]).assign(&rows.t());
                derivatives.slice_mut(s![.., from..from + systems]).assign(&slopes);
            }
            if observables.number > 0 {
                for (rung, found) in ladder.observe(observables).into_iter().enumerate() {
                    if observables.averaged {
                        observed.column_mut(rung).scaled_add(1.0 / kept as f64, &found.column(0));
                    } else {
                        let from = (rung * kept + at) * systems;
                        observed.slice_mut(s![.., from..from + systems]).assign(&found);
                    }
                }
            }
            let top = ladder.populations.last_mut().expect("a ladder has rungs");
            // A chain that has not yet come to where the model has mass has no ratio.
            let lost = smooth && top.log_density(&[1.0]).iter().any(|density| *density == f64::NEG_INFINITY);
            jumps.extend(if lost { vec![0.0; systems] } else { top.log_ratio(1.0, 1f64.next_down())? });
        }
        monitor.advance(1);
    }
    let mut counts = Counts::default();
    ladder.populations.iter().for_each(|population| counts += population.counts());
    Ok(Tempered {
        samples: Samples { schedule: schedule.clone(), systems, energies, derivatives, jumps: jumps.into() },
        observed,
        swap_rates: ladder.swaps.iter().map(|(sum, count)| sum / f64::max(*count, 1.0)).collect(),
        round_trips: ladder.visits.iter().map(|visits| visits.round_trips).collect(),
        populations: ladder.populations,
        counts,
    })
}

/// Chains of all systems on all rungs.
struct Ladder<'a> {
    betas: &'a [f64],
    populations: Vec<Population>,
    /// What chance each pair of rungs exchanges by, whatever thread it is on.
    generators: Vec<Generator>,
    /// Sum and number of acceptance probabilities of each pair.
    swaps: Vec<(f64, f64)>,
    visits: Vec<Visits>,
}

impl<'a> Ladder<'a> {
    fn start(path: &dyn Path, start: Start<'a>) -> Result<Self> {
        let Start { schedule, systems, before, stream } = start;
        let betas = schedule.betas();
        let mut populations = vec![Population::from_reference(path, systems, stream.child(0))];
        for (k, &beta) in betas.iter().enumerate().skip(1) {
            let stream = stream.child(k as u64);
            populations.push(if let Some(before) = before {
                let states = &before.states[nearest(before.schedule.betas(), beta)];
                Population::adopt(path, states.view(), stream)?
            } else {
                let below = populations[k - 1].states();
                let mut population = Population::adopt(path, below.view(), stream)?;
                for _ in 0..SETTLING {
                    population.step(beta, Move::Forward);
                }
                population
            });
        }
        let pairs = schedule.rungs();
        let chance = stream.child(u64::MAX);
        Ok(Self {
            betas,
            populations,
            generators: (0..pairs).map(|k| chance.child(k as u64).generator()).collect(),
            swaps: vec![(0.0, 0.0); pairs],
            visits: (0..systems).map(|_| Visits::new(betas.len())).collect(),
        })
    }

    /// A step at every rung, then exchanges between rungs k and k + 1 for all k of the parity of `round`. Two rungs that exchange do
    /// all of it on one thread.
    fn round(&mut self, round: usize) -> Result<()> {
        let (betas, offset) = (self.betas, round % 2);
        let (first, pairs) = self.populations.split_at_mut(offset);
        let mut groups: Vec<(&mut [Population], Option<&mut Generator>)> = vec![(first, None)];
        let mut generators = self.generators.iter_mut().skip(offset).step_by(2);
        groups.extend(pairs.chunks_mut(2).map(|pair| (pair, generators.next())));
        let work =
            |(group, (populations, generator)): (usize, (&mut [Population], Option<&mut Generator>))| {
                let k = if group == 0 { 0 } else { offset + 2 * (group - 1) };
                for (population, &beta) in populations.iter_mut().zip(&betas[k..]) {
                    population.step(beta, Move::Forward);
                }
                match (populations, generator) {
                    ([low, high], Some(generator)) => {
                        exchange((low, betas[k]), (high, betas[k + 1]), generator).map(|swapped| (k, swapped))
                    }
                    _ => Ok((k, Vec::new())),
                }
            };
        let swapped: Vec<_> = groups.into_par_iter().enumerate().map(work).collect::<Result<_>>()?;
        for (k, swapped) in swapped {
            for (system, swap) in swapped.into_iter().enumerate() {
                self.swaps[k].0 += swap.probability;
                self.swaps[k].1 += 1.0;
                if swap.accepted {
                    self.visits[system].exchange(k);
                }
            }
        }
        Ok(())
    }

    /// Of every rung, energies at all rungs (systems, K + 1) and derivatives at its own (2, systems).
    fn measure(&mut self) -> Vec<(Array2<f64>, Array2<f64>)> {
        let betas = self.betas;
        let of_rung = |(population, &beta): (&mut Population, &f64)| {
            let energies = -population.log_density(betas);
            let mut slopes = Array2::zeros((population.chains(), 2));
            population.map_blocks(&mut slopes, |block, mut rows| {
                let (mut first, mut second) = (vec![0.0; block.chains()], vec![0.0; block.chains()]);
                // Of the path below β = 1, where it may jump: the integral goes up to there.
                block.derivatives(beta.min(1f64.next_down()), &mut first, &mut second);
                for (mut row, (first, second)) in rows.rows_mut().into_iter().zip(first.iter().zip(&second)) {
                    row[0] = *first;
                    row[1] = *second;
                }
            });
            (energies, slopes.reversed_axes())
        };
        self.populations.par_iter_mut().zip(betas).map(of_rung).collect()
    }

    /// The observables of every rung's states, or a column of their means.
    fn observe(&mut self, observables: Observables<'_>) -> Vec<Array2<f64>> {
        let of_rung = |population: &mut Population| {
            let found = (observables.of)(population.states().view());
            match found.mean_axis(Axis(1)) {
                Some(mean) if observables.averaged => mean.insert_axis(Axis(1)),
                _ => found,
            }
        };
        // Chains can be lent to one thread only.
        self.populations.par_iter_mut().map(of_rung).collect()
    }
}

/// Independent systems unless asked for otherwise: 32, or as many as a machine word holds.
pub(crate) fn usual_systems(path: &dyn Path) -> usize {
    path.block_size(SYSTEMS).max(SYSTEMS)
}

/// The rung nearest to β.
fn nearest(betas: &[f64], beta: f64) -> usize {
    let distance = |k: &usize| (betas[*k] - beta).abs();
    (0..betas.len()).min_by(|one, other| distance(one).total_cmp(&distance(other))).unwrap_or(0)
}

/// One exchange of one system.
struct Swap {
    probability: f64,
    accepted: bool,
}

/// Exchanges chains of two rungs.
fn exchange(
    (low, below): (&mut Population, f64),
    (high, above): (&mut Population, f64),
    generator: &mut Generator,
) -> Result<Vec<Swap>> {
    let of_low = low.log_ratio(below, above)?;
    let of_high = high.log_ratio(below, above)?;
    let swaps: Vec<Swap> = of_low
        .iter()
        .zip(&of_high)
        .map(|(low, high)| {
            // Two forbidden states, −∞ − (−∞), stay where they are.
            let gain = low - high;
            let probability = if gain.is_nan() { 0.0 } else { gain.exp().min(1.0) };
            Swap { probability, accepted: generator.random::<f64>() < probability }
        })
        .collect();
    low.exchange(high, &swaps.iter().map(|swap| swap.accepted).collect::<Vec<_>>());
    Ok(swaps)
}

/// Where the states of one system have been.
struct Visits {
    /// Of the state on each rung, whether it last saw the reference (false) or the model (true) since it saw the reference.
    been_up: Vec<Option<bool>>,
    round_trips: u64,
}

impl Visits {
    fn new(rungs: usize) -> Self {
        Self { been_up: vec![None; rungs], round_trips: 0 }
    }

    fn forget(&mut self) {
        self.round_trips = 0;
    }

    /// The states on rungs k and k + 1 change places.
    fn exchange(&mut self, k: usize) {
        self.been_up.swap(k, k + 1);
        if k == 0 {
            self.round_trips += u64::from(self.been_up[0] == Some(true));
            self.been_up[0] = Some(false);
        }
        if k + 2 == self.been_up.len() {
            let top = &mut self.been_up[k + 1];
            *top = top.map(|_| true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_counted_from_the_reference_and_back() {
        let mut visits = Visits::new(3);
        // The state that starts on top has not come from the reference, so its way down is no round trip.
        visits.exchange(1);
        visits.exchange(0);
        assert_eq!(visits.round_trips, 0);
        visits.exchange(0);
        visits.exchange(1);
        assert_eq!((visits.been_up.clone(), visits.round_trips), (vec![Some(false), None, Some(true)], 0));
        visits.exchange(1);
        visits.exchange(0);
        assert_eq!(visits.round_trips, 1);
    }
}
