//! A first walk over the bytes of an ONNX file: every length that it states must be true.
//!
//! The parser allocates what a length claims before it reads; after this walk no claim exceeds the file. Nesting is bounded too.

use crate::io::Parsed;

/// Messages within messages: graphs of `If` and `Loop` may hold others.
const DEEPEST: usize = 24;

/// The messages that have messages in them, as onnx.proto3 numbers their fields.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// One that has none.
    Leaf,
}

impl Message {
    /// What its field holds; `None` for bytes, text and packed numbers.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6) => Self::Graph,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Leaf,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph | Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            (Self::ValueInfo, 2) | (Self::TensorType, 1) => Self::Type,
            (Self::Type, 1 | 4) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }
}

/// Checks the lengths of a serialised `ModelProto`.
pub(super) fn check(bytes: &[u8]) -> Parsed<()> {
    walk(bytes, Message::Model, 0)
}

fn damaged() -> String {
    "it is cut short or damaged: a length in it exceeds what is there".into()
}

fn walk(mut bytes: &[u8], message: Message, depth: usize) -> Parsed<()> {
    if depth > DEEPEST {
        return Err(format!("graphs are nested more than {DEEPEST} deep"));
    }
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => bytes = bytes.get(8..).ok_or_else(damaged)?,
            5 => bytes = bytes.get(4..).ok_or_else(damaged)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| damaged())?;
                let (inside, rest) = bytes.split_at_checked(length).ok_or_else(damaged)?;
                bytes = rest;
                if let Some(message) = message.field(key >> 3) {
                    walk(inside, message, depth + 1)?;
                }
            }
            other => return Err(format!("it is damaged: {other} is no wire type of a protobuf")),
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Parsed<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(damaged)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("it is damaged: a number in it does not end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        // ir_version 8, then a graph of 2 bytes that claims a node of 100.
        assert!(check(&[0x08, 8, 0x3a, 2, 0x0a, 100]).is_err());
        assert!(check(&[0x08, 8, 0x3a, 2, 0x0a, 0]).is_ok());
        assert!(check(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(check(&[0xff; 20]).is_err());
        // A graph in an attribute of a node of a graph, and so on.
        let mut nested = Vec::new();
        for _ in 0..12 {
            for key in [0x32, 0x2a, 0x0a] {
                let mut outer = vec![key, nested.len() as u8];
                outer.append(&mut nested);
                nested = outer;
            }
        }
        let model = [vec![0x3a, nested.len() as u8], nested].concat();
        assert!(check(&model).expect_err("37 deep").contains("nested"));
    }
}
