//! Reduced energies of samples at many states, as `.npz`: what acceptance ratios are computed from, here or elsewhere.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, Ix2, Ix3, aview0, stack};

use super::tensors::{Tensors, read_tensors};
use super::write::write_npz;
use crate::error::{Error, Result};
use crate::estimators::samples::Samples;
use crate::paths::Schedule;

/// What a file of energies holds: `u_kn` (states, samples) with `N_k`, the names and shapes of free-energy programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Energies {
    /// u_k(x_n), (states, samples), samples ordered by the state that they came from.
    pub energies: Array2<f64>,
    /// Samples of each state.
    pub counts: Vec<usize>,
    /// The tempering run that they came from, and log Z of its reference.
    pub run: Option<(Samples, f64)>,
}

/// Writes the states that a tempering run kept: `u_kn`, `N_k`, and what else [`read_energies`] needs to know it as one.
///
/// # Errors
/// As [`write_npz`].
pub fn write_energies(path: &Path, samples: &Samples, log_z_reference: f64) -> Result<()> {
    let counts = Array1::from_elem(samples.energies.nrows(), samples.kept() as f64);
    let betas = Array1::from(samples.schedule.betas().to_vec());
    let systems = samples.systems as f64;
    write_npz(
        path,
        &[
            ("u_kn", samples.energies.view().into_dyn()),
            ("N_k", counts.view().into_dyn()),
            ("betas", betas.view().into_dyn()),
            ("derivatives", samples.derivatives.view().into_dyn()),
            ("jumps", samples.jumps.view().into_dyn()),
            ("systems", aview0(&systems).into_dyn()),
            ("log_z_reference", aview0(&log_z_reference).into_dyn()),
        ],
    )
}

/// Reads `u_kn` and `N_k`, and the tempering run behind them where [`write_energies`] wrote one; or, in place of `u_kn`, the older
/// `u_kln` (states, states, most samples): the energy at state l of sample n of state k, of which the first `N_k` count.
///
/// # Errors
/// As [`read_tensors`]; [`Error::Format`] where an array is missing or of another shape.
pub fn read_energies(path: &Path) -> Result<Energies> {
    let tensors = read_tensors(path)?;
    parse(&tensors).map_err(|message| Error::Format { path: path.into(), message })
}

fn parse(tensors: &Tensors) -> Result<Energies, String> {
    let array = |name: &str| {
        tensors
            .items
            .iter()
            .find(|tensor| tensor.name.eq_ignore_ascii_case(name))
            .map(|tensor| tensor.values.clone())
    };
    let needed = |name: &str| {
        array(name).ok_or_else(|| {
            format!("holds no `{name}`; it must hold u_kn and N_k, and it holds {}", tensors.summary())
        })
    };
    let matrix = |name: &str, values: ArrayD<f64>| {
        let shape = values.shape().to_vec();
        values
            .into_dimensionality::<Ix2>()
            .map_err(|_| format!("`{name}` has shape {shape:?}; two axes are needed"))
    };
    let counts = whole("N_k", &needed("N_k")?)?;
    let energies = match (array("u_kn"), array("u_kln")) {
        (None, Some(by_state)) => in_a_row(by_state, &counts)?,
        _ => matrix("u_kn", needed("u_kn")?)?,
    };
    let (Some(betas), Some(derivatives), Some(jumps), Some(systems), Some(reference)) =
        (array("betas"), array("derivatives"), array("jumps"), array("systems"), array("log_z_reference"))
    else {
        return Ok(Energies { energies, counts, run: None });
    };
    let derivatives = matrix("derivatives", derivatives)?;
    let schedule =
        Schedule::given(betas.iter().copied().collect()).map_err(|error| format!("`betas`: {error}"))?;
    let systems = whole("systems", &systems)?.first().copied().unwrap_or(0);
    let kept = counts.first().copied().unwrap_or(0);
    let fits = systems >= 2
        && kept % systems == 0
        && kept > 0
        && counts.iter().all(|count| *count == kept)
        && counts.len() == schedule.betas().len()
        && energies.dim() == (counts.len(), kept * counts.len())
        && derivatives.dim() == (2, energies.ncols())
        && jumps.shape() == [kept];
    if !fits {
        return Err(format!("its arrays do not fit together: {}", tensors.summary()));
    }
    let reference = reference.first().copied().ok_or("`log_z_reference` is empty")?;
    let jumps = jumps.iter().copied().collect();
    let samples = Samples { schedule, systems, energies: energies.clone(), derivatives, jumps };
    Ok(Energies { energies, counts, run: Some((samples, reference)) })
}

/// u_kn of u_kln, whose samples beyond `counts` are padding.
fn in_a_row(by_state: ArrayD<f64>, counts: &[usize]) -> Result<Array2<f64>, String> {
    let states = counts.len();
    let shape = by_state.shape().to_vec();
    let most = shape.last().copied().unwrap_or(0);
    let fits = shape == [states, states, most] && counts.iter().all(|count| *count <= most);
    let by_state = by_state
        .into_dimensionality::<Ix3>()
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| format!("`u_kln` has shape {shape:?}, and N_k {counts:?}; it must be (states, states, most samples of a state)"))?;
    let columns: Vec<ArrayView1<'_, f64>> = by_state
        .outer_iter()
        .zip(counts)
        .flat_map(|(samples, count)| (0..*count).map(move |n| samples.index_axis_move(Axis(1), n)))
        .collect();
    stack(Axis(1), &columns).map_err(|_| "`N_k` counts no samples".into())
}

/// Whole numbers that can count something.
fn whole(name: &str, values: &ArrayD<f64>) -> Result<Vec<usize>, String> {
    let one = |&value: &f64| {
        let fits = (0.0..1e15).contains(&value) && value.fract() == 0.0;
        if fits {
            Ok(value as usize)
        } else {
            Err(format!("`{name}` holds {value}; it must hold numbers of samples"))
        }
    };
    values.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn samples() -> Samples {
        let energies = Array2::from_shape_fn((3, 12), |(k, n)| 0.5 * k as f64 - n as f64);
        let derivatives = Array2::from_shape_fn((2, 12), |(k, n)| (k + n) as f64);
        let jumps = array![0.0, 0.5, 0.0, -0.5];
        Samples { schedule: Schedule::linear(2), systems: 2, energies, derivatives, jumps }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.npz");
        write_energies(&path, &samples(), 3.25).expect("writes");
        let read = read_energies(&path).expect("reads");
        assert_eq!(
            read,
            Energies { energies: samples().energies, counts: vec![4; 3], run: Some((samples(), 3.25)) }
        );
    }

    #[test]
    fn energies_by_state_are_put_in_a_row_without_their_padding() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("by-state.npz");
        let by_state = ndarray::Array3::from_shape_fn((2, 2, 3), |(k, l, n)| (100 * k + 10 * l + n) as f64);
        let read = |counts: Array1<f64>| {
            write_npz(&path, &[("u_kln", by_state.view().into_dyn()), ("N_k", counts.view().into_dyn())])
                .expect("writes");
            read_energies(&path)
        };
        let expected = array![[0.0, 1.0, 100.0, 101.0, 102.0], [10.0, 11.0, 110.0, 111.0, 112.0]];
        assert_eq!(read(array![2.0, 3.0]).expect("reads").energies, expected);
        assert!(read(array![2.0, 4.0]).expect_err("too many").to_string().contains("u_kln"));
        assert!(read(array![2.0]).expect_err("one state").to_string().contains("states, states"));
        assert!(read(array![0.0, 0.0]).expect_err("none").to_string().contains("no samples"));
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("other.npz");
        let (matrix, counts, bad) = (array![[1.0, 2.0]], array![2.0], array![1.5]);
        let refused = |arrays: &[(&str, ndarray::ArrayViewD<'_, f64>)]| {
            write_npz(&path, arrays).expect("writes");
            read_energies(&path).expect_err("refused").to_string()
        };
        assert!(refused(&[("u_kn", matrix.view().into_dyn())]).contains("no `N_k`"));
        assert!(
            refused(&[("u_kn", counts.view().into_dyn()), ("N_k", counts.view().into_dyn())])
                .contains("two axes")
        );
        assert!(
            refused(&[("u_kn", matrix.view().into_dyn()), ("N_k", bad.view().into_dyn())]).contains("1.5")
        );
        let short = Samples { systems: 3, ..samples() };
        write_energies(&path, &short, 0.0).expect("writes");
        assert!(read_energies(&path).expect_err("refused").to_string().contains("fit together"));
    }
}
