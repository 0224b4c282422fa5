//! Cubature rules on [−1, 1]ᵈ: a value, a second one of lower order, and the axis along which to split.

use std::num::NonZeroUsize;

use gauss_quad::GaussLegendre;
use ndarray::Array2;

/// Distances of the points that measure fourth differences along each axis; λ₂ and λ₃ of Genz & Malik.
const NEAR: f64 = 0.358_568_582_800_318_1;
const FAR: f64 = 0.948_683_298_050_513_8;

/// Points of [−1, 1]ᵈ with two sets of weights that each add up to 1.
#[derive(Debug)]
pub(super) struct Rule {
    dim: usize,
    /// (nodes, d): the centre, then ±near and ±far along each axis, then the rest.
    pub(super) nodes: Array2<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
}

/// What a rule makes of the integrand's values at its nodes, as means over the cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    pub(super) mean: f64,
    pub(super) error: f64,
    /// The axis along which the integrand bends most as seen from the centre; `None` where too little is seen from there to
    /// explain the error.
    pub(super) axis: Option<usize>,
}

impl Rule {
    /// Tensor Gauss–Legendre rules of two orders up to three dimensions, Genz & Malik's pair of degrees 7 and 5
    /// (1980, doi:10.1016/0771-050X(80)90039-X) beyond.
    pub(super) fn new(dim: usize) -> Self {
        match dim {
            1 => Self::gauss_legendre(1, 15, 10),
            2 => Self::gauss_legendre(2, 10, 7),
            3 => Self::gauss_legendre(3, 8, 6),
            _ => Self::genz_malik(dim),
        }
    }

    fn cross(dim: usize) -> Vec<Vec<f64>> {
        let mut nodes = vec![vec![0.0; dim]];
        for axis in 0..dim {
            for distance in [NEAR, -NEAR, FAR, -FAR] {
                let mut node = vec![0.0; dim];
                node[axis] = distance;
                nodes.push(node);
            }
        }
        nodes
    }

    fn gauss_legendre(dim: usize, high: usize, low: usize) -> Self {
        let mut nodes = Self::cross(dim);
        let mut weights = [vec![0.0; nodes.len()], vec![0.0; nodes.len()]];
        for (which, order) in [high, low].into_iter().enumerate() {
            let rule = GaussLegendre::new(NonZeroUsize::new(order).expect("orders are positive"));
            let pairs = rule.as_node_weight_pairs();
            for mut number in 0..order.pow(dim as u32) {
                let mut weight = 1.0;
                let mut node = vec![0.0; dim];
                for x in &mut node {
                    let (position, share) = pairs[number % order];
                    *x = position;
                    weight *= 0.5 * share;
                    number /= order;
                }
                nodes.push(node);
                weights[which].push(weight);
                weights[1 - which].push(0.0);
            }
        }
        let [high, low] = weights;
        Self::assemble(dim, &nodes, high, low)
    }

    fn genz_malik(dim: usize) -> Self {
        let n = dim as f64;
        let mut nodes = Self::cross(dim);
        let mut high = vec![(12_824.0 - 9_120.0 * n + 400.0 * n * n) / 19_683.0];
        let mut low = vec![(729.0 - 950.0 * n + 50.0 * n * n) / 729.0];
        let far = [(1_820.0 - 400.0 * n) / 19_683.0, (265.0 - 100.0 * n) / 1_458.0];
        for _ in 0..dim {
            high.extend([980.0 / 6_561.0, 980.0 / 6_561.0, far[0], far[0]]);
            low.extend([245.0 / 486.0, 245.0 / 486.0, far[1], far[1]]);
        }
        for first in 0..dim {
            for second in first + 1..dim {
                for signs in 0..4 {
                    let mut node = vec![0.0; dim];
                    node[first] = if signs & 1 == 0 { FAR } else { -FAR };
                    node[second] = if signs & 2 == 0 { FAR } else { -FAR };
                    nodes.push(node);
                    high.push(200.0 / 19_683.0);
                    low.push(25.0 / 729.0);
                }
            }
        }
        let corner = (9.0f64 / 19.0).sqrt();
        let corners = 1usize << dim;
        for signs in 0..corners {
            nodes.push((0..dim).map(|axis| if signs >> axis & 1 == 0 { corner } else { -corner }).collect());
            high.push(6_859.0 / 19_683.0 / corners as f64);
            low.push(0.0);
        }
        Self::assemble(dim, &nodes, high, low)
    }

    fn assemble(dim: usize, nodes: &[Vec<f64>], high: Vec<f64>, low: Vec<f64>) -> Self {
        let nodes = Array2::from_shape_fn((nodes.len(), dim), |(i, axis)| nodes[i][axis]);
        Self { dim, nodes, high, low }
    }

    /// Applies both rules to the integrand's values at the nodes.
    pub(super) fn apply(&self, values: &[f64]) -> Applied {
        let sum = |weights: &[f64]| weights.iter().zip(values).map(|(w, f)| w * f).sum::<f64>();
        let mean = sum(&self.high);
        let ratio = (NEAR / FAR).powi(2);
        let (mut axis, mut most) = (0, -1.0);
        for candidate in 0..self.dim {
            let at = |k: usize| values[1 + 4 * candidate + k];
            let bend = (at(0) + at(1) - 2.0 * values[0] - ratio * (at(2) + at(3) - 2.0 * values[0])).abs();
            if bend > most {
                (axis, most) = (candidate, bend);
            }
        }
        let error = (mean - sum(&self.low)).abs();
        Applied { mean, error, axis: (most > 0.05 * error).then_some(axis) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monomials up to degree 7 (high) and 5 (low) integrate exactly: the mean of Π xᵢ^{kᵢ} over the cube is Π 1/(kᵢ + 1).
    #[test]
    fn rules_are_exact_for_polynomials() {
        for dim in 1..=6 {
            let rule = Rule::new(dim);
            for powers in
                [[0, 0, 0], [2, 0, 0], [4, 0, 0], [2, 2, 0], [6, 0, 0], [4, 2, 0], [2, 2, 2], [3, 1, 2]]
            {
                if powers[dim.min(3)..].iter().any(|power| *power > 0) {
                    continue;
                }
                let values: Vec<f64> = rule
                    .nodes
                    .rows()
                    .into_iter()
                    .map(|x| (0..dim.min(3)).map(|axis| x[axis].powi(powers[axis])).product())
                    .collect();
                let exact: f64 =
                    powers.iter().map(|k| if k % 2 == 1 { 0.0 } else { 1.0 / f64::from(k + 1) }).product();
                let applied = rule.apply(&values);
                assert!((applied.mean - exact).abs() < 1e-13, "dim {dim} {powers:?}: {}", applied.mean);
                if powers.iter().sum::<i32>() <= 5 {
                    assert!(applied.error < 1e-13, "dim {dim} {powers:?}");
                }
            }
        }
    }

    #[test]
    fn the_axis_that_bends_most_is_found() {
        let rule = Rule::new(3);
        let values: Vec<f64> = rule
            .nodes
            .rows()
            .into_iter()
            .map(|x| x[0].powi(2) + (3.0 * x[1]).cos() + 0.1 * x[2].powi(4))
            .collect();
        assert_eq!(rule.apply(&values).axis, Some(1));
    }
}
