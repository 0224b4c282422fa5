//! log Z by adding up every configuration, with whatever can be summed by formula summed by formula.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array1, Array2, Axis};

use super::{Cost, Counts, Estimate, Estimator, Guarantee, Monitor, Plan, Settings};
use crate::error::{Error, Result};
use crate::models::{Boltzmann, Domain, GaussianRbm, Ising, Model, Rbm, Units, downcast};
use crate::wording::duration_of_log;

mod bipartite;
mod quadratic;
mod sampler;
mod states;
mod sums;

pub use sampler::{ExactSampler, MOST_SAMPLED_BITS, exact_sampler};

use bipartite::Bipartite;
use quadratic::Quadratic;
use states::States;

const NAME: &str = "enumeration";
/// Most bits that are ever enumerated; counts stay below 2⁶³.
const MOST_BITS: usize = 62;
/// Largest |log w| of an RBM whose weights are split into mantissa and exponent. Of larger numbers the exponent leaves i64 and
/// the mantissa is all rounding.
const MOST_SPLIT: f64 = 1e15;

/// Exact summation over a finite space, on all threads of the current pool.
///
/// An RBM is summed over its smaller side, 2^min(V, H) terms, the other side by formula; machines with pairwise couplings over
/// their bits or spins by tables of fields, and so is a Gaussian RBM's hidden side with v integrated by formula; any other finite model by its energy. Rounding leaves log Z right to about 1e-13
/// relative. The same bits come out on any number of threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enumeration;

/// What there is to add up, and what log Z exceeds that sum's logarithm by.
#[derive(Debug)]
enum Sum {
    Bipartite {
        machine: Box<Bipartite>,
        bits: usize,
        constant: f64,
    },
    Quadratic(Quadratic, usize),
    /// In log space throughout.
    States(States, f64),
}

impl Sum {
    fn of(model: &Arc<dyn Model>) -> Result<Self> {
        if let Some(rbm) = downcast::<Rbm>(model) {
            let (few, many) = (rbm.visible().min(rbm.hidden()), rbm.visible().max(rbm.hidden()));
            let side = if rbm.hidden() <= rbm.visible() { "hidden configurations" } else { "visible states" };
            let bits = few_enough(few, side, Bipartite::pace(many, 0))?;
            return Ok(Self::of_rbm(&rbm, bits));
        }
        if let Some((quadratic, bits)) = quadratic_of(model)? {
            return Ok(Self::Quadratic(quadratic, bits));
        }
        let space = model.space();
        if matches!(space.domain, Domain::Real | Domain::Box { .. }) {
            return Err(refusal(format!("states of this {} are continuous ({space})", model.kind())));
        }
        States::of(model).map(|states| Self::States(states, 0.0)).ok_or_else(|| {
            let log_count = space.log_count().expect("the space is finite");
            too_many(&format!("all states of {space}"), log_count, States::pace(space.dim))
        })
    }

    fn of_rbm(rbm: &Rbm, bits: usize) -> Self {
        if largest_log_weight(rbm) > MOST_SPLIT {
            return Self::States(States::of_smaller_side(rbm), -rbm.offset());
        }
        let machine = if rbm.hidden() <= rbm.visible() {
            Bipartite::new(rbm.weights().t(), rbm.hidden_bias().view(), rbm.visible_bias().view())
        } else {
            Bipartite::new(rbm.weights().view(), rbm.visible_bias().view(), rbm.hidden_bias().view())
        };
        Self::Bipartite { machine: Box::new(machine), bits, constant: -rbm.offset() }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Bipartite { bits, .. } | Self::Quadratic(_, bits) => 1 << bits,
            Self::States(states, _) => states.count(),
        }
    }

    fn seconds(&self) -> f64 {
        let threads = rayon::current_num_threads();
        match self {
            Self::Bipartite { machine, .. } => machine.seconds(threads),
            Self::Quadratic(_, bits) => Quadratic::seconds(*bits, threads),
            Self::States(states, _) => states.seconds(threads),
        }
    }

    fn log_sum(&self, max_time: f64, monitor: &dyn Monitor) -> Result<f64> {
        match self {
            Self::Bipartite { machine, constant, .. } => Ok(machine.log_sum(monitor) + constant),
            Self::Quadratic(quadratic, _) => Ok(quadratic.log_sum(monitor)),
            Self::States(states, constant) => Ok(states.log_sum(max_time, monitor)? + constant),
        }
    }

    /// log of every term, up to a constant.
    fn log_weights(&self) -> Result<Vec<f64>> {
        match self {
            Self::Bipartite { machine, .. } => Ok(machine.log_weights()),
            Self::Quadratic(quadratic, _) => Ok(quadratic.log_weights()),
            Self::States(states, _) => states.log_weights(),
        }
    }
}

/// A bound on |log w| of a machine's configurations.
fn largest_log_weight(rbm: &Rbm) -> f64 {
    let all = rbm.weights().iter().chain(rbm.visible_bias()).chain(rbm.hidden_bias());
    all.map(|parameter| parameter.abs()).sum()
}

/// The model as a quadratic form of bits, where it is one, and how many.
fn quadratic_of(model: &Arc<dyn Model>) -> Result<Option<(Quadratic, usize)>> {
    if let Some(ising) = downcast::<Ising>(model) {
        let sites = few_enough(ising.lattice().sites(), "states", Quadratic::PACE)?;
        let mut pairs = Array2::zeros((sites, sites));
        for (a, b) in ising.lattice().bonds() {
            pairs[[a.min(b), a.max(b)]] += ising.coupling();
        }
        let linear = Array1::from_elem(sites, ising.field());
        return Ok(Some((Quadratic::of_spins(0.0, linear, pairs), sites)));
    }
    if let Some(boltzmann) = downcast::<Boltzmann>(model) {
        let bits = few_enough(boltzmann.fields().len(), "states", Quadratic::PACE)?;
        let (linear, pairs) = (boltzmann.fields().clone(), boltzmann.couplings().clone());
        let quadratic = match boltzmann.units() {
            Units::Bits => Quadratic::of_bits(-boltzmann.offset(), linear, pairs),
            Units::Spins => Quadratic::of_spins(-boltzmann.offset(), linear, pairs),
        };
        return Ok(Some((quadratic, bits)));
    }
    if let Some(rbm) = downcast::<GaussianRbm>(model) {
        let bits = few_enough(rbm.hidden(), "hidden configurations", Quadratic::PACE)?;
        return Ok(Some((hidden_of(&rbm), bits)));
    }
    Ok(None)
}

/// The hidden side of a Gaussian RBM with v integrated out. With a = W̃h, and every visible unit apart,
/// log ∫ exp(−E(v, h)) dv = c·h + Σᵢ [½ log 2πσᵢ² + bᵢ aᵢ + ½ σᵢ² aᵢ²], which is quadratic in h; hⱼ² = hⱼ.
fn hidden_of(rbm: &GaussianRbm) -> Quadratic {
    let variances = rbm.sigma().mapv(|s| s * s);
    let weights = rbm.scaled_weights();
    let pairs = weights.t().dot(&(weights * &variances.clone().insert_axis(Axis(1))));
    let linear = rbm.hidden_bias() + &weights.t().dot(rbm.visible_bias()) + 0.5 * &pairs.diag();
    let constant = variances.mapv(|v| 0.5 * (2.0 * std::f64::consts::PI * v).ln()).sum();
    Quadratic::of_bits(constant, linear, pairs)
}

/// `bits`, unless there are too many to be counted; a configuration of `what` takes `pace` seconds.
fn few_enough(bits: usize, what: &str, pace: f64) -> Result<usize> {
    if bits <= MOST_BITS {
        return Ok(bits);
    }
    Err(too_many(&format!("2^{bits} {what}"), bits as f64 * std::f64::consts::LN_2, pace))
}

fn too_many(what: &str, log_count: f64, pace: f64) -> Error {
    let log_seconds = log_count + (pace / rayon::current_num_threads() as f64).ln();
    refusal(format!("adding up {what} would take about {}", duration_of_log(log_seconds)))
}

fn refusal(reason: String) -> Error {
    Error::NotApplicable { estimator: NAME, reason }
}

impl Estimator for Enumeration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "exact: adds up every configuration of the smaller side or the whole space"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Exact
    }

    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        Ok(Plan { seconds: Some(Sum::of(model)?.seconds()), bytes: 0.0 })
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        settings.check()?;
        let start = Instant::now();
        let sum = Sum::of(model)?;
        super::within_time(NAME, sum.seconds(), settings)?;
        let log_z = super::usable(model, sum.log_sum(settings.max_time, monitor)?)?;
        let counts = Counts { energy_evaluations: sum.count(), ..Counts::default() };
        let cost = Cost::of_one(NAME, start.elapsed().as_secs_f64(), counts);
        Ok(Estimate::exact(NAME, log_z, Guarantee::Exact, cost))
    }
}
