//! Adaptive integration over boxes: the cells with the largest errors are halved until the rest is accurate.

use std::f64::consts::SQRT_2;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::density::{Density, Frame};
use super::rules::Rule;
use crate::error::{Error, Result};
use crate::estimators::deadline::Deadline;

/// A mode in the frame's coordinates.
#[derive(Clone, Debug)]
pub(super) struct Peak {
    pub(super) at: Vec<f64>,
    pub(super) widths: Vec<f64>,
}

impl Peak {
    /// The peak with the `flattened` axes in t instead of z = √2 atanh t.
    pub(super) fn flatten(&self, flattened: &[bool]) -> Self {
        let mut peak = self.clone();
        for axis in (0..flattened.len()).filter(|&axis| flattened[axis]) {
            let t = (self.at[axis] / SQRT_2).tanh();
            peak.at[axis] = t;
            peak.widths[axis] *= (1.0 - t * t) / SQRT_2;
        }
        peak
    }
}

/// exp(log f − shift) in the frame's coordinates, and what may be spent on it.
#[derive(Debug)]
pub(super) struct Integrand<'a> {
    pub(super) density: &'a Density,
    pub(super) frame: &'a Frame,
    pub(super) peaks: &'a [Peak],
    pub(super) rule: &'a Rule,
    /// The highest log f known; a value above it by [`SURPRISE`] ends the attempt.
    pub(super) shift: f64,
    /// Axes along which regions are given in t with z = √2 atanh t, which makes a Gaussian of unit width nearly flat.
    pub(super) flattened: &'a [bool],
    pub(super) most_evaluations: u64,
    pub(super) deadline: Deadline,
}

/// Nats by which a value may exceed the highest mode that the search found.
const SURPRISE: f64 = 5.0;
/// Cells are split until they are at most this many widths of a mode near them, so that no mode falls between nodes.
const COARSEST: [f64; 7] = [0.0, 6.0, 6.0, 6.0, 10.0, 10.0, 10.0];

/// Why integration ended without reaching its tolerance.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Error),
    /// A state with a much higher density than any mode known.
    Higher(Vec<f64>),
    /// The time was over before there was an integral.
    Late,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An integral and the sum of its cells' errors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) value: f64,
    pub(super) error: f64,
    /// Whether the budget ended before the tolerance was met.
    pub(super) exhausted: bool,
}

/// A box [lower, upper] in the frame's coordinates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
}

impl Region {
    /// The region with the `flattened` axes in t instead of z = √2 atanh t.
    pub(super) fn flatten(&self, flattened: &[bool]) -> Self {
        let each = |ends: &[f64]| {
            ends.iter().zip(flattened).map(|(z, flat)| if *flat { (z / SQRT_2).tanh() } else { *z }).collect()
        };
        Self { lower: each(&self.lower), upper: each(&self.upper) }
    }

    fn halves(&self, axis: usize) -> [Self; 2] {
        let middle = 0.5 * (self.lower[axis] + self.upper[axis]);
        let (mut left, mut right) = (self.clone(), self.clone());
        left.upper[axis] = middle;
        right.lower[axis] = middle;
        [left, right]
    }

    /// `inner`'s complement in this region, as boxes: along each axis what lies beyond `inner`, restricted to `inner` along the
    /// axes before.
    pub(super) fn without(&self, inner: &Self) -> Vec<Self> {
        let mut rest = self.clone();
        let mut shells = Vec::new();
        for axis in 0..self.lower.len() {
            let mut left = rest.clone();
            left.upper[axis] = inner.lower[axis];
            let mut right = rest.clone();
            right.lower[axis] = inner.upper[axis];
            shells.extend([left, right]);
            rest.lower[axis] = inner.lower[axis];
            rest.upper[axis] = inner.upper[axis];
        }
        shells
    }

    /// The region cut at these places, (axis, coordinate), where they lie inside it.
    pub(super) fn cut(self, places: &[(usize, f64)]) -> Vec<Self> {
        let mut parts = vec![self];
        for &(axis, at) in places {
            let (across, mut aside): (Vec<Self>, Vec<Self>) =
                parts.into_iter().partition(|part| part.lower[axis] < at && at < part.upper[axis]);
            for part in across {
                let (mut left, mut right) = (part.clone(), part);
                left.upper[axis] = at;
                right.lower[axis] = at;
                aside.extend([left, right]);
            }
            parts = aside;
        }
        parts
    }

    /// The smallest region that holds both.
    pub(super) fn union(&self, other: &Self) -> Self {
        let merge = |a: &[f64], b: &[f64], pick: fn(f64, f64) -> f64| {
            a.iter().zip(b).map(|(a, b)| pick(*a, *b)).collect()
        };
        Self {
            lower: merge(&self.lower, &other.lower, f64::min),
            upper: merge(&self.upper, &other.upper, f64::max),
        }
    }

    /// The region twice as wide about the same centre.
    pub(super) fn doubled(&self) -> Self {
        let ends = |low: f64, high: f64, sign: f64| 0.5 * (low + high) + sign * (high - low);
        let each = |sign: f64| {
            self.lower.iter().zip(&self.upper).map(|(low, high)| ends(*low, *high, sign)).collect()
        };
        Self { lower: each(-1.0), upper: each(1.0) }
    }
}

#[derive(Clone, Debug)]
struct Cell {
    region: Region,
    value: f64,
    error: f64,
    axis: usize,
}

impl Integrand<'_> {
    /// The integral over `regions` with a sum of errors below `tolerance(value)`, if the budget allows.
    pub(super) fn integrate(
        &self,
        regions: Vec<Region>,
        tolerance: impl Fn(f64) -> f64,
    ) -> Result<Sum, Stop> {
        let pending: Vec<Region> = regions.into_iter().flat_map(|region| self.refine(region)).collect();
        let mut cells: Vec<Cell> =
            pending.into_par_iter().map(|region| self.evaluate(region)).collect::<Result<_, Stop>>()?;
        let mut confirmed = self.density.dim() > 3;
        loop {
            // A stable order, so that the sum does not depend on how cells were found.
            cells.sort_by(|a, b| b.error.total_cmp(&a.error));
            let value: f64 = cells.iter().map(|cell| cell.value).sum();
            let error: f64 = cells.iter().rev().map(|cell| cell.error).sum();
            let limit = tolerance(value).max(value * 1e-14);
            let converged = error <= limit || error == 0.0;
            if converged && confirmed {
                return Ok(Sum { value, error, exhausted: false });
            }
            if self.density.evaluations() >= self.most_evaluations || self.deadline.has_passed() {
                return Ok(Sum { value, error, exhausted: true });
            }
            // Split what carries all but a quarter of the allowed error, at most half of the cells at a time.
            let mut left = error;
            let mut split = 0;
            if converged {
                // Once all cells are halved: a sliver of mass that fell between the nodes of a cell shows up then.
                confirmed = true;
                (left, split) = (0.0, cells.len());
            }
            while split < cells.len().div_ceil(2) && left > 0.25 * limit && cells[split].error > 0.0 {
                left -= cells[split].error;
                split += 1;
            }
            let kept = cells.split_off(split.max(1));
            let stuck = |region: &Region| {
                region
                    .lower
                    .iter()
                    .zip(&region.upper)
                    .any(|(low, high)| (high - low) <= 1e-13 * low.abs().max(high.abs()).max(1e-3))
            };
            if cells.iter().any(|cell| stuck(&cell.region)) {
                return Ok(Sum { value, error, exhausted: true });
            }
            let halves: Result<Vec<[Cell; 2]>, Stop> =
                cells.into_par_iter().map(|cell| self.split(cell)).collect();
            let halves = match halves {
                Err(Stop::Late) => return Ok(Sum { value, error, exhausted: true }),
                halves => halves?,
            };
            cells = kept;
            cells.extend(halves.into_iter().flatten());
        }
    }

    /// Both halves of a cell. What halving changed bounds their errors from below: two rules may agree by chance.
    fn split(&self, cell: Cell) -> Result<[Cell; 2], Stop> {
        let [left, right] = cell.region.halves(cell.axis);
        let mut halves = [self.evaluate(left)?, self.evaluate(right)?];
        let change = (halves[0].value + halves[1].value - cell.value).abs();
        for half in &mut halves {
            half.error = half.error.max(0.25 * change);
        }
        Ok(halves)
    }

    /// Cells no wider than a few widths of every mode in or near them.
    fn refine(&self, region: Region) -> Vec<Region> {
        let coarsest = COARSEST[self.density.dim()];
        let mut done = Vec::new();
        let mut open = vec![region];
        while let Some(region) = open.pop() {
            let ratio = |axis: usize| -> f64 {
                self.peaks
                    .iter()
                    .filter(|peak| {
                        (0..peak.at.len()).all(|i| {
                            let margin = 3.0 * peak.widths[i];
                            region.lower[i] - margin < peak.at[i] && peak.at[i] < region.upper[i] + margin
                        })
                    })
                    .map(|peak| (region.upper[axis] - region.lower[axis]) / peak.widths[axis])
                    .fold(0.0, f64::max)
            };
            let ratios: Vec<f64> = (0..region.lower.len()).map(ratio).collect();
            let widest = (0..ratios.len()).max_by(|&a, &b| ratios[a].total_cmp(&ratios[b])).unwrap_or(0);
            if ratios[widest] > coarsest && done.len() + open.len() < 100_000 {
                open.extend(region.halves(widest));
            } else {
                done.push(region);
            }
        }
        done
    }

    /// log f of the rows, in parallel where they are many.
    fn logs(&self, states: &Array2<f64>) -> Result<Vec<f64>> {
        let parts: Vec<_> = states.axis_chunks_iter(Axis(0), 4096).collect();
        let logs: Vec<_> = parts.into_par_iter().map(|part| self.density.log(part)).collect::<Result<_>>()?;
        Ok(logs.into_iter().flatten().collect())
    }

    fn evaluate(&self, region: Region) -> Result<Cell, Stop> {
        if self.deadline.has_passed() {
            return Err(Stop::Late);
        }
        let dim = region.lower.len();
        let half: Vec<f64> = (0..dim).map(|i| 0.5 * (region.upper[i] - region.lower[i])).collect();
        let mut points = Array2::from_shape_fn(self.rule.nodes.dim(), |(node, i)| {
            region.lower[i] + half[i] * (1.0 + self.rule.nodes[[node, i]])
        });
        let mut jacobians = vec![1.0; points.nrows()];
        for axis in (0..dim).filter(|&axis| self.flattened[axis]) {
            for (t, jacobian) in points.column_mut(axis).iter_mut().zip(&mut jacobians) {
                *jacobian *= SQRT_2 / (1.0 - *t * *t);
                *t = SQRT_2 * t.atanh();
            }
        }
        let states = self.frame.states(points.view());
        let logs = self.logs(&states)?;
        if let Some(node) = logs.iter().position(|log| *log > self.shift + SURPRISE) {
            return Err(Stop::Higher(states.row(node).to_vec()));
        }
        let values: Vec<f64> =
            logs.iter().zip(&jacobians).map(|(log, jacobian)| jacobian * (log - self.shift).exp()).collect();
        let applied = self.rule.apply(&values);
        let volume: f64 = half.iter().map(|h| 2.0 * h).product();
        let widest = (0..dim).max_by(|&a, &b| half[a].total_cmp(&half[b])).expect("there is an axis");
        Ok(Cell {
            value: applied.mean * volume,
            error: applied.error * volume,
            axis: applied.axis.unwrap_or(widest),
            region,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_and_the_inner_box_fill_the_outer_one() {
        let inner = Region { lower: vec![-1.0, 0.0, 2.0], upper: vec![1.0, 4.0, 3.0] };
        let outer = inner.doubled();
        let volume = |r: &Region| r.lower.iter().zip(&r.upper).map(|(a, b)| b - a).product::<f64>();
        assert_eq!(outer, Region { lower: vec![-2.0, -2.0, 1.5], upper: vec![2.0, 6.0, 3.5] });
        let shells = outer.without(&inner);
        assert_eq!(shells.len(), 6);
        assert!((shells.iter().map(volume).sum::<f64>() + volume(&inner) - volume(&outer)).abs() < 1e-12);
        let parts = outer.clone().cut(&[(0, 0.5), (1, 6.0), (2, 2.0), (2, 3.0)]);
        assert_eq!(parts.len(), 6);
        assert!((parts.iter().map(volume).sum::<f64>() - volume(&outer)).abs() < 1e-12);
    }
}
