//! log Z by formula, for models that have one.

use std::sync::Arc;
use std::time::Instant;

use super::{Cost, Counts, Estimate, Estimator, Guarantee, Monitor, Plan, Settings};
use crate::error::{Error, Result};
use crate::models::Model;

/// [`Model::closed_form`]: Gaussians, mixtures, independent units and whatever else knows its own log Z.
///
/// Takes no time and no randomness; the accuracy is that of the formula in f64.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClosedForm;

const NAME: &str = "closed-form";

fn formula(model: &Arc<dyn Model>) -> Result<f64> {
    model.closed_form().ok_or_else(|| Error::NotApplicable {
        estimator: NAME,
        reason: format!("no formula is known for the log Z of this {}", model.kind()),
    })
}

impl Estimator for ClosedForm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "the model's own formula for log Z, where there is one"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Exact
    }

    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        formula(model)?;
        Ok(Plan { seconds: Some(0.0), bytes: 0.0 })
    }

    fn run(&self, model: &Arc<dyn Model>, _: &Settings, _: &dyn Monitor) -> Result<Estimate> {
        let start = Instant::now();
        let log_z = formula(model)?;
        let cost = Cost::of_one(NAME, start.elapsed().as_secs_f64(), Counts::default());
        Ok(Estimate::exact(NAME, log_z, Guarantee::Exact, cost))
    }
}
