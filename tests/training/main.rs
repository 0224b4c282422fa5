//! Training against exact gradients, exact likelihoods and itself on other numbers of threads.

use std::sync::Arc;

use lnz::estimators::enumeration::exact_sampler;
use lnz::estimators::{Settings, Silent, by_name};
use lnz::math::Stream;
use lnz::models::{Boltzmann, Model, Rbm, Sampler, Units, downcast};
use lnz::training::rbm::{self, Moments};
use lnz::training::{Arrays, Epoch, Negative, Schedule, Training, boltzmann};
use ndarray::{Array1, Array2, array};
use rand::RngExt;

mod gaussian;

fn log_z<M: Model + Clone + 'static>(model: &M) -> f64 {
    let model: Arc<dyn Model> = Arc::new(model.clone());
    let exact = by_name("enumeration").expect("registered");
    exact.estimate(&model, &Settings::default(), &Silent).expect("small enough").log_z
}

fn log_likelihood<M: Model + Clone + 'static>(rbm: &M, data: &Array2<f64>) -> f64 {
    -rbm.energy(data.view()).mean().expect("rows") - log_z(rbm)
}

/// A training's machine, and what it said on the way.
fn trained<M: Model + Clone>(mut training: Training<'_>) -> (M, Vec<Epoch>) {
    let mut epochs = Vec::new();
    while let Some(epoch) = training.epoch(&Silent).expect("trains") {
        epochs.push(epoch);
    }
    let last = downcast::<M>(&epochs.last().expect("an epoch").model).expect("of this family");
    ((*last).clone(), epochs)
}

fn schedule(epochs: usize, learning_rate: f64) -> Schedule {
    Schedule { epochs, learning_rate, weight_decay: 0.0, ..Schedule::default() }
}

fn random_rbm(visible: usize, hidden: usize, scale: f64, seed: u64) -> Rbm {
    let mut generator = Stream::new(seed).generator();
    let mut uniform = || scale * generator.random_range(-1.0..1.0);
    let weights = Array2::from_shape_simple_fn((visible, hidden), &mut uniform);
    let visible_bias = Array1::from_shape_simple_fn(visible, &mut uniform);
    let hidden_bias = Array1::from_shape_simple_fn(hidden, &mut uniform);
    Rbm::new(weights, visible_bias, hidden_bias, Units::Bits).expect("finite parameters")
}

fn all_states(bits: usize) -> Array2<f64> {
    Array2::from_shape_fn((1 << bits, bits), |(i, j)| f64::from(u8::from(i >> j & 1 == 1)))
}

fn probabilities(rbm: &Rbm) -> Array1<f64> {
    (-rbm.energy(all_states(rbm.visible()).view()) - log_z(rbm)).exp()
}

/// Central differences of the exact log-likelihood; their own error is about 1e-9.
#[test]
fn moments_differ_by_the_gradient_of_the_log_likelihood() {
    let rbm = random_rbm(5, 3, 1.0, 1);
    let data = array![[1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0, 0.0]];
    let from_data = Moments::of(&rbm, data.view(), None).expect("bits");
    let from_model = Moments::of(&rbm, all_states(5).view(), Some(probabilities(&rbm).view())).expect("bits");
    let gradient = &from_data - &from_model;

    let moved = |weights: &Array2<f64>, visible: &Array1<f64>, hidden: &Array1<f64>| {
        let moved = Rbm::new(
            rbm.weights() + weights,
            rbm.visible_bias() + visible,
            rbm.hidden_bias() + hidden,
            Units::Bits,
        );
        log_likelihood(&moved.expect("finite"), &data)
    };
    let step = 1e-4;
    let check = |slope: f64, up: f64, down: f64, what: &str| {
        let difference = (up - down) / (2.0 * step);
        assert!((slope - difference).abs() < 1e-7, "{what}: {slope} for {difference}");
    };
    let (w, b, c) = (Array2::zeros((5, 3)), Array1::zeros(5), Array1::zeros(3));
    for i in 0..5 {
        for j in 0..3 {
            let mut d = w.clone();
            d[[i, j]] = step;
            check(gradient.weights[[i, j]], moved(&d, &b, &c), moved(&-d, &b, &c), "W");
        }
        let mut d = b.clone();
        d[i] = step;
        check(gradient.visible[i], moved(&w, &d, &c), moved(&w, &-d, &c), "b");
    }
    for j in 0..3 {
        let mut d = c.clone();
        d[j] = step;
        check(gradient.hidden[j], moved(&w, &b, &d), moved(&w, &b, &-d), "c");
    }
}

/// Sums over the smaller side, whichever it is, against sums over all visible states.
#[test]
fn exact_means_are_those_of_all_states() {
    // The last one in single precision.
    for (visible, hidden, most) in [(5, 3, 1e-13), (4, 7, 1e-13), (6, 12, 1e-13), (16, 15, 2e-6)] {
        let rbm = random_rbm(visible, hidden, 1.5, 7);
        let (exact, found) = Moments::of_model(&rbm).expect("small");
        let all = all_states(visible);
        let summed = Moments::of(&rbm, all.view(), Some(probabilities(&rbm).view())).expect("bits");
        let difference = &exact - &summed;
        assert!(difference.weights.iter().all(|d| d.abs() < most));
        assert!(difference.visible.iter().chain(&difference.hidden).all(|d| d.abs() < most));
        assert!((found - log_z(&rbm)).abs() < 10.0 * most);
    }
    let large = random_rbm(30, 21, 0.1, 1);
    let refused = Moments::of_model(&large).expect_err("too large").to_string();
    assert!(refused.starts_with("--negative exact: sums over 2^21 states"), "{refused}");
}

fn teacher_and_data() -> (Rbm, Array2<f64>) {
    let teacher = random_rbm(8, 4, 1.5, 2);
    let model: Arc<dyn Model> = Arc::new(teacher.clone());
    let sampler = exact_sampler(&model).expect("enumerable").expect("small enough");
    let data = sampler.sample(20_000, &mut Stream::new(9).generator());
    (teacher, data)
}

/// 20,000 exact draws from a machine. Its maximum-likelihood fit lies about (parameters)/(2 · rows) = 0.0011 nats from it
/// (Wilks); a wrong sign or a wrong mean anywhere moves it by tenths.
#[test]
fn a_machine_stays_where_its_own_draws_put_it_and_is_found_from_nothing() {
    let (teacher, data) = teacher_and_data();
    let p = probabilities(&teacher);
    let start: Arc<dyn Model> = Arc::new(teacher.clone());
    let divergence = |rbm: &Rbm| (&p * &(p.ln() - probabilities(rbm).ln())).sum();
    for negative in [Negative::Pcd, Negative::Tempering, Negative::Exact] {
        let settings = rbm::Settings {
            hidden: 4,
            schedule: schedule(10, 0.1),
            chains: 256,
            temperatures: 3,
            negative,
            ..rbm::Settings::default()
        };
        let training = rbm::training_from(&start, data.view(), &settings).expect("fits");
        let stayed = divergence(&trained(training).0);
        assert!(stayed < 0.005, "{negative}: {stayed}");
        let settings = rbm::Settings { schedule: schedule(40, 0.2), ..settings };
        let found = divergence(&trained(rbm::training(data.view(), &settings).expect("bits")).0);
        assert!(found < 0.02, "{negative}: {found}");
    }
    // Contrastive divergence has another fixed point than maximum likelihood, but one near it where chains mix well.
    let settings = rbm::Settings {
        hidden: 4,
        schedule: schedule(40, 0.2),
        negative: Negative::Cd,
        gibbs_steps: 10,
        ..rbm::Settings::default()
    };
    let found = divergence(&trained(rbm::training(data.view(), &settings).expect("bits")).0);
    assert!(found < 0.05, "{found}");
}

/// Images whose rows or whose columns are each all on or all off, `copies` of each: 14 of side 3, 30 of side 4, at best −log of
/// that number each.
fn bars_and_stripes(side: usize, copies: usize) -> Array2<f64> {
    let mut patterns = std::collections::BTreeSet::new();
    for code in 0..1u32 << side {
        let on = |line: usize| code >> line & 1;
        patterns.insert((0..side * side).map(|i| on(i / side) << i).sum::<u32>());
        patterns.insert((0..side * side).map(|i| on(i % side) << i).sum::<u32>());
    }
    let patterns: Vec<u32> = patterns.into_iter().collect();
    assert_eq!(patterns.len(), (2 << side) - 2);
    let rows = copies * patterns.len();
    Array2::from_shape_fn((rows, side * side), |(i, j)| f64::from(patterns[i % patterns.len()] >> j & 1))
}

#[test]
fn bars_and_stripes_are_learnt_nearly_as_well_as_can_be() {
    let data = bars_and_stripes(3, 100);
    let settings = rbm::Settings {
        hidden: 10,
        schedule: schedule(300, 0.3),
        chains: 256,
        gibbs_steps: 5,
        ..rbm::Settings::default()
    };
    let (rbm, epochs) = trained::<Rbm>(rbm::training(data.view(), &settings).expect("bits"));
    let best = -(14f64.ln());
    let reached = log_likelihood(&rbm, &data);
    assert!(reached <= best && reached > best - 0.15, "{reached}, at best {best}");
    assert_eq!(epochs.len(), 300);
    let error = |epoch: &Epoch| epoch.figure("reconstruction error").expect("told");
    assert!(
        error(&epochs[299]) < 0.5 * error(&epochs[0]),
        "{} from {}",
        error(&epochs[299]),
        error(&epochs[0])
    );
    let rates = rbm.base_rates().expect("stored");
    assert!((rates - 701.0 / 1402.0).iter().all(|d| d.abs() < 1e-12), "{rates}");
}

#[test]
fn exact_gradients_learn_bars_and_stripes_to_the_optimum() {
    let data = bars_and_stripes(4, 1);
    let settings = rbm::Settings {
        hidden: 12,
        schedule: Schedule { final_learning_rate: 0.5, ..schedule(3000, 0.5) },
        negative: Negative::Exact,
        ..rbm::Settings::default()
    };
    let (rbm, epochs) = trained::<Rbm>(rbm::training(data.view(), &settings).expect("bits"));
    let (best, reached) = (-(30f64.ln()), log_likelihood(&rbm, &data));
    assert!(reached <= best && reached > best - 0.05, "{reached}, at best {best}");
    assert!(epochs[0].figure("energy gap").is_none());
}

/// More rows, chains and visible units than one block holds, and none of them a multiple of it.
#[test]
fn the_same_bits_on_any_number_of_threads_and_after_a_break() {
    let mut generator = Stream::new(6).generator();
    let data = Array2::from_shape_simple_fn((300, 150), || f64::from(u8::from(generator.random_bool(0.3))));
    for negative in [Negative::Pcd, Negative::Cd, Negative::Tempering] {
        let settings = rbm::Settings {
            hidden: 33,
            schedule: Schedule { epochs: 3, batch_size: 140, ..Schedule::default() },
            chains: 200,
            gibbs_steps: 2,
            temperatures: 3,
            negative,
            ..rbm::Settings::default()
        };
        let seen = |(rbm, epochs): (Rbm, Vec<Epoch>)| {
            let last = epochs.last().expect("an epoch").figures.clone();
            (rbm.weights().clone(), rbm.visible_bias().clone(), rbm.hidden_bias().clone(), last)
        };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| seen(trained(rbm::training(data.view(), &settings).expect("bits"))))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(5), "{negative}");

        let mut first = rbm::training(data.view(), &settings).expect("bits");
        first.epoch(&Silent).expect("trains");
        let second = rbm::training(data.view(), &settings).expect("bits");
        let second = second.resume(&first.state(), first.done()).expect("its own state");
        assert!(one == seen(trained(second)), "{negative}");
    }
    let settings = rbm::Settings { hidden: 4, ..rbm::Settings::default() };
    let resumed = |state| rbm::training(data.view(), &settings).expect("bits").resume(&state, 1);
    let nothing = resumed(Arrays::new()).expect_err("nothing to go on from").to_string();
    assert!(nothing.contains("the checkpoint has no `W`"), "{nothing}");
    let other = rbm::Settings { hidden: 5, ..settings.clone() };
    let state = rbm::training(data.view(), &other).expect("bits").state();
    let wider = resumed(state).expect_err("another machine").to_string();
    assert!(wider.contains("`W` of the checkpoint holds 750 values, not 600"), "{wider}");
}

#[test]
fn an_epoch_tells_the_truth() {
    let data = bars_and_stripes(3, 100);
    let settings = rbm::Settings { hidden: 6, schedule: schedule(4, 0.2), ..rbm::Settings::default() };
    let (rbm, epochs) = trained::<Rbm>(rbm::training(data.view(), &settings).expect("bits"));
    assert_eq!(epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // The exact pseudo-log-likelihood of the same thousand rows, from every flip instead of one each.
    let seen = data.slice(ndarray::s![..1000, ..]);
    let energies = rbm.energy(seen);
    let mut exact = 0.0;
    for unit in 0..9 {
        let mut flipped = seen.to_owned();
        flipped.column_mut(unit).mapv_inplace(|x| 1.0 - x);
        let up = rbm.energy(flipped.view()) - &energies;
        exact -= up.mapv(|d| (-d).exp().ln_1p()).mean().expect("rows");
    }
    // Standard error about 9 · 0.3 / √1000 = 0.09.
    let figure = |name| epochs[3].figure(name).expect("told");
    let found = figure("pseudo-log-likelihood");
    assert!((found - exact).abs() < 0.4, "{found} for {exact}");
    assert!(figure("energy gap").abs() < 2.0);
}

/// Draws of a random machine of `dim` spins or bits, and the machine.
fn boltzmann_data(dim: usize, units: Units, rows: usize) -> (Boltzmann, Array2<f64>) {
    let mut generator = Stream::new(11).generator();
    let mut couplings = Array2::zeros((dim, dim));
    for i in 0..dim {
        for j in 0..i {
            let value = generator.random_range(-1.0..1.0) / (dim as f64).sqrt();
            couplings[[i, j]] = value;
            couplings[[j, i]] = value;
        }
    }
    let fields = Array1::from_shape_simple_fn(dim, || generator.random_range(-0.5..0.5));
    let machine = Boltzmann::new(couplings, fields, units).expect("symmetric");
    let model: Arc<dyn Model> = Arc::new(machine.clone());
    let sampler = exact_sampler(&model).expect("enumerable").expect("small enough");
    (machine, sampler.sample(rows, &mut generator))
}

/// Differences of the exact log-likelihood, as for RBMs.
#[test]
fn means_of_boltzmann_machines_differ_by_their_gradient() {
    for units in [Units::Bits, Units::Spins] {
        let (machine, data) = boltzmann_data(5, units, 40);
        let (model, found) = boltzmann::Moments::of_model(&machine).expect("small");
        assert!((found - log_z(&machine)).abs() < 1e-12);
        let observed = boltzmann::Moments::of(data.view());
        let step = 1e-4;
        let at = |couplings: Array2<f64>, fields: Array1<f64>| {
            log_likelihood(&Boltzmann::new(couplings, fields, units).expect("symmetric"), &data)
        };
        for i in 0..5 {
            let moved = |step: f64| {
                let mut fields = machine.fields().clone();
                fields[i] += step;
                at(machine.couplings().clone(), fields)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((observed.units[i] - model.units[i] - difference).abs() < 1e-7, "h[{i}]");
            for j in 0..i {
                let moved = |step: f64| {
                    let mut couplings = machine.couplings().clone();
                    couplings[[i, j]] += step;
                    couplings[[j, i]] += step;
                    at(couplings, machine.fields().clone())
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                assert!(
                    (observed.pairs[[i, j]] - model.pairs[[i, j]] - difference).abs() < 1e-7,
                    "J[{i}, {j}]"
                );
            }
        }
    }
}

/// The maximum-likelihood fit is (parameters)/(2 · rows) = 0.00075 nats from the machine that the data were drawn from.
#[test]
fn boltzmann_machines_are_found_exactly_and_by_chains() {
    for units in [Units::Bits, Units::Spins] {
        let (machine, data) = boltzmann_data(6, units, 14_000);
        let best = log_likelihood(&machine, &data);
        for (negative, epochs, least) in
            [(None, 10, 0.0), (Some(Negative::Pcd), 10, 0.001), (Some(Negative::Cd), 10, 0.004)]
        {
            let settings = boltzmann::Settings {
                schedule: schedule(epochs, 0.1),
                negative,
                chains: 256,
                gibbs_steps: 3,
            };
            let (found, epochs) =
                trained::<Boltzmann>(boltzmann::training(data.view(), &settings).expect("valid"));
            let reached = log_likelihood(&found, &data);
            assert!(reached > best - least && reached < best + 0.005, "{negative:?}: {reached} for {best}");
            assert_eq!(epochs[9].figure("energy gap").is_none(), negative.is_none());
        }
    }
}

#[test]
fn boltzmann_trainings_go_on_after_a_break() {
    let (_, data) = boltzmann_data(6, Units::Spins, 500);
    for negative in [Negative::Pcd, Negative::Cd, Negative::Exact] {
        let settings = boltzmann::Settings {
            schedule: schedule(3, 0.1),
            negative: Some(negative),
            ..Default::default()
        };
        let make = || boltzmann::training(data.view(), &settings).expect("spins");
        let whole = trained::<Boltzmann>(make()).0;
        let mut first = make();
        first.epoch(&Silent).expect("trains");
        let rest = trained::<Boltzmann>(make().resume(&first.state(), 1).expect("its own state")).0;
        assert_eq!((whole.couplings(), whole.fields()), (rest.couplings(), rest.fields()));
    }
}

#[test]
fn bad_settings_and_data_are_named() {
    let data = bars_and_stripes(3, 100);
    let refused =
        |settings: rbm::Settings| rbm::training(data.view(), &settings).expect_err("refused").to_string();
    let small = rbm::Settings { hidden: 3, ..rbm::Settings::default() };
    assert!(refused(rbm::Settings { hidden: 0, ..small.clone() }).starts_with("--hidden 0: between 1"));
    assert!(refused(rbm::Settings { chains: 1 << 30, ..small.clone() }).starts_with("--chains 1073741824"));
    assert!(refused(rbm::Settings { gibbs_steps: 0, ..small.clone() }).starts_with("--gibbs-steps 0"));
    assert!(refused(rbm::Settings { temperatures: 1, ..small.clone() }).starts_with("--temperatures 1"));
    let scheduled = |schedule: Schedule| refused(rbm::Settings { schedule, ..small.clone() });
    let usual = Schedule::default;
    assert!(scheduled(Schedule { epochs: 0, ..usual() }).starts_with("--epochs 0"));
    assert!(scheduled(Schedule { batch_size: 0, ..usual() }).starts_with("--batch-size 0"));
    assert!(scheduled(Schedule { learning_rate: 0.0, ..usual() }).contains("a positive finite number"));
    assert!(scheduled(Schedule { learning_rate: f64::NAN, ..usual() }).starts_with("--learning-rate NaN"));
    assert!(scheduled(Schedule { final_learning_rate: -1.0, ..usual() }).contains("not negative"));
    assert!(scheduled(Schedule { weight_decay: f64::INFINITY, ..usual() }).starts_with("--weight-decay inf"));
    let schedule = Schedule { learning_rate: 1e30, weight_decay: 1.0, ..usual() };
    let mut training =
        rbm::training(data.view(), &rbm::Settings { schedule, ..small.clone() }).expect("valid");
    let ran_away = training.epoch(&Silent).expect_err("runs away").to_string();
    assert!(ran_away.contains("ran away in epoch 1; a smaller one is needed"), "{ran_away}");

    let refused = |data: Array2<f64>| rbm::training(data.view(), &small).expect_err("refused").to_string();
    assert!(refused(Array2::zeros((0, 4))).contains("0 rows of 4 columns"));
    assert!(refused(Array2::zeros((4, 0))).contains("4 rows of 0 columns"));
    let grey = refused(array![[0.0, 1.0], [0.0, 0.5]]);
    assert!(grey.contains("row 1, column 1 is 0.5") && grey.contains("--binarize"), "{grey}");
    assert!(refused(array![[0.0, f64::NAN]]).contains("column 1 is NaN"));

    let spins = Rbm::new(array![[0.1]], array![0.0], array![0.0], Units::Spins).expect("valid");
    let spins: Arc<dyn Model> = Arc::new(spins);
    let error = rbm::training_from(&spins, array![[1.0]].view(), &small).expect_err("refused");
    assert!(error.to_string().contains("training goes on from an RBM of bits"));
    let narrow = Rbm::new(array![[0.1]], array![0.0], array![0.0], Units::Bits).expect("valid");
    let start: Arc<dyn Model> = Arc::new(narrow.clone());
    assert!(rbm::training_from(&start, data.view(), &small).is_err());
    assert!(Moments::of(&narrow, Array2::zeros((0, 1)).view(), None).is_err());
    let error =
        Moments::of(&narrow, array![[1.0]].view(), Some(array![0.5, 0.5].view())).expect_err("refused");
    assert!(error.to_string().contains("2 probabilities for 1 rows"));

    let mixed = array![[1.0, -1.0], [0.0, 1.0]];
    let settings = boltzmann::Settings::default();
    assert!(boltzmann::training(mixed.view(), &settings).is_err());
    let wide = boltzmann::Settings { negative: Some(Negative::Exact), ..settings.clone() };
    let error = boltzmann::training(Array2::zeros((4, 21)).view(), &wide).expect_err("too wide").to_string();
    assert!(error.starts_with("--negative exact: sums over 2^21"), "{error}");
    let tempered = boltzmann::Settings { negative: Some(Negative::Tempering), ..settings };
    assert!(boltzmann::training(array![[1.0]].view(), &tempered).is_err());
}
