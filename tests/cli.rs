//! The program as a person meets it: what it prints, what its exit status says, and numbers that are right.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lnz::io::{ModelOptions, RunRecord, read_data, read_model, write_npy, write_npz, write_rbm};
use lnz::math::log_sum_exp;
use lnz::models::{Model, Rbm, Units, builtin};
use ndarray::{Array1, Array2, array};
use serde_json::Value;
use tempfile::TempDir;

fn lnz(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lnz"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

/// stdout, with the exit status checked.
fn ok(directory: &Path, arguments: &str, status: i32) -> String {
    let output = lnz(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "lnz {arguments}\n{errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(directory: &Path, arguments: &str, status: i32) -> Value {
    let text = ok(directory, arguments, status);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("lnz {arguments}: {e}\n{text}"))
}

/// stdout without what the clock says.
fn timeless(text: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("  time")).collect();
    kept.join("\n")
}

/// The same with numbers that were sampled as `#`: other vector instructions round in another order.
fn figureless(text: &str) -> String {
    let word = |word: &str| {
        let number = word.trim_end_matches([',', ')']);
        if number.contains('.') && number.parse::<f64>().is_ok() {
            word.replace(number, "#")
        } else {
            word.into()
        }
    };
    let line = |line: &str| {
        let line = line.split(' ').map(word).collect::<Vec<String>>().join(" ");
        match line.split_once("sample size ") {
            Some((before, after)) => {
                format!("{before}sample size #{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => line,
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A machine of four by three units, and its sixteen states.
fn machine(directory: &Path) -> (Rbm, Array2<f64>) {
    let weights = Array2::from_shape_fn((4, 3), |(i, j)| ((5 * i + 3 * j) % 7) as f64 / 4.0 - 0.75);
    let visible_bias = Array1::linspace(-0.5, 0.4, 4);
    let rbm = Rbm::new(weights, visible_bias, array![0.1, 0.0, -0.2], Units::Bits).expect("valid");
    write_rbm(&directory.join("model.npz"), &rbm).expect("writable");
    (rbm, Array2::from_shape_fn((16, 4), |(row, column)| (row >> column & 1) as f64))
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn estimate_prints_what_a_person_needs() {
    let directory = temporary();
    let text = ok(directory.path(), "estimate ref:rbm?visible=12&hidden=6 --method ais --seed 3", 0);
    insta::assert_snapshot!(figureless(&timeless(&text)), @r"
    log Z = # ± # nats   (95 % interval # … #)
      model     ref:rbm?visible=12&hidden=6: rbm on {0, 1}^12
      method    ais (unbiased for Z, so low on average for log Z)
      verdict   converged
      effort    1024 chains, 128 rungs, effective sample size #, Pareto shape #
      evidence  # ± #, a second forward run (256 chains, 128 rungs): agrees
                # ± #, reverse annealing from overcooled chains (256 chains, 128 rungs): agrees
                # or more, a certain lower bound: holds
    ");
    let text = ok(directory.path(), "estimate ref:rbm", 0);
    insta::assert_snapshot!(timeless(&text), @r"
    log Z = 68.977381078 nats   (exact)
      model    ref:rbm: rbm on {0, 1}^100
      method   enumeration (exact)
      verdict  converged
    ");
    let text = ok(directory.path(), "exact ref:gaussian --temperature 2", 0);
    insta::assert_snapshot!(timeless(&text), @r"
    log Z = 8.046635256 nats   (exact)
      model    ref:gaussian: gaussian on real numbers^10, at temperature 2
      method   closed-form (exact)
      verdict  converged
    ");
}

#[test]
fn tempering_shows_estimators_side_by_side_and_analyse_repeats_them() {
    let directory = temporary();
    let path = directory.path();
    let arguments = "estimate ref:ising?side=5 --method tempering --chains 16 --rungs 4 --out run.json";
    let text = ok(path, &format!("{arguments} --with mbar,stepping-stone"), 0);
    assert!(text.contains("round trips") && text.contains("16 systems, 4 rungs"), "{text}");
    assert!(
        text.contains("stepping-stone-up") && !text.contains(", bar") && !text.contains(", ti"),
        "{text}"
    );
    let value = json(path, &format!("{arguments} --json"), 0);
    let again = json(path, "analyse run.json --bootstrap 20 --json", 0);
    assert_eq!(value["diagnostics"]["analyses"], again["analyses"]);
    assert_eq!(again["analyses"].as_array().map(Vec::len), Some(5));
    assert_eq!(value["log_z"], again["analyses"][0]["log_z"]);
    let top = &again["states"][4];
    let (error, resampled) = (number(top, "/std_err"), number(top, "/bootstrap_std_err"));
    assert!((0.4..2.5).contains(&(resampled / error)), "{resampled} for {error}");
    let rows = again["overlap"].as_array().expect("a matrix");
    let sum: f64 = rows[2].as_array().expect("a row").iter().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    let text = ok(path, "analyse run.energies.npz --plots drawn", 0);
    let drawn = fs::read_to_string(path.join("drawn/overlap.svg")).expect("drawn");
    let document = roxmltree::Document::parse(&drawn).expect("well-formed");
    let numbers = document.descendants().filter(|node| node.attribute("class") == Some("series"));
    assert_eq!(
        numbers.flat_map(|series| series.children()).filter(|node| node.has_tag_name("text")).count(),
        25
    );
    let listed = ok(path, "plot run.json --out drawn", 0);
    assert!(listed.contains("drawn/swaps.svg"), "{listed}");
    assert!(text.contains("overlap with next") && text.lines().count() > 11, "{text}");

    let refused = lnz(path, "estimate ref:ising --method ais --with bar");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--method tempering"));
    std::fs::write(path.join("model.json"), "{}").expect("writable");
    let refused = lnz(path, "analyse model.json");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("model.energies.npz"));
}

/// Energies from elsewhere: u_kn and N_k, as free-energy programs name them.
#[test]
fn analyse_takes_energies_of_any_program() {
    let directory = temporary();
    let file = format!("{}/tests/mbar/oscillators.npz", env!("CARGO_MANIFEST_DIR"));
    let value = json(directory.path(), &format!("analyse {file} --json"), 0);
    // What pymbar 4.0.3 gave: tests/mbar/make.py.
    assert!((number(&value, "/states/1/log_z") + 8.275_890_97).abs() < 1e-7, "{value}");
    assert!((number(&value, "/states/5/log_z") + 40.089_224_83).abs() < 1e-7, "{value}");
    assert!(value["analyses"].is_null(), "{value}");
}

/// Too few samples, or states far apart, are said; no estimate has an error of zero, nor of less than it may be wrong by.
#[test]
fn analyse_doubts_error_bars_of_few_samples_and_little_overlap() {
    let directory = temporary();
    let path = directory.path();
    let write = |energies: &Array2<f64>, counts: &[f64]| {
        let counts = Array1::from_vec(counts.to_vec());
        write_npz(
            &path.join("u.npz"),
            &[("u_kn", energies.view().into_dyn()), ("N_k", counts.view().into_dyn())],
        )
        .expect("writable");
    };
    write(&array![[0.045, 1.805], [0.02, 0.98]], &[1.0, 1.0]);
    let text = ok(path, "analyse u.npz --bootstrap 4", 3);
    assert!(text.contains("0.42 ± 0.28 nats") && text.contains("NOT CONVERGED"), "{text}");
    assert!(text.contains("1.9 independent samples") && !text.contains("± 0.0"), "{text}");
    let value = json(path, "analyse u.npz --json", 3);
    assert_eq!(value["verdict"], "not-converged");
    assert!(value["reasons"][0].as_str().is_some_and(|reason| reason.contains("state 0")), "{value}");

    // Forty samples of each, one of which has a weight of e⁻⁴ in the other state, and then of e⁻¹².
    let apart = Array2::from_shape_fn((2, 80), |(state, sample)| {
        let other = (sample < 40) == (state == 1);
        if !other {
            0.0
        } else if sample % 40 == 0 {
            4.0
        } else {
            40.0
        }
    });
    write(&apart, &[40.0, 40.0]);
    let value = json(path, "analyse u.npz --json", 3);
    assert!(number(&value, "/states/1/std_err") > 4.0, "{value}");
    write(&(&apart * 3.0), &[40.0, 40.0]);
    let text = ok(path, "analyse u.npz", 3);
    assert!(text.contains("unknown") && text.contains("state 1 does not overlap with state 0"), "{text}");
}

#[test]
fn too_many_threads_are_not_started() {
    let directory = temporary();
    let output = lnz(directory.path(), "estimate ref:ising?side=4 --threads 1000000");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors.matches("asks for 1000000 threads").count(), 1, "{errors}");
}

#[test]
fn waste_free_rounds_are_told_recorded_and_replayed() {
    let directory = temporary();
    let path = directory.path();
    let model = "estimate ref:ising?side=6";
    let text = ok(path, &format!("{model} --method smc --waste-free 16 --out one.json"), 0);
    assert!(text.contains(" states on ") && text.contains(" islands, "), "{text}");
    let one = RunRecord::read(&path.join("one.json")).expect("a record");
    assert_eq!(one.settings.waste_free, Some(16));
    let trace = &one.estimate.trace;
    assert_eq!(
        (trace.schedule.len(), Some(trace.log_weights.len())),
        (trace.rungs.len() + 1, one.estimate.diagnostics.chains)
    );
    ok(path, &format!("{model} --replay one.json --out two.json"), 0);
    let two = RunRecord::read(&path.join("two.json")).expect("a record");
    assert_eq!((one.estimate.trace, one.settings), (two.estimate.trace, two.settings));

    let value = json(path, &format!("{model} --method smc --waste-free 8 --chains 5000 --rungs 7 --json"), 0);
    assert_eq!((number(&value, "/diagnostics/rungs"), number(&value, "/diagnostics/states")), (7.0, 5024.0));

    for (arguments, says) in [
        ("--method ais --waste-free 8", "not of ais"),
        ("--method tempering --waste-free 8", "not of tempering"),
        ("--method smc --waste-free 1", "2 to 1024"),
        ("--method smc --waste-free 2000", "2 to 1024"),
        ("--method smc --waste-free 8 --chains 1000", "at least 4096"),
        ("--method smc --waste-free 8 --chains 2000", "at most 3"),
        ("--method smc --waste-free 0", "positive whole number"),
        ("--replay one.json --waste-free 8", "cannot be used with"),
    ] {
        let refused = lnz(path, &format!("{model} {arguments}"));
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments}: {errors}");
        assert!(errors.contains("--waste-free") && errors.contains(says), "{arguments}: {errors}");
    }
}

#[test]
fn what_did_not_converge_says_so_and_why() {
    let directory = temporary();
    let arguments = "estimate ref:spin-glass?side=12&coupling=3 --method ais --rungs 3 --chains 128";
    let text = ok(directory.path(), arguments, 3);
    assert!(text.starts_with("log Z = ") && text.contains("NOT CONVERGED"), "{text}");
    assert!(text.contains("effective sample size") && text.contains("--rungs"), "{text}");
    let value = json(directory.path(), &format!("{arguments} --json"), 3);
    assert_eq!(value["verdict"], "not-converged");
    let reasons = value["reasons"].as_array().expect("a list");
    assert!(reasons.iter().all(|reason| reason["message"].is_string() && reason["kind"].is_string()));
    assert!(reasons.iter().any(|reason| reason["kind"] == "few-effective-samples"), "{value}");
}

#[test]
fn evaluate_prints_both_errors_and_the_difference() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    write_npy(&directory.path().join("states.npy"), states.view().into_dyn()).expect("writable");
    let text = ok(
        directory.path(),
        "evaluate model.npz --data states.npy --log-z 4.82 --log-z-se 0.05 --against ref:independent?dim=4 --against-log-z 2.5",
        0,
    );
    insta::assert_snapshot!(text, @r"
    mean log-likelihood = -2.835 ± 0.099 nats per example
      of the data         ± 0.085 nats
      of log Z            ± 0.050 nats
      bits per dimension  1.0225
      log Z               4.820 ± 0.050, by --log-z
      model               model.npz: rbm on {0, 1}^4
      data                states.npy, 16 examples

    mean log-likelihood = -4.09 ± 0.29 nats per example
      of the data         ± 0.29 nats
      of log Z            ± 0 (exact)
      bits per dimension  1.4742
      log Z               2.500000000, by --against-log-z, taken as exact
      model               ref:independent?dim=4: independent on {0, 1}^4
      data                states.npy, 16 examples

    difference = 1.25 ± 0.33 nats per example, model.npz minus ref:independent?dim=4
      of the data    ± 0.32 nats
      of both log Z  ± 0.050 nats
      better on      81.2 % of the examples
      so             model.npz is better by 3.9 standard errors
    ");
}

#[test]
fn inspect_and_sample_say_what_they_did() {
    let directory = temporary();
    machine(directory.path());
    let text = ok(directory.path(), "inspect model.npz", 0);
    assert!(text.contains("\nsha-256 "), "{text}");
    // The digest is that of the archive, which may change with the crate that writes it.
    let text = text.lines().filter(|line| !line.starts_with("sha-256")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(text, @r"
    model              model.npz: rbm on {0, 1}^4
    file               format: .npz
                       `b` [4] f64: visible bias
                       `c` [3] f64: hidden bias
                       `W` [4, 3] f64: weights
                       4 visible and 3 hidden units; W is visible-hidden, by the lengths of the biases
                       units are 0/1
    visible units      4
    hidden units       3
    base rates stored  no
    closed-form        no: no formula is known for the log Z of this rbm
    kaufman            no: it is for the Ising model, not for this rbm
    transfer-matrix    no: it is for Ising and Potts models on lattices and Boltzmann machines, not for this rbm
    enumeration        applies, predicted to take under a millisecond
    quadrature         no: {0, 1}^4 is not continuous; use enumeration or a sampler
    annealing          block Gibbs
    ");
    let text = ok(directory.path(), "sample model.npz -n 7 --out draws.csv", 0);
    insta::assert_snapshot!(text, @r"
    7 draws in draws.csv
      model  model.npz: rbm on {0, 1}^4
      how    exact draws from the table of all probabilities
    ");
    let rows = read_data(&directory.path().join("draws.csv"), None).expect("a table");
    assert_eq!(rows.dim(), (7, 4));
}

#[test]
fn list_names_every_model_reference_and_estimator() {
    let directory = temporary();
    let text = ok(directory.path(), "list", 0);
    let value = json(directory.path(), "list --json", 0);
    for reference in builtin::REFERENCES {
        assert!(text.contains(&format!("ref:{}", reference.name)), "{}", reference.name);
    }
    for estimator in lnz::estimators::REGISTRY {
        assert!(text.contains(estimator.name()), "{}", estimator.name());
    }
    assert_eq!(value["references"].as_array().map(Vec::len), Some(builtin::REFERENCES.len()));
    assert_eq!(value["estimators"].as_array().map(Vec::len), Some(lnz::estimators::REGISTRY.len()));
    let funnel = value["references"].as_array().expect("a list").iter().find(|r| r["name"] == "ref:funnel");
    let exact = builtin::parse("ref:funnel").expect("valid").closed_form().expect("a formula");
    assert_eq!(funnel.expect("listed")["log_z"].as_f64(), Some(exact));
}

#[test]
fn json_holds_every_field() {
    let directory = temporary();
    let value = json(
        directory.path(),
        "estimate ref:rbm --method ais --seed 7 --chains 1024 --target-se 1e-5 --json",
        0,
    );
    for path in [
        "/log_z",
        "/std_err",
        "/interval/lower",
        "/interval/upper",
        "/interval/level",
        "/cost/energy_evaluations",
        "/cost/gradient_evaluations",
        "/cost/sweeps",
        "/cost/seconds",
        "/cost/phases/0/seconds",
        "/diagnostics/effective_sample_size",
        "/diagnostics/evidence/0/log_z",
        "/model/temperature",
        "/model/space/dim",
    ] {
        number(&value, path);
    }
    assert_eq!(value["method"], "ais");
    assert_eq!(value["verdict"], "converged");
    assert_eq!(value["seed"], 7);
    assert!(value["guarantee"].as_str().expect("text").contains("unbiased"));
    assert!(value["warnings"][0]["message"].as_str().expect("text").contains("misses the target"), "{value}");
    let exact = number(&json(directory.path(), "exact ref:rbm --json", 0), "/log_z");
    let error = (number(&value, "/log_z") - exact) / number(&value, "/std_err");
    assert!(error.abs() < 4.5, "{error} standard errors");
}

#[test]
fn threads_change_nothing_but_the_time() {
    let directory = temporary();
    let at = |threads: usize| {
        let mut value = json(
            directory.path(),
            &format!(
                "estimate ref:ising?side=10 --method ais --json --out {threads}.json --threads {threads}"
            ),
            0,
        );
        value.as_object_mut().expect("an object").remove("cost");
        let record = RunRecord::read(&directory.path().join(format!("{threads}.json"))).expect("a record");
        (value, record.estimate.trace)
    };
    assert_eq!(at(1), at(2));
}

#[test]
fn records_repeat_their_run() {
    let directory = temporary();
    ok(directory.path(), "estimate ref:potts?side=4 --method ais --seed 5 --out one.json", 0);
    let one = RunRecord::read(&directory.path().join("one.json")).expect("a record");
    let words = one.command.replace('\'', "").replace("one.json", "two.json");
    ok(directory.path(), words.strip_prefix("lnz ").expect("a command"), 0);
    let two = RunRecord::read(&directory.path().join("two.json")).expect("a record");
    assert_eq!(one.estimate.log_z, two.estimate.log_z);
    assert_eq!(one.estimate.trace, two.estimate.trace);
    assert_eq!(one.model, two.model);
    assert_eq!(one.settings, two.settings);
}

#[test]
fn no_terminal_no_progress() {
    let directory = temporary();
    let output = lnz(directory.path(), "estimate ref:rbm --method ais");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.lines().all(|line| line.starts_with("warning: ")), "{errors}");
    assert!(lnz(directory.path(), "estimate ref:rbm --method ais --quiet").stderr.is_empty());
}

#[test]
fn schedules_come_from_files() {
    let directory = temporary();
    machine(directory.path());
    let record = |arguments: &str| {
        ok(directory.path(), &format!("estimate model.npz --method ais {arguments}"), 0);
        RunRecord::read(&directory.path().join("out.json")).expect("a record").estimate
    };
    fs::write(directory.path().join("betas.txt"), "0\n0.01, 0.1\n0.5\n1\n").expect("writable");
    let text = record("--schedule betas.txt --out out.json");
    assert_eq!(text.trace.schedule, [0.0, 0.01, 0.1, 0.5, 1.0]);
    assert_eq!(text.trace, record("--schedule 0,0.01,0.1,0.5,1 --out out.json").trace);

    ok(directory.path(), "estimate model.npz --method ais --seed 9 --out run.json", 0);
    let run = RunRecord::read(&directory.path().join("run.json")).expect("a record").estimate;
    let again = record("--schedule run.json --out out.json");
    assert_eq!(again.trace.schedule, run.trace.schedule);
    assert_ne!(again.log_z, run.log_z);
}

#[test]
fn a_replay_prints_what_its_run_printed() {
    let directory = temporary();
    let model = "ref:rbm?visible=60&hidden=40";
    // Far too short for this target: the clock decides, and not the same every time.
    let options = "--method ais --max-time 0.2 --target-se 0.001 --temperature 0.7 --level 0.9";
    let first = lnz(directory.path(), &format!("estimate {model} {options} --out one.json"));
    let again = lnz(directory.path(), &format!("estimate {model} --replay one.json --out two.json"));
    let printed = |output: &Output| timeless(&String::from_utf8_lossy(&output.stdout));
    assert!(printed(&first).starts_with("log Z = "), "{first:?}");
    assert_eq!(printed(&first), printed(&again));
    assert_eq!(first.status.code(), again.status.code());
    assert_eq!(first.stderr, again.stderr);
    let record = |name: &str| RunRecord::read(&directory.path().join(name)).expect("a record");
    let (one, two) = (record("one.json"), record("two.json"));
    assert!(one.estimate.trace.decisions.expect("made").out_of_time);
    assert_eq!(one.estimate.trace, two.estimate.trace);
    assert_eq!((one.settings, one.temperature), (two.settings, two.temperature));
}

#[test]
fn a_replay_that_differs_says_so() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    let data = |name: &str, states: &Array2<f64>| {
        write_npy(&directory.path().join(name), states.view().into_dyn()).expect("writable");
    };
    data("data.npy", &states.mapv(|x| 0.8 * x));
    data("other.npy", &states.mapv(|_| 0.8));
    ok(directory.path(), "estimate model.npz --method ais --data data.npy --binarize 0.5 --out run.json", 0);
    let differs = |arguments: &str| {
        let output = lnz(directory.path(), &format!("estimate model.npz --replay run.json {arguments}"));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).contains("this is not the log Z")
    };
    assert!(!differs(""));
    assert!(differs("--data other.npy"));
    fs::rename(directory.path().join("data.npy"), directory.path().join("moved.npy")).expect("renamed");
    assert!(!differs("--data moved.npy"));
}

/// log p of every state, by a sum over all of them.
#[test]
fn the_likelihood_is_that_of_brute_force() {
    let directory = temporary();
    let (rbm, states) = machine(directory.path());
    let energies = rbm.energy(states.view());
    let log_z = log_sum_exp(&energies.mapv(|e| -e).to_vec());
    write_npy(&directory.path().join("states.npy"), states.view().into_dyn()).expect("writable");
    let value = json(directory.path(), "evaluate model.npz --data states.npy --out each.csv --json", 0);
    let mean = -energies.mean().expect("sixteen") - log_z;
    assert!((number(&value, "/mean_log_likelihood") - mean).abs() < 1e-12, "{value}");
    assert!((number(&value, "/log_z/value") - log_z).abs() < 1e-12, "{value}");
    assert_eq!(number(&value, "/log_z_std_err"), 0.0);
    assert!((number(&value, "/bits_per_dimension") + mean / (4.0 * 2f64.ln())).abs() < 1e-12);
    let table = fs::read_to_string(directory.path().join("each.csv")).expect("written");
    let each: Vec<f64> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).expect("two columns").parse().expect("a number"))
        .collect();
    assert_eq!(each.len(), 16);
    for (found, energy) in each.iter().zip(&energies) {
        assert!((found + energy + log_z).abs() < 1e-12);
    }
}

#[test]
fn a_run_record_normalises_as_its_own_log_z_does() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    write_npy(&directory.path().join("states.npy"), states.view().into_dyn()).expect("writable");
    ok(directory.path(), "estimate model.npz --method ais --out run.json --temperature 1.5", 0);
    let record = RunRecord::read(&directory.path().join("run.json")).expect("a record");
    assert_eq!(
        record.model.digest,
        read_model(&directory.path().join("model.npz"), &ModelOptions::default()).expect("valid").digest
    );
    let value = json(
        directory.path(),
        "evaluate model.npz --data states.npy --log-z run.json --temperature 1.5 --json",
        0,
    );
    assert_eq!(number(&value, "/log_z/value"), record.estimate.log_z);
    assert_eq!(Some(number(&value, "/log_z_std_err")), record.estimate.std_err);
}

#[test]
fn a_model_against_itself_makes_no_difference() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    write_npy(&directory.path().join("states.npy"), states.view().into_dyn()).expect("writable");
    let value = json(directory.path(), "evaluate model.npz --data states.npy --against model.npz --json", 0);
    assert_eq!(number(&value, "/difference/mean"), 0.0);
    assert_eq!(number(&value, "/difference/combined_std_err"), 0.0);
    let text = ok(directory.path(), "evaluate model.npz --data states.npy --against model.npz", 0);
    assert!(text.contains("too small to tell") && !text.contains("better on"), "{text}");
}

#[test]
fn impossible_probabilities_are_no_success() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    write_npy(&directory.path().join("states.npy"), states.view().into_dyn()).expect("writable");
    let arguments = "evaluate model.npz --data states.npy --log-z 0";
    let text = ok(directory.path(), arguments, 3);
    assert!(text.contains("NOT CONVERGED"), "{text}");
    let value = json(directory.path(), &format!("{arguments} --json"), 3);
    assert_eq!(value["converged"], false);
    let warning = value["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("too low by at least") && warning.contains("16 distinct examples"), "{warning}");
}

#[test]
fn one_example_has_no_error_bar() {
    let directory = temporary();
    let (_, states) = machine(directory.path());
    let first = states.slice(ndarray::s![..1, ..]).to_owned();
    write_npy(&directory.path().join("one.npy"), first.view().into_dyn()).expect("writable");
    let text = ok(directory.path(), "evaluate model.npz --data one.npy --log-z 4.5", 0);
    let headline = text.lines().next().expect("a line");
    assert!(headline.contains("one example") && !headline.contains("inf"), "{headline}");
}

#[test]
fn exact_methods_name_the_options_they_ignore() {
    let directory = temporary();
    let arguments = "estimate ref:rbm?visible=4&hidden=3 --method enumeration --schedule linear --chains=100";
    let errors = String::from_utf8(lnz(directory.path(), arguments).stderr).expect("text");
    assert!(errors.contains("enumeration is exact and ignores --chains, --schedule"), "{errors}");
    let errors = lnz(directory.path(), "estimate ref:rbm?visible=4&hidden=3").stderr;
    assert!(errors.is_empty(), "{}", String::from_utf8_lossy(&errors));
}

#[test]
fn samples_are_read_back_from_every_format() {
    let directory = temporary();
    machine(directory.path());
    let mut all = Vec::new();
    for extension in ["npy", "npz", "csv"] {
        let arguments = format!("sample model.npz -n 50 --out draws.{extension} --json");
        assert_eq!(json(directory.path(), &arguments, 0)["exact"], true);
        all.push(read_data(&directory.path().join(format!("draws.{extension}")), None).expect("readable"));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    let value =
        json(directory.path(), "sample ref:ising?side=9&coupling=0.2 -n 600 --out spins.npy --json", 0);
    assert_eq!(value["exact"], false);
    let spins = read_data(&directory.path().join("spins.npy"), None).expect("readable");
    assert_eq!(spins.dim(), (600, 81));
    assert!(spins.iter().all(|s| s.abs() == 1.0));
}

#[test]
fn compare_prints_a_ranked_table() {
    let directory = temporary();
    let arguments = "compare ref:ising?side=3&field=0.2 --methods enumeration,ais,importance,closed-form --budget 65536,131072 \
                     --replicates 3 --out c.json";
    let text = ok(directory.path(), arguments, 0);
    // Costs and times are the clock's, errors the seeds'.
    let text: Vec<&str> = text.lines().collect();
    insta::assert_snapshot!(figureless(&text[..2].join("\n")), @r"
    ref:ising?side=3&field=0.2: ising on {-1, +1}^9
    log Z = # (enumeration)
    ");
    assert_eq!(
        text[3].split_whitespace().collect::<Vec<_>>().join(" "),
        "method log Z error z rms error claimed ESS errs sweeps cost time converged"
    );
    let methods: Vec<&str> =
        text[4..7].iter().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    assert_eq!((methods[0], methods.len()), ("enumeration", 3), "{methods:?}");
    assert!(text.iter().any(|line| line.starts_with("closed-form  no formula is known")), "{text:?}");
    assert!(text.iter().any(|line| line.split_whitespace().eq(["method", "65.5k", "131k"])), "{text:?}");

    let whole = json(directory.path(), &arguments.replace("--out c.json", "--json"), 0);
    let best = &whole["standings"][1];
    let (error, log_z, truth) =
        (number(best, "/error"), number(best, "/log_z"), number(&whole, "/truth/log_z"));
    assert!((log_z - truth - error).abs() < 1e-12 && error.abs() < 0.2);
    let csv = ok(directory.path(), &arguments.replace("--out c.json", "--csv"), 0);
    assert_eq!(csv.lines().count(), 1 + 1 + 2 * 2);
    assert!(csv.starts_with("method,guarantee,budget,log_z,std_err,lower,upper,error,z,"));
}

#[test]
fn verify_says_so_when_a_sign_is_flipped() {
    let directory = temporary();
    let text = ok(directory.path(), "verify --plant-mistake --only ref:ising", 3);
    let header = text.lines().nth(2).expect("a table");
    assert!(header.ends_with("sign-flipped"), "{header}");
    let rows = text.lines().skip(3).take_while(|line| !line.starts_with("error bars"));
    assert!(rows.clone().count() > 1 && rows.clone().all(|row| row.starts_with("ref:ising")), "{text}");
    assert!(text.contains(" OFF") && text.contains("do not trust this installation"), "{text}");
}

/// Every figure that a run, a comparison and likelihoods have, in both formats, well-formed and complete.
#[test]
fn plot_and_report_write_what_they_say() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    let (_, states) = machine(directory.path());
    write_npy(&at("data.npy"), states.view().into_dyn()).expect("writable");
    ok(directory.path(), "estimate model.npz --method ais --seed 2 --out run.json --plots drawn", 0);
    ok(directory.path(), "estimate model.npz --method ti --out ti.json", 0);
    ok(
        directory.path(),
        "compare ref:ising?side=3 --methods ais,enumeration --budget 65536 --replicates 2 --out c.json",
        0,
    );
    ok(directory.path(), "evaluate model.npz --data data.npy --out test.csv", 0);

    let listed = ok(directory.path(), "plot run.json ti.json c.json test.csv --out figures", 0);
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "figures/cost.svg",
            "figures/forest.svg",
            "figures/likelihood.svg",
            "figures/run-evidence.svg",
            "figures/run-filters.svg",
            "figures/run-running.svg",
            "figures/run-sandwich.svg",
            "figures/run-schedule.svg",
            "figures/run-variance.svg",
            "figures/run-weights.svg",
            "figures/runs.svg",
            "figures/ti-evidence.svg",
            "figures/ti-filters.svg",
            "figures/ti-integrand.svg",
            "figures/ti-sandwich.svg",
            "figures/ti-schedule.svg",
        ]
    );
    for name in &names {
        let text = fs::read_to_string(at(name)).expect("it was written");
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let series = document.descendants().filter(|node| node.attribute("class") == Some("series"));
        assert!(series.count() > 0, "{name} is empty");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
    }
    // The truth line of a comparison and the interval of a run are in the picture, not only in the legend.
    let forest = fs::read_to_string(at("figures/forest.svg")).expect("drawn");
    let document = roxmltree::Document::parse(&forest).expect("well-formed");
    let truth = document
        .descendants()
        .find(|node| node.attribute("data-label").is_some_and(|l| l.starts_with("exact: ")));
    assert!(truth.expect("a truth line").children().any(|node| node.has_tag_name("polyline")));
    assert_eq!(fs::read(at("drawn/weights.svg")).ok(), fs::read(at("figures/run-weights.svg")).ok());

    ok(directory.path(), "plot run.json --out png --format png", 0);
    assert!(fs::read(at("png/weights.png")).expect("drawn").starts_with(b"\x89PNG"));
    ok(directory.path(), "report run.json -o run.html", 0);
    let page = fs::read_to_string(at("run.html")).expect("written");
    assert_eq!(page.matches("<svg").count(), 7);
    assert!(page.contains("Every check passed") && page.contains("lnz estimate model.npz"), "{page}");
}

/// Training writes the machine and a history whose likelihoods are those of `evaluate`; the same seed writes the same bytes.
#[test]
fn training_writes_what_it_says() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    // Three of the sixteen states, unequally often.
    let data = Array2::from_shape_fn((60, 4), |(row, column)| ([5, 5, 10, 15][row % 4] >> column & 1) as f64);
    write_npy(&at("train.npy"), data.view().into_dyn()).expect("writable");
    write_npy(&at("valid.npy"), data.slice(ndarray::s![..4, ..]).into_dyn()).expect("writable");
    let options = "train rbm --data train.npy --valid valid.npy --hidden 4 --epochs 400 --batch-size 20 --learning-rate 0.3 --weight-decay 0 --seed 4";
    let found = json(directory.path(), &format!("{options} --out a.npz --history h.csv --json"), 0);
    let text = ok(directory.path(), &format!("{options} --out b.npz"), 0);
    assert_eq!(fs::read(at("a.npz")).expect("written"), fs::read(at("b.npz")).expect("written"));
    let likelihood = number(&found, "/epochs/399/log_likelihood");
    assert!(text.contains(&format!("{likelihood:.4} nats per example")), "{text}");
    // ln of the empirical distribution's perplexity bounds it.
    let best = 0.5 * 0.5f64.ln() + 0.5 * 0.25f64.ln();
    assert!(likelihood < best && likelihood > best - 0.3, "{likelihood}, at best {best}");
    assert!(likelihood > number(&found, "/epochs/0/log_likelihood") + 0.5);
    for (file, path) in [("train.npy", "log_likelihood"), ("valid.npy", "valid_log_likelihood")] {
        let evaluated = json(directory.path(), &format!("evaluate a.npz --data {file} --json"), 0);
        let tracked = number(&found, &format!("/epochs/399/{path}"));
        assert!((number(&evaluated, "/mean_log_likelihood") - tracked).abs() < 1e-9, "{evaluated}");
    }
    let history = fs::read_to_string(at("h.csv")).expect("written");
    let mut lines = history.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let last: Vec<f64> =
        lines.last().expect("epochs").split(',').map(|cell| cell.parse().expect("a number")).collect();
    let column = |name: &str| last[names.iter().position(|found| *found == name).expect(name)];
    assert_eq!((column("epoch"), column("log_likelihood")), (400.0, likelihood));
    assert_eq!(column("reconstruction_error"), number(&found, "/epochs/399/figures/reconstruction_error"));
    assert_eq!(column("log_z_std_err"), 0.0);
    // Trained further by next to nothing.
    let options =
        "train rbm --start a.npz --data train.npy --epochs 1 --learning-rate 1e-9 --out c.npz --json";
    let further = json(directory.path(), options, 0);
    assert!((number(&further, "/epochs/0/log_likelihood") - likelihood).abs() < 1e-6, "{further}");
    assert_eq!((number(&further, "/settings/hidden"), &further["start"]), (4.0, &"a.npz".into()));
}

/// A training that is stopped and resumed writes what one without a break writes, chains that track log Z among it.
#[test]
fn trainings_go_on_to_the_same_bits() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    // Too wide to be summed in half a second on either side.
    let data = Array2::from_shape_fn((300, 40), |(row, column)| {
        f64::from(u8::from((row * 7 + column * column) % 11 < 4 + row % 3))
    });
    write_npy(&at("train.npy"), data.view().into_dyn()).expect("writable");
    write_npy(&at("valid.npy"), data.slice(ndarray::s![..30, ..]).into_dyn()).expect("writable");
    let options = "train rbm --data train.npy --valid valid.npy --hidden 30 --epochs 4 --learning-rate 0.1 --walkers 512 \
                   --anchor-sweeps 65536 --anchor-every 2";
    let whole = json(
        directory.path(),
        &format!("{options} --checkpoints whole --out whole.npz --history whole.json --plots figures --json"),
        0,
    );
    assert_eq!(whole["epochs"][0]["tracked"]["source"], "annealed");
    assert_eq!(whole["epochs"][1]["tracked"]["source"], "followed");
    assert!(whole["epochs"][2]["tracked"]["followed"][1].as_f64().expect("compared") > 0.0, "{whole}");
    for name in ["learning", "filters"] {
        assert!(at(&format!("figures/{name}.svg")).exists(), "{name}");
    }

    // The state after two epochs, as it is left when the third is interrupted.
    let mut stopped = Command::new(env!("CARGO_BIN_EXE_lnz"))
        .args(format!("{options} --checkpoints part --out part.npz --history part.json").split_whitespace())
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    while !at("part/epoch-0002.safetensors").exists() {
        assert!(stopped.try_wait().expect("a child").is_none(), "it ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    stopped.kill().expect("runs");
    stopped.wait().expect("stops");
    ok(
        directory.path(),
        &format!("{options} --checkpoints part --resume --out part.npz --history part.json"),
        0,
    );
    assert_eq!(fs::read(at("whole.npz")).expect("written"), fs::read(at("part.npz")).expect("written"));
    let history = |name: &str| -> serde_json::Value {
        let mut rows = serde_json::from_slice(&fs::read(at(name)).expect("written")).expect("JSON");
        for row in serde_json::Value::as_array_mut(&mut rows).expect("rows") {
            row.as_object_mut().expect("a row").remove("seconds");
        }
        rows
    };
    assert_eq!(history("whole.json"), history("part.json"));

    let refused = |more: &str, text: &str| {
        let found = lnz(directory.path(), &format!("{options} {more}"));
        assert_eq!(found.status.code(), Some(2), "{more}");
        let message = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(message.contains(text), "{more}: {message}");
    };
    refused("--checkpoints whole --out b.npz", "a training is kept there already");
    refused("--checkpoints whole --resume --out b.npz", "nothing left to do after epoch 4");
    refused("--checkpoints whole --resume --seed 2 --out b.npz", "seed was 1");
    refused("--checkpoints whole --resume --no-track --out b.npz", "log Z was tracked");
    refused("--checkpoints missing --resume --out b.npz", "missing/state.npz");
    assert!(!at("missing").exists() && !at("b.npz").exists());

    // The same machines, followed from their files.
    let listed =
        json(directory.path(), "track whole --data train.npy --walkers 512 --anchor-sweeps 65536 --json", 0);
    for (epoch, (row, trained)) in
        listed.as_array().expect("rows").iter().zip(whole["epochs"].as_array().expect("rows")).enumerate()
    {
        assert!(
            row["checkpoint"]
                .as_str()
                .expect("a name")
                .ends_with(&format!("epoch-000{}.safetensors", epoch + 1))
        );
        let [one, other] = [row, trained].map(|row| number(row, "/log_likelihood"));
        let error = number(row, "/std_err").hypot(number(trained, "/tracked/std_err"));
        assert!((one - other).abs() < 5.0 * error, "{one} and {other}, ± {error}");
    }
    // Without data, and with the least effort.
    ok(directory.path(), "track whole --out t.csv --plots tracked --walkers 512 --anchor-sweeps 65536", 0);
    assert!(at("tracked/learning.svg").exists() && at("t.csv").exists());
}

/// A machine with real units is trained, its log Z summed, and read back with as many hidden units as visible ones.
#[test]
fn real_data_are_trained_on_and_their_history_is_drawn() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    let data = Array2::from_shape_fn((400, 3), |(row, column)| {
        let angle = row as f64;
        [1e3 * angle.sin(), 0.5 * angle.cos(), angle.sin() + 0.1 * (7.0 * angle).cos()][column]
    });
    write_npy(&at("ring.npy"), data.view().into_dyn()).expect("writable");
    let options = "train rbm --visible gaussian --data ring.npy --hidden 3 --epochs 60 --batch-size 10 --learning-rate 0.1";
    let found = json(
        directory.path(),
        &format!("{options} --out a.safetensors --history h.json --plots figures --json"),
        0,
    );
    let likelihood = number(&found, "/epochs/59/log_likelihood");
    assert!(likelihood > number(&found, "/epochs/0/log_likelihood") + 0.5, "{found}");
    let evaluated = json(directory.path(), "evaluate a.safetensors --data ring.npy --json", 0);
    assert!((number(&evaluated, "/mean_log_likelihood") - likelihood).abs() < 1e-9, "{evaluated}");
    let options =
        "train rbm --start a.safetensors --data ring.npy --epochs 1 --learning-rate 1e-9 --out b.npz --json";
    let further = json(directory.path(), options, 0);
    assert!((number(&further, "/epochs/0/log_likelihood") - likelihood).abs() < 1e-4, "{further}");
    assert_eq!(further["settings"]["visible"], "gaussian");
    ok(directory.path(), "plot h.json --out drawn", 0);
    let drawn = |name: &str| fs::read(at(name)).expect("written");
    assert_eq!(drawn("drawn/learning.svg"), drawn("figures/learning.svg"));
    fs::write(at("h.json"), "[{}]").expect("writable");
    let refused = lnz(directory.path(), "plot h.json --out drawn");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && message.contains("not a history of lnz train"), "{message}");
}

/// A network is trained, its log Z integrated, and read back by the options that the training names.
#[test]
fn networks_are_trained_and_read_back() {
    let directory = temporary();
    let data = Array2::from_shape_fn((400, 2), |(row, column)| {
        let angle = row as f64;
        if column == 0 { angle.sin() } else { 0.5 * angle.cos() }
    });
    write_npy(&directory.path().join("ring.npy"), data.view().into_dyn()).expect("writable");
    let options =
        "train network --data ring.npy --layers 16,16 --epochs 10 --learning-rate 0.01 --buffer 256";
    let found = json(directory.path(), &format!("{options} --out a.npz --json"), 0);
    assert_eq!(found["epochs"][9]["tracked"]["source"], "quadrature");
    let likelihood = number(&found, "/epochs/9/log_likelihood");
    assert!(likelihood > number(&found, "/epochs/0/log_likelihood") + 0.2, "{found}");
    let text = ok(directory.path(), &format!("{options} --out b.npz"), 0);
    let command = text.lines().find_map(|line| line.split_once("lnz evaluate ")).expect("named").1;
    let evaluated = json(directory.path(), &format!("evaluate {command} --json"), 0);
    assert!((number(&evaluated, "/mean_log_likelihood") - likelihood).abs() < 0.1, "{evaluated}");
    let learnt = json(directory.path(), &format!("{options} --method noise-contrast --out c.npz --json"), 0);
    let [learnt, true_one] =
        ["figures/log_Z_learnt", "tracked/log_z"].map(|name| number(&learnt, &format!("/epochs/9/{name}")));
    assert!((learnt - true_one).abs() < 0.3, "{learnt} for {true_one}");
}

/// Spins that agree with their neighbours, found exactly, and early stopping.
#[test]
fn boltzmann_machines_are_trained_and_stop_early() {
    let directory = temporary();
    let at = |name: &str| directory.path().join(name);
    let spins = |row: usize, column: usize| if (row >> (column / 2)) & 1 == 1 { 1.0 } else { -1.0 };
    let data = Array2::from_shape_fn((64, 6), |(row, column)| spins(row, column));
    let other = Array2::from_shape_fn((8, 6), |(row, column)| -spins(row, column + 2));
    write_npy(&at("train.npy"), data.view().into_dyn()).expect("writable");
    write_npy(&at("valid.npy"), other.view().into_dyn()).expect("writable");
    let options =
        "train boltzmann --data train.npy --learning-rate 0.2 --epochs 50 --batch-size 8 --weight-decay 0";
    let found = json(directory.path(), &format!("{options} --out a.npz --json"), 0);
    // Three pairs of equal spins, each pair up or down: ln 8 nats, and never quite.
    let likelihood = number(&found, "/epochs/49/log_likelihood");
    assert!(likelihood < -(8f64.ln()) && likelihood > -(8f64.ln()) - 0.1, "{likelihood}");
    let exact = json(directory.path(), "evaluate a.npz --data train.npy --json", 0);
    assert!((number(&exact, "/mean_log_likelihood") - likelihood).abs() < 1e-9);

    let text = ok(directory.path(), &format!("{options} --valid valid.npy --patience 2 --out b.npz"), 0);
    assert!(text.contains("where --valid was likeliest, and training stopped"), "{text}");
    let kept = json(directory.path(), "evaluate b.npz --data valid.npy --json", 0);
    let listed =
        json(directory.path(), &format!("{options} --valid valid.npy --patience 2 --out b.npz --json"), 0);
    let epoch = listed["kept"].as_u64().expect("an epoch") as usize;
    let epochs = listed["epochs"].as_array().expect("rows");
    assert_eq!(epochs.len(), epoch + 2);
    let highest = number(&epochs[epoch - 1], "/valid_log_likelihood");
    assert!((number(&kept, "/mean_log_likelihood") - highest).abs() < 1e-9);
}

/// Of more than two coordinates any two can be looked at, and no others.
#[test]
fn two_coordinates_of_many_are_drawn() {
    let directory = temporary();
    ok(directory.path(), "estimate ref:gaussian?dim=4 --method smc --seed 1 --out run.json", 0);
    let listed = ok(directory.path(), "plot run.json --axes 1,3 --out figures", 0);
    assert!(listed.contains("figures/scatter.svg"), "{listed}");
    let drawn = fs::read_to_string(directory.path().join("figures/scatter.svg")).expect("drawn");
    assert!(drawn.contains(">x[1]<") && drawn.contains(">x[3]<") && !drawn.contains(">x[0]<"), "{drawn}");
    for axes in ["1,1", "0,4", "1", "a,b"] {
        let refused = lnz(directory.path(), &format!("plot run.json --axes {axes} --out refused"));
        assert_eq!(refused.status.code(), Some(2), "{axes}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--axes"), "{axes}");
        assert!(!directory.path().join("refused").exists(), "{axes}");
    }
}

/// What `verify --thorough --json` prints can be drawn; the quick verification has no figures.
#[test]
fn calibrations_are_drawn() {
    let directory = temporary();
    let cells: Vec<String> = ["true", "false"]
        .map(|due| {
            format!(
                r#"{{"method":"ti","reference":"ref:gaussian?dim=10","mean_error":0.001,"sd_error":0.02,"mean_std_err":0.02,"sd_z":1,
                    "width":1.0,"coverage":0.95,"converged":1.0,"due":{due},"wrong":0,"missed":0,"z":[-0.5,0.5,1,"inf"]}}"#
            )
        })
        .into();
    let record = format!(
        r#"{{"format":1,"lnz":"0.1.0","passes":false,"cells":[{}],"hard":[],"beyond":[]}}"#,
        cells.join(",")
    );
    fs::write(directory.path().join("calibration.json"), record).expect("writable");
    let listed = ok(directory.path(), "plot calibration.json --out figures", 0);
    assert_eq!(listed, "figures/deviations.svg\nfigures/coverage.svg\n");
    let drawn = fs::read_to_string(directory.path().join("figures/deviations.svg")).expect("drawn");
    assert!(drawn.contains("ti: 4 runs on 1 reference") && drawn.contains("(1 infinite)"), "{drawn}");

    let refused = lnz(directory.path(), "verify --plots figures");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--thorough"));
    let refused = lnz(directory.path(), "estimate ref:ising?side=9 --method ais --schedule calibration.json");
    assert_eq!(refused.status.code(), Some(2));
}

/// A figure of the model needs its file; a run without it still has all others.
#[test]
fn a_run_whose_model_has_gone_is_drawn_without_it() {
    let directory = temporary();
    machine(directory.path());
    ok(directory.path(), "estimate model.npz --method ais --out run.json", 0);
    fs::remove_file(directory.path().join("model.npz")).expect("it is there");
    let output = lnz(directory.path(), "plot run.json --out figures");
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("no figures of the model itself: model.npz"), "{errors}");
    assert!(directory.path().join("figures/weights.svg").is_file());
}

#[test]
fn curves_are_exact_or_sampled_tables_files_and_figures() {
    let directory = temporary();
    let path = directory.path();
    let text = ok(path, "curve ref:ising?side=4&field=0.1 --temperatures 1,2", 0);
    insta::assert_snapshot!(text, @r"
    model    ref:ising?side=4&field=0.1: ising on {-1, +1}^16
    method   transfer-matrix (exact)
    verdict  converged

    T      log Z  mean energy  heat capacity   entropy
    1  16.278788   -13.049648      11.998127  3.229140
    2  11.991007    -4.096127       3.222231  9.942943
    ");
    let exact = json(path, "curve ref:ising?side=4&field=0.1 --temperatures 1,2 --json", 0);
    let sampled = json(
        path,
        "curve ref:ising?side=4&field=0.1 --temperatures 1,2 --method tempering --plots figures --out curve.csv --json",
        0,
    );
    assert!(path.join("figures/curve.svg").exists());
    for (k, name) in ["log_z", "mean_energy", "heat_capacity", "entropy"].into_iter().enumerate() {
        let value = |from: &Value| number(from, &format!("/points/1/{name}/value"));
        let error = number(&sampled, &format!("/points/1/{name}/std_err"));
        assert!((value(&sampled) - value(&exact)).abs() < 4.5 * error, "{name}");
        let table = std::fs::read_to_string(path.join("curve.csv")).expect("written");
        let row: Vec<f64> =
            table.lines().nth(2).expect("rows").split(',').map(|x| x.parse().expect("numbers")).collect();
        assert_eq!((row[0], row[1 + 2 * k], row[2 + 2 * k]), (2.0, value(&sampled), error));
    }
    let per_site = json(path, "curve ref:ising?side=4&field=0.1 --temperatures 1,2 --per-site --json", 0);
    let both = [&exact, &per_site].map(|from| number(from, "/points/0/entropy/value"));
    assert!((both[0] / 16.0 - both[1]).abs() < 1e-12);
}

#[test]
fn walks_between_models_give_their_difference_and_evaluate_uses_them() {
    let directory = temporary();
    let path = directory.path();
    let (one, other) = ("ref:rbm?visible=30&hidden=12", "ref:rbm?visible=30&hidden=12&scale=0.31");
    let value = json(path, &format!("between {one} {other} --json"), 0);
    let truth = [other, one].map(|spec| number(&json(path, &format!("exact {spec} --json"), 0), "/log_z"));
    let (found, error) = (number(&value, "/difference"), number(&value, "/std_err"));
    assert!((found - (truth[0] - truth[1])).abs() < 4.5 * error && error < 0.02, "{found} ± {error}");
    assert!(ok(path, &format!("between {one} {other}"), 0).contains("verdict   converged"));

    // Machines too large to be exact in time, the second with slightly larger weights.
    let weights = |scale: f64| {
        Array2::from_shape_fn((80, 48), |(i, j)| scale * ((7 * i * i + 13 * j * j + i * j) as f64).sin())
    };
    for (name, scale) in [("one.npz", 0.2), ("other.npz", 0.202)] {
        let rbm = Rbm::new(weights(scale), Array1::zeros(80), Array1::zeros(48), Units::Bits).expect("valid");
        write_rbm(&path.join(name), &rbm).expect("writable");
    }
    let draws = "sample one.npz -n 200 --out data.npy";
    ok(path, draws, 0);
    let value = json(path, "evaluate one.npz --data data.npy --against other.npz --json", 0);
    let apart = number(&value, "/against/log_z/value") - number(&value, "/log_z/value");
    assert_eq!(value["against"]["walk"]["method"], "between");
    assert!((apart - number(&value, "/against/walk/log_z")).abs() < 1e-9);
    assert!(
        (number(&value, "/difference/log_z_std_err") - number(&value, "/against/walk/std_err")).abs() < 1e-15
    );
}

#[test]
fn classes_of_logits_have_their_own_log_z_and_shares() {
    let directory = temporary();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/network/classifier-logits-legacy-17.onnx");
    let how = format!("estimate {file} --output logits --domain box:-1,1 --quiet");
    let all = json(directory.path(), &format!("{how} --per-class --json"), 0);
    let classes = all["classes"].as_array().expect("a list");
    assert_eq!(classes.len(), 10);
    let p: f64 = classes.iter().map(|class| number(class, "/p")).sum();
    assert!((p - 1.0).abs() < 1e-12, "{p}");

    // By quadrature: one class, and all of them.
    let off = |found: f64, error: f64, truth: &Value| {
        (found - number(truth, "/log_z")) / error.hypot(number(truth, "/diagnostics/discretisation_error"))
    };
    // In five dimensions quadrature may miss a narrow mode, and says so by its status; these networks have none.
    let quadrature = |of: &str| -> Value {
        let output = lnz(directory.path(), &format!("{how} {of} --method quadrature --json"));
        serde_json::from_slice(&output.stdout).expect("an object")
    };
    let (third, whole) = (quadrature("--class 3"), quadrature(""));
    let estimate = (number(&classes[3], "/log_z"), number(&classes[3], "/std_err"));
    // |t| < 4.5, and errors small enough to see a class taken for its neighbour, which is 0.01 away or more.
    assert!(estimate.1 < 0.003 && off(estimate.0, estimate.1, &third).abs() < 4.5, "{classes:?}");
    let (sum, error) = (number(&all, "/log_z"), number(&all, "/std_err"));
    assert!(error < 0.003 && off(sum, error, &whole).abs() < 4.5, "{all}");
    let share = (number(&third, "/log_z") - number(&whole, "/log_z")).exp();
    let (p, error) = (number(&classes[3], "/p"), number(&classes[3], "/p_std_err"));
    assert!(error < 0.001 && (p - share).abs() < 4.5 * error, "{p} ± {error}, {share}");

    // The seed of a class makes its run again.
    let again = json(directory.path(), &format!("{how} --class 3 --seed 4 --json"), 0);
    assert_eq!(again["log_z"], classes[3]["log_z"]);

    let text = ok(directory.path(), &format!("{how} --per-class"), 0);
    let row = text.lines().find(|line| line.starts_with("3 ")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains('±') && row.contains("converged"), "{row}");
    assert!(text.lines().any(|line| line.starts_with("all ")), "{text}");

    for (arguments, message) in [
        (format!("estimate {file} --per-class"), "--output"),
        (format!("estimate {file} --per-class --output energy"), "--output logits"),
        (format!("{how} --per-class --class 1"), "--class"),
        (format!("{how} --per-class --out run.json"), "--out"),
        ("estimate ref:funnel --output logits --per-class".into(), "ref:funnel"),
        ("estimate --command cat --dim 2 --output logits --per-class".into(), "--command"),
    ] {
        let output = lnz(directory.path(), &arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert!(errors.contains(message), "{arguments}: {errors}");
    }
}
