//! Programs that give energies: the right numbers, the same on any number of threads, and one clear error for whatever they do wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lnz::estimators::{Settings, Silent, by_name};
use lnz::io::RunRecord;
use lnz::models::{Base, CommandModel, Model, Tilt, Tilted};
use lnz::{Error, likelihood};
use ndarray::{Array2, array};
use serde_json::Value;

/// `examples/serve_energy.rs`, built here: cargo builds examples only where all targets are tested.
fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let server = directory.join(format!("serve_energy{}", std::env::consts::EXE_SUFFIX));
        // Put in place whole, as another process may run the last one.
        let made = directory.join(format!("serve_energy-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve_energy.rs");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status =
            Command::new(rustc).args(["--edition", "2024", "-O", "-o"]).arg(&made).arg(source).status();
        assert!(status.expect("rustc starts").success());
        std::fs::rename(made, &server).expect("one directory");
        server
    })
}

fn words(fault: &str) -> Vec<String> {
    let mut words = vec![server().display().to_string()];
    words.extend((!fault.is_empty()).then(|| fault.to_owned()));
    words
}

fn start(fault: &str, dim: usize) -> CommandModel {
    CommandModel::start(&words(fault), dim, Duration::from_secs(20)).expect("it starts")
}

/// Σᵢ log (sᵢ √(2π)).
fn exact(dim: usize) -> f64 {
    let width = |i| if i % 2 == 0 { 1.0f64 } else { 0.5 };
    (0..dim).map(|i| (width(i) * (2.0 * std::f64::consts::PI).sqrt()).ln()).sum()
}

/// `lnz estimate` and more with the test's server.
fn lnz(directory: &Path, subcommand: &str, fault: &str, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lnz"))
        .args([subcommand, "--command", &words(fault).join(" "), "--dim", "4"])
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Children of this process that run the server, or ended and were not waited for.
#[cfg(target_os = "linux")]
fn servers_of(parent: u32) -> usize {
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let processes = std::fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok).filter_map(stat);
    let served = processes.filter(|stat| {
        let after = stat.rsplit(')').next().unwrap_or_default();
        stat.contains("(serve_energy)") && after.split_whitespace().nth(1) == Some(&parent.to_string())
    });
    served.count()
}

#[test]
fn energies_and_gradients_come_through_in_any_number() {
    let model = start("", 3);
    for rows in [0, 1, 5, 9000] {
        let states = Array2::from_shape_fn((rows, 3), |(i, j)| ((7 * i + 3 * j) % 11) as f64 - 5.0);
        let (energies, gradients) =
            model.gradient().expect("it offers them").energy_and_gradient(states.view());
        assert_eq!(model.energy(states.view()), energies);
        for (i, x) in states.rows().into_iter().enumerate() {
            let expected = 0.5 * x[0].powi(2) + 2.0 * (x[1] - 0.1).powi(2) + 0.5 * (x[2] - 0.2).powi(2);
            assert!((energies[i] - expected).abs() < 1e-12);
            assert!((gradients[[i, 1]] - 4.0 * (x[1] - 0.1)).abs() < 1e-12);
        }
    }
    // Rows that do not lie one after another in memory.
    let columns = array![[0.0, 1.0], [0.1, 0.1], [0.2, 0.2]];
    assert_eq!(model.energy(columns.t()).to_vec(), [0.0, 0.5]);
    assert!(start("no-gradient", 3).gradient().is_none());
    assert!(model.failure().is_none());
}

/// A standard error of 0.02 and four of them: α = 6·10⁻⁵ for a seed that is fixed.
#[test]
fn log_z_is_the_exact_one() {
    for fault in ["", "no-gradient"] {
        let model: Arc<dyn Model> = Arc::new(start(fault, 4));
        let settings = Settings { chains: Some(512), rungs: Some(40), ..Settings::default() };
        let found = by_name("ais").and_then(|ais| ais.estimate(&model, &settings, &Silent)).expect("it runs");
        let error = found.std_err.expect("a sampler has one");
        assert!(error < 0.1 && (found.log_z - exact(4)).abs() < 4.0 * error, "{} ± {error}", found.log_z);
        assert!(found.warnings.iter().all(|warning| !warning.to_string().contains("integral")));
    }
}

#[test]
fn bases_and_temperatures_are_exact_by_quadrature() {
    let half_normal = |mean: f64, sd: f64, base_sd: f64, temperature: f64| {
        // ∫ N(x; 0, b²) exp(−½ (x − m)² / (T s²)) dx = s √T / √(T s² + b²) · exp(−½ m² / (T s² + b²)).
        let variance = temperature * sd * sd;
        0.5 * (variance / (variance + base_sd * base_sd)).ln()
            - 0.5 * mean * mean / (variance + base_sd * base_sd)
    };
    for temperature in [1.0, 2.5] {
        let base = Base::Normal { mean: 0.0, standard_deviation: 2.0 };
        let tilted = Tilted::new(Arc::new(start("", 2)), Tilt { base, confinement: 0.0 }).expect("valid");
        let model = Arc::new(tilted).at_temperature(temperature);
        let found =
            by_name("quadrature").and_then(|method| method.estimate(&model, &Settings::default(), &Silent));
        let expected = half_normal(0.0, 1.0, 2.0, temperature) + half_normal(0.1, 0.5, 2.0, temperature);
        let log_z = found.expect("two dimensions").log_z;
        assert!((log_z - expected).abs() < 1e-5, "{log_z} {expected}");
    }
}

#[test]
fn threads_do_not_change_a_bit_and_replays_repeat_it() {
    let directory = directory();
    let path = directory.path();
    let run = |arguments: &str| {
        let output = lnz(path, "estimate", "", arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let effort =
        "--method smc --chains 256 --rungs 48 --temperature 1.7 --domain gaussian:0,2 --confine 0.5 --quiet";
    run(&format!("{effort} --threads 1 --out one.json"));
    run(&format!("{effort} --threads 2 --out two.json"));
    run("--replay one.json --threads 2 --quiet --out again.json");
    let [one, two, again] = ["one.json", "two.json", "again.json"]
        .map(|name| RunRecord::read(&path.join(name)).expect("written"));
    assert_eq!(one.estimate.log_z.to_bits(), two.estimate.log_z.to_bits());
    assert_eq!(one.estimate.trace, two.estimate.trace);
    assert!(one.is_repeated_by(&again.estimate));
    let tilt = one.model.tilt.expect("it was stated");
    assert_eq!(tilt.to_string(), "--domain gaussian:0,2 --confine 0.5");
    assert_eq!(Some(tilt), again.model.tilt);

    let output = lnz(path, "estimate", "no-gradient", "--replay one.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another model"));
}

#[test]
fn the_other_commands_take_programs_too() {
    let directory = directory();
    let path = directory.path();
    let json = |subcommand: &str, arguments: &str, status: i32| -> Value {
        let output = lnz(path, subcommand, "", arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{subcommand} {arguments}: {errors}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let told = json("inspect", "--domain box:-1,1 --json", 0);
    assert_eq!((&told["facts"]["domain"], &told["gradient"]), (&Value::from("box:-1,1"), &Value::from(true)));
    json("sample", "-n 50 --out draws.csv --json", 0);
    let log_z = exact(4);
    let said = json("evaluate", &format!("--data draws.csv --log-z {log_z} --json"), 0);
    let mean = said["mean_log_likelihood"].as_f64().expect("a number");
    // −log Z − d/2 on average, with a standard deviation of √(d/2) / √50.
    assert!((mean + log_z + 2.0).abs() < 4.0 * 0.2, "{mean}");
    let contest = format!("--methods ais,smc --budget 100000 --replicates 2 --truth {log_z} --json");
    let compared = json("compare", &contest, 0);
    assert_eq!(compared["standings"].as_array().map(Vec::len), Some(2));
}

/// What goes wrong, and what is said about it, within seconds.
#[test]
fn each_failure_has_its_message() {
    let directory = directory();
    for (fault, says) in [
        ("babble", &["`Loading the mode…` where a greeting should begin", "print to standard error"][..]),
        ("mute", &["no answer within 1.0 s (before it greeted)", "--command-timeout"]),
        (
            "refuse",
            &["it ended before it greeted (exit status: 3): ValueError: no such weights", "\n  Traceback"],
        ),
        ("version", &["version 7", "version 1"]),
        ("die", &["it ended at batch 21 (exit status: 1): out of memory"]),
        ("hang", &["no answer within 1.0 s (at batch 21)"]),
        ("print", &["`debug: x = 3", "where an answer should begin"]),
        ("status", &["could not answer (status 1)"]),
        ("count", &["it answers for 65 states, but was asked for 64"]),
        ("nan", &["log-density NaN at beta = ", "in chain ", ", at x = [1."]),
    ] {
        let begin = Instant::now();
        // Those that answer get the time that a busy machine may take.
        let timeout = if ["mute", "hang"].contains(&fault) { "1s" } else { "60s" };
        let output =
            lnz(directory.path(), "estimate", fault, &format!("--command-timeout {timeout} --quiet"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{fault}: {message}");
        assert!(output.stdout.is_empty(), "{fault}");
        for expected in says {
            assert!(message.contains(expected), "{fault}: {message}");
        }
        assert_eq!(
            message.split("\n\n").next().map(|first| first.trim().lines().count()),
            Some(1),
            "{message}"
        );
        assert!(fault == "nan" || message.contains("serve_energy"), "{message}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{fault}");
    }
    for (words, says) in [(vec!["no-such-program"], "it does not start: No such file"), (vec![], "--command")]
    {
        let words: Vec<String> = words.into_iter().map(String::from).collect();
        let error = CommandModel::start(&words, 2, Duration::from_secs(1)).expect_err("nothing to start");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A library's caller gets the cause, too, and no more answers after it.
#[test]
fn a_failure_stays_and_estimators_answer_with_it() {
    let model: Arc<dyn Model> = Arc::new(start("die", 4));
    let found =
        by_name("tempering").and_then(|method| method.estimate(&model, &Settings::default(), &Silent));
    assert!(
        matches!(&found, Err(Error::Program { message, .. }) if message.contains("batch 21")),
        "{found:?}"
    );
    let states = Array2::zeros((3, 4));
    assert!(model.energy(states.view()).iter().all(|energy| energy.is_nan()));
    assert!(Arc::clone(&model).at_temperature(2.0).failure().is_some());
    let log_z = likelihood::LogZ::new(0.0, 0.0, "a guess").expect("finite");
    assert!(likelihood::evaluate(&model, states.view(), &log_z).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_is_left_behind() {
    // Other tests of this process have servers of their own, so a process of its own looks.
    if std::env::var_os("LNZ_ALONE").is_none() {
        let test = std::env::current_exe().expect("a test knows its file");
        let alone = ["nobody_is_left_behind", "--exact", "--test-threads=1"];
        let output = Command::new(test).args(alone).env("LNZ_ALONE", "1").output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let me = std::process::id();
    let model = start("", 4);
    assert_eq!(servers_of(me), 1);
    let states = Array2::zeros((64, 4));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..200).for_each(|_| drop(model.energy(states.view()))));
        }
    });
    assert!((1..=3).contains(&servers_of(me)), "one for each that asked at once");
    drop(model);
    assert_eq!(servers_of(me), 0);
    let model = start("die", 4);
    (0..30).for_each(|_| drop(model.energy(states.view())));
    assert!(model.failure().is_some());
    assert_eq!(servers_of(me), 0);
    let refused = CommandModel::start(&words("mute"), 4, Duration::from_millis(200));
    assert!(refused.is_err());
    assert_eq!(servers_of(me), 0);
}
