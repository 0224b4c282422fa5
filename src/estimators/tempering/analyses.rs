//! log Z from states in equilibrium at every rung, in several ways.
//!
//! Rungs of one system depend on each other, because they exchange states, and systems do not. So every way says by how much each
//! system moves it, to first order, and its error is the spread of that: sd(δ) √S over S systems (the infinitesimal jackknife).

use ndarray::{Array1, ArrayView2, s};

use crate::error::Result;
use crate::estimators::bar::{bar, fermi};
use crate::estimators::estimate::Analysis;
use crate::estimators::mbar::{Mbar, Reduced};
use crate::estimators::samples::Samples;
use crate::math::log_mean_exp;
use crate::math::statistics::corrected_trapezoid;

/// The ways there are, in order of preference.
pub const NAMES: [&str; 5] = ["mbar", "bar", "stepping-stone-up", "stepping-stone-down", "ti"];

/// All of them; without `ti` where its integrand is infinite.
///
/// - `mbar`: the multistate acceptance ratio over all rungs at once, its error by clusters.
/// - `bar`: the acceptance ratio of each pair of neighbours, added up.
/// - `stepping-stone-up`, `-down` (Xie, Lewis, Fan, Kuo & Chen 2011, doi:10.1093/sysbio/syq085): Σ log E_k[f_{k+1}/f_k], and
///   −Σ log E_{k+1}[f_k/f_{k+1}]. Where neighbours hardly overlap the first errs low and the second high.
/// - `ti`: the trapezoid rule with second-order correction, as [`Thermodynamic`](crate::estimators::thermodynamic::Thermodynamic);
///   its error carries that of integration, a third of the change from every second rung to every rung.
///
/// # Errors
/// [`Error::NotReached`](crate::Error::NotReached) where rungs do not overlap.
pub fn analyse(samples: &Samples) -> Result<Vec<Analysis>> {
    let mut found =
        vec![multistate(samples)?, pairwise(samples)?, stones(samples, true), stones(samples, false)];
    found.extend(integral(samples));
    Ok(found)
}

/// Mean and influence of every system on ∫ E[∂_β log f] dβ over the kept rounds `from .. to`, without correction; `None` where
/// some derivative is infinite.
pub(super) fn areas(samples: &Samples, rounds: std::ops::Range<usize>) -> Option<Array1<f64>> {
    let (betas, systems, kept) = (samples.schedule.betas(), samples.systems, samples.kept());
    let mut areas = Array1::<f64>::zeros(systems);
    for k in 0..betas.len() {
        let width = 0.5 * (betas[(k + 1).min(betas.len() - 1)] - betas[k.saturating_sub(1)]);
        let of_rung = samples.derivatives.slice(s![0, k * kept..(k + 1) * kept]);
        for n in rounds.start * systems..rounds.end * systems {
            areas[n % systems] += width * of_rung[n] / rounds.len() as f64;
        }
    }
    areas.iter().all(|area| area.is_finite()).then_some(areas)
}

/// Mean and standard error over systems of the integrand at every rung.
pub(super) fn integrand(samples: &Samples) -> Vec<(f64, f64)> {
    let (systems, kept) = (samples.systems, samples.kept());
    (0..samples.schedule.betas().len())
        .map(|k| {
            let of_rung = samples.derivatives.slice(s![0, k * kept..(k + 1) * kept]);
            let mut means = vec![0.0; systems];
            of_rung
                .iter()
                .enumerate()
                .for_each(|(n, g)| means[n % systems] += g * systems as f64 / kept as f64);
            (crate::math::statistics::mean(&means), crate::math::statistics::std_err(&means))
        })
        .collect()
}

fn integral(samples: &Samples) -> Option<Analysis> {
    let (betas, kept) = (samples.schedule.betas(), samples.kept());
    let areas = areas(samples, 0..kept / samples.systems)?;
    let moments: Vec<(f64, f64)> = (0..betas.len())
        .map(|k| {
            let of_rung = samples.derivatives.slice(s![.., k * kept..(k + 1) * kept]);
            (
                of_rung.row(0).mean().unwrap_or(0.0),
                of_rung.row(0).var(0.0) + of_rung.row(1).mean().unwrap_or(0.0),
            )
        })
        .collect();
    let (means, slopes): (Vec<f64>, Vec<f64>) = moments.into_iter().unzip();
    let every = |stride: usize| {
        let last = betas.len() - 1;
        let picks: Vec<usize> = (0..last).step_by(stride).chain([last]).collect();
        let pick = |values: &[f64]| picks.iter().map(|&k| values[k]).collect::<Vec<f64>>();
        corrected_trapezoid(&pick(betas), &pick(&means), &pick(&slopes))
    };
    let whole = every(1);
    let mut deviations = (&areas - areas.mean().unwrap_or(0.0)) / samples.systems as f64;
    // Up to just below one, and from there by a stepping stone down.
    let jump = log_mean_exp(&samples.jumps.to_vec());
    for (n, gain) in samples.jumps.iter().enumerate() {
        deviations[n % samples.systems] -= (gain - jump).exp() / samples.jumps.len() as f64;
    }
    deviations += 1.0 / samples.systems as f64;
    // A ladder has few rungs, so the rule is trusted to be of second order only, not of the fourth that it has with many.
    let error = spread(&deviations).hypot((whole - every(2)).abs() / 3.0);
    Some(Analysis { name: "ti".into(), log_z: whole - jump, std_err: error })
}

fn stones(samples: &Samples, up: bool) -> Analysis {
    let systems = samples.systems;
    let mut log_z = 0.0;
    let mut moved = Array1::<f64>::zeros(systems);
    for k in 0..samples.schedule.rungs() {
        let (from, to, sign) = if up { (k, k + 1, 1.0) } else { (k + 1, k, -1.0) };
        let gains = gains(samples, from, to);
        let mean = log_mean_exp(&gains);
        log_z += sign * mean;
        for (n, gain) in gains.iter().enumerate() {
            moved[n % systems] += sign * (gain - mean).exp() / gains.len() as f64;
        }
        moved -= sign / systems as f64;
    }
    let name = if up { "stepping-stone-up" } else { "stepping-stone-down" };
    Analysis { name: name.into(), log_z, std_err: spread(&moved) }
}

fn pairwise(samples: &Samples) -> Result<Analysis> {
    let systems = samples.systems;
    let mut log_z = 0.0;
    let mut moved = Array1::<f64>::zeros(systems);
    for k in 0..samples.schedule.rungs() {
        let (forward, reverse) = (gains(samples, k, k + 1), gains(samples, k + 1, k));
        let ratio = bar(&forward, &reverse)?.log_ratio;
        log_z += ratio;
        // What each system adds to the equation that the ratio solves, over the equation's slope.
        let up: Vec<f64> = forward.iter().map(|g| fermi(g - ratio)).collect();
        let down: Vec<f64> = reverse.iter().map(|h| fermi(h + ratio)).collect();
        let slope: f64 = up.iter().chain(&down).map(|share| share * (1.0 - share)).sum();
        let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
        let (of_up, of_down) = (mean(&up), mean(&down));
        for (n, (up, down)) in up.iter().zip(&down).enumerate() {
            moved[n % systems] += ((up - of_up) - (down - of_down)) / slope;
        }
    }
    Ok(Analysis { name: "bar".into(), log_z, std_err: spread(&moved) })
}

fn multistate(samples: &Samples) -> Result<Analysis> {
    let counts = vec![samples.kept(); samples.energies.nrows()];
    let energies: ArrayView2<'_, f64> = samples.energies.view();
    let solved = Mbar::solve(Reduced::new(energies, &counts)?)?;
    let covariance = solved.covariance_of_clusters(&samples.clusters());
    let last = counts.len() - 1;
    Ok(Analysis {
        name: "mbar".into(),
        log_z: solved.log_z[last],
        std_err: covariance[[last, last]].max(0.0).sqrt(),
    })
}

/// log f_to − log f_from of the states kept from rung `from`; −∞ for a state that has not yet come to where the model has mass.
fn gains(samples: &Samples, from: usize, to: usize) -> Vec<f64> {
    let kept = samples.kept();
    let range = from * kept..(from + 1) * kept;
    let (here, there) =
        (samples.energies.slice(s![from, range.clone()]), samples.energies.slice(s![to, range]));
    let gain =
        |(here, there): (&f64, &f64)| if *here == f64::INFINITY { f64::NEG_INFINITY } else { here - there };
    here.iter().zip(there).map(gain).collect()
}

/// √(S/(S−1) Σ δ²) of deviations of mean zero.
pub(crate) fn spread(deviations: &Array1<f64>) -> f64 {
    let systems = deviations.len() as f64;
    (systems / (systems - 1.0) * deviations.dot(deviations)).sqrt()
}
