//! Simple importance sampling: weigh draws from the reference, without any annealing.

use std::sync::Arc;

use super::comparison;
use super::estimate::{Estimate, Guarantee, Role};
use super::monitor::Monitor;
use super::phases::Phases;
use super::report::{Weighted, at_the_top};
use super::rounds;
use super::settings::Settings;
use super::{Estimator, evidence, pilot};
use crate::error::Result;
use crate::math::Stream;
use crate::models::Model;
use crate::paths::Schedule;

/// Draws, unless a number of chains is asked for.
const DRAWS: usize = 65_536;
/// Numbers that all draws of a budget may hold: 2²⁸, 2 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// log Ẑ = log Z₀ + log (1/N) Σ f₁(xᵢ)/f₀(xᵢ) with xᵢ ~ f₀, the reference fitted by the same pilots as annealing uses.
///
/// Unbiased for Z. Good where the reference is close to the model, hopeless elsewhere, and its ESS and k̂ say which. Annealed runs
/// are the independent evidence: another set of draws would miss what this one missed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Importance;

impl Estimator for Importance {
    fn name(&self) -> &'static str {
        "importance"
    }

    fn summary(&self) -> &'static str {
        "simple importance sampling from the path's reference"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        let mut phases = Phases::new(monitor);
        let mut plan = pilot::plan(model, settings, rounds::one_walk, &mut phases)?;
        // The evidence is annealed, and needs no more chains than annealing does.
        plan.chains = plan.chains.min(pilot::REPORTED_CHAINS);
        let found = evidence::gather(model, &mut plan, settings, &mut phases)?;
        plan.schedule = Schedule::linear(1);
        let left = settings.budget.map(|budget| {
            let spent = phases.cost.of_the_answer().sweeps as f64;
            (pilot::left(budget as f64, spent) as usize).min(MOST_NUMBERS / plan.path.space().dim.max(1))
        });
        plan.chains = settings.chains.or(left).unwrap_or(DRAWS);
        phases.role = Role::Answer;
        let run = plan.anneal("draws", Stream::new(settings.seed).child(2), &mut phases)?;
        let (log_z, std_err) = plan.upward(&run);
        Weighted {
            method: self.name(),
            guarantee: self.guarantee(),
            log_z,
            std_err,
            evidence: comparison::compare(found, log_z, std_err),
            draws: at_the_top(&run, model.space().dim, settings.seed),
            run,
            plan,
        }
        .report(settings, phases.cost)
    }
}
