//! `lnz exact`: log Z up to rounding, or a refusal that says how long it would take.

use anyhow::Result;
use clap::Args;
use lnz::Error;
use lnz::estimators::enumeration::Enumeration;
use lnz::estimators::{self, Estimator, Settings};

use super::model::Options;
use super::progress::Progress;
use super::{Report, arguments, estimate, print};

/// Compute log Z exactly, by the quickest exact method
///
/// Refuses what would not finish in --max-time, saying how long it would take.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Model file, or ref:NAME?key=value&… (see lnz list)
    model: String,
    /// Longest predicted time that is acceptable: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = arguments::seconds, allow_negative_numbers = true)]
    max_time: f64,
    #[command(flatten)]
    options: Options,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: arguments::Running,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        let source = self.options.load(&self.model)?;
        let Some((estimator, plan)) = estimators::quickest_exact(&source.model) else {
            // Enumeration knows why nothing applies: the space is continuous, or adding up would take too long.
            let reason = match Enumeration.plan(&source.model) {
                Err(Error::NotApplicable { reason, .. }) => reason,
                _ => format!("nothing is known of {}", source.model.space()),
            };
            return Err(refusal(format!(
                "no exact method does for this {}: {reason}; `lnz estimate {}` samples instead",
                source.model.kind(),
                print::quoted(&self.model)
            )));
        };
        let seconds = plan.seconds.unwrap_or(0.0);
        if seconds > self.max_time {
            return Err(refusal(format!(
                "{} would take about {}, more than --max-time {}; `lnz estimate {}` samples instead",
                estimator.name(),
                print::duration(seconds),
                print::duration(self.max_time),
                print::quoted(&self.model)
            )));
        }
        let settings = Settings { max_time: self.max_time, ..Settings::default() };
        let answer = estimator.estimate(&source.model, &settings, &Progress::new(self.running.quiet))?;
        Ok(estimate::report(&source, self.options.temperature, &answer, self.json, self.running.quiet))
    }
}

fn refusal(reason: String) -> anyhow::Error {
    Error::NotApplicable { estimator: "exact", reason }.into()
}
