//! Figures as files: `--plots` of several subcommands, and what `lnz plot` and `lnz report` share.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use lnz::estimators::{Estimate, Settings, Silent};
use lnz::io::{self, RunRecord};
use lnz::models::Model;
use lnz::plots::{self, Figure, Stage, States};
use lnz::sampling;
use ndarray::{Array2, ArrayView2};

use super::model::Options;
use super::{arguments, output, print};

/// Draws to look at, where a run keeps none.
const DRAWS: usize = 100;
/// Sweeps that drawing from a model takes that was trained just now.
const DRAWN_SWEEPS: u64 = 1 << 18;

/// `--plots`.
#[derive(Debug, Args)]
pub(crate) struct Pictures {
    /// Draw figures into this directory, as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// The format of pictures.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Scalable, for browsers and papers
    Svg,
    /// Pixels, 1,440 from side to side
    Png,
}

impl Pictures {
    /// Refuses a directory that figures could not be written to, before any work is done.
    pub(crate) fn check(&self) -> lnz::Result<()> {
        self.plots.as_deref().map_or(Ok(()), |directory| output::check_directory(directory, "--plots"))
    }

    /// The directory asked for.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.plots.as_deref()
    }

    /// Draws what `figures` gives into the directory asked for, if one was.
    pub(crate) fn draw(&self, figures: impl FnOnce() -> Vec<Figure>) -> Result<()> {
        if let Some(directory) = &self.plots {
            write(directory, "", &figures(), Format::Svg)?;
        }
        Ok(())
    }
}

/// Writes each figure to `directory/prefix+name.format`, and answers with the files.
pub(crate) fn write(
    directory: &Path,
    prefix: &str,
    figures: &[Figure],
    format: Format,
) -> Result<Vec<PathBuf>> {
    let made = |source| lnz::Error::File { path: directory.into(), source };
    fs::create_dir_all(directory).map_err(made).map_err(output::failed)?;
    let mut files = Vec::new();
    for figure in figures {
        let (bytes, extension) = match format {
            Format::Svg => (figure.svg().into_bytes(), "svg"),
            Format::Png => (figure.png(), "png"),
        };
        let path = directory.join(format!("{prefix}{}.{extension}", figure.name));
        io::write_atomically(&path, |writer| writer.write_all(&bytes)).map_err(output::failed)?;
        files.push(path);
    }
    Ok(files)
}

/// What can be shown of a run, and of its model.
pub(crate) fn of_run(
    record: &RunRecord,
    model: Option<&Arc<dyn Model>>,
    data: Option<ArrayView2<'_, f64>>,
    axes: Option<[usize; 2]>,
) -> Vec<Figure> {
    let mut figures = plots::of_run(record);
    if let Some(model) = model {
        let states = States { draws: &draws(model, &record.estimate), data, axes };
        figures.extend(plots::of_model(model, record.estimate.log_z, &states));
    }
    figures
}

/// How a training went, and what came of it: weights and draws beside data.
pub(crate) fn of_training(
    stages: &[Stage],
    model: &Arc<dyn Model>,
    log_z: f64,
    data: ArrayView2<'_, f64>,
    seed: u64,
) -> Vec<Figure> {
    let settings = Settings { seed, budget: Some(DRAWN_SWEEPS), ..Settings::default() };
    // A figure less is no reason to fail after the work is done.
    let draws = sampling::draw(model, DRAWS, &settings, &Silent).map(|draws| draws.states);
    let draws: Vec<Vec<f64>> =
        draws.iter().flat_map(|states| states.rows()).map(|row| row.to_vec()).collect();
    let mut figures: Vec<Figure> = plots::of_training(stages).into_iter().collect();
    figures.extend(plots::of_model(model, log_z, &States { draws: &draws, data: Some(data), axes: None }));
    figures
}

/// The data that a recorded run was given, if their file is still there. Adds to `warnings` why they or the model are missing.
pub(crate) fn data_beside(
    record: &RunRecord,
    model: &Result<Arc<dyn Model>, String>,
    warnings: &mut Vec<String>,
) -> Option<Array2<f64>> {
    let model = model.as_ref().map_err(|reason| warnings.push(reason.clone())).ok()?;
    let data = record.data.as_ref()?;
    arguments::read_rows(Path::new(&data.source), data.binarize, &model.space())
        .map_err(|error| warnings.push(format!("no data in figures of the model: {error}")))
        .ok()
}

/// The draws that a run kept, or exact ones where the model gives them.
fn draws(model: &Arc<dyn Model>, estimate: &Estimate) -> Vec<Vec<f64>> {
    if !estimate.trace.draws.is_empty() {
        return estimate.trace.draws.clone();
    }
    match sampling::draw_exactly(model, DRAWS, estimate.seed) {
        Ok(Some(found)) => found.states.rows().into_iter().map(|row| row.to_vec()).collect(),
        // A figure less is no reason to fail after the work is done.
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// The model of a record, if its file is still there and understood in the same way; else why its figures are missing.
pub(crate) fn model_of(path: &Path, record: &RunRecord, options: &Options) -> Result<Arc<dyn Model>, String> {
    if record.model.kind == "program" {
        return Err("no figures of the model itself: it is a program, which only lnz estimate starts".into());
    }
    let options = options.of(record);
    let source = options
        .load(&record.model.source)
        .and_then(|source| {
            record
                .check_model(path, &source.model, &source.name, &source.digest, record.temperature)
                .map(|()| source)
        })
        .map_err(|error| format!("no figures of the model itself: {error}"))?;
    Ok(source.model)
}

/// Lines that name files.
pub(crate) fn listed(files: &[PathBuf]) -> String {
    files.iter().map(|file| print::quoted(&file.display().to_string()) + "\n").collect()
}
