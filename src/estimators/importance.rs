//! Simple importance sampling: weigh draws from the reference, without any annealing.

use std::sync::Arc;
use std::time::Instant;

use super::ais::report;
use super::annealing::forward;
use super::estimate::{Cost, Estimate, Guarantee};
use super::evidence;
use super::monitor::Monitor;
use super::settings::Settings;
use super::{Estimator, Plan, pilot};
use crate::error::Result;
use crate::math::Stream;
use crate::models::Model;
use crate::paths::{self, Move, Population, Schedule};

/// Draws, unless a number of chains is asked for.
const DRAWS: usize = 65_536;

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

    fn plan(&self, _model: &Arc<dyn Model>) -> Result<Plan> {
        Ok(Plan::default())
    }

    fn estimate(
        &self,
        model: &Arc<dyn Model>,
        settings: &Settings,
        monitor: &dyn Monitor,
    ) -> Result<Estimate> {
        settings.check()?;
        let mut cost = Cost::default();
        let path = paths::for_model(model, settings.data.as_ref().map(|data| data.view()))?;
        let mut plan = pilot::plan(path, settings, 1.0, monitor, &mut cost)?;
        // The evidence is annealed, and needs no more chains than annealing does.
        plan.chains = plan.chains.min(1024);
        let found = evidence::gather(model, &plan, settings.seed, monitor, &mut cost)?;
        plan.schedule = Schedule::linear(1);
        plan.chains = settings.chains.unwrap_or(DRAWS);

        let begin = Instant::now();
        monitor.begin("draws", 1);
        let stream = Stream::new(settings.seed).child(2);
        let population = Population::from_reference(plan.path.as_ref(), plan.chains, stream);
        let run = forward(population, &plan.schedule, Move::Forward, monitor)?;
        cost.add("draws", begin.elapsed().as_secs_f64(), run.population.counts());
        let log_z = plan.path.log_z_reference() + run.weights.log_mean();
        let evidence = evidence::compare(found, log_z, run.weights.std_err());
        report(self.name(), log_z, Guarantee::UnbiasedZ, run, Some(plan), evidence, settings, cost)
    }
}
