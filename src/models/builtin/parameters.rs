//! What a reference is built with: values from a query, checked where they are read.

use std::collections::BTreeMap;

use super::Parameter;
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::Lattice;

/// The values that a [`Reference`](super::Reference) is built with.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// What errors quote.
    pub(super) spec: String,
    pub(super) declared: &'static [Parameter],
    pub(super) values: BTreeMap<&'static str, String>,
}

impl Parameters {
    /// The value of `name`, or its default.
    ///
    /// # Panics
    /// When the reference does not declare it.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or_else(
            || {
                let declared = self.declared.iter().find(|parameter| parameter.name == name);
                declared.expect("a reference asks only for parameters that it declares").default
            },
            String::as_str,
        )
    }

    /// A whole number from 1 to `most`: sizes are checked before anything is allocated.
    ///
    /// # Errors
    /// [`Error::Setting`] for anything else.
    pub fn count(&self, name: &str, most: usize) -> Result<usize> {
        match self.text(name).parse() {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => self.refuse(name, &format!("a whole number from 1 to {most}")),
        }
    }

    /// A finite number for which `holds`, described by `what`.
    ///
    /// # Errors
    /// [`Error::Setting`] for anything else.
    pub fn number(&self, name: &str, what: &str, holds: impl Fn(f64) -> bool) -> Result<f64> {
        match self.text(name).parse::<f64>() {
            // Far beyond any use, and small enough that sums and squares stay finite.
            Ok(number) if number.abs() <= 1e6 && holds(number) => Ok(number),
            _ => self.refuse(name, what),
        }
    }

    /// Any number of size at most 10⁶.
    ///
    /// # Errors
    /// [`Error::Setting`] for anything else.
    pub fn any_number(&self, name: &str) -> Result<f64> {
        self.number(name, "a number between -1000000 and 1000000", |_| true)
    }

    /// One of the `choices`, each a word and what it stands for.
    ///
    /// # Errors
    /// [`Error::Setting`] for anything else.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == self.text(name)) {
            return Ok(*choice);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.refuse(name, &words.join(" or "))
    }

    /// A random stream that depends on `seed` alone.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `seed` is a whole number below 2⁶⁴.
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream::new(self.seed()?).child(0x7265_665f_6d6f_6465))
    }

    pub(super) fn seed(&self) -> Result<u64> {
        self.text("seed").parse().or_else(|_| self.refuse("seed", "a whole number from 0 to 2^64 - 1"))
    }

    fn refuse<T>(&self, name: &str, what: &str) -> Result<T> {
        Err(Error::setting(
            "reference",
            &self.spec,
            format!("`{name}` is {}; it must be {what}", self.text(name)),
        ))
    }

    /// The lattice that `side`, `rows`, `columns` and `boundary` describe, of at most `most` sites.
    pub(super) fn lattice(&self, most: usize) -> Result<Lattice> {
        let side =
            |name| if self.text(name) == "side" { self.count("side", most) } else { self.count(name, most) };
        let make = self.choice::<fn(usize, usize) -> Lattice>(
            "boundary",
            &[
                ("torus", |rows, columns| Lattice::Torus { rows, columns }),
                ("grid", |rows, columns| Lattice::Grid { rows, columns }),
                ("ring", |_, sites| Lattice::Ring { sites }),
            ],
        )?;
        let columns = side("columns")?;
        let lattice = if self.text("boundary") == "ring" {
            if self.values.contains_key("rows") {
                return self.refuse("rows", "left out: a ring is one row of `columns` sites");
            }
            make(1, columns)
        } else {
            let rows = side("rows")?;
            if rows.saturating_mul(columns) > most {
                let expected = format!("{rows}x{columns} sites are too many; at most {most} here");
                return Err(Error::setting("reference", &self.spec, expected));
            }
            make(rows, columns)
        };
        lattice.checked()
    }
}
