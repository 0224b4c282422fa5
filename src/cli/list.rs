//! `lnz list`: models that files can hold, built-in references, and estimators.

use anyhow::Result;
use clap::Args;
use lnz::estimators::{REGISTRY, Settings, Silent, quickest_exact};
use lnz::io::record::to_json;
use lnz::models::builtin::{self, REFERENCES};
use serde::Serialize;

use super::{Report, print};

/// List models, built-in references and estimators
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a model file may hold, and by which names; `read_model` has all of them.
const FILES: &[(&str, &str)] = &[
    ("network", "an ONNX graph, opset 9 to 25: x (batch, …) to an energy (batch), or as --output says"),
    (
        "perceptron",
        "weight (outputs, inputs) and bias of 0., 2., … or any layers in order, with --activation",
    ),
    ("rbm", "W, visible bias b, hidden bias c (names of PyTorch, scikit-learn and Hinton's code, too)"),
    ("gaussian-rbm", "the same and sigma or log_sigma"),
    ("boltzmann", "J (d, d) and h (d), optionally spins"),
    ("potts", "J (d, d) and h (d, q), or q"),
    ("gaussian", "mean (d) and covariance or precision (d, d), optionally log_scale"),
    ("mixture", "weights (k), means (k, d), covariances (k, d, d)"),
];

/// Exact values that take longer are left out of the listing, in predicted seconds.
const SHORT: f64 = 0.05;

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    summary: &'static str,
    parameters: Vec<ListedParameter>,
    /// With the default parameters, where cheap.
    log_z: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ListedParameter {
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
}

fn references() -> lnz::Result<Vec<Listed>> {
    REFERENCES
        .iter()
        .map(|reference| {
            let name = format!("ref:{}", reference.name);
            let model = builtin::parse(&name)?;
            let log_z = match quickest_exact(&model) {
                Some((exact, plan)) if plan.seconds.is_none_or(|seconds| seconds < SHORT) => {
                    Some(exact.estimate(&model, &Settings::default(), &Silent)?.log_z)
                }
                _ => None,
            };
            let parameters = reference
                .parameters
                .iter()
                .map(|p| ListedParameter { name: p.name, default: p.default, meaning: p.meaning })
                .collect();
            Ok(Listed { name, summary: reference.summary, parameters, log_z })
        })
        .collect()
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        let references = references()?;
        Ok(Report::new(if self.json { as_json(&references) } else { as_text(&references) }))
    }
}

fn as_text(references: &[Listed]) -> String {
    let mut text =
        "Model files (.onnx, .safetensors, .npz, .mat) and the arrays that make them:\n\n".to_owned();
    let files: Vec<_> = FILES.iter().map(|(kind, arrays)| (*kind, (*arrays).to_owned())).collect();
    text += &indented(&print::aligned(&files));
    text += "\nBuilt-in references, ref:NAME?key=value&key=value:\n";
    for reference in references {
        let log_z = reference
            .log_z
            .map_or_else(String::new, |log_z| format!("; log Z = {} as it is", print::exact(log_z)));
        text.extend(["\n  ", &reference.name, "  ", reference.summary, &log_z, "\n"]);
        let parameters: Vec<_> = reference
            .parameters
            .iter()
            .map(|p| (format!("{}={}", p.name, p.default), p.meaning.to_owned()))
            .collect();
        let lines: Vec<_> =
            parameters.iter().map(|(name, meaning)| (name.as_str(), meaning.clone())).collect();
        text += &indented(&indented(&print::aligned(&lines)));
    }
    text += "\nEstimators, --method NAME:\n\n";
    let estimators: Vec<_> =
        REGISTRY.iter().map(|e| (e.name(), format!("{} ({})", e.summary(), e.guarantee()))).collect();
    text + &indented(&print::aligned(&estimators))
}

fn indented(text: &str) -> String {
    text.split_inclusive('\n').flat_map(|line| ["  ", line]).collect()
}

fn as_json(references: &[Listed]) -> String {
    #[derive(Serialize)]
    struct File {
        kind: &'static str,
        arrays: &'static str,
    }
    #[derive(Serialize)]
    struct Method {
        name: &'static str,
        summary: &'static str,
        guarantee: String,
    }
    #[derive(Serialize)]
    struct Whole<'a> {
        models: Vec<File>,
        references: &'a [Listed],
        estimators: Vec<Method>,
        lnz: &'static str,
    }
    to_json(&Whole {
        models: FILES.iter().map(|&(kind, arrays)| File { kind, arrays }).collect(),
        references,
        estimators: REGISTRY
            .iter()
            .map(|e| Method { name: e.name(), summary: e.summary(), guarantee: e.guarantee().to_string() })
            .collect(),
        lnz: env!("CARGO_PKG_VERSION"),
    }) + "\n"
}
