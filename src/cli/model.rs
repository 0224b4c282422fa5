//! The MODEL argument: a file or a built-in reference, and the options that say how to understand it.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use lnz::io::{self, ModelOptions, WeightsLayout};
use lnz::models::gaussian_rbm::Convention;
use lnz::models::{self, GaussianRbm, Model, Units, builtin};
use lnz::{Error, Result};

use super::arguments::{finite, setting};

/// How model files are to be understood, and at which temperature.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Which axis of a stored weight matrix is the visible one; needed only where the file leaves it open
    #[arg(long, value_enum)]
    weights_layout: Option<Layout>,
    /// Values of binary units: bits are 0/1, spins -1/+1 [default: as the file says, else bits]
    #[arg(long, value_enum)]
    units: Option<UnitsChoice>,
    /// How sigma scales a Gaussian RBM's weights: cho (v W h / sigma²) or hinton (v W h / sigma) [default: cho]
    #[arg(long, value_enum)]
    grbm_convention: Option<ConventionChoice>,
    /// Divides the energy by T, of an RBM the joint energy of visible and hidden units
    #[arg(long, value_name = "T", default_value = "1", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Layout {
    VisibleHidden,
    HiddenVisible,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitsChoice {
    Bits,
    Spins,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConventionChoice {
    Cho,
    Hinton,
}

/// A model, and what is known of where it came from.
#[derive(Debug)]
pub(crate) struct Source {
    /// As written on the command line.
    pub(crate) name: String,
    /// The model, at the temperature asked for.
    pub(crate) model: Arc<dyn Model>,
    /// SHA-256 of the file, or of the reference with all its parameters.
    pub(crate) digest: String,
    /// How a file was understood.
    pub(crate) notes: Vec<String>,
    /// What a person should check.
    pub(crate) warnings: Vec<String>,
}

impl Options {
    /// The same at another temperature, which a record states.
    pub(crate) fn at(&self, temperature: f64) -> Self {
        Self { temperature, ..self.clone() }
    }

    /// Reads or builds the model called `name`.
    pub(crate) fn load(&self, name: &str) -> Result<Source> {
        models::check_temperature(self.temperature)?;
        if !(1e-6..=1e6).contains(&self.temperature) {
            return Err(setting("--temperature", self.temperature, "must lie between 1e-6 and 1e6"));
        }
        let mut source = if name.starts_with("ref:") { self.reference(name)? } else { self.file(name)? };
        if self.temperature != 1.0 {
            source.model = source.model.at_temperature(self.temperature);
        }
        Ok(source)
    }

    fn reference(&self, name: &str) -> Result<Source> {
        let stated = [
            ("--weights-layout", self.weights_layout.is_some()),
            ("--units", self.units.is_some()),
            ("--grbm-convention", self.grbm_convention.is_some()),
        ];
        if let Some((option, _)) = stated.iter().find(|(_, stated)| *stated) {
            return Err(setting(
                option,
                format!("with {name}"),
                "it says how to understand a model file; references have parameters instead (lnz list)",
            ));
        }
        let model = builtin::parse(name)?;
        let digest = io::record::digest_of_reference(name)?;
        Ok(Source { name: name.into(), model, digest, notes: Vec::new(), warnings: Vec::new() })
    }

    fn file(&self, name: &str) -> Result<Source> {
        let path = Path::new(name);
        let options = ModelOptions {
            weights_layout: self.weights_layout.map(|layout| match layout {
                Layout::VisibleHidden => WeightsLayout::VisibleHidden,
                Layout::HiddenVisible => WeightsLayout::HiddenVisible,
            }),
            units: self.units.map(|units| match units {
                UnitsChoice::Bits => Units::Bits,
                UnitsChoice::Spins => Units::Spins,
            }),
            grbm_convention: self.grbm_convention.map(|convention| match convention {
                ConventionChoice::Cho => Convention::Cho,
                ConventionChoice::Hinton => Convention::Hinton,
            }),
        };
        let loaded = io::read_model(path, &options).map_err(|error| hint(error, name))?;
        let mut warnings = Vec::new();
        if self.grbm_convention.is_none()
            && let Some(rbm) = models::downcast::<GaussianRbm>(&loaded.model)
            && rbm.sigma().iter().any(|sigma| *sigma != 1.0)
        {
            warnings.push(format!(
                "{name} does not say how sigma scales its weights; v W h / sigma^2 is taken, \
                 --grbm-convention hinton is v W h / sigma"
            ));
        }
        Ok(Source {
            name: name.into(),
            model: loaded.model,
            digest: loaded.digest,
            notes: loaded.notes,
            warnings,
        })
    }
}

/// Tells who writes `ising` for `ref:ising` what to write.
fn hint(error: Error, name: &str) -> Error {
    let body = name.split('?').next().unwrap_or(name);
    match &error {
        Error::File { path, source }
            if source.kind() == std::io::ErrorKind::NotFound
                && builtin::REFERENCES.iter().any(|reference| reference.name == body) =>
        {
            let message = format!("no such file; the built-in reference is written ref:{name}");
            Error::Format { path: path.clone(), message }
        }
        _ => error,
    }
}
