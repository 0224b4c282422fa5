//! Real runs for the tests of figures, damaged ones, and what every figure must be.

use super::figure::{Figure, Marks, Scale};
use crate::estimators::{Estimate, Settings, Silent, by_name};
use crate::io::record::{ModelRecord, RunRecord};
use crate::math::statistics::student_quantile;
use crate::models::builtin;
use crate::studies::{Calibration, Calibrations, Comparison, Contest, compare};

/// A short run of `method` on a built-in reference.
pub(super) fn estimate(method: &str, spec: &str) -> Estimate {
    let model = builtin::parse(spec).expect("a built-in reference");
    let settings = Settings { seed: 0, rungs: Some(20), chains: Some(200), ..Settings::default() };
    by_name(method).expect("registered").estimate(&model, &settings, &Silent).expect("runs")
}

/// The same as a record, by annealing.
pub(super) fn record(spec: &str) -> RunRecord {
    let model = builtin::parse(spec).expect("a built-in reference");
    let found = estimate("ais", spec);
    let described = ModelRecord::new(&model, spec, spec);
    RunRecord::new("lnz".into(), described, 1.0, None, &Settings::default(), &found)
}

/// Three estimators, one of them exact, at two budgets.
pub(super) fn comparison() -> Comparison {
    let model = builtin::parse("ref:ising?side=3&field=0.2").expect("a built-in reference");
    let contest = Contest {
        methods: &["enumeration", "ais", "importance"].map(|name| by_name(name).expect("registered")),
        budgets: &[70_000, 140_000],
        replicates: 3,
        settings: Settings::default(),
        known: None,
    };
    compare(&model, &contest, &Silent).expect("runs")
}

/// Two samplers with honest errors, the first also on a reference that is too hard for it.
pub(super) fn calibrations() -> Calibrations {
    let cell = |method: &str, reference: &str, due: bool| {
        let (runs, coverage) = if due { (200, 0.94) } else { (50, 0.12) };
        let quantile = |i: i32| {
            let share = f64::from(2 * i + 1) / f64::from(runs) - 1.0;
            share.signum() * student_quantile(share.abs(), 1e6)
        };
        Calibration {
            method: method.into(),
            reference: reference.into(),
            mean_error: 0.001,
            sd_error: 0.02,
            mean_std_err: 0.02,
            sd_z: 1.0,
            width: 1.0,
            coverage,
            converged: 0.98,
            due,
            wrong: 0,
            missed: 0,
            z: (0..runs).map(quantile).collect(),
        }
    };
    Calibrations {
        cells: vec![
            cell("smc", "ref:gaussian?dim=10", true),
            cell("smc", "ref:ising?side=8&coupling=0.44", true),
            cell("smc", "ref:funnel?dim=10", false),
            cell("ti", "ref:gaussian?dim=10", true),
        ],
        ..Calibrations::default()
    }
}

/// Axes have finite ranges, words have a usual length, rasters are full; and all of it lies inside when drawn.
pub(super) fn assert_sound(figure: &Figure) {
    assert!(!figure.panels.is_empty() && !figure.reading.is_empty(), "{}", figure.name);
    let length = figure.title.chars().count();
    assert!((5..=78).contains(&length), "{length}: {}", figure.title);
    for panel in &figure.panels {
        for axis in [&panel.x, &panel.y] {
            let [low, high] = axis.range;
            assert!(low.is_finite() && high.is_finite() && low < high, "{}: {axis:?}", figure.name);
            assert!(axis.scale == Scale::Linear || low > 0.0, "{}: {axis:?}", figure.name);
        }
        for series in &panel.series {
            if let Marks::Raster(raster) = &series.marks {
                assert_eq!(raster.cells.len() % raster.columns, 0, "{}", figure.name);
                assert!(raster.cells.iter().all(|cell| cell.is_nan() || (0.0..=1.0).contains(cell)));
            }
        }
    }
    super::layout::tests::assert_drawn(figure);
}

/// An estimate spoilt in many ways that a record could be.
pub(super) fn spoilt(estimate: &Estimate) -> Vec<Estimate> {
    let mut all = Vec::new();
    let mut spoil = |change: &dyn Fn(&mut Estimate)| {
        let mut copy = estimate.clone();
        change(&mut copy);
        all.push(copy);
    };
    spoil(&|e| e.diagnostics = crate::estimators::Diagnostics::default());
    spoil(&|e| e.trace = crate::estimators::Trace::default());
    spoil(&|e| (e.std_err, e.interval) = (None, None));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0] {
        spoil(&|e| e.log_z = bad);
        spoil(&|e| e.std_err = Some(bad));
        spoil(&|e| {
            if let Some(interval) = &mut e.interval {
                (interval.lower, interval.upper, interval.level) = (bad, -bad, bad);
            }
        });
        spoil(&|e| e.trace.log_weights.fill(bad));
        spoil(&|e| e.trace.log_weights.iter_mut().take(1).for_each(|w| *w = bad));
        spoil(&|e| e.trace.log_weights.iter_mut().skip(1).for_each(|w| *w = bad));
        spoil(&|e| e.trace.schedule.fill(bad));
        spoil(&|e| e.diagnostics.evidence.iter_mut().for_each(|o| o.log_z = bad));
        spoil(&|e| e.diagnostics.evidence.iter_mut().for_each(|o| o.std_err = bad));
        spoil(&|e| e.diagnostics.bracket = Some([bad, bad]));
        spoil(&|e| e.diagnostics.effective_sample_size = Some(bad));
        spoil(&|e| e.diagnostics.pareto_shape = Some(bad));
        spoil(&|e| e.diagnostics.swap_rates.fill(bad));
        spoil(&|e| e.trace.pilots.iter_mut().for_each(|p| (p.log_z, p.std_err) = (bad, bad)));
        for take in [1, usize::MAX] {
            spoil(&|e| {
                for rung in e.trace.rungs.iter_mut().take(take) {
                    (rung.beta, rung.log_weight_variance, rung.discrepancy) = (bad, bad, bad);
                    rung.effective_sample_size = bad;
                    (rung.acceptance, rung.step_size) = (Some(bad), Some(bad));
                    rung.derivative = rung.derivative.map(|_| bad);
                    rung.derivative_std_err = Some(bad);
                }
            });
        }
    }
    for keep in 0..4 {
        spoil(&|e| {
            e.trace.log_weights.truncate(keep);
            e.trace.rungs.truncate(keep);
            e.trace.schedule.truncate(keep);
            e.trace.pilots.truncate(keep);
            e.diagnostics.evidence.truncate(keep);
            (e.diagnostics.chains, e.diagnostics.rungs) = (Some(keep), Some(0));
            e.diagnostics.swap_rates.truncate(keep);
            e.diagnostics.round_trips = Some(u64::MAX);
        });
    }
    all
}

#[test]
fn runs_have_the_figures_that_they_have_data_for() {
    let names = |method: &str| -> Vec<&str> {
        let mut run = record("ref:ising?side=3");
        run.estimate = estimate(method, "ref:ising?side=3");
        super::of_run(&run).iter().map(|figure| figure.name).collect()
    };
    assert_eq!(names("ais"), ["evidence", "weights", "variance", "running", "schedule", "sandwich"]);
    assert_eq!(names("reverse-ais"), ["evidence", "weights", "variance", "running", "schedule", "sandwich"]);
    assert_eq!(names("sandwich"), ["evidence", "weights", "variance", "schedule", "sandwich"]);
    assert_eq!(names("importance"), ["evidence", "weights", "running", "sandwich"]);
    assert_eq!(names("ti"), ["evidence", "schedule", "integrand", "sandwich"]);
    assert_eq!(names("tempering"), ["evidence", "schedule", "swaps", "integrand", "sandwich"]);
    assert_eq!(names("enumeration"), Vec::<&str>::new());
}

#[test]
fn no_record_breaks_a_figure() {
    let mut run = record("ref:ising?side=3&field=0.2");
    for method in ["ais", "reverse-ais", "ti", "tempering"] {
        for bad in spoilt(&estimate(method, "ref:ising?side=3&field=0.2")) {
            run.estimate = bad;
            super::of_run(&run).iter().for_each(assert_sound);
            assert_sound(&super::together(&[("a run".into(), &run), ("a run".into(), &run)]));
        }
    }
}

#[test]
fn no_calibration_breaks_a_figure() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0, 1.0] {
        let mut found = calibrations();
        let rows = super::of_calibrations(&found).len();
        for cell in &mut found.cells {
            cell.coverage = bad;
            cell.z.fill(bad);
        }
        assert_eq!((rows, super::of_calibrations(&found).len()), (2, 2));
        super::of_calibrations(&found).iter().for_each(assert_sound);
        found.cells.iter_mut().for_each(|cell| cell.z.clear());
        super::of_calibrations(&found).iter().for_each(assert_sound);
    }
    assert!(super::of_calibrations(&Calibrations::default()).is_empty());
}

#[test]
fn no_comparison_breaks_a_figure() {
    let whole = comparison();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0, 1e-300] {
        for take in [1, usize::MAX] {
            let mut comparison = whole.clone();
            for standing in comparison.standings.iter_mut().take(take) {
                (standing.log_z, standing.cost) = (bad, bad);
                standing.root_mean_square_error = Some(bad);
                standing.runs.iter_mut().for_each(|run| run.log_z = bad);
                if let Some(interval) = &mut standing.interval {
                    (interval.lower, interval.upper) = (-bad, bad);
                }
            }
            super::of_comparison(&comparison).iter().for_each(assert_sound);
            if let Some(truth) = &mut comparison.truth {
                (truth.log_z, truth.std_err) = (bad, bad);
            }
            super::of_comparison(&comparison).iter().for_each(assert_sound);
        }
    }
    let empty = Comparison { standings: Vec::new(), ..whole };
    assert!(super::of_comparison(&empty).is_empty());
}
