//! Draws every picture of the gallery from fixed seeds: `cargo run --release --example gallery` (about five minutes on two cores).
//!
//! No clock decides anything here, so the pictures show the same numbers on every machine of one instruction set. `plots/README.md`
//! says how to read each; the sentences there are those that the figures carry.

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lnz::estimators::curve;
use lnz::estimators::mbar::{Mbar, Reduced};
use lnz::estimators::tracker::{Tracker, Tracking};
use lnz::estimators::{Estimator, REGISTRY, Settings, Silent, by_name};
use lnz::io::record::{ModelRecord, Record};
use lnz::io::{ModelOptions, RunRecord, read_data, read_model};
use lnz::likelihood::{LogZ, evaluate};
use lnz::models::{Model, builtin};
use lnz::plots::{self, Examples, Figure, Stage, States};
use lnz::studies::{Contest, compare};
use lnz::training::{Schedule, rbm};
use ndarray::ArrayView2;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).map_or_else(|| here("plots"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    let mut captions = String::from(INTRODUCTION);
    for (heading, figures) in [
        ("A trained machine: 784×500 units, MNIST", trained_machine()?),
        ("Thermodynamic integration: an Ising model on 8×8 sites", integration()?),
        ("Tempering: an Ising model on 12×12 sites", tempering()?),
        ("A density in the plane: five normal modes", plane()?),
        ("A network in the plane: two moons", network("two-moons", &["density", "acceptance"])?),
        ("A network of pictures: digits of 8×8 pixels", network("digits-64", &["samples"])?),
        ("A temperature curve: the Ising model on 16×16 sites, by one tempering run", temperatures()?),
        ("Estimators at equal cost: an Ising model in a field on 4×4 sites", contest()?),
        ("Log-likelihoods: a machine that learnt its 200 examples by heart", likelihoods()?),
        ("Calibration: many seeds on references of known log Z", calibration()?),
        ("An answer that is wrong: deep modes that no chain finds", missed()?),
    ] {
        writeln!(captions, "\n## {heading}")?;
        for figure in figures {
            let file = format!("{}{}.png", prefix(heading), figure.name);
            fs::write(directory.join(&file), figure.png())?;
            println!("{file}: {}", figure.title);
            write!(captions, "\n![{}]({file})\n\n{}\n", figure.title, figure.reading)?;
        }
    }
    fs::write(directory.join("README.md"), captions)?;
    Ok(())
}

const INTRODUCTION: &str = "# Gallery\n\nEvery figure that `--plots` and `lnz plot` draw, from fixed seeds, by [`gallery.rs`](gallery.rs): \
                            `cargo run --release --example gallery`.\n";

/// The first figures have plain names; those of the wrong answer and of networks say so.
fn prefix(heading: &str) -> &'static str {
    match heading {
        _ if heading.starts_with("An answer") => "wrong-",
        _ if heading.starts_with("A network") => "network-",
        _ => "",
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// No clock: the same bits everywhere.
fn unhurried() -> Settings {
    Settings { max_time: 1e9, ..Settings::default() }
}

/// Every figure of a run of `method` on `model`.
fn figures_of(model: &Arc<dyn Model>, name: &str, method: &str) -> Result<Vec<Figure>> {
    figures_beside(model, name, method, None)
}

/// The same beside data.
fn figures_beside(
    model: &Arc<dyn Model>,
    name: &str,
    method: &str,
    data: Option<ArrayView2<'_, f64>>,
) -> Result<Vec<Figure>> {
    let settings = unhurried();
    let estimate = by_name(method)?.estimate(model, &settings, &Silent)?;
    let described = ModelRecord::new(model, name, "");
    let record = RunRecord::new(String::new(), described, 1.0, None, &settings, &estimate);
    let mut figures = plots::of_run(&record);
    let states = States { draws: &estimate.trace.draws, data, axes: None };
    figures.extend(plots::of_model(model, estimate.log_z, &states));
    Ok(figures)
}

fn only(figures: Vec<Figure>, names: &[&str]) -> Vec<Figure> {
    figures.into_iter().filter(|figure| names.contains(&figure.name)).collect()
}

fn trained_machine() -> Result<Vec<Figure>> {
    let file = here("examples/models/mnist-rbm-500.safetensors");
    let model = read_model(&file, &ModelOptions::default())?.model;
    figures_of(&model, "mnist-rbm-500.safetensors", "smc")
}

fn integration() -> Result<Vec<Figure>> {
    let spec = "ref:ising?side=8&coupling=0.44";
    Ok(only(figures_of(&builtin::parse(spec)?, spec, "ti")?, &["integrand"]))
}

fn tempering() -> Result<Vec<Figure>> {
    let spec = "ref:ising?side=12&coupling=0.44";
    let (model, settings) = (builtin::parse(spec)?, unhurried());
    let estimate = by_name("tempering")?.estimate(&model, &settings, &Silent)?;
    let described = ModelRecord::new(&model, spec, "");
    let record = RunRecord::new(String::new(), described, 1.0, None, &settings, &estimate);
    let mut figures = only(plots::of_run(&record), &["swaps"]);
    let (samples, _) = estimate.trace.samples.as_ref().ok_or("a tempering run keeps its samples")?;
    let counts = vec![samples.kept(); samples.schedule.betas().len()];
    figures.push(plots::of_states(&Mbar::solve(Reduced::new(samples.energies.view(), &counts)?)?));
    Ok(figures)
}

fn plane() -> Result<Vec<Figure>> {
    let spec = "ref:mixture?dim=2&separation=3";
    Ok(only(figures_of(&builtin::parse(spec)?, spec, "ais")?, &["density"]))
}

/// A network beside the data that it has not seen.
fn network(name: &str, names: &[&str]) -> Result<Vec<Figure>> {
    let file = |end: &str| here(&format!("examples/models/{name}{end}"));
    let model = read_model(&file(".onnx"), &ModelOptions::default())?.model;
    let data = read_data(&file("-test.npy"), None)?;
    Ok(only(figures_beside(&model, name, "smc", Some(data.view()))?, names))
}

fn temperatures() -> Result<Vec<Figure>> {
    let model = builtin::parse("ref:ising?side=16&coupling=1")?;
    let temperatures: Vec<f64> = (0..50).map(|k| 1.5 + 2.5 * f64::from(k) / 49.0).collect();
    Ok(vec![plots::of_curve(&curve::tempered(&model, &temperatures, &unhurried(), &Silent)?, false)])
}

fn contest() -> Result<Vec<Figure>> {
    let model = builtin::parse("ref:ising?side=4&coupling=0.35&field=0.1")?;
    let methods: Vec<&dyn Estimator> = REGISTRY.to_vec();
    let contest = Contest {
        methods: &methods,
        budgets: &[1 << 17, 1 << 19, 1 << 21],
        replicates: 16,
        settings: Settings::default(),
        known: None,
    };
    Ok(plots::of_comparison(&compare(&model, &contest, &Silent)?))
}

fn likelihoods() -> Result<Vec<Figure>> {
    let source = builtin::parse("ref:rbm?visible=30&hidden=8&scale=0.8")?;
    let draws = lnz::sampling::draw(&source, 2200, &unhurried(), &Silent)?.states;
    let (train, test) = (draws.slice(ndarray::s![..200, ..]), draws.slice(ndarray::s![200.., ..]));
    let schedule = Schedule { epochs: 600, learning_rate: 0.1, weight_decay: 0.0, ..Schedule::default() };
    let settings = rbm::Settings { hidden: 16, schedule, ..rbm::Settings::default() };
    let mut training = rbm::training(train, &settings)?;
    let mut tracker = Tracker::new(Tracking { every: 20, quick: 0.0, chains: 256, ..Tracking::default() })?;
    let mut stages = Vec::new();
    let likelihood = |model: &Arc<dyn Model>, rows: ArrayView2<'_, f64>, log_z: f64| {
        model.energy(rows).mean().map(|energy| -energy - log_z)
    };
    while let Some(epoch) = training.epoch(&Silent)? {
        if epoch.number % 10 != 0 {
            continue;
        }
        let found = tracker.follow(&epoch.model, train, &Silent)?;
        stages.push(Stage {
            at: epoch.number as f64,
            log_z: Some(found.log_z),
            std_err: found.std_err,
            followed: found.followed,
            log_likelihoods: [train, test].map(|rows| likelihood(&epoch.model, rows, found.log_z)),
        });
    }
    let model = training.model()?;
    let log_z = LogZ::of(&by_name("enumeration")?.estimate(&model, &unhurried(), &Silent)?, "enumeration")?;
    let (train, test) = (evaluate(&model, train, &log_z)?, evaluate(&model, test, &log_z)?);
    let sets = [("training", &train.per_example), ("test", &test.per_example)];
    let sets = sets.map(|(name, values)| Examples {
        name: name.into(),
        log_likelihoods: values,
        log_z_std_err: 0.0,
    });
    let learning = plots::of_training(&stages).ok_or("log Z is known")?;
    Ok(vec![learning, plots::of_likelihoods(&sets)])
}

/// What was measured, because measuring it takes hours: the rows of `tests/calibration.md`.
fn calibration() -> Result<Vec<Figure>> {
    match Record::read(&here("tests/calibration.json"))? {
        Record::Calibration(record) => Ok(plots::of_calibrations(&record.found)),
        _ => Ok(Vec::new()),
    }
}

fn missed() -> Result<Vec<Figure>> {
    let spec = "ref:memory";
    Ok(only(figures_of(&builtin::parse(spec)?, spec, "ais")?, &["evidence", "weights"]))
}
