//! `lnz train boltzmann`.

use anyhow::Result;
use clap::Args;
use lnz::models::Domain;
use lnz::training::{Negative, Schedule, boltzmann};

use super::super::Report;
use super::common::{Common, negative};
use super::fit::Fit;

/// A Boltzmann machine without hidden units, of bits or spins (an Ising model on any graph)
///
/// From near the maximum of the pseudo-likelihood up the gradient of the likelihood; the data are bits, or spins of -1 and 1.
#[derive(Debug, Args)]
pub(super) struct BoltzmannArguments {
    #[command(flatten)]
    common: Common,
    /// Means under the model: exact (up to 20 units), pcd (persistent chains) or cd (chains from the batch) [default: exact where
    /// it can be, else pcd]
    #[arg(long, value_name = "NAME", value_parser = negative)]
    negative: Option<Negative>,
    /// Chains
    #[arg(long, value_name = "N", default_value_t = boltzmann::Settings::default().chains)]
    chains: usize,
    /// Sweeps of each chain per update
    #[arg(long, value_name = "N", default_value_t = boltzmann::Settings::default().gibbs_steps)]
    gibbs_steps: usize,
}

impl BoltzmannArguments {
    pub(super) fn run(&self) -> Result<Report> {
        let settings = boltzmann::Settings {
            schedule: self.common.schedule(&Schedule::default()),
            negative: self.negative,
            chains: self.chains,
            gibbs_steps: self.gibbs_steps,
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Bits, Domain::Spins], "")?;
        let training = boltzmann::training(data.train.view(), &settings)?;
        let negative = settings.negative_for(data.train.ncols());
        Fit {
            common: &self.common,
            family: "boltzmann",
            start: None,
            method: negative.to_string(),
            reading: String::new(),
            data: &data,
            settings: &settings,
        }
        .run(training)
    }
}
