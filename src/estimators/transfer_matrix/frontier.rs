//! Boltzmann machines on any narrow graph, unit by unit: variable elimination with a table over the open units.

use super::order::{self, Order};
use super::table::{Arithmetic, Linear, Link, Logarithms, Site, Table};
use crate::estimators::Monitor;
use crate::models::{Boltzmann, Units};

/// Most open units: a table and the one that it shrinks into take 12 · 2²⁷ bytes, below 2 GiB.
pub(super) const MOST_OPEN: usize = 27;
/// Largest log-range of the couplings to what is still to come with which f64 holds all that matters.
const MOST_RANGE: f64 = 600.0;

/// The units in a narrow order, and what they are coupled to.
///
/// T(x_open) = Σ over closed units of the weights of all couplings and fields among units added so far. A unit joins by doubling
/// the table, or takes the place of one that it closes, or, if it is the last of its neighbours, is summed at once.
///
/// In linear space T is kept below 1 and every factor, too, largest entry 1: what is lost lies below e⁻⁶⁹⁰ of the largest
/// possible weight. Units to come change the ratio of two entries by at most e^R with R = Σ 2|J| over the couplings cut (|J| for
/// bits), so that what is lost is below 2^open e^{R − 690} of Z in every step. Where R would exceed 600, the table holds
/// logarithms instead, which takes some thirty times as long.
#[derive(Clone, Debug)]
pub(super) struct Frontier {
    values: [f64; 2],
    fields: Vec<f64>,
    couplings: Vec<Vec<(usize, f64)>>,
    order: Order,
    in_logs: bool,
    /// −(the model's constant energy).
    constant: f64,
}

impl Frontier {
    /// `None` if every order that was tried has more than [`MOST_OPEN`] units open.
    pub(super) fn of(model: &Boltzmann) -> Option<Self> {
        let order = order::narrowest(&model.neighbours(), MOST_OPEN)?;
        let mut couplings = vec![Vec::new(); model.fields().len()];
        for &(i, j, coupling) in model.edges() {
            couplings[i].push((j, coupling));
            couplings[j].push((i, coupling));
        }
        let values = match model.units() {
            Units::Bits => [0.0, 1.0],
            Units::Spins => [-1.0, 1.0],
        };
        let in_logs = range(&order.sites, &couplings, values) > MOST_RANGE;
        let (fields, constant) = (model.fields().to_vec(), -model.offset());
        Some(Self { values, fields, couplings, order, in_logs, constant })
    }

    /// Predicted seconds, measured on one core at 2.8 GHz with AVX-512: 0.7 ns an entry and unit, 15 ns with logarithms, what it
    /// takes to prepare each unit's factors, and 0.7 ns for the first touch of each byte.
    pub(super) fn seconds(&self, threads: usize) -> f64 {
        let entries = (self.order.width as f64).exp2();
        let shared = (entries / Table::<Linear>::SHARED).clamp(1.0, threads as f64);
        let pace = if self.in_logs { 15e-9 } else { 0.7e-9 };
        let each = 0.5e-6 + 1.5e-9 * entries.min(1024.0);
        1e-5 + each * self.fields.len() as f64 + pace * self.order.work / shared + 0.7e-9 * self.bytes()
    }

    /// Bytes of the table at its largest, with what it shrinks into.
    pub(super) fn bytes(&self) -> f64 {
        12.0 * (self.order.width as f64).exp2()
    }

    /// log Z.
    pub(super) fn log_z(&self, monitor: &dyn Monitor) -> f64 {
        monitor.begin("transfer-matrix", self.fields.len() as u64);
        // From here on this is a thread of the pool, which need not be woken for each unit.
        rayon::scope(|_| {
            if self.in_logs {
                self.eliminate::<Logarithms>(monitor)
            } else {
                self.eliminate::<Linear>(monitor)
            }
        })
    }

    fn eliminate<A: Arithmetic>(&self, monitor: &dyn Monitor) -> f64 {
        let mut table = Table::<A>::new(self.values);
        let mut waiting: Vec<usize> = self.couplings.iter().map(Vec::len).collect();
        // The unit whose value is bit k of the table's index.
        let mut open: Vec<usize> = Vec::new();
        for &unit in &self.order.sites {
            let mut links = Vec::new();
            for &(other, coupling) in &self.couplings[unit] {
                waiting[other] -= 1;
                if let Some(bit) = open.iter().position(|&site| site == other) {
                    links.push(Link { bit, coupling });
                }
            }
            let mut closed: Vec<usize> = (0..open.len()).filter(|&bit| waiting[open[bit]] == 0).collect();
            let site = Site { field: self.fields[unit], links };
            if waiting[unit] == 0 {
                table.pass(site);
            } else if let Some(bit) = closed.pop() {
                table.replace(bit, site);
                open[bit] = unit;
            } else {
                table.grow(site);
                open.push(unit);
            }
            for &bit in closed.iter().rev() {
                table.sum_out(bit);
                open.remove(bit);
            }
            monitor.advance(1);
        }
        table.log_total() + self.constant
    }
}

/// The largest R over all steps: what couplings to units yet to come can change the ratio of two entries by, before or after.
fn range(order: &[usize], couplings: &[Vec<(usize, f64)>], values: [f64; 2]) -> f64 {
    let mut is_added = vec![false; couplings.len()];
    let (mut cut, mut largest) = (0.0, 0.0f64);
    for &unit in order {
        let (mut to_earlier, mut to_later) = (0.0, 0.0);
        for &(other, coupling) in &couplings[unit] {
            let span = coupling.abs() * (values[1] - values[0]);
            if is_added[other] { to_earlier += span } else { to_later += span }
        }
        is_added[unit] = true;
        largest = largest.max(cut + to_later);
        cut += to_later - to_earlier;
    }
    largest
}
