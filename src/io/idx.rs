//! MNIST's idx: two zero bytes, a type, the number of axes, big-endian sides and values.

use super::Parsed;
use super::bytes::Budget;
use super::dtype::{Dtype, Endian, Order};
use super::tensors::Tensor;

/// Reads the one array. Bytes with two axes or more are grey values: they come out divided by 255.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Parsed<Tensor> {
    let (&[_, _, kind, axes], mut rest) = bytes.split_first_chunk().ok_or("the idx header is cut short")?;
    let dtype = match kind {
        0x08 => Dtype::U8,
        0x09 => Dtype::I8,
        0x0b => Dtype::I16,
        0x0c => Dtype::I32,
        0x0d => Dtype::F32,
        0x0e => Dtype::F64,
        other => return Err(format!("idx type 0x{other:02x} is unknown")),
    };
    let mut shape = Vec::new();
    for _ in 0..axes {
        let (side, after) = rest.split_first_chunk().ok_or("the idx header is cut short")?;
        shape.push(u32::from_be_bytes(*side) as usize);
        rest = after;
    }
    let mut values = dtype.array(rest, Endian::Big, &shape, Order::C, budget)?;
    if dtype == Dtype::U8 && axes > 1 {
        values /= 255.0;
    }
    Ok(Tensor::new("images", values, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_scaled_and_labels_are_not() {
        let images = read(&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51], &mut Budget::new(0))
            .expect("one image");
        assert_eq!(images.values, ndarray::array![[[0.0, 0.2]]].into_dyn());
        let labels = read(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9], &mut Budget::new(0)).expect("two labels");
        assert_eq!(labels.values, ndarray::array![7.0, 9.0].into_dyn());
        let shorts =
            read(&[0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255], &mut Budget::new(0)).expect("one short");
        assert_eq!(shorts.values, ndarray::array![[-1.0]].into_dyn());
    }
}
