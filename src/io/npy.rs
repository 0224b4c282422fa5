//! NumPy's `.npy`: one array (format versions 1 to 3, NEP 1).

use ndarray::ArrayD;

use super::Parsed;
use super::bytes::{Budget, printable};
use super::dtype::{Dtype, Endian, Order};

/// The bytes that open every file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// What one file holds.
#[derive(Debug)]
pub(super) enum Contents {
    /// Real numbers, and how they were stored.
    Numbers(ArrayD<f64>, Dtype),
    /// Something else (strings, objects, complex numbers), with NumPy's name of the type.
    Other(String),
}

/// Reads one array.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Parsed<Contents> {
    let (header, data) = split(bytes).ok_or("the .npy header is cut short or damaged")?;
    let header = std::str::from_utf8(header).map_err(|_| "the .npy header is not text")?;
    let header = Header::parse(header)
        .ok_or_else(|| format!("the .npy header is not one of NumPy's: {}", printable(header)))?;
    let Some((dtype, endian)) = element_type(&header.descr) else {
        return Ok(Contents::Other(printable(&header.descr)));
    };
    let order = if header.fortran_order { Order::Fortran } else { Order::C };
    Ok(Contents::Numbers(dtype.array(data, endian, &header.shape, order, budget)?, dtype))
}

/// The bytes of an array's file up to its data, for `f64` or another type of `descr`.
pub(super) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let mut sides: Vec<_> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one ends in a comma.
    if shape.len() == 1 {
        sides.push(String::new());
    }
    let sides = sides.join(", ");
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // NumPy aligns the data to 64 bytes; magic, version and length take 10.
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("arrays have few axes, so their headers are short");
    [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
}

/// Header text and data.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk().map(|(n, rest)| (u16::from_le_bytes(*n) as usize, rest))?,
        2 | 3 => rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest))?,
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// `<f8` and the like; `None` for what is not a real number.
fn element_type(descr: &str) -> Option<(Dtype, Endian)> {
    let (order, name) = descr.split_at_checked(1)?;
    let endian = match order {
        ">" => Endian::Big,
        "<" | "|" | "=" => Endian::Little,
        _ => return None,
    };
    let dtype = match name {
        "b1" => Dtype::Bool,
        "i1" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        _ => return None,
    };
    Some((dtype, endian))
}

/// The header's Python dictionary.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut text = Scanner(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        text.expect("{")?;
        while text.expect("}").is_none() {
            let key = text.string()?;
            text.expect(":")?;
            match key {
                "descr" => descr = Some(text.descr()?),
                "fortran_order" => fortran_order = Some(text.boolean()?),
                "shape" => shape = Some(text.tuple()?),
                _ => return None,
            }
            if text.expect(",").is_none() {
                text.expect("}")?;
                break;
            }
        }
        text.0.trim().is_empty().then_some(())?;
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// What is left to read of a Python literal.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn expect(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (string, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(string)
    }

    /// A string, or the list of a structured type as its own text.
    fn descr(&mut self) -> Option<String> {
        if let Some(string) = self.string() {
            return Some(string.to_owned());
        }
        let text = self.0.trim_start();
        let end = text.starts_with('[').then(|| text.rfind(']'))??;
        self.0 = &text[end + 1..];
        Some(text[..=end].to_owned())
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.expect("True").is_some() { Some(true) } else { self.expect("False").map(|()| false) }
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.expect("(")?;
        let mut sides = Vec::new();
        while self.expect(")").is_none() {
            let text = self.0.trim_start();
            let end = text.find(|c: char| !c.is_ascii_digit())?;
            sides.push(text[..end].parse().ok()?);
            // Python 2 wrote long integers with an L.
            self.0 = text[end..].strip_prefix('L').unwrap_or(&text[end..]);
            if self.expect(",").is_none() {
                self.expect(")")?;
                break;
            }
        }
        Some(sides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_parse() {
        let parse = |text| Header::parse(text).map(|h| (h.descr, h.fortran_order, h.shape));
        let expected = Some(("<f8".to_owned(), false, vec![3, 4]));
        assert_eq!(parse("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n"), expected);
        assert_eq!(parse("{\"shape\":(3L,4L),'fortran_order':False,'descr':\"<f8\"}"), expected);
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': True, 'shape': ()}").map(|h| h.2), Some(vec![]));
        assert_eq!(
            parse("{'descr': '|b1', 'fortran_order': True, 'shape': (7,)}").map(|h| h.2),
            Some(vec![7])
        );
        assert!(parse("{'descr': [('a', '<f8')], 'fortran_order': True, 'shape': (7,)}").is_some());
        for bad in [
            "",
            "{",
            "{}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'extra': 1}",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn written_headers_are_aligned_and_read_back() {
        for shape in [vec![], vec![5], vec![2, 3], vec![1, 2, 3, 4]] {
            let mut bytes = header("<f8", &shape);
            assert_eq!(bytes.len() % 64, 0);
            bytes.resize(bytes.len() + 8 * shape.iter().product::<usize>(), 0);
            let Contents::Numbers(array, Dtype::F64) = read(&bytes, &mut Budget::new(0)).expect("own header")
            else {
                panic!("numbers were written")
            };
            assert_eq!(array.shape(), shape);
        }
    }
}
