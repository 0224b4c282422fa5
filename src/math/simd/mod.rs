//! Vector kernels: plain loops over slices, compiled for each instruction set and chosen when the program runs.
//!
//! Every kernel is a scalar function (`exp`, `sigmoid`, …) applied in a loop that the compiler vectorises inside
//! [`dispatch`]. They use no fused multiply-add, so they give the same bits on all instruction sets, as do the products in
//! [`bits`](super::bits), which are sums of integers (other matrix products do not). `LNZ_SIMD=scalar|v3` asks for less than the
//! machine's best (SSE2, AVX2). NaN stays NaN, and infinities are as good as large numbers.

use std::sync::OnceLock;

mod draws;
mod functions;
mod normal;

pub(crate) use draws::unit;
pub use draws::{Lanes, draw_bits, draw_quads};
pub use functions::{
    dot, exp, log_1p, sigmoid, sigmoid_all, softplus, softplus_all, softplus_derivatives,
    softplus_difference, sum_softplus,
};
pub use normal::fill_normal;

/// Chains of lanes that a vector generator advances at once.
pub const LANES: usize = 16;

/// Runs `kernel` compiled for the best instruction set of this machine; it and what it calls must be `#[inline(always)]`.
#[inline]
pub fn dispatch<R>(kernel: impl FnOnce() -> R) -> R {
    arch().dispatch(kernel)
}

/// As [`dispatch`], for a kernel that is written in vectors.
#[inline]
pub(super) fn vectorise<K: pulp::WithSimd>(kernel: K) -> K::Output {
    arch().dispatch(kernel)
}

#[inline]
fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(choose)
}

fn choose() -> pulp::Arch {
    let best = pulp::Arch::new();
    match std::env::var("LNZ_SIMD").as_deref() {
        Ok("scalar") => pulp::Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("v3") => pulp::x86::V3::try_new().map_or(best, pulp::Arch::V3),
        _ => best,
    }
}
