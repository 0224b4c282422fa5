//! Matrix products, behind one function so that the library that does them can be changed in one place.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::real::Real;

/// `out = left · right` for (n, k) · (k, m) = (n, m), any strides, on the calling thread.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply<T: Real>(left: ArrayView2<'_, T>, right: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) {
    product(left, right, out, false, T::ZERO, T::ONE);
}

/// `out += scale · left · right`, with shapes as for [`multiply`].
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply_add<T: Real>(
    scale: T,
    left: ArrayView2<'_, T>,
    right: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
) {
    product(left, right, out, true, T::ONE, scale);
}

#[allow(unsafe_code, reason = "gemm takes pointers and strides")]
fn product<T: Real>(
    left: ArrayView2<'_, T>,
    right: ArrayView2<'_, T>,
    mut out: ArrayViewMut2<'_, T>,
    read_out: bool,
    out_scale: T,
    scale: T,
) {
    let (rows, inner) = left.dim();
    let columns = right.ncols();
    assert_eq!(right.nrows(), inner, "inner dimensions of a product");
    assert_eq!(out.dim(), (rows, columns), "shape of a product");
    if rows == 0 || columns == 0 {
        return;
    }
    // SAFETY: the three views are alive for the whole call, their shapes were checked above, `out` is a unique borrow, and
    // ndarray guarantees that every (row, column) reached by its strides lies inside the view.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            out.strides()[1],
            out.strides()[0],
            read_out,
            left.as_ptr(),
            left.strides()[1],
            left.strides()[0],
            right.as_ptr(),
            right.strides()[1],
            right.strides()[0],
            out_scale,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn agrees_with_ndarray_for_any_strides() {
        let left = Array2::from_shape_fn((5, 7), |(i, j)| (i * 7 + j) as f64 * 0.1 - 1.0);
        let right = Array2::from_shape_fn((3, 7), |(i, j)| (i as f64 - j as f64) * 0.3);
        let mut out = Array2::zeros((5, 3));
        multiply(left.view(), right.t(), out.view_mut());
        assert!((&out - &left.dot(&right.t())).iter().all(|d| d.abs() < 1e-12));
        let mut transposed = Array2::zeros((3, 5));
        multiply(left.view(), right.t(), transposed.view_mut().reversed_axes());
        assert_eq!(transposed.t(), out);
        multiply_add(-1.0, left.view(), right.t(), out.view_mut());
        assert!(out.iter().all(|d| d.abs() < 1e-12));
    }

    #[test]
    fn an_empty_inner_dimension_gives_zeros() {
        let mut out = array![[3.0f32, 4.0]];
        multiply(Array2::zeros((1, 0)).view(), Array2::zeros((0, 2)).view(), out.view_mut());
        assert_eq!(out, array![[0.0, 0.0]]);
    }
}
