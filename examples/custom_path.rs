//! A path of your own, with a kernel that uses the model's structure: a ring of spins of which every second one is summed out.
//!
//! Between two kept spins sits one that is summed out, so f_β(s) = exp(h Σ sᵢ) Π 2 cosh(βJ(sᵢ + sᵢ₊₁)), which is not linear in β.
//! Given the kept spins, those between are independent, and the other way round: one kernel step draws all of either, exactly.
//!
//! A path promises that reference draws, densities, ratios, derivatives and kernel belong to one f_β, and that the kernel leaves it
//! invariant. The program checks each promise, and shows that the checks catch a kernel that is a little too warm.
//!
//! `cargo run --release --example custom_path`

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use lnz::Result;
use lnz::estimators::{Silent, annealing};
use lnz::math::{LogWeights, Stream, log_add_exp, random::Generator, statistics};
use lnz::models::{Domain, Space};
use lnz::paths::{Counts, Ensemble, Move, Path, Population, Schedule, StepStats, sibling, sibling_mut};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Zip, aview1};
use rand::RngExt;

const SPINS: usize = 40;

/// J, h, and what the kernel takes for β, in units of β: 1 unless it is to be wrong.
#[derive(Clone, Copy, Debug)]
struct Ring {
    coupling: f64,
    field: f64,
    kernel_beta: f64,
}

struct Block {
    ring: Ring,
    states: Array2<f64>,
    generator: Generator,
    counts: Counts,
}

impl Ring {
    /// Z = λ₊ⁿ + λ₋ⁿ with λ the eigenvalues of the transfer matrix from one kept spin to the next.
    fn exact(self, beta: f64) -> f64 {
        let side = (2.0 * beta * self.coupling).cosh();
        let (mean, half) = (2.0 * side * self.field.cosh(), 2.0 * (side * self.field.sinh()).hypot(1.0));
        let power = |eigenvalue: f64| SPINS as f64 * eigenvalue.ln();
        log_add_exp(power(mean + half), power((mean - half).max(0.0)))
    }

    fn block(self, states: Array2<f64>, generator: Generator) -> Box<dyn Ensemble> {
        Box::new(Block { ring: self, states, generator, counts: Counts::default() })
    }
}

impl Path for Ring {
    fn space(&self) -> Space {
        Space::new(SPINS, Domain::Spins)
    }

    fn log_z_reference(&self) -> f64 {
        SPINS as f64 * (4.0 * self.field.cosh()).ln()
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        let mut generator = stream.generator();
        let states = Array2::from_shape_simple_fn((chains, SPINS), || spin(self.field, &mut generator));
        self.block(states, generator)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.space().check(states)?;
        Ok(self.block(states.to_owned(), stream.generator()))
    }

    fn kernel(&self) -> String {
        "block Gibbs".into()
    }
}

/// A spin in a field, P(+1) = 1/(1 + exp(−2 field)).
fn spin(field: f64, generator: &mut Generator) -> f64 {
    if generator.random::<f64>() * (1.0 + (-2.0 * field).exp()) < 1.0 { 1.0 } else { -1.0 }
}

impl Block {
    /// Neighbours that agree, of each chain: all that f_β sees beside the field.
    fn aligned(&self) -> impl Iterator<Item = f64> {
        let agree = |s: ArrayView1<'_, f64>| (0..SPINS).filter(|&i| s[i] == s[(i + 1) % SPINS]).count();
        self.states.rows().into_iter().map(move |s| agree(s) as f64)
    }
}

impl Ensemble for Block {
    fn chains(&self) -> usize {
        self.states.nrows()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for (chain, aligned) in self.aligned().enumerate() {
            let rest = self.ring.field * self.states.row(chain).sum() + SPINS as f64 * 2f64.ln();
            for (k, beta) in betas.iter().enumerate() {
                out[(chain, k)] = rest + aligned * (2.0 * beta * self.ring.coupling).cosh().ln();
            }
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        let twice = 2.0 * self.ring.coupling;
        let one = ((to * twice).cosh() / (from * twice).cosh()).ln();
        out.iter_mut().zip(self.aligned()).for_each(|(out, aligned)| *out = aligned * one);
    }

    fn derivatives(&mut self, beta: f64, first: &mut [f64], second: &mut [f64]) {
        let twice = 2.0 * self.ring.coupling;
        let slope = twice * (beta * twice).tanh();
        for (chain, aligned) in self.aligned().enumerate() {
            first[chain] = aligned * slope;
            second[chain] = aligned * (twice * twice - slope * slope);
        }
    }

    /// Kept → between → kept is its own time reversal, so `movement` changes nothing; and there is no step size to adapt.
    fn step(&mut self, beta: f64, _movement: Move) -> StepStats {
        let coupling = beta * self.ring.kernel_beta * self.ring.coupling;
        for mut s in self.states.rows_mut() {
            let between: [f64; SPINS] =
                std::array::from_fn(|i| spin(coupling * (s[i] + s[(i + 1) % SPINS]), &mut self.generator));
            for i in 0..SPINS {
                let neighbours = between[(i + SPINS - 1) % SPINS] + between[i];
                s[i] = spin(self.ring.field + coupling * neighbours, &mut self.generator);
            }
        }
        self.counts.sweeps += self.chains() as u64;
        StepStats::default()
    }

    // Resampling and tempering move chains about. Whatever is cached of a chain would have to go with it.

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            let state = self.states.row(from).to_owned();
            self.states.row_mut(to).assign(&state);
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other = sibling::<Self>(other);
        for &(to, from) in moves {
            self.states.row_mut(to).assign(&other.states.row(from));
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other = sibling_mut::<Self>(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            Zip::from(self.states.row_mut(chain)).and(other.states.row_mut(chain)).for_each(std::mem::swap);
        }
    }

    fn states(&self) -> Array2<f64> {
        self.states.clone()
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

fn main() -> Result<()> {
    let right = Ring { coupling: 0.9, field: 0.1, kernel_beta: 1.0 };
    let exact = right.exact(1.0);
    println!(
        "{} by annealing 1024 chains; exact: log Z = {exact:.4}\n\nrungs     log Z            z   ESS",
        right.kernel()
    );
    for rungs in [4, 16, 64, 256] {
        let weights = annealed(right, 1024, rungs, 1)?;
        let (log_z, error) = (right.log_z_reference() + weights.log_mean(), weights.std_err());
        let ess = weights.effective_sample_size();
        println!("{rungs:>5}   {log_z:.4} ± {error:.4} {:>+5.1} {ess:>5.0}", (log_z - exact) / error);
    }

    println!("\nratios and derivatives against differences of log f, largest error");
    let mut chains = Population::from_reference(&right, 64, Stream::new(2));
    let (beta, step) = (0.6, 1e-4);
    let at = chains.log_density(&[beta - step, beta, beta + step]);
    let ratio = chains.log_ratio(beta - step, beta + step)?;
    let slopes = derivatives(&mut chains, beta);
    let largest = |error: &dyn Fn(usize) -> f64| (0..64).map(|i| error(i).abs()).fold(0.0, f64::max);
    println!("  log_ratio          {:.0e}", largest(&|i| ratio[i] - (at[(i, 2)] - at[(i, 0)])));
    println!(
        "  first derivative   {:.0e}",
        largest(&|i| slopes[(i, 0)] - (at[(i, 2)] - at[(i, 0)]) / (2.0 * step))
    );
    let curvature = |i: usize| (at[(i, 2)] + at[(i, 0)] - 2.0 * at[(i, 1)]) / (step * step);
    println!("  second derivative  {:.0e}", largest(&|i| slopes[(i, 1)] - curvature(i)));

    println!(
        "\nkernel            mean of Z/Z exact, 400 runs     z    mean of d log f/dβ after 100 steps at β = 1     z"
    );
    for (name, kernel_beta) in [("right", 1.0), ("10 % too warm", 0.9)] {
        let ring = Ring { kernel_beta, ..right };
        let ratio =
            |seed| Ok((ring.log_z_reference() + annealed(ring, 64, 8, seed)?.log_mean() - exact).exp());
        let ratios = (100..500).map(ratio).collect::<Result<Vec<f64>>>()?;
        let (mean, error) = (statistics::mean(&ratios), statistics::std_err(&ratios));
        print!("{name:<14}   {mean:>12.4} ± {error:.4}   {:>+12.1}", (mean - 1.0) / error);

        // An invariant f_β has E[d log f/dβ] = d log Z/dβ.
        let mut chains = Population::from_reference(&ring, 4096, Stream::new(3));
        for _ in 0..100 {
            chains.step(1.0, Move::Forward);
        }
        let slopes = derivatives(&mut chains, 1.0).column(0).to_vec();
        let (mean, error) = (statistics::mean(&slopes), statistics::std_err(&slopes));
        let slope = (ring.exact(1.0 + step) - ring.exact(1.0 - step)) / (2.0 * step);
        println!("   {mean:>10.3} ± {error:.3}, exact {slope:.3}   {:>+8.1}", (mean - slope) / error);
    }
    Ok(())
}

fn annealed(ring: Ring, chains: usize, rungs: usize, seed: u64) -> Result<LogWeights> {
    let population = Population::from_reference(&ring, chains, Stream::new(seed));
    Ok(annealing::forward(population, &Schedule::linear(rungs), Move::Forward, None, &Silent)?.weights)
}

/// ∂_β and ∂²_β of log f_β, a row for each chain.
fn derivatives(chains: &mut Population, beta: f64) -> Array2<f64> {
    let mut out = Array2::zeros((chains.chains(), 2));
    chains.map_blocks(&mut out, |block, mut rows| {
        let (mut first, mut second) = (vec![0.0; rows.nrows()], vec![0.0; rows.nrows()]);
        block.derivatives(beta, &mut first, &mut second);
        rows.column_mut(0).assign(&aview1(&first));
        rows.column_mut(1).assign(&aview1(&second));
    });
    out
}
