//! Files that could be read as another model than they hold: every parameter in them is used, or the file is refused.
//!
//! What is right is computed here, by adding up all states of the formula that the file stands for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use lnz::estimators::{Settings, Silent, by_name, quickest_exact};
use lnz::io::{self, Loaded, ModelOptions};
use lnz::math::log_sum_exp;
use lnz::models::gaussian_rbm::Convention;
use lnz::models::{Model, Units};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, array};
use tempfile::TempDir;

type Arrays<'a> = Vec<(&'a str, ArrayD<f64>)>;
/// What a file stores of σ.
type Transform = fn(f64) -> f64;

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn npz(directory: &TempDir, arrays: &[(&str, ArrayD<f64>)]) -> PathBuf {
    let path = directory.path().join("model.npz");
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    io::write_npz(&path, &views).expect("writable");
    path
}

/// The `.npy` of one text, as NumPy writes it.
fn text(value: &str) -> Vec<u8> {
    let header = format!("{{'descr': '<U{}', 'fortran_order': False, 'shape': (), }}\n", value.len());
    let data: Vec<u8> = value.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// Arrays, and texts beside them.
fn npz_with_text(directory: &TempDir, arrays: &[(&str, ArrayD<f64>)], texts: &[(&str, &str)]) -> PathBuf {
    use std::io::Write;
    let path = npz(directory, arrays);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).expect("written");
    let mut archive = zip::ZipWriter::new_append(file).expect("a zip archive");
    for (name, value) in texts {
        archive
            .start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default())
            .expect("room for a member");
        archive.write_all(&text(value)).expect("writable");
    }
    archive.finish().expect("writable");
    path
}

/// Numbers without a pattern, between −1 and 1.
fn numbers(shape: &[usize], salt: f64) -> ArrayD<f64> {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| ((i as f64 + 1.0) * 12.9898 + salt * 78.233).sin()).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape says")
}

fn scalar(value: f64) -> ArrayD<f64> {
    ArrayD::from_elem(IxDyn(&[]), value)
}

fn vector(array: &ArrayD<f64>) -> Array1<f64> {
    array.iter().copied().collect()
}

fn matrix(array: &ArrayD<f64>) -> Array2<f64> {
    array.clone().into_dimensionality().expect("two axes")
}

fn read(path: &Path) -> Result<Loaded, String> {
    io::read_model(path, &ModelOptions::default()).map_err(|error| error.to_string())
}

fn exact(model: &Arc<dyn Model>) -> f64 {
    let (method, _) = quickest_exact(model).expect("it is small");
    method.estimate(model, &Settings::default(), &Silent).expect("it runs").log_z
}

fn log_z(path: &Path) -> f64 {
    exact(&read(path).unwrap_or_else(|error| panic!("{error}")).model)
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{what}: {found}, not {expected}");
}

/// All states of `units` with this low value.
fn states(units: usize, low: f64) -> impl Iterator<Item = Array1<f64>> {
    (0..1usize << units)
        .map(move |number| (0..units).map(|bit| if number >> bit & 1 == 1 { 1.0 } else { low }).collect())
}

fn log_sum(energies: impl Iterator<Item = f64>) -> f64 {
    log_sum_exp(&energies.map(|energy| -energy).collect::<Vec<_>>())
}

/// log Σ exp(−E) with E = −Σ_{i<j} Jᵢⱼ xᵢ xⱼ − h·x.
fn boltzmann(couplings: &Array2<f64>, fields: &Array1<f64>, low: f64) -> f64 {
    let dim = fields.len();
    log_sum(states(dim, low).map(|x| {
        let pairs = (0..dim).flat_map(|j| (0..j).map(move |i| (i, j)));
        -pairs.map(|(i, j)| couplings[[i, j]] * x[i] * x[j]).sum::<f64>() - fields.dot(&x)
    }))
}

/// Parameters of a machine of 4 visible and 3 hidden units.
struct Machine {
    weights: ArrayD<f64>,
    visible_bias: ArrayD<f64>,
    hidden_bias: ArrayD<f64>,
}

impl Machine {
    fn new(salt: f64) -> Self {
        Self {
            weights: numbers(&[4, 3], salt),
            visible_bias: numbers(&[4], salt + 0.1),
            hidden_bias: numbers(&[3], salt + 0.2),
        }
    }

    fn arrays(&self) -> Arrays<'static> {
        vec![
            ("W", self.weights.clone()),
            ("vbias", self.visible_bias.clone()),
            ("hbias", self.hidden_bias.clone()),
        ]
    }

    fn and<'a>(&self, more: impl IntoIterator<Item = (&'a str, ArrayD<f64>)>) -> Arrays<'a> {
        self.arrays().into_iter().chain(more).collect()
    }

    /// log Σ exp(−E) with E = −(v − ov)ᵀW(h − oh) − b·(v − ov) − c·(h − oh).
    fn centred(&self, ov: &ArrayD<f64>, oh: &ArrayD<f64>, low: f64) -> f64 {
        let (w, b, c) = (matrix(&self.weights), vector(&self.visible_bias), vector(&self.hidden_bias));
        let (ov, oh) = (vector(ov), vector(oh));
        log_sum(states(4, low).flat_map(|v| {
            let v = v - &ov;
            states(3, low)
                .map(|h| h - &oh)
                .map(|h| -v.dot(&w.dot(&h)) - b.dot(&v) - c.dot(&h))
                .collect::<Vec<_>>()
        }))
    }

    /// log Σ_h ∫ exp(−E) dv with E = Σ (v − b)²/2σ² − Σᵢⱼ vᵢ Wᵢⱼ hⱼ/σᵢ² − c·h: v is normal given h, and the squares are completed.
    fn gaussian(&self, sigma: &Array1<f64>) -> f64 {
        let (w, b, c) = (matrix(&self.weights), vector(&self.visible_bias), vector(&self.hidden_bias));
        log_sum(states(3, 0.0).map(|h| {
            let shifted = &b + &w.dot(&h);
            let squares: f64 =
                (0..4).map(|i| (shifted[i].powi(2) - b[i].powi(2)) / (2.0 * sigma[i].powi(2))).sum();
            let normals: f64 = sigma.iter().map(|s| (2.0 * std::f64::consts::PI * s * s).sqrt().ln()).sum();
            -(squares + normals + c.dot(&h))
        }))
    }
}

#[test]
fn centring_offsets_are_used_by_any_of_their_names() {
    let directory = temporary();
    let names = [
        ("ov", "oh"),
        ("visible_offset", "hidden_offset"),
        ("rbm.v_offset", "rbm.h_offset"),
        ("offsetV", "offsetH"),
        ("V_CENTER", "H_CENTER"),
        ("visible_centre", "hidden_centre"),
    ];
    for (salt, (visible, hidden)) in names.into_iter().enumerate() {
        let machine = Machine::new(salt as f64);
        let (ov, oh) = (numbers(&[4], 3.0 + salt as f64), numbers(&[3], 4.0 + salt as f64));
        for (spins, low) in [(0.0, 0.0), (1.0, -1.0)] {
            let more = [(visible, ov.clone()), (hidden, oh.clone()), ("spins", scalar(spins))];
            let expected = machine.centred(&ov, &oh, low);
            assert_close(log_z(&npz(&directory, &machine.and(more))), expected, visible);
        }
        // As rows, as some libraries keep them, and W the other way round.
        let row = |array: &ArrayD<f64>| array.clone().insert_axis(Axis(0));
        let flipped = vec![
            ("w", machine.weights.clone().reversed_axes()),
            ("bv", row(&machine.visible_bias)),
            ("bh", row(&machine.hidden_bias)),
            (visible, row(&ov)),
            (hidden, row(&oh)),
        ];
        assert_close(log_z(&npz(&directory, &flipped)), machine.centred(&ov, &oh, 0.0), hidden);
    }
    // One number for all, one side alone, and a constant in the energy.
    let machine = Machine::new(9.0);
    let (ov, oh) = (scalar(0.5) + numbers(&[4], 0.0) * 0.0, numbers(&[3], 0.0) * 0.0);
    let path = npz(&directory, &machine.and([("ov", scalar(0.5)), ("offset", scalar(2.5))]));
    let loaded = read(&path).expect("a machine");
    assert_close(exact(&loaded.model), machine.centred(&ov, &oh, 0.0) - 2.5, "one side");
    assert!(loaded.assumed.iter().any(|line| line.contains("one side only")), "{:?}", loaded.assumed);
    let wrong = npz(&directory, &machine.and([("ov", numbers(&[3], 0.0)), ("oh", numbers(&[3], 0.0))]));
    assert!(read(&wrong).expect_err("too short").contains("3 offsets for 4 visible units"));
}

#[test]
fn a_centred_machine_is_written_so_that_it_reads_back() {
    let directory = temporary();
    let machine = Machine::new(1.0);
    for spins in [0.0, 1.0] {
        let more = [("ov", numbers(&[4], 5.0)), ("oh", numbers(&[3], 6.0)), ("spins", scalar(spins))];
        let model = read(&npz(&directory, &machine.and(more))).expect("a machine").model;
        let again = directory.path().join("again.npz");
        io::write_model(&again, &model).expect("writable");
        assert_close(log_z(&again), exact(&model), "read back");
    }
    let couplings = array![[0.0, 1.5], [0.0, 0.0]].into_dyn();
    for more in [vec![], vec![("spins", scalar(1.0))]] {
        let arrays = [vec![("J", couplings.clone()), ("offset", scalar(-4.0))], more].concat();
        let model = read(&npz(&directory, &arrays)).expect("a machine").model;
        let again = directory.path().join("again.npz");
        io::write_model(&again, &model).expect("writable");
        let loaded = read(&again).expect("a machine");
        assert_close(exact(&loaded.model), exact(&model), "read back");
        assert!(loaded.assumed.is_empty(), "{:?}", loaded.assumed);
    }
}

#[test]
fn sigma_is_read_by_any_of_its_names() {
    let directory = temporary();
    let transforms: [(&[&str], Transform); 4] = [
        (&["sigma", "std", "stddev", "sigmas", "standard_deviation", "visible_sigma"], |s| s),
        (&["log_sigma", "logSigma", "log_std", "logstd"], f64::ln),
        (&["var", "variance", "sigma2", "sigma_sq", "sigma_squared", "grbm.Variances"], |s| s * s),
        (&["log_var", "logvar", "log_variance", "log_sigma2", "logSigmaSquared"], |s| 2.0 * s.ln()),
    ];
    for (salt, (names, transform)) in transforms.into_iter().enumerate() {
        for name in names {
            let machine = Machine::new(salt as f64 + 20.0);
            let sigma = vector(&numbers(&[4], salt as f64)).mapv(|x| 0.8 + 0.5 * x);
            let path = npz(&directory, &machine.and([(*name, sigma.mapv(transform).into_dyn())]));
            assert_close(log_z(&path), machine.gaussian(&sigma), name);
            // One for all.
            let path = npz(&directory, &machine.and([(*name, scalar(transform(0.7)))]));
            assert_close(log_z(&path), machine.gaussian(&Array1::from_elem(4, 0.7)), name);
            // Where `mu` is the visible bias, `b` is the hidden one.
            let means = vec![
                ("W", machine.weights.clone()),
                ("mu", machine.visible_bias.clone()),
                ("b", machine.hidden_bias.clone()),
                (*name, sigma.mapv(transform).into_dyn()),
            ];
            let loaded = read(&npz(&directory, &means)).expect("a Gaussian machine");
            assert_close(exact(&loaded.model), machine.gaussian(&sigma), name);
            assert!(loaded.assumed.iter().any(|line| line.contains("how sigma scales")));
        }
    }
    let machine = Machine::new(0.0);
    let stated = ModelOptions { grbm_convention: Some(Convention::Cho), ..ModelOptions::default() };
    let path = npz(&directory, &machine.and([("var", numbers(&[4], 0.0) + 2.0)]));
    assert!(io::read_model(&path, &stated).expect("a Gaussian machine").assumed.is_empty());
    for (more, message) in [
        (vec![("var", numbers(&[4], 0.0) - 2.0)], "variances are positive"),
        (
            vec![("var", numbers(&[4], 0.0) + 2.0), ("log_var", numbers(&[4], 0.0))],
            "both `var` and `log_var`",
        ),
        (vec![("sigma", scalar(1.0)), ("ov", scalar(0.5))], "a Gaussian RBM with offsets is not read"),
    ] {
        let error = read(&npz(&directory, &machine.and(more))).expect_err(message);
        assert!(error.contains(message), "{error}");
    }
    let square = npz(
        &directory,
        &[
            ("W", machine.weights.clone()),
            ("mu", machine.visible_bias.clone()),
            ("b", machine.hidden_bias.clone()),
        ],
    );
    assert!(read(&square).expect_err("no sigma").contains("`mu` stands for the means of Gaussian"));
}

/// J, h, offset and what becomes of J's halves and diagonal.
#[test]
fn offsets_triangles_and_diagonals_of_quadratic_models_are_applied() {
    let directory = temporary();
    let symmetric = {
        let half = matrix(&numbers(&[5, 5], 7.0));
        let mut whole = &half + &half.t();
        whole.diag_mut().fill(0.0);
        whole
    };
    let fields = vector(&numbers(&[5], 8.0));
    let diagonal = vector(&numbers(&[5], 9.0));
    let keep = |keep: fn(usize, usize) -> bool| {
        Array2::from_shape_fn((5, 5), |(i, j)| if keep(i, j) { symmetric[[i, j]] } else { 0.0 })
    };
    for (spins, low) in [(0.0, 0.0), (1.0, -1.0)] {
        let given = |couplings: &Array2<f64>, more: Arrays<'static>| {
            let arrays = [
                vec![
                    ("J", couplings.clone().into_dyn()),
                    ("h", fields.clone().into_dyn()),
                    ("spins", scalar(spins)),
                ],
                more,
            ]
            .concat();
            read(&npz(&directory, &arrays))
        };
        let plain = boltzmann(&symmetric, &fields, low);
        let found = given(&symmetric, vec![]).expect("a machine");
        assert_close(exact(&found.model), plain, "symmetric");
        assert!(found.assumed.is_empty(), "{:?}", found.assumed);
        for name in ["offset", "energy_offset", "constant"] {
            let found = given(&symmetric, vec![(name, scalar(3.5))]).expect("a machine");
            assert_close(exact(&found.model), plain - 3.5, name);
        }
        for (half, which) in [(keep(|i, j| i < j), "upper"), (keep(|i, j| i > j), "lower")] {
            let found = given(&half, vec![("offset", scalar(-1.0))]).expect(which);
            assert_close(exact(&found.model), plain + 1.0, which);
            assert!(found.assumed[0].contains("i < j"), "{:?}", found.assumed);
            let mut with = half.clone();
            with.diag_mut().assign(&diagonal);
            assert!(given(&with, vec![]).expect_err("ambiguous").contains("triangular with a diagonal"));
        }
        // E = −½ xᵀJx − h·x, of which the diagonal is −½ Σ Jᵢᵢ xᵢ².
        let mut with = symmetric.clone();
        with.diag_mut().assign(&diagonal);
        let found = given(&with, vec![]).expect("a machine");
        let expected = log_sum(states(5, low).map(|x| -0.5 * x.dot(&with.dot(&x)) - fields.dot(&x)));
        assert_close(exact(&found.model), expected, "diagonal");
        assert!(found.assumed[0].contains("the diagonal of J is taken as"), "{:?}", found.assumed);
        let mut lopsided = symmetric.clone();
        lopsided[[0, 1]] += 0.5;
        assert!(given(&lopsided, vec![]).expect_err("neither").contains("not symmetric"));
        assert!(given(&symmetric, vec![("offset", numbers(&[5], 0.0))]).is_err());
        assert!(given(&symmetric, vec![("beta", scalar(0.5))]).expect_err("at T").contains("--temperature"));
        assert!(given(&symmetric, vec![("beta", scalar(1.0))]).is_ok());
    }
    // A Potts model has its offset, too.
    let fields = numbers(&[5, 3], 2.0);
    let arrays = [("J", symmetric.clone().into_dyn()), ("h", fields.clone()), ("offset", scalar(1.5))];
    let with = log_z(&npz(&directory, &arrays));
    assert_close(with, log_z(&npz(&directory, &arrays[..2])) - 1.5, "potts");
}

/// Every way to log Z, at another temperature as well, knows of a constant in the energy.
#[test]
fn every_method_counts_the_offset() {
    let directory = temporary();
    let half = matrix(&numbers(&[6, 6], 1.0));
    let mut couplings = 0.5 * (&half + &half.t());
    couplings.diag_mut().fill(0.0);
    let settings = Settings { seed: 3, ..Settings::default() };
    for spins in [0.0, 1.0] {
        let model = |offset: f64| {
            let arrays = [
                ("J", couplings.clone().into_dyn()),
                ("h", numbers(&[6], 2.0)),
                ("spins", scalar(spins)),
                ("offset", scalar(offset)),
            ];
            read(&npz(&directory, &arrays)).expect("a machine").model
        };
        for temperature in [1.0, 2.0] {
            let plain = exact(&model(0.0).at_temperature(temperature));
            let shifted = model(7.0).at_temperature(temperature);
            for method in ["enumeration", "transfer-matrix", "ais", "smc"] {
                let found = by_name(method)
                    .expect("a method")
                    .estimate(&shifted, &settings, &Silent)
                    .unwrap_or_else(|error| panic!("{method}: {error}"));
                let error = 6.0 * found.std_err.unwrap_or(0.0) + 1e-9;
                let expected = plain - 7.0 / temperature;
                assert!((found.log_z - expected).abs() < error, "{method}: {} for {expected}", found.log_z);
            }
        }
    }
}

#[test]
fn what_units_are_is_asked_where_the_file_cannot_say() {
    let directory = temporary();
    let (couplings, fields) = (array![[0.0, 1.0], [1.0, 0.0]].into_dyn(), array![0.5, -0.25].into_dyn());
    let arrays = [("J", couplings), ("h", fields)];
    let loaded = read(&npz(&directory, &arrays)).expect("bits");
    assert_eq!(loaded.assumed.len(), 1);
    assert!(loaded.assumed[0].contains("units are read as bits"), "{:?}", loaded.assumed);
    let stated = ModelOptions { units: Some(Units::Spins), ..ModelOptions::default() };
    for (name, value) in [("spins", "pm1"), ("vartype", "SPIN"), ("units", "spins")] {
        let path = npz_with_text(&directory, &arrays, &[(name, value)]);
        let error = read(&path).expect_err(name);
        assert!(error.contains(name) && error.contains("--units"), "{error}");
        let loaded = io::read_model(&path, &stated).expect("stated");
        assert_eq!(loaded.model.space().values(), Some(vec![-1.0, 1.0]));
        assert!(loaded.assumed.is_empty(), "{:?}", loaded.assumed);
        let left_out = ModelOptions { ignore: vec![name.into()], ..ModelOptions::default() };
        assert!(io::read_model(&path, &left_out).is_ok());
    }
    // Text that has nothing to do with it.
    assert!(read(&npz_with_text(&directory, &arrays, &[("note", "hello")])).is_ok());
    // What cannot be read could be anything.
    let path = npz_with_text(&directory, &Machine::new(0.0).arrays(), &[("log_var", "nought")]);
    assert!(read(&path).expect_err("unread").contains("`log_var` is the log variance"));
    let path = npz_with_text(&directory, &arrays[..1], &[("h", "none")]);
    assert!(read(&path).expect_err("unread").contains("`h` is the fields h"));
}

#[test]
fn arrays_that_could_be_parameters_are_used_or_named() {
    let directory = temporary();
    let machine = Machine::new(0.0);
    let pairs = || {
        let whole = &matrix(&numbers(&[3, 3], 0.0)) + &matrix(&numbers(&[3, 3], 0.0)).t();
        vec![
            ("J", (whole * array![[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]).into_dyn()),
            ("spins", scalar(1.0)),
        ]
    };
    let gaussian = || {
        vec![("mean", numbers(&[3], 0.0)), ("cov", Array2::<f64>::eye(3).into_dyn()), ("epoch", scalar(3.0))]
    };
    let with = |arrays: Arrays<'static>, name: &'static str, shape: &[usize]| {
        [arrays, vec![(name, numbers(shape, 5.0))]].concat()
    };
    let cases: Vec<(Arrays<'_>, &str, &str)> = vec![
        (with(machine.arrays(), "shift", &[4]), "shift", "as long as the visible units"),
        (with(machine.arrays(), "gain", &[1, 3]), "gain", "as long as the hidden units"),
        (with(machine.arrays(), "data_mean", &[4]), "data_mean", "visible_offset"),
        (with(machine.arrays(), "W_ema", &[4, 3]), "W_ema", "visible units x hidden units"),
        (with(machine.arrays(), "lateral", &[4, 4]), "lateral", "visible units x visible units"),
        (with(machine.arrays(), "third", &[4, 3, 4]), "third", "a shape of parameters"),
        (with(pairs(), "bias", &[3]), "bias", "as long as the units"),
        (with(pairs(), "b", &[3]), "b", "by its name"),
        (with(pairs(), "triples", &[3, 3, 3]), "triples", "a shape of parameters"),
        (with(pairs(), "log_var", &[2]), "log_var", "by its name"),
        (with(gaussian(), "shift", &[3]), "shift", "as long as the coordinates"),
    ];
    for (arrays, name, message) in cases {
        let path = npz(&directory, &arrays);
        let error = read(&path).expect_err(name);
        assert!(error.contains(&format!("`{name}`")) && error.contains(message), "{error}");
        assert!(error.contains(&format!("--ignore {name}")), "{error}");
        let options = ModelOptions { ignore: vec![name.into()], ..ModelOptions::default() };
        let loaded = io::read_model(&path, &options).unwrap_or_else(|error| panic!("{error}"));
        let rest: Vec<_> = arrays.into_iter().filter(|(other, _)| *other != name).collect();
        assert_close(exact(&loaded.model), log_z(&npz(&directory, &rest)), name);
        assert!(loaded.notes.iter().any(|note| note.contains(name) && note.contains("left out")));
    }
    let ignore = |name: &str| ModelOptions { ignore: vec![name.into()], ..ModelOptions::default() };
    let path = npz(&directory, &machine.arrays());
    let error = io::read_model(&path, &ignore("ov")).expect_err("a typing error").to_string();
    assert!(error.contains("--ignore ov: there is no such array"), "{error}");
    // A name in full leaves its namesakes.
    let path = npz(&directory, &machine.and([("ema.W", numbers(&[4, 3], 3.0))]));
    assert!(read(&path).expect_err("two").contains("both `W` and `ema.W`"));
    assert!(io::read_model(&path, &ignore("ema.W")).is_ok());
    // A bias that was found by its shape is told.
    let path = npz(
        &directory,
        &[
            ("W", machine.weights.clone()),
            ("vbias", machine.visible_bias.clone()),
            ("p", machine.hidden_bias.clone()),
        ],
    );
    assert!(read(&path).expect("by shape").assumed[0].contains("`p` is taken for the hidden bias"));
}

#[test]
fn what_trainings_leave_behind_is_no_parameter() {
    let directory = temporary();
    let machine = Machine::new(2.0);
    let expected = machine.centred(&numbers(&[4], 0.0).mapv(|_| 0.0), &numbers(&[3], 0.0).mapv(|_| 0.0), 0.0);
    let [(_, w), (_, b), (_, c)] = machine.arrays().try_into().expect("three arrays");
    let with = |names: [&'static str; 3]| -> Arrays<'static> {
        names.into_iter().zip([w.clone(), b.clone(), c.clone()]).collect()
    };
    let of = |names: &[&'static str], shape: &[usize]| -> Arrays<'static> {
        names.iter().map(|name| (*name, numbers(shape, 11.0))).collect()
    };
    let row = |arrays: Arrays<'static>| -> Arrays<'static> {
        arrays
            .into_iter()
            .map(|(name, array)| (name, if array.ndim() == 1 { array.insert_axis(Axis(0)) } else { array }))
            .collect()
    };
    let files: Vec<(&str, Arrays<'static>)> = vec![
        // The workspace of rbm.m (Hinton & Salakhutdinov 2006).
        (
            "MATLAB",
            [
                row(with(["vishid", "visbiases", "hidbiases"])),
                of(&["vishidinc", "posprods", "negprods"], &[4, 3]),
                of(&["visbiasinc", "posvisact", "negvisact"], &[1, 4]),
                of(&["hidbiasinc", "poshidact", "neghidact"], &[1, 3]),
                // As many cases as there are visible units.
                of(&["poshidprobs", "neghidprobs", "poshidstates"], &[4, 3]),
                of(&["data", "negdata"], &[4, 4]),
                of(&["batchdata"], &[4, 4, 3]),
                of(&["batchposhidprobs"], &[4, 3, 3]),
                of(
                    &["epsilonw", "weightcost", "momentum", "numhid", "epoch", "err", "errsum", "restart"],
                    &[1, 1],
                ),
            ]
            .concat(),
        ),
        (
            "PyTorch",
            [
                with(["model.W", "model.v_bias", "model.h_bias"]),
                of(
                    &["optimizer.state.0.exp_avg", "optimizer.state.0.exp_avg_sq", "W.momentum_buffer"],
                    &[4, 3],
                ),
                of(&["optimizer.state.1.exp_avg", "optimizer.state.1.exp_avg_sq"], &[4]),
                of(&["state.2.sum", "optimizer.h_bias"], &[3]),
                of(&["optimizer.state.0.step", "epoch"], &[]),
            ]
            .concat(),
        ),
        (
            "Adam by hand",
            [
                with(["W", "b", "c"]),
                of(&["m_W", "v_W", "dW", "W_inc", "W_velocity"], &[4, 3]),
                of(&["m_b", "v_b", "db"], &[4]),
                of(&["m_c", "v_c", "c_momentum"], &[3]),
                of(&["opt/mu/W", "opt/nu/W"], &[4, 3]),
            ]
            .concat(),
        ),
        (
            "scikit-learn",
            [
                vec![
                    ("components_", w.clone().reversed_axes()),
                    ("intercept_visible_", b.clone()),
                    ("intercept_hidden_", c.clone()),
                ],
                // A batch of four.
                of(&["h_samples_"], &[4, 3]),
                of(&["n_features_in_"], &[]),
            ]
            .concat(),
        ),
        (
            "records",
            [
                with(["W", "vbias", "hbias"]),
                of(&["loss_history", "train_error", "pseudo_likelihood"], &[4]),
                of(&["epochs", "image_shape", "labels"], &[3]),
                of(&["X_train", "persistent_chain"], &[3, 4]),
                of(&["extra", "rows"], &[7]),
                of(&["other"], &[7, 4]),
            ]
            .concat(),
        ),
    ];
    for (what, arrays) in files {
        let loaded = read(&npz(&directory, &arrays)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_close(exact(&loaded.model), expected, what);
        assert!(loaded.assumed.is_empty(), "{what}: {:?}", loaded.assumed);
        let unused = loaded.notes.iter().filter(|note| note.contains(": not used")).count();
        assert_eq!(unused, arrays.len() - 3, "{what}: {:?}", loaded.notes);
    }
    let covariances = numbers(&[2, 3, 3], 0.0) * 0.0 + Array2::<f64>::eye(3);
    let mixture = [
        ("weights_", array![0.5, 0.5].into_dyn()),
        ("means_", numbers(&[2, 3], 0.0)),
        ("covariances_", covariances.clone()),
        ("precisions_", covariances.clone()),
        ("precisions_cholesky_", covariances),
        ("lower_bounds_", numbers(&[3], 0.0)),
        ("converged_", scalar(1.0)),
    ];
    assert!(read(&npz(&directory, &mixture)).is_ok());
}

#[test]
fn models_of_other_kinds_are_refused_by_name() {
    let directory = temporary();
    let cases: Vec<(Arrays<'static>, &str)> = vec![
        (
            vec![
                ("W1", numbers(&[6, 4], 0.0)),
                ("W2", numbers(&[4, 3], 0.0)),
                ("b0", numbers(&[6], 0.0)),
                ("b1", numbers(&[4], 0.0)),
                ("b2", numbers(&[3], 0.0)),
            ],
            "a deep Boltzmann machine (layers of weights `W1` and `W2`) is not read yet",
        ),
        (
            vec![
                ("vishid", numbers(&[6, 4], 0.0)),
                ("hidpen", numbers(&[4, 3], 0.0)),
                ("visbiases", numbers(&[1, 6], 0.0)),
                ("hidbiases", numbers(&[1, 4], 0.0)),
                ("penbiases", numbers(&[1, 3], 0.0)),
            ],
            "a deep Boltzmann machine (layers of weights `vishid` and `hidpen`)",
        ),
        (
            vec![
                ("W", numbers(&[6, 4], 0.0)),
                ("U", numbers(&[2, 4], 0.0)),
                ("b", numbers(&[6], 0.0)),
                ("c", numbers(&[4], 0.0)),
                ("d", numbers(&[2], 0.0)),
            ],
            "an RBM with label units (weights `U`) is not read yet",
        ),
        (
            vec![
                ("W", numbers(&[3, 4, 3], 0.0)),
                ("vbias", numbers(&[3, 4], 0.0)),
                ("hbias", numbers(&[3], 0.0)),
            ],
            "a softmax RBM (W[items, values, hidden]) is not read yet",
        ),
        (
            vec![("J", numbers(&[4, 4, 3, 3], 0.0)), ("h", numbers(&[4, 3], 0.0))],
            "DCA parameters J[L, L, q, q]",
        ),
    ];
    for (arrays, message) in cases {
        let error = read(&npz(&directory, &arrays)).expect_err(message);
        assert!(error.contains(message), "{error}");
    }
    let path = directory.path().join("model.txt");
    for (text, message) in [
        ("MARKOV\n2\n2 2\n1\n2 0 1\n4\n 1 0 0 1\n", "UAI file of a Markov or Bayesian network"),
        ("J 0 1 0 0 -0.496\nJ 0 1 0 1 0.39\nh 0 0 0.1\n", "DCA parameters as text"),
        ("h 0 0 0.1\n", "DCA parameters as text"),
        ("J'ai deux amours\n", "this is text, not a file of arrays"),
    ] {
        fs::write(&path, text).expect("writable");
        let error = read(&path).expect_err(message);
        assert!(error.contains(message), "{error}");
    }
}

fn lnz(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lnz"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

#[test]
fn answers_say_what_was_assumed() {
    let directory = temporary();
    let couplings = array![[0.0, 1.0, 0.5], [0.0, 0.0, -0.5], [0.0, 0.0, 0.0]];
    npz(&directory, &[("J", couplings.into_dyn()), ("shift", numbers(&[3], 0.0))]);
    io::write_npy(&directory.path().join("x.npy"), array![[0.0, 1.0, 1.0]].view().into_dyn())
        .expect("writable");
    let fails = |arguments: &str| {
        let output = lnz(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    for command in ["inspect", "estimate", "exact", "sample -n 5 --out y.npy", "evaluate --data x.npy"] {
        let said = fails(&format!("{command} model.npz"));
        assert!(said.contains("`shift` [3]") && said.contains("--ignore shift"), "{said}");
        let output = lnz(directory.path(), &format!("{command} model.npz --ignore shift"));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{command}: {said}");
        for assumption in ["units are read as bits", "J is upper triangular"] {
            assert!(said.contains(assumption), "{command}: {said}");
        }
    }
    let output = lnz(directory.path(), "estimate model.npz --ignore shift --json --out run.json");
    let json = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(json.contains("units are read as bits") && json.contains("J is upper triangular"), "{json}");
    // The record knows the file, however it was read.
    let output =
        lnz(directory.path(), "evaluate model.npz --ignore shift --units bits --data x.npy --log-z run.json");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("read as bits"), "{said}");
    let output = lnz(directory.path(), "estimate model.npz --ignore shift --replay run.json");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fails("estimate ref:ising --ignore shift").contains("--ignore"));
    assert!(fails("estimate model.npz --ignore shift --ignore nothing").contains("no such array"));
    assert!(fails("train rbm --data x.npy --out m.npz --ignore shift").contains("--start"));
}
