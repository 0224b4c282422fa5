//! Draws from a model: exact where it can be sampled, else annealed, reweighted and moved on.

use std::sync::Arc;

use ndarray::Array2;
use rand::RngExt;

use crate::error::{Error, Result};
use crate::estimators::comparison;
use crate::estimators::enumeration::exact_sampler;
use crate::estimators::floor::{Room, floor};
use crate::estimators::phases::Phases;
use crate::estimators::pilot;
use crate::estimators::resampling::systematic;
use crate::estimators::rounds::Rounds;
use crate::estimators::verdict::doubts_about;
use crate::estimators::{Monitor, Settings, Warning};
use crate::math::Stream;
use crate::models::{Model, Sampler};
use crate::paths::{Move, Population};

/// Fewest chains of an annealed population: its ESS must mean something even where few draws are wanted.
const LEAST_CHAINS: usize = 512;
/// Most numbers that the draws may hold: 2³⁰, 8 GiB.
const MOST_NUMBERS: usize = 1 << 30;
/// Kernel steps at β = 1 after resampling, so that copies of one chain part.
const STEPS: usize = 50;

/// States drawn from a model.
#[derive(Clone, Debug)]
pub struct Draws {
    /// One draw per row.
    pub states: Array2<f64>,
    /// How they were drawn, in words.
    pub how: String,
    /// Whether they are independent draws from p itself.
    pub exact: bool,
    /// ESS of the annealed chains before resampling: how many different ones the draws descend from, roughly; `None` if exact.
    pub effective_sample_size: Option<f64>,
    /// What speaks against relying on the draws: ESS < 100, k̂ ≥ min(0.7, 1 − 1/log₁₀ N), or a mode that the chains missed.
    pub doubts: Vec<Warning>,
}

impl Draws {
    /// Whether nothing speaks against them.
    #[must_use]
    pub fn reliable(&self) -> bool {
        self.doubts.is_empty()
    }
}

/// `count` draws from p(x) = exp(−E(x))/Z.
///
/// Exact and independent where the model has a sampler or is small enough to enumerate. Elsewhere chains are annealed as for an
/// estimate of log Z, resampled in proportion to their weights, shuffled, and moved for fifty kernel steps at β = 1: approximate
/// draws, some of which share ancestors.
///
/// # Errors
/// [`Error::Setting`] for a count of 0 or one that would not fit in memory; what annealing reports.
pub fn draw(
    model: &Arc<dyn Model>,
    count: usize,
    settings: &Settings,
    monitor: &dyn Monitor,
) -> Result<Draws> {
    settings.check()?;
    let dim = model.space().dim;
    if count == 0 || count > MOST_NUMBERS / dim.max(1) {
        return Err(Error::setting(
            "-n",
            count,
            format!("between 1 and {} draws of {dim} numbers can be made", MOST_NUMBERS / dim.max(1)),
        ));
    }
    match draw_exactly(model, count, settings.seed)? {
        Some(draws) => Ok(draws),
        None => anneal(model, count, settings, Stream::new(settings.seed).child(4), monitor),
    }
}

/// `count` independent draws from p itself, where the model has a sampler or is small enough to enumerate; `None` elsewhere.
///
/// # Errors
/// What enumeration reports.
pub fn draw_exactly(model: &Arc<dyn Model>, count: usize, seed: u64) -> Result<Option<Draws>> {
    let stream = Stream::new(seed).child(4);
    if let Some(sampler) = model.sampler() {
        return Ok(Some(exactly(sampler, count, stream, "exact draws by the model's own sampler")));
    }
    let sampler = exact_sampler(model)?;
    Ok(sampler
        .map(|sampler| exactly(&sampler, count, stream, "exact draws from the table of all probabilities")))
}

fn exactly(sampler: &dyn Sampler, count: usize, stream: Stream, how: &str) -> Draws {
    let states = sampler.sample(count, &mut stream.generator());
    Draws { states, how: how.into(), exact: true, effective_sample_size: None, doubts: Vec::new() }
}

fn anneal(
    model: &Arc<dyn Model>,
    count: usize,
    settings: &Settings,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Draws> {
    let chains = settings.chains.unwrap_or(count.max(LEAST_CHAINS)).max(2);
    let settings = Settings { chains: Some(chains), ..settings.clone() };
    let mut phases = Phases::new(monitor);
    let plan = pilot::plan(
        model,
        &settings,
        |_| Rounds { answer: 1.1, evidence: 0.0, resampled: true },
        &mut phases,
    )?;
    let run = plan.anneal("annealing", stream.child(0), &mut phases)?;

    let mut picks = systematic(&run.weights.normalised(), count, stream.child(1));
    shuffle(&mut picks, stream.child(2));
    let mut population =
        Population::adopt(plan.path.as_ref(), run.population.pick(&picks).view(), stream.child(3))?;
    monitor.begin("moving copies apart", STEPS as u64);
    for _ in 0..STEPS {
        population.step(1.0, Move::Forward);
        monitor.advance(1);
    }
    let (log_z, std_err) = plan.upward(&run);
    let data = settings.data.as_ref().map(|data| data.view());
    let room = Room { deadline: phases.deadline(&settings, 1.0), most: None };
    let (bound, _) = floor(model, data, population.states().view(), room, &mut phases)?;
    let mut doubts = doubts_about(&run.families);
    if let Some(bound) = bound {
        doubts.extend(comparison::doubts(log_z, std_err, &comparison::compare(vec![bound], log_z, std_err)));
    }
    let effective_sample_size = run.families.effective_sample_size();
    Ok(Draws {
        states: population.states(),
        how: format!(
            "annealed ({chains} chains, {} rungs, {}), resampled by weight and moved for {STEPS} steps",
            plan.schedule.rungs(),
            plan.path.kernel()
        ),
        exact: false,
        effective_sample_size: Some(effective_sample_size),
        doubts,
    })
}

/// Fisher–Yates: copies of one chain must not stand side by side in the file.
fn shuffle(picks: &mut [usize], stream: Stream) {
    let mut generator = stream.generator();
    for i in (1..picks.len()).rev() {
        picks.swap(i, generator.random_range(0..=i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimators::Silent;
    use crate::models::{Space, builtin};
    use crate::paths;

    /// Mean spin of an 8 × 8 Ising model in a field, against a long run of the kernel.
    #[test]
    fn annealed_draws_have_the_models_moments() {
        let model = builtin::parse("ref:ising?side=8&coupling=0.2&field=0.3").expect("valid");
        let draws = draw(&model, 4096, &Settings::default(), &Silent).expect("runs");
        assert!(!draws.exact && draws.reliable(), "{}", draws.how);
        Space::new(64, crate::models::Domain::Spins).check(draws.states.view()).expect("spins");
        let path = paths::for_model(&model, None).expect("a path");
        let mut long = Population::from_reference(path.as_ref(), 4096, Stream::new(9));
        for _ in 0..300 {
            long.step(1.0, Move::Forward);
        }
        let mean = |states: &Array2<f64>| states.mean().expect("not empty");
        // 4,096 draws with a magnetisation of standard deviation about 0.15 each: 0.0033 between two means, and 4.5 of these.
        let difference = mean(&draws.states) - mean(&long.states());
        assert!(difference.abs() < 0.015, "{difference}");
    }

    #[test]
    fn exact_draws_are_used_where_there_are_any() {
        for spec in ["ref:gaussian", "ref:rbm?visible=30&hidden=5", "ref:ising?side=3"] {
            let model = builtin::parse(spec).expect("valid");
            let draws = draw(&model, 10, &Settings::default(), &Silent).expect("runs");
            assert!(draws.exact && draws.effective_sample_size.is_none(), "{spec}");
            assert_eq!(draws.states.nrows(), 10);
        }
    }
}
