//! The command line of lnz: parse, run, print.

use std::process::ExitCode;

use clap::Parser;

mod cli;

fn main() -> ExitCode {
    match cli::Arguments::try_parse() {
        Ok(arguments) => cli::finish(arguments.run()),
        Err(error) => cli::usage(&error),
    }
}
