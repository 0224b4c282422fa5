//! Energies of +∞: walls within a box, and on ℝᵈ far from where a run starts to look.

#![allow(clippy::unwrap_used, missing_docs)]

use std::f64::consts::PI;
use std::sync::Arc;

use lnz::estimators::{Settings, Silent, Verdict, by_name};
use lnz::math::Stream;
use lnz::models::{Domain, FunctionModel, Model, Space};
use lnz::paths::{self, Move, Population};
use ndarray::{Array2, ArrayView1};
use rand::RngExt;
use rayon::prelude::*;

/// 0 inside the unit ball, which fills 31 % of [−1, 1]⁴ and 8 % of [−1, 1]⁶.
fn ball(dim: usize) -> Arc<dyn Model> {
    let space = Space::new(dim, Domain::Box { lower: vec![-1.0; dim], upper: vec![1.0; dim] });
    Arc::new(FunctionModel::new(space, |x| if x.dot(&x) < 1.0 { 0.0 } else { f64::INFINITY }))
}

/// Standard normal in each coordinate x ≥ 0: 2⁻ᵈ of what a run knows to start with.
fn half_normal(dim: usize) -> Arc<dyn Model> {
    let energy = |x: ArrayView1<'_, f64>| {
        if x.iter().all(|x| *x >= 0.0) { 0.5 * x.dot(&x) } else { f64::INFINITY }
    };
    Arc::new(FunctionModel::new(Space::new(dim, Domain::Real), energy))
}

/// log Ẑ is within six of its standard errors where the run says that it converged, and within eight and half a nat where not.
fn right(model: &Arc<dyn Model>, method: &str, truth: f64, seeds: u64) {
    (1..=seeds).into_par_iter().for_each(|seed| {
        let settings = Settings { seed, max_time: 1e9, ..Settings::default() };
        let found = by_name(method).unwrap().estimate(model, &settings, &Silent).unwrap();
        let (error, std_err) = (found.log_z - truth, found.std_err.unwrap());
        let most = if found.verdict == Verdict::Converged { 6.0 * std_err } else { 8.0 * std_err + 0.5 };
        assert!(error.abs() < most, "{method}, seed {seed}: off by {error} ± {std_err}");
    });
}

/// log π² /2 and log π³/6.
#[test]
fn a_ball_in_a_box_has_its_volume() {
    right(&ball(4), "smc", (PI * PI / 2.0).ln(), 6);
    right(&ball(6), "smc", (PI.powi(3) / 6.0).ln(), 4);
    right(&ball(4), "sandwich", (PI * PI / 2.0).ln(), 2);
    right(&ball(4), "tempering", (PI * PI / 2.0).ln(), 1);
}

/// d log √(π/2).
#[test]
fn an_orthant_is_found() {
    right(&half_normal(10), "smc", 5.0 * (PI / 2.0).ln(), 2);
}

/// No chain that starts in the middle of ten orthants' worth of nothing finds the one of twenty that has all the mass, but those do that
/// start on its diagonal.
#[test]
fn an_orthant_that_no_draw_meets_is_found() {
    let model = half_normal(20);
    let path = paths::for_model(&model, None).unwrap();
    let found = |path: &dyn paths::Path| {
        let mut chains = Population::from_reference(path, 128, Stream::new(1));
        chains.log_density(&[1.0]).iter().filter(|density| density.is_finite()).count()
    };
    assert_eq!(found(path.as_ref()), 0);
    assert!(path.explorers().iter().any(|explorer| found(explorer.as_ref()) > 32));
    // Where draws meet the model there is no need to look elsewhere.
    assert!(paths::for_model(&half_normal(1), None).unwrap().explorers().len() < path.explorers().len());
}

/// Chains in the ball stay uniform there, E|x|² = d/(d + 2), and chains outside find it.
#[test]
fn chains_walk_to_where_the_model_has_mass_and_stay() {
    let (model, dim, count) = (ball(6), 6, 4096);
    let path = paths::for_model(&model, None).unwrap();
    let mut generator = Stream::new(3).generator();
    let mut corners = Array2::from_shape_simple_fn((count, dim), || 0.9 + 0.1 * generator.random::<f64>());
    corners.rows_mut().into_iter().take(count / 2).for_each(|mut row| row *= 0.3);
    let mut chains = Population::adopt(path.as_ref(), corners.view(), Stream::new(4)).unwrap();
    for _ in 0..400 {
        chains.step(1.0, Move::Forward);
    }
    assert!(chains.log_density(&[1.0]).iter().all(|density| *density == 0.0));
    let squares = chains.states().map_axis(ndarray::Axis(1), |x| x.dot(&x));
    // One standard deviation of |x|² is 0.19, and 4.5 of the mean's are 0.013.
    assert!((squares.mean().unwrap() - 0.75).abs() < 0.02, "{}", squares.mean().unwrap());
}
