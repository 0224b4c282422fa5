//! Output files: refused before any work is done where they could not be written.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use lnz::{Error, Result};

/// Checks that `path`, which `option` names, has one of the `extensions` (none: any), is no input, and could be written, without
/// changing it.
pub(crate) fn check(option: &str, path: &Path, extensions: &[&str], inputs: &[&Path]) -> Result<()> {
    let refuse =
        |message: String| Err(Error::Format { path: path.into(), message: format!("{option} {message}") });
    if !extensions.is_empty() && !extensions.contains(&extension(path).as_str()) {
        return refuse(format!("must end in .{}", extensions.join(" or .")));
    }
    if path.is_dir() {
        return refuse("is a directory; name a file in it".into());
    }
    if let Ok(target) = path.canonicalize()
        && inputs.iter().any(|input| input.canonicalize().is_ok_and(|input| input == target))
    {
        return refuse("would overwrite the input; choose another name".into());
    }
    let failed = |source| Err(Error::File { path: path.into(), source });
    match fs::metadata(path) {
        // Opening a pipe or a device may do things; it is written to in the end or not.
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        Ok(metadata) if metadata.permissions().readonly() => {
            return refuse("is a read-only file; choose another name".into());
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return failed(error),
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return refuse(format!("lies in {}, which is not a directory", directory.display()));
    }
    let Some(name) = path.file_name() else {
        return refuse("is not a file's name".into());
    };
    probe(&directory.join(name), path)
}

/// Rights, read-only file systems and overlong names show only when a file is made; the real write makes one beside, too.
fn probe(beside: &Path, path: &Path) -> Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(beside.file_name().unwrap_or_default());
    name.push(format!(".{}.probe", std::process::id()));
    let probe = beside.with_file_name(name);
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    made.and_then(|_| fs::remove_file(&probe)).map_err(|source| Error::File { path: path.into(), source })
}

/// Checks that files could be made in the directory that `option` names, which may be missing, without making it.
pub(crate) fn check_directory(path: &Path, option: &str) -> Result<()> {
    let mut existing = path;
    while !existing.exists() {
        existing = match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    if !existing.is_dir() {
        let message = format!("{option} {} is not a directory", existing.display());
        return Err(Error::Format { path: path.into(), message });
    }
    probe(&existing.join("lnz"), path)
}

/// What the name ends in, in small letters.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// A failure to write after all checks is the machine's, not the input's.
pub(crate) fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}
