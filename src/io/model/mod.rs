//! Model files: which of a file's tensors mean what, and the model that they make.
//!
//! The only place that gives names a meaning. Names are compared without case and without what stands before the last dot
//! (`rbm.W` is `w`). What a file leaves open is an error that says how to state it; what was decided is told in [`Loaded::notes`].

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

mod gaussian;
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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
}

/// A model out of a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The model.
    pub model: Arc<dyn Model>,
    /// How the file was understood, line by line, for `lnz inspect`.
    pub notes: Vec<String>,
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
/// - RBM: `W, weight, weights, vishid, components_`; visible bias `b, vbias, v_bias, bv, visbiases, visible_bias,
///   intercept_visible_`; hidden bias `c, hbias, h_bias, bh, hidbiases, hidden_bias, intercept_hidden_`; optionally `base_rates`
///   (means of the training data) and `spins` = 1 for ±1 units. The lengths of the biases tell how W lies; if it is square, its name
///   (`vishid` visible-hidden, `components_` hidden-visible), `base_rates` (visible-hidden, as lnz writes it) or [`ModelOptions::weights_layout`].
/// - Gaussian RBM: the same and `sigma, sigmas, std` or `log_sigma, log_std`, one for each visible unit or for all.
/// - Boltzmann machine: `J` (d, d) and `h` (d), optionally `spins`. Potts: `J` (d, d) and `h` (d, q), or `q` alone.
/// - Gaussian: `mean` (d) and `covariance` or `precision` (d, d), optionally `log_scale`.
/// - Mixture of Gaussians: `weights` (k), `means` (k, d), `covariances` (k, d, d).
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Format`] if it is damaged, of a format that is not read, holds no model or leaves
/// open which, or if its parameters make none: the message names the tensors and says what to state.
pub fn read_model(path: &Path, options: &ModelOptions) -> Result<Loaded> {
    let mut opened = Opened::new(path)?;
    let mut digest = opened.digest.clone();
    let made = if opened.format == Format::Onnx {
        network(opened, path.parent(), *options, &mut digest)
    } else {
        opened.tensors().and_then(|tensors| match options.activation {
            Some(activation) => perceptron::read(&tensors, activation, options.output.unwrap_or_default()),
            None if options.output.is_some() => {
                Err("--output is for networks: .onnx, or arrays with --activation".into())
            }
            None => understand(&tensors, *options),
        })
    };
    let (model, notes) = made.map_err(|message| Error::Format { path: path.into(), message })?;
    Ok(Loaded { model, notes, digest })
}

/// The network of an ONNX file; where its weights lie beside it, `digest` becomes that of all its files.
fn network(
    opened: Opened,
    folder: Option<&Path>,
    options: ModelOptions,
    digest: &mut String,
) -> Parsed<(Arc<dyn Model>, Vec<String>)> {
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
    Ok((Arc::new(network), notes))
}

/// The model that `tensors` make, and how they were understood.
fn understand(tensors: &Tensors, options: ModelOptions) -> Parsed<(Arc<dyn Model>, Vec<String>)> {
    let mut parts = Parts::new(tensors);
    let mixture = parts.has(gaussian::MEANS);
    let kinds = [
        ("a Boltzmann machine (J)", parts.has(pairwise::COUPLINGS)),
        ("a mixture (means)", mixture),
        (
            "a Gaussian (covariance or precision)",
            parts.has(gaussian::COVARIANCE) || parts.has(gaussian::PRECISION),
        ),
        // A mixture has weights too.
        ("an RBM (W)", parts.has(rbm::WEIGHTS) && !mixture),
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
    Ok((model, parts.into_notes()))
}
