//! How each built-in reference is made from its parameters.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, Axis, s};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::Parameters;
use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::models::gaussian_rbm::Convention;
use crate::models::{
    Boltzmann, Gaussian, GaussianRbm, Independent, Ising, Mixture, Model, Potts, Rbm, Shells, StudentMixture,
    Units,
};

fn positive(number: f64) -> bool {
    number > 0.0
}

/// Independent numbers with this mean and standard deviation.
fn normals(generator: &mut Generator, count: usize, mean: f64, spread: f64) -> Array1<f64> {
    Array1::from_shape_simple_fn(count, || mean + spread * generator.sample::<f64, _>(StandardNormal))
}

pub(super) fn gaussian(given: &Parameters) -> Result<Arc<dyn Model>> {
    Ok(Arc::new(Gaussian::random(given.count("dim", 2048)?, given.seed()?)?))
}

pub(super) fn mixture(given: &Parameters) -> Result<Arc<dyn Model>> {
    let (dim, modes) = (given.count("dim", 128)?, given.count("modes", 64)?);
    let separation = given.number("separation", "a number from 0 to 1000000", |x| x >= 0.0)?;
    let mut generator = given.stream()?.generator();
    let weights = normals(&mut generator, modes, 0.0, 1.0).mapv_into(f64::exp);
    let means = Array2::from_shape_simple_fn((modes, dim), || {
        separation * generator.sample::<f64, _>(StandardNormal)
    });
    let mut covariances = Array3::zeros((modes, dim, dim));
    for mut covariance in covariances.outer_iter_mut() {
        // A scale per mode and coordinate and one correlated direction: unlike in shape as well as in size.
        let width = 0.5 + generator.random::<f64>();
        let stretch = normals(&mut generator, dim, 0.0, width / (dim as f64).sqrt());
        for i in 0..dim {
            covariance[[i, i]] = (width * (0.5 + generator.random::<f64>())).powi(2);
            for j in 0..dim {
                covariance[[i, j]] += stretch[i] * stretch[j];
            }
        }
    }
    Ok(Arc::new(Mixture::new(weights, means, covariances)?))
}

pub(super) fn two_modes(given: &Parameters) -> Result<Arc<dyn Model>> {
    let dim = given.count("dim", 256)?;
    let separation = given.number("separation", "a number from 0 to 1000000", |x| x >= 0.0)?;
    let ratio =
        given.number("width-ratio", "a number from 0.000001 to 1000", |x| (1e-6..=1e3).contains(&x))?;
    let weight = given.number("weight", "a positive number up to 1000000", positive)?;
    let mut means = Array2::zeros((2, dim));
    // Along a diagonal, so that no single coordinate shows the whole distance.
    means.row_mut(1).fill(separation / (dim as f64).sqrt());
    let mut covariances = Array3::zeros((2, dim, dim));
    covariances.slice_mut(s![0, .., ..]).diag_mut().fill(1.0);
    covariances.slice_mut(s![1, .., ..]).diag_mut().fill(ratio * ratio);
    Ok(Arc::new(Mixture::new(Array1::from_vec(vec![1.0, weight]), means, covariances)?))
}

/// Centres uniform on [−40, 40]² and standard deviations softplus(1), as in Midgley et al., arXiv:2208.01893.
pub(super) fn forty_modes(given: &Parameters) -> Result<Arc<dyn Model>> {
    const MODES: usize = 40;
    let mut generator = given.stream()?.generator();
    let means = Array2::from_shape_simple_fn((MODES, 2), || 80.0 * generator.random::<f64>() - 40.0);
    let variance = 1f64.exp().ln_1p().powi(2);
    let covariances = Array3::from_shape_fn((MODES, 2, 2), |(_, i, j)| if i == j { variance } else { 0.0 });
    Ok(Arc::new(Mixture::new(Array1::ones(MODES), means, covariances)?))
}

pub(super) fn student_mixture(given: &Parameters) -> Result<Arc<dyn Model>> {
    let (dim, modes) = (given.count("dim", 4096)?, given.count("modes", 256)?);
    let freedom = given.number("freedom", "a number from 0.1 to 1000000", |x| x >= 0.1)?;
    let extent = given.number("extent", "a number from 0 to 1000000", |x| x >= 0.0)?;
    let mut generator = given.stream()?.generator();
    let weights = normals(&mut generator, modes, 0.0, 1.0).mapv_into(f64::exp);
    let means =
        Array2::from_shape_simple_fn((modes, dim), || extent * (2.0 * generator.random::<f64>() - 1.0));
    Ok(Arc::new(StudentMixture::new(weights, means, freedom)?))
}

pub(super) fn shells(given: &Parameters) -> Result<Arc<dyn Model>> {
    let size = "a number from 0.001 to 1000";
    let within = |x: f64| (1e-3..=1e3).contains(&x);
    let (radius, width) = (given.number("radius", size, within)?, given.number("width", size, within)?);
    Ok(Arc::new(Shells::new(given.count("dim", 100_000)?, radius, width)?))
}

pub(super) fn independent(given: &Parameters) -> Result<Arc<dyn Model>> {
    let dim = given.count("dim", 1_000_000)?;
    Ok(Arc::new(Independent::bits(normals(&mut given.stream()?.generator(), dim, -0.5, 1.0))?))
}

pub(super) fn ising(given: &Parameters) -> Result<Arc<dyn Model>> {
    let lattice = given.lattice(1 << 20)?;
    Ok(Arc::new(Ising::new(lattice, given.any_number("coupling")?, given.any_number("field")?)?))
}

pub(super) fn potts(given: &Parameters) -> Result<Arc<dyn Model>> {
    let states = given.count("states", 256)?;
    let lattice = given.lattice((1 << 22) / states.max(4))?;
    let mut field = Array1::zeros(states);
    field[0] = given.any_number("field")?;
    Ok(Arc::new(Potts::on_lattice(lattice, given.any_number("coupling")?, field)?))
}

pub(super) fn spin_glass(given: &Parameters) -> Result<Arc<dyn Model>> {
    let lattice = given.lattice(4096)?;
    let spread = given.number("coupling", "a number from 0 to 1000000", |x| x >= 0.0)?;
    let plus_minus = given.choice("disorder", &[("gaussian", false), ("plus-minus", true)])?;
    let field = given.any_number("field")?;
    let mut generator = given.stream()?.generator();
    let mut couplings = Array2::zeros((lattice.sites(), lattice.sites()));
    for (i, j) in lattice.bonds() {
        let unit = if plus_minus {
            if generator.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
        } else {
            generator.sample::<f64, _>(StandardNormal)
        };
        couplings[[i, j]] = spread * unit;
        couplings[[j, i]] = spread * unit;
    }
    Ok(Arc::new(Boltzmann::new(couplings, Array1::from_elem(lattice.sites(), field), Units::Spins)?))
}

const BITS_OR_SPINS: &[(&str, Units)] = &[("bits", Units::Bits), ("spins", Units::Spins)];

pub(super) fn boltzmann(given: &Parameters) -> Result<Arc<dyn Model>> {
    let dim = given.count("dim", 4096)?;
    let spread = given.number("coupling", "a number from 0 to 1000000", |x| x >= 0.0)? / (dim as f64).sqrt();
    let units = given.choice("units", BITS_OR_SPINS)?;
    let mut generator = given.stream()?.generator();
    let fields = normals(&mut generator, dim, -0.2, 0.5);
    let mut couplings = Array2::zeros((dim, dim));
    for i in 0..dim {
        for j in 0..i {
            let value = spread * generator.sample::<f64, _>(StandardNormal);
            couplings[[i, j]] = value;
            couplings[[j, i]] = value;
        }
    }
    Ok(Arc::new(Boltzmann::new(couplings, fields, units)?))
}

/// (visible, hidden) and a matrix of weights of that shape, drawn from the generator that comes with it.
/// Independent standard normal numbers (visible, hidden), and the stream after them.
fn random_matrix(given: &Parameters) -> Result<(Array2<f64>, Generator)> {
    let (visible, hidden) = (given.count("visible", 16_384)?, given.count("hidden", 16_384)?);
    if visible * hidden > 1 << 24 {
        let expected = format!("{visible}x{hidden} weights are too many; at most {} here", 1 << 24);
        return Err(Error::setting("reference", &given.spec, expected));
    }
    let mut generator = given.stream()?.generator();
    let matrix = Array2::from_shape_simple_fn((visible, hidden), || generator.sample(StandardNormal));
    Ok((matrix, generator))
}

fn random_weights(given: &Parameters) -> Result<(Array2<f64>, Generator)> {
    let scale = given.number("scale", "a number from 0 to 1000000", |x| x >= 0.0)?;
    let (matrix, generator) = random_matrix(given)?;
    Ok((scale * matrix, generator))
}

pub(super) fn rbm(given: &Parameters) -> Result<Arc<dyn Model>> {
    let units = given.choice("units", BITS_OR_SPINS)?;
    let (weights, mut generator) = random_weights(given)?;
    let visible_bias = normals(&mut generator, weights.nrows(), -0.5, 0.5);
    let hidden_bias = normals(&mut generator, weights.ncols(), -0.3, 0.5);
    Ok(Arc::new(Rbm::new(weights, visible_bias, hidden_bias, units)?))
}

pub(super) fn memory(given: &Parameters) -> Result<Arc<dyn Model>> {
    let size = given.number("weight", "a positive number up to 1000000", positive)?;
    let threshold = given.number("threshold", "a number from 0 to 1", |x| (0.0..=1.0).contains(&x))?;
    let (signs, _) = random_matrix(given)?;
    let weights = signs.mapv(|sign| if sign > 0.0 { size } else { -size });
    let hidden_bias =
        weights.map_axis(Axis(0), |column| -threshold * column.iter().map(|w| w.max(0.0)).sum::<f64>());
    Ok(Arc::new(Rbm::new(weights, Array1::zeros(signs.nrows()), hidden_bias, Units::Bits)?))
}

pub(super) fn gaussian_rbm(given: &Parameters) -> Result<Arc<dyn Model>> {
    let convention =
        given.choice("convention", &[("cho", Convention::Cho), ("hinton", Convention::Hinton)])?;
    let (weights, mut generator) = random_weights(given)?;
    let visible_bias = normals(&mut generator, weights.nrows(), 0.3, 1.0);
    let hidden_bias = normals(&mut generator, weights.ncols(), -0.5, 0.5);
    let sigma = Array1::from_shape_simple_fn(weights.nrows(), || 0.6 + 0.8 * generator.random::<f64>());
    Ok(Arc::new(GaussianRbm::new(weights, visible_bias, hidden_bias, sigma, convention)?))
}
