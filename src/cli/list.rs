//! `lnz list`.

use anyhow::Result;
use clap::Args;

use super::Report;

/// list
#[derive(Debug, Args)]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        Ok(Report::new(String::new()))
    }
}
