//! What the names of arrays mean: how they are compared, and which parameter each stands for.

/// Names of W.
pub(super) const WEIGHTS: &[&str] = &["w", "weight", "weights", "vishid", "components_"];
pub(super) const VISIBLE_BIAS: &[&str] = &[
    "b",
    "vbias",
    "bv",
    "visbiases",
    "visible_bias",
    "visible_biases",
    "bias_visible",
    "bias_v",
    "intercept_visible_",
];
pub(super) const HIDDEN_BIAS: &[&str] = &[
    "c",
    "hbias",
    "bh",
    "hidbiases",
    "hidrecbiases",
    "hidden_bias",
    "hidden_biases",
    "bias_hidden",
    "bias_h",
    "intercept_hidden_",
];
pub(super) const BASE_RATES: &[&str] = &["base_rates"];
/// Means of Gaussian visible units, beside which `b` is the hidden bias.
pub(super) const GAUSSIAN_MEANS: &[&str] = &["mu"];

pub(super) const SIGMA: &[&str] = &[
    "sigma",
    "sigmas",
    "sigma_v",
    "sigma_visible",
    "visible_sigma",
    "std",
    "stds",
    "stdev",
    "stddev",
    "sd",
    "visible_std",
    "standard_deviation",
    "standard_deviations",
];
pub(super) const LOG_SIGMA: &[&str] = &[
    "log_sigma",
    "log_sigmas",
    "log_sigma_v",
    "log_std",
    "log_stds",
    "log_stddev",
    "log_sd",
    "log_standard_deviation",
];
pub(super) const VARIANCE: &[&str] = &[
    "var",
    "vars",
    "variance",
    "variances",
    "sigma2",
    "sigma_sq",
    "sigma_square",
    "sigma_squared",
    "var_v",
    "visible_var",
    "visible_variance",
];
pub(super) const LOG_VARIANCE: &[&str] = &[
    "log_var",
    "log_vars",
    "log_variance",
    "log_variances",
    "log_sigma2",
    "log_sigma_sq",
    "log_sigma_square",
    "log_sigma_squared",
    "log_var_v",
];

/// Names of what is subtracted from units before they are multiplied.
pub(super) const VISIBLE_OFFSET: &[&str] = &[
    "ov",
    "visible_offset",
    "visible_offsets",
    "vis_offset",
    "v_offset",
    "offset_v",
    "offset_visible",
    "offsets_visible",
    "visible_center",
    "visible_centre",
    "v_center",
    "v_centre",
    "center_v",
    "centre_v",
    "center_visible",
    "centre_visible",
];
pub(super) const HIDDEN_OFFSET: &[&str] = &[
    "oh",
    "hidden_offset",
    "hidden_offsets",
    "hid_offset",
    "h_offset",
    "offset_h",
    "offset_hidden",
    "offsets_hidden",
    "hidden_center",
    "hidden_centre",
    "h_center",
    "h_centre",
    "center_h",
    "centre_h",
    "center_hidden",
    "centre_hidden",
];
/// Names of what is added to every energy.
pub(super) const OFFSET: &[&str] =
    &["offset", "energy_offset", "offset_energy", "constant", "const", "energy_constant", "e0"];
/// Names of T where it is not in the parameters.
pub(super) const TEMPERATURE: &[&str] = &["temperature"];
/// Names of the flag for ±1 units, and of what some libraries store in its place.
pub(super) const SPINS: &[&str] = &["spins", "spin", "is_spin"];
pub(super) const VARTYPE: &[&str] = &["vartype"];

/// Names of J (d, d).
pub(super) const COUPLINGS: &[&str] = &["j", "couplings"];
pub(super) const FIELDS: &[&str] = &["h", "fields"];
pub(super) const STATES: &[&str] = &["q", "states"];
/// Names of 1/T, which only files of couplings have: to a training it is a rate of decay.
pub(super) const INVERSE_TEMPERATURE: &[&str] = &["beta", "inverse_temperature"];

/// What cannot be left out without being another model, wherever it is found.
pub(super) const PARAMETERS: &[(&str, &[&str])] = &[
    ("visible bias", VISIBLE_BIAS),
    ("hidden bias", HIDDEN_BIAS),
    ("base rates", BASE_RATES),
    ("sigma of the visible units", SIGMA),
    ("log sigma of the visible units", LOG_SIGMA),
    ("variance of the visible units", VARIANCE),
    ("log variance of the visible units", LOG_VARIANCE),
    ("offset of the visible units", VISIBLE_OFFSET),
    ("offset of the hidden units", HIDDEN_OFFSET),
    ("offset of the energy", OFFSET),
    ("temperature", TEMPERATURE),
    ("flag for -1/+1 units", SPINS),
    ("kind of units", VARTYPE),
];

/// The name without what stands before its last dot or slash, and without TensorFlow's `:0`.
pub(super) fn last_part(name: &str) -> &str {
    let name = name.strip_suffix(":0").unwrap_or(name);
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

/// A name as names are compared: its last part in lower case, letters and digits alone, so that `log_var` is `logVar`.
pub(super) fn plain(name: &str) -> String {
    last_part(name).chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether `name` is one of `names`.
pub(super) fn is_one_of(name: &str, names: &[&str]) -> bool {
    let name = plain(name);
    names.iter().any(|other| plain(other) == name)
}

#[cfg(test)]
mod tests {
    use super::super::bystanders::{bystander, is_optimizers};
    use super::*;

    #[test]
    fn names_are_compared_by_letters_and_digits() {
        for name in ["log_var", "logVar", "rbm.LOG_VAR", "layers/0/log-var", "log_var:0"] {
            assert!(is_one_of(name, LOG_VARIANCE), "{name}");
        }
        assert!(!is_one_of("log_var.exp_avg", LOG_VARIANCE));
    }

    /// What a file asks for by one name is not asked for by another, and no parameter passes for a bystander.
    #[test]
    fn every_name_means_one_thing() {
        let lists: Vec<&[&str]> =
            PARAMETERS.iter().map(|(_, names)| *names).chain([WEIGHTS, GAUSSIAN_MEANS]).collect();
        let mut all: Vec<String> = lists.concat().iter().map(|name| plain(name)).collect();
        for name in &all {
            assert_eq!(bystander(name), None, "{name}");
            assert!(!is_optimizers(name, std::iter::empty()), "{name}");
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "a name stands in two lists or twice in one");
    }
}
