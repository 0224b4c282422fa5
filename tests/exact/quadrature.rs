//! Quadrature against closed forms, and its refusals.

use std::f64::consts::{LN_2, PI};
use std::sync::Arc;

use lnz::Error;
use lnz::estimators::{Estimate, Guarantee, Settings, Silent, by_name};
use lnz::math::log_sum_exp;
use lnz::models::gaussian_rbm::Convention;
use lnz::models::{Domain, FunctionModel, GaussianRbm, Model, Space, builtin};
use ndarray::{ArrayView1, array};

use super::{assert_same_on_any_threads, log_z, run};

fn function(
    dim: usize,
    domain: Domain,
    energy: impl Fn(ArrayView1<'_, f64>) -> f64 + Send + Sync + 'static,
) -> Arc<dyn Model> {
    Arc::new(FunctionModel::new(Space::new(dim, domain), energy))
}

/// The estimate, after checking that its error is within `relative` and covers the truth.
fn check(model: &Arc<dyn Model>, expected: f64, relative: f64, what: &str) -> Estimate {
    let estimate = run("quadrature", model).unwrap_or_else(|error| panic!("{what}: {error}"));
    let claimed = estimate.diagnostics.discretisation_error.expect("quadrature has an error estimate");
    let off = (estimate.log_z - expected).abs();
    assert!(off <= relative, "{what}: {} for {expected}, {off:e} apart", estimate.log_z);
    // Rounding of log Z itself is no part of the claim.
    assert!(off <= claimed + 1e-13 * (1.0 + expected.abs()), "{what}: off by {off:e}, claimed {claimed:e}");
    assert_eq!((estimate.guarantee.clone(), estimate.std_err), (Guarantee::Numerical, None));
    estimate
}

/// A Gaussian with precision Pᵢⱼ = δᵢⱼ (1 + i) + ½, scaled: log Z = ½ d log 2π − ½ log det P + d log scale.
fn gaussian(dim: usize, scale: f64, shift: f64) -> (Arc<dyn Model>, f64) {
    // det(D + ½ 11ᵀ) = Π Dᵢ · (1 + ½ Σ 1/Dᵢ).
    let diagonal: Vec<f64> = (0..dim).map(|i| 1.0 + i as f64).collect();
    let log_det = diagonal.iter().map(|d| d.ln()).sum::<f64>()
        + (1.0 + 0.5 * diagonal.iter().map(|d| 1.0 / d).sum::<f64>()).ln();
    let log_z = 0.5 * dim as f64 * (2.0 * PI).ln() - 0.5 * log_det + dim as f64 * scale.ln();
    let model = function(dim, Domain::Real, move |x| {
        let y: Vec<f64> = x.iter().map(|x| (x - shift) / scale).collect();
        let sum: f64 = y.iter().sum();
        0.5 * (y.iter().zip(&diagonal).map(|(y, d)| d * y * y).sum::<f64>() + 0.5 * sum * sum)
    });
    (model, log_z)
}

#[test]
fn correlated_gaussians_up_to_six_dimensions() {
    for (dim, accuracy) in [(1, 1e-9), (2, 1e-9), (3, 1e-8), (4, 1e-6), (5, 1e-5), (6, 1e-4)] {
        let (model, expected) = gaussian(dim, 1.0, 0.3);
        check(&model, expected, accuracy, &format!("dim {dim}"));
    }
}

#[test]
fn any_scale_and_place_is_found() {
    for (scale, shift) in [(1e-3, 0.0), (1e3, -20.0), (0.01, 3.0), (1.0, 1000.0), (1e-3, 50.0)] {
        for dim in [1, 2, 3] {
            let (model, expected) = gaussian(dim, scale, shift);
            check(&model, expected, 1e-7, &format!("dim {dim} scale {scale} shift {shift}"));
        }
    }
    // Correlation 0.999 between coordinates of very different scale.
    let model = function(2, Domain::Real, |x| {
        let (a, b) = (x[0] / 100.0, x[1] * 50.0);
        0.5 * (a * a - 2.0 * 0.999 * a * b + b * b) / (1.0 - 0.999f64.powi(2))
    });
    let expected = (2.0 * PI).ln() + 0.5 * (1.0 - 0.999f64.powi(2)).ln() + 2f64.ln();
    check(&model, expected, 1e-8, "strongly correlated");
}

/// Modes 40 widths apart with weights ¼ and ¾ of unlike widths.
#[test]
fn far_modes_are_all_counted() {
    for (dim, accuracy) in [(1, 1e-8), (2, 1e-8), (3, 1e-6), (4, 1e-3)] {
        let model = function(dim, Domain::Real, move |x| {
            let near: f64 = x.iter().map(|x| x * x).sum();
            let far: f64 =
                x.iter().enumerate().map(|(i, x)| (x - if i == 0 { 40.0 } else { -3.0 }).powi(2)).sum();
            let normal = |squares: f64, sigma: f64| {
                -0.5 * squares / (sigma * sigma) - dim as f64 * (sigma * (2.0 * PI).sqrt()).ln()
            };
            -log_sum_exp(&[0.25f64.ln() + normal(near, 1.0), 0.75f64.ln() + normal(far, 0.7)])
        });
        check(&model, 0.0, accuracy, &format!("dim {dim}"));
    }
}

/// ∫ exp(−(x²−1)²/T) dx by a fine trapezoid rule, which converges exponentially for analytic functions that vanish outside.
#[test]
fn double_wells() {
    for temperature in [1.0, 0.1, 0.01] {
        let energy = move |x: f64| (x * x - 1.0).powi(2) / temperature;
        let terms: Vec<f64> = (-40_000..=40_000).map(|i| -energy(f64::from(i) * 1e-4)).collect();
        let one = log_sum_exp(&terms) + 1e-4f64.ln();
        let model = function(1, Domain::Real, move |x| energy(x[0]));
        check(&model, one, 1e-8, "double well");
        let model = function(2, Domain::Real, move |x| energy(x[0]) + energy(x[1]) + 1000.0);
        check(&model, 2.0 * one - 1000.0, 1e-8, "four wells");
    }
}

/// A funnel: v ~ N(0, 3²), x | v ~ N(0, eᵛ); its own normalisation makes Z = 1. Its neck is a needle: at v = −16 it is 10⁻³ of the
/// mode's width, and the last 2·10⁻⁸ of its mass lie between all nodes, so no claim below that is asked for here.
#[test]
fn a_funnel() {
    let model = function(2, Domain::Real, |x| {
        0.5 * (x[0] / 3.0).powi(2)
            + 3f64.ln()
            + 0.5 * x[1] * x[1] * (-x[0]).exp()
            + 0.5 * x[0]
            + (2.0 * PI).ln()
    });
    assert!(log_z("quadrature", &model).abs() < 1e-7);
}

#[test]
fn heavy_tails_are_followed_or_refused() {
    check(&function(1, Domain::Real, |x| (x[0] * x[0]).ln_1p()), PI.ln(), 1e-7, "Cauchy");
    check(&function(1, Domain::Real, |x| x[0].abs().sqrt()), 4f64.ln(), 1e-7, "stretched exponential");
    check(&function(1, Domain::Real, |x| x[0].abs()), LN_2, 1e-7, "Laplace");
    // ∫ (1 + r²)^{-2} over the plane is π.
    check(
        &function(2, Domain::Real, |x| 2.0 * (x[0] * x[0] + x[1] * x[1]).ln_1p()),
        PI.ln(),
        1e-6,
        "Student in the plane",
    );
    // Tails so heavy that a finite integral cannot be told from an infinite one are refused.
    for power in [0.505, 0.51] {
        let model = function(1, Domain::Real, move |x| power * (x[0] * x[0]).ln_1p());
        let refused = run("quadrature", &model).expect_err("too heavy");
        assert!(matches!(refused, Error::NotReached { .. } | Error::NotNormalisable { .. }), "{refused}");
    }
}

#[test]
fn divergent_integrals_are_refused() {
    let cases: Vec<(&str, Arc<dyn Model>)> = vec![
        ("zero", function(1, Domain::Real, |_| 0.0)),
        ("zero in the plane", function(2, Domain::Real, |_| 0.0)),
        ("falling", function(1, Domain::Real, |x| -x[0] * x[0])),
        ("linear", function(2, Domain::Real, |x| x[0] + x[1])),
        ("saddle", function(2, Domain::Real, |x| x[0] * x[0] - x[1] * x[1])),
        (
            "indefinite off the axes",
            function(2, Domain::Real, |x| 0.5 * (x[0] * x[0] + x[1] * x[1]) - 2.0 * x[0] * x[1]),
        ),
        ("bounded", function(1, Domain::Real, |x| 5.0 * (x[0] * x[0]).tanh())),
        ("bounded in three dimensions", function(3, Domain::Real, |x| 5.0 * x.dot(&x).tanh())),
        ("periodic", function(1, Domain::Real, |x| 3.0 * x[0].sin())),
        ("a ridge", function(2, Domain::Real, |x| (x[0] - x[1]).powi(2))),
        ("logarithmic", function(1, Domain::Real, |x| 0.5 * (x[0] * x[0]).ln_1p())),
        ("free coordinate", function(3, Domain::Real, |x| x[0] * x[0] + x[1] * x[1])),
        ("nothing", function(2, Domain::Real, |_| f64::INFINITY)),
    ];
    for (what, model) in cases {
        let refused = run("quadrature", &model).expect_err(what);
        assert!(matches!(refused, Error::NotNormalisable { .. }), "{what}: {refused}");
    }
}

#[test]
fn boxes() {
    let unit = |dim: usize| Domain::Box { lower: vec![-1.0; dim], upper: vec![3.0; dim] };
    for dim in 1..=6 {
        check(&function(dim, unit(dim), |_| 2.0), dim as f64 * 4f64.ln() - 2.0, 1e-12, "flat");
        // ∫ e^{−x} from −1 to 3.
        let one = (1f64.exp() - (-3f64).exp()).ln();
        check(&function(dim, unit(dim), |x| x.sum()), dim as f64 * one, 1e-4, "exponential");
    }
    let narrow = function(2, Domain::Box { lower: vec![0.0, -1e3], upper: vec![1e-2, 1e3] }, |x| {
        0.5 * ((x[0] - 0.003) / 1e-4).powi(2) + 0.5 * ((x[1] - 400.0) / 2.0).powi(2)
    });
    check(&narrow, (2.0 * PI * 1e-4 * 2.0).ln(), 1e-8, "a narrow mode in a long box");
    let growing = function(1, Domain::Box { lower: vec![0.0], upper: vec![100.0] }, |x| -x[0] * x[0]);
    // ∫₀^L e^{x²} dx = e^{L²} D(L) with Dawson's D(100) = 1/200 (1 + 1/20000 + 3/4e8 + …).
    check(&growing, 1e4 + (0.005 * (1.0 + 5e-5 + 7.5e-9f64)).ln(), 1e-8, "mass at the wall");
}

/// A normal mode of width 1 and, far away in a large box, one a twentieth as wide with ten times its mass.
#[test]
fn narrow_modes_in_boxes_are_met_by_the_scan() {
    for dim in [3, 4] {
        let narrow: f64 = 0.05;
        let two = function(dim, Domain::Box { lower: vec![-8.0; dim], upper: vec![9.0; dim] }, move |x| {
            let wide = -0.5 * x.dot(&x);
            let other = -0.5 * x.mapv(|x| (x - 5.0) / narrow).mapv(|x| x * x).sum();
            -log_sum_exp(&[wide, other + 10f64.ln() - dim as f64 * narrow.ln()])
        });
        check(&two, 0.5 * dim as f64 * (2.0 * PI).ln() + 11f64.ln(), 1e-3, &format!("{dim} dimensions"));
    }
}

#[test]
fn gaussian_rbms_agree_with_enumeration() {
    for (visible, accuracy) in [(1, 1e-8), (2, 1e-8), (3, 1e-6), (4, 1e-3)] {
        let weights = ndarray::Array2::from_shape_fn((visible, 3), |(i, j)| 1.5 * ((i * 3 + j) as f64).sin());
        let bias = ndarray::Array1::from_shape_fn(visible, |i| 0.3 * i as f64 - 0.2);
        let sigma = ndarray::Array1::from_shape_fn(visible, |i| 0.6 + 0.3 * i as f64);
        let rbm = GaussianRbm::new(weights, bias, array![0.5, -1.0, 0.2], sigma, Convention::Cho)
            .expect("a machine");
        let model: Arc<dyn Model> = Arc::new(rbm);
        let expected = log_z("enumeration", &model);
        check(&model, expected, accuracy, &format!("{visible} visible units"));
    }
}

#[test]
fn what_is_out_of_reach_is_an_error() {
    let wide = function(7, Domain::Real, |x| x.dot(&x));
    assert!(matches!(run("quadrature", &wide), Err(Error::NotApplicable { .. })));
    let finite = function(2, Domain::Bits, |x| x.sum());
    assert!(matches!(run("quadrature", &finite), Err(Error::NotApplicable { .. })));
    let nan = function(1, Domain::Real, |x| if x[0] > 2.0 { f64::NAN } else { x[0] * x[0] });
    assert!(matches!(run("quadrature", &nan), Err(Error::NonFinite { .. })));
}

#[test]
fn threads_do_not_change_a_bit() {
    for dim in [1, 2, 4] {
        assert_same_on_any_threads("quadrature", &gaussian(dim, 2.0, 0.5).0);
    }
}

/// A wide mode and a narrow one far away: either right within the claim, or not converged, or refused.
#[test]
fn hidden_modes_are_never_silently_missed() {
    for dim in 1..=6 {
        for separation in [10, 20, 40] {
            for weight in [3.0, 100.0] {
                let spec = format!("ref:two-modes?dim={dim}&separation={separation}&weight={weight}");
                let model = builtin::parse(&spec).expect("valid");
                // Beyond three dimensions running out of time is a refusal, which is as good.
                let settings =
                    Settings { max_time: if dim > 3 { 1.0 } else { 300.0 }, ..Settings::default() };
                let found = by_name("quadrature").expect("exists").estimate(&model, &settings, &Silent);
                if dim <= 3 {
                    assert!(found.is_ok(), "{spec}: {found:?}");
                }
                if let Ok(found) = found {
                    let off = (found.log_z - (1.0f64 + weight).ln()).abs();
                    let claimed = found.diagnostics.discretisation_error.expect("an error estimate");
                    assert!(
                        off <= claimed || !found.verdict.is_converged(),
                        "{spec}: {} off by {off:e}, claimed {claimed:e}",
                        found.log_z
                    );
                }
            }
        }
    }
}

#[test]
fn the_built_in_funnel_is_within_its_claim() {
    let model = builtin::parse("ref:funnel?dim=2").expect("valid");
    check(&model, model.closed_form().expect("a funnel has one"), 1e-6, "funnel");
}

#[test]
fn one_mode_is_supported_by_evidence() {
    for dim in 1..=4 {
        let estimate = run("quadrature", &gaussian(dim, 1.0, 0.3).0).expect("a Gaussian");
        assert!(estimate.verdict.is_converged(), "dim {dim}: {:?}", estimate.verdict);
        assert_eq!(estimate.diagnostics.evidence.len(), usize::from(dim > 2));
    }
    let six = run("quadrature", &gaussian(6, 1.0, 0.3).0).expect("a Gaussian");
    assert!(!six.verdict.is_converged(), "six dimensions cannot be scanned");
}

/// The same off all axes and diagonals, where only random directions lead.
#[test]
fn modes_in_any_direction_are_found() {
    let direction = [0.83, -0.31, 0.47];
    let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    for separation in [10.0, 20.0, 40.0] {
        let model = function(3, Domain::Real, move |x| {
            let near = x.dot(&x);
            let far: f64 = x.iter().zip(direction).map(|(x, u)| (x - separation * u / norm).powi(2)).sum();
            let wide = -0.5 * near - 1.5 * (2.0 * PI).ln();
            let narrow = 3f64.ln() - 50.0 * far - 3.0 * (0.1 * (2.0 * PI).sqrt()).ln();
            -log_sum_exp(&[wide, narrow])
        });
        let found = check(&model, 4f64.ln(), 1e-6, "off the axes");
        assert!(found.verdict.is_converged(), "{:?}", found.verdict);
    }
}
