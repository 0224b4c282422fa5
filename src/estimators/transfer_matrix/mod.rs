//! log Z of lattice models row by row, and of Boltzmann machines on narrow graphs unit by unit, by products of transfer matrices.

use std::sync::Arc;
use std::time::Instant;

use super::{Cost, Counts, Estimate, Estimator, Guarantee, Monitor, Plan, Settings};
use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::models::{Boltzmann, Ising, Lattice, Model, Potts, downcast};

mod frontier;
mod order;
mod strip;
mod table;

use frontier::{Frontier, MOST_OPEN};
use strip::Strip;

const NAME: &str = "transfer-matrix";
/// Most bytes that a run may take.
const MOST_BYTES: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;
/// Largest log-range of the couplings between two rows: beyond it a row that f64 holds as 0 could come to matter again.
const MOST_RANGE: f64 = 600.0;

/// The transfer matrix of an Ising or Potts model with one coupling and one field on a ring, torus or open grid; or of a Boltzmann
/// machine, whose couplings and fields may all differ, on any narrow graph.
///
/// Rows lie along the shorter side L and have q^L configurations. The matrix between two rows is a Kronecker product and is applied
/// site by site, in L q^{L+1} operations; vectors are rescaled after every row. An open grid takes one vector. A torus takes the
/// trace: one vector for each class of rows under rotation, reflection and, without a field, relabelling, carried half-way round
/// and multiplied with itself (the matrix is symmetric). A ring is the N-th power of a q × q matrix, in log space.
///
/// A Boltzmann machine's units are added one at a time, in the narrowest of several orders, and summed out once all their
/// neighbours are in: n units of which at most w are open take about n 2^w operations and 12 · 2^w bytes, with w ≤ 27. An open
/// lattice or a cylinder has w = its shorter side or circumference, a torus twice that, a tree a few, a dense machine of n units
/// n − 1. However large the couplings, log Z is right to about 1e-13 relative; very large ones are added up in log space, some
/// thirty times slower. The same bits come out on any number of threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransferMatrix;

#[derive(Debug)]
enum Shape {
    Ring { sites: usize, equal: f64, differ: f64, field: Vec<f64> },
    Strip(Strip, usize),
    Graph(Frontier),
}

fn refusal(reason: impl Into<String>) -> Error {
    Error::NotApplicable { estimator: NAME, reason: reason.into() }
}

fn shape_of(model: &Arc<dyn Model>) -> Result<Shape> {
    let (lattice, equal, differ, field) = if let Some(ising) = downcast::<Ising>(model) {
        (ising.lattice(), ising.coupling(), -ising.coupling(), vec![-ising.field(), ising.field()])
    } else if let Some(potts) = downcast::<Potts>(model) {
        let (Some(lattice), Some(coupling)) = (potts.lattice(), potts.coupling()) else {
            return Err(refusal("it needs one coupling on a lattice, and this Potts model is on a graph"));
        };
        (lattice, coupling, 0.0, potts.fields().row(0).to_vec())
    } else if let Some(boltzmann) = downcast::<Boltzmann>(model) {
        return Frontier::of(&boltzmann).map(Shape::Graph).ok_or_else(|| {
            refusal(format!(
                "more than {MOST_OPEN} units of this boltzmann wait for neighbours at a time in every order tried, and tables of \
                 their configurations would take more than 2 GiB"
            ))
        });
    } else {
        return Err(refusal(format!(
            "it is for Ising and Potts models on lattices and Boltzmann machines, not for this {}",
            model.kind()
        )));
    };
    let (rows, columns, periodic) = match lattice {
        Lattice::Ring { sites } => return Ok(Shape::Ring { sites, equal, differ, field }),
        Lattice::Torus { rows, columns } => (rows, columns, true),
        Lattice::Grid { rows, columns } => (rows, columns, false),
    };
    let (width, length) = (rows.min(columns), rows.max(columns));
    let strip = Strip { width, length, equal, differ, field, periodic };
    let range = (equal - differ).abs() * width as f64;
    if range > MOST_RANGE {
        return Err(refusal(format!(
            "the couplings between two rows of {width} sites span {range:.0} nats, and f64 holds {MOST_RANGE}; \
             at so low a temperature the ground states dominate"
        )));
    }
    let count = strip.row_states().filter(|&count| memory(&strip, count) <= MOST_BYTES).ok_or_else(|| {
        refusal(format!(
            "a row has {}^{width} configurations, and vectors of them would take more than 2 GiB",
            strip.field.len()
        ))
    })?;
    Ok(Shape::Strip(strip, count))
}

fn memory(strip: &Strip, count: usize) -> f64 {
    strip.work(count, rayon::current_num_threads()).1
}

impl Shape {
    /// 0.8 ns for a row configuration and a column of two states, 1.5 ns a state with more of them, measured on one core at
    /// 2.8 GHz with AVX-512.
    fn plan(&self) -> Plan {
        let threads = rayon::current_num_threads();
        match self {
            Self::Ring { sites, field, .. } => {
                let products = 2.0 * (*sites as f64).log2().ceil();
                let entries = (field.len() * field.len()) as f64;
                Plan { seconds: Some(10e-9 * products * entries * field.len() as f64), bytes: 32.0 * entries }
            }
            Self::Strip(strip, count) => {
                let (work, bytes) = strip.work(*count, threads);
                let states = strip.field.len() as f64;
                let each = if states == 2.0 { 0.8e-9 } else { 1.5e-9 * states } / threads as f64;
                Plan { seconds: Some(1e-5 + each * work), bytes }
            }
            Self::Graph(frontier) => {
                Plan { seconds: Some(frontier.seconds(threads)), bytes: frontier.bytes() }
            }
        }
    }

    fn log_z(&self, monitor: &dyn Monitor) -> f64 {
        match self {
            Self::Strip(strip, count) => strip.log_z(*count, monitor),
            Self::Graph(frontier) => frontier.log_z(monitor),
            Self::Ring { sites, equal, differ, field } => {
                let q = field.len();
                let matrix: Vec<f64> = (0..q * q)
                    .map(|entry| field[entry % q] + if entry / q == entry % q { *equal } else { *differ })
                    .collect();
                let power = log_power(&matrix, q, *sites);
                log_sum_exp(&(0..q).map(|s| power[s * q + s]).collect::<Vec<_>>())
            }
        }
    }
}

/// log of the entries of exp(matrix)^exponent by repeated squaring, `exponent` ≥ 1. All entries are positive, so nothing cancels.
fn log_power(matrix: &[f64], side: usize, exponent: usize) -> Vec<f64> {
    let product = |x: &[f64], y: &[f64]| -> Vec<f64> {
        let mut terms = vec![0.0; side];
        (0..side * side)
            .map(|entry| {
                for (k, term) in terms.iter_mut().enumerate() {
                    *term = x[entry / side * side + k] + y[k * side + entry % side];
                }
                log_sum_exp(&terms)
            })
            .collect()
    };
    let mut power = matrix.to_vec();
    for bit in (0..exponent.ilog2()).rev() {
        power = product(&power, &power);
        if exponent >> bit & 1 == 1 {
            power = product(&power, matrix);
        }
    }
    power
}

impl Estimator for TransferMatrix {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "exact: Ising and Potts models on narrow lattices, Boltzmann machines on narrow graphs"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Exact
    }

    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        Ok(shape_of(model)?.plan())
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        settings.check()?;
        let start = Instant::now();
        let shape = shape_of(model)?;
        super::within_time(NAME, shape.plan().seconds.unwrap_or(0.0), settings)?;
        let log_z = super::usable(model, shape.log_z(monitor))?;
        let cost = Cost::of_one(NAME, start.elapsed().as_secs_f64(), Counts::default());
        Ok(Estimate::exact(NAME, log_z, Guarantee::Exact, cost))
    }
}
