//! Annealed importance sampling, as a user runs it: pilots, one frozen round, independent evidence, a verdict.

use std::sync::Arc;

use super::comparison;
use super::estimate::{Estimate, Guarantee};
use super::monitor::Monitor;
use super::phases::Phases;
use super::pilot;
use super::report::{Weighted, at_the_top};
use super::rounds::{self, Rounds};
use super::settings::Settings;
use super::{Estimator, evidence};
use crate::error::Result;
use crate::math::Stream;
use crate::models::Model;
use crate::paths::Path;

/// Annealed importance sampling (Neal 2001, doi:10.1023/A:1008923215028).
///
/// Each chain starts at an exact draw from f₀ and collects log wᵢ = Σ_k log f_{βk}(x) − log f_{βk−1}(x) while kernels carry it
/// to f₁; log Ẑ = log Z₀ + log (1/N) Σ wᵢ. `E[Ẑ] = Z` for every number of rungs and chains, so log Ẑ is low on average, and
/// P(log Ẑ > log Z + b) ≤ e⁻ᵇ. The interval is Student's on log Ẑ with the delta-method error sd(w)/(w̄ √N).
///
/// Pilots choose schedule, rungs, chains and kernels; then one round on fresh random streams is reported, whatever it shows.
///
/// Memory does not grow with the number of rungs but for the record of them, at most 300 bytes a rung. A run with 1,024 chains, as by
/// default, or more takes at most three times what the model and its chains' states fill as f64, the model counted; with HMC a state is
/// a position and a gradient. (What matrix products keep on each thread is not in this: up to a copy of an RBM's weights.)
#[derive(Clone, Copy, Debug, Default)]
pub struct Ais;

impl Estimator for Ais {
    fn name(&self) -> &'static str {
        "ais"
    }

    fn summary(&self) -> &'static str {
        "annealed importance sampling, with pilots and independent evidence"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        anneal(self, false, model, settings, monitor)
    }
}

/// Pilots, one frozen round with or without resampling, or one that resamples at every rung and wastes no state, evidence.
pub(super) fn anneal(
    method: &dyn Estimator,
    resampled: bool,
    model: &Arc<dyn Model>,
    settings: &Settings,
    monitor: &dyn Monitor,
) -> Result<Estimate> {
    let mut phases = Phases::new(monitor);
    let rounds = |path: &dyn Path| Rounds { resampled, ..rounds::one_walk(path) };
    let waste_free = settings.waste_free.filter(|_| resampled);
    // Rungs of a waste-free round are too few for pilots and evidence, which choose their own.
    let own = waste_free.and(settings.rungs).map(|_| Settings { rungs: None, ..settings.clone() });
    let mut plan = pilot::plan(model, own.as_ref().unwrap_or(settings), rounds, &mut phases)?;
    monitor.follows(plan.evidence);
    let stream = Stream::new(settings.seed).child(2);
    let layout = waste_free.map(|length| plan.waste_free(length, settings));
    let mut run = match &layout {
        Some((schedule, islands)) => {
            phases.waste_free("annealing", plan.path.as_ref(), schedule, *islands, stream)?
        }
        None => plan.anneal("annealing", stream, &mut phases)?,
    };
    let (log_z, std_err) = plan.upward(&run);
    let draws = at_the_top(&run, model.space().dim, settings.seed);
    run.dismiss_chains();
    let found = evidence::gather(model, &mut plan, settings, &mut phases)?;
    let states = layout.map(|(schedule, islands)| {
        plan.schedule = schedule;
        islands.states()
    });
    let mut estimate = Weighted {
        method: method.name(),
        guarantee: method.guarantee(),
        log_z,
        std_err,
        evidence: comparison::compare(found, log_z, std_err),
        draws,
        run,
        plan,
    }
    .report(settings, phases.cost)?;
    estimate.diagnostics.states = states;
    Ok(estimate)
}
