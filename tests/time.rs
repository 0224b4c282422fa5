//! A time limit holds in phases whose length no pilot foresees, and what it cut is repeated by a replay.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lnz::Error;
use lnz::estimators::{Settings, Silent, Warning, by_name};
use lnz::models::{Domain, Model, Space};
use ndarray::{Array1, ArrayView2, Axis};

/// Σ x²/2 on ℝ³, whose single states take two milliseconds, and many at once no more: as of a program that is asked through a pipe.
#[derive(Debug)]
struct Piped;

impl Model for Piped {
    fn kind(&self) -> &'static str {
        "slow"
    }

    fn space(&self) -> Space {
        Space::new(3, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        if states.nrows() == 1 {
            sleep(Duration::from_millis(2));
        }
        states.map_axis(Axis(1), |x| 0.5 * x.dot(&x))
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(lnz::models::Tempered::new(self, temperature))
    }
}

/// Its search alone would take a minute.
#[test]
fn quadrature_ends_in_time_without_half_an_answer() {
    let model: Arc<dyn Model> = Arc::new(Piped);
    let settings = Settings { max_time: 0.5, ..Settings::default() };
    let begin = Instant::now();
    let refused = by_name("quadrature").unwrap().estimate(&model, &settings, &Silent).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert!(matches!(refused, Error::NotReached { .. }), "{refused}");
    assert!(refused.to_string().contains("--max-time"), "{refused}");
}

/// A cross-check without an answer is told, recorded, and left out of a replay, which asks no clock.
#[test]
fn a_cross_check_that_was_cut_is_left_out_of_a_replay() {
    let model: Arc<dyn Model> = Arc::new(Piped);
    let smc = by_name("smc").unwrap();
    let settings = Settings { max_time: 5.0, ..Settings::default() };
    let begin = Instant::now();
    let cut = smc.estimate(&model, &settings, &Silent).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let decided = cut.trace.decisions.unwrap();
    assert_eq!(decided.quadrature, Some(false));
    assert!(
        cut.warnings.iter().any(|warning| matches!(warning, Warning::NoTime { .. })),
        "{:?}",
        cut.warnings
    );
    assert!(cut.diagnostics.evidence.iter().all(|other| other.source != "quadrature"));
    let settings = Settings { max_time: 1e-3, replay: Some(decided), ..settings };
    let again = smc.estimate(&model, &settings, &Silent).unwrap();
    assert_eq!((again.log_z, again.diagnostics.evidence), (cut.log_z, cut.diagnostics.evidence));
    assert_eq!(again.trace.decisions, Some(decided));
}
