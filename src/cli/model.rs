//! The MODEL argument: a file, a built-in reference or a program, and the options that say how to understand it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use lnz::io::{self, ModelOptions, RunRecord, WeightsLayout};
use lnz::models::gaussian_rbm::Convention;
use lnz::models::network::{Function, Network, Output};
use lnz::models::{self, Base, CommandModel, Model, Tilt, Tilted, Units, builtin};
use lnz::{Error, Result};

use super::arguments::{self, finite, setting};

/// Which model: a file, a reference, or a program that answers.
#[derive(Clone, Debug, Args)]
pub(crate) struct Choice {
    /// Model file (.onnx, .safetensors, .npz, .mat), or ref:NAME?key=value&… (see lnz list); or else --command
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    model: Option<String>,
    /// Program that answers with energies, and its arguments; one is started for each thread, without a shell
    ///
    /// In Python, examples/python/lnz_energy.py does what follows. Numbers are little-endian. lnz writes `lnzE`, u32 1, u64 D to the
    /// program's standard input; it answers `lnzE`, u32 1, u64 1 if it gives gradients, else 0, on its standard output. Then, for each
    /// batch, lnz writes `lnzQ`, u32 1 for energies or 2 for gradients as well, u64 n, and n rows of D f64; the program answers `lnzA`,
    /// u32 0 (or another number where it cannot), u64 n, n energies as f64, and n rows of D f64 of gradients if they were asked for. It
    /// prints nothing else to standard output, and ends where its input does.
    #[arg(long, value_name = "PROGRAM", requires = "dim")]
    command: Option<String>,
    /// Coordinates of a state, with --command
    #[arg(long, value_name = "D", requires = "command", conflicts_with = "model", value_parser = arguments::count, allow_negative_numbers = true)]
    dim: Option<usize>,
    /// Longest time for an answer of --command, and for its start: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "TIME", requires = "command", conflicts_with = "model", default_value = "60s", value_parser = arguments::seconds, allow_negative_numbers = true)]
    command_timeout: f64,
}

impl Choice {
    /// What was written for it.
    pub(crate) fn name(&self) -> &str {
        self.model.as_deref().or(self.command.as_deref()).unwrap_or_default()
    }

    /// The file that it may be, which no output should overwrite.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.model.as_deref().map(Path::new)
    }
}

/// Where a model's states lie, as `--domain` says it.
#[derive(Clone, Debug)]
pub(super) enum DomainChoice {
    Real,
    /// LO,HI for all coordinates, or for each.
    Box(Vec<f64>),
    Gaussian(f64, f64),
}

impl DomainChoice {
    /// The base of a model of `dim` coordinates.
    pub(super) fn base(&self, dim: usize) -> Base {
        match self {
            Self::Real => Base::Own,
            Self::Gaussian(mean, standard_deviation) => {
                Base::Normal { mean: *mean, standard_deviation: *standard_deviation }
            }
            Self::Box(ends) => {
                let sides = if ends.len() == 2 { ends.repeat(dim) } else { ends.clone() };
                let every = |first: usize| sides.iter().skip(first).step_by(2).copied().collect();
                Base::Box { lower: every(0), upper: every(1) }
            }
        }
    }
}

/// `real`, `box:-1,1` or `gaussian:0,1`.
pub(super) fn domain(text: &str) -> Result<DomainChoice, String> {
    let numbers = |list: &str| list.split(',').map(|word| finite(word).ok()).collect::<Option<Vec<f64>>>();
    let (name, list) = text.split_once(':').unwrap_or((text, ""));
    match (name, numbers(list)) {
        ("real", _) if list.is_empty() => Ok(DomainChoice::Real),
        ("box", Some(ends)) if ends.len() % 2 == 0 => Ok(DomainChoice::Box(ends)),
        ("gaussian", Some(pair)) if pair.len() == 2 => Ok(DomainChoice::Gaussian(pair[0], pair[1])),
        _ => Err("must be real, box:LO,HI (or LO,HI for each coordinate), or gaussian:MEAN,SD".into()),
    }
}

/// The models that were loaded, to be asked why their energies failed, where they did.
type Loaded = Arc<Mutex<Vec<Arc<dyn Model>>>>;

/// How model files are to be understood, on which domain, and at which temperature.
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
    /// What a network's output means: an energy, a log-density (minus the energy), or logits f of classes, of which
    /// E(x) = -log sum exp f(x) [default: energy]
    #[arg(long = "output", value_enum)]
    meaning: Option<OutputChoice>,
    /// With --output logits: the energy -f_y(x) of this class alone, so that Z_y over the sum of all is p(y)
    #[arg(long, value_name = "Y", requires = "meaning", value_parser = class, allow_negative_numbers = true)]
    class: Option<usize>,
    /// Reads arrays `0.weight`, `0.bias`, `2.weight`, … as a perceptron with this function between its layers
    #[arg(long, value_enum)]
    activation: Option<ActivationChoice>,
    /// Array of the model file that is no part of the model and is left out; may be repeated
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Divides the energy by T, of an RBM the joint energy of visible and hidden units
    #[arg(long, value_name = "T", default_value = "1", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
    /// Where a continuous model's density is taken: real; box:LO,HI, or LO,HI for each coordinate; or gaussian:MEAN,SD, against that
    /// normal, N(x; MEAN, SD²) exp(-E(x)), so that bounded energies have an integral. A temperature does not divide the normal
    #[arg(long, value_name = "DOMAIN", value_parser = domain, allow_hyphen_values = true)]
    domain: Option<DomainChoice>,
    /// Adds KAPPA |x|² / 2 to the energy of a continuous model
    #[arg(long, value_name = "KAPPA", value_parser = finite, allow_negative_numbers = true)]
    confine: Option<f64>,
    /// The domain and confinement of a record, instead of the two options.
    #[arg(skip)]
    recorded: Option<Tilt>,
    #[arg(skip)]
    loaded: Loaded,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum OutputChoice {
    Energy,
    LogDensity,
    Logits,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ActivationChoice {
    Relu,
    LeakyRelu,
    Elu,
    Selu,
    Silu,
    Gelu,
    Softplus,
    Softsign,
    Sigmoid,
    Tanh,
}

impl ActivationChoice {
    fn function(self) -> Function {
        match self {
            Self::Relu => Function::LeakyRelu { slope: 0.0 },
            Self::LeakyRelu => Function::LeakyRelu { slope: 0.01 },
            Self::Elu => Function::Elu { alpha: 1.0, scale: 1.0, width: 1.0 },
            Self::Selu => {
                Function::Elu { alpha: 1.673_263_242_354_377_2, scale: 1.050_700_987_355_480_5, width: 1.0 }
            }
            Self::Silu => Function::Silu,
            Self::Gelu => Function::Gelu,
            Self::Softplus => Function::Softplus,
            Self::Softsign => Function::Softsign,
            Self::Sigmoid => Function::Sigmoid,
            Self::Tanh => Function::Tanh,
        }
    }
}

/// A class, counted from 0.
fn class(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "must be a class, counted from 0".into())
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
    /// The same as a record states it: at its temperature, on its domain.
    pub(crate) fn of(&self, record: &RunRecord) -> Self {
        let recorded = Some(record.model.tilt.clone().unwrap_or_default());
        Self { temperature: record.temperature, recorded, ..self.clone() }
    }

    /// The same for one class of a network.
    pub(crate) fn of_class(&self, class: usize) -> Self {
        Self { class: Some(class), ..self.clone() }
    }

    /// Whether a network's output is said to be logits.
    pub(crate) fn reads_logits(&self) -> bool {
        self.meaning == Some(OutputChoice::Logits)
    }

    /// How many classes the chosen network has logits of.
    pub(crate) fn classes(&self, choice: &Choice) -> Result<Option<usize>> {
        if choice.command.is_some() {
            self.refuse_file_options("--command")?;
        }
        let plain = Self { domain: None, confine: None, temperature: 1.0, ..self.clone() };
        let source = plain.load(choice.name())?;
        Ok(models::downcast::<Network>(&source.model).and_then(|network| network.classes()))
    }

    /// Reads, builds or starts the model that was chosen.
    pub(crate) fn open(&self, choice: &Choice) -> Result<Source> {
        let (Some(command), Some(dim)) = (&choice.command, choice.dim) else {
            return self.load(choice.name());
        };
        self.check_temperature()?;
        self.refuse_file_options("--command")?;
        let words = shell_words::split(command).map_err(|error| {
            setting("--command", command, format!("its words cannot be told apart: {error}"))
        })?;
        let model = CommandModel::start(&words, dim, Duration::from_secs_f64(choice.command_timeout))?;
        let digest = io::record::digest_of_command(&words, dim)?;
        let source = Source {
            name: command.clone(),
            model: Arc::new(model),
            digest,
            notes: Vec::new(),
            warnings: Vec::new(),
        };
        self.adapted(source)
    }

    /// The failure of a loaded model, which is the cause of whatever a run answered; or that answer.
    pub(crate) fn truthful<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded.iter().find_map(|model| model.failure()) {
            Some(failure) => Err(failure.into()),
            None => outcome,
        }
    }

    /// Reads or builds the model called `name`.
    pub(crate) fn load(&self, name: &str) -> Result<Source> {
        self.check_temperature()?;
        self.adapted(if name.starts_with("ref:") { self.reference(name)? } else { self.file(name)? })
    }

    fn check_temperature(&self) -> Result<()> {
        models::check_temperature(self.temperature)?;
        if !(1e-6..=1e6).contains(&self.temperature) {
            return Err(setting("--temperature", self.temperature, "must lie between 1e-6 and 1e6"));
        }
        Ok(())
    }

    /// On the domain and at the temperature that were asked for.
    fn adapted(&self, mut source: Source) -> Result<Source> {
        let tilt = self.tilt(source.model.space().dim);
        if !tilt.is_none() {
            source.model = Arc::new(Tilted::new(source.model, tilt)?);
        } else if self.domain.is_some() || self.confine.is_some() {
            // `--domain real` changes nothing, but makes no sense everywhere.
            Tilted::new(Arc::clone(&source.model), tilt)?;
        }
        if self.temperature != 1.0 {
            source.model = source.model.at_temperature(self.temperature);
        }
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&source.model));
        Ok(source)
    }

    /// What --domain and --confine say for a model of `dim` coordinates.
    fn tilt(&self, dim: usize) -> Tilt {
        if let Some(recorded) = &self.recorded {
            return recorded.clone();
        }
        let base = self.domain.as_ref().map_or(Base::Own, |domain| domain.base(dim));
        Tilt { base, confinement: self.confine.unwrap_or(0.0) }
    }

    /// Refuses options that say how a file is to be understood.
    fn refuse_file_options(&self, name: &str) -> Result<()> {
        let stated = [
            ("--weights-layout", self.weights_layout.is_some()),
            ("--units", self.units.is_some()),
            ("--grbm-convention", self.grbm_convention.is_some()),
            ("--output", self.meaning.is_some()),
            ("--activation", self.activation.is_some()),
            ("--ignore", !self.ignore.is_empty()),
        ];
        if let Some((option, _)) = stated.iter().find(|(_, stated)| *stated) {
            return Err(setting(
                option,
                format!("with {name}"),
                "it says how to understand a model file; references have parameters instead (lnz list)",
            ));
        }
        Ok(())
    }

    /// What --output and --class say.
    fn output(&self) -> Result<Option<Output>> {
        Ok(match (self.meaning, self.class) {
            (Some(OutputChoice::Logits), Some(class)) => Some(Output::Class(class)),
            (_, Some(class)) => {
                return Err(setting("--class", class, "classes have logits; say --output logits"));
            }
            (Some(OutputChoice::Energy), None) => Some(Output::Energy),
            (Some(OutputChoice::LogDensity), None) => Some(Output::LogDensity),
            (Some(OutputChoice::Logits), None) => Some(Output::Logits),
            (None, None) => None,
        })
    }

    fn reference(&self, name: &str) -> Result<Source> {
        self.refuse_file_options(name)?;
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
            output: self.output()?,
            activation: self.activation.map(ActivationChoice::function),
            ignore: self.ignore.clone(),
        };
        let loaded = io::read_model(path, &options).map_err(|error| hint(error, name))?;
        let warnings = loaded.assumed.iter().map(|assumed| format!("{name}: {assumed}")).collect();
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
