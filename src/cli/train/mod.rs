//! `lnz train`: fits a model to data by maximum likelihood. A file for the options of each family, [`common`] for those of all, and
//! [`fit`] for what is done epoch by epoch.

use anyhow::Result;
use clap::{Args, Subcommand};

use self::boltzmann::BoltzmannArguments;
use self::network::NetworkArguments;
use self::rbm::RbmArguments;
use super::Report;

mod boltzmann;
mod checkpoint;
mod common;
mod fit;
mod history;
mod network;
mod rbm;
mod tracking;

pub(super) use checkpoint::STATE;
pub(super) use common::Following;
pub(super) use fit::JUDGED;
pub(super) use history::stages;

/// Fit a model to data by maximum likelihood
///
/// After each epoch the model is written, so that stopping early loses nothing, and the mean log-likelihood of the data is shown with
/// the error that log Z leaves in it: log Z is computed where that takes half a second, and tracked by chains that follow the model
/// elsewhere, which take no part in the training. `lnz evaluate OUT --data FILE` gives the last one with a verdict.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    family: Family,
}

#[derive(Debug, Subcommand)]
enum Family {
    Rbm(RbmArguments),
    Boltzmann(BoltzmannArguments),
    Network(NetworkArguments),
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        match &self.family {
            Family::Rbm(arguments) => arguments.run(),
            Family::Boltzmann(arguments) => arguments.run(),
            Family::Network(arguments) => arguments.run(),
        }
    }
}
