//! One seed, one answer: on any number of threads, for both orientations of a file, and with the work counted exactly.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::{Estimate, Settings, Silent, by_name};
use lnz::models::{Model, Rbm, Units, builtin};

fn run(method: &str, model: &Arc<dyn Model>, threads: usize) -> Estimate {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    // No clock decides anything here.
    let (chains, rungs) = if method == "tempering" { (40, 5) } else { (200, 32) };
    let settings =
        Settings { seed: 7, chains: Some(chains), rungs: Some(rungs), max_time: 1e9, ..Settings::default() };
    pool.install(|| by_name(method).unwrap().estimate(model, &settings, &Silent).unwrap())
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let models = [
        "ref:rbm?visible=20&hidden=12",
        "ref:ising?side=6&coupling=0.4&field=0.1",
        "ref:mixture?dim=3",
        "ref:potts?rows=3&columns=3&states=3",
        "ref:gaussian-rbm?visible=6&hidden=5",
    ];
    for spec in models {
        let model = builtin::parse(spec).unwrap();
        for method in ["ais", "smc", "tempering", "sandwich", "ti", "importance"] {
            let one = run(method, &model, 1);
            for threads in [2, 8] {
                let many = run(method, &model, threads);
                assert_eq!(
                    one.log_z.to_bits(),
                    many.log_z.to_bits(),
                    "{method} on {spec}, {threads} threads"
                );
                assert_eq!(one.trace, many.trace);
                assert_eq!(one.diagnostics, many.diagnostics);
                assert_eq!(one.verdict, many.verdict);
                assert_eq!(one.cost.counts, many.cost.counts);
            }
        }
    }
}

/// Where the clock decided, a run that follows what it decided gives the same bits, however long it may take.
#[test]
fn a_replay_follows_what_the_clock_decided() {
    for (spec, methods) in [
        (
            "ref:rbm?visible=60&hidden=20",
            &["ais", "smc", "tempering", "sandwich", "reverse-ais", "ti", "importance"][..],
        ),
        ("ref:mixture?dim=8", &["ais", "smc", "ti"][..]),
    ] {
        let model = builtin::parse(spec).unwrap();
        for method in methods {
            let estimate =
                |settings: &Settings| by_name(method).unwrap().estimate(&model, settings, &Silent).unwrap();
            let cut = Settings { seed: 7, target_se: 0.001, max_time: 0.1, ..Settings::default() };
            let run = estimate(&cut);
            let decisions = run.trace.decisions.unwrap();
            assert!(decisions.out_of_time, "{method} on {spec}: the clock decided nothing");
            let again = estimate(&Settings { max_time: 1e9, replay: Some(decisions), ..cut });
            assert_eq!(run.log_z.to_bits(), again.log_z.to_bits(), "{method} on {spec}");
            assert_eq!(run.trace, again.trace);
            assert_eq!(run.diagnostics, again.diagnostics);
            assert_eq!(run.warnings, again.warnings);
            assert_eq!(run.verdict, again.verdict);
            assert_eq!(run.cost.counts, again.cost.counts);
        }
    }
}

/// So does one whose exploration was cut short, and one that took a second trial.
#[test]
fn a_replay_follows_short_explorations_and_second_trials() {
    for (method, spec, max_time) in [("smc", "ref:mixture?dim=8", 1e-3), ("tempering", "ref:banana", 1e9)] {
        let model = builtin::parse(spec).unwrap();
        let estimate =
            |settings: &Settings| by_name(method).unwrap().estimate(&model, settings, &Silent).unwrap();
        let settings = Settings { seed: 7, max_time, ..Settings::default() };
        let run = estimate(&settings);
        let decisions = run.trace.decisions.unwrap();
        assert_eq!(
            (decisions.exploring.is_some(), decisions.trial.is_some()),
            (method == "smc", method != "smc")
        );
        let again = estimate(&Settings { max_time: 1e9, replay: Some(decisions), ..settings });
        assert_eq!(run.log_z.to_bits(), again.log_z.to_bits(), "{method} on {spec}");
        assert_eq!(run.trace, again.trace);
        assert_eq!(run.verdict, again.verdict);
        assert_eq!(run.cost.counts, again.cost.counts);
    }
}

/// A path that was bent, by a number of runs that the clock allowed, is bent so again, on any number of threads.
#[test]
fn a_bent_path_repeats_on_any_number_of_threads() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/mnist-rbm-20.safetensors");
    let model = lnz::io::read_model(file.as_ref(), &lnz::io::ModelOptions::default()).unwrap().model;
    for (method, chains, rungs) in [("smc", Some(256), 64), ("tempering", None, 14)] {
        let run = |threads: usize, settings: &Settings| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| by_name(method).unwrap().estimate(&model, settings, &Silent).unwrap())
        };
        let settings =
            Settings { seed: 7, rungs: Some(rungs), chains, max_time: 30.0, ..Settings::default() };
        let one = run(2, &settings);
        let decisions = one.trace.decisions.unwrap();
        assert!(decisions.bends.is_some_and(|bends| bends >= 10), "{method}: {decisions:?}");
        let other = run(1, &Settings { max_time: 1e9, replay: Some(decisions), ..settings });
        assert_eq!(one.log_z.to_bits(), other.log_z.to_bits(), "{method}");
        assert_eq!(one.trace, other.trace);
        assert_eq!(one.diagnostics, other.diagnostics);
        assert_eq!(one.cost.counts, other.cost.counts);
    }
}

/// Islands are divided among threads, and a replay plans the same ones.
#[test]
fn waste_free_rounds_repeat_on_any_number_of_threads() {
    for spec in ["ref:rbm?visible=20&hidden=12", "ref:ising?side=6&coupling=0.4", "ref:mixture?dim=3"] {
        let model = builtin::parse(spec).unwrap();
        let settings = Settings { seed: 7, waste_free: Some(6), max_time: 1e9, ..Settings::default() };
        let run = |threads: usize, settings: &Settings| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| by_name("smc").unwrap().estimate(&model, settings, &Silent).unwrap())
        };
        let one = run(1, &settings);
        let replayed = Settings { replay: one.trace.decisions, ..settings.clone() };
        for other in [run(2, &settings), run(8, &settings), run(2, &replayed)] {
            assert_eq!(one.log_z.to_bits(), other.log_z.to_bits(), "{spec}");
            assert_eq!(one.trace, other.trace);
            assert_eq!(one.diagnostics, other.diagnostics);
            assert_eq!(one.verdict, other.verdict);
            assert_eq!(one.cost.counts, other.cost.counts);
        }
        assert!(one.diagnostics.states.unwrap() >= 128 * 4 * 6);
    }
}

/// Work done by one run at fixed settings. A change of these numbers is a change of cost that a reader should see.
#[test]
fn evaluations_are_pinned() {
    let counts = |method: &str, spec: &str| {
        let counts = run(method, &builtin::parse(spec).unwrap(), 2).cost.counts;
        (counts.energy_evaluations, counts.gradient_evaluations, counts.sweeps)
    };
    assert_eq!(counts("ais", "ref:rbm?visible=20&hidden=12"), (36_266, 0, 34_048));
    assert_eq!(counts("ais", "ref:ising?side=6&coupling=0.4&field=0.1"), (27_010, 0, 34_048));
    // Quadrature in three dimensions, which this is held against, takes half of the energies.
    assert_eq!(counts("ais", "ref:mixture?dim=3"), (941_600, 456_944, 82_944));
    assert_eq!(counts("ti", "ref:rbm?visible=20&hidden=12"), (248_266, 0, 245_248));
}

/// Swapping the roles of visible and hidden units changes the sampler's numbers but not log Z.
#[test]
fn an_rbm_and_its_mirror_have_one_log_z() {
    let weights = ndarray::Array2::from_shape_fn((9, 7), |(i, j)| ((i * 5 + j * 3) as f64).sin());
    let b = ndarray::Array1::from_shape_fn(9, |i| 0.1 * i as f64 - 0.5);
    let c = ndarray::Array1::from_shape_fn(7, |j| 0.4 - 0.1 * j as f64);
    for units in [Units::Bits, Units::Spins] {
        let one: Arc<dyn Model> = Arc::new(Rbm::new(weights.clone(), b.clone(), c.clone(), units).unwrap());
        let two: Arc<dyn Model> =
            Arc::new(Rbm::new(weights.t().to_owned(), c.clone(), b.clone(), units).unwrap());
        let exact =
            |model| by_name("enumeration").unwrap().estimate(model, &Settings::default(), &Silent).unwrap();
        assert!((exact(&one).log_z - exact(&two).log_z).abs() < 1e-10);
        let (x, y) = (run("ais", &one, 2), run("ais", &two, 2));
        let error = x.std_err.unwrap().hypot(y.std_err.unwrap());
        assert!((x.log_z - y.log_z).abs() < 4.5 * error);
    }
}

/// Whatever the instruction set: the same bits, as far as no dense matrix product is in it.
#[test]
fn every_instruction_set_gives_the_same_numbers() {
    for model in ["ref:rbm?visible=70&hidden=40", "ref:ising?side=5&field=0.1", "ref:boltzmann?dim=12"] {
        let answers = ["scalar", "v3", "best"].map(|level| {
            let run = std::process::Command::new(env!("CARGO_BIN_EXE_lnz"))
                .args(["estimate", model, "--method", "ais", "--json"])
                .env("LNZ_SIMD", level)
                .output()
                .unwrap();
            let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
            assert!(record["log_z"].is_number(), "{model}: {}", String::from_utf8_lossy(&run.stderr));
            (record["log_z"].clone(), record["std_err"].clone(), record["diagnostics"].clone())
        });
        assert_eq!(answers[0], answers[1], "{model}");
        assert_eq!(answers[0], answers[2], "{model}");
    }
}
