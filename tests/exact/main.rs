//! Deterministic estimators against brute force, against each other and against known values.

use std::sync::Arc;

use lnz::Error;
use lnz::estimators::{Estimate, Settings, Silent, by_name};
use lnz::models::Model;

mod enumeration;
mod graphs;
mod lattices;
mod quadrature;

fn run(method: &str, model: &Arc<dyn Model>) -> Result<Estimate, Error> {
    by_name(method)?.estimate(model, &Settings::default(), &Silent)
}

fn log_z(method: &str, model: &Arc<dyn Model>) -> f64 {
    run(method, model).expect("the method applies").log_z
}

fn assert_close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(1.0),
        "{what}: {found} for {expected}, {:e} apart",
        found - expected
    );
}

/// The method's log Z in pools of 1, 2 and 4 threads, which must be the same to the last bit.
fn assert_same_on_any_threads(method: &str, model: &Arc<dyn Model>) {
    let values: Vec<f64> = [1, 2, 4]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| log_z(method, model))
        })
        .collect();
    assert!(values.iter().all(|value| value.to_bits() == values[0].to_bits()), "{method}: {values:?}");
}
