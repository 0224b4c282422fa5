//! MATLAB's level 5 `.mat` (`save -v6` and `-v7`): real full numeric arrays ("MAT-File Format", The MathWorks).

use flate2::read::ZlibDecoder;

use super::Parsed;
use super::bytes::{Budget, printable};
use super::dtype::{Dtype, Endian, Order, assemble, element_count};
use super::tensors::{Tensor, Tensors};

/// Bytes of text, version and byte-order mark that open the file.
const HEADER: usize = 128;
/// miMATRIX and miCOMPRESSED.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Reads every real full numeric array; the rest is listed as skipped.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Parsed<Tensors> {
    let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or("the MATLAB header is cut short")?;
    let endian = if header.ends_with(b"IM") { Endian::Little } else { Endian::Big };
    let version = match endian {
        Endian::Little => header[125],
        Endian::Big => header[124],
    };
    if version != 1 {
        return Err(format!("MATLAB file version {version} is not read; use save('model.mat', ..., '-v7')"));
    }
    let mut tensors = Tensors::new(".mat");
    while !rest.is_empty() {
        let (kind, data, after) = element(rest, endian)?;
        // MathWorks pads every element but compressed ones to 8 bytes.
        rest = if kind == COMPRESSED { after } else { skip_padding(after, data.len()) };
        match kind {
            MATRIX => matrix(data, endian, budget, &mut tensors)?,
            COMPRESSED => {
                let inflated = budget.read(ZlibDecoder::new(data), "a compressed variable")?;
                match element(&inflated, endian)? {
                    (MATRIX, data, _) => matrix(data, endian, budget, &mut tensors)?,
                    (kind, ..) => {
                        return Err(format!("a compressed variable holds element type {kind}, not a matrix"));
                    }
                }
            }
            other => {
                return Err(format!("the file is damaged: element type {other} where a variable should be"));
            }
        }
    }
    Ok(tensors)
}

/// Reads one miMATRIX element's contents.
fn matrix(data: &[u8], endian: Endian, budget: &mut Budget, tensors: &mut Tensors) -> Parsed<()> {
    // A variable may be an empty element, which stands for an empty array.
    if data.is_empty() {
        return Ok(());
    }
    let (_, flags, rest) = padded_element(data, endian)?;
    let (_, dimensions, rest) = padded_element(rest, endian)?;
    let (_, name, rest) = padded_element(rest, endian)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let flags =
        words(flags, endian).first().copied().ok_or("the file is damaged: a variable without flags")?;
    let (class, logical, complex) = (flags & 0xff, flags & 0x200 != 0, flags & 0x800 != 0);
    let dtype = match number_class(class, logical, complex) {
        Ok(dtype) => dtype,
        Err(reason) => {
            tensors.skip(&name, reason);
            return Ok(());
        }
    };
    let what = |message: String| format!("variable `{}`: {message}", printable(&name));
    let shape: Vec<usize> = words(dimensions, endian).into_iter().map(|side| side as usize).collect();
    let (kind, stored, _) = element(rest, endian).map_err(what)?;
    // Numbers are stored in the smallest type that holds them, whatever the array's class.
    let stored_as = match kind {
        1 => Dtype::I8,
        2 => Dtype::U8,
        3 => Dtype::I16,
        4 => Dtype::U16,
        5 => Dtype::I32,
        6 => Dtype::U32,
        7 => Dtype::F32,
        9 => Dtype::F64,
        12 => Dtype::I64,
        13 => Dtype::U64,
        other => return Err(what(format!("its numbers have the unknown type {other}"))),
    };
    budget.numbers(stored.len() / stored_as.size()).map_err(what)?;
    let values = stored_as.decode(stored, endian);
    if element_count(&shape).map_err(what)? != values.len() {
        return Err(what(format!("shape {shape:?}, but {} numbers are there", values.len())));
    }
    let values = assemble(values, &shape, Order::Fortran).map_err(what)?;
    tensors.push(Tensor::new(&name, values, dtype));
    Ok(())
}

/// The type of an array's class, or what it is instead of numbers.
fn number_class(class: u32, logical: bool, complex: bool) -> Result<Dtype, &'static str> {
    Ok(match class {
        _ if complex => return Err("a complex array"),
        _ if logical => Dtype::Bool,
        6 => Dtype::F64,
        7 => Dtype::F32,
        8 => Dtype::I8,
        9 => Dtype::U8,
        10 => Dtype::I16,
        11 => Dtype::U16,
        12 => Dtype::I32,
        13 => Dtype::U32,
        14 => Dtype::I64,
        15 => Dtype::U64,
        1 => return Err("a cell array"),
        2 => return Err("a struct; save('model.mat', '-struct', 'NAME', '-v7') stores its fields"),
        4 => return Err("text"),
        5 => return Err("sparse; full(x) makes it a full array"),
        _ => return Err("not a numeric array"),
    })
}

/// Type, contents and what follows, of the element that `bytes` begin with.
fn element(bytes: &[u8], endian: Endian) -> Parsed<(u32, &[u8], &[u8])> {
    let parsed = || {
        let (tag, rest) = bytes.split_first_chunk::<8>()?;
        let tag = words(tag, endian);
        // A small element keeps its length in the upper half of the first word, and up to 4 bytes in the second.
        let small = (tag[0] >> 16) as usize;
        if small > 0 {
            let data = bytes[4..8].get(..small)?;
            return Some((tag[0] & 0xffff, data, rest));
        }
        let (data, after) = rest.split_at_checked(tag[1] as usize)?;
        Some((tag[0], data, after))
    };
    parsed().ok_or_else(|| "the file is cut short or damaged in the middle of a variable".into())
}

/// As [`element`], with the padding to 8 bytes that follows inside a matrix skipped.
fn padded_element(bytes: &[u8], endian: Endian) -> Parsed<(u32, &[u8], &[u8])> {
    let (kind, data, after) = element(bytes, endian)?;
    let small = bytes.len() - after.len() == 8;
    Ok((kind, data, if small { after } else { skip_padding(after, data.len()) }))
}

fn skip_padding(after: &[u8], length: usize) -> &[u8] {
    let padding = length.next_multiple_of(8) - length;
    after.get(padding..).unwrap_or_default()
}

fn words(bytes: &[u8], endian: Endian) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|word| {
            let word = word.try_into().expect("chunks of four");
            match endian {
                Endian::Little => u32::from_le_bytes(word),
                Endian::Big => u32::from_be_bytes(word),
            }
        })
        .collect()
}
