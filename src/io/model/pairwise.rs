//! Boltzmann machines (Ising models on any graph) and Potts models out of couplings J and fields h.

use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::ModelOptions;
use super::centring::{check_temperature, energy_offset};
use super::names::{COUPLINGS, FIELDS, INVERSE_TEMPERATURE, SPINS, STATES};
use super::parts::{Parts, Side, describe, is_vector, matrix, scalar, vector};
use super::rbm::units;
use crate::io::Parsed;
use crate::models::{Boltzmann, Model, Potts, Units};

/// Fields that a Potts file may stand for without holding them.
const MOST_FIELDS: f64 = (1 << 24) as f64;

/// The model of J (d, d) and h: of length d, or absent, a Boltzmann machine; (d, q), or a stated q, a Potts model.
pub(super) fn read(parts: &mut Parts<'_>, options: &ModelOptions) -> Parsed<Arc<dyn Model>> {
    let couplings = parts.require("couplings J", COUPLINGS)?;
    let fields = parts.find("fields h", FIELDS)?;
    let states = parts.find("number of states q", STATES)?;
    let offset = energy_offset(parts)?;
    check_temperature(parts, "inverse temperature", INVERSE_TEMPERATURE)?;
    let named = describe(couplings);
    if couplings.values.ndim() > 2 {
        return Err(format!(
            "{named} should have two axes; DCA parameters J[L, L, q, q], a Potts model with a matrix of couplings for each pair of sites, \
             are not read yet"
        ));
    }
    let couplings = matrix(couplings)?;
    let dim = couplings.nrows();
    if couplings.ncols() != dim {
        return Err(format!("{named} should be square"));
    }
    let couplings = once_each(parts, &named, couplings)?;
    let states = states.map(|tensor| count(scalar(tensor)?, &tensor.name, dim)).transpose()?;
    let is_potts = states.is_some()
        || fields
            .is_some_and(|h| h.values.ndim() == 2 && h.values.shape()[0] == dim && h.values.shape()[1] > 1);
    if is_potts {
        if options.units.is_some() || parts.has(SPINS) {
            return Err(
                "a Potts model has categories 0..q-1, so units of bits or spins do not apply to it".into()
            );
        }
        let mut fields = match (fields, states) {
            (Some(fields), _) => matrix(fields)?,
            (None, states) => Array2::zeros((dim, states.unwrap_or(0))),
        };
        if states.is_some_and(|q| q != fields.ncols()) || fields.nrows() != dim {
            let (rows, columns) = fields.dim();
            let q = states.unwrap_or(columns);
            return Err(format!("h is {rows}x{columns}, but {named} and q = {q} states call for {dim}x{q}"));
        }
        parts.note(format!("a Potts model of {dim} sites with {} states", fields.ncols()));
        let of_states = Side { name: "states", length: fields.ncols(), names: "h for shape (sites, states)" };
        parts.check_spare("a Potts model", &[side(dim), of_states])?;
        // A constant is a field that is the same for all values of one site.
        if let Some(mut first) = fields.rows_mut().into_iter().next() {
            first.map_inplace(|field| *field -= offset);
        }
        return Ok(Arc::new(Potts::new(couplings, fields).map_err(|e| e.to_string())?));
    }
    let fields = match fields {
        Some(h) if is_vector(h) && h.values.len() == dim => vector(h)?,
        Some(h) => {
            return Err(format!(
                "{} does not fit {named}; h has length {dim} for bits or spins and shape ({dim}, q) for a Potts model",
                describe(h)
            ));
        }
        None => {
            parts.note("no fields h in the file: they are zero");
            Array1::zeros(dim)
        }
    };
    let units = units(parts, options)?.unwrap_or_else(|| {
        parts.assume("units are read as bits (0/1): there is no `spins` in the file and no --units");
        Units::Bits
    });
    parts.note(format!(
        "a Boltzmann machine of {dim} units, {}: E = -sum over i < j of J_ij x_i x_j - h x{}",
        super::rbm::shown(units),
        if offset == 0.0 { "" } else { " + offset" }
    ));
    parts.check_spare("a Boltzmann machine", &[side(dim)])?;
    let (couplings, fields, constant) = without_diagonal(parts, couplings, fields, units);
    let machine =
        Boltzmann::new(couplings, fields, units).and_then(|machine| machine.with_offset(offset + constant));
    Ok(Arc::new(machine.map_err(|e| e.to_string())?))
}

/// What arrays as long as the units may be.
fn side(dim: usize) -> Side {
    Side { name: "units", length: dim, names: "h, or J for a matrix" }
}

/// J with every coupling on both sides of its diagonal, where the file holds it on one side.
fn once_each(parts: &mut Parts<'_>, named: &str, couplings: Array2<f64>) -> Parsed<Array2<f64>> {
    let any = |keep: fn(usize, usize) -> bool| {
        couplings.indexed_iter().any(|((i, j), value)| keep(i, j) && *value != 0.0)
    };
    let (above, below, diagonal) = (any(|i, j| i < j), any(|i, j| i > j), any(|i, j| i == j));
    if above && below {
        return Ok(couplings);
    }
    if above || below {
        let which = if above { "upper" } else { "lower" };
        if diagonal {
            return Err(format!(
                "{named} is {which} triangular with a diagonal, which is whole to some (x J x) and half to others (x (J + J') x / 2); \
                 store J symmetric with a diagonal of zeros, and what the diagonal adds to the energy in h (bits) or offset (spins)"
            ));
        }
        parts.assume(format!(
            "J is {which} triangular: every entry is taken as the coupling of its pair, E = -sum over i < j of J_ij x_i x_j - h x"
        ));
        return Ok(&couplings + &couplings.t());
    }
    Ok(couplings)
}

/// J without its diagonal, the fields with it, and what it adds to every energy: in E = −½ xᵀJx − h·x the diagonal is half a
/// field of bits (x² = x), and a constant of spins (s² = 1).
fn without_diagonal(
    parts: &mut Parts<'_>,
    mut couplings: Array2<f64>,
    fields: Array1<f64>,
    units: Units,
) -> (Array2<f64>, Array1<f64>, f64) {
    let half = 0.5 * &couplings.diag();
    if half.iter().all(|value| *value == 0.0) {
        return (couplings, fields, 0.0);
    }
    couplings.diag_mut().fill(0.0);
    match units {
        Units::Bits => {
            parts.assume("the diagonal of J is taken as fields J_ii / 2, as in E = -x J x / 2 - h x");
            (couplings, fields + half, 0.0)
        }
        Units::Spins => {
            parts.assume(
                "the diagonal of J is taken as a constant, -sum of J_ii / 2 in every energy, as in E = -s J s / 2 - h s",
            );
            (couplings, fields, -half.sum())
        }
    }
}

/// A number of states that is one, and small enough that its fields fit in memory.
fn count(states: f64, name: &str, dim: usize) -> Parsed<usize> {
    if states.fract() == 0.0 && states >= 1.0 && states * dim as f64 <= MOST_FIELDS {
        Ok(states as usize)
    } else {
        Err(format!(
            "`{name}` is {}; a number of states is whole, at least 1, and times {dim} sites at most {MOST_FIELDS}",
            crate::wording::number(states)
        ))
    }
}
