//! A second, blind search: spheres around what was found, where a point far denser than its sphere betrays a hidden mode.

use std::f64::consts::PI;
use std::time::Instant;

use ndarray::{Array2, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::cells::Peak;
use super::density::{Density, Frame};
use crate::error::Result;
use crate::math::Stream;

/// Radii of the random spheres, in widths of the main mode.
const NEAREST: f64 = 3.0;
const FARTHEST: f64 = 150.0;
/// Random spheres, each 5 % wider than the one before.
const SPHERES: usize = 80;
/// The basin's radius over its distance that a scan should resolve.
pub(super) const RESOLVED: f64 = 0.1;
/// The same over the side of a box that a scan of it need not go below.
const FINEST: f64 = 0.002;
/// −log of the probability to miss such a basin: 1 %.
const MISS: f64 = 4.6;
/// Seconds of energies, on one thread each.
const SECONDS: f64 = 1.0;
/// Most points, however cheap the energy.
const MOST: f64 = 1e7;
/// Nats by which a point must exceed the median of its sphere and what known modes explain there.
const EXCESS: f64 = 3.0;

/// What a scan found.
#[derive(Debug)]
pub(super) struct Scan {
    /// Where to climb from, with the size of the first step.
    pub(super) starts: Vec<(Vec<f64>, Vec<f64>)>,
    /// The least radius over distance (over the side, in a box) of a basin that is met with probability 99 %.
    pub(super) resolution: f64,
    /// How many points were looked at on random spheres.
    pub(super) points: usize,
}

/// Points at which f exceeds what the modes explain.
///
/// A ball of radius ρR at distance R is met by a point uniform on the sphere at log-uniform R with probability
/// ρᵈ / (d log(farthest/nearest)): the number of points follows from it, and where the energy is too slow for them, ρ.
pub(super) fn scan(
    density: &Density,
    frame: &Frame,
    peaks: &[Peak],
    heights: &[f64],
    seed: u64,
) -> Result<Scan> {
    let dim = density.dim();
    let odds = |rho: f64| rho.powi(dim as i32) / (dim as f64 * (FARTHEST / NEAREST).ln());
    let count = affordable(density, frame, MISS / odds(RESOLVED))?;
    let each = (count / SPHERES as f64).ceil() as usize;
    let resolution = (MISS / (SPHERES * each) as f64 / odds(1.0)).powf(1.0 / dim as f64);
    let stream = Stream::new(seed).child(0x5ca);
    let random = (0..SPHERES).into_par_iter().map(|sphere| {
        let radius = NEAREST * (FARTHEST / NEAREST).powf(sphere as f64 / (SPHERES - 1) as f64);
        let mut generator = stream.child(sphere as u64).generator();
        let mut z = Array2::from_shape_simple_fn((each, dim), || generator.sample::<f64, _>(StandardNormal));
        for mut row in z.rows_mut() {
            let norm = row.dot(&row).sqrt().max(f64::MIN_POSITIVE);
            row *= radius / norm;
        }
        let steps = frame.axes.rows().into_iter().map(|row| 0.02 * radius * row.dot(&row).sqrt()).collect();
        promising(density, frame, peaks, heights, &frame.states(z.view()), steps)
    });
    let mut starts: Vec<_> = random.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    // Modes often lie along axes and diagonals, where chance need not lead: all directions of {−1, 0, 1}ᵈ.
    let directions: Vec<Vec<f64>> = (0..3usize.pow(dim as u32))
        .map(|number| {
            (0..dim).map(|i| (number / 3usize.pow(i as u32) % 3) as f64 - 1.0).collect::<Vec<f64>>()
        })
        .filter(|direction| direction.iter().any(|x| *x != 0.0))
        .collect();
    let regular = (0..170).into_par_iter().map(|sphere| {
        let radius = 1e-3 * 1.1f64.powi(sphere);
        let x = Array2::from_shape_fn((directions.len(), dim), |(row, axis)| {
            let direction = &directions[row];
            radius * direction[axis] / direction.iter().map(|x| x * x).sum::<f64>().sqrt()
        });
        promising(density, frame, peaks, heights, &x, vec![0.02 * radius; dim])
    });
    starts.extend(regular.collect::<Result<Vec<_>>>()?.into_iter().flatten());
    Ok(Scan { starts, resolution, points: SPHERES * each })
}

/// The same in a box, by points uniform in it: a ball of radius ρ times the box's side is met with probability V ρᵈ.
pub(super) fn scan_box(
    density: &Density,
    frame: &Frame,
    peaks: &[Peak],
    heights: &[f64],
    seed: u64,
) -> Result<Scan> {
    let dim = density.dim();
    // Of the unit ball in up to six dimensions.
    let volume = [1.0, 2.0, PI, 4.0 / 3.0 * PI, PI * PI / 2.0, 8.0 / 15.0 * PI * PI, PI.powi(3) / 6.0][dim];
    let odds = |rho: f64| volume * rho.powi(dim as i32);
    let each = (affordable(density, frame, MISS / odds(FINEST))? / SPHERES as f64).ceil() as usize;
    let stream = Stream::new(seed).child(0xb0c5);
    let starts = (0..SPHERES).into_par_iter().map(|part| {
        let mut generator = stream.child(part as u64).generator();
        let z = Array2::from_shape_simple_fn((each, dim), || 2.0 * generator.random::<f64>() - 1.0);
        let steps = frame.axes.rows().into_iter().map(|row| 0.02 * row.dot(&row).sqrt()).collect();
        promising(density, frame, peaks, heights, &frame.states(z.view()), steps)
    });
    let starts = starts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let resolution = (MISS / (SPHERES * each) as f64 / odds(1.0)).powf(1.0 / dim as f64);
    Ok(Scan { starts, resolution, points: SPHERES * each })
}

/// As many points as `wanted`, but no more than were allowed, or than a second's work.
fn affordable(density: &Density, frame: &Frame, wanted: f64) -> Result<f64> {
    if let Some(most) = density.points {
        return Ok(wanted.clamp(16_384.0, most));
    }
    let probe = Array2::from_shape_fn((1024, density.dim()), |(row, axis)| ((row * (axis + 3)) as f64).sin());
    let begin = Instant::now();
    values(density, &frame.states(probe.view()))?;
    let pace = begin.elapsed().as_secs_f64() / probe.nrows() as f64;
    let mut count = wanted.clamp(16_384.0, MOST);
    // By halves, so that a clock that is a little faster or slower does not change what is looked at.
    while count > 16_384.0 && count * pace > SECONDS * rayon::current_num_threads() as f64 {
        count *= 0.5;
    }
    Ok(count)
}

/// log f of the rows; NaN, which terms may make far out, counts as −∞ here.
fn values(density: &Density, states: &Array2<f64>) -> Result<Vec<f64>> {
    let mut logs = Vec::with_capacity(states.nrows());
    for first in (0..states.nrows()).step_by(4096) {
        let last = (first + 4096).min(states.nrows());
        logs.extend(density.log_of_search(states.slice(s![first..last, ..]))?);
    }
    Ok(logs)
}

/// The two densest points of a sphere that neither its median nor the known modes explain.
fn promising(
    density: &Density,
    frame: &Frame,
    peaks: &[Peak],
    heights: &[f64],
    states: &Array2<f64>,
    steps: Vec<f64>,
) -> Result<Vec<(Vec<f64>, Vec<f64>)>> {
    let logs = values(density, states)?;
    let mut order: Vec<usize> = (0..logs.len()).collect();
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |&a, &b| logs[b].total_cmp(&logs[a]).then(a.cmp(&b)));
    let median = logs[order[middle]];
    order.truncate(middle);
    order.sort_unstable_by(|&a, &b| logs[b].total_cmp(&logs[a]).then(a.cmp(&b)));
    let explained = |row: usize| {
        let z = frame.inverse(&states.row(row).to_vec());
        let drop = |peak: &Peak| {
            (0..z.len()).map(|i| 0.5 * ((z[i] - peak.at[i]) / peak.widths[i]).powi(2)).sum::<f64>()
        };
        peaks.iter().zip(heights).map(|(peak, height)| height - drop(peak)).fold(f64::NEG_INFINITY, f64::max)
    };
    Ok(order
        .into_iter()
        .take(64)
        .filter(|&row| logs[row] > median + EXCESS && logs[row] > explained(row) + EXCESS)
        .take(2)
        .map(|row| (states.row(row).to_vec(), steps.clone()))
        .collect())
}
