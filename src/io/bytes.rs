//! A file's bytes, its digest, and decompression that cannot be made to fill the memory.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::Parsed;
use crate::error::{Error, Result};

/// Bytes that any file may turn into, however small it is.
const ALWAYS_ALLOWED: u64 = 64 << 20;

/// Bytes allowed per byte of a larger file. Deflate reaches 1032 on constants; arrays worth reading stay far below.
const LARGEST_RATIO: u64 = 200;

/// The whole file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })
}

/// SHA-256 in hexadecimal, as `sha256sum` prints it.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

/// What one file may still turn into: max(64 MiB, 200 × its size) bytes, decompressed or as f64, over all its layers and
/// members together, so that bombs within bombs gain nothing.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    /// The budget of a file of `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let limit = ALWAYS_ALLOWED.max((size as u64).saturating_mul(LARGEST_RATIO));
        Self { limit, left: limit }
    }

    /// The same with a second file of `size` bytes, all of which may be numbers of one byte.
    pub(super) fn and(&mut self, size: usize) {
        let more = (size as u64).saturating_mul(size_of::<f64>() as u64);
        self.limit = self.limit.saturating_add(more);
        self.left = self.left.saturating_add(more);
    }

    /// Everything in `reader`; `what` names it in messages. Memory grows with the bytes that are there, not with what a header
    /// claims.
    pub(super) fn read(&mut self, reader: impl Read, what: &str) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        reader
            .take(self.left + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| format!("{what} is cut short or damaged ({e})"))?;
        self.spend(bytes.len()).map_err(|message| format!("{what}: {message}"))?;
        Ok(bytes)
    }

    /// Asks for `count` numbers as f64.
    pub(super) fn numbers(&mut self, count: usize) -> Parsed<()> {
        self.spend(count.saturating_mul(size_of::<f64>()))
    }

    fn spend(&mut self, bytes: usize) -> Parsed<()> {
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| {
            format!(
                "it would grow to more than {} bytes, over {LARGEST_RATIO} times the file; store it uncompressed if it is meant \
                 to be that large",
                self.limit
            )
        })?;
        Ok(())
    }
}

/// The bytes inside, if they are gzipped; otherwise themselves.
pub(super) fn gunzip(bytes: Vec<u8>, budget: &mut Budget) -> Parsed<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        budget.read(MultiGzDecoder::new(bytes.as_slice()), "the gzip stream")
    } else {
        Ok(bytes)
    }
}

/// Up to 80 characters of text out of a file, harmless to print.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn unwrapped(bytes: Vec<u8>) -> Parsed<Vec<u8>> {
        let mut budget = Budget::new(bytes.len());
        gunzip(bytes, &mut budget)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn gzip_is_unwrapped_once_and_bombs_are_refused() {
        assert_eq!(unwrapped(gzip(b"abc")).as_deref(), Ok(&b"abc"[..]));
        assert_eq!(unwrapped(b"abc".to_vec()).as_deref(), Ok(&b"abc"[..]));
        let bomb = gzip(&vec![0; 80 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(unwrapped(bomb).expect_err("80 MiB of zeros").contains("grow to more than 67108864 bytes"));
        let mut budget = Budget::new(1);
        let layer = gzip(&vec![0; 40 << 20]);
        assert!(gunzip(layer.clone(), &mut budget).is_ok());
        assert!(gunzip(layer, &mut budget).is_err(), "40 + 40 MiB of one file");
        let mut short = gzip(&[7; 1000]);
        short.truncate(short.len() - 4);
        assert!(unwrapped(short).expect_err("truncated").contains("cut short"));
    }

    #[test]
    fn digests_are_those_of_sha256sum() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn text_from_files_is_harmless() {
        assert_eq!(printable("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable(&"x".repeat(100)).chars().count(), 81);
    }
}
