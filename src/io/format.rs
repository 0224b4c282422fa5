//! What kind of file it is: by its first bytes, never by its name.

use super::{Parsed, npy, safetensors};

/// A format that some reader here understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Npy,
    /// A zip archive: NumPy's `.npz`, or a PyTorch checkpoint in disguise.
    Zip,
    Safetensors,
    Mat,
    Idx,
    Onnx,
    /// None of the above, but text.
    Text,
}

/// Why pickles are refused, and the line that converts one.
pub(super) const PICKLE_REFUSED: &str = "a Python pickle (PyTorch .pt/.pth, joblib) can run code, so it is not read; convert a \
     PyTorch state dict with: python -c \"import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in \
     torch.load('model.pt', map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"";

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Recognises `bytes`, or refuses them with the way to convert them.
pub(super) fn recognise(bytes: &[u8]) -> Parsed<Format> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    if bytes.starts_with(npy::MAGIC) {
        return Ok(Format::Npy);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    if bytes.starts_with(HDF5) || bytes.get(512..).is_some_and(|rest| rest.starts_with(HDF5)) {
        return Err("HDF5, and so MATLAB's -v7.3, is not read; in MATLAB use save('model.mat', ..., '-v7'), in Python \
                    numpy.savez('model.npz', W=..., b=..., c=...)"
            .into());
    }
    if bytes.get(126..128).is_some_and(|mark| mark == b"IM" || mark == b"MI") {
        return Ok(Format::Mat);
    }
    // Before pickle: the length of a safetensors header may begin with pickle's opcode.
    if safetensors::recognises(bytes) {
        return Ok(Format::Safetensors);
    }
    if let [0x80, 2..=5, ..] = bytes {
        return Err(PICKLE_REFUSED.into());
    }
    if let [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, 1..=8, ..] = bytes {
        return Ok(Format::Idx);
    }
    if is_mat_4(bytes) {
        return Err("a MATLAB level 4 file is not read; save it with save('model.mat', ..., '-v7')".into());
    }
    // A protobuf of ONNX: its version, then any of its later fields.
    if let [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] = bytes {
        return Ok(Format::Onnx);
    }
    if std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
    {
        return Ok(Format::Text);
    }
    Err("the format is not recognised; models are .onnx, .npz, .safetensors or .mat (-v7), data .npy, .npz, .csv or MNIST idx, each \
         possibly gzipped"
        .into())
}

/// Whether the 20-byte header of a level 4 matrix makes sense: MOPT, rows, columns, imaginary flag, length of the name.
fn is_mat_4(bytes: &[u8]) -> bool {
    let word = |index: usize, big: bool| {
        let word = bytes.get(4 * index..4 * index + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    };
    [(false, 0), (true, 1000)].into_iter().any(|(big, base)| {
        let (Some(kind), Some(imaginary), Some(name)) = (word(0, big), word(3, big), word(4, big)) else {
            return false;
        };
        let name_ends = 20_usize.saturating_add(name as usize);
        // MOPT = 1000·(1 if big-endian) + 10·(number type 0..=5) + (matrix kind 0..=2).
        kind.checked_sub(base).is_some_and(|k| k <= 52 && k % 10 <= 2)
            && imaginary <= 1
            && (2..=64).contains(&name)
            && bytes.get(20..name_ends).is_some_and(
                |name| matches!(name.split_last(), Some((0, rest)) if rest.iter().all(u8::is_ascii_graphic)),
            )
    })
}
