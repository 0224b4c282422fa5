//! Numbers without a model: log-weights, random streams, statistics, roots, products, factors and vector kernels.

pub mod bits;
pub mod linear;
pub mod log_weights;
pub mod products;
pub mod random;
pub mod real;
pub mod roots;
pub mod simd;
pub mod statistics;
mod tiles;

pub use log_weights::{LogWeights, log_add_exp, log_mean_exp, log_sum_exp};
pub use random::{Generator, Stream};
