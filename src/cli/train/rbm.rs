//! `lnz train rbm`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lnz::io::{self, ModelOptions, WeightsLayout};
use lnz::models::Domain;
use lnz::training::rbm::{self, Visible};
use lnz::training::{Negative, Schedule};

use super::super::{Report, arguments, output};
use super::common::{Common, negative};
use super::fit::Fit;

/// A restricted Boltzmann machine of bits, or with real visible units
///
/// Gradients are centred (arXiv:1311.1354), the learning rate falls linearly. Real data are trained column by column in units of their
/// mean and standard deviation; the file holds the machine of the data as they are.
#[derive(Debug, Args)]
pub(super) struct RbmArguments {
    #[command(flatten)]
    common: Common,
    /// Train this machine further, instead of a new one of small random weights
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["hidden", "visible"])]
    start: Option<PathBuf>,
    /// Which axis of a stored weight matrix of --start is the visible one, visible-hidden or hidden-visible; needed only where the file
    /// leaves it open
    #[arg(long, value_name = "LAYOUT", requires = "start")]
    weights_layout: Option<WeightsLayout>,
    /// Array of the file of --start that is no part of the model and is left out; may be repeated
    #[arg(long, value_name = "NAME", requires = "start")]
    ignore: Vec<String>,
    /// Hidden units
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().hidden)]
    hidden: usize,
    /// Visible units: bernoulli (bits) or gaussian (real numbers)
    #[arg(long, value_name = "KIND", value_parser = visible, default_value = "bernoulli")]
    visible: Visible,
    /// Least standard deviation of a gaussian unit given the hidden ones, as a share of its column's
    #[arg(long, value_name = "SHARE", default_value_t = rbm::Settings::default().least_sigma, allow_negative_numbers = true)]
    least_sigma: f64,
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

fn visible(text: &str) -> Result<Visible, String> {
    arguments::named(&Visible::NAMES, text)
}

impl RbmArguments {
    pub(super) fn run(&self) -> Result<Report> {
        let mut settings = rbm::Settings {
            schedule: self.common.schedule(&Schedule::default()),
            hidden: self.hidden,
            visible: self.visible,
            least_sigma: self.least_sigma,
            negative: self.negative,
            chains: self.chains,
            gibbs_steps: self.gibbs_steps,
            temperatures: self.temperatures,
        };
        self.common.check(|| settings.check())?;
        let start = self.start.as_deref().map(|path| {
            output::check("--out", &self.common.out, &["safetensors", "npz"], &[path])?;
            let (weights_layout, ignore) = (self.weights_layout, self.ignore.clone());
            let options = ModelOptions { weights_layout, ignore, ..ModelOptions::default() };
            let model = io::read_model(path, &options)?.model;
            settings = settings
                .like(&model)
                .map_err(|error| arguments::setting("--start", path.display(), error.to_string()))?;
            anyhow::Ok(model)
        });
        let start = start.transpose()?;
        let (domain, hint) = match settings.visible {
            Visible::Bernoulli if start.is_some() => (Domain::Bits, ""),
            Visible::Bernoulli => (Domain::Bits, ", and `--visible gaussian` trains on them as they are"),
            Visible::Gaussian => (Domain::Real, ""),
        };
        let data = self.common.read(&[domain], hint)?;
        let training = match &start {
            Some(start) => rbm::training_from(start, data.train.view(), &settings)?,
            None => rbm::training(data.train.view(), &settings)?,
        };
        Fit {
            common: &self.common,
            family: "rbm",
            start: self.start.as_deref(),
            method: settings.negative.to_string(),
            reading: String::new(),
            data: &data,
            settings: &settings,
        }
        .run(training)
    }
}
