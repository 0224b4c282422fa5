//! Arrays that trainings leave in files beside the parameters, by their names.

use super::names::{HIDDEN_BIAS, VISIBLE_BIAS, WEIGHTS, is_one_of, last_part, plain};

/// Data and draws that trainings leave in a file, and statistics of its last batch.
const DATA: &[&str] = &[
    "data",
    "samples",
    "images",
    "labels",
    "targets",
    "x_train",
    "x_test",
    "train",
    "train_data",
    "test_data",
    "batchdata",
    "batchtargets",
    "negdata",
    "chain",
    "chains",
    "v_chain",
    "h_chain",
    "persistent",
    "persistent_chain",
    "persistent_chains",
    "particles",
    "fantasy",
    "fantasy_particles",
    "h_samples_",
    "v_samples",
    "h_samples",
];
const STATISTICS: &[&str] = &[
    "posprods",
    "negprods",
    "poshidact",
    "posvisact",
    "neghidact",
    "negvisact",
    "poshidprobs",
    "neghidprobs",
    "poshidstates",
    "neghidstates",
    "batchposhidprobs",
    "precisions_",
    "precisions_cholesky_",
    "lower_bounds_",
];

/// Words in the names of what optimizers keep.
const OPTIMIZERS: &[&str] = &[
    "optimizer",
    "optimiser",
    "optim",
    "opt",
    "adam",
    "adamw",
    "nadam",
    "adagrad",
    "adadelta",
    "rmsprop",
    "sgd",
    "momentum",
    "momenta",
    "velocity",
    "velocities",
    "grad",
    "grads",
    "gradient",
    "gradients",
    "inc",
];
/// The same where two words belong together.
const OPTIMIZER_PAIRS: &[(&str, &str)] =
    &[("exp", "avg"), ("square", "avg"), ("grad", "avg"), ("acc", "delta")];
/// Words in the names of what a training keeps a record of, and of its settings.
const HISTORIES: &[&str] = &[
    "loss",
    "losses",
    "error",
    "errors",
    "err",
    "errs",
    "errsum",
    "cost",
    "costs",
    "history",
    "hist",
    "ll",
    "nll",
    "pll",
    "likelihood",
    "likelihoods",
    "recon",
    "reconstruction",
    "accuracy",
    "epoch",
    "epochs",
    "step",
    "steps",
    "iteration",
    "iterations",
    "time",
    "times",
    "lr",
    "lrs",
    "learning",
    "shape",
    "size",
    "betas",
    "seed",
    "rng",
];

/// The words of a name, in lower case: `optimizer.expAvg_W` is optimizer, exp, avg, w.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.strip_suffix(":0").unwrap_or(name).chars() {
        if !c.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase()) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is a first").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether an optimizer keeps an array of this name beside the parameters `all`.
pub(super) fn is_optimizers<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> bool {
    let words = words(name);
    let said = |word: &String| OPTIMIZERS.contains(&word.as_str());
    // `W_opt` is an optimal W.
    if words.iter().rev().skip(1).any(said)
        || words.last().is_some_and(|word| said(word) && !word.starts_with("opt"))
        // PyTorch numbers the parameters whose state it keeps.
        || words.windows(2).any(|pair| pair[0] == "state" && pair[1].parse::<u32>().is_ok())
        || words.windows(2).any(|pair| OPTIMIZER_PAIRS.contains(&(&pair[0], &pair[1])))
    {
        return true;
    }
    is_increment(name) || is_moment(&words, all)
}

/// `vishidinc`, `dW`, `gradW`: a parameter's name with what was done to it.
fn is_increment(name: &str) -> bool {
    let name = plain(name);
    let parameter = |rest: &str| {
        // Hinton's hidbiasinc is of hidbiases.
        ["", "es"].iter().any(|end| {
            let rest = format!("{rest}{end}");
            [WEIGHTS, VISIBLE_BIAS, HIDDEN_BIAS].iter().any(|names| is_one_of(&rest, names))
        })
    };
    let starts = ["d", "delta", "grad"].iter().filter_map(|start| name.strip_prefix(start));
    let ends = ["inc", "grad", "mom", "vel", "delta"].iter().filter_map(|end| name.strip_suffix(end));
    starts.chain(ends).any(parameter)
}

/// One of Adam's two moments, m and v or mu and nu, where the other and the parameter are there, too.
fn is_moment<'a>(words_of: &[String], all: impl Iterator<Item = &'a str>) -> bool {
    let all: Vec<Vec<String>> = all.map(words).collect();
    words_of.iter().enumerate().any(|(at, word)| {
        let other = match word.as_str() {
            "m" => "v",
            "v" => "m",
            "mu" => "nu",
            "nu" => "mu",
            _ => return false,
        };
        let mut partner = words_of.to_vec();
        partner[at] = other.into();
        let mut rest = words_of.to_vec();
        rest.remove(at);
        !rest.is_empty()
            && all.contains(&partner)
            && all.iter().any(|name| *name != partner && *name != words_of && name.ends_with(&rest))
    })
}

/// What an array of this name is, if it is one of those that trainings leave in files beside the parameters.
pub(super) fn bystander(name: &str) -> Option<&'static str> {
    if is_one_of(name, DATA) {
        return Some("data or draws");
    }
    if is_one_of(name, STATISTICS) {
        return Some("statistics of a training");
    }
    words(last_part(name))
        .iter()
        .any(|word| HISTORIES.contains(&word.as_str()))
        .then_some("a record or a setting of a training")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optimizers_are_known_by_their_names_and_parameters_are_not_theirs() {
        assert_eq!(words("optimizer.expAvg_W:0"), ["optimizer", "exp", "avg", "w"]);
        let file = ["W", "b", "c", "m_W", "v_W", "v_b", "ov", "mu"];
        for name in [
            "vishidinc",
            "hidbiasinc",
            "visbiasinc",
            "W_inc",
            "dW",
            "db",
            "delta_W",
            "W.exp_avg",
            "W.exp_avg_sq",
            "optimizer.state.0.exp_avg",
            "state.0.sum",
            "opt/mu/W",
            "momentum.W",
            "W_momentum",
            "vb_velocity",
            "W.grad",
            "m_W",
            "v_W",
            "Adam/W/m:0",
            "momentum",
        ] {
            assert!(is_optimizers(name, file.into_iter()), "{name}");
        }
        for name in ["W", "b", "c", "v_b", "v_bias", "ov", "mu", "vinc", "W_opt", "W_avg", "decay", "offset"]
        {
            assert!(!is_optimizers(name, file.into_iter()), "{name}");
        }
    }
}
