//! Where the mass is: modes, searched from many starts over all scales, and their widths.

use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::density::{Density, Frame};
use crate::error::{Error, Result};
use crate::math::Stream;

/// Scales of |x| that starts are drawn at on ℝᵈ: half a decade apart, from 10⁻³ to 10⁴.
const SCALES: i32 = 15;
/// Modes whose height is lower than the highest by more nats are forgotten.
const DEPTH: f64 = 60.0;
/// The drop of log f, in nats, that a width is measured by: a Gaussian falls by it at two standard deviations.
const DROP: f64 = 2.0;
/// Most modes that are kept.
const MOST: usize = 64;

/// A local maximum of log f.
#[derive(Clone, Debug)]
pub(super) struct Mode {
    pub(super) at: Vec<f64>,
    pub(super) height: f64,
    /// Half the distance along each coordinate at which log f has dropped by two nats.
    pub(super) widths: Vec<f64>,
}

/// Modes in order of height, at least one.
///
/// # Errors
/// [`Error::NotNormalisable`] where f keeps growing or does not fall along a coordinate, or is zero at every start.
pub(super) fn search(
    density: &Density,
    kind: &'static str,
    given: &[Vec<f64>],
    seed: u64,
) -> Result<Vec<Mode>> {
    let mut ends: Vec<(Vec<f64>, f64)> = starts(density, given, seed)?
        .into_par_iter()
        .map(|(x, size)| climb(density, x, &size))
        .collect::<Result<_>>()?;
    ends.retain(|(_, height)| *height > f64::NEG_INFINITY);
    ends.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some((best, top)) = ends.first().cloned() else {
        return Err(Error::NotNormalisable {
            model: kind,
            message: "exp(-E) is zero wherever it was tried; --data with states of finite energy shows where to look".into(),
        });
    };
    if !density.is_bounded() {
        refuse_growth(density, kind, &best, top)?;
    }
    distinct(density, kind, Vec::new(), ends)
}

/// The modes together with those that `starts` lead to, and whether there are new ones.
pub(super) fn extend(
    density: &Density,
    kind: &'static str,
    modes: Vec<Mode>,
    starts: Vec<(Vec<f64>, Vec<f64>)>,
) -> Result<(Vec<Mode>, bool)> {
    let before = modes.len();
    let mut ends: Vec<(Vec<f64>, f64)> =
        starts.into_par_iter().map(|(x, size)| climb(density, x, &size)).collect::<Result<_>>()?;
    ends.retain(|(_, height)| *height > f64::NEG_INFINITY);
    ends.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut modes = distinct(density, kind, modes, ends)?;
    let new = modes.len() > before;
    modes.sort_by(|a, b| b.height.total_cmp(&a.height));
    let top = modes[0].height;
    modes.retain(|mode| mode.height >= top - DEPTH);
    Ok((modes, new))
}

/// `modes` and those of the `ends`, in order of height, that are none of them.
fn distinct(
    density: &Density,
    kind: &'static str,
    mut modes: Vec<Mode>,
    ends: Vec<(Vec<f64>, f64)>,
) -> Result<Vec<Mode>> {
    let highest = modes.iter().map(|mode| mode.height).chain(ends.first().map(|end| end.1));
    let top = highest.fold(f64::NEG_INFINITY, f64::max);
    for (at, height) in ends {
        if height < top - DEPTH || modes.len() == MOST {
            break;
        }
        let known =
            modes.iter().any(|mode| (0..at.len()).all(|i| (mode.at[i] - at[i]).abs() < mode.widths[i]));
        if !known {
            let axes = Array2::eye(at.len());
            let widths = widths(density, kind, &at, height, &axes)?;
            modes.push(Mode { at, height, widths });
        }
    }
    Ok(modes)
}

/// Where to climb from, with the size of the first step along each coordinate.
fn starts(density: &Density, given: &[Vec<f64>], seed: u64) -> Result<Vec<(Vec<f64>, Vec<f64>)>> {
    let dim = density.dim();
    let mut generator = Stream::new(seed).child(0x9d).generator();
    let mut starts: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let keep = |points: Vec<Vec<f64>>, sizes: &[f64], count: usize, starts: &mut Vec<_>| -> Result<()> {
        let logs: Vec<f64> = points.iter().map(|x| density.log_at(x)).collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..points.len()).filter(|&i| logs[i] > f64::NEG_INFINITY).collect();
        order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
        starts.extend(order.into_iter().take(count).map(|i| (points[i].clone(), sizes.to_vec())));
        Ok(())
    };
    if density.is_bounded() {
        let sizes: Vec<f64> = (0..dim).map(|i| 0.1 * (density.upper[i] - density.lower[i])).collect();
        let points = (0..8192 * dim)
            .map(|_| {
                (0..dim)
                    .map(|i| {
                        density.lower[i] + generator.random::<f64>() * (density.upper[i] - density.lower[i])
                    })
                    .collect()
            })
            .collect();
        keep(points, &sizes, 100, &mut starts)?;
    } else {
        for step in 0..SCALES {
            let scale = 10f64.powf(-3.0 + 0.5 * f64::from(step));
            let mut points: Vec<Vec<f64>> = Vec::new();
            for axis in 0..dim {
                for sign in [1.0, -1.0] {
                    points.push((0..dim).map(|i| if i == axis { sign * scale } else { 0.0 }).collect());
                }
            }
            for _ in 0..24 * dim {
                points.push((0..dim).map(|_| scale * generator.sample::<f64, _>(StandardNormal)).collect());
            }
            keep(points, &vec![0.3 * scale; dim], 2 + 2 * dim.min(3), &mut starts)?;
        }
        keep(vec![vec![0.0; dim]], &vec![1.0; dim], 1, &mut starts)?;
    }
    let sizes: Vec<f64> = (0..dim)
        .map(|i| {
            let values: Vec<f64> = given.iter().map(|x| x[i]).collect();
            let spread = crate::math::statistics::variance(&values).sqrt();
            if spread > 0.0 { 0.5 * spread } else { 0.1 }
        })
        .collect();
    if !given.is_empty() {
        keep(given.to_vec(), &sizes, 100, &mut starts)?;
    }
    Ok(starts)
}

/// The local maximum uphill from `start` by the simplex method of Nelder & Mead (1965, doi:10.1093/comjnl/7.4.308), restarted
/// once from where it ended, which frees it where it collapsed.
fn climb(density: &Density, start: Vec<f64>, sizes: &[f64]) -> Result<(Vec<f64>, f64)> {
    let (mid, _) = simplex(density, start, sizes)?;
    let smaller: Vec<f64> = sizes.iter().map(|size| 0.1 * size).collect();
    simplex(density, mid, &smaller)
}

fn simplex(density: &Density, start: Vec<f64>, sizes: &[f64]) -> Result<(Vec<f64>, f64)> {
    let dim = start.len();
    let mut corners = vec![start];
    for axis in 0..dim {
        let mut corner = corners[0].clone();
        corner[axis] += sizes[axis];
        if corner[axis] > density.upper[axis] {
            corner[axis] = corners[0][axis] - sizes[axis];
        }
        corners.push(corner);
    }
    let mut points: Vec<(f64, Vec<f64>)> =
        corners.into_iter().map(|x| Ok((density.log_at(&x)?, x))).collect::<Result<_>>()?;
    for _ in 0..200 * dim {
        points.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (top, bottom) = (points[0].0, points[dim].0);
        if top - bottom < 1e-9 && bottom > f64::NEG_INFINITY {
            break;
        }
        let centre: Vec<f64> =
            (0..dim).map(|i| points[..dim].iter().map(|p| p.1[i]).sum::<f64>() / dim as f64).collect();
        let along = |factor: f64| -> Result<(f64, Vec<f64>)> {
            let x: Vec<f64> = (0..dim).map(|i| centre[i] + factor * (centre[i] - points[dim].1[i])).collect();
            Ok((density.log_at(&x)?, x))
        };
        let reflected = along(1.0)?;
        let new = if reflected.0 > top {
            let further = along(2.0)?;
            if further.0 > reflected.0 { further } else { reflected }
        } else if reflected.0 > points[dim - 1].0 {
            reflected
        } else {
            along(if reflected.0 > bottom { 0.5 } else { -0.5 })?
        };
        if new.0 > bottom {
            points[dim] = new;
        } else {
            let best = points[0].1.clone();
            for point in &mut points[1..] {
                for (x, b) in point.1.iter_mut().zip(&best) {
                    *x = 0.5 * (*x + b);
                }
                point.0 = density.log_at(&point.1)?;
            }
        }
    }
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (height, at) = points.swap_remove(0);
    Ok((at, height))
}

/// Refuses a density that still grows two, four and eight times as far out as the highest point found.
fn refuse_growth(density: &Density, kind: &'static str, best: &[f64], top: f64) -> Result<()> {
    let mut last = top;
    for factor in [2.0, 4.0, 8.0] {
        let further: Vec<f64> = best.iter().map(|x| factor * x).collect();
        let height = density.log_at(&further)?;
        if height <= last {
            return Ok(());
        }
        last = height;
    }
    let distance = best.iter().map(|x| x * x).sum::<f64>().sqrt();
    Err(Error::NotNormalisable {
        model: kind,
        message: format!(
            "the energy keeps falling outwards: it falls by {:.3e} from |x| = {distance:.1e} to 8|x|",
            last - top
        ),
    })
}

/// Half the distance along each column of `axes` at which log f has dropped by two nats, the farther of both directions.
pub(super) fn widths(
    density: &Density,
    kind: &'static str,
    at: &[f64],
    height: f64,
    axes: &Array2<f64>,
) -> Result<Vec<f64>> {
    axes.columns()
        .into_iter()
        .enumerate()
        .map(|(column, axis)| {
            let log = |distance: f64| {
                density.log_at(&at.iter().zip(axis).map(|(x, a)| x + distance * a).collect::<Vec<_>>())
            };
            let reach = 1.0 + at.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            let unit = axis.iter().map(|a| a * a).sum::<f64>().sqrt();
            let mut farthest = 0.0f64;
            for sign in [1.0, -1.0] {
                let (mut near, mut far) = (0.0, 1e-9 * reach / unit);
                while log(sign * far)? > height - DROP {
                    near = far;
                    far *= 2.0;
                    if far * unit > 1e13 * reach {
                        return Err(Error::NotNormalisable {
                            model: kind,
                            message: format!(
                                "the energy rises by less than {DROP} nats out to {:.0e} along direction {column}",
                                far * unit
                            ),
                        });
                    }
                }
                for _ in 0..8 {
                    let middle = 0.5 * (near + far);
                    if log(sign * middle)? > height - DROP { near = middle } else { far = middle }
                }
                farthest = farthest.max(far);
            }
            Ok(0.5 * farthest)
        })
        .collect()
}

/// Coordinates for integration: on ℝᵈ those that whiten the mode with the largest mass (height and width), in a box the box's own.
pub(super) fn frame(density: &Density, modes: &[Mode]) -> Result<Frame> {
    if density.is_bounded() {
        let middle =
            density.lower.iter().zip(&density.upper).map(|(low, high)| 0.5 * low + 0.5 * high).collect();
        let widths: Vec<f64> =
            density.lower.iter().zip(&density.upper).map(|(low, high)| 0.5 * high - 0.5 * low).collect();
        return Ok(Frame::diagonal(middle, &widths));
    }
    let mass = |mode: &Mode| mode.height + mode.widths.iter().map(|w| w.ln()).sum::<f64>();
    let main = modes.iter().max_by(|a, b| mass(a).total_cmp(&mass(b))).expect("there is a mode");
    let precision = curvature(density, main)?;
    Ok(Frame::whitening(main.at.clone(), &precision, &main.widths)
        .unwrap_or_else(|| Frame::diagonal(main.at.clone(), &main.widths)))
}

/// The Hessian of E at a mode by differences over its widths, so that it is the curvature at the scale that matters.
fn curvature(density: &Density, mode: &Mode) -> Result<Array2<f64>> {
    let dim = density.dim();
    let log = |steps: &[(usize, f64)]| {
        let mut x = mode.at.clone();
        for &(axis, sign) in steps {
            x[axis] += sign * mode.widths[axis];
        }
        density.log(ArrayView2::from_shape((1, dim), &x).expect("one row")).map(|logs| logs[0])
    };
    let mut hessian = Array2::zeros((dim, dim));
    for i in 0..dim {
        let (up, down) = (log(&[(i, 1.0)])?, log(&[(i, -1.0)])?);
        hessian[[i, i]] = (2.0 * mode.height - up - down) / mode.widths[i].powi(2);
        for j in 0..i {
            let mixed = log(&[(i, 1.0), (j, 1.0)])? + log(&[(i, -1.0), (j, -1.0)])?
                - log(&[(i, 1.0), (j, -1.0)])?
                - log(&[(i, -1.0), (j, 1.0)])?;
            hessian[[i, j]] = -0.25 * mixed / (mode.widths[i] * mode.widths[j]);
            hessian[[j, i]] = hessian[[i, j]];
        }
    }
    Ok(hessian)
}
