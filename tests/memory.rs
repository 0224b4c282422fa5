//! What is kept in memory: by annealing the model, its chains, and little for every rung; by reading a file no more than it may.
//!
//! A program of its own, whose tests take turns, because its allocator counts every byte that the program holds.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use lnz::estimators::{Settings, Silent, by_name};
use lnz::io::model::{ModelOptions, read_model};
use lnz::models::{Model, builtin};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The system's allocator, with the bytes in use and the most that there ever were.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static TURN: Mutex<()> = Mutex::new(());

#[allow(unsafe_code, reason = "an allocator is an unsafe trait; this one hands every call on as it came")]
// SAFETY: the system's allocator does all the work, with the arguments that its caller vouches for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes in use at once during `work`, beyond those in use before it.
fn peak(work: impl FnOnce()) -> usize {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    work();
    PEAK.load(Relaxed) - before
}

/// Bytes that a run with so many rungs takes at once, the model among them.
fn peak_of_run(spec: &str, chains: usize, rungs: usize) -> usize {
    peak(|| {
        let model: Arc<dyn Model> = builtin::parse(spec).unwrap();
        let settings =
            Settings { chains: Some(chains), rungs: Some(rungs), max_time: 1e9, ..Settings::default() };
        by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
    })
}

/// Most bytes that the record of a rung takes, in all walks of a run together.
const A_RUNG: f64 = 300.0;
const FEW: usize = 64;
const MANY: usize = 8 * FEW;

/// Eight times the rungs take the same memory but for their record, and a run at most three times what the model's parameters and
/// its chains' states fill as f64; where a kernel follows gradients, these are part of a chain's state.
#[test]
fn annealing_keeps_its_chains_and_little_else() {
    let _turn = TURN.lock();
    for (spec, chains, parameters, state) in [
        ("ref:rbm?visible=784&hidden=500&scale=0.1", 1024, 784 * 500 + 784 + 500, 784 + 500),
        ("ref:ising?side=16&coupling=0.3&field=0.1", 1024, 2, 256),
        ("ref:gaussian?dim=100", 1024, 100 + 100 * 101, 2 * 100),
        ("ref:many-well?dim=32", 1024, 0, 2 * 32),
    ] {
        // One thread, after a first run: what matrix products keep on a thread for the next one of their shape is not counted.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let peak_with = |rungs| pool.install(|| peak_of_run(spec, chains, rungs));
        peak_with(FEW);
        let (few, many) = (peak_with(FEW), peak_with(MANY));
        let whole = 8 * (parameters + chains * state);
        let more = many as f64 - few as f64;
        assert!(
            more < 0.03 * few as f64 + A_RUNG * (MANY - FEW) as f64,
            "{spec}: {few} bytes for {FEW} rungs, {many} for {MANY}"
        );
        let ratio = few as f64 / whole as f64;
        println!("{spec}: {ratio:.2} times the model and its chains");
        assert!(ratio < 3.0, "{spec}: {few} bytes are {ratio:.2} times the model and its chains");
    }
}

/// What a small file may turn into while it is read.
const MOST_READ: usize = 64 << 20;

/// Lengths, shapes and counts of ONNX files are changed at random: reading one never takes more memory than the limit, whatever it says
/// of itself.
#[test]
fn damaged_networks_take_no_more_memory_than_stated() {
    let _turn = TURN.lock();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/network");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    files.sort();
    let at = tempfile::tempdir().unwrap().path().join("damaged.onnx");
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    let mut generator = SmallRng::seed_from_u64(2);
    let (mut most, mut read) = (0, 0);
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..generator.random_range(1..4) {
                let place = generator.random_range(0..bytes.len());
                // Most of a small file's bytes are lengths and integers; large ones are written as runs of 0xff and 0x7f.
                let run = generator.random_range(1..5).min(bytes.len() - place);
                let value = if generator.random_bool(0.5) { 0xff } else { generator.random() };
                bytes[place..place + run].fill(value);
            }
            std::fs::write(&at, bytes).unwrap();
            let took = peak(|| read += usize::from(read_model(&at, &ModelOptions::default()).is_ok()));
            most = most.max(took);
            assert!(took <= MOST_READ, "{took} bytes for a damaged {}", file.display());
        }
    }
    println!("{} damaged files, {read} read all the same; at most {most} bytes", 40 * files.len());
}
