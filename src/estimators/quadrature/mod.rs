//! log Z of continuous models in up to six dimensions by numerical integration.

use std::sync::Arc;
use std::time::Instant;

use super::deadline::Deadline;
use super::estimate::Evidence;
use super::warnings::Warning;
use super::{Cost, Counts, Estimate, Estimator, Guarantee, Interval, Monitor, Plan, Settings, Verdict};
use crate::error::{Error, Result};
use crate::models::Model;

mod cells;
mod check;
mod density;
mod lattice_sum;
mod modes;
mod rules;
mod scan;

use cells::{Integrand, Peak, Region, Stop, Sum};
use density::Density;
use lattice_sum::Lattices;
use rules::Rule;

const NAME: &str = "quadrature";
/// Most dimensions.
const MOST_DIM: usize = 6;
/// Relative accuracy that is aimed at, by dimension.
const TARGET: [f64; MOST_DIM + 1] = [0.0, 1e-8, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4];
/// Relative accuracy that is still reported, by dimension, when the budget ends before the target is reached.
const WORST: [f64; MOST_DIM + 1] = [0.0, 1e-6, 1e-6, 1e-4, 1e-3, 1e-3, 1e-3];
/// Energies that may be evaluated, by dimension.
const BUDGET: [u64; MOST_DIM + 1] =
    [0, 10_000_000, 20_000_000, 40_000_000, 40_000_000, 60_000_000, 60_000_000];
/// Widths of a mode that the first region reaches beyond it.
const REACH: [f64; MOST_DIM + 1] = [0.0, 8.0, 8.0, 8.0, 6.5, 6.0, 6.0];
/// Farthest edge of a region, in widths of the main mode, for which axes are flattened; beyond it t would crowd at ±1.
const FLAT: f64 = 9.0;
/// Targets that are claimed at least.
const SLIVERS: f64 = 9.0;
/// Times the sum of the cells' errors that is claimed for cubature beyond three dimensions, whose rules are of low degree: errors
/// of twice the sum were seen where a narrow mode lies in a wide one's region.
const CUBATURE: f64 = 5.0;
/// Most points of a scan that a cross-check looks at.
const CHECK_POINTS: f64 = 500_000.0;
/// How often the region is doubled at most, by dimension.
const DOUBLINGS: [usize; MOST_DIM + 1] = [0, 80, 40, 24, 20, 16, 16];
/// Doublings in a row that add no less than the one before, which show that the integral diverges.
const GROWING: usize = 6;

/// Numerical integration of exp(−E) over ℝᵈ or a box, d ≤ 6, in log space.
///
/// Modes are searched from starts at all scales from 10⁻³ to 10⁴ (and from data, where given). On ℝᵈ coordinates are chosen that
/// whiten the main mode; a region around all modes is integrated and doubled until what doubling adds is negligible, so that
/// heavy tails are followed and a divergent integral shows by shells that do not shrink. Cells are halved where the error is:
/// tensor Gauss–Legendre rules up to d = 3. Beyond, two shifted lattices are summed outwards from the modes, and only what they
/// cannot hold goes to adaptive cubature (Genz & Malik 1980, doi:10.1016/0771-050X(80)90039-X), which is far dearer there.
/// Relative accuracy aimed at: 10⁻⁸ for d ≤ 2, then 10⁻⁷, 10⁻⁶, 10⁻⁵, 10⁻⁴; the estimate says what was reached.
///
/// The error (in `diagnostics` and as the interval, whatever its level) is that of two rules or lattices against each other, plus
/// what the tail may still hold, and never below five times the target. It is heuristic. From three dimensions on it is held
/// against importance sampling from the modes found, and against what a scan of spheres around them can see: the estimate has not
/// converged where these disagree, or where the scan would miss a basin as wide as a tenth of its distance (always so in six
/// dimensions). What stays undetectable: a mode whose basin is narrower than that, nearer than 3 or farther than 150 widths of the
/// main mode, and off the axes and diagonals; and one met by chance only in 99 runs of 100.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quadrature;

fn density_of(model: &Arc<dyn Model>) -> Result<Density> {
    let refusal = |reason: String| Err(Error::NotApplicable { estimator: NAME, reason });
    let space = model.space();
    let Some(mut density) = Density::new(model) else {
        return refusal(format!("{space} is not continuous; use enumeration or a sampler"));
    };
    if !(1..=MOST_DIM).contains(&density.dim()) {
        return refusal(format!("{} dimensions are too many, it takes up to {MOST_DIM}", density.dim()));
    }
    let ends = density.lower.iter().chain(&density.upper);
    if !density.is_bounded() && ends.clone().any(|end| end.is_finite()) {
        return refusal("the box has an infinite side; its sides must all be finite".into());
    }
    let dim = density.dim();
    (density.target, density.worst, density.budget) = (TARGET[dim], WORST[dim], BUDGET[dim]);
    Ok(density)
}

/// What integration says as a cross-check.
#[derive(Clone, Copy, Debug)]
pub(super) enum CrossCheck {
    /// log Z and the estimate of its error.
    Answer(f64, f64),
    /// Nothing: the energies did not suffice, or the model is of another kind.
    None,
    /// Nothing, because the deadline passed.
    Late,
}

/// log Z of a model in up to three dimensions to about 1e-5 and the estimate of its error, for at most `budget` energies beside those
/// of the search. No clock decides but the deadline. What it cost comes with it.
///
/// # Errors
/// [`Error::NotNormalisable`] where the integral grows without limit.
pub(super) fn cross_check(
    model: &Arc<dyn Model>,
    settings: &Settings,
    budget: u64,
    deadline: Deadline,
) -> Result<(CrossCheck, Counts)> {
    let Some(mut density) = density_of(model).ok().filter(|density| density.dim() <= 3) else {
        return Ok((CrossCheck::None, Counts::default()));
    };
    (density.target, density.worst, density.budget) = (1e-5, 1e-2, budget);
    (density.points, density.deadline) = (Some(CHECK_POINTS), deadline);
    let settings = Settings { target_se: 1e9, ..settings.clone() };
    let found = match answer(&density, model, &settings) {
        Ok(answer) => CrossCheck::Answer(answer.log_z, answer.error),
        Err(error @ Error::NotNormalisable { .. }) => return Err(error),
        Err(_) => CrossCheck::None,
    };
    // What the end of the time cut short is half an answer, however good it looks.
    let found = if deadline.has_passed() { CrossCheck::Late } else { found };
    let counts = Counts { energy_evaluations: density.evaluations(), ..Counts::default() };
    Ok((found, counts))
}

/// log Z and the estimate of its error.
struct Answer {
    log_z: f64,
    error: f64,
    evidence: Vec<Evidence>,
    doubts: Vec<Warning>,
}

/// The frame of the main mode and all modes in it.
fn peaks_of(
    density: &Density,
    kind: &'static str,
    modes: &[modes::Mode],
) -> Result<(density::Frame, Vec<Peak>)> {
    let frame = modes::frame(density, modes)?;
    let peaks = modes
        .iter()
        .map(|mode| {
            let widths = modes::widths(density, kind, &mode.at, mode.height, &frame.axes)?;
            Ok(Peak { at: frame.inverse(&mode.at), widths })
        })
        .collect::<Result<_>>()?;
    Ok((frame, peaks))
}

/// Holds the answer against draws and against what the scan, of this resolution and number of points, could have missed.
fn support(
    answer: &mut Answer,
    density: &Density,
    kind: &'static str,
    modes: &[modes::Mode],
    seed: u64,
    (resolution, points): (f64, usize),
) -> Result<()> {
    let dim = density.dim();
    if dim < 3 {
        return Ok(());
    }
    let (frame, peaks) = peaks_of(density, kind, modes)?;
    let heights: Vec<f64> = modes.iter().map(|mode| mode.height).collect();
    let (evidence, doubt) =
        check::check(density, &frame, &peaks, &heights, seed, answer.log_z, answer.error)?;
    answer.evidence.push(evidence);
    answer.doubts.extend(doubt);
    if resolution > 1.01 * scan::RESOLVED {
        answer.doubts.push(Warning::NoEvidence {
            reason: format!(
                "in {dim} dimensions a scan of {points} states meets a mode only if its basin is wider than {resolution:.2} of {}, so a \
                 narrower one may have been missed; compare with --method smc",
                if density.is_bounded() { "the box" } else { "its distance" }
            ),
        });
    }
    Ok(())
}

fn answer(density: &Density, model: &Arc<dyn Model>, settings: &Settings) -> Result<Answer> {
    let kind = model.kind();
    let mut given: Vec<Vec<f64>> = settings
        .data
        .iter()
        .flat_map(|data| {
            let step = data.nrows().div_ceil(200).max(1);
            data.rows().into_iter().step_by(step).map(|row| row.to_vec()).collect::<Vec<_>>()
        })
        .collect();
    // Every attempt that meets a state above all known modes starts the next search there.
    for _ in 0..8 {
        let mut modes = modes::search(density, kind, &given, settings.seed)?;
        let mut seen = (0.0, 0);
        // A mode found by a scan becomes a place to scan from.
        for round in 0..3 {
            let (frame, peaks) = peaks_of(density, kind, &modes)?;
            let heights: Vec<f64> = modes.iter().map(|mode| mode.height).collect();
            let look = if density.is_bounded() { scan::scan_box } else { scan::scan };
            let scan = look(density, &frame, &peaks, &heights, settings.seed.wrapping_add(round))?;
            seen = (scan.resolution, scan.points);
            let new;
            (modes, new) = modes::extend(density, kind, modes, scan.starts)?;
            if !new {
                break;
            }
        }
        match attempt(density, kind, &modes) {
            Ok(answer) => {
                let mut answer = accept(answer, density, settings)?;
                support(&mut answer, density, kind, &modes, settings.seed, seen)?;
                return Ok(answer);
            }
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Higher(state)) => given.push(state),
            Err(Stop::Late) => return Err(density::late(density.evaluations())),
        }
    }
    Err(Error::NotReached {
        estimator: NAME,
        message:
            "higher and higher modes kept turning up; --data with typical states shows where the mass is"
                .into(),
    })
}

fn accept(answer: Answer, density: &Density, settings: &Settings) -> Result<Answer> {
    let worst = density.worst.min(settings.target_se);
    if answer.error <= worst && answer.log_z.is_finite() {
        return Ok(answer);
    }
    if answer.error == f64::INFINITY {
        return Err(Error::NotReached {
            estimator: NAME,
            message: format!(
                "after {} energies the tails had not decayed enough to say how much they hold; they may be too heavy to integrate",
                density.evaluations()
            ),
        });
    }
    Err(Error::NotReached {
        estimator: NAME,
        message: format!(
            "the relative error is about {:.1e} after {} energies, at most {worst:.0e} is acceptable; try annealing (--method smc), \
             or a longer --max-time",
            answer.error,
            density.evaluations()
        ),
    })
}

fn attempt(density: &Density, kind: &'static str, modes: &[modes::Mode]) -> Result<Answer, Stop> {
    let (dim, deadline) = (density.dim(), density.deadline);
    let (frame, peaks) = peaks_of(density, kind, modes)?;
    let rule = Rule::new(dim);
    let spent = density.evaluations();
    let plain = vec![false; dim];
    let integrand = Integrand {
        density,
        frame: &frame,
        peaks: &peaks,
        rule: &rule,
        shift: modes[0].height,
        flattened: &plain,
        most_evaluations: spent + density.budget,
        deadline,
    };
    let target = density.target;
    let finish = |value: f64, error: f64| Answer {
        log_z: modes[0].height + frame.log_volume + value.ln(),
        // Slivers of mass of several targets may lie between all nodes (the neck of a funnel: two), so no less is claimed.
        error: if value > 0.0 { (error / value).max(SLIVERS * target) } else { f64::INFINITY },
        evidence: Vec::new(),
        doubts: Vec::new(),
    };
    if density.is_bounded() {
        let whole = Region { lower: vec![-1.0; dim], upper: vec![1.0; dim] };
        let sum = integrand.integrate(vec![whole], |value| target * value)?;
        return Ok(finish(sum.value, sum.error));
    }
    let edge = |sign: f64| -> Vec<f64> {
        let reach = |peak: &Peak, i: usize| sign * peak.at[i] + REACH[dim] * peak.widths[i];
        (0..dim)
            .map(|i| sign * peaks.iter().map(|peak| reach(peak, i)).fold(f64::NEG_INFINITY, f64::max))
            .collect()
    };
    let region = Region { lower: edge(-1.0), upper: edge(1.0) };
    if dim > 3 {
        let lattices = Lattices {
            density,
            frame: &frame,
            peaks: &peaks,
            shift: modes[0].height,
            most_evaluations: spent + density.budget / 3,
            deadline,
        };
        if let Some((sum, extent)) = lattices.integrate(0.5 * target)? {
            let (sum, tail) = with_tails(&integrand, sum, region.union(&extent), target, kind)?;
            return Ok(finish(sum.value, sum.error + tail));
        }
    }
    // Rules of low degree gain most from a flat integrand; shells hold next to nothing and are left alone.
    let flattened: Vec<bool> =
        (0..dim).map(|i| dim > 3 && region.lower[i] > -FLAT && region.upper[i] < FLAT).collect();
    let flat_peaks: Vec<Peak> = peaks.iter().map(|peak| peak.flatten(&flattened)).collect();
    let central = Integrand {
        density,
        frame: &frame,
        peaks: &flat_peaks,
        rule: &rule,
        shift: modes[0].height,
        flattened: &flattened,
        most_evaluations: spent + density.budget / 3 * 2,
        deadline,
    };
    let sum = central.integrate(vec![region.flatten(&flattened)], |value| 0.5 * target * value)?;
    let (sum, tail) = with_tails(&integrand, sum, region, target, kind)?;
    let claimed = if dim > 3 { CUBATURE * sum.error } else { sum.error };
    Ok(finish(sum.value, claimed + tail))
}

/// The integral over all of space by doubling `region` until the last doublings add next to nothing, and what may lie beyond.
fn with_tails(
    integrand: &Integrand<'_>,
    mut total: Sum,
    mut region: Region,
    target: f64,
    kind: &'static str,
) -> Result<(Sum, f64), Stop> {
    let mut previous = total.value;
    let mut ratios: Vec<f64> = Vec::new();
    let dim = region.lower.len();
    // Tails may be long along one axis and as narrow as ever along another: shells are cut where earlier regions ended, and
    // through the middle, so that some of their cells have the mass's own width.
    let mut cuts: Vec<(usize, f64)> = if dim < 4 {
        (0..dim).map(|axis| (axis, 0.5 * (region.lower[axis] + region.upper[axis]))).collect()
    } else {
        Vec::new()
    };
    for _ in 0..DOUBLINGS[dim] {
        let outer = region.doubled();
        let inside = total.value;
        for axis in 0..dim {
            if dim < 4 || ratios.is_empty() {
                cuts.extend([(axis, region.lower[axis]), (axis, region.upper[axis])]);
            }
        }
        let shells = outer.without(&region).into_iter().flat_map(|shell| shell.cut(&cuts)).collect();
        let shell = integrand
            .integrate(shells, |value| (0.02 * target * (inside + value)).max(0.1 * target * value))?;
        total.value += shell.value;
        total.error += shell.error;
        region = outer;
        let ratio = if previous > 0.0 { shell.value / previous } else { 0.0 };
        ratios.push(ratio);
        previous = shell.value;
        let recent = ratios.iter().rev().take_while(|ratio| **ratio > 0.999).count();
        if recent >= if shell.exhausted { 3 } else { GROWING } {
            return Err(Stop::Failed(Error::NotNormalisable {
                model: kind,
                message: format!(
                    "the integral of exp(-E) grows without limit: over {recent} doublings of the region each added no less than the \
                     one before, the last {ratio:.2} times as much"
                ),
            }));
        }
        // Shells that shrink geometrically leave as much as the rest of their series.
        let worst = ratios[ratios.len().saturating_sub(2)..].iter().copied().fold(0.0, f64::max);
        let settled = ratios.len() >= 2 && worst < 0.98;
        let tail = if shell.value == 0.0 { 0.0 } else { shell.value * worst / (1.0 - worst).max(1e-300) };
        if settled && tail <= 0.3 * target * total.value {
            return Ok((total, tail));
        }
        if shell.exhausted {
            return Ok((total, if settled { tail } else { f64::INFINITY }));
        }
    }
    Ok((total, f64::INFINITY))
}

impl Estimator for Quadrature {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "numerical integration in up to six dimensions, with a heuristic error"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Numerical
    }

    /// Seconds are those of a smooth density of one mode whose energy takes 100 ns.
    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        const SECONDS: [f64; MOST_DIM + 1] = [0.0, 0.01, 0.05, 0.3, 1.0, 3.0, 5.0];
        let density = density_of(model)?;
        Ok(Plan { seconds: Some(SECONDS[density.dim()]), bytes: 0.0 })
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        settings.check()?;
        let start = Instant::now();
        let mut density = density_of(model)?;
        density.deadline = Deadline::after(start, settings.max_time);
        if let Some(data) = &settings.data {
            model.space().check(data.view())?;
        }
        monitor.begin(NAME, 0);
        let Answer { log_z, error, evidence, doubts } = answer(&density, model, settings)?;
        let counts = Counts { energy_evaluations: density.evaluations(), ..Counts::default() };
        let cost = Cost::of_one(NAME, start.elapsed().as_secs_f64(), counts);
        let mut estimate = Estimate::exact(NAME, log_z, Guarantee::Numerical, cost);
        estimate.seed = settings.seed;
        estimate.diagnostics.discretisation_error = Some(error);
        estimate.diagnostics.evidence = evidence;
        estimate.verdict = Verdict::from_reasons(doubts);
        estimate.interval =
            Some(Interval { lower: log_z - error, upper: log_z + error, level: settings.level });
        Ok(estimate)
    }
}
