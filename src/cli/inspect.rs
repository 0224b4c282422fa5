//! `lnz inspect`: what a file holds, how it was understood, and what would be done with it.

use anyhow::Result;
use clap::Args;
use lnz::estimators::{Guarantee, REGISTRY};
use lnz::io::record::to_json;
use lnz::paths;
use serde::Serialize;

use super::model::{Choice, Options, Source};
use super::{Report, print};

/// Show what a model file holds, how it was understood, and which methods apply
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    pub(super) options: Options,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Whether a deterministic method would do, and in what time.
#[derive(Debug, Serialize)]
struct Method {
    name: &'static str,
    applies: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

fn methods(source: &Source) -> Vec<Method> {
    REGISTRY
        .iter()
        .filter(|estimator| matches!(estimator.guarantee(), Guarantee::Exact | Guarantee::Numerical))
        .map(|estimator| match estimator.plan(&source.model) {
            Ok(plan) => Method {
                name: estimator.name(),
                applies: true,
                predicted_seconds: plan.seconds,
                why_not: None,
            },
            Err(error) => Method {
                name: estimator.name(),
                applies: false,
                predicted_seconds: None,
                why_not: Some(reason(error)),
            },
        })
        .collect()
}

/// Why something does not apply, without its name.
fn reason(error: lnz::Error) -> String {
    match error {
        lnz::Error::NotApplicable { reason, .. } => reason,
        other => other.to_string(),
    }
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        let source = self.options.open(&self.choice)?;
        // A model that cannot be annealed can be inspected all the same.
        let kernel = match paths::for_model(&source.model, None) {
            Ok(path) => path.kernel(),
            Err(error) => format!("no: {}", reason(error)),
        };
        let methods = methods(&source);
        let facts = source.model.facts();
        let text = if self.json {
            #[derive(Serialize)]
            struct Whole<'a> {
                model: print::ModelJson<'a>,
                facts: std::collections::BTreeMap<&'a str, &'a str>,
                notes: &'a [String],
                warnings: &'a [String],
                methods: &'a [Method],
                annealing_kernel: &'a str,
                exact_sampler: bool,
                gradient: bool,
                lnz: &'static str,
            }
            to_json(&Whole {
                model: print::ModelJson::new(&source, self.options.temperature),
                facts: facts.iter().map(|(name, value)| (*name, value.as_str())).collect(),
                notes: &source.notes,
                warnings: &source.warnings,
                methods: &methods,
                annealing_kernel: &kernel,
                exact_sampler: source.model.sampler().is_some(),
                gradient: source.model.gradient().is_some(),
                lnz: env!("CARGO_PKG_VERSION"),
            }) + "\n"
        } else {
            let mut lines = vec![
                ("model", print::model(&source, self.options.temperature)),
                ("sha-256", source.digest.clone()),
            ];
            // The digest has a line of its own.
            let notes = source.notes.iter().filter(|note| !note.starts_with("sha256:"));
            lines.extend(notes.enumerate().map(|(i, note)| (if i == 0 { "file" } else { "" }, note.clone())));
            lines.extend(facts.iter().map(|(name, value)| (*name, value.clone())));
            for method in &methods {
                lines.push((
                    method.name,
                    match (&method.why_not, method.predicted_seconds) {
                        (Some(reason), _) => format!("no: {reason}"),
                        (None, Some(seconds)) => {
                            format!("applies, predicted to take {}", print::duration(seconds))
                        }
                        (None, None) => "applies".into(),
                    },
                ));
            }
            lines.push(("annealing", kernel));
            if source.model.sampler().is_some() {
                lines.push(("draws", "exact, by the model's own sampler".into()));
            }
            print::aligned(&lines)
        };
        Ok(Report { warnings: source.warnings.clone(), ..Report::new(text) })
    }
}
