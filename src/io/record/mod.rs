//! Run records: everything that is needed to use an estimate later, and to make it again.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Parsed;
use super::bytes::read_file;
use super::write::write_atomically;
use crate::error::{Error, Result};
use crate::estimators::{Estimate, Settings, Trace};
use crate::models::{self, Model, Space, Tilt, Tilted};
use crate::studies::{Calibrations, Comparison};

mod digest;
mod json;

pub use digest::{digest_of_command, digest_of_reference, digest_of_rows};

/// The version of the record's layout; a reader refuses others.
const FORMAT: u32 = 1;

/// Seconds that a replay may take: it ends where its run ended.
const NO_LIMIT: f64 = 1e9;

/// `RUN.json`: an estimate with its trace, the model and settings that it belongs to, and the command that repeats it.
///
/// Numbers that JSON lacks are the strings `"inf"`, `"-inf"` and `"nan"`, so that a weight of zero survives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this layout, 1.
    pub format: u32,
    /// The version of lnz that wrote it.
    pub lnz: String,
    /// The command that repeats the run.
    pub command: String,
    /// The model whose log Z it is.
    pub model: ModelRecord,
    /// The temperature that its energy was divided by.
    pub temperature: f64,
    /// The data that the reference was fitted to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataRecord>,
    /// The settings of the run.
    pub settings: Settings,
    /// The estimate.
    pub estimate: Estimate,
}

/// `COMPARISON.json`: what estimators on one model found at equal cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComparisonRecord {
    /// The version of this layout, 1.
    pub format: u32,
    /// The version of lnz that wrote it.
    pub lnz: String,
    /// The command that repeats the comparison.
    pub command: String,
    /// The model whose log Z it is.
    pub model: ModelRecord,
    /// The temperature that its energy was divided by.
    pub temperature: f64,
    /// The comparison.
    pub comparison: Comparison,
}

/// What `lnz verify --thorough --json` prints: whether error bars and verdicts are right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CalibrationRecord {
    /// The version of this layout, 1.
    pub format: u32,
    /// The version of lnz that wrote it.
    pub lnz: String,
    /// Whether everything is as it should be.
    pub passes: bool,
    /// What was found.
    #[serde(flatten)]
    pub found: Calibrations,
}

/// What `--out` of `lnz estimate` or of `lnz compare` wrote, or `lnz verify --thorough --json` printed.
#[derive(Clone, Debug)]
pub enum Record {
    /// One run.
    Run(Box<RunRecord>),
    /// Many.
    Comparison(Box<ComparisonRecord>),
    /// Very many, on references.
    Calibration(Box<CalibrationRecord>),
}

impl Record {
    /// Reads any of them.
    ///
    /// # Errors
    /// As [`RunRecord::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_file(path)?;
        let format = |message| Error::Format { path: path.into(), message };
        let kind: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| format(format!("not a record of lnz ({e})")))?;
        if kind.get("comparison").is_some() {
            parse_versioned(&text).map(|record| Self::Comparison(Box::new(record))).map_err(format)
        } else if kind.get("cells").is_some() {
            parse_versioned(&text).map(|record| Self::Calibration(Box::new(record))).map_err(format)
        } else {
            parse(&text).map(|record| Self::Run(Box::new(record))).map_err(format)
        }
    }
}

impl ComparisonRecord {
    /// A record of the present version.
    #[must_use]
    pub fn new(command: String, model: ModelRecord, temperature: f64, comparison: &Comparison) -> Self {
        Self {
            format: FORMAT,
            lnz: env!("CARGO_PKG_VERSION").into(),
            command,
            model,
            temperature,
            comparison: comparison.clone(),
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write(self, path)
    }
}

impl CalibrationRecord {
    /// A record of the present version; `passes` says whether what was asked for is as it should be.
    #[must_use]
    pub fn new(found: Calibrations, passes: bool) -> Self {
        Self { format: FORMAT, lnz: env!("CARGO_PKG_VERSION").into(), passes, found }
    }
}

fn write<T: Serialize>(record: &T, path: &Path) -> Result<()> {
    let text = to_json(record);
    write_atomically(path, |writer| {
        writer.write_all(text.as_bytes())?;
        writer.write_all(b"\n")
    })
}

/// What a record knows its model by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// A file or a built-in reference, as written by the person.
    pub source: String,
    /// SHA-256 of the file's bytes, or of the reference with all its parameters.
    pub digest: String,
    /// The kind of model.
    pub kind: String,
    /// What it consists of.
    pub facts: Vec<(String, String)>,
    /// Where its states lie.
    pub space: Space,
    /// Its domain and confinement, where they were stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tilt: Option<Tilt>,
    /// Its energies, at its temperature, at three fixed states: a file that is understood in another way has others.
    pub energies: Vec<f64>,
}

/// Data that a run used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The file, as written by the person.
    pub source: String,
    /// Its rows.
    pub examples: usize,
    /// Where values were cut into 0 and 1.
    pub binarize: Option<f64>,
}

impl ModelRecord {
    /// Describes `model`, at the temperature of the run, which came from `source` with this `digest`.
    #[must_use]
    pub fn new(model: &Arc<dyn Model>, source: &str, digest: &str) -> Self {
        Self {
            source: source.into(),
            digest: digest.into(),
            kind: model.kind().into(),
            facts: model.facts().into_iter().map(|(name, value)| (name.into(), value)).collect(),
            space: model.space(),
            tilt: models::downcast::<Tilted>(model).map(|tilted| tilted.tilt().clone()),
            energies: model.energy(probes(&model.space()).view()).to_vec(),
        }
    }
}

/// Three states that depend on the space alone.
fn probes(space: &Space) -> Array2<f64> {
    let values = space.values();
    Array2::from_shape_fn((3, space.dim), |(row, column)| {
        let number = (row + 1) * (column % 8191 + 1) * 7 + column;
        match (&values, &space.domain) {
            (Some(values), _) => values[number / 5 % values.len()],
            (None, crate::models::Domain::Box { lower, upper }) => {
                lower[column] + (upper[column] - lower[column]) * ((number % 101) as f64 / 101.0)
            }
            (None, _) => (number as f64).sin(),
        }
    })
}

impl RunRecord {
    /// A record of the present version.
    #[must_use]
    pub fn new(
        command: String,
        model: ModelRecord,
        temperature: f64,
        data: Option<DataRecord>,
        settings: &Settings,
        estimate: &Estimate,
    ) -> Self {
        Self {
            format: FORMAT,
            lnz: env!("CARGO_PKG_VERSION").into(),
            command,
            model,
            temperature,
            data,
            settings: settings.clone(),
            estimate: estimate.clone(),
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write(self, path)
    }

    /// Reads what [`RunRecord::write`] wrote.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Format`] if it is no run record, one of another version, or holds
    /// numbers that no run gives.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        parse(&bytes).map_err(|message| Error::Format { path: path.into(), message })
    }

    /// Settings with which the record's method makes the same run again: its own, but for the time limit, whose decisions they
    /// hold. Data are to be added.
    ///
    /// # Errors
    /// [`Error::Format`] with `path` as the record's name, where it keeps no decisions, or such as no run makes.
    pub fn replay(&self, path: &Path) -> Result<Settings> {
        let refuse = |message: String| Error::Format { path: path.into(), message };
        let Trace { decisions, pilots, .. } = &self.estimate.trace;
        if decisions.is_none() && !pilots.is_empty() {
            return Err(refuse(
                "it keeps no decisions of the clock, so it cannot be replayed; run again".into(),
            ));
        }
        let settings = Settings { max_time: NO_LIMIT, replay: *decisions, ..self.settings.clone() };
        settings.check().map_err(|error| refuse(format!("no run has these settings: {error}")))?;
        Ok(settings)
    }

    /// Whether `estimate` has the very numbers of this run.
    #[must_use]
    pub fn is_repeated_by(&self, estimate: &Estimate) -> bool {
        self.estimate.log_z.to_bits() == estimate.log_z.to_bits()
            && self.estimate.trace.log_weights == estimate.trace.log_weights
    }

    /// Checks that the record's log Z is that of `model`, at `temperature`, from a source with this `digest`.
    ///
    /// # Errors
    /// [`Error::Format`] with `path` as the record's name: another model, another temperature, or the same file understood
    /// in another way.
    pub fn check_model(
        &self,
        path: &Path,
        model: &Arc<dyn Model>,
        source: &str,
        digest: &str,
        temperature: f64,
    ) -> Result<()> {
        let present = ModelRecord::new(model, source, digest);
        let refuse = |message: String| Err(Error::Format { path: path.into(), message });
        if self.model.digest != digest {
            return refuse(format!(
                "this run is of another model: it has the digest {} ({}), but {source} has {}; estimate log Z of {source} itself",
                short(&self.model.digest),
                self.model.source,
                short(digest)
            ));
        }
        if self.temperature != temperature {
            return refuse(format!(
                "this run is at temperature {}, not {temperature}; log Z depends on it: state --temperature {} or run again",
                self.temperature, self.temperature
            ));
        }
        if self.model.tilt != present.tilt {
            let options =
                self.model.tilt.as_ref().map_or("no --domain and no --confine".to_owned(), Tilt::to_string);
            return refuse(format!(
                "this run is with {options}, but now there {}; log Z depends on it: state the same or run again",
                present.tilt.as_ref().map_or("are no such options".to_owned(), |tilt| format!("is {tilt}"))
            ));
        }
        let same = self.model.space == present.space
            && self.model.energies.len() == present.energies.len()
            // Vector instructions of other machines round in another order.
            && self.model.energies.iter().zip(&present.energies).all(|(old, new)| {
                old == new || (old - new).abs() <= 1e-6 * (1.0 + old.abs().max(new.abs()))
            });
        if !same {
            return refuse(format!(
                "this run understood {source} in another way (units, layout of weights or convention); repeat the options \
                 of its command: {}",
                self.command
            ));
        }
        Ok(())
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn parse_versioned<T: DeserializeOwned>(bytes: &[u8]) -> Parsed<T> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "not a run record (it is not text)".to_owned())?;
    let version: Version = from_json(text).map_err(|e| format!("not a run record of lnz ({e})"))?;
    if version.format != FORMAT {
        return Err(format!("a run record of version {}; this lnz reads version {FORMAT}", version.format));
    }
    from_json(text).map_err(|e| format!("damaged run record ({e})"))
}

fn parse(bytes: &[u8]) -> Parsed<RunRecord> {
    let record: RunRecord = parse_versioned(bytes)?;
    let estimate = &record.estimate;
    if estimate.log_z.is_nan() || estimate.log_z == f64::INFINITY {
        return Err(format!("estimate.log_z is {}; no run gives that", estimate.log_z));
    }
    if let Some(error) = estimate.std_err.filter(|error| error.is_nan() || *error < 0.0) {
        return Err(format!("estimate.std_err is {error}; a standard error is not negative"));
    }
    Ok(record)
}

/// JSON of any value, with non-finite floats as the strings `"inf"`, `"-inf"` and `"nan"`.
///
/// # Panics
/// For maps whose keys are no strings, which no type of this crate has.
#[must_use]
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    json::to_string(value).expect("every map of this crate has strings as keys")
}

/// What [`to_json`] wrote.
///
/// # Errors
/// For text that is no JSON, or not of that type.
pub fn from_json<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimators::estimate::{Direction, Evidence, Rung};
    use crate::estimators::{Estimator, Silent, Verdict, Warning, ais::Ais};
    use crate::models::builtin;
    use crate::studies::{Calibration, Hard};

    fn record() -> RunRecord {
        let spec = "ref:rbm?visible=8&hidden=4";
        let model = builtin::parse(spec).expect("valid");
        let settings = Settings { rungs: Some(20), ..Settings::default() };
        let estimate = Ais.estimate(&model, &settings, &Silent).expect("runs");
        let digest = digest_of_reference(spec).expect("valid");
        RunRecord::new("lnz".into(), ModelRecord::new(&model, spec, &digest), 1.0, None, &settings, &estimate)
    }

    #[test]
    fn infinities_and_nan_survive() {
        let mut record = record();
        let estimate = &mut record.estimate;
        estimate.std_err = Some(f64::INFINITY);
        estimate.trace.log_weights[3] = f64::NEG_INFINITY;
        estimate.trace.rungs.push(Rung {
            log_ratio: f64::NAN,
            acceptance: Some(f64::INFINITY),
            ..Rung::default()
        });
        estimate.diagnostics.evidence.push(Evidence {
            source: "inf".into(),
            direction: Direction::Reverse,
            rungs: 7,
            log_z: f64::NEG_INFINITY,
            std_err: f64::INFINITY,
            agrees: false,
        });
        estimate.verdict = Verdict::from_reasons(vec![
            Warning::Disagreement {
                source: "another run".into(),
                other: f64::NEG_INFINITY,
                z: f64::INFINITY,
            },
            Warning::GuessedBaseRates,
        ]);
        let text = to_json(&record);
        let back = parse(text.as_bytes()).expect("what was written");
        assert_eq!(text, to_json(&back));
        assert_eq!(back.estimate.std_err, Some(f64::INFINITY));
        assert_eq!(back.estimate.trace.log_weights, record.estimate.trace.log_weights);
        assert!(back.estimate.trace.rungs.last().expect("pushed").log_ratio.is_nan());
        assert_eq!(back.estimate.diagnostics.evidence, record.estimate.diagnostics.evidence);
        assert_eq!(back.estimate.verdict, record.estimate.verdict);
        assert_eq!(back.settings, record.settings);
        assert_eq!(back.model, record.model);
    }

    #[test]
    fn every_number_comes_back_to_the_bit() {
        let record = record();
        let back = parse(to_json(&record).as_bytes()).expect("what was written");
        assert_eq!(back.estimate.log_z.to_bits(), record.estimate.log_z.to_bits());
        assert_eq!(back.estimate.trace, record.estimate.trace);
        assert_eq!(back.estimate.cost, record.estimate.cost);
    }

    /// Numbers that JSON lacks, whole numbers and all, through the flattened layout.
    #[test]
    fn calibrations_come_back() {
        let cell = Calibration {
            method: "smc".into(),
            reference: "ref:funnel?dim=10".into(),
            mean_error: -0.5,
            sd_error: 0.0,
            mean_std_err: 0.25,
            sd_z: 1.0,
            width: f64::INFINITY,
            coverage: 1.0,
            converged: 0.5,
            due: false,
            wrong: 2,
            missed: 1,
            z: vec![-1.25, 2.0, f64::NEG_INFINITY],
        };
        let hard = Hard {
            method: "ais".into(),
            reference: "ref:memory".into(),
            rungs: None,
            runs: 9,
            wrong: 3,
            missed: 0,
        };
        let found = Calibrations { cells: vec![cell], hard: vec![hard.clone()], beyond: vec![hard] };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("calibration.json");
        std::fs::write(&path, to_json(&CalibrationRecord::new(found.clone(), found.passes())))
            .expect("writable");
        match Record::read(&path).expect("what was written") {
            Record::Calibration(record) => {
                assert_eq!((record.format, record.passes, &record.found), (1, false, &found));
            }
            other => panic!("a calibration, not {other:?}"),
        }
        std::fs::write(&path, r#"{"format":2,"cells":[]}"#).expect("writable");
        let error = Record::read(&path).expect_err("of another version").to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    #[test]
    fn damage_is_told() {
        let text = to_json(&record());
        for (from, to, says) in [
            ("\"format\":1", "\"format\":2", "version 2"),
            ("\"log_z\":", "\"lgz\":", "log_z"),
            ("{", "", "not a run record"),
            ("\"temperature\":1.0", "\"temperature\":\"hot\"", "damaged"),
        ] {
            let message = parse(text.replacen(from, to, 1).as_bytes()).expect_err(to);
            assert!(message.contains(says), "{message}");
        }
        for length in (0..text.len()).step_by(97) {
            assert!(parse(&text.as_bytes()[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn references_are_the_same_however_they_are_written() {
        let digest = |spec: &str| digest_of_reference(spec).expect("valid");
        assert_eq!(digest("ref:ising"), digest("ref:ising?side=8"));
        assert_eq!(digest("ref:ising?side=5&field=1"), digest("ref:ising?field=1&side=5"));
        assert_ne!(digest("ref:ising"), digest("ref:ising?side=9"));
        assert!(digest_of_reference("ref:nothing").is_err());
    }
}
