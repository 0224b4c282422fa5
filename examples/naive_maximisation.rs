//! Why raising exp(−E) on the data alone is no maximum likelihood: `cargo run --release --example naive_maximisation`.
//!
//! The gradient of the mean log-likelihood is ⟨−∂E/∂θ⟩ over the data less the same mean under the model, because log p = −E − log Z.
//! With the first half alone energies fall everywhere, log Z rises faster than −E on the data does, and the likelihood falls. Here are
//! both, from the same start, on a machine so small that log Z is summed after each step.

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use lnz::models::{Model, Rbm, Units};
use lnz::training::rbm::Moments;
use ndarray::{Array1, Array2};

/// Steps of either training, of this length.
const STEPS: usize = 2000;
const LENGTH: f64 = 0.5;
const HIDDEN: usize = 10;

fn main() -> lnz::Result<()> {
    let data = bars();
    println!("3×3 bars: {} images of 512; none can be likelier on average than log 1/{0}\n", data.nrows());
    for naive in [true, false] {
        println!(
            "{}",
            if naive {
                "Energies of the data alone are lowered:"
            } else {
                "With the mean under the model taken off:"
            }
        );
        println!(
            "{:>6} {:>14} {:>14} {:>12} {:>16}",
            "step", "E of the data", "E elsewhere", "log Z", "log-likelihood"
        );
        let mut machine = start()?;
        for step in 0..=STEPS {
            let (model, log_z) = Moments::of_model(&machine)?;
            if [0, 10, 100, STEPS].contains(&step) {
                let mean = |rows: &Array2<f64>| machine.energy(rows.view()).sum() / rows.nrows() as f64;
                let (here, elsewhere) = (mean(&data), mean(&everything()));
                println!("{step:>6} {here:>14.3} {elsewhere:>14.3} {log_z:>12.3} {:>16.3}", -here - log_z);
            }
            let observed = Moments::of(&machine, data.view(), None)?;
            let slope = if naive { observed } else { &observed - &model };
            machine = Rbm::new(
                machine.weights() + &(LENGTH * slope.weights),
                machine.visible_bias() + &(LENGTH * slope.visible),
                machine.hidden_bias() + &(LENGTH * slope.hidden),
                Units::Bits,
            )?;
        }
        println!();
    }
    println!("log 1/{} = {:.3}", data.nrows(), -(data.nrows() as f64).ln());
    Ok(())
}

/// Images whose rows are each all on or all off.
fn bars() -> Array2<f64> {
    Array2::from_shape_fn((8, 9), |(code, pixel)| f64::from(u8::from(code >> (pixel / 3) & 1 == 1)))
}

/// All images there are.
fn everything() -> Array2<f64> {
    Array2::from_shape_fn((512, 9), |(code, pixel)| f64::from(u8::from(code >> pixel & 1 == 1)))
}

/// Small weights that are not all alike, without chance.
fn start() -> lnz::Result<Rbm> {
    let weights = Array2::from_shape_fn((9, HIDDEN), |(i, j)| 0.1 * ((7 * i + 3 * j) as f64).sin());
    Rbm::new(weights, Array1::zeros(9), Array1::zeros(HIDDEN), Units::Bits)
}
