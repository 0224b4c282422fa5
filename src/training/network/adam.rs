//! Adam (Kingma & Ba 2015, arXiv:1412.6980).

use ndarray::ArrayD;

/// Memory of slopes and of their squares, and what keeps a division by nothing away.
pub(super) const MEMORY: [f64; 2] = [0.9, 0.999];
const LEAST: f64 = 1e-8;

/// A parameter, with Adam's memory.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub values: ArrayD<f64>,
    pub slope: ArrayD<f64>,
    pub square: ArrayD<f64>,
}

impl Parameter {
    pub(super) fn new(name: String, values: ArrayD<f64>) -> Self {
        let zero = ArrayD::zeros(values.raw_dim());
        Self { name, slope: zero.clone(), square: zero, values }
    }

    /// One step of Adam up `gradient`, the `count`-th.
    pub(super) fn climb(&mut self, gradient: &ArrayD<f64>, rate: f64, count: f64) {
        let [slopes, squares] = MEMORY;
        let corrected = |memory: f64| 1.0 - memory.powf(count);
        let (first, second) = (corrected(slopes), corrected(squares));
        ndarray::azip!((value in &mut self.values, m in &mut self.slope, v in &mut self.square, &g in gradient) {
            *m = slopes * *m + (1.0 - slopes) * g;
            *v = squares * *v + (1.0 - squares) * g * g;
            *value += rate * (*m / first) / ((*v / second).sqrt() + LEAST);
        });
    }
}
