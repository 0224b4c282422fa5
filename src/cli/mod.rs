//! Subcommands, one file each: every one reads its inputs, calls the library, and answers with a [`Report`].
//!
//! To add a subcommand: one file with its arguments and their `run`, its `mod` line, and one variant of [`Command`].

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod analyse;
mod arguments;
mod between;
mod compare;
mod curve;
mod estimate;
mod evaluate;
mod exact;
mod inspect;
mod list;
mod model;
mod output;
mod per_class;
mod pictures;
mod plot;
mod print;
mod progress;
mod report;
mod sample;
mod table;
mod threads;
mod track;
mod train;
mod verify;

/// Estimates log Z, the log partition function of a trained energy-based model, with an honest error bar.
///
/// MODEL is a file (.onnx, .safetensors, .npz or .mat) or a built-in reference such as ref:ising?side=8; `lnz list` shows both. With
/// --command "python energy.py" --dim 10 it is a program that answers with energies.
/// Exit status: 0 converged, 2 wrong usage or bad input, 3 not converged (the estimate is printed all the same), 1 anything else.
#[derive(Debug, Parser)]
#[command(name = "lnz", version, max_term_width = 110, subcommand_required = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Estimate(estimate::Arguments),
    Exact(exact::Arguments),
    Evaluate(evaluate::Arguments),
    Compare(compare::Arguments),
    Between(between::Arguments),
    Curve(curve::Arguments),
    Analyse(analyse::Arguments),
    Verify(verify::Arguments),
    Plot(plot::Arguments),
    Report(report::Arguments),
    Sample(sample::Arguments),
    Train(train::Arguments),
    Track(track::Arguments),
    Inspect(inspect::Arguments),
    List(list::Arguments),
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(self) -> Result<Report> {
        match self.command {
            Command::Estimate(arguments) => arguments.options.truthful(arguments.run()),
            Command::Exact(arguments) => arguments.run(),
            Command::Evaluate(arguments) => arguments.options.truthful(arguments.run()),
            Command::Compare(arguments) => arguments.options.truthful(arguments.run()),
            Command::Between(arguments) => arguments.run(),
            Command::Curve(arguments) => arguments.run(),
            Command::Analyse(arguments) => arguments.run(),
            Command::Verify(arguments) => arguments.run(),
            Command::Plot(arguments) => threads::start(None, false).and_then(|()| arguments.run()),
            Command::Report(arguments) => threads::start(None, false).and_then(|()| arguments.run()),
            Command::Sample(arguments) => arguments.options.truthful(arguments.run()),
            Command::Train(arguments) => arguments.run(),
            Command::Track(arguments) => arguments.options.truthful(arguments.run()),
            Command::Inspect(arguments) => {
                threads::start(None, false)?;
                arguments.options.truthful(arguments.run())
            }
            Command::List(arguments) => arguments.run(),
        }
    }
}

/// What a subcommand has to say.
#[derive(Debug)]
pub(crate) struct Report {
    /// For stdout: results, whole lines.
    pub(crate) text: String,
    /// For stderr, one line each.
    pub(crate) warnings: Vec<String>,
    /// Whether the numbers may be believed.
    pub(crate) converged: bool,
}

impl Report {
    /// Results without reservations.
    pub(crate) fn new(text: String) -> Self {
        Self { text, warnings: Vec::new(), converged: true }
    }
}

const BAD_INPUT: u8 = 2;
const NOT_CONVERGED: u8 = 3;

/// Prints what a subcommand answered, and turns it into an exit status.
pub(crate) fn finish(outcome: Result<Report>) -> ExitCode {
    match outcome {
        Ok(report) => {
            for warning in &report.warnings {
                to_stderr(&format!("warning: {warning}"));
            }
            if let Err(error) = io::stdout().write_all(report.text.as_bytes())
                // A reader that has seen enough, such as `head`, is no failure.
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                to_stderr(&format!("error: standard output: {error}"));
                return ExitCode::FAILURE;
            }
            if report.converged { ExitCode::SUCCESS } else { ExitCode::from(NOT_CONVERGED) }
        }
        Err(error) => {
            // The messages of this crate hold those of their sources.
            to_stderr(&format!("error: {error}"));
            match error.downcast_ref::<lnz::Error>() {
                Some(lnz::Error::NotReached { .. }) => ExitCode::from(NOT_CONVERGED),
                Some(_) => ExitCode::from(BAD_INPUT),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Prints what clap has to say: help and version on stdout; wrong usage on stderr as one line, and a hint.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() && text.starts_with("error:") {
        let message = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = message.split_whitespace().collect();
        to_stderr(&format!("{}\n\nFor more information, try '--help'.", words.join(" ")));
    } else {
        // Nobody is there to be told when neither stream can be written.
        let _ = error.print();
    }
    ExitCode::from(error.exit_code() as u8)
}

/// One line for a person; `eprintln!` would panic where stderr is closed.
fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
