//! log Z by adding up every configuration, with whatever can be summed by formula summed by formula.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array1, Array2};

use super::{Cost, Counts, Estimate, Estimator, Guarantee, Monitor, Plan, Settings};
use crate::error::{Error, Result};
use crate::models::{Domain, Ising, Model, Rbm, downcast};

mod bipartite;
mod quadratic;
mod sampler;
mod states;
mod sums;

pub use sampler::{ExactSampler, exact_sampler};

use bipartite::Bipartite;
use quadratic::Quadratic;
use states::States;

const NAME: &str = "enumeration";
/// Most bits that are ever enumerated; counts stay below 2⁶³.
const MOST_BITS: usize = 62;

/// Exact summation over a finite space, on all threads of the current pool.
///
/// An RBM is summed over its smaller side, 2^min(V, H) terms, the other side by formula; machines with pairwise couplings over
/// their bits or spins by tables of fields; any other finite model by its energy. Rounding leaves log Z right to about 1e-13
/// relative. The same bits come out on any number of threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enumeration;

/// What there is to add up, and what log Z exceeds that sum's logarithm by.
#[derive(Debug)]
enum Sum {
    Bipartite { machine: Box<Bipartite>, bits: usize, constant: f64 },
    Quadratic(Quadratic, usize),
    States(States),
}

impl Sum {
    fn of(model: &Arc<dyn Model>) -> Result<Self> {
        if let Some(rbm) = downcast::<Rbm>(model) {
            let bits = few_enough(rbm.visible().min(rbm.hidden()))?;
            return Ok(Self::of_rbm(&rbm, bits));
        }
        if let Some((quadratic, bits)) = quadratic_of(model)? {
            return Ok(Self::Quadratic(quadratic, bits));
        }
        let space = model.space();
        if matches!(space.domain, Domain::Real | Domain::Box { .. }) {
            return Err(refusal(format!("states of this {} are continuous ({space})", model.kind())));
        }
        States::of(model)
            .map(Self::States)
            .ok_or_else(|| refusal(format!("{space} has more than 2^62 states")))
    }

    fn of_rbm(rbm: &Rbm, bits: usize) -> Self {
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
            Self::States(states) => states.count(),
        }
    }

    fn seconds(&self) -> f64 {
        let threads = rayon::current_num_threads();
        match self {
            Self::Bipartite { machine, .. } => machine.seconds(threads),
            Self::Quadratic(_, bits) => Quadratic::seconds(*bits, threads),
            Self::States(states) => states.seconds(threads),
        }
    }

    fn log_sum(&self, max_time: f64, monitor: &dyn Monitor) -> Result<f64> {
        match self {
            Self::Bipartite { machine, constant, .. } => Ok(machine.log_sum(monitor) + constant),
            Self::Quadratic(quadratic, _) => Ok(quadratic.log_sum(monitor)),
            Self::States(states) => states.log_sum(max_time, monitor),
        }
    }
}

/// The model as a quadratic form of bits, where it is one, and how many.
fn quadratic_of(model: &Arc<dyn Model>) -> Result<Option<(Quadratic, usize)>> {
    if let Some(ising) = downcast::<Ising>(model) {
        let sites = few_enough(ising.lattice().sites())?;
        let mut pairs = Array2::zeros((sites, sites));
        for (a, b) in ising.lattice().bonds() {
            pairs[[a.min(b), a.max(b)]] += ising.coupling();
        }
        let linear = Array1::from_elem(sites, ising.field());
        return Ok(Some((Quadratic::of_spins(0.0, linear, pairs), sites)));
    }
    Ok(None)
}

fn few_enough(bits: usize) -> Result<usize> {
    if bits <= MOST_BITS {
        Ok(bits)
    } else {
        Err(refusal(format!(
            "there are 2^{bits} configurations to add up, at most 2^{MOST_BITS} are considered"
        )))
    }
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

    fn estimate(
        &self,
        model: &Arc<dyn Model>,
        settings: &Settings,
        monitor: &dyn Monitor,
    ) -> Result<Estimate> {
        settings.check()?;
        let start = Instant::now();
        let sum = Sum::of(model)?;
        super::within_time(NAME, sum.seconds(), settings)?;
        let log_z = super::usable(model, sum.log_sum(settings.max_time, monitor)?)?;
        let counts = Counts { energy_evaluations: sum.count(), ..Counts::default() };
        let mut cost = Cost::default();
        cost.add(NAME, start.elapsed().as_secs_f64(), counts);
        Ok(Estimate::exact(NAME, log_z, Guarantee::Exact, cost))
    }
}
