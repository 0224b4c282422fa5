//! Offsets in a file: what is subtracted from units, and what is added to every energy.

use ndarray::Array1;

use super::names::{HIDDEN_OFFSET, OFFSET, TEMPERATURE, VISIBLE_OFFSET};
use super::parts::{Parts, describe, scalar, vector};
use crate::io::Parsed;
use crate::io::tensors::Tensor;

/// What is subtracted from visible and from hidden units.
#[derive(Debug)]
pub(super) struct Centring {
    pub(super) visible: Array1<f64>,
    pub(super) hidden: Array1<f64>,
}

impl Centring {
    /// Whether nothing is subtracted.
    pub(super) fn is_none(&self) -> bool {
        self.visible.iter().chain(&self.hidden).all(|offset| *offset == 0.0)
    }

    /// As long as the sides, where one number stands for all of a side.
    pub(super) fn of(self, visible: usize, hidden: usize) -> Parsed<Self> {
        let fill = |offsets: Array1<f64>, length: usize, side: &str| match offsets.len() {
            1 => Ok(Array1::from_elem(length, offsets[0])),
            found if found == length => Ok(offsets),
            found => Err(format!("{found} offsets for {length} {side} units")),
        };
        Ok(Self {
            visible: fill(self.visible, visible, "visible")?,
            hidden: fill(self.hidden, hidden, "hidden")?,
        })
    }
}

/// The offsets of the units of an RBM, zero where there are none.
pub(super) fn centring(parts: &mut Parts<'_>) -> Parsed<Centring> {
    let visible = parts.find("offset of the visible units", VISIBLE_OFFSET)?;
    let hidden = parts.find("offset of the hidden units", HIDDEN_OFFSET)?;
    if visible.is_some() != hidden.is_some() {
        parts.assume("offsets of one side only: those of the other are taken to be zero");
    }
    let offsets = |found: Option<&Tensor>| found.map_or_else(|| Ok(Array1::zeros(1)), vector);
    Ok(Centring { visible: offsets(visible)?, hidden: offsets(hidden)? })
}

/// What is added to the energy of every state; a temperature beside it must be 1.
pub(super) fn energy_offset(parts: &mut Parts<'_>) -> Parsed<f64> {
    check_temperature(parts, "temperature", TEMPERATURE)?;
    let Some(tensor) = parts.find("offset of the energy", OFFSET)? else { return Ok(0.0) };
    scalar(tensor).map_err(|message| {
        format!(
            "{message} that is added to the energy; offsets of units are named visible_offset and hidden_offset, and {} may be left \
             out with --ignore",
            describe(tensor)
        )
    })
}

/// Refuses a stored temperature (or its inverse) other than 1: some divide the parameters by it and others have done so.
pub(super) fn check_temperature(parts: &mut Parts<'_>, role: &str, names: &[&str]) -> Parsed<()> {
    let Some(tensor) = parts.find(role, names)? else { return Ok(()) };
    match scalar(tensor)? {
        1.0 => Ok(()),
        value => Err(format!(
            "`{}` is {}, and energies are not divided by what a file stores; leave it out with --ignore {}, and state --temperature if \
             the parameters are not scaled already",
            tensor.name,
            crate::wording::number(value),
            tensor.name
        )),
    }
}
