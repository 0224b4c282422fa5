//! Training against exact gradients, exact likelihoods and itself on other numbers of threads.

use std::sync::Arc;

use lnz::estimators::enumeration::exact_sampler;
use lnz::estimators::{Settings, Silent, by_name};
use lnz::math::Stream;
use lnz::models::{Model, Rbm, Sampler, Units};
use lnz::training::{Moments, Pcd, pcd};
use ndarray::{Array1, Array2, array};
use rand::RngExt;

fn log_z(rbm: &Rbm) -> f64 {
    let model: Arc<dyn Model> = Arc::new(rbm.clone());
    let exact = by_name("enumeration").expect("registered");
    exact.estimate(&model, &Settings::default(), &Silent).expect("small enough").log_z
}

fn log_likelihood(rbm: &Rbm, data: &Array2<f64>) -> f64 {
    -rbm.energy(data.view()).mean().expect("rows") - log_z(rbm)
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

/// 20,000 exact draws from a machine. Its maximum-likelihood fit lies about (parameters)/(2 · rows) = 0.0011 nats from it
/// (Wilks); a wrong sign or a wrong mean anywhere moves it by tenths.
#[test]
fn a_machine_stays_where_its_own_draws_put_it_and_is_found_from_nothing() {
    let teacher = random_rbm(8, 4, 1.5, 2);
    let model: Arc<dyn Model> = Arc::new(teacher.clone());
    let sampler = exact_sampler(&model).expect("enumerable").expect("small enough");
    let data = sampler.sample(20_000, &mut Stream::new(9).generator());
    let settings =
        Pcd { hidden: 4, epochs: 10, learning_rate: 0.1, weight_decay: 0.0, chains: 256, ..Pcd::default() };
    let p = probabilities(&teacher);
    let divergence = |rbm: &Rbm| (&p * &(p.ln() - probabilities(rbm).ln())).sum();
    let stayed = pcd::train_from(&teacher, data.view(), &settings, &Silent, |_| Ok(())).expect("trains");
    assert!(divergence(&stayed) < 0.005, "{}", divergence(&stayed));
    let settings = Pcd { epochs: 40, learning_rate: 0.2, ..settings };
    let found = pcd::train(data.view(), &settings, &Silent, |_| Ok(())).expect("trains");
    assert!(divergence(&found) < 0.02, "{}", divergence(&found));
}

/// 3 × 3 images whose rows or whose columns are each all on or all off: 14 of 512, at best −log 14 each.
fn bars_and_stripes() -> Array2<f64> {
    let mut patterns = std::collections::BTreeSet::new();
    for code in 0..8u16 {
        let on = |line: usize| u16::from(code >> line & 1 == 1);
        patterns.insert((0..9).map(|i| on(i / 3) << i).sum::<u16>());
        patterns.insert((0..9).map(|i| on(i % 3) << i).sum::<u16>());
    }
    let patterns: Vec<u16> = patterns.into_iter().collect();
    assert_eq!(patterns.len(), 14);
    Array2::from_shape_fn((1400, 9), |(i, j)| f64::from(patterns[i % 14] >> j & 1))
}

#[test]
fn bars_and_stripes_are_learnt_nearly_as_well_as_can_be() {
    let data = bars_and_stripes();
    let settings = Pcd {
        hidden: 10,
        epochs: 300,
        chains: 256,
        learning_rate: 0.3,
        weight_decay: 0.0,
        gibbs_steps: 5,
        ..Pcd::default()
    };
    let mut errors = Vec::new();
    let listen = |epoch: &pcd::Epoch| {
        errors.push(epoch.reconstruction_error);
        Ok(())
    };
    let rbm = pcd::train(data.view(), &settings, &Silent, listen).expect("trains");
    let best = -(14f64.ln());
    let reached = log_likelihood(&rbm, &data);
    assert!(reached <= best && reached > best - 0.15, "{reached}, at best {best}");
    assert_eq!(errors.len(), 300);
    assert!(errors[299] < 0.5 * errors[0], "{} from {}", errors[299], errors[0]);
    let rates = rbm.base_rates().expect("stored");
    assert!((rates - 701.0 / 1402.0).iter().all(|d| d.abs() < 1e-12), "{rates}");
}

/// More rows, chains and visible units than one block holds, and none of them a multiple of it.
#[test]
fn the_same_bits_on_any_number_of_threads() {
    let mut generator = Stream::new(6).generator();
    let data = Array2::from_shape_simple_fn((300, 150), || f64::from(u8::from(generator.random_bool(0.3))));
    let settings =
        Pcd { hidden: 33, epochs: 3, batch_size: 150, chains: 200, gibbs_steps: 2, ..Pcd::default() };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut figures = Vec::new();
        let listen = |epoch: &pcd::Epoch| {
            figures.push((epoch.reconstruction_error, epoch.pseudo_log_likelihood, epoch.energy_gap));
            Ok(())
        };
        let rbm = pool.install(|| pcd::train(data.view(), &settings, &Silent, listen)).expect("trains");
        (rbm.weights().clone(), rbm.visible_bias().clone(), rbm.hidden_bias().clone(), figures)
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

#[test]
fn an_epoch_tells_the_truth() {
    let data = bars_and_stripes();
    let settings = Pcd { hidden: 6, epochs: 4, learning_rate: 0.2, ..Pcd::default() };
    let mut last = None;
    let listen = |epoch: &pcd::Epoch| {
        last = Some(epoch.clone());
        Ok(())
    };
    let rbm = pcd::train(data.view(), &settings, &Silent, listen).expect("trains");
    let last = last.expect("four epochs");
    assert_eq!((last.number, last.model.weights()), (4, rbm.weights()));
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
    assert!((last.pseudo_log_likelihood - exact).abs() < 0.4, "{} for {exact}", last.pseudo_log_likelihood);
    assert!(last.energy_gap.abs() < 2.0, "{}", last.energy_gap);
}

#[test]
fn bad_settings_and_data_are_named() {
    let data = bars_and_stripes();
    let refused = |settings: Pcd| {
        pcd::train(data.view(), &settings, &Silent, |_| Ok(())).expect_err("refused").to_string()
    };
    assert!(refused(Pcd { hidden: 0, ..Pcd::default() }).starts_with("--hidden 0: between 1"));
    assert!(refused(Pcd { epochs: 0, ..Pcd::default() }).starts_with("--epochs 0"));
    assert!(refused(Pcd { batch_size: 0, ..Pcd::default() }).starts_with("--batch-size 0"));
    assert!(refused(Pcd { chains: 1 << 30, ..Pcd::default() }).starts_with("--chains 1073741824"));
    assert!(refused(Pcd { gibbs_steps: 0, ..Pcd::default() }).starts_with("--gibbs-steps 0"));
    assert!(refused(Pcd { learning_rate: 0.0, ..Pcd::default() }).contains("a positive finite number"));
    assert!(refused(Pcd { learning_rate: f64::NAN, ..Pcd::default() }).starts_with("--learning-rate NaN"));
    assert!(refused(Pcd { final_learning_rate: -1.0, ..Pcd::default() }).contains("not negative"));
    assert!(refused(Pcd { weight_decay: f64::INFINITY, ..Pcd::default() }).starts_with("--weight-decay inf"));
    let ran_away = refused(Pcd { hidden: 3, learning_rate: 1e30, weight_decay: 1.0, ..Pcd::default() });
    assert!(ran_away.contains("ran away in epoch 1; a smaller one is needed"), "{ran_away}");

    let settings = Pcd { hidden: 2, epochs: 1, ..Pcd::default() };
    let refused = |data: Array2<f64>| {
        pcd::train(data.view(), &settings, &Silent, |_| Ok(())).expect_err("refused").to_string()
    };
    assert!(refused(Array2::zeros((0, 4))).contains("0 rows of 4 columns"));
    assert!(refused(Array2::zeros((4, 0))).contains("4 rows of 0 columns"));
    let grey = refused(array![[0.0, 1.0], [0.0, 0.5]]);
    assert!(grey.contains("row 1, column 1 is 0.5") && grey.contains("--binarize"), "{grey}");
    assert!(refused(array![[0.0, f64::NAN]]).contains("column 1 is NaN"));

    let spins = Rbm::new(array![[0.1]], array![0.0], array![0.0], Units::Spins).expect("valid");
    let error =
        pcd::train_from(&spins, array![[1.0]].view(), &settings, &Silent, |_| Ok(())).expect_err("refused");
    assert!(error.to_string().contains("a machine of spins cannot be trained"));
    let narrow = Rbm::new(array![[0.1]], array![0.0], array![0.0], Units::Bits).expect("valid");
    assert!(pcd::train_from(&narrow, data.view(), &settings, &Silent, |_| Ok(())).is_err());
    assert!(Moments::of(&narrow, Array2::zeros((0, 1)).view(), None).is_err());
    let error =
        Moments::of(&narrow, array![[1.0]].view(), Some(array![0.5, 0.5].view())).expect_err("refused");
    assert!(error.to_string().contains("2 probabilities for 1 rows"));
}
