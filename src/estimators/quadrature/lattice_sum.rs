//! Integration in four to six dimensions by sums over two shifted lattices, of which only the nodes that matter are visited.

use std::collections::HashSet;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::cells::{Peak, Region, Stop, Sum};
use super::density::{Density, Frame};
use crate::error::Result;
use crate::estimators::deadline::Deadline;

/// Bits of a node's number along each axis: six axes fill a word.
const BITS: u32 = 10;
const HALF: i64 = 1 << (BITS - 1);
/// Most nodes of one lattice, so that the set of those seen stays below 200 MB.
const MOST_NODES: usize = 6_000_000;
/// Nats by which a node may exceed the highest mode that the search found.
const SURPRISE: f64 = 5.0;

/// The trapezoid rule, whose error for a smooth density that vanishes outwards falls as exp(−2π²σ²/h²), over a lattice of step h
/// and over the same shifted by h/2 in all coordinates.
///
/// Nodes are visited outwards from the modes for as long as f exceeds a threshold. Where the two sums differ h shrinks; the leading
/// error has opposite signs in them, so half their difference bounds that of their mean well. What lies below the threshold is
/// extrapolated from the mass found in the last two decades of f.
#[derive(Debug)]
pub(super) struct Lattices<'a> {
    pub(super) density: &'a Density,
    pub(super) frame: &'a Frame,
    pub(super) peaks: &'a [Peak],
    pub(super) shift: f64,
    pub(super) most_evaluations: u64,
    pub(super) deadline: Deadline,
}

/// The sum over one lattice.
struct One {
    value: f64,
    tail: f64,
    extent: Region,
}

impl Lattices<'_> {
    /// The integral to relative accuracy `target` and a region that holds what was visited; `None` where that takes too many nodes.
    pub(super) fn integrate(&self, target: f64) -> Result<Option<(Sum, Region)>, Stop> {
        let dim = self.density.dim();
        let least =
            |axis: usize| self.peaks.iter().map(|peak| peak.widths[axis]).fold(f64::INFINITY, f64::min);
        let mut steps: Vec<f64> = (0..dim).map(least).collect();
        let mut threshold = 1e-5 * target;
        loop {
            let Some(plain) = self.sum(&steps, 0.0, threshold)? else { return Ok(None) };
            let Some(shifted) = self.sum(&steps, 0.5, threshold)? else { return Ok(None) };
            let value = 0.5 * (plain.value + shifted.value);
            let spread = 0.5 * (plain.value - shifted.value).abs();
            let tail = plain.tail.max(shifted.tail);
            if spread + tail <= target * value {
                let sum = Sum { value, error: spread + tail, exhausted: false };
                return Ok(Some((sum, plain.extent.union(&shifted.extent))));
            }
            if tail > 0.5 * target * value {
                threshold *= 1e-2;
            }
            if spread > 0.5 * target * value {
                for step in &mut steps {
                    *step /= 1.3;
                }
            }
        }
    }

    /// The sum over the lattice with these steps, shifted by `offset` steps along every axis.
    fn sum(&self, steps: &[f64], offset: f64, threshold: f64) -> Result<Option<One>, Stop> {
        let dim = steps.len();
        let position = |node: u64, axis: usize| {
            let number = (node >> (BITS * axis as u32)) as i64 & (2 * HALF - 1);
            ((number - HALF) as f64 + offset) * steps[axis]
        };
        let mut seen: HashSet<u64> = HashSet::new();
        let mut frontier: Vec<u64> = Vec::new();
        for peak in self.peaks {
            let mut node = 0;
            for axis in 0..dim {
                let number = (peak.at[axis] / steps[axis] - offset).round() as i64 + HALF;
                if !(1..2 * HALF - 1).contains(&number) {
                    return Ok(None);
                }
                node |= (number as u64) << (BITS * axis as u32);
            }
            if seen.insert(node) {
                frontier.push(node);
            }
        }
        let mut extent = Region { lower: vec![f64::INFINITY; dim], upper: vec![f64::NEG_INFINITY; dim] };
        let (mut value, mut decades) = (0.0, [0.0; 2]);
        while !frontier.is_empty() {
            let full = seen.len() > MOST_NODES || self.density.evaluations() > self.most_evaluations;
            if full || self.deadline.has_passed() {
                return Ok(None);
            }
            let points =
                Array2::from_shape_fn((frontier.len(), dim), |(row, axis)| position(frontier[row], axis));
            let parts: Vec<_> = points.axis_chunks_iter(Axis(0), 2048).collect();
            let logs: Vec<_> = parts
                .into_par_iter()
                .map(|part| self.density.log(self.frame.states(part).view()))
                .collect::<Result<_>>()?;
            let mut next = Vec::new();
            for (row, log) in logs.into_iter().flatten().enumerate() {
                let f = (log - self.shift).exp();
                if log > self.shift + SURPRISE {
                    return Err(Stop::Higher(
                        self.frame.states(points.slice(ndarray::s![row..=row, ..])).row(0).to_vec(),
                    ));
                }
                value += f;
                if f < 100.0 * threshold && f >= threshold {
                    decades[usize::from(f >= 10.0 * threshold)] += f;
                }
                if f < threshold {
                    continue;
                }
                for axis in 0..dim {
                    let z = points[[row, axis]];
                    extent.lower[axis] = extent.lower[axis].min(z);
                    extent.upper[axis] = extent.upper[axis].max(z);
                    let unit = 1u64 << (BITS * axis as u32);
                    let number = (frontier[row] >> (BITS * axis as u32)) as i64 & (2 * HALF - 1);
                    if !(2..2 * HALF - 2).contains(&number) {
                        return Ok(None);
                    }
                    for neighbour in [frontier[row] + unit, frontier[row] - unit] {
                        if seen.insert(neighbour) {
                            next.push(neighbour);
                        }
                    }
                }
            }
            frontier = next;
        }
        let volume: f64 = steps.iter().product();
        let ratio = if decades[0] == 0.0 { 0.0 } else { decades[0] / decades[1] };
        let tail = if ratio < 0.9 { decades[0] * ratio / (1.0 - ratio) } else { f64::INFINITY };
        Ok(Some(One { value: value * volume, tail: tail * volume, extent }))
    }
}
