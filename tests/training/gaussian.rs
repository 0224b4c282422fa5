//! The same of machines with real visible units.

use super::*;
use lnz::models::GaussianRbm;
use lnz::models::gaussian_rbm::Convention;
use lnz::training::rbm::Visible;

/// σ² from 0.3 to 1, b and W̃ such that modes overlap.
fn teacher() -> GaussianRbm {
    let weights = array![[1.6, -0.9], [-1.2, 0.4], [0.7, 1.5]];
    let sigma = array![0.6, 1.0, 0.8];
    GaussianRbm::new(weights, array![0.5, -3.0, 40.0], array![0.3, -0.4], sigma, Convention::Cho)
        .expect("valid")
}

fn draws(rbm: &GaussianRbm, rows: usize, seed: u64) -> Array2<f64> {
    let model: Arc<dyn Model> = Arc::new(rbm.clone());
    let sampler = exact_sampler(&model).expect("enumerable").expect("small enough");
    sampler.sample(rows, &mut Stream::new(seed).generator())
}

/// The machine of natural parameters W̃, η, c and λ.
fn natural(w: &Array2<f64>, eta: &Array1<f64>, c: &Array1<f64>, lambda: &Array1<f64>) -> GaussianRbm {
    let weights = w / &lambda.view().insert_axis(ndarray::Axis(1));
    let sigma = lambda.mapv(|l| l.powf(-0.5));
    GaussianRbm::new(weights, eta / lambda, c.clone(), sigma, Convention::Cho).expect("valid")
}

/// Central differences of the exact log-likelihood, in natural parameters.
#[test]
fn moments_differ_by_the_gradient_of_the_log_likelihood() {
    let rbm = teacher();
    let data = array![[0.2, -2.0, 41.0], [1.5, -3.5, 39.0]];
    let (model, found) = Moments::of_gaussian_model(&rbm).expect("two hidden units");
    assert!((found - log_z(&rbm)).abs() < 1e-10);
    let gradient = &Moments::of_gaussian(&rbm, data.view(), None).expect("real") - &model;

    let lambda = rbm.sigma().mapv(|s| s.powi(-2));
    let eta = &lambda * rbm.visible_bias();
    let parameters = [
        rbm.scaled_weights().iter().copied().collect::<Vec<_>>(),
        eta.to_vec(),
        rbm.hidden_bias().to_vec(),
        lambda.to_vec(),
    ];
    let slopes = [
        gradient.weights.iter().copied().collect::<Vec<_>>(),
        gradient.visible.to_vec(),
        gradient.hidden.to_vec(),
        gradient.squares.mapv(|s| -0.5 * s).to_vec(),
    ];
    for (kind, slopes) in slopes.iter().enumerate() {
        for (index, slope) in slopes.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = parameters.clone();
                moved[kind][index] += step;
                let [w, eta, c, lambda] = moved;
                let w = Array2::from_shape_vec((3, 2), w).expect("3x2");
                log_likelihood(&natural(&w, &eta.into(), &c.into(), &lambda.into()), &data)
            };
            let step = 1e-5;
            let difference = (at(step) - at(-step)) / (2.0 * step);
            assert!((slope - difference).abs() < 1e-5 * (1.0 + difference.abs()), "{kind} {index}: {slope}");
        }
    }
    let refused = Moments::of_gaussian(&rbm, array![[f64::NAN, 0.0, 0.0]].view(), None);
    assert!(refused.expect_err("not a number").to_string().contains("row 0, column 0 is NaN"));
}

/// 20,000 exact draws from a machine of 14 parameters, whose fit gains about 7/20,000 nats on them (Wilks).
#[test]
fn a_machine_stays_where_its_own_draws_put_it_and_is_found_from_nothing() {
    let teacher = teacher();
    let data = draws(&teacher, 20_000, 9);
    let best = log_likelihood(&teacher, &data);
    let start: Arc<dyn Model> = Arc::new(teacher.clone());
    for negative in [Negative::Pcd, Negative::Tempering, Negative::Exact] {
        let settings = rbm::Settings {
            hidden: 2,
            visible: Visible::Gaussian,
            schedule: schedule(5, 0.05),
            chains: 512,
            temperatures: 3,
            negative,
            ..rbm::Settings::default()
        };
        let training = rbm::training_from(&start, data.view(), &settings).expect("fits");
        let stayed = log_likelihood(&trained::<GaussianRbm>(training).0, &data) - best;
        assert!((-0.002..0.002).contains(&stayed), "{negative}: {stayed}");
        let settings = rbm::Settings { schedule: schedule(60, 0.1), ..settings };
        let (found, epochs) = trained(rbm::training(data.view(), &settings).expect("real"));
        let short: f64 = best - log_likelihood::<GaussianRbm>(&found, &data);
        assert!(short < 0.01, "{negative}: {short}");
        let gap = epochs.last().expect("an epoch").figure("energy gap");
        assert!(gap.is_none_or(|gap| gap.abs() < 0.3), "{negative}: {gap:?}");
    }
}

/// The first model is the normal of the data's mean and spread, wherever they lie and however far they reach.
#[test]
fn training_knows_no_units() {
    let data = draws(&teacher(), 500, 3);
    let settings = rbm::Settings {
        hidden: 3,
        visible: Visible::Gaussian,
        schedule: schedule(4, 0.05),
        ..rbm::Settings::default()
    };
    let train = |data: &Array2<f64>| trained(rbm::training(data.view(), &settings).expect("real")).0;
    let moved = &data * &array![1e3, 1e-3, 1.0] + &array![-5e4, 0.1, 0.0];
    let (one, other): (GaussianRbm, GaussianRbm) = (train(&data), train(&moved));
    let apart = log_likelihood(&one, &data) - log_likelihood(&other, &moved);
    // Densities of data that are 10³ and 10⁻³ times as wide: the factors cancel, and rounding to f32 is left.
    assert!(apart.abs() < 1e-3, "{apart}");
    let short = log_likelihood(&teacher(), &data) - log_likelihood(&one, &data);
    assert!(short < 1.0, "{short}");
}

/// Columns that do not vary, or lie on a plane, stop at the least standard deviation.
#[test]
fn what_does_not_vary_has_the_least_sigma() {
    let mut data = draws(&teacher(), 300, 4);
    let twin = data.column(0).to_owned();
    data.column_mut(1).assign(&twin);
    data.column_mut(2).fill(7.0);
    let settings = rbm::Settings {
        hidden: 3,
        visible: Visible::Gaussian,
        least_sigma: 0.4,
        schedule: Schedule { batch_size: 10, ..schedule(100, 0.1) },
        ..rbm::Settings::default()
    };
    let rbm: GaussianRbm = trained(rbm::training(data.view(), &settings).expect("real")).0;
    let spread = data.std_axis(ndarray::Axis(0), 0.0);
    assert!((rbm.sigma()[2] / (0.01 * spread[0]) - 0.4).abs() < 1e-3, "{}", rbm.sigma());
    assert!(rbm.sigma()[0] >= 0.399 * spread[0] && rbm.sigma()[0] < 0.9 * spread[0], "{}", rbm.sigma());
    let refused = |data: Array2<f64>| rbm::training(data.view(), &settings).expect_err("refused").to_string();
    assert!(refused(array![[1.0, 2.0], [1.0, 2.0]]).contains("rows that differ"));
    assert!(refused(array![[1.0], [f64::INFINITY]]).contains("row 1, column 0 is inf"));
}

#[test]
fn the_same_bits_on_any_number_of_threads_and_after_a_break() {
    let data = draws(&teacher(), 300, 5);
    for negative in [Negative::Pcd, Negative::Cd, Negative::Tempering, Negative::Exact] {
        let settings = rbm::Settings {
            hidden: 5,
            visible: Visible::Gaussian,
            schedule: Schedule { epochs: 3, batch_size: 140, ..Schedule::default() },
            chains: 200,
            temperatures: 3,
            negative,
            ..rbm::Settings::default()
        };
        let make = || rbm::training(data.view(), &settings).expect("real");
        let seen = |training| trained::<GaussianRbm>(training).0.energy(data.view());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| seen(make()))
        };
        let one = on(1);
        assert!(one == on(3), "{negative}");
        let mut first = make();
        first.epoch(&Silent).expect("trains");
        assert!(one == seen(make().resume(&first.state(), 1).expect("its own state")), "{negative}");
    }
}
