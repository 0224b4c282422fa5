//! Model and data files: read whatever people have, and write what can be read again.
//!
//! A model file is read in two steps: its format's reader (`npy`, `npz`, `safetensors`, `mat`, one file each) turns bytes into
//! named [`Tensors`], and [`model`] alone decides what those mean. To add a format of arrays: one reader, its magic bytes in
//! `format.rs`, one line in `tensors.rs`.
//!
//! Readers work on untrusted bytes: nothing is allocated from a header before the bytes that it promises are there, what is
//! decompressed is bounded (see `bytes.rs`), shape products are checked, and every failure is one
//! [`Error::Format`](crate::Error::Format) or [`Error::File`](crate::Error::File) that names the file.

mod bytes;
mod csv;
pub mod data;
mod dtype;
pub mod energies;
mod format;
mod idx;
pub mod likelihoods;
mod mat;
pub mod model;
mod npy;
mod npz;
mod onnx;
pub mod record;
mod safetensors;
mod schedule;
pub mod tensors;
pub mod write;

pub use data::read_data;
pub use likelihoods::{read_likelihoods, write_columns, write_likelihoods};
pub use model::{Loaded, ModelOptions, WeightsLayout, read_model};
pub use record::RunRecord;
pub use schedule::read_schedule;
pub use tensors::{Tensor, Tensors, read_tensors};
pub use write::{write_atomically, write_model, write_npy, write_npz, write_rbm};

/// What a reader of bytes returns: the message of an [`Error::Format`](crate::Error::Format), to which the path is added once.
type Parsed<T> = Result<T, String>;
