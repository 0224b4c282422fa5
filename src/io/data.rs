//! Data files: rows are examples.

use std::path::Path;

use ndarray::{Array2, ArrayD};

use super::bytes::{Budget, gunzip, read_file};
use super::format::{Format, recognise};
use super::tensors::{Tensors, read_arrays};
use super::{Parsed, csv};
use crate::error::{Error, Result};

/// Names under which an array is taken for the data, where a file holds several.
const NAMES: &[&str] = &["data", "x", "v", "samples", "states", "images", "x_train", "train"];

/// Reads examples as rows (n, dim): `.npy`, `.npz`, `.safetensors` or `.mat`, a table as text (comma, semicolon, tab or space between
/// cells, optional header), or MNIST's idx images, each possibly gzipped; recognised by content.
///
/// Arrays with more than two axes are flattened to one row per entry of the first. A file with several arrays must name one of them
/// `data`, `x`, `v`, `samples`, `states`, `images`, `x_train` or `train`. Bytes in idx images are grey values and are divided by
/// 255; other files' numbers are taken as they are. With `binarize` = t, a value becomes 1 where it exceeds t and 0 elsewhere.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Format`] for damage, for no or several candidate arrays, for an empty, one- or
/// zero-dimensional one, and for a value that is not finite (with its row and column, from 0; in text with its line and column,
/// from 1); [`Error::Setting`] for a threshold that is not finite.
pub fn read_data(path: &Path, binarize: Option<f64>) -> Result<Array2<f64>> {
    if let Some(threshold) = binarize.filter(|t| !t.is_finite()) {
        return Err(Error::setting("--binarize", threshold, "a threshold is a finite number, usually 0.5"));
    }
    let stored = read_file(path)?;
    let mut budget = Budget::new(stored.len());
    let parsed = gunzip(stored, &mut budget).and_then(|bytes| match recognise(&bytes)? {
        Format::Text => csv::read(&bytes),
        format => read_arrays(format, &bytes, &mut budget).and_then(choose).and_then(rows),
    });
    let mut data = parsed.map_err(|message| Error::Format { path: path.into(), message })?;
    if let Some(threshold) = binarize {
        data.mapv_inplace(|x| f64::from(u8::from(x > threshold)));
    }
    Ok(data)
}

/// The one array that is the data.
fn choose(tensors: Tensors) -> Parsed<ArrayD<f64>> {
    let summary = tensors.summary();
    let mut items = tensors.items;
    if items.len() > 1 {
        items.retain(|t| NAMES.contains(&t.name.to_lowercase().as_str()));
    }
    match (items.pop(), items.is_empty()) {
        (Some(tensor), true) => Ok(tensor.values),
        _ => Err(format!(
            "which array is the data? The file holds {summary}; keep one, or name exactly one of them `data`"
        )),
    }
}

/// One row per entry of the first axis, checked.
fn rows(array: ArrayD<f64>) -> Parsed<Array2<f64>> {
    let shape = array.shape().to_vec();
    if array.is_empty() {
        return Err(format!("the array has shape {shape:?}, so there are no data"));
    }
    let [count, sides @ ..] = shape.as_slice() else {
        return Err("the array is a single number; data are rows of numbers".into());
    };
    if sides.is_empty() {
        return Err(format!(
            "the array is one list of {count} numbers, like labels; data have one row per example: shape ({count}, 1) or (1, {count})"
        ));
    }
    let width: usize = sides.iter().product();
    let data = array.into_shape_with_order((*count, width)).expect("arrays from files are in C order");
    match data.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), value)) => {
            Err(format!("row {row}, column {column} is {value}; data must be finite"))
        }
        None => Ok(data),
    }
}
