//! `lnz report`: a run on one page.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lnz::{io, plots};

use super::model::Options;
use super::{Report, output, pictures, print};

/// Write a run as one self-contained HTML page
///
/// The answer, the verdict and its reasons in words, every figure with a sentence on how to read it, what the run took, its
/// settings and the command that repeats it. The page needs no other file and no network, and can be printed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run record that --out of lnz estimate wrote
    #[arg(value_name = "RUN.json")]
    record: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE.html")]
    out: PathBuf,
    #[command(flatten)]
    options: Options,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        output::check("--out", &self.out, &["html", "htm"], &[&self.record])?;
        let record = io::RunRecord::read(&self.record)?;
        let model = pictures::model_of(&self.record, &record, &self.options);
        let mut warnings = Vec::new();
        let data = pictures::data_beside(&record, &model, &mut warnings);
        let figures =
            pictures::of_run(&record, model.as_ref().ok(), data.as_ref().map(|data| data.view()), None);
        let page = plots::report(&record, &figures);
        io::write_atomically(&self.out, |writer| writer.write_all(page.as_bytes()))
            .map_err(output::failed)?;
        Ok(Report { text: print::quoted(&self.out.display().to_string()) + "\n", warnings, converged: true })
    }
}
