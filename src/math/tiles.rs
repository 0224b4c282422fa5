//! Bits in the order in which vectors draw them.

/// Bits, and outputs, to a tile.
pub const TILE: usize = 64;
pub(super) const GROUPS: usize = TILE / 4;

/// 64 bits as sixteen groups of four: bit k of group i is the tile's element 16 k + i, so that a vector comparison of sixteen
/// elements fills one digit of every group.
pub type Quads = [u32; GROUPS];

/// How many [`Quads`] hold a row of `bits` bits.
#[must_use]
pub fn tiles(bits: usize) -> usize {
    bits.div_ceil(TILE)
}
