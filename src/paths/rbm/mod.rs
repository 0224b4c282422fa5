//! The path of an RBM: hidden units summed out, pre-activations cached.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::lean::{FLAT, towards_flat};
use super::{BLOCK, Bend, Ensemble, Path, Pilot, Start};
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::math::bits::BitMatrix;
use crate::models::rbm::{Rbm, softplus};
use crate::models::{GaussianRbm, Model, Space, downcast};

mod block;
mod bridge;
mod rounding;

use block::RbmBlock;
pub(super) use bridge::Bridge;

/// log f_β(v) = (1−β) r₀(v) + β r₁(v) + Σⱼ softplus(β aⱼ), a = c + vW (Salakhutdinov & Murray 2008, doi:10.1145/1390156.1390266).
///
/// For Bernoulli visible units r₀ = b⁰·v and r₁ = b·v. At β = 0 they are independent, so log Z₀ = Σ softplus(b⁰) + H log 2. It is the
/// geometric path on (v, h) with h summed out. b⁰ are the log-odds of base rates, of data's means, or of what pilot chains did, and
/// then drawn towards flat where these are in several modes. The reference of an even machine is flat whatever they did.
///
/// Gaussian units are held as u = (v − b)/σ with bW̃ folded into c, so that no large numbers cancel. Their path is
/// log f_β = −|u|²/2 + Σⱼ softplus(β² cⱼ + β (uσW̃)ⱼ): the hidden units are distributed as the model has them to the power β², since
/// log p(h) = c·h + |σW̃h|²/2 + const, and u around βσW̃h. So every hidden state is as likely as any other at β = 0, where
/// log Z₀ = ½ Σ log 2πσ² + H log 2, and clusters part along the path, none of them first: nothing is fitted. (Biases that grow as β
/// would favour hidden units that are off until the couplings, which grow as β², catch up with them.)
///
/// a does not depend on β: it is computed once a step and serves both neighbouring densities and the next Gibbs step, so a step takes
/// two matrix products; those with bits are sums of tabulated rows in fixed point ([`BitMatrix`]). Pre-activations are f32,
/// everything that is summed is f64.
///
/// Below β = 1 the path of a Bernoulli machine is that of the machine with W rounded to a step of about 2⁻¹⁶ of the largest
/// activation: products of bits are then twice as fast. That is a valid path of its own, kernels and densities alike, whose last
/// step from β < 1 to β = 1 takes log f₁ with W as it is. What that step adds to the spread of log-weights is estimated from the
/// rounding errors; where it could exceed 0.2 nats, or on request ([`Path::smooth`]), W is used throughout.
///
/// The path of a Bernoulli machine can be [bent](Bend): then b_β·v, with what the bend adds, takes the place of (1−β) r₀ + β r₁.
///
/// The kernel is block Gibbs, v → h → v, which is reversible.
#[derive(Debug)]
pub struct RbmPath {
    parameters: Arc<Parameters>,
    start: Start,
}

#[derive(Clone, Debug)]
enum Visible {
    /// The model, to translate between its units and bits.
    Bernoulli(Arc<Rbm>),
    /// The model.
    Gaussian(Arc<GaussianRbm>),
}

/// Most nats, as a standard deviation, that the rounding of W may add to a log-weight.
const MOST_ROUNDING: f64 = 0.2;

/// W for bits, σW for u: what states are multiplied by.
#[derive(Debug)]
struct Weights {
    /// From visible states to hidden units.
    inward: Inward,
    /// From hidden bits to visible units.
    outward: BitMatrix<u32>,
}

/// W rounded so that products fit into 16 bits.
#[derive(Debug)]
struct Coarse {
    inward: BitMatrix<u16>,
    outward: BitMatrix<u16>,
}

impl Coarse {
    /// `None` where rounding would matter.
    fn new(weights: ArrayView2<'_, f64>) -> Option<Self> {
        let step = BitMatrix::step(weights);
        (rounding::spread(weights, step) <= MOST_ROUNDING).then(|| Self {
            inward: BitMatrix::quantised(weights, step),
            outward: BitMatrix::quantised(weights.t(), step),
        })
    }
}

#[derive(Debug)]
enum Inward {
    Bits(BitMatrix<u32>),
    Dense(Array2<f32>),
}

/// What the blocks of one path share.
#[derive(Clone, Debug)]
struct Parameters {
    visible: Visible,
    weights: Arc<Weights>,
    /// What is used below β = 1, if not the same.
    coarse: Option<Arc<Coarse>>,
    hidden_bias: Vec<f32>,
    /// b and b⁰.
    target_bias: Array1<f64>,
    reference_bias: Array1<f64>,
    /// r₁(v) − r₀(v) = tilt·v for bits, nothing for u.
    tilt: Vec<f64>,
    /// What bends the visible biases of bits, and whether it is anything.
    bend: Bend,
    is_bent: bool,
    /// −(the model's constant energy).
    constant: f64,
}

/// The RBM path for a model that is an RBM; base rates from `data`, else from the model's file, else left to pilots. An RBM
/// whose activations are too large for f32 is left to the paths in f64, and one too large for those is refused.
pub(super) fn for_model(
    model: &Arc<dyn Model>,
    data: Option<ArrayView2<'_, f64>>,
) -> Option<Result<Arc<dyn Path>>> {
    let (path, scale, most): (Box<dyn FnOnce() -> RbmPath + '_>, f64, f64) = if let Some(rbm) =
        downcast::<Rbm>(model)
    {
        let scale = rounding::scale(rbm.weights().view(), rbm.hidden_bias(), &Array1::ones(rbm.visible()));
        let most = rounding::most_in_f32(rbm.visible(), rbm.hidden());
        (Box::new(move || RbmPath::bernoulli(rbm, data)), scale, most)
    } else {
        let rbm = downcast::<GaussianRbm>(model)?;
        let weights = whitened(&rbm);
        // u = (v − b)/σ is σW̃h and noise.
        let reach = weights.mapv(f64::abs).sum_axis(Axis(1)) + 3.0;
        let folded = rbm.hidden_bias() + &rbm.visible_bias().dot(rbm.scaled_weights());
        let scale = rounding::scale(weights.view(), &folded, &reach);
        (Box::new(move || RbmPath::gaussian(rbm)), scale, rounding::MOST)
    };
    if rounding::in_f64(scale) > rounding::MOST {
        let reason = format!(
            "activations of this {} reach {scale:.0e}, so that rounding is worth {:.0e} nats of a log-weight; \
             only an exact method (`lnz exact`) can tell its log Z",
            model.kind(),
            rounding::in_f64(scale)
        );
        return Some(Err(Error::NotApplicable { estimator: "annealing", reason }));
    }
    (rounding::in_f32(scale) <= most).then(|| Ok(Arc::new(path()) as Arc<dyn Path>))
}

/// σW̃, which multiplies u.
fn whitened(rbm: &GaussianRbm) -> Array2<f64> {
    rbm.scaled_weights() * &rbm.sigma().view().insert_axis(Axis(1))
}

impl RbmPath {
    /// The path of a Bernoulli RBM. `data` (rows in the machine's units) gives b⁰ = log-odds of its means.
    #[must_use]
    pub fn bernoulli(rbm: Arc<Rbm>, data: Option<ArrayView2<'_, f64>>) -> Self {
        let (reference_bias, start) = match (data, rbm.base_rates()) {
            (Some(data), _) => (log_odds(rbm.to_bits(data).view()), Start::Known),
            (None, Some(rates)) => (rates.mapv(|rate| logit(rate.clamp(1e-3, 1.0 - 1e-3))), Start::Known),
            (None, None) if rbm.is_even() => (Array1::zeros(rbm.visible()), Start::Flat),
            (None, None) => (Array1::zeros(rbm.visible()), Start::Open),
        };
        let parameters = Parameters {
            weights: Arc::new(Weights {
                inward: Inward::Bits(BitMatrix::new(rbm.weights().view())),
                outward: BitMatrix::new(rbm.weights().t()),
            }),
            coarse: Coarse::new(rbm.weights().view()).map(Arc::new),
            hidden_bias: rbm.hidden_bias().iter().map(|&c| c as f32).collect(),
            target_bias: rbm.visible_bias().clone(),
            constant: -rbm.offset(),
            visible: Visible::Bernoulli(rbm),
            reference_bias: Array1::zeros(0),
            tilt: Vec::new(),
            bend: Bend::none(reference_bias.len()),
            is_bent: false,
        };
        Self { parameters: Arc::new(parameters.with_reference(reference_bias)), start }
    }

    /// The path of a Gaussian–Bernoulli RBM.
    #[must_use]
    pub fn gaussian(rbm: Arc<GaussianRbm>) -> Self {
        let reference_bias = rbm.visible_bias().clone();
        let weights = whitened(&rbm);
        let parameters = Parameters {
            weights: Arc::new(Weights {
                inward: Inward::Dense(weights.mapv(|w| w as f32)),
                outward: BitMatrix::new(weights.t()),
            }),
            coarse: None,
            hidden_bias: Vec::new(),
            target_bias: rbm.visible_bias().clone(),
            constant: 0.0,
            visible: Visible::Gaussian(rbm),
            reference_bias: Array1::zeros(0),
            tilt: Vec::new(),
            bend: Bend::none(0),
            is_bent: false,
        };
        Self { parameters: Arc::new(parameters.with_reference(reference_bias)), start: Start::Flat }
    }

    /// The same path with other parameters.
    fn with(&self, parameters: Parameters) -> Arc<dyn Path> {
        Arc::new(Self { parameters: Arc::new(parameters), start: self.start })
    }
}

fn logit(rate: f64) -> f64 {
    (rate / (1.0 - rate)).ln()
}

/// Log-odds of the means of bits, each drawn towards ½ by one observation of each value, so that none is infinite.
fn log_odds(bits: ArrayView2<'_, f64>) -> Array1<f64> {
    let rows = bits.nrows() as f64;
    bits.sum_axis(Axis(0)).mapv(|ones| logit(((ones + 1.0) / (rows + 2.0)).clamp(1e-3, 1.0 - 1e-3)))
}

impl Parameters {
    fn with_reference(mut self, reference_bias: Array1<f64>) -> Self {
        match &self.visible {
            Visible::Bernoulli(_) => self.tilt = (&self.target_bias - &reference_bias).to_vec(),
            Visible::Gaussian(rbm) => {
                let folded = rbm.hidden_bias() + &reference_bias.dot(rbm.scaled_weights());
                self.hidden_bias = folded.iter().map(|&c| c as f32).collect();
            }
        }
        self.reference_bias = reference_bias;
        self
    }

    fn is_gaussian(&self) -> bool {
        matches!(self.visible, Visible::Gaussian(_))
    }

    /// The coarse weights, where f_β goes by them.
    fn coarse_at(&self, beta: f64) -> Option<&Coarse> {
        self.coarse.as_deref().filter(|_| beta < 1.0)
    }

    /// What is added to βhWᵀ for bits: (1−β) b⁰ + β b and what bends it.
    fn bias_at(&self, beta: f64) -> Vec<f32> {
        let mut bias = (1.0 - beta) * &self.reference_bias + beta * &self.target_bias;
        if self.is_bent {
            bias += &self.bend.at(beta);
        }
        bias.iter().map(|&b| b as f32).collect()
    }
}

impl Path for RbmPath {
    fn space(&self) -> Space {
        match &self.parameters.visible {
            Visible::Bernoulli(rbm) => rbm.space(),
            Visible::Gaussian(rbm) => rbm.space(),
        }
    }

    fn log_z_reference(&self) -> f64 {
        let hidden = self.parameters.hidden_bias.len() as f64 * std::f64::consts::LN_2;
        let visible: f64 = match &self.parameters.visible {
            Visible::Bernoulli(_) => self.parameters.reference_bias.iter().map(|&b| softplus(b)).sum(),
            Visible::Gaussian(rbm) => {
                rbm.sigma().iter().map(|s| 0.5 * (2.0 * std::f64::consts::PI * s * s).ln()).sum()
            }
        };
        visible + hidden + self.parameters.constant
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        Box::new(RbmBlock::from_reference(Arc::clone(&self.parameters), chains, stream))
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.space().check(states)?;
        Ok(Box::new(RbmBlock::at(Arc::clone(&self.parameters), states, stream)))
    }

    /// Half as many where there are few, so that a second thread has work.
    fn block_size(&self, chains: usize) -> usize {
        if chains < 4 * BLOCK { BLOCK / 2 } else { BLOCK }
    }

    fn tuned(&self, pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        let Visible::Bernoulli(rbm) = &self.parameters.visible else { return None };
        if self.start != Start::Open {
            return None;
        }
        let bits = rbm.to_bits(pilot.states);
        let odds = log_odds(bits.view());
        let lean = Array2::from_shape_fn((odds.len(), 2), |(i, bit)| odds[i] * (bit as f64 - 0.5));
        let lean = towards_flat(lean, &[0.0, 1.0], bits.view());
        let reference_bias = &lean.column(1) - &lean.column(0);
        Some(self.with((*self.parameters).clone().with_reference(reference_bias)))
    }

    fn flat(&self) -> Option<Arc<dyn Path>> {
        let leans = self.parameters.reference_bias.iter().any(|bias| bias.abs() > FLAT);
        if self.start == Start::Flat || (self.start == Start::Known && !leans) {
            return None;
        }
        let bits = self.parameters.reference_bias.len();
        let parameters = Parameters { bend: Bend::none(bits), is_bent: false, ..(*self.parameters).clone() };
        let parameters = parameters.with_reference(Array1::zeros(bits));
        Some(Arc::new(Self { parameters: Arc::new(parameters), start: Start::Flat }))
    }

    fn start(&self) -> Option<Start> {
        Some(self.start)
    }

    /// Not of an even machine: its means are a half all the way, and chains that left them for one of two modes would bend it.
    fn bend(&self) -> Option<&Bend> {
        matches!(&self.parameters.visible, Visible::Bernoulli(rbm) if !rbm.is_even())
            .then_some(&self.parameters.bend)
    }

    fn bent(&self, bend: Bend) -> Option<Arc<dyn Path>> {
        let bits = self.bend()?.coefficients().ncols();
        (bend.coefficients().ncols() == bits)
            .then(|| self.with(Parameters { bend, is_bent: true, ..(*self.parameters).clone() }))
    }

    fn better_bend(
        &self,
        betas: &[f64],
        means: ArrayView2<'_, f64>,
        model: ArrayView1<'_, f64>,
        share: f64,
    ) -> Option<Bend> {
        let Visible::Bernoulli(rbm) = &self.parameters.visible else { return None };
        let reference = self.parameters.reference_bias.mapv(|bias| 1.0 / (1.0 + (-bias).exp()));
        let model = rbm.to_bits(model.insert_axis(Axis(0)));
        let ends = (reference.view(), model.row(0));
        Some(self.parameters.bend.better(betas, rbm.to_bits(means).view(), ends, share))
    }

    fn smooth(&self) -> Option<Arc<dyn Path>> {
        self.parameters.coarse.as_ref()?;
        Some(self.with(Parameters { coarse: None, ..(*self.parameters).clone() }))
    }

    fn kernel(&self) -> String {
        "block Gibbs".into()
    }
}
