//! Models that are known by how their files look and are not read yet: what is said of them.

use super::names::WEIGHTS;
use super::parts::{Parts, is_vector};

/// Names of weights beyond a first layer, in files of deep models.
const DEEPER: &[&str] = &["w2", "w3", "weights2", "weights_2", "hidpen", "pentop", "hidtop"];
/// Names of the first layer's beside those.
const FIRST: &[&str] = &["w0", "w1", "weights1", "weights_1"];
/// Weights of label units.
const LABELS: &[&str] = &["labhid", "labpen", "labtop", "u"];

/// What text is, if it is a model of a kind that is known.
pub(super) fn text(bytes: &[u8]) -> Option<&'static str> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let mut lines = start.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next()?;
    if ["MARKOV", "BAYES"].contains(&first) {
        return Some(
            "this is a UAI file of a Markov or Bayesian network, and factor graphs are not read yet; --command takes any energy",
        );
    }
    let mut words = first.split_whitespace();
    let name = words.next()?;
    let indices = words.clone().filter(|word| word.parse::<u32>().is_ok()).count();
    let all = words.all(|word| word.parse::<f64>().is_ok());
    ((name == "J" && indices >= 4 || name == "h" && indices >= 2) && all).then_some(
        "these are DCA parameters as text (J i j a b value, h i a value), and a Potts model with a matrix of couplings for each pair \
         of sites is not read yet; --command takes any energy",
    )
}

/// What the arrays are, if they are a model of a kind that is known and not read.
pub(super) fn arrays(parts: &Parts<'_>) -> Option<String> {
    let weights = parts.named(WEIGHTS).or_else(|| parts.named(FIRST));
    if let (Some(first), Some(deeper)) = (weights, parts.named(DEEPER).filter(|deeper| !is_vector(deeper))) {
        return Some(format!(
            "a deep Boltzmann machine (layers of weights `{}` and `{}`) is not read yet; --command takes any energy",
            first.name, deeper.name
        ));
    }
    // Gaussian mixtures and others have a `u` of their own.
    if let (Some(weights), Some(labels)) = (parts.named(WEIGHTS), parts.named(LABELS)) {
        let shared = labels.values.ndim() == 2
            && labels.values.shape().iter().any(|side| weights.values.shape().contains(side));
        if shared {
            return Some(format!(
                "an RBM with label units (weights `{}`) is not read yet; --command takes any energy, and --ignore {} leaves them out",
                labels.name, labels.name
            ));
        }
    }
    None
}
