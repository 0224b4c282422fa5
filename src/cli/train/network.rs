//! `lnz train network`.

use anyhow::Result;
use clap::Args;
use lnz::models::{Base, Domain, Tilt};
use lnz::training::network::{self, Activation};

use super::super::model::{DomainChoice, domain};
use super::super::{Report, arguments};
use super::common::Common;
use super::fit::Fit;

/// A perceptron as the energy of continuous data
///
/// Its density is exp(-E(x)) against a base, a normal or a box, so that Z exists. Parameters are moved by Adam. The file holds the layers
/// as PyTorch names them, `0.weight`, `0.bias`, `2.weight`, …; what is printed at the end says how to read it.
#[derive(Debug, Args)]
pub(super) struct NetworkArguments {
    #[command(flatten)]
    common: Common,
    /// Units of each hidden layer
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "128,128", value_parser = arguments::count)]
    layers: Vec<usize>,
    /// Function between layers: silu, softplus, tanh or relu
    #[arg(long, value_name = "NAME", default_value = "silu", value_parser = activation)]
    activation: Activation,
    /// What the density is against: gaussian:MEAN,SD, or box:LO,HI (or LO,HI for each coordinate) [default: a normal of the data's mean
    /// and twice their standard deviation]
    #[arg(long, value_name = "DOMAIN", value_parser = domain, allow_hyphen_values = true)]
    domain: Option<DomainChoice>,
    /// persistent (maximum likelihood with chains that are kept), score-matching (of data with noise added) or noise-contrast
    /// (against draws of the base, with log Z learnt)
    #[arg(long, value_name = "NAME", default_value = "persistent", value_parser = method)]
    method: network::Method,
    /// Chains that are kept, from which each update takes as many as there are rows in a batch
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().buffer)]
    buffer: usize,
    /// Langevin steps of these per update
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().steps)]
    steps: usize,
    /// Standard deviation of the noise of score matching, as a share of the data's
    #[arg(long, value_name = "SHARE", default_value_t = network::Settings::default().noise, allow_negative_numbers = true)]
    noise: f64,
    /// Draws of the base to a row of data, with noise contrast
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().contrasts)]
    contrasts: usize,
}

fn activation(text: &str) -> Result<Activation, String> {
    arguments::named(&Activation::NAMES, text)
}

fn method(text: &str) -> Result<network::Method, String> {
    arguments::named(&network::Method::NAMES, text)
}

impl NetworkArguments {
    pub(super) fn run(&self) -> Result<Report> {
        let settings = network::Settings {
            schedule: self.common.schedule(&network::Settings::default().schedule),
            layers: self.layers.clone(),
            activation: self.activation,
            method: self.method,
            buffer: self.buffer,
            steps: self.steps,
            noise: self.noise,
            contrasts: self.contrasts,
            ..network::Settings::default()
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Real], "")?;
        let base = self.domain.as_ref().map_or(Base::Own, |domain| domain.base(data.train.ncols()));
        if matches!(self.domain, Some(DomainChoice::Real)) {
            let expected = "a network may have no integral over all real numbers; name a box or a normal, or leave it out";
            return Err(arguments::setting("--domain", "real", expected).into());
        }
        let settings = network::Settings { base, ..settings };
        let training = network::training(data.train.view(), &settings)?;
        let tilt = Tilt { base: settings.base_for(data.train.view()), confinement: 0.0 };
        let reading = format!(" --activation {} {tilt}", self.activation.name());
        Fit {
            common: &self.common,
            family: "network",
            start: None,
            method: settings.method.to_string(),
            reading,
            data: &data,
            settings: &settings,
        }
        .run(training)
    }
}
