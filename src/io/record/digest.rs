//! What a record knows programs and references by.

use std::path::Path;

use ndarray::ArrayView2;

use crate::error::Result;
use crate::io::bytes::{digest, read_file};
use crate::models::builtin;

/// The digest of a program that gives energies: SHA-256 of its command, of what the files among its arguments hold, and of the
/// number of coordinates. Other files that it reads are not seen.
///
/// # Errors
/// [`Error::File`](crate::Error::File) for a file among the arguments that cannot be read.
pub fn digest_of_command(words: &[String], dim: usize) -> Result<String> {
    let mut parts = vec![format!("command:{dim}")];
    for (place, word) in words.iter().enumerate() {
        let file = Path::new(word);
        // The interpreter is not what an energy depends on, and differs from machine to machine.
        let part = if place > 0 && file.is_file() { digest(&read_file(file)?) } else { word.clone() };
        parts.push(part);
    }
    Ok(digest(parts.join("\0").as_bytes()))
}

/// The digest of rows of numbers: SHA-256 of their shape and of their bytes as f64, in hexadecimal.
#[must_use]
pub fn digest_of_rows(rows: ArrayView2<'_, f64>) -> String {
    let (count, columns) = rows.dim();
    let shape = [count as u64, columns as u64].into_iter().flat_map(u64::to_le_bytes);
    let bytes: Vec<u8> = shape.chain(rows.iter().flat_map(|x| x.to_le_bytes())).collect();
    digest(&bytes)
}

/// The digest of a built-in reference: SHA-256 of its name and of every parameter, given or default.
///
/// # Errors
/// As [`builtin::parse`].
pub fn digest_of_reference(spec: &str) -> Result<String> {
    builtin::parse(spec)?;
    let body = spec.strip_prefix("ref:").unwrap_or(spec);
    let (name, query) = body.split_once('?').unwrap_or((body, ""));
    let given = |key: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == key);
    let parameters: Vec<String> = builtin::REFERENCES
        .iter()
        .filter(|reference| reference.name == name)
        .flat_map(|reference| reference.parameters)
        .map(|parameter| {
            format!(
                "{}={}",
                parameter.name,
                given(parameter.name).map_or(parameter.default, |(_, value)| value)
            )
        })
        .collect();
    Ok(digest(format!("ref:{name}?{}", parameters.join("&")).as_bytes()))
}
