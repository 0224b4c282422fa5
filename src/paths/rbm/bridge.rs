//! The models between two machines of bits of one size.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, concatenate};

use super::block::swap_rows;
use super::rounding;
use crate::error::Result;
use crate::math::Stream;
use crate::math::bits::{self, BitMatrix, BitRows, Sums};
use crate::math::simd::{self, Lanes};
use crate::models::{Model, Rbm, downcast};
use crate::paths::{Counts, Ensemble, Move, StepStats, sibling, sibling_mut};

/// log f_β(v) = (1−β) b·v + β b′·v + Σⱼ softplus((1−β) aⱼ + β a′ⱼ), with a = c + vW and a′ = c′ + vW′: the energies on (v, h) are mixed,
/// and h summed out.
///
/// Neither a nor a′ depends on β, so that no rung needs products of its own: a step of block Gibbs takes those of v with W and W′ side by
/// side, and of h with their transposes.
#[derive(Debug)]
pub(in crate::paths) struct Bridge {
    /// To translate between its units and bits.
    model: Arc<Rbm>,
    /// (W, W′) and (Wᵀ, W′ᵀ).
    inward: BitMatrix<u32>,
    outward: BitMatrix<u32>,
    hidden_bias: Vec<f32>,
    visible_bias: Vec<f32>,
    /// b, and b′ − b.
    start: Array1<f64>,
    tilt: Array1<f64>,
    /// What both add to log f at β = 0, and how much more of it there is at 1.
    constant: f64,
    constant_tilt: f64,
}

impl Bridge {
    /// `None` for models that are not two such machines, or too large for f32.
    pub(in crate::paths) fn new(one: &Arc<dyn Model>, other: &Arc<dyn Model>) -> Option<Self> {
        let (one, other) = (downcast::<Rbm>(one)?, downcast::<Rbm>(other)?);
        if one.units() != other.units() || one.weights().dim() != other.weights().dim() {
            return None;
        }
        let rounds = |rbm: &Rbm| {
            let scale =
                rounding::scale(rbm.weights().view(), rbm.hidden_bias(), &Array1::ones(rbm.visible()));
            rounding::in_f32(scale)
        };
        if rounds(&one).max(rounds(&other)) > rounding::MOST {
            return None;
        }
        let side_by_side = |a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>| {
            BitMatrix::new(concatenate![Axis(1), a, b].view())
        };
        let pair = |a: &Array1<f64>, b: &Array1<f64>| a.iter().chain(b).map(|&x| x as f32).collect();
        Some(Self {
            inward: side_by_side(one.weights().view(), other.weights().view()),
            outward: side_by_side(one.weights().t(), other.weights().t()),
            hidden_bias: pair(one.hidden_bias(), other.hidden_bias()),
            visible_bias: pair(one.visible_bias(), other.visible_bias()),
            start: one.visible_bias().clone(),
            tilt: other.visible_bias() - one.visible_bias(),
            constant: -one.offset(),
            constant_tilt: one.offset() - other.offset(),
            model: one,
        })
    }

    /// Chains at `states`, rows of the machines' space.
    pub(in crate::paths) fn adopt(
        self: &Arc<Self>,
        states: ArrayView2<'_, f64>,
        stream: Stream,
    ) -> Result<Box<dyn Ensemble>> {
        self.model.space().check(states)?;
        Ok(Box::new(BridgeBlock::at(Arc::clone(self), states, stream)))
    }
}

/// Chains between two machines.
struct BridgeBlock {
    bridge: Arc<Bridge>,
    /// v, and h of the step under way.
    visible: BitRows,
    hidden: BitRows,
    /// (a, a′), (chains, 2 hidden).
    activations: Array2<f32>,
    /// b·v and (b′ − b)·v with the constants.
    starts: Vec<f64>,
    tilts: Vec<f64>,
    /// Room for products, for both inputs of one chain and for what they are at β.
    sums: Sums<u32>,
    inputs: Vec<f32>,
    mixed: Vec<f32>,
    lanes: Lanes,
    counts: Counts,
}

/// out = (1 − β) x + β y, of a row that holds x and y side by side.
fn mix(beta: f64, pair: &[f32], out: &mut Vec<f32>) {
    let (x, y) = pair.split_at(pair.len() / 2);
    let (beta, rest) = (beta as f32, (1.0 - beta) as f32);
    out.resize(x.len(), 0.0);
    simd::dispatch(
        #[inline(always)]
        || {
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = rest * x + beta * y;
            }
        },
    );
}

impl BridgeBlock {
    fn at(bridge: Arc<Bridge>, states: ArrayView2<'_, f64>, stream: Stream) -> Self {
        let (chains, visible) = states.dim();
        let hidden = bridge.model.hidden();
        let mut block = Self {
            visible: BitRows::of(bridge.model.to_bits(states).view()),
            hidden: BitRows::unset(chains, hidden),
            activations: Array2::zeros((chains, 2 * hidden)),
            starts: vec![0.0; chains],
            tilts: vec![0.0; chains],
            sums: Sums::default(),
            inputs: vec![0.0; 2 * visible],
            mixed: Vec::new(),
            lanes: stream.lanes(),
            counts: Counts::default(),
            bridge,
        };
        block.refresh();
        block
    }

    /// Recomputes what is cached from the visible states.
    fn refresh(&mut self) {
        let bridge = &*self.bridge;
        let (c, out) = (&bridge.hidden_bias, &mut self.activations);
        bridge.inward.products(&self.visible, c, out, &mut self.sums);
        for (chain, (start, tilt)) in self.starts.iter_mut().zip(&mut self.tilts).enumerate() {
            let row = self.visible.row(chain);
            let sum = |bias: &Array1<f64>| {
                bits::sum_where(row, bias.as_slice().expect("a whole array is contiguous"))
            };
            *start = sum(&bridge.start) + bridge.constant;
            *tilt = sum(&bridge.tilt) + bridge.constant_tilt;
        }
        self.counts.energy_evaluations += self.starts.len() as u64;
    }

    /// Σⱼ softplus((1 − β) aⱼ + β a′ⱼ) of one chain.
    fn softplus(&mut self, chain: usize, beta: f64) -> f64 {
        let row = self.activations.row(chain);
        mix(beta, row.to_slice().expect("rows of a whole array are contiguous"), &mut self.mixed);
        simd::sum_softplus(1.0, &self.mixed)
    }
}

impl Ensemble for BridgeBlock {
    fn chains(&self) -> usize {
        self.tilts.len()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for ((chain, k), out) in out.indexed_iter_mut() {
            let linear = self.starts[chain] + betas[k] * self.tilts[chain];
            *out = linear + self.softplus(chain, betas[k]);
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        for (chain, out) in out.iter_mut().enumerate() {
            let linear = (to - from) * self.tilts[chain];
            *out = linear + self.softplus(chain, to) - self.softplus(chain, from);
        }
    }

    fn derivatives(&mut self, beta: f64, first: &mut [f64], second: &mut [f64]) {
        for (chain, row) in self.activations.rows().into_iter().enumerate() {
            let hidden = row.len() / 2;
            (first[chain], second[chain]) = (self.tilts[chain], 0.0);
            for j in 0..hidden {
                let (a, b) = (f64::from(row[j]), f64::from(row[hidden + j]));
                let share = 1.0 / (1.0 + (-((1.0 - beta) * a + beta * b)).exp());
                first[chain] += share * (b - a);
                second[chain] += share * (1.0 - share) * (b - a).powi(2);
            }
        }
    }

    fn step(&mut self, beta: f64, _movement: Move) -> StepStats {
        let chains = self.tilts.len();
        for chain in 0..chains {
            let row = self.activations.row(chain);
            mix(beta, row.to_slice().expect("rows of a whole array are contiguous"), &mut self.mixed);
            simd::draw_quads(&mut self.lanes, 1.0, &self.mixed, &[], self.hidden.row_mut(chain));
        }
        let outward = &self.bridge.outward;
        outward.multiply(&self.hidden, &mut self.sums);
        for chain in 0..chains {
            outward.read(&self.sums, chain, &self.bridge.visible_bias, &mut self.inputs);
            mix(beta, &self.inputs, &mut self.mixed);
            simd::draw_quads(&mut self.lanes, 1.0, &self.mixed, &[], self.visible.row_mut(chain));
        }
        self.refresh();
        self.counts.sweeps += chains as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            self.visible.copy(to, from);
            let activations = self.activations.row(from).to_owned();
            self.activations.row_mut(to).assign(&activations);
            self.starts[to] = self.starts[from];
            self.tilts[to] = self.tilts[from];
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            self.visible.row_mut(to).copy_from_slice(other.visible.row(from));
            self.activations.row_mut(to).assign(&other.activations.row(from));
            self.starts[to] = other.starts[from];
            self.tilts[to] = other.tilts[from];
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            self.visible.swap(&mut other.visible, chain);
            swap_rows(&mut self.activations, &mut other.activations, chain);
            std::mem::swap(&mut self.starts[chain], &mut other.starts[chain]);
            std::mem::swap(&mut self.tilts[chain], &mut other.tilts[chain]);
        }
    }

    fn states(&self) -> Array2<f64> {
        self.bridge.model.from_bits(self.visible.to_array())
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::all_states;
    use crate::models::{blend, builtin};
    use crate::paths::between;

    fn pair(units: &str) -> [Arc<dyn Model>; 2] {
        [1, 2].map(|seed| {
            let spec = format!("ref:rbm?visible=6&hidden=4&scale=1.5&units={units}&seed={seed}");
            builtin::parse(&spec).expect("valid")
        })
    }

    fn block(units: &str, states: &Array2<f64>) -> ([Arc<dyn Model>; 2], Box<dyn Ensemble>) {
        let [one, other] = pair(units);
        let bridge = Arc::new(Bridge::new(&one, &other).expect("two machines of one size"));
        let block = bridge.adopt(states.view(), Stream::new(1)).expect("its own space");
        ([one, other], block)
    }

    #[test]
    fn densities_are_those_of_the_machines_between() {
        for units in ["bits", "spins"] {
            let states = all_states(&*pair(units)[0]);
            let ([one, other], mut block) = block(units, &states);
            assert_eq!(block.states(), states);
            let chains = states.nrows();
            let [mut first, mut second, mut ratio] = [(); 3].map(|()| vec![0.0; chains]);
            for beta in [0.0, 0.3, 1.0] {
                let exact = |beta| -blend(&one, &other, beta).expect("one space").energy(states.view());
                let mut found = Array2::zeros((chains, 1));
                block.log_density(&[beta], found.view_mut());
                block.derivatives(beta, &mut first, &mut second);
                block.log_ratio(beta, 0.7, &mut ratio);
                let (here, there, step) = (exact(beta), exact(0.7), 1e-4);
                let (up, down) = (exact(beta + step), exact(beta - step));
                for chain in 0..chains {
                    let [slope, curvature] = [
                        (up[chain] - down[chain]) / (2.0 * step),
                        (up[chain] - 2.0 * here[chain] + down[chain]) / (step * step),
                    ];
                    assert!((found[(chain, 0)] - here[chain]).abs() < 1e-5, "{units} {beta}");
                    assert!((ratio[chain] - there[chain] + here[chain]).abs() < 1e-5, "{units} {beta}");
                    assert!((first[chain] - slope).abs() < 1e-4, "{units} {beta}: {} {slope}", first[chain]);
                    assert!((second[chain] - curvature).abs() < 1e-3, "{units} {beta}");
                }
            }
        }
    }

    /// As many chains at each state as f_β says, moved once: they must be as many after it, by χ².
    #[test]
    fn steps_leave_the_machine_between_alone() {
        for (units, beta) in [("bits", 0.4), ("spins", 1.0)] {
            let [one, other] = pair(units);
            let all = all_states(&*one);
            let model = blend(&one, &other, beta).expect("one space");
            let weights = model.energy(all.view()).mapv(|energy| (-energy).exp());
            let shares = &weights / weights.sum();
            let picks: Vec<usize> = (0..all.nrows())
                .flat_map(|state| std::iter::repeat_n(state, (shares[state] * 60_000.0).round() as usize))
                .collect();
            let starts = all.select(Axis(0), &picks);
            let family = between(&one, &other, starts.view(), Stream::new(4)).expect("its own space");
            let mut population = family.expect("two machines of one size");
            population.step(beta, Move::Forward);
            let moved = population.states();
            assert!(moved.rows().into_iter().zip(starts.rows()).any(|(a, b)| a != b));
            let (mut chi2, mut degrees) = (0.0, -1.0);
            for (state, share) in all.rows().into_iter().zip(&shares) {
                let expected = share * moved.nrows() as f64;
                if expected >= 5.0 {
                    let seen = moved.rows().into_iter().filter(|row| row == state).count() as f64;
                    chi2 += (seen - expected).powi(2) / expected;
                    degrees += 1.0;
                }
            }
            assert!(degrees > 10.0 && chi2 < degrees + 4.5 * f64::sqrt(2.0 * degrees), "{chi2} of {degrees}");
        }
    }

    #[test]
    fn copies_and_exchanges_take_all_along() {
        let states = all_states(&*pair("bits")[0]);
        let (_, mut block) = block("bits", &states);
        let [one, other] = pair("bits");
        let bridge = Arc::new(Bridge::new(&one, &other).expect("two machines of one size"));
        let backwards: Vec<usize> = (0..states.nrows()).rev().collect();
        let reversed = states.select(Axis(0), &backwards);
        let mut mirror = bridge.adopt(reversed.view(), Stream::new(2)).expect("its own space");
        let mut mask = vec![false; states.nrows()];
        mask[3] = true;
        block.exchange(mirror.as_mut(), &mask);
        block.copy_chains(&[(0, 5)]);
        block.copy_chains_from(mirror.as_ref(), &[(1, 7)]);
        let mut expected = states.clone();
        for (to, from) in [(3, reversed.row(3)), (0, states.row(5)), (1, reversed.row(7))] {
            expected.row_mut(to).assign(&from);
        }
        assert_eq!(block.states(), expected);
        assert_eq!(mirror.states().row(3), states.row(3));
        let densities = |block: &mut dyn Ensemble| {
            let mut out = Array2::zeros((states.nrows(), 1));
            block.log_density(&[0.6], out.view_mut());
            out
        };
        let mut fresh = bridge.adopt(expected.view(), Stream::new(3)).expect("its own space");
        assert_eq!(densities(block.as_mut()), densities(fresh.as_mut()));
        assert_eq!(block.chains(), fresh.chains());
    }

    #[test]
    fn only_two_machines_of_one_size_and_of_usual_parameters_have_a_bridge() {
        let parse = |spec: &str| builtin::parse(spec).expect("valid");
        let [one, other] = pair("bits");
        assert!(Bridge::new(&one, &other).is_some());
        assert!(Bridge::new(&one, &pair("spins")[0]).is_none());
        assert!(Bridge::new(&one, &parse("ref:rbm?visible=6&hidden=5")).is_none());
        assert!(Bridge::new(&one, &parse("ref:boltzmann?dim=6")).is_none());
        assert!(Bridge::new(&one, &other.at_temperature(1e-6)).is_none());
    }
}
