//! Sweeps of single-site Gibbs updates, 32 chains at once.

use crate::math::simd::{self, LANES, Lanes, dispatch};

/// Chains of a group: sums of them fill enough registers to hide what an addition takes.
pub(super) const GROUP: usize = 2 * LANES;

/// A number of each chain of a group.
pub(super) type Chains<T = f64> = [T; GROUP];

/// The values of one site, at the start of a cache line so that no vector of them straddles two.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Row(pub(super) Chains);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interaction {
    /// k(x, y) = x y.
    Product,
    /// k(x, y) = δ(x, y).
    Delta,
}

/// Who is coupled to whom, and how strongly.
#[derive(Debug)]
pub(super) struct Couplings {
    pub(super) interaction: Interaction,
    sites: Vec<Neighbours>,
}

/// Neighbours of a site and their couplings, in the order of the sites.
#[derive(Clone, Debug, Default)]
struct Neighbours {
    sites: Vec<u32>,
    couplings: Vec<f64>,
    /// How many come before the site.
    earlier: usize,
}

/// log f_β less what pairs contribute: fields on each site's values.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// The values of a site.
    pub(super) values: &'a [f64],
    /// g and g⁰ of each site's values, site by site.
    pub(super) target: &'a [f64],
    pub(super) reference: &'a [f64],
}

/// What chains add up to: Σ_{i<j} Jᵢⱼ k(xᵢ, xⱼ) + Σᵢ gᵢ(xᵢ), and Σᵢ g⁰ᵢ(xᵢ).
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) target: Chains,
    pub(super) reference: Chains,
}

impl Sums {
    pub(super) const ZERO: Self = Self { target: [0.0; GROUP], reference: [0.0; GROUP] };
}

impl Couplings {
    /// Couplings of `edges` between `dim` sites.
    pub(super) fn new(interaction: Interaction, dim: usize, edges: &[(usize, usize, f64)]) -> Self {
        let mut lists = vec![Vec::new(); dim];
        for &(a, b, coupling) in edges {
            lists[a].push((b, coupling));
            lists[b].push((a, coupling));
        }
        let sites = lists
            .into_iter()
            .enumerate()
            .map(|(site, mut list)| {
                list.sort_unstable_by_key(|(other, _)| *other);
                let earlier = list.partition_point(|(other, _)| *other < site);
                let (sites, couplings) = list.into_iter().map(|(other, value)| (other as u32, value)).unzip();
                Neighbours { sites, couplings, earlier }
            })
            .collect();
        Self { interaction, sites }
    }

    /// One sweep at β of a group of chains whose states are `states`, a row per site; what they add up to afterwards.
    ///
    /// A site's pull comes first from neighbours visited before it and then from the others. The first part is what pairs
    /// contribute in the end, so the sums are made anew in every sweep and no rounding is carried on.
    pub(super) fn sweep(
        &self,
        fields: &Fields<'_>,
        beta: f64,
        reversed: bool,
        states: &mut [Row],
        lanes: &mut Lanes,
    ) -> Sums {
        dispatch(
            #[inline(always)]
            || {
                let mut sums = Sums::ZERO;
                let mut room = vec![Room::ZERO; fields.values.len()];
                for k in 0..states.len() {
                    let site = if reversed { states.len() - 1 - k } else { k };
                    match self.interaction {
                        Interaction::Product => {
                            self.update_two(fields, beta, reversed, site, states, &mut sums, lanes);
                        }
                        Interaction::Delta => {
                            self.update_many(
                                fields, beta, reversed, site, states, &mut sums, &mut room, lanes,
                            );
                        }
                    }
                }
                sums
            },
        )
    }

    /// What states add up to.
    pub(super) fn sums(&self, fields: &Fields<'_>, states: &[Row]) -> Sums {
        let mut sums = Sums::ZERO;
        for (site, Row(x)) in states.iter().enumerate() {
            let list = &self.sites[site];
            let mut pull = [0.0; GROUP];
            for (other, coupling) in list.sites.iter().zip(&list.couplings).take(list.earlier) {
                let Row(y) = &states[*other as usize];
                for i in 0..GROUP {
                    pull[i] += match self.interaction {
                        Interaction::Product => coupling * x[i] * y[i],
                        Interaction::Delta => {
                            if x[i] == y[i] {
                                *coupling
                            } else {
                                0.0
                            }
                        }
                    };
                }
            }
            for i in 0..GROUP {
                let value =
                    fields.values.iter().position(|value| *value == x[i]).expect("a state is a value");
                let place = site * fields.values.len() + value;
                sums.target[i] += pull[i] + fields.target[place];
                sums.reference[i] += fields.reference[place];
            }
        }
        sums
    }

    /// Draws a site of two values whose neighbours pull by the product.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "inlined into the sweep")]
    fn update_two(
        &self,
        fields: &Fields<'_>,
        beta: f64,
        reversed: bool,
        site: usize,
        states: &mut [Row],
        sums: &mut Sums,
        lanes: &mut Lanes,
    ) {
        let [low, high] = [fields.values[0], fields.values[1]];
        let [t0, t1] = [fields.target[2 * site], fields.target[2 * site + 1]];
        let [r0, r1] = [fields.reference[2 * site], fields.reference[2 * site + 1]];
        let (before, after) = self.sites[site].parts(reversed);
        let mut pull = [0.0; GROUP];
        add_products(&mut pull, before, states);
        let settled = pull;
        add_products(&mut pull, after, states);
        let (slope, offset) = (beta * (high - low), beta * (t1 - t0) + (1.0 - beta) * (r1 - r0));
        let mut logits = [0.0; GROUP];
        for i in 0..GROUP {
            logits[i] = (slope * pull[i] + offset) as f32;
        }
        let mut bits = [0.0; GROUP];
        simd::draw_bits(lanes, 1.0, &logits, &[], &mut bits);
        let Row(x) = &mut states[site];
        for i in 0..GROUP {
            x[i] = if bits[i] == 0.0 { low } else { high };
            sums.target[i] += settled[i] * x[i] + if bits[i] == 0.0 { t0 } else { t1 };
            sums.reference[i] += if bits[i] == 0.0 { r0 } else { r1 };
        }
    }

    /// Draws a site of any number of values, which neighbours of the same value pull at.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "inlined into the sweep")]
    fn update_many(
        &self,
        fields: &Fields<'_>,
        beta: f64,
        reversed: bool,
        site: usize,
        states: &mut [Row],
        sums: &mut Sums,
        room: &mut [Room],
        lanes: &mut Lanes,
    ) {
        let count = fields.values.len();
        let target = &fields.target[count * site..][..count];
        let reference = &fields.reference[count * site..][..count];
        let (before, after) = self.sites[site].parts(reversed);
        for s in 0..count {
            let room = &mut room[s];
            let mut pull = [0.0; GROUP];
            add_equals(&mut pull, fields.values[s], before, states);
            room.settled = pull;
            add_equals(&mut pull, fields.values[s], after, states);
            let offset = beta * target[s] + (1.0 - beta) * reference[s];
            for i in 0..GROUP {
                room.logits[i] = beta * pull[i] + offset;
            }
        }
        let drawn = draw(room, lanes);
        let mut x = [0.0; GROUP];
        let (mut gain, mut base) = ([0.0; GROUP], [0.0; GROUP]);
        for s in 0..count {
            let settled = &room[s].settled;
            for i in 0..GROUP {
                let here = drawn[i] == s as f32;
                x[i] = if here { fields.values[s] } else { x[i] };
                gain[i] = if here { settled[i] + target[s] } else { gain[i] };
                base[i] = if here { reference[s] } else { base[i] };
            }
        }
        states[site].0 = x;
        for i in 0..GROUP {
            sums.target[i] += gain[i];
            sums.reference[i] += base[i];
        }
    }
}

impl Neighbours {
    /// Those that a sweep visits before the site, and those that it visits after.
    #[inline(always)]
    fn parts(&self, reversed: bool) -> (Part<'_>, Part<'_>) {
        let (before, after) = self.sites.split_at(self.earlier);
        let (strong_before, strong_after) = self.couplings.split_at(self.earlier);
        if reversed {
            ((after, strong_after), (before, strong_before))
        } else {
            ((before, strong_before), (after, strong_after))
        }
    }
}

/// Some neighbours and their couplings.
type Part<'a> = (&'a [u32], &'a [f64]);

/// Adds Σⱼ Jⱼ xⱼ.
#[inline(always)]
fn add_products(pull: &mut Chains, (sites, couplings): Part<'_>, states: &[Row]) {
    let mut sum = *pull;
    for (&site, &coupling) in sites.iter().zip(couplings) {
        let Row(x) = &states[site as usize];
        for i in 0..GROUP {
            sum[i] += coupling * x[i];
        }
    }
    *pull = sum;
}

/// Adds Σⱼ Jⱼ δ(value, xⱼ).
#[inline(always)]
fn add_equals(pull: &mut Chains, value: f64, (sites, couplings): Part<'_>, states: &[Row]) {
    let mut sum = *pull;
    for (&site, &coupling) in sites.iter().zip(couplings) {
        let Row(x) = &states[site as usize];
        for i in 0..GROUP {
            sum[i] = if x[i] == value { sum[i] + coupling } else { sum[i] };
        }
    }
    *pull = sum;
}

/// What is known of one value while a site is drawn.
#[derive(Clone, Debug)]
struct Room {
    /// Its pull by neighbours that have been visited.
    settled: Chains,
    logits: Chains,
    /// Weights of this value and all before it, the likeliest value left out.
    running: Chains<f32>,
}

impl Room {
    const ZERO: Self = Self { settled: [0.0; GROUP], logits: [0.0; GROUP], running: [0.0; GROUP] };
}

/// Numbers of values drawn with probability ∝ exp(logits).
///
/// The likeliest value comes last: the uniform number and the sums of the others' weights are small together where these are
/// rare, so that f32 keeps the precision of their probabilities.
#[inline(always)]
fn draw(room: &mut [Room], lanes: &mut Lanes) -> Chains<f32> {
    let (mut largest, mut likeliest) = (room[0].logits, [0.0; GROUP]);
    for (s, room) in room.iter().enumerate().skip(1) {
        for i in 0..GROUP {
            let larger = room.logits[i] > largest[i];
            largest[i] = if larger { room.logits[i] } else { largest[i] };
            likeliest[i] = if larger { s as f32 } else { likeliest[i] };
        }
    }
    let mut sum = [0.0; GROUP];
    for (s, room) in room.iter_mut().enumerate() {
        let mut below = [0.0; GROUP];
        for i in 0..GROUP {
            below[i] = (room.logits[i] - largest[i]) as f32;
        }
        for i in 0..GROUP {
            let weight = simd::exp(below[i]);
            sum[i] += if likeliest[i] == s as f32 { 0.0 } else { weight };
        }
        room.running = sum;
    }
    let mut uniform = [0; GROUP];
    for words in uniform.as_chunks_mut().0 {
        *words = lanes.words();
    }
    let mut drawn = likeliest;
    for i in 0..GROUP {
        sum[i] = simd::unit(uniform[i]) * (1.0 + sum[i]);
    }
    for (s, room) in room.iter().enumerate().rev() {
        for i in 0..GROUP {
            drawn[i] = if sum[i] < room.running[i] { s as f32 } else { drawn[i] };
        }
    }
    drawn
}
