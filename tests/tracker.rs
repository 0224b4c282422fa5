//! log Z along a training against exact values: 200 seeds of the chains that follow, on one training, so that what is tested is
//! what is claimed: unbiased Z given the models, and standard errors that cover at every epoch.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::tracker::{Source, State, Tracked, Tracker, Tracking};
use lnz::estimators::{Settings, Silent, by_name};
use lnz::math::{Stream, statistics};
use lnz::models::Model;
use lnz::training::{Schedule, boltzmann, rbm};
use ndarray::Array2;
use rand::RngExt;

const SEEDS: u64 = 200;
const EPOCHS: usize = 6;

/// Noisy bars of three pixels on a 4 × 4 ring: several modes, which a machine finds one after the other.
fn data() -> Array2<f64> {
    let mut generator = Stream::new(3).generator();
    let mut rows = Array2::zeros((2000, 16));
    for mut row in rows.rows_mut() {
        let first = 4 * generator.random_range(0..4);
        for pixel in 0..16 {
            let on = (pixel + 16 - first) % 16 < 6;
            row[pixel] = f64::from(u8::from(on != generator.random_bool(0.05)));
        }
    }
    rows
}

fn machines(data: &Array2<f64>, learning_rate: f64) -> Vec<Arc<dyn Model>> {
    let schedule = Schedule { epochs: EPOCHS, learning_rate, batch_size: 50, ..Schedule::default() };
    let settings = rbm::Settings { hidden: 10, schedule, ..rbm::Settings::default() };
    let mut training = rbm::training(data.view(), &settings).unwrap();
    std::iter::from_fn(|| training.epoch(&Silent).unwrap()).map(|epoch| epoch.model).collect()
}

fn exact(model: &Arc<dyn Model>) -> f64 {
    by_name("enumeration").unwrap().estimate(model, &Settings::default(), &Silent).unwrap().log_z
}

/// Chains even where sums would be quick.
fn tracking(seed: u64) -> Tracking {
    Tracking { chains: 256, anchor: 1 << 16, every: 100, quick: -1.0, seed }
}

fn tracked(models: &[Arc<dyn Model>], data: &Array2<f64>, settings: Tracking) -> Vec<Tracked> {
    let mut tracker = Tracker::new(settings).unwrap();
    models.iter().map(|model| tracker.follow(model, data.view(), &Silent).unwrap()).collect()
}

/// Of many seeds' runs: claimed errors cover the truth at every epoch. Answers with the mean of Ẑ/Z at each, in standard errors.
fn check_coverage(runs: &[Vec<Tracked>], truths: &[f64]) -> Vec<f64> {
    let of_epoch = |(epoch, truth): (usize, &f64)| {
        let errors: Vec<f64> = runs.iter().map(|run| run[epoch].log_z - truth).collect();
        // Where no standard error is claimed there is nothing to cover, but that must not be the rule.
        let claimed = runs.iter().zip(&errors).filter(|(run, _)| run[epoch].std_err.is_finite());
        let scores: Vec<f64> = claimed.map(|(run, error)| error / run[epoch].std_err).collect();
        assert!(scores.len() > runs.len() * 9 / 10, "epoch {epoch}: only {} errors are known", scores.len());
        let covered = scores.iter().filter(|z| z.abs() < 1.96).count() as f64 / scores.len() as f64;
        let spread = statistics::variance(&scores).sqrt();
        // A binomial of 200 at 0.95 is below 0.885 once in 20,000 times.
        assert!(covered > 0.885, "epoch {epoch}: {covered} covered");
        assert!((0.8..1.25).contains(&spread), "epoch {epoch}: z-scores spread by {spread}");
        let ratios: Vec<f64> = errors.iter().map(|error| error.exp()).collect();
        (statistics::mean(&ratios) - 1.0) / statistics::std_err(&ratios)
    };
    truths.iter().enumerate().map(of_epoch).collect()
}

#[test]
fn intervals_cover_at_every_epoch() {
    let data = data();
    let models = machines(&data, 0.3);
    let truths: Vec<f64> = models.iter().map(exact).collect();
    let runs: Vec<Vec<Tracked>> = (0..SEEDS).map(|seed| tracked(&models, &data, tracking(seed))).collect();
    let followed = runs.iter().flatten().filter(|run| run.source == Source::Followed).count();
    assert!(followed > SEEDS as usize * (EPOCHS - 1) * 9 / 10, "only {followed} were followed");
    for (epoch, bias) in check_coverage(&runs, &truths).into_iter().enumerate() {
        assert!(bias.abs() < 4.5, "epoch {epoch}: Z is off by {bias} standard errors");
    }
}

/// Without walkers a ladder goes on from model to model.
#[test]
fn intervals_of_a_ladder_cover_at_every_epoch() {
    let data = data();
    let models = machines(&data, 0.3);
    let truths: Vec<f64> = models.iter().map(exact).collect();
    let run = |seed| tracked(&models, &data, Tracking { chains: 0, ..tracking(seed) });
    let runs: Vec<Vec<Tracked>> = (0..SEEDS).map(run).collect();
    assert!(runs.iter().flatten().all(|run| run.source == Source::Tempered));
    check_coverage(&runs, &truths);
}

/// Where a training runs ahead of few chains a ladder takes over, and annealing takes back where it can.
#[test]
fn a_ladder_takes_over_where_chains_are_lost() {
    let data = data();
    let models = machines(&data, 2.0);
    let truths: Vec<f64> = models.iter().map(exact).collect();
    let mut scores = Vec::new();
    let mut sources = Vec::new();
    for seed in 0..20 {
        let found = tracked(&models, &data, Tracking { every: 3, anchor: 1 << 17, ..tracking(seed) });
        for (found, truth) in found.iter().zip(&truths) {
            if found.std_err.is_finite() {
                scores.push((found.log_z - truth) / found.std_err);
            }
            sources.push(found.source);
        }
    }
    assert!(scores.len() >= sources.len() * 9 / 10, "{} of {} errors are known", scores.len(), sources.len());
    let count = |source| sources.iter().filter(|found| **found == source).count();
    assert!(count(Source::Tempered) >= 40, "{} were tempered", count(Source::Tempered));
    assert!(count(Source::Annealed) >= 15, "{} were annealed", count(Source::Annealed));
    let spread = statistics::variance(&scores).sqrt();
    assert!((0.7..1.4).contains(&spread), "{spread}");
}

/// Annealing anew shows how far following was off: by as much as both standard errors say.
#[test]
fn following_and_annealing_agree() {
    let data = data();
    let models = machines(&data, 0.3);
    let found: Vec<Tracked> =
        (0..64).flat_map(|seed| tracked(&models, &data, Tracking { every: 3, ..tracking(seed) })).collect();
    let scores: Vec<f64> = found.iter().filter_map(Tracked::discrepancy).collect();
    assert!(scores.len() >= 60, "{} were annealed anew", scores.len());
    let spread = statistics::variance(&scores).sqrt();
    assert!((0.75..1.3).contains(&spread), "{spread}");
    assert!(statistics::mean(&scores).abs() < 4.5 * spread / (scores.len() as f64).sqrt());
    assert!(found.iter().all(|found| found.followed.is_none() || found.source == Source::Annealed));
}

/// Chains that are far from the next model are not walked there, and say so by their source.
#[test]
fn models_that_are_far_apart_are_annealed() {
    let data = data();
    let models = machines(&data, 0.3);
    // 128 rungs and no more: from noise to a cold machine takes more.
    let limited = Tracking { chains: 1024, anchor: 1 << 17, ..tracking(1) };
    let cold = Arc::clone(&models[EPOCHS - 1]).at_temperature(0.1);
    let found = tracked(&[Arc::clone(&models[0]), Arc::clone(&cold)], &data, limited);
    assert_eq!((found[1].source, found[1].followed), (Source::Annealed, None));
    assert!(
        (found[1].log_z - exact(&cold)).abs() < 4.5 * found[1].std_err,
        "{:?} for {}",
        found[1],
        exact(&cold)
    );
}

#[test]
fn other_families_are_followed_too_and_quick_sums_are_exact() {
    let data = data().mapv(|bit| 2.0 * bit - 1.0);
    let schedule = Schedule { epochs: 4, learning_rate: 0.05, ..Schedule::default() };
    let settings = boltzmann::Settings { schedule, ..boltzmann::Settings::default() };
    let mut training = boltzmann::training(data.view(), &settings).unwrap();
    let models: Vec<_> =
        std::iter::from_fn(|| training.epoch(&Silent).unwrap()).map(|epoch| epoch.model).collect();
    let truths: Vec<f64> = models.iter().map(exact).collect();
    let mut scores = Vec::new();
    for seed in 0..30 {
        let found = tracked(&models, &data, tracking(seed));
        assert_eq!(found[3].source, Source::Followed);
        scores.push((found[3].log_z - truths[3]) / found[3].std_err);
    }
    let spread = statistics::variance(&scores).sqrt();
    assert!((0.6..1.5).contains(&spread), "{spread}");
    assert!(statistics::mean(&scores).abs() < 4.5 / 30f64.sqrt(), "{}", statistics::mean(&scores));

    let found = tracked(&models, &data, Tracking { quick: 60.0, ..tracking(1) });
    for (found, truth) in found.iter().zip(&truths) {
        assert_eq!((found.source, found.std_err), (Source::Exact, 0.0));
        assert!((found.log_z - truth).abs() < 1e-10);
    }
}

#[test]
fn a_tracker_goes_on_where_it_stopped() {
    let data = data();
    let models = machines(&data, 0.3);
    for settings in [tracking(5), Tracking { chains: 0, ..tracking(5) }] {
        let whole = tracked(&models, &data, settings.clone());
        let mut first = Tracker::new(settings.clone()).unwrap();
        for model in &models[..3] {
            first.follow(model, data.view(), &Silent).unwrap();
        }
        let state = first.state().cloned();
        let resumed = |state| Tracker::new(settings.clone()).unwrap().resume(3, &models[2], Some(state));
        let mut rest = resumed(state.clone().unwrap()).unwrap();
        for (model, expected) in models[3..].iter().zip(&whole[3..]) {
            assert_eq!(rest.follow(model, data.view(), &Silent).unwrap(), *expected);
        }
        let mut broken = state.unwrap();
        match &mut broken {
            State { walkers: Some(walkers), .. } => walkers.starts[0] = 1 << 20,
            State { ladder: Some(ladder), .. } => drop(ladder.states.pop()),
            State { .. } => panic!("nothing to go on from"),
        }
        assert!(resumed(broken).is_err());
    }
    assert!(Tracker::new(Tracking { chains: 1, ..tracking(1) }).is_err());
    assert!(Tracker::new(Tracking { every: 0, ..tracking(1) }).is_err());
    assert!(Tracker::new(Tracking { anchor: 100, ..tracking(1) }).is_err());
}
