//! Products of a matrix with rows of bits, by tables of partial sums in fixed point.
//!
//! Four bits select one of sixteen sums of four rows of the matrix; the sums are tabulated for a few groups of four at a time, in
//! the nearest cache, and shared by all rows of bits (the method of Arlazarov, Dinic, Kronrod & Faradzhev 1970). So an input costs a
//! quarter of an integer addition instead of a multiplication and an addition. Integer sums have no order: the same bits on every
//! instruction set.
//!
//! What else was tried, in µs for a product of 64 rows of bits with a 784×500 matrix, per row, on one core with AVX-512:
//!
//! | way | µs | |
//! |---|---|---|
//! | tables, 16 bits | 1.1–1.2 | kept: with weights rounded to 16 bits |
//! | tables, 32 bits | 2.3–2.5 | kept: as exact as f32 |
//! | f32 products (`gemm`) | 6.1 | packs the matrix anew each time, a third of its work |
//! | VNNI, 8-bit weights | 1.0 | rounding to 8 bits is worth 0.6 nat of a log-weight on a trained machine; two such limbs make 2.0 |
//! | VNNI, 16-bit weights | 3.5 | |
//! | BF16 | 7.3 | eight bits of mantissa, and slower here than f32 |
//! | skipping zeros, f32 | 2.2, 5.7, 11 | with 10, 25 and 50 % of the bits set |

mod matrix;
mod product;
mod rows;

use super::tiles::GROUPS;
pub use super::tiles::{Quads, TILE, tiles};
pub use matrix::{BitMatrix, Sums};
pub use product::Fixed;
pub(crate) use product::nearest;
pub use rows::{BitRows, sum_where, unpack};
