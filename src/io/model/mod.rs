//! Model files: which of a file's tensors mean what, and the model that they make.
//!
//! The only place that gives names a meaning. Of a name, letters and digits count, without case and without what stands before the
//! last dot or slash (`rbm.W` is `w`, `logVar` is `log_var`). What a file leaves open is an error that says how to state it, and so
//! is an array that could be a parameter and is not used; what was decided is told in [`Loaded::notes`].

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use super::Parsed;
use super::bytes::digest as digest_of;
use super::format::Format;
use super::onnx;
use super::tensors::{Opened, Tensors};
use crate::error::{Error, Result};
use crate::models::network::{Function, Network, Output};
use crate::models::{Domain, Model, gaussian_rbm::Convention, rbm::Units};

mod bystanders;
mod centring;
mod foreign;
mod gaussian;
mod names;
mod pairwise;
mod parts;
mod perceptron;
mod rbm;

use parts::Parts;

/// Which axis of a stored weight matrix is the visible one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsLayout {
    /// W is (visible, hidden).
    VisibleHidden,
    /// W is (hidden, visible), as in scikit-learn's `components_`.
    HiddenVisible,
}

impl fmt::Display for WeightsLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VisibleHidden => "visible-hidden",
            Self::HiddenVisible => "hidden-visible",
        })
    }
}

impl FromStr for WeightsLayout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "visible-hidden" => Ok(Self::VisibleHidden),
            "hidden-visible" => Ok(Self::HiddenVisible),
            _ => {
                Err(Error::setting("--weights-layout", text, "layouts are visible-hidden and hidden-visible"))
            }
        }
    }
}

/// What a person states about a model file because the file leaves it open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelOptions {
    /// The orientation of W; needed only where it is square and its name does not tell.
    pub weights_layout: Option<WeightsLayout>,
    /// What units take; stated here it outranks the file's `spins`, and without either units are bits.
    pub units: Option<Units>,
    /// How σ scales the weights of a Gaussian RBM; [`Convention::Cho`] unless stated.
    pub grbm_convention: Option<Convention>,
    /// What a network's output means; [`Output::Energy`] unless stated.
    pub output: Option<Output>,
    /// What stands between the layers of a perceptron; stated, it makes one of a file of arrays.
    pub activation: Option<Function>,
    /// Names of arrays that are read as if the file did not hold them; whole, or else the part after the last dot.
    pub ignore: Vec<String>,
}

/// A model out of a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The model.
    pub model: Arc<dyn Model>,
    /// How the file was understood, line by line, for `lnz inspect`.
    pub notes: Vec<String>,
    /// Those of the notes that a person should check: what was taken to be so because nothing in the file says otherwise.
    pub assumed: Vec<String>,
    /// SHA-256 of the file's bytes, in hexadecimal, or of its digest and those of the files that hold its weights: what a run record
    /// keeps to know its model by.
    pub digest: String,
}

/// Reads a model from `.onnx`, `.npz`, `.safetensors` or MATLAB level 5 `.mat`, recognised by content, gzipped or not.
///
/// - Network: `.onnx` of opsets 9 to 25 with one input (batch, …) and one output, (batch), (batch, 1) or, as logits, (batch,
///   classes); weights may lie in a second file beside it.
/// - Perceptron: `….weight` (outputs, inputs) and `….bias` of each layer in the order of their names, with
///   [`ModelOptions::activation`] between.
/// - RBM: `W, weight, weights, vishid, components_`; visible bias `b, vbias, bv, visbiases, visible_bias, bias_v, intercept_visible_`;
///   hidden bias `c, hbias, bh, hidbiases, hidden_bias, bias_h, intercept_hidden_`; optionally `base_rates` (means of the training data),
///   `spins` = 1 for ±1 units, an `offset` of the energy, and offsets of the units, `ov, visible_offset, v_offset, v_center` and
///   `oh, hidden_offset, h_offset, h_center`: E = −(v − ov)ᵀW(h − oh) − b·(v − ov) − c·(h − oh). The lengths of the biases tell how W
///   lies; if it is square, its name (`vishid` visible-hidden, `components_` hidden-visible), `base_rates` (visible-hidden, as lnz
///   writes it) or [`ModelOptions::weights_layout`].
/// - Gaussian RBM: the same without offsets and σ, log σ, σ² or log σ², one for each visible unit or for all: `sigma, std, stddev`;
///   `log_sigma, log_std`; `var, variance, sigma2`; `log_var, log_variance, log_sigma2`. Beside `mu`, the visible bias, `b` is the hidden
///   one.
/// - Boltzmann machine: `J` (d, d) and `h` (d), optionally `spins` and an `offset`: E = −½ xᵀJx − h·x + offset with J symmetric, whose
///   diagonal is half a field of bits and a constant of spins; a triangular J without a diagonal holds each coupling once, E = −Σ_{i<j}
///   Jᵢⱼ xᵢ xⱼ − h·x + offset. Potts: `J` (d, d) without a diagonal and `h` (d, q), or `q` alone, optionally an `offset`.
/// - Gaussian: `mean` (d) and `covariance` or `precision` (d, d), optionally `log_scale`.
/// - Mixture of Gaussians: `weights` (k), `means` (k, d), `covariances` (k, d, d).
///
/// Further arrays are left out where their names are those of data, draws, records or the state of an optimizer (`vishidinc`,
/// `W.exp_avg`), or nothing about them fits the model. Any other that has the name of a parameter, or whose axes are all as long as the
/// model's sides, is refused until [`ModelOptions::ignore`] names it.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Format`] if it is damaged, of a format that is not read, holds no model or leaves
/// open which, or if its parameters make none: the message names the tensors and says what to state.
pub fn read_model(path: &Path, options: &ModelOptions) -> Result<Loaded> {
    let mut opened = Opened::new(path)?;
    let mut digest = opened.digest.clone();
    let made = match opened.format {
        Format::Onnx => network(opened, path.parent(), options, &mut digest),
        Format::Text if foreign::text(&opened.bytes).is_some() => {
            Err(foreign::text(&opened.bytes).unwrap_or_default().into())
        }
        _ => opened.tensors().and_then(|tensors| arrays(tensors, options)),
    };
    let Understood { model, notes, assumed } =
        made.map_err(|message| Error::Format { path: path.into(), message })?;
    Ok(Loaded { model, notes, assumed, digest })
}

/// A model, the notes on it, and those that a person should check.
struct Understood {
    model: Arc<dyn Model>,
    notes: Vec<String>,
    assumed: Vec<String>,
}

/// The model of a file of arrays, but for those that are to be left out.
fn arrays(mut tensors: Tensors, options: &ModelOptions) -> Parsed<Understood> {
    let left_out = leave_out(&mut tensors, &options.ignore)?;
    let mut understood = match options.activation {
        Some(activation) => perceptron::read(&tensors, activation, options.output.unwrap_or_default())
            .map(|(model, notes)| Understood { model, notes, assumed: Vec::new() }),
        None if options.output.is_some() => {
            Err("--output is for networks: .onnx, or arrays with --activation".into())
        }
        None => understand(&tensors, options),
    }?;
    understood.notes.extend(left_out);
    Ok(understood)
}

/// Removes what is called one of `names`, and says so.
fn leave_out(tensors: &mut Tensors, names: &[String]) -> Parsed<Vec<String>> {
    let mut notes = Vec::new();
    for wanted in names {
        let name_of = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
        let whole = tensors.items.iter().any(|tensor| tensor.name == *wanted)
            || tensors.skipped.iter().any(|line| name_of(line) == *wanted);
        let is_wanted =
            |name: &str| if whole { name == wanted } else { names::plain(name) == names::plain(wanted) };
        let before = notes.len();
        for tensor in tensors.items.iter().filter(|tensor| is_wanted(&tensor.name)) {
            notes.push(format!("{}: left out (--ignore)", parts::describe(tensor)));
        }
        for line in tensors.skipped.iter().filter(|line| is_wanted(&name_of(line))) {
            notes.push(format!("{}: left out (--ignore)", name_of(line)));
        }
        if notes.len() == before {
            return Err(format!(
                "--ignore {wanted}: there is no such array (the file holds {})",
                tensors.summary()
            ));
        }
        tensors.items.retain(|tensor| !is_wanted(&tensor.name));
        tensors.skipped.retain(|line| !is_wanted(&name_of(line)));
    }
    Ok(notes)
}

/// The network of an ONNX file; where its weights lie beside it, `digest` becomes that of all its files.
fn network(
    opened: Opened,
    folder: Option<&Path>,
    options: &ModelOptions,
    digest: &mut String,
) -> Parsed<Understood> {
    if !options.ignore.is_empty() {
        return Err("--ignore is for files of arrays; an ONNX network uses all of its own".into());
    }
    if options.activation.is_some() {
        return Err("--activation is for perceptrons as arrays; an ONNX file says what its layers are".into());
    }
    let onnx::Parts { graph, output, precision, mut notes, beside } =
        onnx::read(&opened.bytes, folder, opened.budget)?;
    notes.insert(1, format!("sha256: {}", opened.digest));
    for (name, own) in beside {
        *digest = digest_of(format!("{digest}\0{own}").as_bytes());
        notes.push(format!("weights in `{name}`, sha256: {own}"));
    }
    let meaning = options.output.unwrap_or_default();
    let network =
        Network::new(graph, &output, meaning, Domain::Real, precision).map_err(|error| error.to_string())?;
    Ok(Understood { model: Arc::new(network), notes, assumed: Vec::new() })
}

/// The model that `tensors` make, and how they were understood.
fn understand(tensors: &Tensors, options: &ModelOptions) -> Parsed<Understood> {
    let mut parts = Parts::new(tensors);
    if let Some(what) = foreign::arrays(&parts) {
        return Err(what);
    }
    let mixture = parts.has(gaussian::MEANS);
    let kinds = [
        ("a Boltzmann machine (J)", parts.has(names::COUPLINGS)),
        ("a mixture (means)", mixture),
        (
            "a Gaussian (covariance or precision)",
            parts.has(gaussian::COVARIANCE) || parts.has(gaussian::PRECISION),
        ),
        // A mixture has weights too.
        ("an RBM (W)", parts.has(names::WEIGHTS) && !mixture),
    ];
    let found: Vec<_> = kinds.iter().filter(|(_, there)| *there).map(|(kind, _)| *kind).collect();
    if found.len() > 1 {
        return Err(format!(
            "is it {}? Keep one model in the file (it holds {})",
            found.join(" or "),
            tensors.summary()
        ));
    }
    let model = match kinds.map(|(_, there)| there) {
        [true, ..] => pairwise::read(&mut parts, options),
        [_, true, ..] => gaussian::read_mixture(&mut parts),
        [_, _, true, _] => gaussian::read(&mut parts),
        _ => rbm::read(&mut parts, options),
    };
    let model = model.map_err(|message| {
        if perceptron::may_be(tensors) {
            format!("{message}; if these are the layers of a perceptron, --activation says what stands between them")
        } else {
            message
        }
    })?;
    let (notes, assumed) = parts.into_notes();
    Ok(Understood { model, notes, assumed })
}
