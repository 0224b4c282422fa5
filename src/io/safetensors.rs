//! Hugging Face's `.safetensors`: a JSON header and little-endian arrays.

use safetensors::{Dtype as Stored, SafeTensors};

use super::Parsed;
use super::bytes::Budget;
use super::dtype::{Dtype, Endian, Order};
use super::tensors::{Tensor, Tensors};

/// Whether `bytes` open like a safetensors file: the length of a header (of at most 100 MB in this format) and its brace.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.split_first_chunk::<8>().is_some_and(|(length, rest)| {
        rest.first() == Some(&b'{') && u64::from_le_bytes(*length) <= 100_000_000
    })
}

/// Reads every array of numbers, by name; other types are listed as skipped.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Parsed<Tensors> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a valid safetensors file ({e})"))?;
    let mut views = file.tensors();
    // The crate keeps them in a hash map, whose order changes from run to run.
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut tensors = Tensors::new(".safetensors");
    for (name, view) in views {
        let dtype = match view.dtype() {
            Stored::BOOL => Dtype::Bool,
            Stored::I8 => Dtype::I8,
            Stored::I16 => Dtype::I16,
            Stored::I32 => Dtype::I32,
            Stored::I64 => Dtype::I64,
            Stored::U8 => Dtype::U8,
            Stored::U16 => Dtype::U16,
            Stored::U32 => Dtype::U32,
            Stored::U64 => Dtype::U64,
            Stored::F16 => Dtype::F16,
            Stored::BF16 => Dtype::BF16,
            Stored::F32 => Dtype::F32,
            Stored::F64 => Dtype::F64,
            other => {
                tensors.skip(&name, &format!("type {other} is not read"));
                continue;
            }
        };
        let values = dtype
            .array(view.data(), Endian::Little, view.shape(), Order::C, budget)
            .map_err(|message| format!("tensor `{name}`: {message}"))?;
        tensors.push(Tensor::new(&name, values, dtype));
    }
    Ok(tensors)
}
