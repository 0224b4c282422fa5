//! `lnz sample`: draws from a model into a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::io::{self, record::to_json};
use lnz::models::Space;
use lnz::sampling;
use ndarray::Array2;
use serde::Serialize;

use super::arguments::{self, Effort, Running, Training};
use super::model::{Choice, Options};
use super::progress::Progress;
use super::{Report, output, print};

/// Draw states from a model into a file
///
/// Exact draws where the model can be sampled or is small enough to enumerate; elsewhere chains are annealed, resampled by
/// weight and moved on, which is approximate and says so. Exit status 3 if the weights say not to rely on the draws.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// How many
    #[arg(short = 'n', value_name = "N", value_parser = arguments::count, allow_negative_numbers = true)]
    count: usize,
    /// Where to: one draw per row
    #[arg(long, value_name = "FILE.npy|.npz|.csv")]
    out: PathBuf,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    training: Training,
    #[command(flatten)]
    pub(super) options: Options,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        let mut inputs: Vec<&Path> = self.choice.file().into_iter().collect();
        inputs.extend(self.training.data.as_deref());
        output::check("--out", &self.out, &["npy", "npz", "csv"], &inputs)?;
        let source = self.options.open(&self.choice)?;
        let space: Space = source.model.space();
        let data = self.training.read(&space)?;
        let settings = arguments::settings(&self.effort, None, data, &space)?;
        let draws = sampling::draw(&source.model, self.count, &settings, &Progress::new(self.running.quiet))?;
        write(&self.out, &draws.states).map_err(output::failed)?;

        let mut warnings = source.warnings.clone();
        warnings.extend(draws.doubts.iter().map(|doubt| format!("do not rely on these draws: {doubt}")));
        let text = if self.json {
            #[derive(Serialize)]
            struct Whole<'a> {
                draws: usize,
                out: String,
                how: &'a str,
                exact: bool,
                effective_sample_size: Option<f64>,
                reliable: bool,
                warnings: &'a [String],
                seed: u64,
                model: print::ModelJson<'a>,
                lnz: &'static str,
            }
            to_json(&Whole {
                draws: self.count,
                out: self.out.display().to_string(),
                how: &draws.how,
                exact: draws.exact,
                effective_sample_size: draws.effective_sample_size,
                reliable: draws.reliable(),
                warnings: &warnings,
                seed: self.effort.seed,
                model: print::ModelJson::new(&source, self.options.temperature),
                lnz: env!("CARGO_PKG_VERSION"),
            }) + "\n"
        } else {
            let mut lines = vec![
                ("  model", print::model(&source, self.options.temperature)),
                ("  how", draws.how.clone()),
            ];
            if let Some(ess) = draws.effective_sample_size {
                lines.push(("  effective sample size", format!("{ess:.0} before resampling")));
            }
            format!("{} draws in {}\n{}", self.count, self.out.display(), print::aligned(&lines))
        };
        if self.running.quiet {
            warnings.clear();
        }
        Ok(Report { text, warnings, converged: draws.reliable() })
    }
}

fn write(path: &Path, states: &Array2<f64>) -> lnz::Result<()> {
    match output::extension(path).as_str() {
        "npy" => io::write_npy(path, states.view().into_dyn()),
        "npz" => io::write_npz(path, &[("samples", states.view().into_dyn())]),
        _ => io::write_atomically(path, |writer| {
            for row in states.rows() {
                let cells: Vec<String> = row.iter().map(f64::to_string).collect();
                writeln!(writer, "{}", cells.join(","))?;
            }
            Ok(())
        }),
    }
}
