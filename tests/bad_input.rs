//! Whatever a person gets wrong: one clear line, exit status 2, and no file left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lnz::io::{write_npy, write_npz, write_rbm};
use lnz::models::{Rbm, Units};
use ndarray::{Array, Array1, Array2, ArrayD, IxDyn, array};
use tempfile::TempDir;

/// A command, and what its message must say.
struct Case {
    arguments: &'static str,
    says: &'static [&'static str],
}

const fn case(arguments: &'static str, says: &'static [&'static str]) -> Case {
    Case { arguments, says }
}

/// Outputs are called `out.*`; inputs are made by [`inputs`].
const CASES: &[Case] = &[
    // Usage.
    case("", &["Usage: lnz <COMMAND>"]),
    case("estimat ref:rbm", &["unrecognized subcommand 'estimat'"]),
    case("estimate", &["<MODEL>"]),
    case("estimate ref:rbm --chain 5", &["--chain"]),
    case("estimate ref:rbm ref:ising", &["ref:ising"]),
    case("evaluate ref:rbm", &["--data"]),
    case("sample ref:rbm --out out.npy", &["-n"]),
    case("sample ref:rbm -n 5", &["--out"]),
    case("train", &["Usage: lnz train <COMMAND>"]),
    case("train rbm --data bits.npy", &["--out"]),
    // Training.
    case("train rbm --data missing.npy --out out.npz", &["missing.npy", "No such file"]),
    case("train rbm --data bits.npy --out out.onnx", &["out.onnx", ".safetensors or .npz"]),
    case(
        "train rbm --data bits.npy --out out.npz --history out.npz",
        &["--history", "another file than --out"],
    ),
    case("train rbm --data grey.npy --out out.npz", &["grey.npy", "row 1", "--binarize"]),
    case("train rbm --data none.npy --out out.npz", &["none.npy", "no data"]),
    case("train rbm --data bits.npy --valid wide.npy --out out.npz", &["wide.npy", "5", "4"]),
    case("train rbm --data bits.npy --out out.npz --epochs 0", &["--epochs", "0"]),
    case("train rbm --data bits.npy --out out.npz --learning-rate -1", &["--learning-rate", "-1"]),
    case(
        "train rbm --data bits.npy --out out.npz --learning-rate 1e300 --hidden 3",
        &["--learning-rate", "ran away"],
    ),
    case(
        "train rbm --data bits.npy --out out.npz --negative none",
        &["--negative", "pcd, cd, tempering, exact"],
    ),
    case("train rbm --data bits.npy --out out.npz --start model.npz --hidden 3", &["--start", "--hidden"]),
    case("train rbm --data bits.npy --out out.npz --start square.npz", &["square.npz", "--weights-layout"]),
    case("train rbm --data bits.npy --out out.npz --weights-layout visible-hidden", &["--start"]),
    case(
        "train rbm --data bits.npy --out out.npz --start square.npz --weights-layout sideways",
        &["--weights-layout", "visible-hidden"],
    ),
    case("train rbm --data bits.npy --out out.npz --start bits.npy", &["bits.npy", "no visible bias"]),
    case(
        "train rbm --data bits.npy --out out.npz --start spins.npz",
        &["--start", "an RBM of bits or a Gaussian one"],
    ),
    case("train rbm --data wide.npy --out out.npz --start model.npz", &["5 columns", "4"]),
    case("train rbm --data bits.npy --out out.npz --walkers 1", &["--walkers", "128"]),
    case("train rbm --data bits.npy --out out.npz --patience 2", &["--valid"]),
    case("train rbm --data bits.npy --out out.npz --resume", &["--checkpoints"]),
    case(
        "train rbm --data bits.npy --out out.npz --checkpoints bits.npy",
        &["--checkpoints", "not a directory"],
    ),
    case(
        "train rbm --data bits.npy --valid bits.npy --out out.npz --patience 2 --no-track",
        &["--patience", "--no-track"],
    ),
    case("train rbm --data grey.npy --out out.npz", &["--visible gaussian"]),
    case("train rbm --data bits.npy --out out.npz --visible real", &["--visible", "bernoulli, gaussian"]),
    case(
        "train rbm --data bits.npy --out out.npz --visible gaussian --least-sigma 0",
        &["--least-sigma 0", "at least 0.001"],
    ),
    case("train boltzmann --data grey.npy --out out.npz", &["grey.npy", "row 1"]),
    case(
        "train boltzmann --data bits.npy --out out.npz --negative tempering",
        &["--negative", "exact, pcd or cd"],
    ),
    case("train network --data bits.npy --out out.npz --layers 0", &["--layers", "positive whole number"]),
    case("train network --data bits.npy --out out.npz --domain real", &["--domain", "no integral"]),
    case("train network --data bits.npy --out out.npz --domain box:0.5,1", &["row 0"]),
    case("train network --data bits.npy --out out.npz --domain box:0,1,0,1", &["a box is LO,HI"]),
    case(
        "train network --data bits.npy --out out.npz --method sgd",
        &["--method", "persistent, score-matching"],
    ),
    case("track", &["<DIR|FILE>"]),
    case("track missing", &["missing", "No such file"]),
    case("track bits.npy", &["bits.npy"]),
    case("track model.npz spins.npz", &["spins.npz", "lies on"]),
    case("track model.npz --data wide.npy", &["wide.npy", "5", "4"]),
    // Models that are not there or not models.
    case("estimate missing.npz", &["missing.npz", "No such file"]),
    case("estimate rbm", &["rbm: no such file", "ref:rbm"]),
    case("estimate .", &["."]),
    case("estimate empty.npz", &["empty.npz"]),
    case("estimate truncated.npz", &["truncated.npz"]),
    case("estimate truncated.safetensors", &["truncated.safetensors"]),
    case("estimate garbage.npz", &["garbage.npz"]),
    case("estimate text.csv", &["text.csv", "models are"]),
    case("estimate network.onnx", &["network.onnx", "which opset its operators are of"]),
    case("estimate pickle.pt", &["pickle.pt"]),
    case("estimate bits.npy", &["bits.npy"]),
    case("estimate nan.npz", &["nan.npz", "W", "NaN"]),
    case("estimate infinite.npz", &["infinite.npz", "inf"]),
    case("estimate vast.npz", &["vast.npz", "W holds 1e308", "at most 1e290"]),
    case("estimate square.npz", &["square.npz", "--weights-layout"]),
    case("estimate shapes.npz", &["shapes.npz", "`W` [4, 3]"]),
    case("estimate lonely.npz", &["lonely.npz"]),
    case("estimate asymmetric.npz", &["asymmetric.npz", "not symmetric"]),
    case("estimate indefinite.npz", &["indefinite.npz", "precision"]),
    case("estimate sigma-zero.npz", &["sigma-zero.npz", "sigma"]),
    case("estimate sigma-tiny.npz", &["sigma[1] is 1e-300;"]),
    case("estimate two.npz", &["two.npz", "J"]),
    case("inspect truncated.npz", &["truncated.npz"]),
    // References.
    case("estimate ref:", &["there is no reference ``"]),
    case("estimate ref:isnig", &["isnig", "ising"]),
    case("estimate ref:ising?sides=3", &["sides", "side"]),
    case("estimate ref:ising?side=0", &["`side` is 0", "whole number from 1"]),
    case("estimate ref:gaussian?dim=1e30", &["`dim` is 1e30"]),
    case("estimate ref:rbm?scale=nan", &["`scale` is nan"]),
    case("estimate ref:rbm --units spins", &["--units", "references"]),
    // Options of estimate.
    case("estimate ref:ising --chains 0", &["--chains", "'0'"]),
    case("estimate ref:ising --chains 1", &["--chains 1", "between 2"]),
    case("estimate ref:ising --chains -3", &["--chains", "'-3'"]),
    case("estimate ref:ising --chains 2.5", &["--chains", "whole number"]),
    case("estimate ref:ising --chains 1e30", &["--chains", "'1e30'"]),
    case("estimate ref:ising --chains 99999999", &["--chains 99999999"]),
    case("estimate ref:ising?side=512 --chains 16000000", &["--chains 16000000", "memory", "at most 4096"]),
    case("estimate ref:ising?side=512 --target-se 0.000001", &["--target-se", "memory"]),
    case("estimate ref:ising --rungs 0", &["--rungs", "'0'"]),
    case("estimate ref:ising --rungs 1000000000", &["--rungs 1000000000"]),
    case("estimate ref:ising --target-se 0", &["--target-se", "'0'"]),
    case("estimate ref:ising --target-se nan", &["--target-se", "'nan'"]),
    case("estimate ref:ising --target-se -1", &["--target-se", "'-1'"]),
    case("estimate ref:ising --target-se 1e30", &["--target-se", "'1e30'"]),
    case("estimate ref:ising --max-time 0", &["--max-time", "'0'"]),
    case("estimate ref:ising --max-time soon", &["--max-time", "90s"]),
    case("estimate ref:ising --max-time inf", &["--max-time", "'inf'"]),
    case("estimate ref:ising --max-time 1e30h", &["--max-time", "'1e30h'"]),
    case("estimate ref:ising --level 95", &["--level", "'95'"]),
    case("estimate ref:ising --level nan", &["--level", "'nan'"]),
    case("estimate ref:ising --seed -1", &["--seed", "'-1'"]),
    case("estimate ref:ising --seed x", &["--seed", "2^64"]),
    case("estimate ref:ising --threads 0", &["--threads", "'0'"]),
    case("estimate ref:ising --method magic", &["--method magic", "enumeration"]),
    case("estimate ref:ising --method enumeration", &["enumeration does not apply", "2^64"]),
    case("estimate ref:rbm --method closed-form", &["closed-form does not apply", "rbm"]),
    case("estimate ref:ising --schedule quadratic", &["--schedule", "equal-barrier"]),
    case("estimate ref:ising --schedule 0,0.6,0.5,1", &["--schedule", "0.6 before 0.5", "rises"]),
    case("estimate ref:ising --schedule 0.1,1", &["--schedule", "from 0 to 1"]),
    case("estimate ref:ising --schedule 0,nan,1", &["--schedule", "'0,nan,1'"]),
    case("estimate ref:ising --schedule missing.txt", &["'missing.txt'", "equal-barrier", "no such file"]),
    case(
        "estimate ref:ising --schedule falling.txt",
        &["falling.txt: line 3: 0.5 after 0.6", "rises strictly from 0 to 1"],
    ),
    case("estimate ref:ising --schedule short.txt", &["short.txt: line 2: it ends at 0.5"]),
    case("estimate ref:ising --schedule text.npz", &["text.npz: line 1: `not an archive` is not a number"]),
    case("estimate ref:ising --schedule run.json", &["run.json", "a run of enumeration has no schedule"]),
    case("estimate ref:ising --schedule damaged.json", &["damaged.json", "log_z"]),
    case("estimate ref:ising --schedule annealed.json --rungs 7", &["--rungs 7", "has 128"]),
    case("estimate ref:ising --schedule annealed.json --out annealed.json", &["--out would overwrite"]),
    case("estimate ref:ising --schedule 0,0.5,1 --rungs 7", &["--rungs 7", "has 2"]),
    case("estimate ref:ising --temperature 0", &["--temperature 0", "positive"]),
    case("estimate ref:ising --temperature -2", &["--temperature -2"]),
    case("estimate ref:ising --temperature nan", &["--temperature", "'nan'"]),
    case("estimate ref:ising --temperature 1e30", &["--temperature"]),
    case("estimate ref:ising --binarize 0.5", &["--data"]),
    case("estimate model.npz --weights-layout sideways", &["--weights-layout", "visible-hidden"]),
    case("estimate model.npz --units trits", &["--units", "bits, spins"]),
    // Programs and domains.
    case("estimate ref:funnel --command cat --dim 2", &["--command", "cannot be used with"]),
    case("estimate --command cat", &["--dim <D>"]),
    case("estimate ref:funnel --dim 2", &["--dim", "cannot be used with"]),
    case("estimate --command cat --dim 0", &["--dim", "'0'"]),
    case("estimate --command cat --dim 99999999999", &["--dim 99999999999", "1 to 1048576"]),
    case("estimate --command no-such-program --dim 2", &["no-such-program: it does not start: No such file"]),
    case("estimate --command 'cat --dim 2", &["--command", "cannot be told apart"]),
    case("estimate --command ./text.csv --dim 2", &["./text.csv: it does not start"]),
    case("estimate --command true --dim 2", &["true: it ended before it greeted (exit status: 0)"]),
    case("estimate --command cat --dim 2 --units spins", &["--units", "with --command"]),
    case("estimate --command cat --dim 2 --command-timeout soon", &["--command-timeout", "90s"]),
    case("estimate ref:ising --domain box:-1,1", &["--domain box:-1,1", "continuous", "{-1, +1}^64"]),
    case("estimate ref:ising --domain real", &["continuous"]),
    case("estimate model.npz --confine 1", &["--confine 1", "continuous"]),
    case("estimate ref:funnel --domain ball:1", &["--domain", "box:LO,HI", "gaussian:MEAN,SD"]),
    case("estimate ref:funnel --domain box:1", &["--domain", "LO,HI"]),
    case("estimate ref:funnel --domain box:1,-1", &["--domain box:1,-1", "coordinate 0", "from 1 to -1"]),
    case("estimate ref:funnel --domain box:0,1,0,1", &["--domain box:", "each of the 10", "4 numbers"]),
    case("estimate ref:funnel --domain box:0,inf", &["--domain", "box:LO,HI"]),
    case(
        "estimate ref:funnel --domain gaussian:0,0",
        &["--domain gaussian:0,0", "positive standard deviation"],
    ),
    case("estimate ref:funnel --domain gaussian:nan,1", &["--domain"]),
    case("estimate ref:funnel --confine -1", &["--confine -1", "from 0"]),
    case("estimate ref:funnel --confine inf", &["--confine", "'inf'"]),
    case("exact ref:gaussian --domain gaussian:0,1", &["no exact method"]),
    case("estimate model.npz --replay run.json --domain real", &["--replay", "--domain"]),
    case("estimate model.npz --replay run.json --confine 1", &["--replay", "--confine"]),
    // Data.
    case("estimate model.npz --data missing.npy", &["missing.npy", "No such file"]),
    case("estimate model.npz --data wide.npy", &["wide.npy", "5 columns", "has 4"]),
    case("estimate model.npz --data grey.npy", &["grey.npy", "row 1, column 2 is 0.5", "--binarize 0.5"]),
    case("estimate model.npz --data vast.npy", &["vast.npy", "row 1, column 2 is 1e300,"]),
    case("estimate model.npz --data nan.csv", &["nan.csv", "line 2"]),
    case("estimate model.npz --data ragged.csv", &["ragged.csv", "line 2"]),
    case("estimate model.npz --data bits.npy --binarize nan", &["--binarize", "'nan'"]),
    case("evaluate spins.npz --data bits.npy", &["bits.npy", "{-1, +1}", "2x - 1"]),
    case("evaluate model.npz --data none.npy", &["none.npy", "no data"]),
    case("evaluate model.npz --data text.npz", &["text.npz"]),
    // Outputs, found out before the computation.
    case("estimate ref:ising --out no/such/out.json", &["no/such/out.json", "not a directory"]),
    // Replays.
    case("estimate ref:rbm --replay missing.json", &["missing.json", "No such file"]),
    case("estimate ref:rbm --replay run.json", &["run.json", "another model"]),
    case("estimate model.npz --replay damaged.json", &["damaged.json", "log_z"]),
    case("estimate model.npz --replay undecided.json", &["undecided.json", "no decisions", "run again"]),
    case("estimate model.npz --replay impossible.json", &["impossible.json", "--chains 0"]),
    case("estimate model.npz --replay untried.json", &["untried.json", "--replay 0 rounds of a trial"]),
    case(
        "estimate model.npz --replay run.json --seed 3",
        &["'--replay <RUN.json>' cannot be used with '--seed <N>'"],
    ),
    case(
        "estimate model.npz --replay run.json --max-time 9 --rungs 5",
        &["--replay", "--max-time", "--rungs"],
    ),
    case("estimate model.npz --replay run.json --temperature 2", &["--replay", "--temperature"]),
    case("estimate model.npz --replay run.json --data bits.npy", &["--data bits.npy", "used no data"]),
    case("estimate model.npz --replay run.json --out run.json", &["--out would overwrite"]),
    case("estimate ref:ising --out .", &["--out must end in .json"]),
    case("estimate ref:ising --out out.npz", &["out.npz", ".json"]),
    case("estimate ref:ising --out folder.json", &["folder.json", "is a directory"]),
    case("estimate ref:ising --out text.csv/out.json", &["text.csv"]),
    case("evaluate model.npz --data bits.npy --out out.txt", &["out.txt", ".csv or .npz"]),
    case("evaluate model.npz --data bits.npy --out model.npz", &["model.npz", "overwrite"]),
    case("sample ref:rbm -n 5 --out out", &["out", ".npy or .npz or .csv"]),
    case("sample ref:rbm -n 5 --out /proc/out.npy", &["/proc/out.npy"]),
    // Options of the other subcommands.
    case("exact ref:funnel --max-time never", &["--max-time"]),
    case("exact ref:ising?side=40&field=0.1", &["exact", "lnz estimate"]),
    case(
        "exact shipped.safetensors",
        &["2^500 hidden configurations would take about", "years", "lnz estimate"],
    ),
    case("exact ref:rbm?visible=3000&hidden=3000", &["2^3000 hidden", "years"]),
    case("exact ref:potts?side=40&states=5", &["{0..4}^1600 would take about", "years"]),
    case("exact ref:rbm?visible=300&hidden=55 --max-time 1m", &["years", "--max-time", "lnz estimate"]),
    case("sample ref:rbm -n 0 --out out.npy", &["-n", "'0'"]),
    case("sample ref:rbm -n 1e30 --out out.npy", &["-n", "'1e30'"]),
    case("sample ref:rbm -n 99999999999 --out out.npy", &["-n 99999999999", "between 1 and"]),
    case("evaluate model.npz --data bits.npy --log-z nan", &["--log-z nan", "finite"]),
    case("evaluate model.npz --data bits.npy --log-z 1e308", &["--log-z 1e308", "at most 1e298"]),
    case("evaluate model.npz --data bits.npy --log-z-se 0.1", &["--log-z"]),
    case("evaluate model.npz --data bits.npy --log-z 3 --log-z-se -1", &["--log-z-se", "'-1'"]),
    case("evaluate model.npz --data bits.npy --log-z run.json --log-z-se 1", &["--log-z-se 1", "run.json"]),
    case("evaluate model.npz --data bits.npy --log-z missing.json", &["missing.json", "No such file"]),
    case("evaluate model.npz --data bits.npy --log-z text.csv", &["text.csv", "not a run record"]),
    case("evaluate model.npz --data bits.npy --log-z future.json", &["future.json", "version 99"]),
    case("evaluate model.npz --data bits.npy --log-z damaged.json", &["damaged.json", "damaged run record"]),
    case("evaluate spins.npz --data signs.npy --log-z run.json", &["run.json", "another model", "spins.npz"]),
    case("evaluate model.npz --data signs.npy --log-z run.json --units spins", &["run.json", "another way"]),
    case(
        "evaluate model.npz --data bits.npy --log-z run.json --temperature 2",
        &["run.json", "temperature 1"],
    ),
    case("evaluate model.npz --data bits.npy --against missing.npz", &["missing.npz"]),
    case("evaluate model.npz --data bits.npy --against spins.npz", &["--against spins.npz", "{-1, +1}"]),
    case("evaluate model.npz --data bits.npy --against-log-z 3", &["--against"]),
    case("curve ref:ising", &["--temperatures"]),
    case("curve ref:ising --temperatures 0:1:5", &["--temperatures", "0.5:4:50"]),
    case("curve ref:ising --temperatures 1,-2", &["--temperatures", "positive"]),
    case("curve ref:ising --temperatures 1:2", &["--temperatures", "FROM:TO:COUNT"]),
    case("curve ref:ising --temperatures 1 --temperature 2", &["--temperature", "leave"]),
    case(
        "curve ref:many-well --temperatures 1,2 --method exact",
        &["no exact method", "many-well", "temperature 1"],
    ),
    case("curve ref:ising --temperatures 1 --out curve.txt", &["curve.txt", "csv"]),
    case("between ref:ising ref:rbm", &["spaces"]),
    case("between ref:gaussian ref:gaussian?seed=2", &["finite"]),
    case("between ref:ising missing.npz", &["missing.npz"]),
    case("verify --only nonsense", &["--only", "nonsense"]),
    case("verify --thorough --only nonsense", &["--only", "nonsense"]),
];

fn lnz(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lnz"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

fn npz(path: &Path, arrays: &[(&str, ArrayD<f64>)]) {
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    write_npz(path, &views).expect("writable");
}

fn ones(shape: &[usize]) -> ArrayD<f64> {
    ArrayD::ones(IxDyn(shape))
}

fn with(mut array: ArrayD<f64>, value: f64) -> ArrayD<f64> {
    *array.iter_mut().nth(1).expect("at least two values") = value;
    array
}

/// Good and bad inputs in a new directory.
fn inputs() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let weights = Array2::from_shape_fn((4, 3), |(i, j)| (i as f64 - j as f64) / 4.0);
    let machine = |units| {
        Rbm::new(weights.clone(), Array1::linspace(-0.5, 0.4, 4), array![0.1, 0.0, -0.2], units)
            .expect("valid")
    };
    write_rbm(&at("model.npz"), &machine(Units::Bits)).expect("writable");
    write_rbm(&at("model.safetensors"), &machine(Units::Bits)).expect("writable");
    write_rbm(&at("spins.npz"), &machine(Units::Spins)).expect("writable");

    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/mnist-rbm-500.safetensors");
    fs::copy(shipped, at("shipped.safetensors")).expect("the repository holds it");

    fs::write(at("empty.npz"), b"").expect("writable");
    for name in ["model.npz", "model.safetensors"] {
        let bytes = fs::read(at(name)).expect("written");
        fs::write(at(&name.replace("model", "truncated")), &bytes[..bytes.len() / 2]).expect("writable");
    }
    fs::write(at("garbage.npz"), (0..=255u8).rev().cycle().take(4096).collect::<Vec<_>>()).expect("writable");
    fs::write(at("text.csv"), "1,0,1,0\n0,1,0,1\n").expect("writable");
    fs::write(at("pickle.pt"), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").expect("writable");
    fs::write(at("falling.txt"), "0\n0.6\n0.5\n1\n").expect("writable");
    fs::write(at("short.txt"), "0\n0.25,0.5\n").expect("writable");
    fs::write(at("network.onnx"), b"\x08\x07\x12\x07pytorch").expect("writable");
    fs::write(at("text.npz"), "not an archive\n").expect("writable");
    let bias = |n: usize| ones(&[n]);
    npz(&at("nan.npz"), &[("W", with(ones(&[4, 3]), f64::NAN)), ("b", bias(4)), ("c", bias(3))]);
    npz(&at("vast.npz"), &[("W", with(ones(&[4, 3]), 1e308)), ("b", bias(4)), ("c", bias(3))]);
    npz(&at("infinite.npz"), &[("W", ones(&[4, 3])), ("b", with(bias(4), f64::INFINITY)), ("c", bias(3))]);
    npz(&at("square.npz"), &[("W", ones(&[4, 4])), ("b", bias(4)), ("c", bias(4))]);
    npz(&at("shapes.npz"), &[("W", ones(&[4, 3])), ("b", bias(5)), ("c", bias(3))]);
    npz(&at("lonely.npz"), &[("W", ones(&[4, 3]))]);
    npz(&at("asymmetric.npz"), &[("J", array![[0.0, 1.0], [2.0, 0.0]].into_dyn()), ("h", bias(2))]);
    let indefinite = array![[1.0, 2.0], [2.0, 1.0]].into_dyn();
    npz(&at("indefinite.npz"), &[("mean", bias(2)), ("precision", indefinite)]);
    for (name, value) in [("sigma-zero.npz", 0.0), ("sigma-tiny.npz", 1e-300)] {
        let sigma = with(bias(4), value);
        npz(&at(name), &[("W", ones(&[4, 3])), ("b", bias(4)), ("c", bias(3)), ("sigma", sigma)]);
    }
    npz(
        &at("two.npz"),
        &[("J", Array::zeros((2, 2)).into_dyn()), ("h", bias(2)), ("covariance", ones(&[2, 2]))],
    );

    let bits = array![[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]];
    write_npy(&at("bits.npy"), bits.view().into_dyn()).expect("writable");
    write_npy(&at("signs.npy"), bits.mapv(|x| 2.0 * x - 1.0).view().into_dyn()).expect("writable");
    let mut grey = bits;
    grey[[1, 2]] = 0.5;
    write_npy(&at("grey.npy"), grey.view().into_dyn()).expect("writable");
    grey[[1, 2]] = 1e300;
    write_npy(&at("vast.npy"), grey.view().into_dyn()).expect("writable");
    write_npy(&at("wide.npy"), ones(&[2, 5]).view()).expect("writable");
    write_npy(&at("none.npy"), ones(&[0, 4]).view()).expect("writable");
    fs::write(at("nan.csv"), "1,0,1,0\n0,nan,0,1\n").expect("writable");
    fs::write(at("ragged.csv"), "1,0,1,0\n0,1,0\n").expect("writable");

    let made = lnz(directory.path(), "estimate model.npz --out run.json --quiet");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let record = fs::read_to_string(at("run.json")).expect("written");
    fs::write(at("future.json"), record.replace("\"format\":1", "\"format\":99")).expect("writable");
    fs::write(at("damaged.json"), record.replace("\"log_z\":", "\"logz\":")).expect("writable");
    let annealed = lnz(directory.path(), "estimate model.npz --method ais --out annealed.json --quiet");
    assert!(annealed.status.success(), "{}", String::from_utf8_lossy(&annealed.stderr));
    let record = fs::read_to_string(at("annealed.json")).expect("written");
    fs::write(at("undecided.json"), record.replace("\"decisions\":", "\"indecisions\":")).expect("writable");
    let decided = "\"chains\":1024,\"rungs\":128,";
    assert!(record.contains(decided), "{decided} is not in the record");
    let nothing = decided.replace("1024", "0");
    fs::write(at("impossible.json"), record.replace(decided, &nothing)).expect("writable");
    let untried = format!("{decided}\"trial\":0,");
    fs::write(at("untried.json"), record.replace(decided, &untried)).expect("writable");
    fs::create_dir(at("folder.json")).expect("writable");
    directory
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("readable");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn bad_input_is_one_clear_line_and_status_two() {
    let directory = inputs();
    let before = names(directory.path());
    let mut wrong = Vec::new();
    for Case { arguments, says } in CASES {
        let output = lnz(directory.path(), arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        let mut complain = |what: &str| wrong.push(format!("lnz {arguments}\n  {what}\n  {message}"));
        if output.status.code() != Some(2) {
            complain(&format!("exit status {:?}", output.status.code()));
        }
        if !output.stdout.is_empty() {
            complain("something on stdout");
        }
        for expected in *says {
            if !message.contains(expected) {
                complain(&format!("does not say `{expected}`"));
            }
        }
        if message.matches("os error").count() > 1 {
            complain("the system's message twice");
        }
        if message.contains("panicked") {
            complain("a panic");
        }
        // A hint about help may follow after an empty line; with no arguments at all there is only help.
        let lines = message.split("\n\n").next().unwrap_or_default().trim().lines().count();
        if !arguments.is_empty() && lines != 1 {
            complain(&format!("{lines} lines"));
        }
        if names(directory.path()) != before {
            complain("another set of files");
            break;
        }
    }
    assert!(wrong.is_empty(), "{} complaints\n\n{}", wrong.len(), wrong.join("\n"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_early_is_no_failure() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_lnz"))
        .arg("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
