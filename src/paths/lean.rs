//! How far the reference of a finite space leans to what chains were seen to do.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::math::linear::Cholesky;

/// What a nat² of variance among chains counts beside a squared change of g.
const PENALTY: f64 = 1.0;
/// Most chains that are looked at, evenly spaced: the cost is their number cubed.
const MOST_CHAINS: usize = 512;
/// Log-odds below which a coordinate does not lean.
pub(super) const FLAT: f64 = 1e-9;
/// Coordinates whose indicators are held at once.
const SITES: usize = 256;

/// Logs g (dim, values) of the marginals of independent coordinates, drawn towards flat where chains at `states` part together.
///
/// A product of marginals gives a chain log r(x) = Σᵢ gᵢ(xᵢ). Where chains are in several modes, gᵢ that lean a little to one of them
/// add up, over many coordinates, to a reference that has forgotten the others. So g becomes the g′ that is least for
/// |g′ − g|² + λ Var[log r′] with the variance over the chains: what they agree on stays, and what they differ in together goes.
/// In terms of the centred indicators Y (chains, dim · values), g′ = g − (λ/n) Yᵀ (1 + (λ/n) Y Yᵀ)⁻¹ Y g.
pub(super) fn towards_flat(mut g: Array2<f64>, values: &[f64], states: ArrayView2<'_, f64>) -> Array2<f64> {
    let stride = states.nrows().div_ceil(MOST_CHAINS).max(1);
    let states = states.slice(s![..;stride, ..]);
    let chains = states.nrows();
    for mut row in g.rows_mut() {
        let mean = row.sum() / values.len() as f64;
        row -= mean;
    }
    // Y of some sites at a time: all of it may be larger than the chains are.
    let sites = |first: usize| first..(first + SITES).min(states.ncols());
    let parts = |first: usize| {
        let of = sites(first);
        let mut y = Array2::zeros((chains, of.len() * values.len()));
        for ((chain, site), x) in states.slice(s![.., of.clone()]).indexed_iter() {
            let value = values.iter().position(|value| value == x);
            y[(chain, site * values.len() + value.expect("states lie in the space"))] = 1.0;
        }
        if let Some(means) = y.mean_axis(Axis(0)) {
            y -= &means;
        }
        (y, Array1::from_iter(g.slice(s![of, ..]).iter().copied()))
    };
    let weight = PENALTY / chains as f64;
    let (mut system, mut differences) = (Array2::eye(chains), Array1::zeros(chains));
    for first in (0..states.ncols()).step_by(SITES) {
        let (y, g) = parts(first);
        general_mat_mul(weight, &y, &y.t(), 1.0, &mut system);
        differences += &y.dot(&g);
    }
    let factor = Cholesky::new(system.view()).expect("an identity plus a Gram matrix is positive definite");
    let shares = factor.solve(differences);
    let changes: Vec<Array1<f64>> =
        (0..states.ncols()).step_by(SITES).map(|first| weight * parts(first).0.t().dot(&shares)).collect();
    for (value, change) in g.iter_mut().zip(changes.iter().flatten()) {
        *value -= change;
    }
    g
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPINS: [f64; 2] = [-1.0, 1.0];

    fn log_odds(states: &Array2<f64>) -> Array2<f64> {
        let up = states.mapv(|s| f64::from(u8::from(s > 0.0))).mean_axis(Axis(0)).expect("some rows");
        Array2::from_shape_fn((states.ncols(), 2), |(i, s)| {
            let rate: f64 = up[i].clamp(1e-3, 1.0 - 1e-3);
            if s == 1 { rate.ln() } else { (1.0 - rate).ln() }
        })
    }

    /// Two thirds of the chains all up and a third all down, but for one site that is up in all of them.
    #[test]
    fn what_chains_differ_in_together_goes_and_what_they_agree_on_stays() {
        let states = Array2::from_shape_fn(
            (90, 40),
            |(chain, site)| {
                if site == 0 || chain % 3 > 0 { 1.0 } else { -1.0 }
            },
        );
        let g = log_odds(&states);
        let drawn = towards_flat(g.clone(), &SPINS, states.view());
        let lean = |g: &Array2<f64>, site: usize| g[(site, 1)] - g[(site, 0)];
        assert!((lean(&drawn, 0) - lean(&g, 0)).abs() < 1e-9, "all agree there");
        let modes_apart: f64 = (1..40).map(|site| lean(&drawn, site)).sum();
        assert!(lean(&g, 1) > 0.6 && modes_apart < 3.2, "{modes_apart} nats between the modes");
    }

    /// The minimum of |g′ − g|² + λ Var, by its gradient: 2 (g′ − g) + 2 λ Cov[indicators, log r′] = 0.
    #[test]
    fn it_is_the_minimum() {
        let states = Array2::from_shape_fn((30, 5), |(chain, site)| {
            SPINS[usize::from(((chain * (site + 2)) as f64 * 1.3 + site as f64).sin() > 0.2)]
        });
        let g = log_odds(&states);
        let drawn = towards_flat(g.clone(), &SPINS, states.view());
        let at = |g: &Array2<f64>, chain: usize| -> f64 {
            (0..5).map(|site| g[(site, usize::from(states[(chain, site)] > 0.0))]).sum()
        };
        let mean = (0..30).map(|chain| at(&drawn, chain)).sum::<f64>() / 30.0;
        for site in 0..5 {
            let centre = 0.5 * (g[(site, 0)] + g[(site, 1)]);
            for value in 0..2 {
                let covariance = (0..30)
                    .filter(|&chain| usize::from(states[(chain, site)] > 0.0) == value)
                    .map(|chain| at(&drawn, chain) - mean)
                    .sum::<f64>()
                    / 30.0;
                let slope = drawn[(site, value)] - (g[(site, value)] - centre) + PENALTY * covariance;
                assert!(slope.abs() < 1e-9, "{slope} at {site}, {value}");
            }
        }
    }
}
