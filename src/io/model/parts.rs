//! A file's tensors while a model is made of them: lookup by name, shapes, and the notes on what was taken for what.

use ndarray::{Array1, Array2, Dimension, Ix2};

use crate::io::Parsed;
use crate::io::tensors::{Tensor, Tensors};

/// The tensors, which of them have found a meaning, and how.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    tensors: &'a Tensors,
    taken: Vec<bool>,
    notes: Vec<String>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(tensors: &'a Tensors) -> Self {
        let notes = vec![format!("format: {}", tensors.format), format!("sha256: {}", tensors.digest)];
        Self { tensors, taken: vec![false; tensors.items.len()], notes }
    }

    /// The tensor with one of `names`, as it becomes `role`.
    pub(super) fn find(&mut self, role: &str, names: &[&str]) -> Parsed<Option<&'a Tensor>> {
        let mut found = (0..self.taken.len()).filter(|&i| names.contains(&self.base_name(i).as_str()));
        let (first, second) = (found.next(), found.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!(
                "both `{}` and `{}` could be the {role}; keep one in the file (it holds {})",
                self.tensors.items[first].name,
                self.tensors.items[second].name,
                self.tensors.summary()
            ));
        }
        first.map(|index| self.take(index, role, "")).transpose()
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
        let mut found = (0..self.taken.len()).filter(|&i| !self.taken[i] && fits(&self.tensors.items[i]));
        let (first, second) = (found.next(), found.next());
        if let (Some(first), Some(second)) = (first, second) {
            return Err(format!(
                "by their shapes, both `{}` and `{}` could be the {role}; name one of them so (the file holds {})",
                self.tensors.items[first].name,
                self.tensors.items[second].name,
                self.tensors.summary()
            ));
        }
        first.map(|index| self.take(index, role, ", by its shape")).transpose()
    }

    /// What to say when `role` is not there.
    pub(super) fn missing(&self, role: &str, names: &[&str]) -> String {
        format!("no {role}: name it one of {} (the file holds {})", names.join(", "), self.tensors.summary())
    }

    /// Whether any tensor has one of `names`.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        (0..self.taken.len()).any(|i| names.contains(&self.base_name(i).as_str()))
    }

    /// How many tensors without a meaning `fit`.
    pub(super) fn count_spare(&self, fits: impl Fn(&Tensor) -> bool) -> usize {
        self.tensors.items.iter().zip(&self.taken).filter(|&(tensor, taken)| !taken && fits(tensor)).count()
    }

    /// A line for the notes.
    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// The notes, with what was left over.
    pub(super) fn into_notes(mut self) -> Vec<String> {
        for (tensor, _) in self.tensors.items.iter().zip(&self.taken).filter(|(_, taken)| !**taken) {
            self.notes.push(format!("{}: not used", describe(tensor)));
        }
        self.notes.extend(self.tensors.skipped.iter().map(|line| format!("not read: {line}")));
        self.notes
    }

    fn take(&mut self, index: usize, role: &str, how: &str) -> Parsed<&'a Tensor> {
        let tensor = &self.tensors.items[index];
        self.taken[index] = true;
        self.notes.push(format!("{}: {role}{how}", describe(tensor)));
        match tensor.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some((at, value)) => {
                Err(format!("`{}`{:?} is {value}; parameters must be finite", tensor.name, at.slice()))
            }
            None => Ok(tensor),
        }
    }

    /// The name without what stands before its last dot, in lower case.
    fn base_name(&self, index: usize) -> String {
        let name = &self.tensors.items[index].name;
        name.rsplit('.').next().unwrap_or(name).to_lowercase()
    }
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
