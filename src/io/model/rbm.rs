//! Restricted Boltzmann machines out of named tensors: which is W, which bias belongs to which side, which way W lies.

use std::sync::Arc;

use ndarray::Array1;

use super::centring::{Centring, centring, energy_offset};
use super::names::{
    BASE_RATES, GAUSSIAN_MEANS, HIDDEN_BIAS, LOG_SIGMA, LOG_VARIANCE, SIGMA, SPINS, VARIANCE, VARTYPE,
    VISIBLE_BIAS, WEIGHTS, plain,
};
use super::parts::{Parts, Side, describe, flag, is_vector, matrix, vector};
use super::{ModelOptions, WeightsLayout};
use crate::io::Parsed;
use crate::io::tensors::Tensor;
use crate::models::{GaussianRbm, Model, Rbm, rbm::Units};

const STATE_LAYOUT: &str = "state it with --weights-layout visible-hidden or --weights-layout hidden-visible";

/// What is said of a square W beside base rates, which only `lnz::io::write_rbm` stores.
const OWN_FILES: &str = "as lnz writes it";

/// The machine that the file's tensors make.
pub(super) fn read(parts: &mut Parts<'_>, options: &ModelOptions) -> Parsed<Arc<dyn Model>> {
    let sigma = sigma(parts)?;
    let (visible_bias, hidden_bias) = named_biases(parts, sigma.is_some())?;
    let base_rates = parts.find("base rates", BASE_RATES)?.map(vector).transpose()?;
    let centring = centring(parts)?;
    let offset = energy_offset(parts)?;
    let units = units(parts, options)?.unwrap_or(Units::Bits);
    let weights = find_weights(parts)?;

    // `a, b` is Hinton's notation for visible and hidden, and `b` alone is ours for visible.
    if hidden_bias.is_none()
        && visible_bias.is_some_and(|b| b.name.eq_ignore_ascii_case("b"))
        && parts.has(&["a"])
    {
        return Err("`a` and `b` are visible and hidden bias to some and hidden and visible to others; name them vbias and hbias"
            .into());
    }
    let stored = matrix(weights).map_err(|message| {
        if weights.values.ndim() > 2 {
            format!("{message}; a softmax RBM (W[items, values, hidden]) is not read yet")
        } else {
            message
        }
    })?;
    let named = layout_by_name(weights)
        .map(|named| (named, format!("as the name `{}` means", weights.name)))
        .or_else(|| base_rates.is_some().then(|| (WeightsLayout::VisibleHidden, OWN_FILES.into())));
    let stated = options.weights_layout.or(named.as_ref().map(|(layout, _)| *layout));
    let (visible_bias, hidden_bias) =
        complete_biases(parts, weights, stored.dim(), stated, visible_bias, hidden_bias)?;
    let (visible_bias, hidden_bias) = (vector(visible_bias)?, vector(hidden_bias)?);
    let (visible, hidden) = (visible_bias.len(), hidden_bias.len());
    let (layout, why) = layout(weights, stored.dim(), visible, hidden, options.weights_layout, named)?;
    let weights = match layout {
        WeightsLayout::VisibleHidden => stored,
        WeightsLayout::HiddenVisible => stored.reversed_axes(),
    };
    parts.note(format!("{visible} visible and {hidden} hidden units; W is {layout}, {why}"));
    parts.check_spare("an RBM", &sides(visible, hidden))?;
    if let Some(sigma) = sigma {
        if units == Units::Spins {
            return Err(
                "a Gaussian RBM (it has a sigma) has real visible and 0/1 hidden units, not -1/+1".into()
            );
        }
        if !centring.is_none() || offset != 0.0 {
            return Err("a Gaussian RBM with offsets is not read: some centre (v - b)^2 too and others do not; fold them into the \
                        biases, and store zeros"
                .into());
        }
        let sigma = if sigma.len() == 1 { Array1::from_elem(visible, sigma[0]) } else { sigma };
        let convention = options.grbm_convention.unwrap_or_default();
        parts.note(format!("a Gaussian RBM, by its sigma; convention {convention}"));
        if options.grbm_convention.is_none() && sigma.iter().any(|&s| s != 1.0) {
            parts.assume(
                "it does not say how sigma scales its weights; v W h / sigma^2 is taken, --grbm-convention hinton is v W h / sigma",
            );
        }
        let model = GaussianRbm::new(weights, visible_bias, hidden_bias, sigma, convention);
        return Ok(Arc::new(model.map_err(|e| e.to_string())?));
    }
    parts.note(format!("units are {}", shown(units)));
    let mut rbm = Rbm::new(weights, visible_bias, hidden_bias, units).map_err(|e| e.to_string())?;
    if let Some(rates) = base_rates {
        rbm = rbm.with_base_rates(rates).map_err(|e| e.to_string())?;
    }
    if !centring.is_none() {
        let Centring { visible: visible_offset, hidden: hidden_offset } = centring.of(visible, hidden)?;
        parts.note(
            "E = -(v - ov) W (h - oh) - b (v - ov) - c (h - oh), with ov and oh the offsets of the units",
        );
        rbm = rbm.centred(&visible_offset, &hidden_offset).map_err(|e| e.to_string())?;
    }
    Ok(Arc::new(rbm.with_offset(offset).map_err(|e| e.to_string())?))
}

/// What arrays as long as the visible or the hidden units may be.
fn sides(visible: usize, hidden: usize) -> [Side; 2] {
    [
        Side {
            name: "visible units",
            length: visible,
            names: "vbias, visible_offset, base_rates, sigma, var or log_var",
        },
        Side { name: "hidden units", length: hidden, names: "hbias or hidden_offset" },
    ]
}

/// The biases that are known by their names. Beside `mu`, the means of Gaussian visible units, `b` is the hidden bias
/// (Liao, Kornblith, Ren, Fleet & Hinton 2022, arXiv:2210.10318).
fn named_biases<'a>(
    parts: &mut Parts<'a>,
    is_gaussian: bool,
) -> Parsed<(Option<&'a Tensor>, Option<&'a Tensor>)> {
    let plain_b = parts.named(VISIBLE_BIAS).is_some_and(|bias| plain(&bias.name) == "b");
    if parts.has(GAUSSIAN_MEANS) && plain_b && !parts.has(HIDDEN_BIAS) {
        if !is_gaussian {
            return Err("`mu` stands for the means of Gaussian visible units, and there is no sigma, var or log_var of them; name \
                        it vbias if units are 0/1 or -1/+1, and `b` hbias"
                .into());
        }
        let means = parts.find("visible bias, the means at h = 0", GAUSSIAN_MEANS)?;
        return Ok((means, parts.find("hidden bias, beside `mu`", VISIBLE_BIAS)?));
    }
    let visible = match parts.find("visible bias", VISIBLE_BIAS)? {
        None if is_gaussian => parts.find("visible bias, the means at h = 0", GAUSSIAN_MEANS)?,
        visible => visible,
    };
    Ok((visible, parts.find("hidden bias", HIDDEN_BIAS)?))
}

/// Bits or spins: as stated, else as the file's flag says; `None` if neither does.
pub(super) fn units(parts: &mut Parts<'_>, options: &ModelOptions) -> Parsed<Option<Units>> {
    const MEANS: &str =
        "a number `spins` of 1 means -1/+1 and of 0 means 0/1, and so do --units spins and --units bits";
    if options.units.is_none() {
        // Text cannot be read, and what is not read must not be guessed.
        let text =
            parts.skipped(SPINS).or_else(|| parts.skipped(VARTYPE)).or_else(|| parts.skipped(&["units"]));
        if let Some((name, reason)) = text {
            return Err(format!("`{name}` may say what units are, but it is not read ({reason}); {MEANS}"));
        }
        if let Some(kind) = parts.named(VARTYPE) {
            return Err(format!("{} may say what units are, but not how; {MEANS}", describe(kind)));
        }
    } else if parts.has(VARTYPE) {
        parts.find("kind of units, which --units states", VARTYPE)?;
    }
    let stored = match parts.named(SPINS) {
        Some(_) => parts.find("whether units are -1/+1", SPINS)?.map(flag).transpose(),
        None => Ok(None),
    }
    .map_err(|message| format!("{message}; {MEANS}"))?;
    let stored = stored.map(|spins| if spins { Units::Spins } else { Units::Bits });
    Ok(options.units.or(stored))
}

/// Units for people.
pub(super) fn shown(units: Units) -> &'static str {
    match units {
        Units::Bits => "0/1",
        Units::Spins => "-1/+1",
    }
}

/// σ of a Gaussian RBM, one for all visible units or one each, whatever of it the file holds.
fn sigma(parts: &mut Parts<'_>) -> Parsed<Option<Array1<f64>>> {
    let choices = [
        ("sigma of the visible units", SIGMA),
        ("log sigma of the visible units", LOG_SIGMA),
        ("variance of the visible units", VARIANCE),
        ("log variance of the visible units", LOG_VARIANCE),
    ];
    let Some((which, tensor)) = parts.find_one(&choices)? else { return Ok(None) };
    let stored = vector(tensor)?;
    if which == 2
        && let Some(value) = stored.iter().find(|value| **value <= 0.0)
    {
        return Err(format!(
            "`{}` holds {}; variances are positive",
            tensor.name,
            crate::wording::number(*value)
        ));
    }
    Ok(Some(match which {
        0 => stored,
        1 => stored.mapv(f64::exp),
        2 => stored.mapv(f64::sqrt),
        _ => stored.mapv(|log| (0.5 * log).exp()),
    }))
}

/// W by its name, else the only matrix without a meaning.
fn find_weights<'a>(parts: &mut Parts<'a>) -> Parsed<&'a Tensor> {
    if let Some(weights) = parts.find("weights", WEIGHTS)? {
        return Ok(weights);
    }
    // n×1 arrays are vectors unless nothing else can be W.
    if let Some(weights) = parts.find_by_shape("weights", |t| t.values.ndim() == 2 && !is_vector(t))? {
        return Ok(weights);
    }
    parts.find_by_shape("weights", |t| t.values.ndim() == 2)?.ok_or_else(|| {
        format!("no model is recognised in it; for an RBM, {}", parts.missing("weights", WEIGHTS))
    })
}

fn layout_by_name(weights: &Tensor) -> Option<WeightsLayout> {
    match plain(&weights.name).as_str() {
        "components" => Some(WeightsLayout::HiddenVisible),
        "vishid" => Some(WeightsLayout::VisibleHidden),
        _ => None,
    }
}

/// Both biases: those found by name, and for one that was not, the only vector of the right length.
fn complete_biases<'a>(
    parts: &mut Parts<'a>,
    weights: &Tensor,
    (rows, columns): (usize, usize),
    stated: Option<WeightsLayout>,
    visible: Option<&'a Tensor>,
    hidden: Option<&'a Tensor>,
) -> Parsed<(&'a Tensor, &'a Tensor)> {
    if let (Some(visible), Some(hidden)) = (visible, hidden) {
        return Ok((visible, hidden));
    }
    let length = |t: &Tensor| t.values.len();
    let implied = match (visible.map(length), hidden.map(length)) {
        _ if rows == columns => Some(WeightsLayout::VisibleHidden),
        (Some(n), _) | (_, Some(n)) if n != rows && n != columns => {
            return Err(format!("a bias of length {n} fits neither side of {}", describe(weights)));
        }
        (Some(n), _) if n == rows => Some(WeightsLayout::VisibleHidden),
        (_, Some(n)) if n == columns => Some(WeightsLayout::VisibleHidden),
        (None, None) => stated,
        _ => Some(WeightsLayout::HiddenVisible),
    };
    let spare = |parts: &Parts<'_>, side: usize| parts.count_spare(|t| is_vector(t) && length(t) == side);
    if visible.is_none() && hidden.is_none() && spare(parts, rows) > 0 && spare(parts, columns) > 0 {
        if rows == columns {
            return Err(format!(
                "{} is square, so shapes cannot tell which vector is the visible and which the hidden bias; name them vbias and \
                 hbias, then {STATE_LAYOUT}",
                describe(weights)
            ));
        }
        if implied.is_none() {
            return Err(format!(
                "shapes tell which bias belongs to which axis of {}, but not which axis is the visible one; {STATE_LAYOUT}, or \
                 name the biases vbias and hbias",
                describe(weights)
            ));
        }
    }
    let (visible_side, hidden_side) = match implied {
        Some(WeightsLayout::HiddenVisible) => (columns, rows),
        _ => (rows, columns),
    };
    let mut complete = |found: Option<&'a Tensor>, role: &str, names: &[&str], side: usize| match found {
        Some(bias) => Ok(bias),
        None => parts
            .find_by_shape(role, |t| is_vector(t) && length(t) == side)?
            .ok_or_else(|| parts.missing(role, names)),
    };
    Ok((
        complete(visible, "visible bias", VISIBLE_BIAS, visible_side)?,
        complete(hidden, "hidden bias", HIDDEN_BIAS, hidden_side)?,
    ))
}

/// Which way W lies, and how that is known.
fn layout(
    weights: &Tensor,
    (rows, columns): (usize, usize),
    visible: usize,
    hidden: usize,
    option: Option<WeightsLayout>,
    named: Option<(WeightsLayout, String)>,
) -> Parsed<(WeightsLayout, String)> {
    use WeightsLayout::{HiddenVisible, VisibleHidden};
    let by_lengths = match ((visible, hidden) == (rows, columns), (visible, hidden) == (columns, rows)) {
        (false, false) => {
            return Err(format!(
                "{} does not fit a visible bias of length {visible} and a hidden bias of length {hidden}; W should be \
                 {visible}x{hidden} or {hidden}x{visible}",
                describe(weights)
            ));
        }
        (true, false) => Some(VisibleHidden),
        (false, true) => Some(HiddenVisible),
        (true, true) => None,
    };
    match (by_lengths, option, named) {
        (Some(found), Some(option), _) if found != option => Err(format!(
            "--weights-layout {option} contradicts the lengths of the biases: {} with {visible} visible and {hidden} hidden \
             units is {found}",
            describe(weights)
        )),
        (Some(found), ..) => Ok((found, "by the lengths of the biases".into())),
        (None, Some(option), _) => Ok((option, "as stated by --weights-layout".into())),
        (None, None, Some(named)) => Ok(named),
        (None, None, None) if rows == 1 => Ok((VisibleHidden, "which makes no difference".into())),
        (None, None, None) => Err(format!(
            "{} is square, so nothing tells which axis is the visible one; {STATE_LAYOUT}",
            describe(weights)
        )),
    }
}
