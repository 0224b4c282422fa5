//! Transfer matrices of Boltzmann machines on narrow graphs.

use std::sync::Arc;
use std::time::Instant;

use lnz::Error;
use lnz::estimators::quickest_exact;
use lnz::math::Stream;
use lnz::models::{Boltzmann, Ising, Lattice, Model, Units};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use rand::RngExt;

use super::{assert_close, assert_same_on_any_threads, log_z, run};

fn machine(
    dim: usize,
    edges: impl IntoIterator<Item = (usize, usize, f64)>,
    fields: Vec<f64>,
    units: Units,
) -> Arc<dyn Model> {
    let mut couplings = Array2::zeros((dim, dim));
    for (i, j, coupling) in edges {
        couplings[[i, j]] += coupling;
        couplings[[j, i]] += coupling;
    }
    Arc::new(Boltzmann::new(couplings, fields.into(), units).expect("a machine"))
}

/// Couplings and fields uniform in ±scale, more of them above 0 than below, one for each bond and site.
fn random_on(bonds: &[(usize, usize)], dim: usize, scale: f64, seed: u64, units: Units) -> Arc<dyn Model> {
    let mut generator = Stream::new(seed).generator();
    let mut uniform = || scale * (2.0 * generator.random::<f64>() - 0.9);
    let edges: Vec<_> = bonds.iter().map(|&(i, j)| (i, j, uniform())).collect();
    let fields = (0..dim).map(|_| uniform()).collect();
    machine(dim, edges, fields, units)
}

/// Bonds of a lattice that is joined to itself around, open along.
fn cylinder(along: usize, around: usize) -> Vec<(usize, usize)> {
    let site = |a: usize, b: usize| a * around + b % around;
    let rows = (0..along).flat_map(|a| (0..around).map(move |b| (site(a, b), site(a, b + 1))));
    let columns = (1..along).flat_map(|a| (0..around).map(move |b| (site(a - 1, b), site(a, b))));
    rows.chain(columns).collect()
}

fn torus(rows: usize, columns: usize) -> Vec<(usize, usize)> {
    Lattice::Torus { rows, columns }.bonds().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Sparse graphs of up to 20 units, many of them in pieces, from weak couplings to such that only logarithms hold.
    #[test]
    fn sparse_graphs_agree_with_enumeration(
        dim in 1usize..=20,
        pairs in prop::collection::vec((0usize..20, 0usize..20, -1.0..1.0f64), 0..40),
        fields in prop::collection::vec(-1.0..1.0f64, 20),
        scale in prop::sample::select(vec![0.1, 1.0, 10.0, 1e3, 1e6]),
        units in prop::sample::select(vec![Units::Bits, Units::Spins]),
    ) {
        let edges = pairs.into_iter().map(|(i, j, x)| (i % dim, j % dim, scale * x)).filter(|(i, j, _)| i != j);
        let fields = fields[..dim].iter().map(|x| scale * x).collect();
        let model = machine(dim, edges, fields, units);
        assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-12, "sparse graph");
    }
}

#[test]
fn dense_machines_agree_with_enumeration() {
    for units in [Units::Bits, Units::Spins] {
        for dim in [1, 2, 3, 7, 12, 16] {
            for scale in [0.3, 20.0, 1e3, 1e12] {
                let bonds: Vec<_> = (0..dim).flat_map(|i| (0..i).map(move |j| (j, i))).collect();
                let model = random_on(&bonds, dim, scale, dim as u64, units);
                let what = format!("{dim} {units:?} scale {scale}");
                assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-12, &what);
            }
        }
    }
}

/// The energy of an Ising model is that of the Boltzmann machine over its bonds, with no constant between them.
#[test]
fn homogeneous_lattices_agree_with_strips() {
    for lattice in [
        Lattice::Grid { rows: 9, columns: 7 },
        Lattice::Grid { rows: 13, columns: 14 },
        Lattice::Torus { rows: 4, columns: 9 },
        Lattice::Torus { rows: 7, columns: 6 },
        Lattice::Ring { sites: 300 },
    ] {
        for (coupling, field) in [(0.3, 0.1), (-0.7, 0.4), (0.9, 0.0), (3.0, -0.01)] {
            let ising = Ising::new(lattice, coupling, field).expect("an Ising model");
            let edges = lattice.bonds().into_iter().map(|(i, j)| (i, j, coupling));
            let sites = lattice.sites();
            let model = machine(sites, edges, vec![field; sites], Units::Spins);
            let expected = log_z("transfer-matrix", &(Arc::new(ising) as Arc<dyn Model>));
            let what = format!("{lattice} J = {coupling} h = {field}");
            assert_close(log_z("transfer-matrix", &model), expected, 1e-13, &what);
        }
    }
}

/// s_i → −s_i for any set of sites changes signs of couplings and fields and nothing else; numbering the sites otherwise changes
/// nothing at all.
#[test]
fn a_spin_glass_keeps_log_z_when_spins_are_redefined_or_renumbered() {
    for scale in [1.0, 1e3] {
        let bonds = cylinder(16, 16);
        let model = random_on(&bonds, 256, scale, 3, Units::Spins);
        let start = Instant::now();
        let expected = log_z("transfer-matrix", &model);
        assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
        let glass = lnz::models::downcast::<Boltzmann>(&model).expect("it is one");
        let sign = |site: usize| if (site * site) % 7 < 3 { -1.0 } else { 1.0 };
        let renumbered = |site: usize| site * 101 % 256;
        let mut fields = Array1::zeros(256);
        let mut couplings = Array2::zeros((256, 256));
        for i in 0..256 {
            fields[renumbered(i)] = sign(i) * glass.fields()[i];
            for j in 0..256 {
                couplings[[renumbered(i), renumbered(j)]] = sign(i) * sign(j) * glass.couplings()[[i, j]];
            }
        }
        let other: Arc<dyn Model> =
            Arc::new(Boltzmann::new(couplings, fields, Units::Spins).expect("a machine"));
        assert_close(log_z("transfer-matrix", &other), expected, 1e-13, "spins redefined");
        let (method, _) = quickest_exact(&model).expect("narrow");
        assert_eq!(method.name(), "transfer-matrix");
    }
}

/// s = 2x − 1 makes spins with (J, h) bits with J′ = 4J and h′ = 2 (h − J1), up to the constant Σh − ½ 1ᵀJ1.
#[test]
fn spins_are_bits_up_to_a_constant() {
    let model = random_on(&torus(6, 5), 30, 1.0, 8, Units::Spins);
    let spins = lnz::models::downcast::<Boltzmann>(&model).expect("it is one");
    let fields = 2.0 * (spins.fields() - spins.couplings().sum_axis(ndarray::Axis(1)));
    let constant = spins.fields().sum() - 0.5 * spins.couplings().sum();
    let bits: Arc<dyn Model> =
        Arc::new(Boltzmann::new(4.0 * spins.couplings(), fields, Units::Bits).expect("a machine"));
    let expected = log_z("transfer-matrix", &bits) - constant;
    assert_close(log_z("transfer-matrix", &model), expected, 1e-12, "bits and spins");
}

/// Chains, trees and pieces have closed forms at any size and temperature.
#[test]
fn trees_match_their_closed_form() {
    let ln_2_cosh = |x: f64| x.abs() + (-2.0 * x.abs()).exp().ln_1p();
    for scale in [0.5, 30.0, 1e3] {
        let mut generator = Stream::new(5).generator();
        let edges: Vec<(usize, usize, f64)> = (1..700)
            .filter(|child| child % 100 != 0)
            .map(|child| (child - 1 - (child * 7 % 13).min(child % 100 - 1), child))
            .map(|(parent, child)| (parent, child, scale * (generator.random::<f64>() - 0.4)))
            .collect();
        // Summed from the leaves, each bond of a tree without fields leaves 2 cosh J, each root 2.
        let expected =
            7.0 * 2f64.ln() + edges.iter().map(|&(_, _, coupling)| ln_2_cosh(coupling)).sum::<f64>();
        let model = machine(700, edges, vec![0.0; 700], Units::Spins);
        assert_close(log_z("transfer-matrix", &model), expected, 1e-13, "seven trees");
    }
    let alone = machine(400, [], (0..400).map(|i| f64::from(i) * 9.0 - 1500.0).collect(), Units::Spins);
    let expected = (0..400).map(|i| ln_2_cosh(f64::from(i) * 9.0 - 1500.0)).sum();
    assert_close(log_z("transfer-matrix", &alone), expected, 1e-13, "units alone");
}

/// Fields against strong couplings: weights that are lost when a unit is added would matter again when the next ones are.
#[test]
fn what_looks_negligible_early_is_kept() {
    // The end's field undoes what all others say, and breaking a bond would not pay: the two aligned states are all there is.
    for (coupling, push) in [(100.0, 60.0), (299.0, 258.0), (301.0, 260.0), (1e4, 3e3)] {
        let length = 40;
        let mut fields = vec![push / (length - 1) as f64; length];
        fields[length - 1] = -push - 1.0;
        let edges = (1..length).map(|i| (i - 1, i, coupling));
        let model = machine(length, edges, fields, Units::Spins);
        let expected = coupling * (length - 1) as f64 + 1.0 + (-2f64).exp().ln_1p();
        assert_close(log_z("transfer-matrix", &model), expected, 1e-13, "a chain that turns round");
    }
    for coupling in [70.0, 149.0, 151.0] {
        let bonds = torus(4, 4);
        let edges = bonds.iter().map(|&(i, j)| (i, j, if i * j % 3 == 1 { -coupling } else { coupling }));
        let mut fields = vec![500.0; 16];
        fields[15] = -9000.0;
        let model = machine(16, edges, fields, Units::Spins);
        assert_close(
            log_z("transfer-matrix", &model),
            log_z("enumeration", &model),
            1e-13,
            "against the field",
        );
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for scale in [1.0, 1e3] {
        assert_same_on_any_threads(
            "transfer-matrix",
            &random_on(&cylinder(6, 15), 90, scale, 4, Units::Spins),
        );
        assert_same_on_any_threads("transfer-matrix", &random_on(&torus(7, 7), 49, scale, 5, Units::Bits));
    }
}

#[test]
fn what_is_too_wide_is_refused_at_once() {
    let start = Instant::now();
    let dense: Vec<_> = (0..300).flat_map(|i| (0..i).map(move |j| (j, i))).collect();
    let mut generator = Stream::new(1).generator();
    let scattered: Vec<_> =
        (0..3000).map(|_| (generator.random_range(0..999), generator.random_range(0..999))).collect();
    let scattered: Vec<_> = scattered.into_iter().filter(|(i, j)| i != j).collect();
    for (bonds, dim) in [(dense, 300), (torus(30, 30), 900), (cylinder(28, 28), 784), (scattered, 999)] {
        let model = random_on(&bonds, dim, 0.5, 2, Units::Bits);
        let refused = run("transfer-matrix", &model).expect_err("too wide");
        assert!(matches!(refused, Error::NotApplicable { .. }));
        assert!(refused.to_string().contains("more than 27 units"), "{refused}");
    }
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}
