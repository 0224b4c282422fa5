//! `lnz train rbm`.

use anyhow::Result;
use clap::Args;
use lnz::models::Domain;
use lnz::training::{Negative, Schedule, rbm};

use super::super::Report;
use super::common::{Common, negative};
use super::fit::Fit;

/// A restricted Boltzmann machine of bits
///
/// Gradients are centred (arXiv:1311.1354), the learning rate falls linearly.
#[derive(Debug, Args)]
pub(super) struct RbmArguments {
    #[command(flatten)]
    common: Common,
    /// Hidden units
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().hidden)]
    hidden: usize,
    /// Means under the model: pcd (persistent chains), cd (chains from the batch), tempering (persistent chains that exchange with
    /// others at lower beta) or exact (up to 20 units on the smaller side)
    #[arg(long, value_name = "NAME", value_parser = negative, default_value = "pcd")]
    negative: Negative,
    /// Chains
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().chains)]
    chains: usize,
    /// Sweeps of each chain per update
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().gibbs_steps)]
    gibbs_steps: usize,
    /// Values of beta, from 1 to 0, with --negative tempering
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().temperatures)]
    temperatures: usize,
}

impl RbmArguments {
    pub(super) fn run(&self) -> Result<Report> {
        let settings = rbm::Settings {
            schedule: self.common.schedule(&Schedule::default()),
            hidden: self.hidden,
            negative: self.negative,
            chains: self.chains,
            gibbs_steps: self.gibbs_steps,
            temperatures: self.temperatures,
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Bits])?;
        let training = rbm::training(data.train.view(), &settings)?;
        Fit {
            common: &self.common,
            family: "rbm",
            method: settings.negative.to_string(),
            reading: String::new(),
            data: &data,
            settings: &settings,
        }
        .run(training)
    }
}
