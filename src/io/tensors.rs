//! Named arrays out of any file that holds some: the step between a format and a model.

use std::path::Path;

use ndarray::ArrayD;

use super::bytes::{Budget, digest, gunzip, printable, read_file};
use super::dtype::Dtype;
use super::format::{Format, recognise};
use super::npy::Contents;
use super::{Parsed, idx, mat, npy, npz, safetensors};
use crate::error::{Error, Result};

/// A named array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in the file, with characters that a terminal would act on escaped.
    pub name: String,
    /// Its values.
    pub values: ArrayD<f64>,
    /// The type it was stored in: `f64`, `f32`, `bf16`, `bool`, …
    pub dtype: &'static str,
}

impl Tensor {
    pub(super) fn new(name: &str, values: ArrayD<f64>, dtype: Dtype) -> Self {
        Self { name: printable(name), values, dtype: dtype.name() }
    }
}

/// Everything that a file of arrays holds, in the file's order (`.safetensors`: by name).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// The format: `.npz`, `.safetensors`, …
    pub format: &'static str,
    /// The arrays of real numbers.
    pub items: Vec<Tensor>,
    /// What else there is, as "name: why it was not read".
    pub skipped: Vec<String>,
    /// SHA-256 of the file's bytes as they are on disk, in hexadecimal.
    pub digest: String,
}

impl Tensors {
    pub(super) fn new(format: &'static str) -> Self {
        Self { format, items: Vec::new(), skipped: Vec::new(), digest: String::new() }
    }

    pub(super) fn push(&mut self, tensor: Tensor) {
        self.items.push(tensor);
    }

    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push(format!("{}: {reason}", printable(name)));
    }

    /// The arrays' names and shapes in one line, for messages.
    pub(super) fn summary(&self) -> String {
        const MOST: usize = 20;
        let mut all: Vec<_> =
            self.items.iter().map(|t| format!("`{}` {:?}", t.name, t.values.shape())).collect();
        all.extend(self.skipped.iter().map(|line| format!("(not read: {line})")));
        if all.len() > MOST {
            let more = all.len() - MOST;
            all.truncate(MOST);
            all.push(format!("and {more} more"));
        }
        if all.is_empty() { "nothing".into() } else { all.join(", ") }
    }
}

/// Reads `.npz`, `.npy`, `.safetensors`, MATLAB level 5 `.mat` or MNIST idx, gzipped or not, recognised by content.
///
/// All numbers become f64. A file may grow to max(64 MiB, 200 × its size) bytes, decompressed or as f64.
///
/// # Errors
/// [`Error::File`] if it cannot be read, [`Error::Format`] if it is damaged or of another format.
pub fn read_tensors(path: &Path) -> Result<Tensors> {
    let mut opened = Opened::new(path)?;
    opened.tensors().map_err(|message| Error::Format { path: path.into(), message })
}

/// A file's bytes, decompressed and recognised.
pub(super) struct Opened {
    pub(super) bytes: Vec<u8>,
    pub(super) format: Format,
    pub(super) digest: String,
    pub(super) budget: Budget,
}

impl Opened {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let stored = read_file(path)?;
        let digest = digest(&stored);
        let mut budget = Budget::new(stored.len());
        let recognised = gunzip(stored, &mut budget).and_then(|bytes| Ok((recognise(&bytes)?, bytes)));
        let (format, bytes) = recognised.map_err(|message| Error::Format { path: path.into(), message })?;
        Ok(Self { bytes, format, digest, budget })
    }

    /// The arrays in it.
    pub(super) fn tensors(&mut self) -> Parsed<Tensors> {
        let tensors = match self.format {
            Format::Text => {
                Err("this is text, not a file of arrays; models are .onnx, .npz, .safetensors or .mat (-v7)"
                    .into())
            }
            format => read_arrays(format, &self.bytes, &mut self.budget),
        }?;
        Ok(Tensors { digest: self.digest.clone(), ..tensors })
    }
}

/// Reads what [`recognise`] found to be in `format`.
pub(super) fn read_arrays(format: Format, bytes: &[u8], budget: &mut Budget) -> Parsed<Tensors> {
    match format {
        Format::Zip => npz::read(bytes, budget),
        Format::Safetensors => safetensors::read(bytes, budget),
        Format::Mat => mat::read(bytes, budget),
        Format::Npy => match npy::read(bytes, budget)? {
            Contents::Numbers(values, dtype) => Ok(single(".npy", Tensor::new("array", values, dtype))),
            Contents::Other(descr) => Err(format!("the array's NumPy type {descr} is not real numbers")),
        },
        Format::Idx => idx::read(bytes, budget).map(|tensor| single("idx", tensor)),
        Format::Onnx => Err("this is an ONNX network, not a file of arrays".into()),
        Format::Text => Err("text holds no arrays".into()),
    }
}

fn single(format: &'static str, tensor: Tensor) -> Tensors {
    let mut tensors = Tensors::new(format);
    tensors.push(tensor);
    tensors
}
