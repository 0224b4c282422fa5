//! A file's tensors while a model is made of them: lookup by name, shapes, and the notes on what was taken for what.

use ndarray::{Array1, Array2, Dimension, Ix2};

use super::bystanders::{bystander, is_optimizers};
use super::names::{PARAMETERS, is_one_of};
use crate::io::Parsed;
use crate::io::tensors::{Tensor, Tensors};
use crate::wording::quoted;

/// The tensors, which of them have found a meaning, and how.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    tensors: &'a Tensors,
    uses: Vec<Use>,
    notes: Vec<String>,
    assumed: Vec<String>,
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    /// It has found a meaning.
    Taken,
    /// It is none of the model's, but what its name says.
    Bystander(&'static str),
    /// Nothing is known of it yet.
    Spare,
}

/// One side of a model: arrays whose every axis is as long as one of them may be parameters.
#[derive(Debug)]
pub(super) struct Side {
    /// Of what: `visible units`.
    pub(super) name: &'static str,
    pub(super) length: usize,
    /// Names that a vector of this length would be read by.
    pub(super) names: &'static str,
}

impl<'a> Parts<'a> {
    pub(super) fn new(tensors: &'a Tensors) -> Self {
        let names = || tensors.items.iter().map(|tensor| tensor.name.as_str());
        let of = |name: &str| match bystander(name) {
            _ if is_optimizers(name, names()) => Use::Bystander("the state of an optimizer"),
            Some(what) => Use::Bystander(what),
            None => Use::Spare,
        };
        let notes = vec![format!("format: {}", tensors.format), format!("sha256: {}", tensors.digest)];
        Self { tensors, uses: names().map(of).collect(), notes, assumed: Vec::new() }
    }

    /// The tensor with one of `names`, as it becomes `role`.
    pub(super) fn find(&mut self, role: &str, names: &[&str]) -> Parsed<Option<&'a Tensor>> {
        let mut found = (0..self.uses.len()).filter(|&index| self.is_named(index, names));
        let (first, second) = (found.next(), found.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!(
                "both `{}` and `{}` could be the {role}; keep one in the file (it holds {})",
                self.tensors.items[first].name,
                self.tensors.items[second].name,
                self.tensors.summary()
            ));
        }
        match (first, self.skipped(names)) {
            (Some(index), _) => self.take(index, role, "").map(Some),
            (None, Some((name, reason))) => Err(format!(
                "`{name}` is the {role} by its name, but it is not read: {reason}; store it as real numbers, or leave it out with \
                 --ignore {name}"
            )),
            (None, None) => Ok(None),
        }
    }

    /// The one of several parameters that stand for the same thing, each with its number among them.
    pub(super) fn find_one(&mut self, choices: &[(&str, &[&str])]) -> Parsed<Option<(usize, &'a Tensor)>> {
        let mut found: Option<(usize, &'a Tensor)> = None;
        for (number, (role, names)) in choices.iter().enumerate() {
            if let Some(tensor) = self.find(role, names)? {
                if let Some((before, other)) = found {
                    return Err(format!(
                        "both `{}` and `{}` could be the {}; keep one in the file",
                        other.name, tensor.name, choices[before].0
                    ));
                }
                found = Some((number, tensor));
            }
        }
        Ok(found)
    }

    /// As [`Parts::find`], where the model cannot do without.
    pub(super) fn require(&mut self, role: &str, names: &[&str]) -> Parsed<&'a Tensor> {
        self.find(role, names)?.ok_or_else(|| self.missing(role, names))
    }

    /// The one tensor without a meaning that `fits`, as it becomes `role`; `None` if none fits.
    pub(super) fn find_by_shape(
        &mut self,
        role: &str,
        fits: impl Fn(&Tensor) -> bool,
    ) -> Parsed<Option<&'a Tensor>> {
        let mut found = self.spare().filter(|&index| fits(&self.tensors.items[index]));
        let (first, second) = (found.next(), found.next());
        drop(found);
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!(
                "by their shapes, both `{}` and `{}` could be the {role}; name one of them so, or leave the other out with --ignore \
                 (the file holds {})",
                self.tensors.items[first].name,
                self.tensors.items[second].name,
                self.tensors.summary()
            ));
        }
        let Some(index) = first else { return Ok(None) };
        let name = &self.tensors.items[index].name;
        self.assumed.push(format!("`{name}` is taken for the {role}, by its shape"));
        self.take(index, role, ", by its shape").map(Some)
    }

    /// What to say when `role` is not there.
    pub(super) fn missing(&self, role: &str, names: &[&str]) -> String {
        format!("no {role}: name it one of {} (the file holds {})", names.join(", "), self.tensors.summary())
    }

    /// Whether any tensor has one of `names`.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        (0..self.uses.len()).any(|index| self.is_named(index, names))
    }

    /// The first tensor with one of `names`, which stays without a meaning.
    pub(super) fn named(&self, names: &[&str]) -> Option<&'a Tensor> {
        (0..self.uses.len())
            .find(|&index| self.is_named(index, names))
            .map(|index| &self.tensors.items[index])
    }

    /// Name and reason of what has one of `names` and could not be read.
    pub(super) fn skipped(&self, names: &[&str]) -> Option<(&'a str, &'a str)> {
        self.tensors
            .skipped
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| is_one_of(name, names))
    }

    /// How many tensors without a meaning `fit`.
    pub(super) fn count_spare(&self, fits: impl Fn(&Tensor) -> bool) -> usize {
        self.spare().filter(|&index| fits(&self.tensors.items[index])).count()
    }

    /// A line for the notes.
    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// A line for the notes that a person should check.
    pub(super) fn assume(&mut self, line: impl Into<String>) {
        let line = line.into();
        self.notes.push(line.clone());
        self.assumed.push(line);
    }

    /// Refuses a tensor that was not used, though its name or its shape says that it belongs to this `model` of these `sides`.
    pub(super) fn check_spare(&self, model: &str, sides: &[Side]) -> Parsed<()> {
        for tensor in self.spare().map(|index| &self.tensors.items[index]) {
            let of_side = |length: usize| sides.iter().filter(move |side| side.length == length);
            let long: Vec<usize> =
                tensor.values.shape().iter().copied().filter(|length| *length != 1).collect();
            let fits = !long.is_empty() && long.iter().all(|length| of_side(*length).next().is_some());
            let ignore = format!("leave it out with --ignore {}", quoted(&tensor.name));
            let named = PARAMETERS.iter().find(|(_, names)| is_one_of(&tensor.name, names));
            let what = describe(tensor);
            if let Some((role, _)) = named {
                let or = match long[..] {
                    [length] if fits => format!("name it by what it is here ({}), ", names(of_side(length))),
                    _ => String::new(),
                };
                return Err(format!(
                    "{what} is the {role} by its name, and {model} has none; {or}fold it into the other parameters, or {ignore}"
                ));
            }
            if fits && long.len() == 1 {
                let side = of_side(long[0]).next().expect("it fits").name;
                let names = names(of_side(long[0]));
                return Err(format!(
                    "{what} is as long as the {side} and is not used; name it by what it is ({names}), or {ignore}"
                ));
            }
            if fits {
                let sides: Vec<&str> =
                    long.iter().filter_map(|length| of_side(*length).next()).map(|side| side.name).collect();
                return Err(format!(
                    "{what} has a shape of parameters ({}) and is not used; {model} has no such others, so {ignore} if the energy \
                     has no part of it",
                    sides.join(" x ")
                ));
            }
        }
        Ok(())
    }

    /// The notes, with what was left over, and what a person should check.
    pub(super) fn into_notes(mut self) -> (Vec<String>, Vec<String>) {
        for (tensor, what) in self.tensors.items.iter().zip(&self.uses) {
            match what {
                Use::Taken => {}
                Use::Bystander(what) => {
                    self.notes.push(format!("{}: not used ({what}, by its name)", describe(tensor)));
                }
                Use::Spare => self.notes.push(format!("{}: not used", describe(tensor))),
            }
        }
        self.notes.extend(self.tensors.skipped.iter().map(|line| format!("not read: {line}")));
        (self.notes, self.assumed)
    }

    fn take(&mut self, index: usize, role: &str, how: &str) -> Parsed<&'a Tensor> {
        let tensor = &self.tensors.items[index];
        self.uses[index] = Use::Taken;
        self.notes.push(format!("{}: {role}{how}", describe(tensor)));
        match tensor.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some((at, value)) => {
                Err(format!("`{}`{:?} is {value}; parameters must be finite", tensor.name, at.slice()))
            }
            None => Ok(tensor),
        }
    }

    /// Whether a tensor is called one of `names`, and is not what an optimizer keeps for the one that is.
    fn is_named(&self, index: usize, names: &[&str]) -> bool {
        !matches!(self.uses[index], Use::Bystander(_)) && is_one_of(&self.tensors.items[index].name, names)
    }

    fn spare(&self) -> impl Iterator<Item = usize> {
        (0..self.uses.len()).filter(|&index| self.uses[index] == Use::Spare)
    }
}

/// What arrays as long as these sides may be called.
fn names<'s>(sides: impl Iterator<Item = &'s Side>) -> String {
    sides.map(|side| side.names).collect::<Vec<_>>().join(", ")
}

/// Name, shape and type for people.
pub(super) fn describe(tensor: &Tensor) -> String {
    format!("`{}` {:?} {}", tensor.name, tensor.values.shape(), tensor.dtype)
}

/// Whether at most one side is longer than 1: n, 1×n, n×1 or a single number.
pub(super) fn is_vector(tensor: &Tensor) -> bool {
    tensor.values.ndim() <= 2 && tensor.values.shape().iter().filter(|&&side| side != 1).count() <= 1
}

/// A vector's values.
pub(super) fn vector(tensor: &Tensor) -> Parsed<Array1<f64>> {
    if is_vector(tensor) {
        Ok(tensor.values.iter().copied().collect())
    } else {
        Err(format!("{} should be a vector: n, 1xn or nx1", describe(tensor)))
    }
}

/// The values of a matrix; a vector of n is n×1.
pub(super) fn matrix(tensor: &Tensor) -> Parsed<Array2<f64>> {
    match tensor.values.ndim() {
        0 | 1 => Ok(vector(tensor)?.insert_axis(ndarray::Axis(1))),
        _ => tensor
            .values
            .clone()
            .into_dimensionality::<Ix2>()
            .map_err(|_| format!("{} should have two axes", describe(tensor))),
    }
}

/// The one number of a scalar, () or (1) or (1, 1).
pub(super) fn scalar(tensor: &Tensor) -> Parsed<f64> {
    match (tensor.values.len(), tensor.values.first()) {
        (1, Some(&value)) => Ok(value),
        _ => Err(format!("{} should be a single number", describe(tensor))),
    }
}

/// A scalar that is 0 or 1.
pub(super) fn flag(tensor: &Tensor) -> Parsed<bool> {
    match scalar(tensor)? {
        0.0 => Ok(false),
        1.0 => Ok(true),
        other => Err(format!(
            "`{}` is {}; it should be true or false (1 or 0)",
            tensor.name,
            crate::wording::number(other)
        )),
    }
}
