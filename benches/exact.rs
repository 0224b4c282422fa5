//! Exact methods against their targets: `cargo bench --bench exact`, or with part of a case's name behind `--`.
//!
//! Every case is checked against an independent value to 1e-9 before its time counts. Last, the Gray-code sum of an RBM races
//! the plain way: blocks of hidden states, a matrix product for their activations, a sum of softplus, a log-sum-exp.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use lnz::estimators::{Settings, Silent, by_name};
use lnz::math::{Stream, log_sum_exp, products, simd};
use lnz::models::{Boltzmann, Ising, Lattice, Model, Rbm, Units};
use ndarray::{Array1, Array2, s};
use rand::RngExt;
use rayon::prelude::*;

/// Largest difference from the independent value.
const AGREEMENT: f64 = 1e-9;

struct Case {
    name: &'static str,
    method: &'static str,
    model: Arc<dyn Model>,
    /// Seconds on two threads.
    target: f64,
    /// How far the value is from that of another route, relative to it or absolute where that is below 1.
    off: Box<dyn Fn(f64) -> f64 + Send + Sync>,
}

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    println!(
        "{:<38} {:>20} {:>10} {:>10} {:>8} {:>7} {:>9}",
        "case", "log Z", "1 thread", "2 threads", "target", "ratio", "off by"
    );
    for case in cases().into_iter().filter(|case| is_wanted(case.name)) {
        report(&case);
    }
    if is_wanted("blocked") {
        against_blocked_products();
    }
}

fn report(case: &Case) {
    let log_z = || log_z_by(case.method, &case.model);
    let found = log_z();
    let off = (case.off)(found);
    let rounds = (2.0 / case.target).clamp(3.0, 40.0) as usize;
    let [one, two] = [1, 2].map(|threads| {
        support::on_threads(threads, || support::race(rounds, [&mut || _ = black_box(log_z())])[0])
    });
    println!(
        "{:<38} {found:>20.12} {one:>9.4}s {two:>9.4}s {:>7}s {:>7.2} {off:>9.1e}{}",
        case.name,
        case.target,
        two / case.target,
        if off < AGREEMENT { "" } else { "  WRONG" }
    );
}

fn log_z_by(method: &str, model: &Arc<dyn Model>) -> f64 {
    by_name(method).unwrap().estimate(model, &Settings::default(), &Silent).unwrap().log_z
}

fn difference(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, visible, hidden, target) in
        [("RBM 784x20", 784, 20, 0.12), ("RBM 784x24", 784, 24, 1.8), ("RBM 100x28", 100, 28, 4.0)]
    {
        let rbm = machine(visible, hidden);
        let model: Arc<dyn Model> = Arc::new(rbm.clone());
        cases.push(Case {
            name,
            method: "enumeration",
            model,
            target,
            off: Box::new(move |found| difference(found, by_last_units(&rbm))),
        });
    }
    let (couplings, fields) = pairwise(22);
    let model: Arc<dyn Model> =
        Arc::new(Boltzmann::new(couplings.clone(), fields.clone(), Units::Spins).unwrap());
    cases.push(Case {
        name: "Boltzmann machine of 22 spins",
        method: "enumeration",
        model,
        target: 0.05,
        off: Box::new(move |found| difference(found, one_spin_at_a_time(&couplings, &fields))),
    });
    let grid = Lattice::Grid { rows: 16, columns: 16 };
    cases.push(Case {
        name: "Ising grid 16x16 with a field",
        method: "transfer-matrix",
        model: Arc::new(Ising::new(grid, 0.3, 0.1).unwrap()),
        target: 0.2,
        off: Box::new(|found| {
            let mut bonds = Bonds::uniform(16, 16, 0.3, 0.1);
            bonds.right.column_mut(15).fill(0.0);
            bonds.down.row_mut(15).fill(0.0);
            difference(found, bonds.site_by_site())
        }),
    });
    // A field too small to count, but not zero, takes the same way through the sum as any other; Kaufman's formula has none.
    let torus = |coupling: f64, field: f64| -> Arc<dyn Model> {
        let lattice = Lattice::Torus { rows: 14, columns: 14 };
        Arc::new(Ising::new(lattice, coupling, field).unwrap())
    };
    cases.push(Case {
        name: "Ising torus 14x14 with a field",
        method: "transfer-matrix",
        model: torus(0.3, 0.1),
        target: 5.0,
        off: Box::new(move |_| {
            difference(log_z_by("transfer-matrix", &torus(0.3, 1e-12)), log_z_by("kaufman", &torus(0.3, 0.0)))
        }),
    });
    for (name, rows, columns, is_open) in [
        ("Spin glass, 16x16 cylinder with fields", 16, 16, true),
        ("Spin glass, 8x8 torus with fields", 8, 8, false),
    ] {
        let mut bonds = Bonds::random(rows, columns);
        if is_open {
            bonds.down.row_mut(rows - 1).fill(0.0);
        }
        cases.push(Case {
            name,
            method: "transfer-matrix",
            model: Arc::new(bonds.machine()),
            target: 0.2,
            off: Box::new(move |found| difference(found, bonds.site_by_site())),
        });
    }
    cases
}

/// Weights as of a trained machine: a few tenths, biases that keep most units off.
fn machine(visible: usize, hidden: usize) -> Rbm {
    let mut generator = Stream::new(3).generator();
    let mut uniform = |low: f64, high: f64| low + (high - low) * generator.random::<f64>();
    let weights = Array2::from_shape_simple_fn((visible, hidden), || uniform(-0.5, 0.45));
    let visible_bias = Array1::from_shape_simple_fn(visible, || uniform(-3.0, 0.0));
    let hidden_bias = Array1::from_shape_simple_fn(hidden, || uniform(-1.0, 2.0));
    Rbm::new(weights, visible_bias, hidden_bias, Units::Bits).unwrap()
}

/// log Z as Σ over settings of the last hidden units of the log Z of the machine that is left, with its hidden units in reverse.
fn by_last_units(rbm: &Rbm) -> f64 {
    const LAST: usize = 3;
    let kept = rbm.hidden() - LAST;
    let terms: Vec<f64> = (0..1 << LAST)
        .map(|setting: usize| {
            let h = Array1::from_shape_fn(LAST, |j| (setting >> j & 1) as f64);
            let weights = rbm.weights().slice(s![.., kept..]);
            let rest = Rbm::new(
                rbm.weights().slice(s![.., ..kept; -1]).to_owned(),
                rbm.visible_bias() + &weights.dot(&h),
                rbm.hidden_bias().slice(s![..kept; -1]).to_owned(),
                Units::Bits,
            );
            let rest: Arc<dyn Model> = Arc::new(rest.unwrap());
            log_z_by("enumeration", &rest) + rbm.hidden_bias().slice(s![kept..]).dot(&h)
        })
        .collect();
    log_sum_exp(&terms)
}

fn pairwise(dim: usize) -> (Array2<f64>, Array1<f64>) {
    let mut generator = Stream::new(4).generator();
    let mut uniform = || generator.random::<f64>() - 0.45;
    let mut couplings = Array2::zeros((dim, dim));
    for i in 0..dim {
        for j in 0..i {
            couplings[[i, j]] = uniform();
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    (couplings, Array1::from_shape_simple_fn(dim, uniform))
}

/// Σ exp(−E) over spins by flipping one at a time and following the energy.
fn one_spin_at_a_time(couplings: &Array2<f64>, fields: &Array1<f64>) -> f64 {
    let dim = fields.len();
    let mut spins = Array1::from_elem(dim, -1.0);
    let mut log_weight = fields.dot(&spins) + 0.5 * spins.dot(&couplings.dot(&spins));
    let mut terms = vec![log_weight];
    for step in 1usize..1 << dim {
        let at = step.trailing_zeros() as usize;
        log_weight -= 2.0 * spins[at] * (fields[at] + couplings.row(at).dot(&spins));
        spins[at] = -spins[at];
        terms.push(log_weight);
    }
    log_sum_exp(&terms)
}

/// Couplings of each spin of a torus to its right and lower neighbours, and fields; a cut is a line of zeros.
struct Bonds {
    right: Array2<f64>,
    down: Array2<f64>,
    fields: Array2<f64>,
}

impl Bonds {
    fn uniform(rows: usize, columns: usize, coupling: f64, field: f64) -> Self {
        let all = |value| Array2::from_elem((rows, columns), value);
        Self { right: all(coupling), down: all(coupling), fields: all(field) }
    }

    fn random(rows: usize, columns: usize) -> Self {
        let mut generator = Stream::new(6).generator();
        let mut all =
            || Array2::from_shape_simple_fn((rows, columns), || 2.0 * generator.random::<f64>() - 0.9);
        Self { right: all(), down: all(), fields: all() }
    }

    fn machine(&self) -> Boltzmann {
        let (rows, columns) = self.fields.dim();
        let site = |row: usize, column: usize| row % rows * columns + column % columns;
        let mut couplings = Array2::zeros((rows * columns, rows * columns));
        for ((row, column), _) in self.fields.indexed_iter() {
            let here = site(row, column);
            for (there, coupling) in [
                (site(row, column + 1), self.right[[row, column]]),
                (site(row + 1, column), self.down[[row, column]]),
            ] {
                couplings[[here, there]] += coupling;
                couplings[[there, here]] += coupling;
            }
        }
        Boltzmann::new(couplings, self.fields.flatten().to_owned(), Units::Spins).unwrap()
    }

    /// log Z, a site at a time in log space, for each first row if the last is coupled to it.
    fn site_by_site(&self) -> f64 {
        let (rows, columns) = self.fields.dim();
        if self.down.row(rows - 1).iter().all(|coupling| *coupling == 0.0) {
            let start: Vec<f64> = (0..1 << columns).map(|index| self.within(0, index)).collect();
            return log_sum_exp(&self.later_rows(start));
        }
        let terms: Vec<f64> = (0..1usize << columns)
            .into_par_iter()
            .map(|first| {
                let mut start = vec![f64::NEG_INFINITY; 1 << columns];
                start[first] = self.within(0, first);
                let mut logs = self.later_rows(start);
                for (last, log) in logs.iter_mut().enumerate() {
                    for column in 0..columns {
                        *log += self.down[[rows - 1, column]] * spin(last, column) * spin(first, column);
                    }
                }
                log_sum_exp(&logs)
            })
            .collect();
        log_sum_exp(&terms)
    }

    /// What a row gains by itself; bit `column` of an index is the spin of that column.
    fn within(&self, row: usize, index: usize) -> f64 {
        let columns = self.fields.ncols();
        (0..columns)
            .map(|column| {
                let here = spin(index, column);
                self.fields[[row, column]] * here
                    + self.right[[row, column]] * here * spin(index, (column + 1) % columns)
            })
            .sum()
    }

    fn later_rows(&self, mut logs: Vec<f64>) -> Vec<f64> {
        let (rows, columns) = self.fields.dim();
        for row in 1..rows {
            for column in 0..columns {
                let coupling = self.down[[row - 1, column]];
                let old = logs.clone();
                for (index, log) in logs.iter_mut().enumerate() {
                    let above = |x: usize| old[x] + coupling * spin(index, column) * spin(x, column);
                    *log = log_sum_exp(&[above(index), above(index ^ 1 << column)]);
                }
            }
            logs.iter_mut().enumerate().for_each(|(index, log)| *log += self.within(row, index));
        }
        logs
    }
}

fn spin(index: usize, column: usize) -> f64 {
    if index >> column & 1 == 1 { 1.0 } else { -1.0 }
}

/// Seconds for 784x20 by the crate's kernel and by matrix products, on one thread and on two.
fn against_blocked_products() {
    let rbm = machine(784, 20);
    let model: Arc<dyn Model> = Arc::new(rbm.clone());
    println!("\nRBM 784x20: the Gray-code sum against blocks of 256 states, matrix products and softplus");
    println!(
        "{:>8} {:>10} {:>22} {:>22}",
        "threads", "Gray code", "blocked, f32 kernels", "blocked, f64 softplus"
    );
    for threads in [1, 2] {
        support::on_threads(threads, || {
            let mut sums = [0.0; 3];
            let [gray_sum, single_sum, double_sum] = &mut sums;
            let [gray, single] = support::race(
                5,
                [&mut || *gray_sum = log_z_by("enumeration", &model), &mut || {
                    *single_sum = blocked(&rbm, |w| w as f32, |a| simd::sum_softplus(1.0, a));
                }],
            );
            let begin = Instant::now();
            *double_sum =
                blocked(&rbm, |w| w, |a| a.iter().map(|a| a.max(0.0) + (-a.abs()).exp().ln_1p()).sum());
            let double = begin.elapsed().as_secs_f64();
            println!(
                "{threads:>8} {gray:>9.4}s {single:>12.4}s ({:>4.1}x) {double:>12.4}s ({:>4.1}x)",
                single / gray,
                double / gray
            );
            println!("{:>8} off by {:>28.1e} {:>23.1e}", "", sums[1] - sums[0], sums[2] - sums[0]);
        });
    }
}

/// log Σ_h exp(c·h + Σᵢ softplus(bᵢ + (Wh)ᵢ)), 256 hidden states to a matrix product. The bias is a column that is always on.
fn blocked<T: lnz::math::real::Real + Default + Send + Sync>(
    rbm: &Rbm,
    of: impl Fn(f64) -> T + Sync,
    sum_softplus: impl Fn(&[T]) -> f64 + Sync,
) -> f64 {
    const ROWS: usize = 256;
    let (visible, hidden) = rbm.weights().dim();
    let weights = Array2::from_shape_fn((hidden + 1, visible), |(j, i)| {
        of(if j < hidden { rbm.weights()[[i, j]] } else { rbm.visible_bias()[i] })
    });
    let parts: Vec<f64> =
        (0..(1usize << hidden) / ROWS)
            .into_par_iter()
            .map_init(
                || Array2::from_elem((ROWS, visible), T::ZERO),
                |activations, block| {
                    let number = |row: usize| block * ROWS + row;
                    let is_on = |row: usize, j: usize| j == hidden || number(row) >> j & 1 == 1;
                    let states = Array2::from_shape_fn((ROWS, hidden + 1), |(row, j)| {
                        if is_on(row, j) { T::ONE } else { T::ZERO }
                    });
                    products::multiply(states.view(), weights.view(), activations.view_mut());
                    let terms: Vec<f64> = (0..ROWS)
                        .map(|row| {
                            let own: f64 =
                                (0..hidden).filter(|&j| is_on(row, j)).map(|j| rbm.hidden_bias()[j]).sum();
                            own + sum_softplus(activations.row(row).as_slice().unwrap())
                        })
                        .collect();
                    log_sum_exp(&terms)
                },
            )
            .collect();
    log_sum_exp(&parts)
}
