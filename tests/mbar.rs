//! Acceptance ratios of two and of many states: against pymbar, against oscillators whose log Z is known, and where states part.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use lnz::Error;
use lnz::estimators::bar::bar;
use lnz::estimators::mbar::{Mbar, Reduced, inefficiencies};
use lnz::io::read_tensors;
use lnz::math::{Stream, statistics};
use ndarray::{Array1, Array2, Ix1, Ix2, array, s};
use rand::RngExt;
use rand_distr::StandardNormal;

fn stored() -> impl Fn(&str) -> ndarray::ArrayD<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mbar/oscillators.npz");
    let tensors = read_tensors(&path).unwrap();
    move |name| tensors.items.iter().find(|tensor| tensor.name == name).unwrap().values.clone()
}

fn close(found: &Array2<f64>, wanted: &Array2<f64>, within: f64, what: &str) {
    for ((at, found), wanted) in found.indexed_iter().zip(wanted) {
        assert!((found - wanted).abs() < within, "{what} {at:?}: {found} for {wanted}");
    }
}

/// What pymbar 4.0.3 gave for the same energies (tests/mbar/make.py).
#[test]
fn oscillators_agree_with_pymbar() {
    let array = stored();
    let matrix = |name: &str| array(name).into_dimensionality::<Ix2>().unwrap();
    let vector = |name: &str| array(name).into_dimensionality::<Ix1>().unwrap();
    let counts: Vec<usize> = vector("N_k").iter().map(|&n| n as usize).collect();
    let energies = matrix("u_kn");
    let solved = Mbar::solve(Reduced::new(energies.view(), &counts).unwrap()).unwrap();
    let f = -&solved.log_z;
    let differences = Array2::from_shape_fn((6, 6), |(i, j)| f[j] - f[i]);
    close(&differences, &matrix("Delta_f"), 1e-8, "free energy difference");
    let covariance = solved.covariance();
    let errors = Array2::from_shape_fn((6, 6), |(i, j)| {
        (covariance[[i, i]] + covariance[[j, j]] - 2.0 * covariance[[i, j]]).max(0.0).sqrt()
    });
    close(&errors, &matrix("dDelta_f"), 1e-8, "its error");
    close(&solved.overlap(), &matrix("overlap"), 1e-8, "overlap");
    let sampled: Vec<usize> = (0..6).filter(|&k| counts[k] > 0).collect();
    for (state, found) in solved.overlap_with_next().into_iter().enumerate() {
        let place = sampled.iter().position(|&k| k == state);
        let next = place.and_then(|place| sampled.get(place + 1));
        assert_eq!(found, next.map(|&next| solved.overlap()[[state, next]]), "state {state}");
    }
    for (found, wanted) in solved.effective_samples().iter().zip(vector("effective")) {
        assert!((found - wanted).abs() < 1e-6, "{found} for {wanted}");
    }
    let gains = |from: usize, to: usize, range: std::ops::Range<usize>| {
        (&energies.slice(s![from, range.clone()]) - &energies.slice(s![to, range])).to_vec()
    };
    let found = bar(&gains(0, 1, 0..60), &gains(1, 0, 60..150)).unwrap();
    let wanted = vector("bar");
    assert!(
        (-found.log_ratio - wanted[0]).abs() < 1e-8 && (found.std_err - wanted[1]).abs() < 1e-8,
        "{found:?}"
    );
}

/// `counts` samples each of oscillators `apart` from one to the next, each with energy `rise` more than the last.
fn oscillators(counts: &[usize], apart: f64, rise: f64, seed: u64) -> Array2<f64> {
    let mut generator = Stream::new(seed).generator();
    let mut samples = Vec::new();
    for (k, &count) in counts.iter().enumerate() {
        samples.extend((0..count).map(|_| apart * k as f64 + generator.sample::<f64, _>(StandardNormal)));
    }
    Array2::from_shape_fn((counts.len(), samples.len()), |(k, n)| {
        0.5 * (samples[n] - apart * k as f64).powi(2) + rise * k as f64
    })
}

fn std_errs(covariance: &Array2<f64>) -> Array1<f64> {
    covariance.diag().mapv(f64::sqrt)
}

/// All three error bars cover: the asymptotic one, that of clusters (here single samples, dealt over the states), the bootstrap's.
#[test]
fn error_bars_are_those_of_the_spread() {
    let counts = [80, 120, 60, 100];
    let clusters: Vec<usize> = counts.iter().flat_map(|&count| 0..count).collect();
    let (mut asymptotic, mut clustered, mut resampled) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..200 {
        let energies = oscillators(&counts, 1.2, 30.0, seed);
        let samples = Reduced::new(energies.view(), &counts).unwrap();
        let solved = Mbar::solve(samples).unwrap();
        let error = solved.log_z[3] + 90.0;
        asymptotic.push(error / std_errs(&solved.covariance())[3]);
        clustered.push(error / std_errs(&solved.covariance_of_clusters(&clusters))[3]);
        if seed < 100 {
            let replicates = solved.bootstrap(samples, None, 60, Stream::new(seed)).unwrap();
            resampled.push(error / statistics::variance(&replicates.column(3).to_vec()).sqrt());
        }
    }
    for (scores, what) in [(asymptotic, "asymptotic"), (clustered, "clusters"), (resampled, "bootstrap")] {
        let sd = statistics::variance(&scores).sqrt();
        assert!((sd - 1.0).abs() < 0.2, "{what}: sd of z {sd}");
        assert!(statistics::mean(&scores).abs() < 0.3, "{what}: biased by {}", statistics::mean(&scores));
    }
}

/// Chains that repeat every sample four times are worth a quarter: clusters know, independent samples do not.
#[test]
fn clusters_see_what_repeats() {
    let counts = [60, 60, 60];
    let once = oscillators(&counts, 1.0, 0.0, 3);
    let energies = Array2::from_shape_fn((3, 720), |(k, n)| once[[k, n / 4]]);
    let clusters: Vec<usize> = (0..720).map(|n| n / 4).collect();
    let solved = Mbar::solve(Reduced::new(energies.view(), &[240, 240, 240]).unwrap()).unwrap();
    let single = Mbar::solve(Reduced::new(once.view(), &counts).unwrap()).unwrap();
    assert!((solved.log_z[2] - single.log_z[2]).abs() < 1e-9);
    let naive = std_errs(&solved.covariance())[2];
    let honest = std_errs(&solved.covariance_of_clusters(&clusters))[2];
    let right = std_errs(&single.covariance())[2];
    assert!((naive - 0.5 * right).abs() < 1e-9, "{naive} for half of {right}");
    assert!((honest / right - 1.0).abs() < 0.1, "{honest} for {right}");
    let in_time = std_errs(&solved.covariance_in_time(&[4.0; 3]))[2];
    assert!((in_time / right - 1.0).abs() < 0.1, "{in_time} for {right}");
    let times = inefficiencies(Reduced::new(energies.view(), &[240, 240, 240]).unwrap());
    assert!(times.iter().all(|time| (2.5..6.5).contains(time)), "{times:?}");
}

/// One or two samples of a state have the error bar that all samples together give: pymbar 4.0.3 gives 0.2847321, and 0.1039572 and
/// 0.1990066. With inefficiencies of 1 it is the asymptotic one.
#[test]
fn few_samples_have_an_error_bar() {
    let pair = array![[0.045, 1.805], [0.02, 0.98]];
    let solved = Mbar::solve(Reduced::new(pair.view(), &[1, 1]).unwrap()).unwrap();
    assert!((std_errs(&solved.covariance_in_time(&[1.0; 2]))[1] - 0.284_732_1).abs() < 1e-6);
    let two_each = array![
        [0.0002, 0.0395, 0.5307, 0.561, 0.1411, 0.1825],
        [0.1153, 0.305, 0.1406, 0.1564, 0.0005, 0.0054],
        [0.4805, 0.8205, 0.0005, 0.0018, 0.1099, 0.0784]
    ];
    let solved = Mbar::solve(Reduced::new(two_each.view(), &[2, 2, 2]).unwrap()).unwrap();
    let errors = std_errs(&solved.covariance_in_time(&[1.0; 3]));
    assert!((errors[1] - 0.103_957_2).abs() < 1e-6 && (errors[2] - 0.199_006_6).abs() < 1e-6, "{errors}");

    let energies = oscillators(&[80, 40, 60], 1.0, 2.0, 5);
    let solved = Mbar::solve(Reduced::new(energies.view(), &[80, 40, 60]).unwrap()).unwrap();
    close(&solved.covariance_in_time(&[1.0; 3]), &solved.covariance(), 1e-9, "covariance");
}

/// The state that keeps the equations from being solved is named, wherever it stands.
#[test]
fn states_that_hardly_overlap_are_named() {
    // Two oscillators, and one at their side that is a hundred times as narrow, so that no sample of theirs is one of its own.
    let (centres, widths) = ([0.0, 1.0, -5.0], [1.0, 1.0, 0.01]);
    let mut generator = Stream::new(7).generator();
    let samples: Vec<f64> = (0..900)
        .map(|n| centres[n / 300] + widths[n / 300] * generator.sample::<f64, _>(StandardNormal))
        .collect();
    let energies =
        Array2::from_shape_fn((3, 900), |(k, n)| 0.5 * ((samples[n] - centres[k]) / widths[k]).powi(2));
    let refused = Mbar::solve(Reduced::new(energies.view(), &[300, 300, 300]).unwrap()).err().unwrap();
    let refused = refused.to_string();
    assert!(refused.contains("state 2") && refused.contains("overlap"), "{refused}");
}

/// As overlap vanishes the error bar grows, until there is none and no number.
#[test]
fn error_bars_grow_as_overlap_vanishes() {
    let counts = [200, 200];
    let mut last = 0.0;
    for apart in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] {
        let errors: Vec<f64> = (0..20)
            .map(|seed| {
                let energies = oscillators(&counts, apart, 0.0, seed);
                let solved = Mbar::solve(Reduced::new(energies.view(), &counts).unwrap()).unwrap();
                assert!(solved.overlap()[[0, 1]] < 0.6 / apart);
                std_errs(&solved.covariance())[1]
            })
            .collect();
        let error = statistics::mean(&errors);
        assert!(error > 1.3 * last, "{error} at {apart}, {last} before");
        last = error;
    }
    let energies = oscillators(&counts, 60.0, 0.0, 1);
    let refused = Mbar::solve(Reduced::new(energies.view(), &counts).unwrap()).unwrap_err();
    assert!(matches!(refused, Error::NotReached { estimator: "mbar", .. }), "{refused}");
    assert!(refused.to_string().contains("overlap"), "{refused}");
}

/// Two groups of states that know nothing of each other have no common scale, though each is well connected.
#[test]
fn parted_groups_are_refused() {
    let mut energies = oscillators(&[50, 50, 50, 50], 0.5, 0.0, 2);
    for state in 0..4 {
        for sample in 0..200 {
            if (state < 2) != (sample < 100) {
                energies[[state, sample]] = f64::INFINITY;
            }
        }
    }
    let refused = Mbar::solve(Reduced::new(energies.view(), &[50, 50, 50, 50]).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("overlap"), "{refused}");
}

#[test]
fn many_states_far_apart_in_energy_are_solved() {
    let counts = [100; 40];
    let energies = oscillators(&counts, 0.7, 37.5, 4);
    let solved = Mbar::solve(Reduced::new(energies.view(), &counts).unwrap()).unwrap();
    let error = std_errs(&solved.covariance())[39];
    assert!((solved.log_z[39] + 39.0 * 37.5).abs() < 4.0 * error, "{} ± {error}", solved.log_z[39]);
    assert!(solved.steps < 15, "{} steps", solved.steps);
}

#[test]
fn bad_energies_are_refused_by_name() {
    let good = oscillators(&[3, 3], 1.0, 0.0, 1);
    let refused = |energies: &Array2<f64>, counts: &[usize]| {
        Reduced::new(energies.view(), counts).unwrap_err().to_string()
    };
    assert!(refused(&good, &[3]).contains("N_k"));
    assert!(refused(&good, &[3, 4]).contains("adds up to 7"));
    let mut bad = good.clone();
    bad[[1, 4]] = f64::NAN;
    assert!(refused(&bad, &[3, 3]).contains("sample 4 at state 1"));
    let mut lost = good;
    lost.column_mut(2).fill(f64::INFINITY);
    assert!(refused(&lost, &[3, 3]).contains("sample 2"));
}
