//! A program that answers lnz with energies: the protocol of `lnz::models::command` from its other end, without any crate.
//!
//! ```text
//! lnz estimate --command target/release/examples/serve_energy --dim 10
//! ```
//!
//! The energy is that of independent normals, E(x) = Σᵢ ½ (xᵢ − i/10)² / sᵢ², s = 1, ½, 1, ½, …, whose log Z is Σᵢ log (sᵢ √(2π)). With
//! an argument it misbehaves in one way or another, for the tests of what lnz says then.

use std::io::{Read, Result, Write, stdin, stdout};
use std::time::Duration;

fn main() -> Result<()> {
    let fault = std::env::args().nth(1).unwrap_or_default();
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    match fault.as_str() {
        "babble" => output.write_all(b"Loading the model, please wait")?,
        "mute" => std::thread::sleep(Duration::from_secs(3600)),
        "refuse" => {
            eprintln!("Traceback (most recent call last):\n  in energy\nValueError: no such weights");
            std::process::exit(3);
        }
        _ => {}
    }

    let header = read_header(&mut input)?.expect("lnz greets first");
    assert_eq!(&header[..4], b"lnzE");
    let dim = u64::from_le_bytes(header[8..].try_into().expect("eight bytes")) as usize;
    let version: u32 = if fault == "version" { 7 } else { 1 };
    let gradients = u64::from(fault != "no-gradient");
    write_header(&mut output, *b"lnzE", version, gradients)?;

    let mut batches = 0;
    while let Some(header) = read_header(&mut input)? {
        assert_eq!(&header[..4], b"lnzQ");
        let with_gradients = header[4] == 2;
        let count = u64::from_le_bytes(header[8..].try_into().expect("eight bytes")) as usize;
        let mut bytes = vec![0; 8 * count * dim];
        input.read_exact(&mut bytes)?;
        let states: Vec<f64> = bytes
            .chunks_exact(8)
            .map(|chunk| f64::from_le_bytes(chunk.try_into().expect("eight bytes")))
            .collect();

        batches += 1;
        if batches > 20 {
            match fault.as_str() {
                "die" => {
                    eprintln!("out of memory");
                    std::process::exit(1);
                }
                "hang" => std::thread::sleep(Duration::from_secs(3600)),
                "print" => output.write_all(b"debug: x = 3\n")?,
                _ => {}
            }
        }
        let (status, answered) = match fault.as_str() {
            "status" => (1, count),
            "count" => (0, count + 1),
            _ => (0, count),
        };
        write_header(&mut output, *b"lnzA", status, answered as u64)?;
        let width = |i: usize| if i.is_multiple_of(2) { 1.0 } else { 0.5 };
        let scaled = |i: usize, x: f64| (x - i as f64 / 10.0) / width(i);
        for row in states.chunks_exact(dim) {
            let energy: f64 = row.iter().enumerate().map(|(i, &x)| 0.5 * scaled(i, x).powi(2)).sum();
            let energy = if fault == "nan" && row[0] > 1.0 { f64::NAN } else { energy };
            output.write_all(&energy.to_le_bytes())?;
        }
        if with_gradients {
            for (i, &x) in states.iter().enumerate() {
                let slope = scaled(i % dim, x) / width(i % dim);
                output.write_all(&slope.to_le_bytes())?;
            }
        }
        output.flush()?;
    }
    Ok(())
}

/// The next sixteen bytes, `None` where the input ends.
fn read_header(input: &mut impl Read) -> Result<Option<[u8; 16]>> {
    let mut header = [0; 16];
    match input.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_header(output: &mut impl Write, magic: [u8; 4], first: u32, second: u64) -> Result<()> {
    output.write_all(&magic)?;
    output.write_all(&first.to_le_bytes())?;
    output.write_all(&second.to_le_bytes())?;
    output.flush()
}
