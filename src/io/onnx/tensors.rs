//! ONNX tensors as arrays of f64, from inside of the file or from a second one beside it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use ndarray::ArrayD;
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};

use crate::io::Parsed;
use crate::io::bytes::{Budget, printable};
use crate::io::dtype::{Dtype, Endian, Order};

/// Where tensors are read from: the folder of the file, and what may still be allocated.
pub(super) struct Store<'a> {
    /// The folder of the model's file.
    pub(super) folder: Option<&'a Path>,
    pub(super) budget: Budget,
    /// Files beside the model that were read, by the names that it has for them.
    pub(super) beside: BTreeMap<String, Vec<u8>>,
}

/// The type of a tensor's elements.
pub(super) fn dtype(data_type: Option<DataType>) -> Parsed<Dtype> {
    let data_type = data_type.unwrap_or(DataType(0));
    Ok(match data_type {
        DataType::FLOAT => Dtype::F32,
        DataType::DOUBLE => Dtype::F64,
        DataType::FLOAT16 => Dtype::F16,
        DataType::BFLOAT16 => Dtype::BF16,
        DataType::INT64 => Dtype::I64,
        DataType::INT32 => Dtype::I32,
        DataType::INT16 => Dtype::I16,
        DataType::INT8 => Dtype::I8,
        DataType::UINT8 => Dtype::U8,
        DataType::UINT16 => Dtype::U16,
        DataType::UINT32 => Dtype::U32,
        DataType::UINT64 => Dtype::U64,
        DataType::BOOL => Dtype::Bool,
        _ => {
            return Err(format!(
                "the element type {} is not read; floats, integers and booleans are",
                data_type.0
            ));
        }
    })
}

/// Whether a type is of whole numbers, with which shapes are computed.
pub(super) fn is_integer(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 | Dtype::Bool)
}

impl Store<'_> {
    /// The array and the type of its elements.
    pub(super) fn read(&mut self, tensor: &TensorProto) -> Parsed<(ArrayD<f64>, Dtype)> {
        let name = printable(tensor.name.as_deref().unwrap_or_default());
        self.read_unnamed(tensor).map_err(|message| format!("tensor `{name}`: {message}"))
    }

    fn read_unnamed(&mut self, tensor: &TensorProto) -> Parsed<(ArrayD<f64>, Dtype)> {
        let dtype = dtype(tensor.data_type)?;
        let shape = tensor
            .dims
            .iter()
            .map(|side| usize::try_from(*side).map_err(|_| format!("a side of {side}")))
            .collect::<Parsed<Vec<usize>>>()?;
        let array = |bytes: &[u8], dtype: Dtype, budget: &mut Budget| {
            dtype.array(bytes, Endian::Little, &shape, Order::C, budget)
        };
        if tensor.data_location == Some(DataLocation::EXTERNAL) {
            let bytes = self.external(tensor)?;
            return Ok((array(&bytes, dtype, &mut self.budget)?, dtype));
        }
        if let Some(raw) = &tensor.raw_data {
            let raw = raw.borrow();
            return Ok((array(&raw, dtype, &mut self.budget)?, dtype));
        }
        // Typed fields: f16, bf16 and small integers are int32 numbers, of which the low bytes count.
        let low = |size: usize| -> Vec<u8> {
            tensor.int32_data.iter().flat_map(|value| value.to_le_bytes()[..size].to_vec()).collect()
        };
        let bytes: Vec<u8> = match dtype {
            Dtype::F32 => tensor.float_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Dtype::F64 => tensor.double_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Dtype::I64 => tensor.int64_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Dtype::U32 | Dtype::U64 => return Err("unsigned numbers without raw data are not read".into()),
            small => low(small.size()),
        };
        Ok((array(&bytes, dtype, &mut self.budget)?, dtype))
    }

    /// The bytes of a tensor that lie in another file.
    fn external(&mut self, tensor: &TensorProto) -> Parsed<Vec<u8>> {
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
            found.and_then(|entry| entry.value.as_deref())
        };
        let location = entry("location").ok_or("its data lie in another file that is not named")?;
        let path = Path::new(location);
        let shown = printable(location);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("its data should lie in `{shown}`, which is outside of the model's folder"));
        }
        let folder = self
            .folder
            .ok_or_else(|| format!("its data lie in `{shown}`, but the model did not come from a folder"))?;
        let number = |key: &str| {
            entry(key)
                .map(|text| text.parse::<usize>().map_err(|_| format!("its {key} is no number")))
                .transpose()
        };
        if !self.beside.contains_key(location) {
            let bytes = std::fs::read(folder.join(path)).map_err(|error| {
                format!("its data should lie in `{shown}` beside the model, which cannot be read ({error}); keep both files together")
            })?;
            self.budget.and(bytes.len());
            self.beside.insert(location.to_owned(), bytes);
        }
        let bytes = &self.beside[location];
        let from = number("offset")?.unwrap_or(0);
        let until = number("length")?.map_or(Some(bytes.len()), |length| from.checked_add(length));
        let stretch = until.and_then(|until| bytes.get(from..until));
        Ok(stretch.ok_or_else(|| format!("`{shown}` holds only {} bytes", bytes.len()))?.to_vec())
    }
}
