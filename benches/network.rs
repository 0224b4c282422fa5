//! Energies of networks and their gradients, beside PyTorch's: `cargo bench --bench network`.
//!
//! Where the Python that `PYTHON` names (python3 if it names none) has PyTorch, `benches/peers/network.py` times the same networks in
//! turn with this program, on as many threads; the best of the rounds counts on either side. The last rows are steps of Hamiltonian
//! Monte Carlo: the share of their time that energies and gradients take.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lnz::math::Stream;
use lnz::models::network::{Binary, Function, Geometry, Graph, Network, Output, Precision, Size, Value};
use lnz::models::{Domain, Model, Tempered};
use lnz::paths::geometric::GeometricPath;
use lnz::paths::{Move, Population};
use ndarray::{Array2, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::StandardNormal;

/// Turns of either side.
const ROUNDS: usize = 3;

/// Name, network, batch, and the ratio asked for.
type Case = (&'static str, Network, usize, f64);

fn main() {
    let cases: Vec<Case> = vec![
        ("2-128-128-1", perceptron(2, 128), 4096, 1.5),
        ("784-512-512-1", perceptron(784, 512), 256, 1.0),
        ("conv-28x28", convolutions(), 64, 0.7),
    ];
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let peer =
        Command::new(&python).args(["-c", "import torch"]).output().is_ok_and(|done| done.status.success());
    println!(
        "energy and gradient of a batch, ms{}",
        if peer { "" } else { " (no PyTorch: PYTHON names none)" }
    );
    println!(
        "{:<15} {:>6} {:>8} {:>8} {:>9} {:>7} {:>6}",
        "network", "batch", "threads", "lnz", "PyTorch", "ratio", "asked"
    );
    for (name, network, batch, asked) in &cases {
        for threads in [1, 2] {
            let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..ROUNDS {
                ours = ours.min(support::on_threads(threads, || call(network, *batch)));
                if peer {
                    theirs = theirs.min(pytorch(&python, name, threads));
                }
            }
            let ratio = theirs / ours;
            println!(
                "{name:<15} {batch:>6} {threads:>8} {ours:>8.3} {theirs:>9.3} {ratio:>6.2}x {asked:>5.1}x"
            );
        }
    }
    println!("\nsteps of HMC, 64 chains in a block: share of energies and gradients");
    for (name, network, ..) in cases {
        println!("{name:<15} {:>5.1} %", 100.0 * support::on_threads(1, || share(network)));
    }
}

/// Milliseconds of a call.
fn call(network: &Network, batch: usize) -> f64 {
    let states = normals(&[batch, network.space().dim], 1.0, 7).into_dimensionality().unwrap();
    let gradient = network.gradient().unwrap();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < Duration::from_secs(1) {
        let begin = Instant::now();
        black_box(gradient.energy_and_gradient(states.view()));
        best = best.min(begin.elapsed().as_secs_f64());
    }
    1000.0 * best
}

/// The same by PyTorch.
fn pytorch(python: &str, case: &str, threads: usize) -> f64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/network.py");
    let threads = threads.to_string();
    let done = Command::new(python)
        .args([script, "--cases", case, "--threads", &threads, "--rounds", "5"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    line["ms"].as_f64().unwrap()
}

/// Of the time of HMC's steps, what the calls that they make take when they are made alone.
fn share(network: Network) -> f64 {
    // Confined as it is, the step size does not matter for time.
    let model: Arc<dyn Model> = Arc::new(Tempered::new(Arc::new(network), 100.0));
    let dim = model.space().dim;
    let path = GeometricPath::new(Arc::clone(&model), None);
    let mut population = Population::from_reference(&path, 64, Stream::new(1));
    let mut least = f64::INFINITY;
    let mut calls = f64::INFINITY;
    let states: Array2<f64> = normals(&[64, dim], 1.0, 3).into_dimensionality().unwrap();
    for _ in 0..8 {
        let before = population.counts().gradient_evaluations;
        let begin = Instant::now();
        for _ in 0..20 {
            population.step(0.5, Move::Forward);
        }
        let seconds = begin.elapsed().as_secs_f64();
        let made = (population.counts().gradient_evaluations - before) / 64;
        least = least.min(seconds / made as f64);
        let begin = Instant::now();
        for _ in 0..made {
            black_box(model.gradient().unwrap().energy_and_gradient(states.view()));
        }
        calls = calls.min(begin.elapsed().as_secs_f64() / made as f64);
    }
    calls / least
}

fn normals(shape: &[usize], scale: f64, seed: u64) -> ArrayD<f64> {
    let mut generator = SmallRng::seed_from_u64(seed);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || scale * generator.sample::<f64, _>(StandardNormal))
}

fn layer(graph: &mut Graph, x: &Value, inner: usize, outer: usize) -> Value {
    let weights = graph.constant("weight", normals(&[inner, outer], 1.0 / (inner as f64).sqrt(), 1));
    let bias = graph.constant("bias", normals(&[outer], 0.1, 2));
    graph.linear(x, &weights, Some(&bias), false).unwrap()
}

fn perceptron(inputs: usize, width: usize) -> Network {
    let (mut graph, x) = Graph::new(&[inputs]);
    let mut value = x;
    for (inner, outer) in [(inputs, width), (width, width)] {
        value = layer(&mut graph, &value, inner, outer);
        value = graph.unary(Function::Silu, &value).unwrap();
    }
    let energy = layer(&mut graph, &value, width, 1);
    Network::new(graph, &energy, Output::Energy, Domain::Real, Precision::Single).unwrap()
}

/// Three convolutions with group norms between, as `peers/network.py` has them.
fn convolutions() -> Network {
    let (mut graph, x) = Graph::new(&[1, 28, 28]);
    let mut value = x;
    let mut input = [1, 28, 28];
    for (outputs, stride, groups) in [(16, 1, Some(4)), (32, 2, Some(4)), (32, 2, None)] {
        let geometry = Geometry {
            input,
            outputs,
            groups: 1,
            window: [3, 3],
            strides: [stride; 2],
            dilations: [1; 2],
            before: [1; 2],
            after: [1; 2],
            round_up: false,
            count_padding: false,
        };
        let [high, wide] = geometry.output().unwrap();
        let kernel = graph.constant("kernel", normals(&[outputs, input[0], 3, 3], 0.2, 1));
        let bias = graph.constant("bias", normals(&[outputs], 0.1, 2));
        value = graph.convolution(&value, &kernel, Some(&bias), geometry).unwrap();
        if let Some(groups) = groups {
            let shape = value.shape().to_vec();
            let [batch, rest] = [shape[0], Size::fixed(outputs / groups * high * wide)];
            let grouped = [batch, Size::fixed(groups), rest];
            value = graph.reshape(&value, &grouped).unwrap();
            value = graph.normalise(&value, 2, 1e-5).unwrap();
            value = graph.reshape(&value, &shape).unwrap();
            for (operation, seed) in [(Binary::Multiply, 5), (Binary::Add, 6)] {
                let constant = graph.constant("affine", normals(&[outputs, 1, 1], 1.0, seed));
                value = graph.binary(operation, &value, &constant).unwrap();
            }
        }
        value = graph.unary(Function::Silu, &value).unwrap();
        input = [outputs, high, wide];
    }
    let numbers = input.iter().product();
    let batch = value.shape()[0];
    let flat = graph.reshape(&value, &[batch, Size::fixed(numbers)]).unwrap();
    let energy = layer(&mut graph, &flat, numbers, 1);
    Network::new(graph, &energy, Output::Energy, Domain::Real, Precision::Single).unwrap()
}
