//! Element types of stored arrays, and their bytes as f64.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::Parsed;
use super::bytes::Budget;

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
}

/// The order of a number's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

/// Which axis varies slowest in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The first axis.
    C,
    /// The last axis, as in Fortran and MATLAB.
    Fortran,
}

impl Dtype {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// The numbers in `bytes`; a remainder shorter than one number is left out. Integers beyond 2⁵³ are rounded.
    pub(super) fn decode(self, bytes: &[u8], endian: Endian) -> Vec<f64> {
        macro_rules! numbers {
            ($type:ty, $to_f64:expr) => {
                bytes
                    .chunks_exact(size_of::<$type>())
                    .map(|chunk| {
                        let chunk = chunk.try_into().expect("chunks have the type's size");
                        $to_f64(match endian {
                            Endian::Little => <$type>::from_le_bytes(chunk),
                            Endian::Big => <$type>::from_be_bytes(chunk),
                        })
                    })
                    .collect()
            };
        }
        match self {
            Self::Bool => bytes.iter().map(|&byte| f64::from(u8::from(byte != 0))).collect(),
            Self::I8 => numbers!(i8, f64::from),
            Self::I16 => numbers!(i16, f64::from),
            Self::I32 => numbers!(i32, f64::from),
            Self::I64 => numbers!(i64, |x| x as f64),
            Self::U8 => numbers!(u8, f64::from),
            Self::U16 => numbers!(u16, f64::from),
            Self::U32 => numbers!(u32, f64::from),
            Self::U64 => numbers!(u64, |x| x as f64),
            Self::F16 => numbers!(f16, f16::to_f64),
            Self::BF16 => numbers!(bf16, bf16::to_f64),
            Self::F32 => numbers!(f32, f64::from),
            Self::F64 => numbers!(f64, |x| x),
        }
    }

    /// The array of this type and `shape` in `bytes`, which must be exactly as many as the shape says; in C order.
    pub(super) fn array(
        self,
        bytes: &[u8],
        endian: Endian,
        shape: &[usize],
        order: Order,
        budget: &mut Budget,
    ) -> Parsed<ArrayD<f64>> {
        let count = element_count(shape)?;
        let needed = count.checked_mul(self.size()).ok_or_else(|| too_large(shape))?;
        if needed != bytes.len() {
            return Err(format!(
                "an array of shape {shape:?} and type {} takes {needed} bytes, but there are {}",
                self.name(),
                bytes.len()
            ));
        }
        budget.numbers(count)?;
        assemble(self.decode(bytes, endian), shape, order)
    }
}

/// The number of elements, checked against overflow.
pub(super) fn element_count(shape: &[usize]) -> Parsed<usize> {
    shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side)).ok_or_else(|| too_large(shape))
}

/// `values` as an array of `shape`, put into C order.
pub(super) fn assemble(values: Vec<f64>, shape: &[usize], order: Order) -> Parsed<ArrayD<f64>> {
    let array = match order {
        Order::C => ArrayD::from_shape_vec(IxDyn(shape), values),
        Order::Fortran => ArrayD::from_shape_vec(IxDyn(shape).f(), values),
    };
    let array = array.map_err(|e| format!("an array cannot have shape {shape:?} ({e})"))?;
    Ok(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
}

fn too_large(shape: &[usize]) -> String {
    format!("an array of shape {shape:?} has more elements than memory has addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_decodes_in_both_byte_orders() {
        macro_rules! check {
            ($dtype:ident, $value:expr, $expected:expr) => {
                assert_eq!(Dtype::$dtype.decode(&$value.to_le_bytes(), Endian::Little), [$expected]);
                assert_eq!(Dtype::$dtype.decode(&$value.to_be_bytes(), Endian::Big), [$expected]);
            };
        }
        check!(I8, -5_i8, -5.0);
        check!(I16, -300_i16, -300.0);
        check!(I32, -70_000_i32, -70_000.0);
        check!(I64, -5_000_000_000_i64, -5e9);
        check!(U8, 200_u8, 200.0);
        check!(U16, 60_000_u16, 6e4);
        check!(U32, 4_000_000_000_u32, 4e9);
        check!(U64, 10_000_000_000_u64, 1e10);
        check!(F16, f16::from_f64(-0.75), -0.75);
        check!(BF16, bf16::from_f64(3.5), 3.5);
        check!(F32, 0.125_f32, 0.125);
        check!(F64, 0.1_f64, 0.1);
        assert_eq!(Dtype::Bool.decode(&[0, 1, 2], Endian::Little), [0.0, 1.0, 1.0]);
    }

    #[test]
    fn shapes_are_checked_before_anything_is_allocated() {
        let huge = [usize::MAX, 2];
        assert!(
            Dtype::U8
                .array(&[], Endian::Little, &huge, Order::C, &mut Budget::new(0))
                .expect_err("overflow")
                .contains("more")
        );
        assert!(
            Dtype::F64.array(&[], Endian::Little, &[usize::MAX / 4], Order::C, &mut Budget::new(0)).is_err()
        );
        // A zero side makes the product zero, whatever the others claim.
        assert!(
            Dtype::F64.array(&[], Endian::Little, &[0, usize::MAX], Order::C, &mut Budget::new(0)).is_err()
        );
        let wrong = Dtype::U8
            .array(&[1, 2, 3], Endian::Little, &[2, 2], Order::C, &mut Budget::new(0))
            .expect_err("one is missing");
        assert!(wrong.contains("takes 4 bytes, but there are 3"), "{wrong}");
        // Bytes become eight times as many as f64, and that counts.
        let zeros = vec![0; 9 << 20];
        assert!(
            Dtype::U8.array(&zeros, Endian::Little, &[zeros.len()], Order::C, &mut Budget::new(0)).is_err()
        );
    }

    #[test]
    fn fortran_order_is_put_into_c_order() {
        let array = Dtype::U8
            .array(&[1, 2, 3, 4, 5, 6], Endian::Little, &[2, 3], Order::Fortran, &mut Budget::new(0))
            .expect("fits");
        assert_eq!(array, ndarray::array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].into_dyn());
        assert!(array.is_standard_layout());
    }
}
