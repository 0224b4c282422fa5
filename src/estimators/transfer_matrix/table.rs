//! A table of weights over the settings of some binary units, to which units are added and from which they are summed out.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::math::log_add_exp;
use crate::math::simd::dispatch;

/// Entries that are worked on together, so that their factors stay in the nearest cache.
const BLOCK_BITS: usize = 10;
const BLOCK: usize = 1 << BLOCK_BITS;
/// Blocks that a task takes at least.
const TASK: usize = 8;

/// How weights are held.
pub(super) trait Arithmetic: Send + Sync {
    fn of_log(log: f64) -> f64;
    fn log(weight: f64) -> f64;
    fn inverse(weight: f64) -> f64;
    fn times(x: f64, y: f64) -> f64;
    fn plus(x: f64, y: f64) -> f64;
}

/// Weights as they are.
#[derive(Debug)]
pub(super) struct Linear;

/// The logarithms of weights.
#[derive(Debug)]
pub(super) struct Logarithms;

impl Arithmetic for Linear {
    #[inline(always)]
    fn of_log(log: f64) -> f64 {
        log.exp()
    }
    #[inline(always)]
    fn log(weight: f64) -> f64 {
        weight.ln()
    }
    #[inline(always)]
    fn inverse(weight: f64) -> f64 {
        1.0 / weight
    }
    #[inline(always)]
    fn times(x: f64, y: f64) -> f64 {
        x * y
    }
    #[inline(always)]
    fn plus(x: f64, y: f64) -> f64 {
        x + y
    }
}

impl Arithmetic for Logarithms {
    #[inline(always)]
    fn of_log(log: f64) -> f64 {
        log
    }
    #[inline(always)]
    fn log(weight: f64) -> f64 {
        weight
    }
    #[inline(always)]
    fn inverse(weight: f64) -> f64 {
        -weight
    }
    #[inline(always)]
    fn times(x: f64, y: f64) -> f64 {
        x + y
    }
    #[inline(always)]
    fn plus(x: f64, y: f64) -> f64 {
        log_add_exp(x, y)
    }
}

/// A unit to be added: its field, and its couplings to units that the table is over.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) field: f64,
    pub(super) links: Vec<Link>,
}

/// A coupling to the unit that is this bit of the table's index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) bit: usize,
    pub(super) coupling: f64,
}

/// Weights relative to exp(log_scale); bit k of an index says which value the k-th unit has.
#[derive(Debug)]
pub(super) struct Table<A> {
    values: [f64; 2],
    weights: Vec<f64>,
    largest: f64,
    log_scale: f64,
    arithmetic: PhantomData<A>,
}

/// The factors of a new unit, `[its value][the other's value]` where there is another; all at most 1.
#[derive(Debug)]
struct Factors {
    own: [f64; 2],
    /// Products over the links within a block.
    low: [Vec<f64>; 2],
    /// By the bit of the block's number.
    high: Vec<(usize, [[f64; 2]; 2])>,
}

impl<A: Arithmetic> Table<A> {
    /// Entries from which on another thread helps.
    pub(super) const SHARED: f64 = (BLOCK * TASK) as f64;

    /// The empty product.
    pub(super) fn new(values: [f64; 2]) -> Self {
        let one = A::of_log(0.0);
        Self { values, weights: vec![one], largest: one, log_scale: 0.0, arithmetic: PhantomData }
    }

    /// The logarithm of the one weight that is left when all units are summed out.
    pub(super) fn log_total(&self) -> f64 {
        self.log_scale + A::log(self.weights[0])
    }

    /// Adds a unit as a new highest bit.
    pub(super) fn grow(&mut self, site: Site) {
        let factors = self.factors(&site, None);
        let scale = self.rescale();
        let count = self.weights.len();
        self.weights.resize(2 * count, 0.0);
        let (low, high) = self.weights.split_at_mut(count);
        self.largest = low
            .par_chunks_mut(BLOCK)
            .zip(high.par_chunks_mut(BLOCK))
            .enumerate()
            .with_min_len(TASK)
            .map(|(block, (low, high))| {
                let [a, b] = factors.at::<A>(block, scale);
                dispatch(
                    #[inline(always)]
                    || {
                        for (k, (low, high)) in low.iter_mut().zip(high.iter_mut()).enumerate() {
                            let old = *low;
                            *low = A::times(A::times(a, factors.low[0][k]), old);
                            *high = A::times(A::times(b, factors.low[1][k]), old);
                        }
                        larger(largest(low), largest(high))
                    },
                )
            })
            .reduce(|| f64::NEG_INFINITY, f64::max);
    }

    /// Adds a unit and sums it out at once.
    pub(super) fn pass(&mut self, site: Site) {
        let factors = self.factors(&site, None);
        let scale = self.rescale();
        self.largest = self
            .weights
            .par_chunks_mut(BLOCK)
            .enumerate()
            .with_min_len(TASK)
            .map(|(block, weights)| {
                let [a, b] = factors.at::<A>(block, scale);
                dispatch(
                    #[inline(always)]
                    || {
                        for ((weight, x), y) in weights.iter_mut().zip(&factors.low[0]).zip(&factors.low[1]) {
                            *weight = A::times(*weight, A::plus(A::times(a, *x), A::times(b, *y)));
                        }
                        largest(weights)
                    },
                )
            })
            .reduce(|| f64::NEG_INFINITY, f64::max);
    }

    /// Adds a unit and sums out the one that is `bit`, whose place it takes.
    pub(super) fn replace(&mut self, bit: usize, site: Site) {
        let factors = self.factors(&site, Some(bit));
        let scale = self.rescale();
        let couplings = site.links.iter().filter(|link| link.bit == bit).map(|link| link.coupling);
        let pull = normalised(self.values, couplings.sum()).map(|row| row.map(A::of_log));
        let mix = |block: usize| {
            let own = factors.at::<A>(block, scale);
            [0, 1].map(|s| pull[s].map(|weight| A::times(own[s], weight)))
        };
        let own = [factors.low[0].as_slice(), factors.low[1].as_slice()];
        let stride = 1 << bit;
        self.largest = if stride < BLOCK {
            self.weights
                .par_chunks_mut(BLOCK)
                .enumerate()
                .with_min_len(TASK)
                .map(|(block, weights)| {
                    let mix = mix(block);
                    dispatch(
                        #[inline(always)]
                        || {
                            match stride {
                                1 => mix_near::<A, 1>(weights, own, mix),
                                2 => mix_near::<A, 2>(weights, own, mix),
                                4 => mix_near::<A, 4>(weights, own, mix),
                                _ => {
                                    let pairs = weights.chunks_exact_mut(2 * stride);
                                    for (number, pair) in pairs.enumerate() {
                                        let (low, high) = pair.split_at_mut(stride);
                                        let from = 2 * stride * number;
                                        let own = own.map(|own| &own[from..from + stride]);
                                        mix_rows::<A>(low, high, own, mix);
                                    }
                                }
                            }
                            largest(weights)
                        },
                    )
                })
                .reduce(|| f64::NEG_INFINITY, f64::max)
        } else {
            let mut pairs = Vec::with_capacity(self.weights.len() / (2 * BLOCK));
            for (number, chunk) in self.weights.chunks_exact_mut(2 * stride).enumerate() {
                let (low, high) = chunk.split_at_mut(stride);
                let first = 2 * stride / BLOCK * number;
                let blocks = low.chunks_exact_mut(BLOCK).zip(high.chunks_exact_mut(BLOCK));
                pairs.extend(blocks.enumerate().map(|(k, (low, high))| (first + k, low, high)));
            }
            pairs
                .into_par_iter()
                .with_min_len(TASK / 2)
                .map(|(block, low, high)| {
                    let mix = mix(block);
                    dispatch(
                        #[inline(always)]
                        || {
                            mix_rows::<A>(low, high, own, mix);
                            larger(largest(low), largest(high))
                        },
                    )
                })
                .reduce(|| f64::NEG_INFINITY, f64::max)
        };
    }

    /// Sums out the unit that is `bit`; higher bits move down.
    pub(super) fn sum_out(&mut self, bit: usize) {
        let stride = 1usize << bit;
        let old = &self.weights;
        let mut new = vec![0.0; old.len() / 2];
        // Aligned pieces of the new table: each lies within one stride or is made of whole ones.
        self.largest = new
            .par_chunks_mut(BLOCK)
            .enumerate()
            .with_min_len(TASK)
            .map(|(block, new)| {
                let from = block * BLOCK;
                let length = stride.min(new.len());
                dispatch(
                    #[inline(always)]
                    || {
                        for (k, row) in new.chunks_exact_mut(length).enumerate() {
                            let index = from + k * length;
                            let start = (index / stride * 2) * stride + index % stride;
                            let (low, high) = (&old[start..start + length], &old[start + stride..][..length]);
                            for ((sum, low), high) in row.iter_mut().zip(low).zip(high) {
                                *sum = A::plus(*low, *high);
                            }
                        }
                        largest(new)
                    },
                )
            })
            .reduce(|| f64::NEG_INFINITY, f64::max);
        self.weights = new;
    }

    /// The factor that makes the largest weight 1, which `log_scale` then holds.
    fn rescale(&mut self) -> f64 {
        self.log_scale += A::log(self.largest);
        A::inverse(self.largest)
    }

    /// All factors of a new unit but that of its link to `except`, with the largest possible product 1; the rest goes to
    /// `log_scale`.
    fn factors(&mut self, site: &Site, except: Option<usize>) -> Factors {
        let mut own = self.values.map(|value| site.field * value);
        for link in &site.links {
            own = [0, 1].map(|s| own[s] + top(self.values, link.coupling, s));
        }
        let best = own[0].max(own[1]);
        self.log_scale += best;
        let own = own.map(|log| A::of_log(log - best));
        let bits = (self.weights.len().ilog2() as usize).min(BLOCK_BITS);
        let mut near = [None; BLOCK_BITS];
        let mut high = Vec::new();
        for link in site.links.iter().filter(|link| Some(link.bit) != except) {
            let factor = normalised(self.values, link.coupling).map(|row| row.map(A::of_log));
            if link.bit < BLOCK_BITS {
                near[link.bit] = Some(factor);
            } else {
                high.push((link.bit - BLOCK_BITS, factor));
            }
        }
        let low = [0, 1].map(|s| {
            let mut products = Vec::with_capacity(1 << bits);
            products.push(A::of_log(0.0));
            for factor in &near[..bits] {
                let half = products.len();
                products.extend_from_within(..);
                if let Some(factor) = factor {
                    for (place, product) in products.iter_mut().enumerate() {
                        *product = A::times(*product, factor[s][usize::from(place >= half)]);
                    }
                }
            }
            products
        });
        Factors { own, low, high }
    }
}

impl Factors {
    /// What all entries of a block share, times `scale`.
    fn at<A: Arithmetic>(&self, block: usize, scale: f64) -> [f64; 2] {
        [0, 1].map(|s| {
            let shared = self
                .high
                .iter()
                .fold(self.own[s], |product, (bit, factor)| A::times(product, factor[s][block >> bit & 1]));
            A::times(shared, scale)
        })
    }
}

/// The largest J x y over y, for x the s-th value.
fn top(values: [f64; 2], coupling: f64, s: usize) -> f64 {
    let [low, high] = values.map(|other| coupling * values[s] * other);
    low.max(high)
}

/// J x y less its largest value over y, for each x and y.
fn normalised(values: [f64; 2], coupling: f64) -> [[f64; 2]; 2] {
    [0, 1].map(|s| values.map(|other| coupling * values[s] * other - top(values, coupling, s)))
}

/// Both rows mixed, each entry then times its own factor.
#[inline(always)]
fn mix_rows<A: Arithmetic>(low: &mut [f64], high: &mut [f64], own: [&[f64]; 2], mix: [[f64; 2]; 2]) {
    for (((low, high), a), b) in low.iter_mut().zip(high).zip(own[0]).zip(own[1]) {
        let (x, y) = (*low, *high);
        *low = A::times(A::plus(A::times(mix[0][0], x), A::times(mix[0][1], y)), *a);
        *high = A::times(A::plus(A::times(mix[1][0], x), A::times(mix[1][1], y)), *b);
    }
}

/// As [`mix_rows`], with rows of N entries next to each other.
#[inline(always)]
fn mix_near<A: Arithmetic, const N: usize>(weights: &mut [f64], own: [&[f64]; 2], mix: [[f64; 2]; 2]) {
    for ((pair, a), b) in
        weights.chunks_exact_mut(2 * N).zip(own[0].chunks_exact(2 * N)).zip(own[1].chunks_exact(2 * N))
    {
        for k in 0..N {
            let (x, y) = (pair[k], pair[k + N]);
            pair[k] = A::times(A::plus(A::times(mix[0][0], x), A::times(mix[0][1], y)), a[k]);
            pair[k + N] = A::times(A::plus(A::times(mix[1][0], x), A::times(mix[1][1], y)), b[k]);
        }
    }
}

#[inline(always)]
fn larger(x: f64, y: f64) -> f64 {
    if x > y { x } else { y }
}

#[inline(always)]
fn largest(weights: &[f64]) -> f64 {
    let (whole, rest) = weights.as_chunks::<8>();
    let mut tops = [f64::NEG_INFINITY; 8];
    for chunk in whole {
        for k in 0..8 {
            tops[k] = larger(chunk[k], tops[k]);
        }
    }
    rest.iter().chain(&tops).copied().fold(f64::NEG_INFINITY, larger)
}
