//! Boltzmann machines (Ising models on any graph) and Potts models out of couplings J and fields h.

use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::ModelOptions;
use super::parts::{Parts, describe, is_vector, matrix, scalar, vector};
use super::rbm::{SPINS, units};
use crate::io::Parsed;
use crate::models::{Boltzmann, Model, Potts};

/// Names of J (d, d).
pub(super) const COUPLINGS: &[&str] = &["j", "couplings"];
const FIELDS: &[&str] = &["h", "fields"];
const STATES: &[&str] = &["q", "states"];

/// Fields that a Potts file may stand for without holding them.
const MOST_FIELDS: f64 = (1 << 24) as f64;

/// The model of J (d, d) and h: of length d, or absent, a Boltzmann machine; (d, q), or a stated q, a Potts model.
pub(super) fn read(parts: &mut Parts<'_>, options: ModelOptions) -> Parsed<Arc<dyn Model>> {
    let couplings = parts.require("couplings J", COUPLINGS)?;
    let fields = parts.find("fields h", FIELDS)?;
    let states = parts.find("number of states q", STATES)?;
    let named = describe(couplings);
    let couplings = matrix(couplings)?;
    let dim = couplings.nrows();
    if couplings.ncols() != dim {
        return Err(format!("{named} should be square"));
    }
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
        let fields = match (fields, states) {
            (Some(fields), _) => matrix(fields)?,
            (None, states) => Array2::zeros((dim, states.unwrap_or(0))),
        };
        if states.is_some_and(|q| q != fields.ncols()) || fields.nrows() != dim {
            let (rows, columns) = fields.dim();
            let q = states.unwrap_or(columns);
            return Err(format!("h is {rows}x{columns}, but {named} and q = {q} states call for {dim}x{q}"));
        }
        parts.note(format!("a Potts model of {dim} sites with {} states", fields.ncols()));
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
    let units = units(parts, options)?;
    parts.note(format!("a Boltzmann machine of {dim} units, {}", super::rbm::shown(units)));
    Ok(Arc::new(Boltzmann::new(couplings, fields, units).map_err(|e| e.to_string())?))
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
