//! Enumeration and exact sampling of RBMs, Boltzmann machines and any finite model.

use std::sync::Arc;
use std::time::Instant;

use lnz::Error;
use lnz::estimators::enumeration::exact_sampler;
use lnz::estimators::{Guarantee, quickest_exact};
use lnz::math::{Stream, log_sum_exp};
use lnz::models::gaussian_rbm::Convention;
use lnz::models::{
    Boltzmann, Domain, FunctionModel, GaussianRbm, Ising, Lattice, Model, Potts, Rbm, Sampler, Space, Units,
};
use ndarray::{Array1, Array2};
use rand::RngExt;

use super::{assert_close, assert_same_on_any_threads, log_z, run};

/// Σ exp(−E) over all states by the model's own energy, one state at a time.
fn brute_force(model: &Arc<dyn Model>) -> f64 {
    let space = model.space();
    let values = space.values().expect("the space is finite");
    let count = values.len().pow(space.dim as u32);
    let mut terms = Vec::with_capacity(count);
    for mut number in 0..count {
        let state = Array2::from_shape_fn((1, space.dim), |_| {
            let value = values[number % values.len()];
            number /= values.len();
            value
        });
        terms.push(-model.energy(state.view())[0]);
    }
    log_sum_exp(&terms)
}

/// Parameters uniform in ±scale, with biases that differ from each other and from zero on average.
fn random_rbm(visible: usize, hidden: usize, scale: f64, seed: u64, units: Units) -> Arc<dyn Model> {
    let mut generator = Stream::new(seed).generator();
    let mut uniform = |shift: f64| scale * (2.0 * generator.random::<f64>() - 1.0 + shift);
    let weights = Array2::from_shape_simple_fn((visible, hidden), || uniform(0.1));
    let visible_bias = Array1::from_shape_simple_fn(visible, || uniform(-0.4));
    let hidden_bias = Array1::from_shape_simple_fn(hidden, || uniform(0.3));
    Arc::new(Rbm::new(weights, visible_bias, hidden_bias, units).expect("finite parameters make a machine"))
}

#[test]
fn no_weight_is_too_large() {
    // Every state of both sides on: 12 weights and nothing else that counts.
    let machine = Rbm::new(Array2::from_elem((4, 3), 1e200), Array1::ones(4), Array1::ones(3), Units::Bits)
        .expect("finite");
    assert_close(log_z("enumeration", &(Arc::new(machine) as Arc<dyn Model>)), 1.2e201, 1e-14, "1e200");
    for (place, scale) in [1e13, 1e15, 1e17, 1e20, 1e39, 1e280].into_iter().enumerate() {
        for (visible, hidden) in [(9, 2), (4, 12), (7, 7)] {
            for units in [Units::Bits, Units::Spins] {
                let model = random_rbm(visible, hidden, scale, place as u64, units);
                let what = format!("{visible}x{hidden} {units:?} scale {scale:e}");
                assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, &what);
            }
        }
    }
}

#[test]
fn rbm_agrees_with_brute_force_in_either_orientation() {
    let mut seed = 0;
    for units in [Units::Bits, Units::Spins] {
        for (visible, hidden) in [(1, 1), (2, 9), (9, 2), (5, 5), (7, 12), (12, 7), (13, 40), (14, 300)] {
            for scale in [0.1, 2.0, 50.0, 400.0] {
                seed += 1;
                let model = random_rbm(visible, hidden, scale, seed, units);
                let what = format!("{visible}x{hidden} {units:?} scale {scale}");
                assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, &what);
            }
        }
    }
}

/// log Z of a machine is that of its transpose, so 3 × 15 and 15 × 3 must agree; the larger side is beyond brute force above.
#[test]
fn rbm_and_its_transpose_agree() {
    for (visible, hidden, scale) in [(17, 60, 1.0), (15, 784, 0.1), (14, 30, 50.0)] {
        let mut generator = Stream::new(7).generator();
        let mut uniform = || scale * (2.0 * generator.random::<f64>() - 1.1);
        let weights = Array2::from_shape_simple_fn((visible, hidden), &mut uniform);
        let b = Array1::from_shape_simple_fn(visible, &mut uniform);
        let c = Array1::from_shape_simple_fn(hidden, &mut uniform);
        let there: Arc<dyn Model> =
            Arc::new(Rbm::new(weights.clone(), b.clone(), c.clone(), Units::Bits).expect("a machine"));
        let back: Arc<dyn Model> =
            Arc::new(Rbm::new(weights.t().to_owned(), c, b, Units::Bits).expect("a machine"));
        assert_close(log_z("enumeration", &there), log_z("enumeration", &back), 1e-13, "transpose");
    }
}

/// A visible unit of bias b and no weights adds log(1 + e^b); copies of one machine add their log Z.
#[test]
fn rbm_of_independent_units_is_a_sum() {
    let biases: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.9 - 80.0).chain([-900.0, 900.0]).collect();
    let expected: f64 =
        biases.iter().map(|b| b.max(0.0) + (-b.abs()).exp().ln_1p()).sum::<f64>() + 15.0 * 2f64.ln();
    let model: Arc<dyn Model> = Arc::new(
        Rbm::new(Array2::zeros((202, 15)), biases.into(), Array1::zeros(15), Units::Bits).expect("a machine"),
    );
    assert_close(log_z("enumeration", &model), expected, 1e-13, "independent units");
}

fn random_boltzmann(dim: usize, scale: f64, seed: u64, units: Units) -> Arc<dyn Model> {
    let mut generator = Stream::new(seed).generator();
    let mut uniform = || scale * (2.0 * generator.random::<f64>() - 0.9);
    let mut couplings = Array2::zeros((dim, dim));
    for i in 0..dim {
        for j in 0..i {
            let coupling = uniform();
            couplings[[i, j]] = coupling;
            couplings[[j, i]] = coupling;
        }
    }
    let fields = Array1::from_shape_simple_fn(dim, &mut uniform);
    Arc::new(Boltzmann::new(couplings, fields, units).expect("a machine"))
}

#[test]
fn boltzmann_agrees_with_brute_force() {
    for units in [Units::Bits, Units::Spins] {
        for dim in [1, 2, 5, 11, 12, 14] {
            for scale in [0.3, 50.0, 1e4] {
                let model = random_boltzmann(dim, scale, dim as u64, units);
                let what = format!("{dim} {units:?} scale {scale}");
                assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, &what);
            }
        }
    }
    let start = Instant::now();
    assert!(log_z("enumeration", &random_boltzmann(22, 1.0, 1, Units::Spins)).is_finite());
    assert!(start.elapsed().as_secs_f64() < 0.5);
}

fn random_gaussian_rbm(visible: usize, hidden: usize, scale: f64, convention: Convention) -> GaussianRbm {
    let mut generator = Stream::new(17).generator();
    let mut uniform = |shift: f64| scale * (2.0 * generator.random::<f64>() - 1.0 + shift);
    let weights = Array2::from_shape_simple_fn((visible, hidden), || uniform(0.1));
    let visible_bias = Array1::from_shape_simple_fn(visible, || uniform(-0.3));
    let hidden_bias = Array1::from_shape_simple_fn(hidden, || uniform(0.2));
    let sigma = Array1::from_shape_fn(visible, |i| 0.5 + 0.4 * i as f64);
    GaussianRbm::new(weights, visible_bias, hidden_bias, sigma, convention).expect("a machine")
}

/// Σ over hidden states of the closed Gaussian integrals, straight from the definition.
#[test]
fn gaussian_rbm_agrees_with_its_sum_over_hidden_states() {
    for convention in [Convention::Cho, Convention::Hinton] {
        for (visible, hidden, scale) in [(1, 1, 1.0), (3, 7, 1.0), (5, 12, 0.4), (4, 9, 40.0)] {
            let rbm = random_gaussian_rbm(visible, hidden, scale, convention);
            let terms: Vec<f64> = (0..1usize << hidden)
                .map(|number| {
                    let h = Array1::from_shape_fn(hidden, |j| f64::from(u8::from(number >> j & 1 == 1)));
                    let pull = rbm.scaled_weights().dot(&h);
                    rbm.hidden_bias().dot(&h)
                        + (0..visible)
                            .map(|i| {
                                let sigma = rbm.sigma()[i];
                                (sigma * (2.0 * std::f64::consts::PI).sqrt()).ln()
                                    + rbm.visible_bias()[i] * pull[i]
                                    + 0.5 * (sigma * pull[i]).powi(2)
                            })
                            .sum::<f64>()
                })
                .collect();
            let model: Arc<dyn Model> = Arc::new(rbm);
            assert_close(log_z("enumeration", &model), log_sum_exp(&terms), 1e-12, "gaussian rbm");
        }
    }
}

#[test]
fn potts_agrees_with_brute_force() {
    for lattice in [Lattice::Torus { rows: 3, columns: 3 }, Lattice::Grid { rows: 2, columns: 4 }] {
        let model: Arc<dyn Model> = Arc::new(
            Potts::on_lattice(lattice, 0.7, ndarray::array![0.1, -0.3, 0.2]).expect("a Potts model"),
        );
        assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, "potts");
    }
}

#[test]
fn ising_agrees_with_brute_force() {
    for lattice in [
        Lattice::Ring { sites: 7 },
        Lattice::Torus { rows: 3, columns: 4 },
        Lattice::Torus { rows: 3, columns: 5 },
        Lattice::Grid { rows: 1, columns: 1 },
        Lattice::Grid { rows: 4, columns: 3 },
        Lattice::Grid { rows: 2, columns: 7 },
    ] {
        for (coupling, field) in
            [(0.44, 0.0), (0.3, 0.17), (-0.6, 0.2), (-0.5, 0.0), (30.0, -1.0), (-20.0, 3.0)]
        {
            let model: Arc<dyn Model> =
                Arc::new(Ising::new(lattice, coupling, field).expect("an Ising model"));
            let what = format!("{lattice} J = {coupling} h = {field}");
            assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, &what);
        }
    }
}

#[test]
fn any_finite_model_is_added_up() {
    let space = Space::new(7, Domain::Categories { states: 4 });
    let model: Arc<dyn Model> = Arc::new(FunctionModel::new(space, |x| {
        x.iter().zip(x.iter().skip(1)).map(|(a, b)| (a - 1.5 * b).abs()).sum::<f64>() + 0.3 * x[0]
    }));
    assert_close(log_z("enumeration", &model), brute_force(&model), 1e-12, "categories");
    let constant: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(20, Domain::Bits), |_| -1000.0));
    assert_close(log_z("enumeration", &constant), 1000.0 + 20.0 * 2f64.ln(), 1e-14, "constant energy");
    let forbidden: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(9, Domain::Spins), |x| {
        if x.sum() == 9.0 { 2.0 } else { f64::INFINITY }
    }));
    assert_close(log_z("enumeration", &forbidden), -2.0, 1e-14, "one allowed state");
}

#[test]
fn what_has_no_answer_is_an_error() {
    let nan: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(5, Domain::Bits), |x| {
        if x.sum() == 3.0 { f64::NAN } else { 0.0 }
    }));
    assert!(matches!(run("enumeration", &nan), Err(Error::NonFinite { .. })));
    let empty: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(5, Domain::Bits), |_| f64::INFINITY));
    assert!(matches!(run("enumeration", &empty), Err(Error::NotNormalisable { .. })));
    let real: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(1, Domain::Real), |x| x[0] * x[0]));
    assert!(matches!(run("enumeration", &real), Err(Error::NotApplicable { .. })));
    assert!(matches!(run("closed-form", &real), Err(Error::NotApplicable { .. })));
}

#[test]
fn what_would_not_finish_is_refused_at_once() {
    let start = Instant::now();
    let wide: Arc<dyn Model> =
        Arc::new(FunctionModel::new(Space::new(100_000, Domain::Categories { states: 1000 }), |_| 0.0));
    let models = [
        random_rbm(784, 500, 0.1, 1, Units::Bits),
        random_rbm(63, 63, 0.1, 1, Units::Bits),
        random_rbm(60, 60, 0.1, 1, Units::Bits),
        Arc::new(Ising::new(Lattice::Torus { rows: 1000, columns: 1000 }, 0.4, 0.1).expect("an Ising model")),
        wide,
    ];
    for model in &models {
        assert!(matches!(run("enumeration", model), Err(Error::NotApplicable { .. })), "{}", model.kind());
    }
    assert!(start.elapsed().as_secs_f64() < 2.0);
}

/// The same bits whatever the number of threads.
#[test]
fn threads_do_not_change_a_bit() {
    let models: Vec<Arc<dyn Model>> = vec![
        random_rbm(40, 16, 1.0, 3, Units::Bits),
        random_rbm(16, 17, 100.0, 4, Units::Spins),
        Arc::new(Ising::new(Lattice::Torus { rows: 4, columns: 5 }, 0.4, 0.1).expect("an Ising model")),
        Arc::new(FunctionModel::new(Space::new(18, Domain::Bits), |x| 0.1 * x.sum() - x[0] * x[17])),
    ];
    for model in &models {
        assert_same_on_any_threads("enumeration", model);
    }
}

#[test]
fn estimates_say_what_they_are() {
    let model = random_rbm(6, 4, 1.0, 5, Units::Bits);
    let estimate = run("enumeration", &model).expect("small");
    assert_eq!((estimate.std_err, estimate.interval), (None, None));
    assert_eq!(estimate.guarantee, Guarantee::Exact);
    assert_eq!(estimate.cost.counts.energy_evaluations, 16);
    assert_eq!(estimate.cost.phases.len(), 1);
    let (method, plan) = quickest_exact(&model).expect("enumeration applies");
    assert_eq!(method.name(), "enumeration");
    assert!(plan.seconds.expect("exact methods predict") < 0.1);
}

/// χ² of 40,000 draws against the exact probabilities of all states: within 4.5 standard deviations of its mean (α ≈ 1e-5 each,
/// with at least 15 degrees of freedom). A sampler that ignored one weight of size 1 would be off by hundreds.
#[test]
fn exact_draws_follow_the_model() {
    let models: Vec<Arc<dyn Model>> = vec![
        random_rbm(5, 3, 1.0, 11, Units::Bits),
        random_rbm(4, 6, 1.0, 12, Units::Spins),
        random_rbm(6, 6, 0.7, 13, Units::Bits),
        random_boltzmann(6, 0.5, 14, Units::Spins),
        Arc::new(Ising::new(Lattice::Ring { sites: 5 }, 0.3, 0.2).expect("an Ising model")),
        Arc::new(FunctionModel::new(Space::new(3, Domain::Categories { states: 3 }), |x| {
            0.3 * x[0] * x[1] - 0.2 * x[2]
        })),
    ];
    for (index, model) in models.iter().enumerate() {
        let sampler = exact_sampler(model).expect("finite energies").expect("few states");
        let draws = sampler.sample(40_000, &mut Stream::new(index as u64).generator());
        model.space().check(draws.view()).expect("draws lie in the space");
        let values = model.space().values().expect("finite");
        let number = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().rev().fold(0, |n, x| {
                n * values.len() + values.iter().position(|v| v == x).expect("a value of the space")
            })
        };
        let mut counts = vec![0.0; values.len().pow(model.space().dim as u32)];
        let total = brute_force(model);
        for row in draws.rows() {
            counts[number(row)] += 1.0;
        }
        let mut statistic = 0.0;
        for state in 0..counts.len() {
            let mut rest = state;
            let row = Array2::from_shape_fn((1, model.space().dim), |_| {
                let value = values[rest % values.len()];
                rest /= values.len();
                value
            });
            let expected = 40_000.0 * (-model.energy(row.view())[0] - total).exp();
            statistic += (counts[state] - expected).powi(2) / expected;
        }
        let degrees = (counts.len() - 1) as f64;
        assert!(
            (statistic - degrees).abs() < 4.5 * (2.0 * degrees).sqrt(),
            "model {index}: {statistic} for {degrees}"
        );
    }
    assert!(exact_sampler(&random_boltzmann(21, 0.1, 1, Units::Bits)).expect("no energy is NaN").is_none());
    assert!(exact_sampler(&random_rbm(30, 30, 0.1, 1, Units::Bits)).expect("no energy is NaN").is_none());
}

/// E[∂E/∂v] = 0 and E[v·∂E/∂v] = d under p (Stein): means of 40,000 draws within 4.5 standard errors (α = 7e-6 each).
#[test]
fn exact_draws_of_a_gaussian_rbm_satisfy_steins_identities() {
    let model: Arc<dyn Model> = Arc::new(random_gaussian_rbm(3, 5, 1.0, Convention::Hinton));
    let sampler = exact_sampler(&model).expect("finite energies").expect("32 hidden states");
    let draws = sampler.sample(40_000, &mut Stream::new(5).generator());
    let (_, gradients) =
        model.gradient().expect("a Gaussian RBM has a gradient").energy_and_gradient(draws.view());
    let mut columns: Vec<Vec<f64>> = gradients.columns().into_iter().map(|g| g.to_vec()).collect();
    columns.push(draws.rows().into_iter().zip(gradients.rows()).map(|(v, g)| v.dot(&g) - 3.0).collect());
    for column in columns {
        let (mean, error) = (lnz::math::statistics::mean(&column), lnz::math::statistics::std_err(&column));
        assert!(mean.abs() < 4.5 * error, "{mean} with standard error {error}");
    }
}
