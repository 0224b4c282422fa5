//! NumPy's `.npz`: a zip archive of `.npy` members.

use std::io::Cursor;

use zip::ZipArchive;
use zip::result::ZipError;

use super::bytes::{Budget, printable};
use super::format::PICKLE_REFUSED;
use super::npy::{self, Contents};
use super::tensors::{Tensor, Tensors};
use super::{Parsed, npy::MAGIC};

/// Reads every array of numbers; other members are listed as skipped.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Parsed<Tensors> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))?;
    // A PyTorch checkpoint is a zip archive too.
    if archive.file_names().any(|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
        return Err(PICKLE_REFUSED.into());
    }
    let mut tensors = Tensors::new(".npz");
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|e| damaged(&e))?;
        let full_name = member.name().to_owned();
        let what = format!("member `{}`", printable(&full_name));
        let Some(name) = full_name.strip_suffix(".npy") else {
            tensors.skip(&full_name, "not an .npy member");
            continue;
        };
        let data = budget.read(member, &what)?;
        if !data.starts_with(MAGIC) {
            return Err(format!("{what} is not an .npy array"));
        }
        match npy::read(&data, budget).map_err(|message| format!("{what}: {message}"))? {
            Contents::Numbers(values, dtype) => tensors.push(Tensor::new(name, values, dtype)),
            Contents::Other(descr) => tensors.skip(name, &format!("NumPy type {descr} is not real numbers")),
        }
    }
    Ok(tensors)
}

fn damaged(error: &ZipError) -> String {
    format!("the zip archive is cut short or damaged ({error})")
}
