//! The one public error type: a question that could not be answered, and what would be right instead.

use std::path::PathBuf;

use crate::wording;

/// What the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a question could not be answered.
///
/// A poor *answer* is no error: it is an [`Estimate`](crate::estimators::Estimate) with warnings and a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read but does not hold what it should.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in the file, and what would be right.
        message: String,
    },
    /// Parameters that do not make a model: shapes, signs or values.
    #[error("{model}: {message}")]
    Model {
        /// The kind of model, e.g. `rbm`.
        model: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// exp(−E) has no finite integral, so there is no Z to estimate.
    #[error("{model} cannot be normalised: {message}")]
    NotNormalisable {
        /// The kind of model.
        model: &'static str,
        /// Why the integral diverges and what would make it finite.
        message: String,
    },
    /// States or data that do not lie in the model's space.
    #[error("{message}")]
    Data {
        /// Which row and column, the value, and what the model takes.
        message: String,
    },
    /// An option with a value that makes no sense.
    #[error("{option} {value}: {expected}")]
    Setting {
        /// The option, as it is written on the command line.
        option: &'static str,
        /// The value given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The estimator does not apply to this model, or would not finish.
    #[error("{estimator} does not apply: {reason}")]
    NotApplicable {
        /// The estimator's name.
        estimator: &'static str,
        /// Why, and what to use instead.
        reason: String,
    },
    /// A log-density came out NaN or +∞ while sampling.
    #[error(
        "log-density {value} at beta = {} in chain {chain}{}: an energy must be finite or +inf everywhere in its space",
        wording::number(*beta),
        at(state)
    )]
    NonFinite {
        /// The chain, counted over the whole population.
        chain: usize,
        /// The path's parameter.
        beta: f64,
        /// The offending value.
        value: f64,
        /// The state, where it is known.
        state: Vec<f64>,
    },
    /// A program that was to give energies died, hangs, or answers something else.
    #[error("{command}: {message}{}", said(last_words))]
    Program {
        /// The program and its arguments.
        command: String,
        /// What went wrong, and where.
        message: String,
        /// The end of what it printed to standard error.
        last_words: String,
    },
    /// The accuracy asked for was not reached, so there is no number to give.
    #[error("{estimator}: {message}")]
    NotReached {
        /// The estimator's name.
        estimator: &'static str,
        /// What was reached, what was asked, and what to try.
        message: String,
    },
}

/// The first coordinates of a state.
fn at(state: &[f64]) -> String {
    const SHOWN: usize = 4;
    if state.is_empty() {
        return String::new();
    }
    let first: Vec<String> = state.iter().take(SHOWN).map(|x| wording::decimals(*x, 4)).collect();
    format!(", at x = [{}{}]", first.join(", "), if state.len() > SHOWN { ", …" } else { "" })
}

/// The last line by itself, which says most, and below it the others.
fn said(last_words: &str) -> String {
    match last_words.lines().last() {
        None => String::new(),
        Some(last) if last == last_words => format!(": {last}"),
        Some(last) => {
            let lines: Vec<String> = last_words.lines().map(|line| format!("  {line}")).collect();
            format!(": {last}\n\nIts standard error ended with\n{}", lines.join("\n"))
        }
    }
}

impl Error {
    /// A [`Error::Model`] with a formatted message.
    pub(crate) fn model(model: &'static str, message: impl Into<String>) -> Self {
        Self::Model { model, message: message.into() }
    }

    /// A [`Error::Data`] with a formatted message.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::Data { message: message.into() }
    }

    /// A [`Error::Setting`]: `option` as on the command line, the offending value, what would be right.
    pub(crate) fn setting(
        option: &'static str,
        value: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting { option, value: wording::shown(value), expected: expected.into() }
    }
}
