//! Log-likelihoods of single examples: named columns as `.csv`, or as arrays of an `.npz`.

use std::io::Write;
use std::path::Path;

use ndarray::ArrayView1;

use super::bytes::read_file;
use super::tensors::read_tensors;
use super::write::{write_atomically, write_npz};
use crate::error::{Error, Result};

/// Columns that hold log-likelihoods; others are passed over in reading.
const PREFIX: &str = "log_likelihood";

/// A name, and a number for each example.
pub type Column = (String, Vec<f64>);

/// Writes `columns` of one length, by the extension of `path`: `.npz` as arrays, anything else as comma-separated values with the
/// number of the example, from 0, in front.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_likelihoods(path: &Path, columns: &[Column]) -> Result<()> {
    if is_npz(path) {
        return write_columns(path, columns);
    }
    let examples = columns.first().map_or(0, |(_, values)| values.len());
    let mut numbered = vec![("example".to_owned(), (0..examples).map(|row| row as f64).collect())];
    numbered.extend_from_slice(columns);
    write_columns(path, &numbered)
}

/// Writes `columns` of one length, by the extension of `path`: `.npz` as arrays, anything else as comma-separated values.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_columns(path: &Path, columns: &[Column]) -> Result<()> {
    if is_npz(path) {
        let arrays: Vec<_> = columns
            .iter()
            .map(|(name, values)| (name.as_str(), ArrayView1::from(values).into_dyn()))
            .collect();
        return write_npz(path, &arrays);
    }
    write_atomically(path, |writer| {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        writeln!(writer, "{}", names.join(","))?;
        for row in 0..columns.first().map_or(0, |(_, values)| values.len()) {
            let cells: Vec<String> = columns.iter().map(|(_, values)| values[row].to_string()).collect();
            writeln!(writer, "{}", cells.join(","))?;
        }
        Ok(())
    })
}

/// Reads the columns called `log_likelihood…` of what [`write_likelihoods`] wrote; −∞ is a number there.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Format`] for damage, for a file without such a column or without rows, and for
/// what is no number.
pub fn read_likelihoods(path: &Path) -> Result<Vec<Column>> {
    let refuse = |message: String| Error::Format { path: path.into(), message };
    let mut columns = if is_npz(path) {
        let tensors = read_tensors(path)?.items.into_iter();
        tensors.map(|tensor| (tensor.name, tensor.values.into_iter().collect())).collect()
    } else {
        table(&read_file(path)?).map_err(refuse)?
    };
    columns.retain(|(name, _)| name.starts_with(PREFIX));
    if columns.is_empty() {
        return Err(refuse(format!(
            "there is no column called `{PREFIX}`; --out of lnz evaluate writes such files"
        )));
    }
    for (name, values) in &columns {
        if values.is_empty() {
            return Err(refuse(format!("`{name}` has no rows")));
        }
        if let Some(row) = values.iter().position(|value| value.is_nan() || *value == f64::INFINITY) {
            return Err(refuse(format!("`{name}` of example {row} is {}; no model gives that", values[row])));
        }
    }
    Ok(columns)
}

fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

fn table(bytes: &[u8]) -> Result<Vec<Column>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let mut columns: Vec<Column> = header.iter().map(|name| (name.to_owned(), Vec::new())).collect();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        for ((name, values), cell) in
            columns.iter_mut().zip(&record).filter(|((name, _), _)| name.starts_with(PREFIX))
        {
            let value = cell.parse().map_err(|_| {
                let cell: String = cell.chars().take(40).collect();
                format!("`{name}` of example {row} is {cell:?}, not a number")
            })?;
            values.push(value);
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let columns = vec![
            ("log_likelihood".to_owned(), vec![-1.5, f64::NEG_INFINITY, -2.25e-300]),
            ("log_likelihood_against".to_owned(), vec![-3.0, -4.0, -5.0]),
            ("difference".to_owned(), vec![1.5, f64::NEG_INFINITY, 5.0]),
        ];
        for name in ["a.csv", "a.npz", "a.NPZ"] {
            let path = directory.path().join(name);
            write_likelihoods(&path, &columns).expect("writes");
            assert_eq!(read_likelihoods(&path).expect("reads"), columns[..2], "{name}");
        }
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.csv");
        for (text, says) in [
            ("", "no column"),
            ("a,b\n1,2\n", "no column"),
            ("log_likelihood\n", "no rows"),
            ("example,log_likelihood\n0,x\n", "not a number"),
            ("example,log_likelihood\n0,nan\n", "NaN"),
            ("example,log_likelihood\n0,1,2\n", "fields"),
        ] {
            std::fs::write(&path, text).expect("writes");
            let error = read_likelihoods(&path).expect_err(text).to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
