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

pub use matrix::{BitMatrix, Sums};
pub use product::Fixed;
pub(crate) use product::nearest;
pub use rows::{BitRows, sum_where, unpack};

/// Bits, and outputs, to a tile.
pub const TILE: usize = 64;
const GROUPS: usize = TILE / 4;

/// 64 bits as sixteen groups of four: bit k of group i is the tile's element 16 k + i, so that a vector comparison of sixteen
/// elements fills one digit of every group.
pub type Quads = [u32; GROUPS];

/// How many [`Quads`] hold a row of `bits` bits.
#[must_use]
pub fn tiles(bits: usize) -> usize {
    bits.div_ceil(TILE)
}
