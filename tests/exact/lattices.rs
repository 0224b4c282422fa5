//! Kaufman's formula and transfer matrices.

use std::sync::Arc;
use std::time::Instant;

use lnz::Error;
use lnz::models::{Ising, Lattice, Model, Potts};
use ndarray::{Array1, array};

use super::{assert_close, assert_same_on_any_threads, log_z, run};

fn ising(lattice: Lattice, coupling: f64, field: f64) -> Arc<dyn Model> {
    Arc::new(Ising::new(lattice, coupling, field).expect("an Ising model"))
}

fn potts(lattice: Lattice, coupling: f64, field: Array1<f64>) -> Arc<dyn Model> {
    Arc::new(Potts::on_lattice(lattice, coupling, field).expect("a Potts model"))
}

/// Ferromagnetic and frustrated, with and without a field, all parities of the sides.
#[test]
fn ising_agrees_with_enumeration() {
    for coupling in [0.2, 0.44, 0.9, -0.2, -0.44, -0.9] {
        for (rows, columns) in [(3, 3), (3, 4), (4, 3), (3, 5), (4, 4), (4, 5), (5, 5), (3, 6)] {
            let torus = Lattice::Torus { rows, columns };
            let what = format!("{torus} J = {coupling}");
            let model = ising(torus, coupling, 0.0);
            let expected = log_z("enumeration", &model);
            assert_close(log_z("transfer-matrix", &model), expected, 1e-13, &what);
            // The one place where the four terms of the formula cancel.
            if (coupling, rows, columns) == (-0.9, 5, 5) {
                assert!(matches!(run("kaufman", &model), Err(Error::NotApplicable { .. })));
            } else {
                assert_close(log_z("kaufman", &model), expected, 1e-12, &what);
            }
            let model = ising(torus, coupling, 0.23);
            assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-13, &what);
            assert!(matches!(run("kaufman", &model), Err(Error::NotApplicable { .. })));
        }
        for (rows, columns) in [(1, 1), (1, 9), (2, 2), (5, 2), (3, 6), (5, 5)] {
            let model = ising(Lattice::Grid { rows, columns }, coupling, -0.31);
            let what = format!("{rows}x{columns} grid J = {coupling}");
            assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-13, &what);
        }
        for sites in [3, 4, 5, 12, 17] {
            let model = ising(Lattice::Ring { sites }, coupling, 0.4);
            assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-13, "ring");
        }
    }
}

/// λ± = e^J cosh h ± √(e^{2J} sinh² h + e^{−2J}) and log Z = log(λ₊ᴺ + λ₋ᴺ).
#[test]
fn rings_match_their_eigenvalues() {
    for (coupling, field) in [(0.5f64, 0.1f64), (1.0, 0.0), (-0.7, 0.3)] {
        let mean = coupling.exp() * field.cosh();
        let root = ((2.0 * coupling).exp() * field.sinh().powi(2) + (-2.0 * coupling).exp()).sqrt();
        for sites in [3usize, 10, 101, 100_000] {
            let ratio = ((mean - root) / (mean + root)).powi(sites as i32);
            let expected = sites as f64 * (mean + root).ln() + ratio.ln_1p();
            let model = ising(Lattice::Ring { sites }, coupling, field);
            assert_close(log_z("transfer-matrix", &model), expected, 1e-13, "ring");
        }
    }
    let ground = log_z("transfer-matrix", &ising(Lattice::Ring { sites: 1001 }, -1e4, 0.0));
    assert_close(ground, 999.0 * 1e4 + 2002f64.ln(), 1e-14, "a frustrated ring has 2N ground states");
}

#[test]
fn potts_agrees_with_enumeration() {
    for coupling in [0.8, -1.1, -12.0] {
        for lattice in [
            Lattice::Torus { rows: 3, columns: 3 },
            Lattice::Torus { rows: 3, columns: 4 },
            Lattice::Grid { rows: 3, columns: 4 },
            Lattice::Ring { sites: 7 },
        ] {
            for field in [array![0.0, 0.0, 0.0], array![0.3, -0.2, 0.0]] {
                let model = potts(lattice, coupling, field);
                let what = format!("{lattice} J = {coupling}");
                assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-12, &what);
            }
        }
    }
    for states in [1, 2, 4, 5, 10, 11] {
        let model = potts(Lattice::Grid { rows: 2, columns: 3 }, 0.6, Array1::linspace(-0.5, 0.5, states));
        assert_close(log_z("transfer-matrix", &model), log_z("enumeration", &model), 1e-12, "states");
    }
}

/// Wide enough for every branch of the vector code. Two Potts states are an Ising spin: δ(s, t) = (1 + st)/2.
#[test]
fn wide_tori_agree_with_kaufman() {
    for (rows, columns, coupling) in
        [(8, 8, 0.44), (10, 13, 0.44), (9, 11, 0.6), (12, 12, 0.3), (13, 13, 0.44), (9, 12, -0.3)]
    {
        let torus = Lattice::Torus { rows, columns };
        let model = ising(torus, coupling, 0.0);
        let found = log_z("transfer-matrix", &model);
        assert_close(found, log_z("kaufman", &model), 1e-13, &torus.to_string());
        let model = potts(torus, 2.0 * coupling, Array1::zeros(2));
        let shift = coupling * (2 * rows * columns) as f64;
        assert_close(log_z("transfer-matrix", &model) - shift, found, 1e-13, &torus.to_string());
    }
}

/// Uncoupled sites, a chain, and sites so strongly coupled that they are one.
#[test]
fn wide_grids_agree_with_closed_forms() {
    let free = ising(Lattice::Grid { rows: 15, columns: 16 }, 0.0, 0.3);
    assert_close(log_z("transfer-matrix", &free), 240.0 * (2.0 * 0.3f64.cosh()).ln(), 1e-13, "uncoupled");
    // A chain of N sites has Z = 2ᴺ cosh^{N−1} J.
    let chain = ising(Lattice::Grid { rows: 1, columns: 500 }, -0.8, 0.0);
    let expected = 500.0 * 2f64.ln() + 499.0 * 0.8f64.cosh().ln();
    assert_close(log_z("transfer-matrix", &chain), expected, 1e-13, "chain");
    // Z of a 14 × 15 grid at infinitely strong coupling is that of one spin in the field of all.
    let frozen = ising(Lattice::Grid { rows: 14, columns: 15 }, 20.0, 0.01);
    let bonds = (14 * 14 + 13 * 15) as f64;
    assert_close(
        log_z("transfer-matrix", &frozen),
        20.0 * bonds + (2.0 * 2.1f64.cosh()).ln(),
        1e-13,
        "frozen",
    );
}

#[test]
fn threads_do_not_change_a_bit() {
    for lattice in [Lattice::Torus { rows: 8, columns: 5 }, Lattice::Grid { rows: 15, columns: 14 }] {
        assert_same_on_any_threads("transfer-matrix", &ising(lattice, 0.4, 0.1));
    }
}

#[test]
fn what_would_not_finish_is_refused_at_once() {
    let start = Instant::now();
    for lattice in [
        Lattice::Torus { rows: 1000, columns: 1000 },
        Lattice::Torus { rows: 20, columns: 30 },
        Lattice::Torus { rows: 27, columns: 27 },
        Lattice::Grid { rows: 30, columns: 30 },
    ] {
        let refused = run("transfer-matrix", &ising(lattice, 0.4, 0.1));
        assert!(matches!(refused, Err(Error::NotApplicable { .. })), "{lattice}");
    }
    let cold = run("transfer-matrix", &ising(Lattice::Grid { rows: 4, columns: 5 }, 1e3, 0.1));
    assert!(cold.expect_err("f64 cannot hold it").to_string().contains("span"));
    assert!(start.elapsed().as_secs_f64() < 1.0);
}
