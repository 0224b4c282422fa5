//! Files of every kind: those written by other people's libraries, those written here, and those that are wrong.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use lnz::io::{self, Loaded, ModelOptions, WeightsLayout};
use lnz::models::gaussian_rbm::Convention;
use lnz::models::rbm::Units;
use lnz::models::{Boltzmann, Gaussian, GaussianRbm, Mixture, Model, Potts, Rbm};
use ndarray::{Array, Array1, Array2, ArrayD, Axis, IxDyn, array};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

fn fixtures() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(fixture(""))
        .expect("tests/files")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e != "py"))
        .collect();
    paths.sort();
    paths
}

/// The machine of `tests/files/make.py`.
fn machine(units: Units) -> Rbm {
    let weights = Array2::from_shape_fn((4, 3), |(i, j)| (((5 * i + 3 * j) % 7) as f64 - 3.0) / 4.0);
    let visible_bias = Array1::from_shape_fn(4, |i| (i as f64 - 1.0) / 2.0);
    let hidden_bias = Array1::from_shape_fn(3, |j| (2.0 - 3.0 * j as f64) / 8.0);
    Rbm::new(weights, visible_bias, hidden_bias, units).expect("valid")
}

/// Every state of a finite space.
fn states(model: &dyn Model) -> Array2<f64> {
    let values = model.space().values().expect("finite");
    let (dim, base) = (model.space().dim, values.len());
    Array::from_shape_fn((base.pow(dim as u32), dim), |(row, column)| {
        values[row / base.pow(column as u32) % base]
    })
}

fn assert_same_energies(model: &dyn Model, expected: &dyn Model, what: &str) {
    let states = states(expected);
    let difference = (model.energy(states.view()) - expected.energy(states.view())).mapv(f64::abs);
    assert!(difference.iter().all(|d| *d < 1e-12), "{what}: energies differ by {difference}");
}

fn load(path: &Path) -> Loaded {
    io::read_model(path, &ModelOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Arrays with the names given, as an `.npz` in `directory`.
fn npz(directory: &TempDir, arrays: &[(&str, ArrayD<f64>)]) -> PathBuf {
    let path = directory.path().join("model.npz");
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    io::write_npz(&path, &views).expect("writable");
    path
}

type Arrays = Vec<(&'static str, ArrayD<f64>)>;

/// An array of `shape` with distinct values.
fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| (i as f64 * 0.7).sin()).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape says")
}

fn ones(shape: &[usize]) -> ArrayD<f64> {
    ArrayD::ones(IxDyn(shape))
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn machines_written_by_other_libraries_are_read() {
    for name in [
        "f64.npz",
        "f32-fortran.npz",
        "f16.npz",
        "big-endian.npz",
        "sklearn.npz",
        "plain.mat",
        "transposed.mat",
        "f32.safetensors",
        "f16.safetensors",
        "bf16.safetensors",
    ] {
        assert_same_energies(&*load(&fixture(name)).model, &machine(Units::Bits), name);
    }
    for name in ["compressed-extras.npz", "compressed.mat"] {
        assert_same_energies(&*load(&fixture(name)).model, &machine(Units::Spins), name);
    }
}

#[test]
fn notes_tell_how_a_file_was_understood() {
    let loaded = load(&fixture("compressed-extras.npz"));
    let model = lnz::models::downcast::<Rbm>(&loaded.model).expect("an RBM");
    assert_eq!(model.base_rates(), Some(&array![0.1, 0.5, 0.25, 0.9]));
    assert_eq!(loaded.digest.len(), 64);
    let notes = loaded.notes.join("\n");
    for line in [
        "format: .npz",
        "`rbm.W` [4, 3] f64: weights",
        "`rbm.VBIAS` [4] f64: visible bias",
        "`spins` [] bool: whether units are -1/+1",
        "4 visible and 3 hidden units; W is visible-hidden, by the lengths of the biases",
        "units are -1/+1",
        "`epoch` [] i64: not used",
        "not read: note: NumPy type <U22 is not real numbers",
    ] {
        assert!(notes.contains(line), "no `{line}` in:\n{notes}");
    }
    let notes = load(&fixture("compressed.mat")).notes.join("\n");
    for line in
        ["`vishid` [4, 3] f32: weights", "title: text", "cells: a cell array", "phase: a complex array"]
    {
        assert!(notes.contains(line), "no `{line}` in:\n{notes}");
    }
    assert!(load(&fixture("sklearn.npz")).notes.join("\n").contains("W is hidden-visible"));
}

#[test]
fn machines_written_here_are_read_back() {
    let directory = temporary();
    for units in [Units::Bits, Units::Spins] {
        let rbm = machine(units).with_base_rates(array![0.5, 0.25, 0.125, 1.0]).expect("rates");
        for name in ["a.npz", "a.safetensors", "A.NPZ"] {
            let path = directory.path().join(name);
            io::write_rbm(&path, &rbm).expect("writable");
            let loaded = load(&path);
            // The parameters are exact in f32, so both formats give them back.
            assert_same_energies(&*loaded.model, &rbm, name);
            let read = lnz::models::downcast::<Rbm>(&loaded.model).expect("an RBM");
            assert_eq!(read.base_rates(), rbm.base_rates());
            assert_eq!(read.units(), units);
            let before = fs::read(&path).expect("readable");
            io::write_rbm(&path, &rbm).expect("writable");
            assert_eq!(fs::read(&path).expect("readable"), before, "the same machine gives the same bytes");
        }
    }
    let error = io::write_rbm(&directory.path().join("a.mat"), &machine(Units::Bits)).expect_err("no writer");
    assert!(error.to_string().contains(".npz or .safetensors"));
    let large = Rbm::new(array![[1e200]], array![0.0], array![0.0], Units::Bits).expect("finite");
    let error = io::write_rbm(&directory.path().join("b.safetensors"), &large).expect_err("beyond f32");
    assert!(error.to_string().contains("W holds 1e200"), "{error}");
    assert!(!directory.path().join("b.safetensors").exists());
}

#[test]
fn both_orientations_are_one_machine() {
    let directory = temporary();
    for (visible, hidden) in [(5, 3), (3, 5), (4, 1), (1, 4), (1, 1)] {
        let (weights, b, c) = (numbers(&[visible, hidden]), numbers(&[visible]), numbers(&[hidden]));
        let column = |a: &ArrayD<f64>| a.clone().insert_axis(Axis(1));
        let one = load(&npz(&directory, &[("W", weights.clone()), ("b", b.clone()), ("c", c.clone())]));
        let transposed = weights.clone().reversed_axes();
        let two = load(&npz(&directory, &[("W", transposed), ("vbias", column(&b)), ("HBIAS", column(&c))]));
        assert_eq!(one.model.space().dim, visible);
        assert_same_energies(&*two.model, &*one.model, &format!("{visible}x{hidden}"));
    }
}

#[test]
fn square_machines_follow_the_name_or_the_option() {
    let directory = temporary();
    let (weights, b, c) = (numbers(&[3, 3]), numbers(&[3]), numbers(&[3]));
    let expected = |w: &ArrayD<f64>| {
        let w = w.clone().into_dimensionality().expect("a matrix");
        let bias = |a: &ArrayD<f64>| a.clone().into_dimensionality().expect("a vector");
        Rbm::new(w, bias(&b), bias(&c), Units::Bits).expect("valid")
    };
    let (as_is, flipped) = (expected(&weights), expected(&weights.clone().reversed_axes()));
    let read = |name: &str, layout: Option<WeightsLayout>| {
        let path = npz(&directory, &[(name, weights.clone()), ("b", b.clone()), ("c", c.clone())]);
        let options = ModelOptions { weights_layout: layout, ..ModelOptions::default() };
        io::read_model(&path, &options).map(|loaded| loaded.model)
    };
    let layouts = [None, Some(WeightsLayout::VisibleHidden), Some(WeightsLayout::HiddenVisible)];
    for (name, expected) in
        [("vishid", [&as_is, &as_is, &flipped]), ("components_", [&flipped, &as_is, &flipped])]
    {
        for (layout, expected) in layouts.into_iter().zip(expected) {
            assert_same_energies(&*read(name, layout).expect("decided"), expected, name);
        }
    }
    assert!(read("W", None).expect_err("ambiguous").to_string().contains("--weights-layout"));
    assert_same_energies(&*read("W", layouts[2]).expect("stated"), &flipped, "stated");
}

#[test]
fn unknown_names_are_understood_by_shape_where_that_is_enough() {
    let directory = temporary();
    let (weights, b, c) = (numbers(&[5, 3]), numbers(&[5]), numbers(&[3]));
    let known = load(&npz(&directory, &[("W", weights.clone()), ("b", b.clone()), ("c", c.clone())])).model;
    let path = npz(
        &directory,
        &[("theta", weights.clone()), ("p", b.clone()), ("q", c.clone()), ("lr", numbers(&[]))],
    );
    let ask = |layout| {
        let options = ModelOptions { weights_layout: layout, ..ModelOptions::default() };
        io::read_model(&path, &options).map(|loaded| loaded.model)
    };
    // Shapes pair biases with axes, but only a person knows which axis is the visible one.
    assert!(ask(None).expect_err("open").to_string().contains("--weights-layout"));
    assert_same_energies(&*ask(Some(WeightsLayout::VisibleHidden)).expect("stated"), &*known, "stated");
    assert_eq!(ask(Some(WeightsLayout::HiddenVisible)).expect("stated").space().dim, 3);
    let one_named =
        load(&npz(&directory, &[("theta", weights.clone()), ("vbias", b.clone()), ("q", c.clone())]));
    assert_same_energies(&*one_named.model, &*known, "the visible bias named");
    let one_named = load(&npz(&directory, &[("theta", weights), ("p", b), ("hbias", c)]));
    assert_same_energies(&*one_named.model, &*known, "the hidden bias named");
}

#[test]
fn units_are_those_stated_then_those_stored() {
    let directory = temporary();
    let path = npz(
        &directory,
        &[
            ("W", numbers(&[3, 2])),
            ("b", numbers(&[3])),
            ("c", numbers(&[2])),
            ("spins", numbers(&[1]) + 1.0),
        ],
    );
    let units = |units| {
        let options = ModelOptions { units, ..ModelOptions::default() };
        let model = io::read_model(&path, &options).expect("valid").model;
        lnz::models::downcast::<Rbm>(&model).expect("an RBM").units()
    };
    assert_eq!(units(None), Units::Spins);
    assert_eq!(units(Some(Units::Bits)), Units::Bits);
}

#[test]
fn gaussian_machines_are_read_with_either_sigma() {
    let directory = temporary();
    let (weights, b, c) = (numbers(&[4, 3]), numbers(&[4]), numbers(&[3]));
    let read = |name: &'static str, sigma: ArrayD<f64>, grbm_convention| {
        let arrays = [("W", weights.clone()), ("b", b.clone()), ("c", c.clone()), (name, sigma)];
        let options = ModelOptions { grbm_convention, ..ModelOptions::default() };
        io::read_model(&npz(&directory, &arrays), &options).expect("a Gaussian RBM").model
    };
    let states = numbers(&[6, 4]).into_dimensionality::<ndarray::Ix2>().expect("rows");
    let sigma = array![0.5, 1.0, 2.0, 3.0];
    for convention in [Convention::Cho, Convention::Hinton] {
        let bias = |a: &ArrayD<f64>| a.clone().into_dimensionality().expect("a vector");
        let w = weights.clone().into_dimensionality().expect("a matrix");
        let expected = GaussianRbm::new(w, bias(&b), bias(&c), sigma.clone(), convention).expect("valid");
        let expected = expected.energy(states.view());
        let one = read("sigma", sigma.clone().into_dyn(), Some(convention)).energy(states.view());
        let two = read("log_sigma", sigma.mapv(f64::ln).into_dyn(), Some(convention)).energy(states.view());
        assert_eq!(one, expected);
        assert!((two - expected).iter().all(|d: &f64| d.abs() < 1e-12));
    }
    // One sigma stands for all, and where it is 1 the conventions agree.
    let all = read("sigma", ones(&[1]), None).energy(states.view());
    assert_eq!(all, read("std", ones(&[4, 1]), Some(Convention::Hinton)).energy(states.view()));
}

#[test]
fn couplings_make_boltzmann_machines_and_potts_models() {
    let directory = temporary();
    let mut couplings = numbers(&[3, 3]).into_dimensionality::<ndarray::Ix2>().expect("a matrix");
    couplings = &couplings + &couplings.t();
    couplings.diag_mut().fill(0.0);
    let j = || ("J", couplings.clone().into_dyn());
    let fields = array![0.3, -0.2, 0.1];
    for (spins, units) in [(0.0, Units::Bits), (1.0, Units::Spins)] {
        let expected = Boltzmann::new(couplings.clone(), fields.clone(), units).expect("valid");
        for h in [fields.clone().into_dyn(), fields.clone().insert_axis(Axis(0)).into_dyn()] {
            let path = npz(&directory, &[j(), ("h", h), ("spins", ones(&[]) * spins)]);
            assert_same_energies(&*load(&path).model, &expected, "boltzmann");
        }
    }
    let without = load(&npz(&directory, &[j()]));
    assert_same_energies(
        &*without.model,
        &Boltzmann::new(couplings.clone(), Array1::zeros(3), Units::Bits).expect("valid"),
        "no fields",
    );
    assert!(without.notes.iter().any(|line| line.contains("they are zero")));
    let fields = numbers(&[3, 4]).into_dimensionality::<ndarray::Ix2>().expect("a matrix");
    let path = npz(&directory, &[j(), ("h", fields.clone().into_dyn())]);
    assert_same_energies(
        &*load(&path).model,
        &Potts::new(couplings.clone(), fields).expect("valid"),
        "potts",
    );
    let path = npz(&directory, &[j(), ("states", ones(&[1, 1]) * 4.0)]);
    let zero = Potts::new(couplings.clone(), Array2::zeros((3, 4))).expect("valid");
    assert_same_energies(&*load(&path).model, &zero, "potts without fields");
}

#[test]
fn gaussians_and_mixtures_are_read() {
    let directory = temporary();
    let (mean, covariance) = (array![1.0, -1.0], array![[2.0, 0.5], [0.5, 1.0]]);
    let states = array![[0.0, 0.0], [1.0, 2.0], [-3.0, 0.5]];
    let expected = Gaussian::from_covariance(mean.clone(), covariance.clone(), 0.7).expect("valid");
    let m = || ("mean", mean.clone().into_dyn());
    let scale = || ("log_scale", ones(&[]) * 0.7);
    let determinant = 1.75;
    let precision = array![[1.0, -0.5], [-0.5, 2.0]] / determinant;
    for matrix in [("covariance", covariance.clone()), ("precision", precision)] {
        let model = load(&npz(&directory, &[m(), (matrix.0, matrix.1.into_dyn()), scale()])).model;
        let difference = model.energy(states.view()) - expected.energy(states.view());
        assert!(difference.iter().all(|d| d.abs() < 1e-12), "{}: {difference}", matrix.0);
    }
    let means = array![[0.0], [3.0]];
    let (weights, covariances) = (array![0.25, 0.75], Array::from_elem((2, 1, 1), 0.5));
    let expected = Mixture::new(weights.clone(), means.clone(), covariances).expect("valid");
    let states = array![[0.5], [2.0]];
    // MATLAB drops the last sides of 1.
    for shape in [vec![2, 1, 1], vec![2, 1], vec![2]] {
        let arrays = [
            ("weights", weights.clone().into_dyn()),
            ("means", means.clone().into_dyn()),
            ("covariances", ones(&shape) * 0.5),
        ];
        let model = load(&npz(&directory, &arrays)).model;
        assert_eq!(model.energy(states.view()), expected.energy(states.view()));
    }
}

#[test]
fn data_are_read_from_every_format() {
    let directory = temporary();
    let grey = array![[0.0, 51.0, 255.0], [102.0, 0.0, 204.0]];
    assert_eq!(io::read_data(&fixture("data.npy"), None).expect("npy"), grey);
    for name in ["images.idx.gz", "data.csv"] {
        assert_eq!(io::read_data(&fixture(name), None).expect(name), &grey / 255.0, "{name}");
        let bits = array![[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]];
        assert_eq!(io::read_data(&fixture(name), Some(0.5)).expect(name), bits, "{name}");
    }
    // A value at the threshold is 0.
    assert_eq!(io::read_data(&fixture("data.npy"), Some(51.0)).expect("npy")[[0, 1]], 0.0);
    let path = directory.path().join("x.npy");
    io::write_npy(&path, numbers(&[4, 2, 3]).view()).expect("writable");
    let data = io::read_data(&path, None).expect("three axes");
    assert_eq!(data, numbers(&[4, 6]).into_dimensionality::<ndarray::Ix2>().expect("two axes"));
    for name in ["x.npy.gz", "no-extension"] {
        let gz = directory.path().join(name);
        fs::write(&gz, gzip(&fs::read(&path).expect("readable"))).expect("writable");
        assert_eq!(io::read_data(&gz, None).expect("gzipped"), data);
    }
    let path = npz(&directory, &[("labels", numbers(&[4])), ("X_train", numbers(&[4, 2]))]);
    assert_eq!(io::read_data(&path, None).expect("named").dim(), (4, 2));
    let path = npz(&directory, &[("whatever", numbers(&[4, 2]))]);
    assert_eq!(io::read_data(&path, None).expect("the only one").dim(), (4, 2));
}

#[test]
fn every_npy_version_and_type_is_read() {
    let directory = temporary();
    let path = directory.path().join("x.npy");
    let npy = |version: u8, descr: &str, fortran: bool, data: &[u8]| {
        let fortran = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (2, 2), }}\n");
        let length = match version {
            1 => (header.len() as u16).to_le_bytes().to_vec(),
            _ => (header.len() as u32).to_le_bytes().to_vec(),
        };
        [b"\x93NUMPY", &[version, 0][..], &length, header.as_bytes(), data].concat()
    };
    let values = [1_u8, 0, 2, 3];
    macro_rules! check {
        ($($type:ty: $little:literal, $big:literal;)*) => {$(
            for version in 1..=3 {
                for fortran in [false, true] {
                    for (descr, big) in [($little, false), ($big, true)] {
                        let data: Vec<u8> = values
                            .iter()
                            .flat_map(|&v| {
                                let v = <$type>::from(v);
                                if big { v.to_be_bytes() } else { v.to_le_bytes() }
                            })
                            .collect();
                        fs::write(&path, npy(version, descr, fortran, &data)).expect("writable");
                        let expected = array![[1.0, 0.0], [2.0, 3.0]];
                        let expected = if fortran { expected.reversed_axes() } else { expected };
                        assert_eq!(io::read_data(&path, None).expect(descr), expected, "{descr} {version}");
                    }
                }
            }
        )*};
    }
    check! {
        u8: "|u1", "|u1"; u16: "<u2", ">u2"; u32: "<u4", ">u4"; u64: "<u8", ">u8";
        i16: "<i2", ">i2"; i32: "<i4", ">i4"; i64: "<i8", ">i8";
        half::f16: "<f2", ">f2"; f32: "<f4", ">f4"; f64: "<f8", ">f8";
    }
    fs::write(&path, npy(1, "|i1", false, &[255, 0, 1, 128])).expect("writable");
    assert_eq!(io::read_data(&path, None).expect("i1"), array![[-1.0, 0.0], [1.0, -128.0]]);
    fs::write(&path, npy(1, "|b1", false, &[1, 0, 1, 1])).expect("writable");
    assert_eq!(io::read_data(&path, None).expect("b1"), array![[1.0, 0.0], [1.0, 1.0]]);
}

/// A level 5 file with one variable `W` whose (2, 3) numbers are stored as bytes, as MATLAB packs small integers.
fn mat(big: bool) -> Vec<u8> {
    let u16 = |x: u16| if big { x.to_be_bytes() } else { x.to_le_bytes() };
    let u32 = |x: u32| if big { x.to_be_bytes() } else { x.to_le_bytes() };
    let words = |words: &[u32]| words.iter().flat_map(|&w| u32(w)).collect::<Vec<u8>>();
    // Small elements hold their length and type in one word.
    let name = [words(&[(1 << 16) | 1]), vec![b'W', 0, 0, 0]].concat();
    let numbers = [words(&[2, 6]), vec![1, 2, 3, 4, 5, 6, 0, 0]].concat();
    let body = [words(&[6, 8, 6, 0, 5, 8, 2, 3]), name, numbers].concat();
    let mut file = vec![b' '; 124];
    file[..10].copy_from_slice(b"MATLAB 5.0");
    file.extend(u16(0x0100));
    file.extend(u16(0x4d49));
    file.extend(words(&[14, body.len() as u32]));
    file.extend(body);
    file
}

#[test]
fn matlab_files_of_both_byte_orders_are_read() {
    let directory = temporary();
    for big in [false, true] {
        let path = directory.path().join("x.mat");
        fs::write(&path, mat(big)).expect("writable");
        let tensors = io::read_tensors(&path).expect("level 5");
        assert_eq!(tensors.items[0].name, "W");
        assert_eq!(tensors.items[0].dtype, "f64");
        assert_eq!(tensors.items[0].values, array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].into_dyn());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// What an `.npy` file holds before its data.
fn npy_header(descr: &str, shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let deflated =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file(*name, deflated).expect("memory");
        archive.write_all(bytes).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}

fn safetensors_of(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn damaged_and_foreign_files_say_what_is_wrong() {
    let truncated = |name: &str, keep: usize| fs::read(fixture(name)).expect("readable")[..keep].to_vec();
    let mut mat_73 = vec![b' '; 512];
    mat_73[..10].copy_from_slice(b"MATLAB 7.3");
    mat_73[124..128].copy_from_slice(&[0, 2, b'I', b'M']);
    mat_73.extend(b"\x89HDF\r\n\x1a\n rest");
    let mut mat_version = mat(false);
    mat_version[125] = 3;
    let mut mat_shape = mat(false);
    mat_shape[128 + 8 + 24..128 + 8 + 28].copy_from_slice(&7_u32.to_le_bytes());
    let mut mat_kind = mat(false);
    mat_kind[128] = 77;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "the file is empty"),
        ("gzipped nothing", gzip(b""), "the file is empty"),
        ("noise", vec![0xff, 0xfe, 0x12, 0x80, 0xc3], "the format is not recognised"),
        ("prose", b"dear sir or madam".to_vec(), "this is text"),
        ("pickle", b"\x80\x04\x95rest".to_vec(), "weights_only=True"),
        ("PyTorch zip", zip_of(&[("archive/data.pkl", b"\x80\x02")]), "safetensors.torch"),
        ("HDF5", b"\x89HDF\r\n\x1a\nrest".to_vec(), "numpy.savez"),
        ("level 7.3", mat_73, "'-v7'"),
        ("level 4", fs::read(fixture("level4.mat")).expect("readable"), "level 4"),
        ("level 9", mat_version, "version 3"),
        ("short .mat", truncated("plain.mat", 300), "cut short or damaged in the middle"),
        ("short compressed .mat", truncated("compressed.mat", 160), "cut short"),
        ("shape against numbers", mat_shape, "shape [7, 3], but 6 numbers"),
        ("unknown element", mat_kind, "element type 77"),
        ("only a header", mat(false)[..128].to_vec(), "the file holds nothing"),
        ("short zip", truncated("f64.npz", 500), "zip archive is cut short or damaged"),
        ("zip of nothing", zip_of(&[]), "the file holds nothing"),
        ("zip of text", zip_of(&[("readme.txt", b"hello")]), "readme.txt: not an .npy member"),
        ("member of text", zip_of(&[("W.npy", b"hello")]), "member `W.npy` is not an .npy array"),
        (
            "short member",
            zip_of(&[("W.npy", &npy_header("<f8", "(2, 2)"))]),
            "takes 32 bytes, but there are 0",
        ),
        (
            "trailing bytes",
            zip_of(&[("W.npy", &[npy_header("|u1", "(2,)"), vec![1, 2, 3]].concat())]),
            "takes 2 bytes, but there are 3",
        ),
        (
            "overflow",
            zip_of(&[("W.npy", &npy_header("<f8", "(4611686018427387904, 4611686018427387904)"))]),
            "more elements than memory",
        ),
        (
            "overflow in bytes",
            zip_of(&[("W.npy", &npy_header("<f8", "(4611686018427387904,)"))]),
            "more elements than memory",
        ),
        ("a terabyte", zip_of(&[("W.npy", &npy_header("<f8", "(1000000, 131072)"))]), "but there are 0"),
        ("bad header", zip_of(&[("W.npy", &npy_header("<f8", "(-1,)"))]), "header is not one of NumPy's"),
        ("short header", zip_of(&[("W.npy", b"\x93NUMPY\x01\x00\xff\xff{")]), "header is cut short"),
        ("version 9", zip_of(&[("W.npy", b"\x93NUMPY\x09\x00\x01\x00{")]), "header is cut short or damaged"),
        ("objects", zip_of(&[("W.npy", &npy_header("|O", "(1,)"))]), "NumPy type |O is not real numbers"),
        ("a bomb", zip_of(&[("W.npy", &vec![0; 80 << 20])]), "grow to more than 67108864 bytes"),
        ("a gzip bomb", gzip(&vec![0; 80 << 20]), "grow to more than 67108864 bytes"),
        ("short gzip", gzip(&mat(false))[..60].to_vec(), "gzip stream is cut short"),
        ("short safetensors", truncated("f32.safetensors", 250), "not a valid safetensors file"),
        ("short safetensors header", truncated("f32.safetensors", 50), "not a valid safetensors file"),
        (
            "safetensors shape",
            safetensors_of(r#"{"W":{"dtype":"F32","shape":[9,9],"data_offsets":[0,4]}}"#, &[0; 4]),
            "not a valid safetensors file",
        ),
        (
            "safetensors overflow",
            safetensors_of(
                r#"{"W":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#,
                &[0; 4],
            ),
            "not a valid safetensors file",
        ),
        ("safetensors of nothing", safetensors_of("{}", &[]), "the file holds nothing"),
        (
            "escape sequences",
            safetensors_of(r#"{"\u001b[2J":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, &[0]),
            r"`\u{1b}[2J` [1]",
        ),
        ("labels", vec![0, 0, 8, 1, 0, 0, 0, 1, 7], "no model is recognised"),
    ];
    let directory = temporary();
    for (what, bytes, message) in cases {
        let path = directory.path().join("model.bin");
        fs::write(&path, bytes).expect("writable");
        let error = io::read_model(&path, &ModelOptions::default()).expect_err(what).to_string();
        assert!(error.contains("model.bin: ") && error.contains(message), "{what}: {error}");
        assert!(!error.contains('\n') && !error.contains('\x1b'), "{what}: {error}");
    }
    for path in [directory.path().to_path_buf(), directory.path().join("missing.npz")] {
        let shown = path.display().to_string();
        let error = io::read_model(&path, &ModelOptions::default()).expect_err("no file").to_string();
        assert!(error.contains(&shown), "{error}");
        assert!(io::read_data(&path, None).expect_err("no file").to_string().contains(&shown));
    }
}

#[test]
fn tensors_that_make_no_machine_say_what_would() {
    let nan = |mut a: ArrayD<f64>, at: usize, value: f64| {
        a.iter_mut().nth(at).map(|x| *x = value).expect("large enough");
        a
    };
    let w = || ("W", numbers(&[4, 3]));
    let b = || ("b", numbers(&[4]));
    let c = || ("c", numbers(&[3]));
    let cases: Vec<(Arrays, &str)> = vec![
        (vec![("x", numbers(&[4]))], "no model is recognised"),
        (vec![w()], "no visible bias: name it one of b, vbias"),
        (vec![w(), b()], "no hidden bias: name it one of c, hbias"),
        (vec![w(), c()], "no visible bias"),
        (
            vec![w(), b(), ("c", numbers(&[5]))],
            "does not fit a visible bias of length 4 and a hidden bias of length 5",
        ),
        (vec![w(), b(), ("vbias", numbers(&[4])), c()], "both `b` and `vbias` could be the visible bias"),
        (vec![w(), ("weight", numbers(&[4, 3])), b(), c()], "both `W` and `weight`"),
        (vec![("W", numbers(&[3, 3])), ("b", numbers(&[3])), c()], "--weights-layout visible-hidden"),
        (
            vec![("W", numbers(&[3, 3])), ("p", numbers(&[3])), ("q", numbers(&[3]))],
            "name them vbias and hbias",
        ),
        (vec![("W", numbers(&[4, 3])), ("p", numbers(&[3])), ("q", numbers(&[4]))], "--weights-layout"),
        (
            vec![("X", numbers(&[4, 3])), ("Y", numbers(&[4, 3])), b(), c()],
            "both `X` and `Y` could be the weights",
        ),
        (
            vec![w(), b(), ("p", numbers(&[3])), ("q", numbers(&[3]))],
            "both `p` and `q` could be the hidden bias",
        ),
        (vec![w(), ("a", numbers(&[4])), ("b", numbers(&[3]))], "name them vbias and hbias"),
        (vec![w(), ("b", numbers(&[7])), ("q", numbers(&[3]))], "length 7 fits neither side"),
        (vec![("W", numbers(&[2, 4, 3])), b(), c()], "should have two axes"),
        (vec![w(), ("b", numbers(&[2, 2])), c()], "should be a vector"),
        (vec![("W", nan(numbers(&[4, 3]), 5, f64::NAN)), b(), c()], "`W`[1, 2] is NaN"),
        (vec![w(), ("b", nan(numbers(&[4]), 3, f64::INFINITY)), c()], "`b`[3] is inf"),
        (vec![("W", numbers(&[0, 3])), ("b", numbers(&[0])), c()], "both sides need a unit"),
        (vec![w(), b(), c(), ("base_rates", numbers(&[3]))], "3 base rates for 4 visible units"),
        (vec![w(), b(), c(), ("base_rates", numbers(&[4]) + 2.0)], "rates lie between 0 and 1"),
        (vec![w(), b(), c(), ("spins", numbers(&[1]) + 2.0)], "`spins` is 2"),
        (vec![w(), b(), c(), ("spins", numbers(&[4]))], "should be a single number"),
        (vec![w(), b(), c(), ("sigma", ones(&[3]))], "gaussian-rbm: W is 4x3"),
        (vec![w(), b(), c(), ("std", ones(&[4])), ("log_std", ones(&[4]))], "both `std` and `log_std`"),
        (vec![w(), b(), c(), ("sigma", ones(&[1])), ("spins", ones(&[]))], "not -1/+1"),
        (vec![w(), b(), c(), ("J", ones(&[3, 3]))], "is it a Boltzmann machine (J) or an RBM (W)?"),
        (vec![("J", numbers(&[3, 3])), ("h", numbers(&[3]))], "boltzmann: J"),
        (vec![("J", nan(numbers(&[3, 3]) * 0.0, 8, 0.5)), ("h", numbers(&[3, 2]))], "J[2, 2] is 0.5"),
        (vec![("J", nan(numbers(&[3, 3]), 7, f64::NAN)), ("h", numbers(&[3]))], "`J`[2, 1] is NaN"),
        (vec![("J", numbers(&[3, 4])), ("h", numbers(&[3]))], "`J` [3, 4] f64 should be square"),
        (vec![("J", numbers(&[3, 3])), ("h", numbers(&[4]))], "h has length 3 for bits or spins"),
        (
            vec![("J", numbers(&[3, 3])), ("h", numbers(&[3, 2])), ("q", ones(&[1]) * 3.0)],
            "q = 3 states call for 3x3",
        ),
        (vec![("J", numbers(&[3, 3])), ("q", ones(&[1]) * 2.5)], "`q` is 2.5"),
        (vec![("J", numbers(&[3, 3])), ("q", ones(&[]) * 1e15)], "`q` is 1e15;"),
        (
            vec![("J", numbers(&[3, 3])), ("q", ones(&[]) * 2.0), ("spins", ones(&[]))],
            "units of bits or spins",
        ),
        (vec![("mean", numbers(&[2]))], "no model is recognised"),
        (vec![("cov", ones(&[1, 1]))], "no mean: name it one of mean, mu"),
        (vec![("mean", numbers(&[1])), ("cov", ones(&[1, 1])), ("precision", ones(&[1, 1]))], "not both"),
        (vec![("mean", numbers(&[2])), ("cov", ones(&[2, 2]))], "not positive definite"),
        (vec![("mean", numbers(&[2])), ("cov", numbers(&[2, 2]))], "gaussian: the covariance"),
        (vec![("means", numbers(&[2, 1])), ("weights", ones(&[2]))], "no covariances: name it"),
        (
            vec![("means", numbers(&[2, 1])), ("weights", ones(&[2])), ("covariances", ones(&[2, 3]))],
            "(components, dim, dim)",
        ),
    ];
    let directory = temporary();
    for (arrays, message) in cases {
        let path = npz(&directory, &arrays);
        let error = io::read_model(&path, &ModelOptions::default()).expect_err(message).to_string();
        assert!(error.contains("model.npz: ") && error.contains(message), "wanted {message}: {error}");
    }
    let path = npz(&directory, &[w(), b(), c()]);
    let stated =
        ModelOptions { weights_layout: Some(WeightsLayout::HiddenVisible), ..ModelOptions::default() };
    let error = io::read_model(&path, &stated).expect_err("contradiction").to_string();
    assert!(error.contains("contradicts the lengths of the biases"), "{error}");
}

#[test]
fn bad_data_say_what_is_wrong() {
    let npy = |shape: &str, values: &[f64]| {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        [npy_header("<f8", shape), data].concat()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (npy("(0, 3)", &[]), "shape [0, 3], so there are no data"),
        (npy("()", &[1.0]), "a single number"),
        (npy("(3,)", &[1.0, 2.0, 3.0]), "one list of 3 numbers"),
        (npy("(2, 2)", &[1.0, 2.0, f64::NAN, 3.0]), "row 1, column 0 is NaN"),
        (npy("(1, 2)", &[1.0, f64::NEG_INFINITY]), "row 0, column 1 is -inf"),
        (npy_header("<c16", "(1,)"), "NumPy type <c16 is not real numbers"),
        (vec![0, 0, 8, 1, 0, 0, 0, 1, 7], "like labels"),
        (vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3], "takes 4 bytes, but there are 3"),
        (vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0], "idx header is cut short"),
        (vec![0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "but there are 0"),
        (b"".to_vec(), "the file is empty"),
        (b"a,b\n".to_vec(), "no rows of numbers"),
        (b"1,2\n3\n".to_vec(), "line 2 has 1 columns"),
        (b"1,2\n3,four\n".to_vec(), "line 2, column 2 is `four`"),
        (
            zip_of(&[("a.npy", &npy("(1, 1)", &[1.0])), ("b.npy", &npy("(1, 1)", &[1.0]))]),
            "which array is the data",
        ),
        (zip_of(&[("x.npy", &npy("(1, 1)", &[1.0])), ("data.npy", &npy("(1, 1)", &[1.0]))]), "which array"),
        (zip_of(&[]), "holds nothing"),
    ];
    let directory = temporary();
    for (bytes, message) in cases {
        let path = directory.path().join("data.bin");
        for bytes in [gzip(&bytes), bytes] {
            fs::write(&path, bytes).expect("writable");
            let error = io::read_data(&path, None).expect_err(message).to_string();
            assert!(error.contains("data.bin: ") && error.contains(message), "wanted {message}: {error}");
        }
    }
    let error = io::read_data(&fixture("data.npy"), Some(f64::NAN)).expect_err("no threshold").to_string();
    assert!(error.contains("--binarize NaN"), "{error}");
}

/// Every fixture cut at every byte, and with every byte changed in two ways: an answer or an error, never a panic.
#[test]
fn damage_anywhere_is_survived() {
    let directory = temporary();
    let path = directory.path().join("damaged");
    let survive = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writable");
        let _ = io::read_model(&path, &ModelOptions::default());
        let _ = io::read_data(&path, Some(0.5));
    };
    for name in fixtures() {
        let bytes = fs::read(&name).expect("readable");
        for length in 0..bytes.len() {
            survive(&bytes[..length]);
        }
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            for change in [0x01, 0xff] {
                damaged[at] ^= change;
                survive(&damaged);
                damaged[at] = bytes[at];
            }
        }
        survive(&[bytes.as_slice(), bytes.as_slice()].concat());
    }
}
