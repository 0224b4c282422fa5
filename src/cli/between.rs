//! `lnz between`: log Z of one model less that of another, by a walk between them.

use anyhow::Result;
use clap::Args;
use lnz::estimators::between::{Starts, between};
use lnz::estimators::{Estimate, Verdict};
use lnz::io::record::to_json;
use lnz::sampling;
use serde::Serialize;

use super::arguments::{self, Effort, Running};
use super::model::{Options, Source};
use super::progress::Progress;
use super::{Report, print};

/// Draws that walks start from, those of the pilots among them.
pub(super) const WALKERS: usize = 1152;

/// Estimate log Z of OTHER less log Z of MODEL, without either
///
/// Chains walk from MODEL to OTHER through the models between them, and back; both must have the same finite space. It takes few rungs
/// where the two are alike, such as two checkpoints of one training.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Model file, or ref:NAME?key=value&… (see lnz list)
    model: String,
    /// Another one
    other: String,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    options: Options,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        let one = self.options.load(&self.model)?;
        let other = self.options.load(&self.other)?;
        let settings = arguments::settings(&self.effort, None, None, &one.model.space())?;
        // What cannot be walked is refused before anything is drawn.
        lnz::models::blend(&one.model, &other.model, 0.5)?;
        let progress = Progress::new(self.running.quiet);
        let draws = sampling::draw(&one.model, WALKERS, &settings, &progress)?;
        let starts = Starts { states: draws.states.view(), exact: draws.exact };
        let walk = between(&one.model, &other.model, starts, &settings, &progress)?;
        let mut reasons: Vec<String> =
            draws.doubts.iter().map(|doubt| format!("draws of {}: {doubt}", one.name)).collect();
        if let Verdict::NotConverged { reasons: more } = &walk.verdict {
            reasons.extend(more.iter().map(ToString::to_string));
        }
        let warnings = if self.running.quiet {
            Vec::new()
        } else {
            one.warnings
                .iter()
                .chain(&other.warnings)
                .cloned()
                .chain(walk.warnings.iter().map(ToString::to_string))
                .collect()
        };
        let converged = reasons.is_empty();
        let text = if self.json {
            self.as_json(&one, &other, &walk, &reasons)
        } else {
            self.as_text(&one, &other, &walk, &reasons, &draws.how)
        };
        Ok(Report { text, warnings, converged })
    }

    fn as_text(
        &self,
        one: &Source,
        other: &Source,
        walk: &Estimate,
        reasons: &[String],
        how: &str,
    ) -> String {
        let temperature = self.options.temperature;
        let error = walk.std_err.unwrap_or(0.0);
        let mut lines = vec![
            ("  from", print::model(one, temperature)),
            ("  to", print::model(other, temperature)),
            ("  starts", how.to_owned()),
            ("  method", format!("{} ({})", walk.method, walk.guarantee)),
        ];
        if reasons.is_empty() {
            lines.push(("  verdict", "converged".into()));
        } else {
            lines.push(("  verdict", "NOT CONVERGED: do not rely on this number".into()));
            lines.extend(reasons.iter().map(|reason| ("", format!("- {reason}"))));
        }
        lines.push(("  effort", print::effort(walk)));
        lines.extend(print::analyses(&walk.diagnostics.analyses));
        lines.push(("  time", print::duration(walk.cost.seconds)));
        let difference = print::number(walk.log_z, error);
        format!(
            "log Z of {} - log Z of {} = {difference} nats\n{}",
            other.name,
            one.name,
            print::aligned(&lines)
        )
    }

    fn as_json(&self, one: &Source, other: &Source, walk: &Estimate, reasons: &[String]) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            difference: f64,
            std_err: Option<f64>,
            converged: bool,
            doubts: &'a [String],
            walk: print::EstimateJson<'a>,
            model: print::ModelJson<'a>,
            other: print::ModelJson<'a>,
            lnz: &'static str,
        }
        to_json(&Whole {
            difference: walk.log_z,
            std_err: walk.std_err,
            converged: reasons.is_empty(),
            doubts: reasons,
            walk: print::EstimateJson::new(walk),
            model: print::ModelJson::new(one, self.options.temperature),
            other: print::ModelJson::new(other, self.options.temperature),
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}
