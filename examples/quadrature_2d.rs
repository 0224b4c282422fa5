//! Annealing against quadrature on an energy with four modes in the plane: log Z, the mass of each mode, and a picture of the
//! normalised density with draws on it.
//!
//! `cargo run --release --example quadrature_2d`, or `… --example quadrature_2d -- PICTURE` for a .png or .svg elsewhere than in
//! target/.

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use lnz::estimators::{Settings, Silent, by_name};
use lnz::io::write_atomically;
use lnz::models::{Domain, FunctionModel, Model, Space};
use lnz::plots::{self, States};
use lnz::sampling;
use ndarray::ArrayView1;

/// Himmelblau's function, flattened until the valleys are joined, and tilted: one mode in each quadrant, none like another.
fn energy(x: ArrayView1<'_, f64>) -> f64 {
    let (x, y) = (x[0], x[1]);
    ((x * x + y - 11.0).powi(2) + (x + y * y - 7.0).powi(2)) / 10.0 + 0.1 * (x - y)
}

/// What lies outside ±EDGE in either coordinate has less than e⁻⁵⁰ of the mass.
const EDGE: f64 = 7.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/quadrature_2d.png");
    let picture = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let model: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, Domain::Real), energy));
    let settings = Settings { budget: Some(1 << 20), ..Settings::default() };

    println!("method            log Z      error   seconds  verdict");
    let mut log_z = 0.0;
    for method in ["importance", "ais", "quadrature"] {
        let estimate = by_name(method)?.estimate(&model, &settings, &Silent)?;
        let error = estimate.std_err.or(estimate.diagnostics.discretisation_error).unwrap_or(0.0);
        println!(
            "{method:<12} {:>10.6} {error:>10.1e} {:>9.2}  {}",
            estimate.log_z,
            estimate.cost.seconds,
            if estimate.verdict.is_converged() { "converged" } else { "not converged" }
        );
        log_z = estimate.log_z;
    }

    // The share of a quadrant is the ratio of two Z, the upper one with the model cut to a box.
    let draws = sampling::draw(&model, 2000, &settings, &Silent)?;
    println!("\n{} draws: {}", draws.states.nrows(), draws.how);
    println!("quadrant       share by quadrature    of the draws");
    for (name, right, up) in [
        ("x > 0, y > 0", true, true),
        ("x < 0, y > 0", false, true),
        ("x < 0, y < 0", false, false),
        ("x > 0, y < 0", true, false),
    ] {
        let sides = |positive: bool| if positive { (0.0, EDGE) } else { (-EDGE, 0.0) };
        let ((left, right_end), (bottom, top)) = (sides(right), sides(up));
        let quadrant = Domain::Box { lower: vec![left, bottom], upper: vec![right_end, top] };
        let part: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, quadrant), energy));
        let share = (by_name("quadrature")?.estimate(&part, &settings, &Silent)?.log_z - log_z).exp();
        let inside =
            draws.states.rows().into_iter().filter(|x| (x[0] > 0.0, x[1] > 0.0) == (right, up)).count();
        let found = inside as f64 / draws.states.nrows() as f64;
        println!("{name}   {share:>19.4}    {found:>12.4}");
    }

    // A few hundred points leave the density visible; draws come in no order, so the first are as good as any.
    let rows: Vec<Vec<f64>> = draws.states.rows().into_iter().take(500).map(|x| x.to_vec()).collect();
    let figures = plots::of_model(&model, log_z, &States { draws: &rows, ..States::default() });
    let figure = figures.first().ok_or("a model of two real numbers has a density to show")?;
    let svg = picture.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    let bytes = if svg { figure.svg().into_bytes() } else { figure.png() };
    if let Some(directory) = picture.parent() {
        std::fs::create_dir_all(directory)?;
    }
    write_atomically(&picture, |file| file.write_all(&bytes))?;
    println!("\n{}\n{}", figure.title, picture.display());
    Ok(())
}
