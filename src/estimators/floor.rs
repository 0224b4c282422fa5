//! What log Z is certainly not below: evidence that needs no chain to have found the way.

use std::collections::HashSet;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use super::comparison::Answer;
use super::deadline::Deadline;
use super::estimate::Direction;
use super::phases::Phases;
use crate::error::Result;
use crate::math::log_sum_exp;
use crate::models::Model;
use crate::paths::Counts;

/// Most landmarks, rows of data and states of chains that bounds start from.
const STARTS: usize = 256;
/// Landmarks where it is late already, and nothing else: on a machine of 3000x3000 units 256 take seconds.
const FEW: usize = 16;
/// Rows whose bounds are computed together.
const BLOCK: usize = 32;
/// What single precision may have rounded away in the estimate that the bound is held against: relative to log Z, and in nats.
const ROUNDING: (f64, f64) = (1e-6, 1e-3);

/// How many bounds there is room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// When no more are begun.
    pub deadline: Deadline,
    /// Starts that an earlier run had time for, where not for all; 0 for the first landmarks alone.
    pub most: Option<usize>,
}

/// A certain lower bound of log Z, as evidence, `None` where nothing gives one; and how many starts there was room for, where not for
/// all. There is for a few: fewer make a lower bound, not a wrong one.
///
/// Of a model with [`LowerBounds`](crate::models::LowerBounds) the best from its landmarks, from `data` and from `states` that
/// chains visited; of any other on a finite space, log Σ exp(−E) over the different ones of these.
pub(crate) fn floor(
    model: &Arc<dyn Model>,
    data: Option<ArrayView2<'_, f64>>,
    states: ArrayView2<'_, f64>,
    room: Room,
    phases: &mut Phases<'_>,
) -> Result<(Option<Answer>, Option<usize>)> {
    let bounds = model.lower_bounds();
    if bounds.is_none() && model.space().values().is_none() {
        return Ok((None, None));
    }
    let (bound, cut) = phases.run("lower bound", 1, |monitor| {
        let (mut done, mut cut) = (0, false);
        let mut values = |starts: ArrayView2<'_, f64>| -> Vec<f64> {
            let of_block = |block: ArrayView2<'_, f64>| match model.lower_bounds() {
                Some(bounds) => bounds.lower_bounds(block),
                None => -model.energy(block),
            };
            let (mut found, mut rest) = (Vec::new(), starts);
            while rest.nrows() > 0 {
                let most = room.most.map_or(usize::MAX, |most| most.saturating_sub(done));
                let rows = rest.nrows().min(BLOCK * rayon::current_num_threads()).min(most);
                cut |= rows == 0 || (done > 0 && room.deadline.has_passed());
                if cut {
                    break;
                }
                let (now, later) = rest.split_at(Axis(0), rows);
                let blocks: Vec<_> = now.axis_chunks_iter(Axis(0), BLOCK).collect();
                found.par_extend(blocks.into_par_iter().flat_map_iter(of_block));
                done += rows;
                rest = later;
            }
            found
        };
        let late = bounds.is_some() && room.most.map_or_else(|| room.deadline.has_passed(), |most| most == 0);
        let best = if let Some(bounds) = bounds.filter(|_| late) {
            largest(&bounds.lower_bounds(bounds.landmarks(FEW).view()).to_vec())
        } else if let Some(bounds) = bounds {
            // Landmarks first, which no chain has found. One set after the other: they may take as much memory as the model.
            let mut found = values(bounds.landmarks(STARTS).view());
            found.extend(data.map(|data| values(some(data).view())).into_iter().flatten());
            found.extend(values(some(states).view()));
            largest(&found)
        } else {
            let mut starts = vec![some(states)];
            starts.extend(data.map(some));
            let views: Vec<_> = starts.iter().map(|rows| rows.view()).collect();
            let starts = concatenate(Axis(0), &views).expect("states of one space have one width");
            total(&starts, &values(starts.view()))
        };
        monitor.advance(1);
        let counts = Counts { energy_evaluations: done as u64, ..Counts::default() };
        Ok(((best, if late { Some(0) } else { cut.then_some(done) }), counts))
    })?;
    let error = ROUNDING.1.max(ROUNDING.0 * bound.abs());
    let answer = bound.is_finite().then(|| Answer {
        source: "a certain lower bound".into(),
        walk: (Direction::Bound, 0),
        found: (bound, error),
        below: f64::INFINITY,
    });
    Ok((answer, cut))
}

fn largest(bounds: &[f64]) -> f64 {
    bounds.iter().copied().filter(|bound| bound.is_finite()).fold(f64::NEG_INFINITY, f64::max)
}

/// At most `STARTS` of the rows, evenly spaced.
pub(crate) fn some(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    rows.slice(s![..;rows.nrows().div_ceil(STARTS).max(1), ..]).to_owned()
}

/// log Σ exp(−E) over the rows that differ.
fn total(states: &Array2<f64>, log_densities: &[f64]) -> f64 {
    let mut seen = HashSet::new();
    let mut different = Vec::new();
    for (state, log_density) in states.rows().into_iter().zip(log_densities) {
        if seen.insert(state.iter().map(|x| x.to_bits()).collect::<Vec<u64>>()) {
            different.push(*log_density);
        }
    }
    log_sum_exp(&different)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Domain, FunctionModel, Space};
    use ndarray::array;

    #[test]
    fn a_state_counts_once() {
        let model: Arc<dyn Model> =
            Arc::new(FunctionModel::new(Space::new(2, Domain::Bits), |x| x[0] + x[1]));
        let states = array![[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]];
        let mut phases = Phases::new(&crate::estimators::Silent);
        let data = array![[0.0, 1.0], [0.0, 0.0]];
        let found =
            floor(&model, Some(data.view()), states.view(), Room::default(), &mut phases).expect("energies");
        let bound = found.0.expect("a finite space").found.0;
        assert!((bound - (1.0 + (-1f64).exp() + (-2f64).exp()).ln()).abs() < 1e-12, "{bound}");
    }

    /// Where it is late the first landmarks give a bound, and a replay of that the same one.
    #[test]
    fn a_late_bound_is_a_bound_and_is_replayed() {
        let model = crate::models::builtin::parse("ref:rbm?visible=30&hidden=40").expect("valid");
        let states = Array2::zeros((4, 30));
        let mut phases = Phases::new(&crate::estimators::Silent);
        let mut bound = |room| {
            let (answer, cut) = floor(&model, None, states.view(), room, &mut phases).expect("bounds");
            (answer.expect("a finite space").found.0, cut)
        };
        let now = std::time::Instant::now();
        let late = bound(Room { deadline: Deadline::after(now, 0.0), most: None });
        let whole = bound(Room::default());
        assert_eq!(late.1, Some(0));
        assert_eq!(bound(Room { most: late.1, ..Room::default() }), late);
        assert!(whole.1.is_none() && late.0.is_finite() && late.0 <= whole.0, "{late:?} {whole:?}");
    }

    #[test]
    fn continuous_spaces_have_no_states_to_count() {
        let model: Arc<dyn Model> =
            Arc::new(FunctionModel::new(Space::new(1, Domain::Real), |x| x[0] * x[0]));
        let mut phases = Phases::new(&crate::estimators::Silent);
        let found = floor(&model, None, array![[0.0]].view(), Room::default(), &mut phases);
        assert!(found.expect("nothing").0.is_none());
    }
}
