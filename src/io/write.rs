//! Files written whole or not at all: models and arrays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Cursor, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array0, ArrayViewD, Axis};
use safetensors::tensor::TensorView;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::npy;
use crate::error::{Error, Result};
use crate::models::network::Network;
use crate::models::{Boltzmann, GaussianRbm, Model, Rbm, Tilted, downcast, rbm::Units};

/// Writes `path` so that at no moment a partial file has that name: into a new file beside it, which is flushed to disk and renamed.
/// On failure nothing is left behind and what was there stays. A symbolic link stays one; what is no regular file (a pipe,
/// `/dev/stdout`) is written to directly.
///
/// # Errors
/// [`Error::File`] for what the operating system or `write` reports, or if the file there is read-only.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    replace(path, write).map_err(|source| Error::File { path: path.into(), source })
}

fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let present = fs::metadata(path).ok();
    if present.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut writer = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        write(&mut writer)?;
        return writer.flush();
    }
    let target = if present.is_some() { path.canonicalize()? } else { path.to_path_buf() };
    let (mut writer, temporary) = Temporary::beside(&target)?;
    if let Some(metadata) = present {
        if metadata.permissions().readonly() {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "the file is read-only"));
        }
        writer.get_ref().set_permissions(metadata.permissions())?;
    }
    write(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    fs::rename(&temporary.0, &target)
}

/// A file that is deleted again unless it has been renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(target: &Path) -> io::Result<(BufWriter<File>, Self)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            target.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file's name"))?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{number}.tmp", process::id()));
            let temporary = target.with_file_name(temporary);
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => return Ok((BufWriter::new(file), Self(temporary))),
                // Left over from another process that had this number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to delete, and that is the usual case.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes one array as `.npy` (f64, C order), atomically.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_npy(path: &Path, array: ArrayViewD<'_, f64>) -> Result<()> {
    write_atomically(path, |writer| put_npy(writer, &array))
}

/// Writes named arrays as an uncompressed `.npz` (f64), atomically; the same arrays give the same bytes.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_npz(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)]) -> Result<()> {
    write_atomically(path, |writer| {
        let mut archive = ZipWriter::new(writer);
        for (name, array) in arrays {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(array.len() >= 1 << 28);
            archive.start_file(format!("{name}.npy"), options)?;
            put_npy(&mut archive, array)?;
        }
        archive.finish()?;
        Ok(())
    })
}

fn put_npy(writer: &mut impl Write, array: &ArrayViewD<'_, f64>) -> io::Result<()> {
    writer.write_all(&npy::header("<f8", array.shape()))?;
    array.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))
}

/// Writes a model that was trained here: [`write_rbm`]; `vishid` (visible, hidden), divided by
/// σ² in the energy, `b`, `c` and `sigma` of a Gaussian one; `J`, `h`, `spins` (1 for ±1 units, 0 for bits) and what there is of an
/// `offset` of a Boltzmann machine without hidden units;
/// the constants of a network by their names, without its base.
///
/// # Errors
/// As [`write_rbm`]; [`Error::Format`] for a model of another kind.
pub fn write_model(path: &Path, model: &Arc<dyn Model>) -> Result<()> {
    if let Some(rbm) = downcast::<Rbm>(model) {
        return write_rbm(path, &rbm);
    }
    let inner =
        downcast::<Tilted>(model).map_or_else(|| Arc::clone(model), |tilted| Arc::clone(tilted.model()));
    if let Some(network) = downcast::<Network>(&inner) {
        return write_arrays(path, &network.constants().collect::<Vec<_>>());
    }
    if let Some(rbm) = downcast::<GaussianRbm>(model) {
        return write_gaussian_rbm(path, &rbm);
    }
    let Some(machine) = downcast::<Boltzmann>(model) else {
        return Err(format_error(path, format!("a model of kind {} is not written", model.kind())));
    };
    let spins = Array0::from_elem((), f64::from(u8::from(machine.units() == Units::Spins)));
    let offset = Array0::from_elem((), machine.offset());
    let mut arrays = vec![
        ("J", machine.couplings().view().into_dyn()),
        ("h", machine.fields().view().into_dyn()),
        ("spins", spins.view().into_dyn()),
    ];
    if machine.offset() != 0.0 {
        arrays.push(("offset", offset.view().into_dyn()));
    }
    write_arrays(path, &arrays)
}

/// Writes a machine with the names `W` (visible, hidden), `b`, `c`, where known `base_rates`, for ±1 units `spins`, and the `offset`
/// of an energy that has one; atomically.
/// `.npz` holds f64; `.safetensors` holds f32, the nearest to each parameter.
///
/// # Errors
/// As [`write_atomically`]; [`Error::Format`] for another extension, or a parameter beyond the range of f32 in `.safetensors`.
pub fn write_rbm(path: &Path, rbm: &Rbm) -> Result<()> {
    let (weights, visible_bias, hidden_bias) = rbm.own_parameters();
    let (spins, offset) = (Array0::from_elem((), 1.0), Array0::from_elem((), rbm.own_offset()));
    let mut arrays = vec![
        ("W", weights.view().into_dyn()),
        ("b", visible_bias.view().into_dyn()),
        ("c", hidden_bias.view().into_dyn()),
    ];
    if let Some(rates) = rbm.base_rates() {
        arrays.push(("base_rates", rates.view().into_dyn()));
    }
    if rbm.units() == Units::Spins {
        arrays.push(("spins", spins.view().into_dyn()));
    }
    if rbm.own_offset() != 0.0 {
        arrays.push(("offset", offset.view().into_dyn()));
    }
    write_arrays(path, &arrays)
}

/// W as [`Convention::Cho`](crate::models::gaussian_rbm::Convention::Cho) has it, under a name that tells how it lies.
fn write_gaussian_rbm(path: &Path, rbm: &GaussianRbm) -> Result<()> {
    let sigma = rbm.sigma();
    let weights = rbm.scaled_weights() * &sigma.mapv(|s| s * s).insert_axis(Axis(1));
    let arrays = [
        ("vishid", weights.view().into_dyn()),
        ("b", rbm.visible_bias().view().into_dyn()),
        ("c", rbm.hidden_bias().view().into_dyn()),
        ("sigma", sigma.view().into_dyn()),
    ];
    write_arrays(path, &arrays)
}

/// By the extension of `path`.
fn write_arrays(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)]) -> Result<()> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("npz") => write_npz(path, arrays),
        Some("safetensors") => write_safetensors(path, arrays),
        _ => Err(format_error(path, "a model is written to a file that ends in .npz or .safetensors")),
    }
}

fn write_safetensors(path: &Path, arrays: &[(&str, ArrayViewD<'_, f64>)]) -> Result<()> {
    let mut stored = Vec::new();
    for (name, array) in arrays {
        let mut bytes = Vec::with_capacity(4 * array.len());
        for &value in array {
            let nearest = value as f32;
            if !nearest.is_finite() {
                return Err(format_error(
                    path,
                    format!("{name} holds {}, which f32 cannot; write .npz", crate::wording::number(value)),
                ));
            }
            bytes.extend(nearest.to_le_bytes());
        }
        stored.push((*name, array.shape().to_vec(), bytes));
    }
    let views = stored.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (*name, view.expect("as many bytes as the shape says"))
    });
    let bytes = safetensors::serialize(views, None).map_err(|e| format_error(path, e.to_string()))?;
    write_atomically(path, |writer| io::copy(&mut Cursor::new(bytes), writer).map(|_| ()))
}

fn format_error(path: &Path, message: impl Into<String>) -> Error {
    Error::Format { path: path.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.txt");
        write_atomically(&path, |w| w.write_all(b"first")).expect("writable");
        let failed = write_atomically(&path, |w| {
            w.write_all(b"sec")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.expect_err("reported").to_string().contains("the disk is full"));
        assert_eq!(fs::read(&path).expect("still there"), b"first");
        assert_eq!(names(directory.path()), ["a.txt"]);
        write_atomically(&path, |w| w.write_all(b"second")).expect("writable");
        assert_eq!(fs::read(&path).expect("replaced"), b"second");
        assert_eq!(names(directory.path()), ["a.txt"]);
        let missing = directory.path().join("no/such/a.txt");
        assert!(
            write_atomically(&missing, |_| Ok(())).expect_err("no directory").to_string().contains("a.txt")
        );
        assert!(write_atomically(directory.path(), |_| Ok(())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_survive_and_devices_are_written_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, b"old").expect("writable");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("own file");
        symlink(&real, &link).expect("links");
        write_atomically(&link, |w| w.write_all(b"new")).expect("writable");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&real).expect("written through the link"), b"new");
        assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o640);
        write_atomically(Path::new("/dev/null"), |w| w.write_all(b"x")).expect("a device");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o440)).expect("own file");
        assert!(
            write_atomically(&real, |_| Ok(())).expect_err("read-only").to_string().contains("read-only")
        );
    }
}
