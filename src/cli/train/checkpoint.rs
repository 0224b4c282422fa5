//! A directory of checkpoints: the model of each epoch, and one file with all that a training needs to go on after the last.

use std::fs;
use std::path::{Path, PathBuf};

use lnz::estimators::tracker::{Tracker, Tracking};
use lnz::io::{self, record};
use lnz::training::{Arrays, Epoch, Training};
use lnz::{Error, Result};
use ndarray::{Array1, ArrayD, ArrayViewD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::Data;
use super::history::Row;
use super::tracking;
use crate::cli::arguments;

/// The file to go on from.
pub(in crate::cli) const STATE: &str = "state.npz";
/// What the name of a model begins with.
const MODEL: &str = "epoch-";

/// What a training is made of, by which another is known to be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    family: String,
    settings: Value,
    tracking: Option<Value>,
    /// Digests of the rows.
    data: String,
    valid: Option<String>,
}

impl Made {
    pub(super) fn new(
        family: &str,
        settings: &impl Serialize,
        tracking: Option<&Tracking>,
        data: &Data,
    ) -> Self {
        let value = |text: String| serde_json::from_str(&text).expect("what was just written");
        Self {
            family: family.into(),
            settings: value(record::to_json(settings)),
            tracking: tracking.map(|tracking| value(record::to_json(tracking))),
            data: record::digest_of_rows(data.train.view()),
            valid: data.valid.as_ref().map(|rows| record::digest_of_rows(rows.view())),
        }
    }

    /// What is not as it was, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        if self.family != other.family {
            return Some(format!("it was a training of the family {}", self.family));
        }
        let parts = [(&self.settings, &other.settings)];
        let tracked = self.tracking.iter().zip(&other.tracking);
        for (was, is) in parts.into_iter().chain(tracked) {
            let fields = was.as_object().into_iter().flatten();
            if let Some((name, was)) = fields.into_iter().find(|(name, was)| is.get(name) != Some(was)) {
                return Some(format!("{name} was {was}"));
            }
        }
        let changed = [
            (self.data != other.data, "--data held other rows"),
            (self.valid != other.valid, "--valid was another"),
            (self.tracking.is_some() != other.tracking.is_some(), "log Z was tracked, or not, unlike now"),
        ];
        changed.iter().find(|(changed, _)| *changed).map(|(_, words)| (*words).to_owned())
    }
}

/// What the state holds besides arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Log {
    made: Made,
    rows: Vec<Row>,
}

/// The directory, and what its training is made of.
pub(super) struct Checkpoints<'a> {
    directory: &'a Path,
    made: Made,
}

impl<'a> Checkpoints<'a> {
    pub(super) fn new(directory: &'a Path, made: Made) -> Self {
        Self { directory, made }
    }

    /// Makes the directory, and refuses one in which another training was kept.
    pub(super) fn begin(&self) -> Result<()> {
        let failed = |source| Error::File { path: self.directory.into(), source };
        fs::create_dir_all(self.directory).map_err(failed)?;
        if self.state().exists() {
            let expected =
                "a training is kept there already; go on with it by --resume, or name another directory";
            return Err(arguments::setting("--checkpoints", self.directory.display(), expected));
        }
        Ok(())
    }

    fn state(&self) -> PathBuf {
        self.directory.join(STATE)
    }

    /// Writes the epoch's model, and then the state, so that the one that is found is whole.
    pub(super) fn keep(
        &self,
        epoch: &Epoch,
        training: &Training<'_>,
        tracker: Option<&Tracker>,
        rows: &[Row],
    ) -> Result<()> {
        let model = self.directory.join(format!("{MODEL}{:04}.safetensors", epoch.number));
        io::write_model(&model, &epoch.model)?;
        let log = text(&record::to_json(&Log { made: self.made.clone(), rows: rows.to_vec() }));
        let mut arrays: Vec<(String, ArrayD<f64>)> =
            training.state().into_iter().map(|(name, array)| (format!("training.{name}"), array)).collect();
        arrays.extend(
            tracker
                .and_then(Tracker::state)
                .into_iter()
                .flat_map(tracking::arrays)
                .map(|(name, array)| (format!("tracker.{name}"), array)),
        );
        arrays.push(("log".to_owned(), log));
        let views: Vec<(&str, ArrayViewD<'_, f64>)> =
            arrays.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        io::write_npz(&self.state(), &views)
    }

    /// A training, its tracker and its rows as they were left.
    pub(super) fn resume<'t>(
        &self,
        training: Training<'t>,
        tracker: Option<Tracker>,
    ) -> Result<(Training<'t>, Option<Tracker>, Vec<Row>)> {
        let path = self.state();
        let refuse = |message: String| Error::Format { path: path.clone(), message };
        let mut arrays: Arrays =
            io::read_tensors(&path)?.items.into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
        let log = arrays.remove("log").as_ref().and_then(from_text);
        let log = log.ok_or_else(|| refuse("there is no log in it, so no training wrote it".into()))?;
        let Log { made, rows } = record::from_json(&log)
            .map_err(|error| refuse(format!("its log is not one of a training ({error})")))?;
        if let Some(difference) = made.difference(&self.made) {
            let expected = format!("the training kept there is another: {difference}");
            return Err(arguments::setting("--resume", self.directory.display(), expected));
        }
        let part = |prefix: &str| -> Arrays {
            let own = arrays
                .iter()
                .filter_map(|(name, array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone())));
            own.collect()
        };
        let training = training.resume(&part("training."), rows.len())?;
        let Some(tracker) = tracker else { return Ok((training, None, rows)) };
        let state = tracking::state(part("tracker.")).map_err(refuse)?;
        let tracker = tracker.resume(rows.len(), &training.model()?, state)?;
        Ok((training, Some(tracker), rows))
    }
}

/// Text as an array of its bytes.
fn text(text: &str) -> ArrayD<f64> {
    text.bytes().map(f64::from).collect::<Array1<f64>>().into_dyn()
}

fn from_text(bytes: &ArrayD<f64>) -> Option<String> {
    String::from_utf8(bytes.iter().map(|&byte| byte as u8).collect()).ok()
}
