//! A training from its start or from where it was left, to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use lnz::estimators::Monitor;
use lnz::estimators::tracker::{Tracked, Tracker};
use lnz::io::{self, record::to_json};
use lnz::models::{Model, energies};
use lnz::training::{Epoch, Training};
use ndarray::{Array2, s};
use serde::Serialize;

use super::super::progress::Progress;
use super::super::{Report, arguments, output, pictures, print};
use super::checkpoint::{Checkpoints, Made};
use super::common::{Common, Data};
use super::history::{self, Row};

/// Rows of data over which the tracker judges how far models are from each other.
pub(in crate::cli) const JUDGED: usize = 1000;

/// What a family asks to have done.
pub(super) struct Fit<'a, S> {
    pub common: &'a Common,
    pub family: &'static str,
    /// The model that is trained further.
    pub start: Option<&'a Path>,
    /// How it is fitted, in words.
    pub method: String,
    /// The options with which its file is read.
    pub reading: String,
    pub data: &'a Data,
    pub settings: &'a S,
}

impl<S: Serialize> Fit<'_, S> {
    /// All epochs that are left.
    pub(super) fn run(&self, mut training: Training<'_>) -> Result<Report> {
        let Self { common, data, .. } = self;
        let tracking = (!common.no_track).then(|| common.following.settings(common.seed));
        let checkpoints = common.checkpoints.as_deref().map(|directory| {
            Checkpoints::new(directory, Made::new(self.family, self.settings, tracking.as_ref(), data))
        });
        let mut tracker = tracking.map(Tracker::new).transpose()?;
        let mut rows: Vec<Row> = Vec::new();
        if common.resume {
            let checkpoints = checkpoints.as_ref().expect("clap asks for them");
            (training, tracker, rows) = checkpoints.resume(training, tracker)?;
        } else if let Some(checkpoints) = &checkpoints {
            checkpoints.begin()?;
        }
        let begin = Instant::now();
        let before = rows.last().map_or(0.0, |row| row.seconds);
        let progress = Progress::new(common.running.quiet);
        let mut shown = false;
        let mut kept = None;
        while !self.patient_enough(&rows)
            && let Some(epoch) = training.epoch(&progress)?
        {
            if let Some(tracker) = tracker.as_mut().filter(|_| epoch.number == common.epochs) {
                tracker.renew();
            }
            let mut row = look(&epoch, data, tracker.as_mut(), &progress)?;
            row.seconds = before + begin.elapsed().as_secs_f64();
            rows.push(row);
            history::lines(&rows[rows.len() - 1..])
                .lines()
                .skip(usize::from(shown))
                .for_each(|line| progress.note(line));
            shown = true;
            let best = self.kept(&rows) + 1 == rows.len();
            if best {
                io::write_model(&common.out, &epoch.model).map_err(output::failed)?;
            }
            if let Some(checkpoints) = &checkpoints {
                checkpoints.keep(&epoch, &training, tracker.as_ref(), &rows).map_err(output::failed)?;
            }
            if let Some(path) = &common.history {
                history::write(path, &rows).map_err(output::failed)?;
            }
            if best || kept.is_none() {
                kept = Some(epoch.model);
            }
        }
        drop(progress);
        let Some(model) = kept else {
            let expected = format!("there is nothing left to do after epoch {}", rows.len());
            let directory = common.checkpoints.as_deref().unwrap_or(&common.out);
            return Err(arguments::setting("--resume", directory.display(), expected).into());
        };
        self.draw(&rows, &model)?;
        let text = if common.json { self.to_json(&rows) } else { self.to_text(&model, &rows) };
        Ok(Report::new(text))
    }

    /// The row whose model is kept: the last, or where validation data were likeliest.
    fn kept(&self, rows: &[Row]) -> usize {
        if self.common.patience.is_none() {
            return rows.len() - 1;
        }
        let likelihood =
            |row: &Row| row.valid_log_likelihood.filter(|l| !l.is_nan()).unwrap_or(f64::NEG_INFINITY);
        (0..rows.len())
            .rev()
            .max_by(|&i, &j| likelihood(&rows[i]).total_cmp(&likelihood(&rows[j])))
            .unwrap_or(0)
    }

    /// Whether the likelihood of validation data has not risen for as long as was asked.
    fn patient_enough(&self, rows: &[Row]) -> bool {
        self.common
            .patience
            .is_some_and(|patience| !rows.is_empty() && rows.len() > self.kept(rows) + patience)
    }

    fn draw(&self, rows: &[Row], model: &Arc<dyn Model>) -> Result<()> {
        let Some(directory) = self.common.pictures.directory() else { return Ok(()) };
        let stages: Vec<_> = rows.iter().map(Row::stage).collect();
        let log_z = rows[self.kept(rows)].tracked.map_or(0.0, |tracked| tracked.log_z);
        let (data, seed) = (self.data.train.view(), self.common.seed);
        let figures = pictures::of_training(&stages, model, log_z, data, seed);
        pictures::write(directory, "", &figures, pictures::Format::Svg)?;
        Ok(())
    }

    fn to_text(&self, model: &Arc<dyn Model>, rows: &[Row]) -> String {
        let Self { common, method, reading, data, .. } = self;
        let last = &rows[self.kept(rows)];
        let mut lines = vec![
            ("  data", format!("{}, {} examples", common.data.display(), data.train.nrows())),
            ("  method", format!("{method}, {} epochs", rows.len())),
        ];
        if let Some(start) = self.start {
            lines.insert(1, ("  start", start.display().to_string()));
        }
        if common.patience.is_some() {
            let stopped = if rows.len() < common.epochs { ", and training stopped" } else { "" };
            lines.push(("  kept", format!("epoch {}, where --valid was likeliest{stopped}", last.epoch)));
        }
        if let (Some(likelihood), Some(tracked)) = (last.log_likelihood, last.tracked) {
            let Tracked { log_z, std_err, source, .. } = tracked;
            let [likelihood, log_z] = [likelihood, log_z].map(|value| print::tracked(value, std_err));
            lines.push((
                "  log-likelihood",
                format!("{likelihood} nats per example (log Z = {log_z}, {source})"),
            ));
        }
        if let (Some(likelihood), Some(path)) = (last.valid_log_likelihood, &common.valid) {
            let value = print::tracked(likelihood, last.error());
            lines.push(("  valid", format!("{value} nats per example of {}", path.display())));
        }
        if last.tracked.is_none_or(|tracked| tracked.std_err != 0.0) || !reading.is_empty() {
            lines.push((
                "  for a verdict",
                format!(
                    "lnz evaluate {}{reading} --data {}{}",
                    print::quoted(&common.out.display().to_string()),
                    print::quoted(&common.valid.as_ref().unwrap_or(&common.data).display().to_string()),
                    common.binarize.map_or(String::new(), |t| format!(" --binarize {t}"))
                ),
            ));
        }
        if let Some(gap) = last.figures.get("energy_gap") {
            lines.push((
                "  energy gap",
                format!("{gap:.1} nats, mean energy of data less that of the chains"),
            ));
        }
        lines.push(("  time", print::duration(rows[rows.len() - 1].seconds)));
        // What is counted, such as units; other facts are not about its size.
        let sizes = model.facts().into_iter().filter(|(_, value)| value.parse::<usize>().is_ok());
        let sizes: Vec<String> = sizes.map(|(name, value)| format!("{value} {name}")).collect();
        format!(
            "{}: {} of {}\n{}",
            common.out.display(),
            model.kind(),
            sizes.join(", "),
            print::aligned(&lines)
        )
    }

    fn to_json(&self, rows: &[Row]) -> String {
        #[derive(Serialize)]
        struct Whole<'a, S> {
            out: String,
            data: String,
            family: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            start: Option<String>,
            settings: &'a S,
            kept: usize,
            epochs: &'a [Row],
            lnz: &'static str,
        }
        to_json(&Whole {
            out: self.common.out.display().to_string(),
            data: self.common.data.display().to_string(),
            family: self.family,
            start: self.start.map(|path| path.display().to_string()),
            settings: self.settings,
            kept: rows[self.kept(rows)].epoch,
            epochs: rows,
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}

/// Figures of an epoch, with log Z where it is tracked.
fn look(
    epoch: &Epoch,
    data: &Data,
    tracker: Option<&mut Tracker>,
    monitor: &dyn Monitor,
) -> lnz::Result<Row> {
    let seen = data.train.slice(s![..data.train.nrows().min(JUDGED), ..]);
    let tracked = tracker.map(|tracker| tracker.follow(&epoch.model, seen, monitor)).transpose()?;
    let likelihood = |rows: &Array2<f64>| {
        let log_z = tracked?.log_z;
        Some(-energies(&*epoch.model, rows.view()).mean()? - log_z)
    };
    Ok(Row::new(epoch, tracked, likelihood(&data.train), data.valid.as_ref().and_then(likelihood)))
}
