//! Tables of numbers as text: comma, semicolon, tab or space between cells, an optional line of column names.

use csv::{ByteRecord, ReaderBuilder};
use ndarray::Array2;

use super::Parsed;
use super::bytes::printable;

/// Reads the table. Lines that begin with `#` are comments; a first line without any number is a header.
pub(super) fn read(bytes: &[u8]) -> Parsed<Array2<f64>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first_line =
        bytes.split(|&b| b == b'\n').find(|line| !line.is_empty() && line[0] != b'#').unwrap_or(&[]);
    let delimiter = *b",;\t ".iter().find(|d| first_line.contains(d)).unwrap_or(&b',');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let (mut values, mut width, mut header) = (Vec::new(), 0, None);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| e.to_string())? {
        let start = record.position().map_or(0, csv::Position::byte) as usize;
        let line = || line_from(bytes, start);
        if values.is_empty() && header.is_none() {
            width = record.len();
            if record.iter().all(|cell| number(cell).is_none()) {
                header = Some(line());
                continue;
            }
        }
        if record.len() != width {
            return Err(format!("line {} has {} columns, but the first has {width}", line(), record.len()));
        }
        for (column, cell) in record.iter().enumerate() {
            let shown = || printable(&String::from_utf8_lossy(cell));
            let wrong = match number(cell) {
                Some(value) if value.is_finite() => {
                    values.push(value);
                    continue;
                }
                Some(_) => format!("{}, not a finite number", shown()),
                None if cell.is_empty() => "empty".into(),
                None => format!("`{}`, not a number", shown()),
            };
            return Err(format!("line {}, column {} is {wrong}", line(), column + 1));
        }
    }
    let rows = values.len().checked_div(width).unwrap_or(0);
    if rows == 0 {
        return Err(match header {
            Some(line) => format!("there are no rows of numbers, only line {line}, taken for column names"),
            None => "there are no rows".into(),
        });
    }
    Ok(Array2::from_shape_vec((rows, width), values)
        .expect("every row was checked to be as wide as the first"))
}

/// The number of the first line at or after `start` that is neither blank nor a comment: where the crate says that a record
/// starts, it has not skipped those yet.
fn line_from(bytes: &[u8], start: usize) -> usize {
    let (before, rest) = bytes.split_at_checked(start).unwrap_or((bytes, &[]));
    let skipped = rest
        .split(|&b| b == b'\n')
        .take_while(|line| line.starts_with(b"#") || line.trim_ascii().is_empty())
        .count();
    before.split(|&b| b == b'\n').count() + skipped
}

fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn tables_of_every_kind_are_read() {
        let expected = array![[1.0, -2.5], [0.0, 1e3]];
        for text in [
            "1,-2.5\n0,1e3\n",
            "a,b\n1,-2.5\n0,1e3",
            "\u{feff}a,b\r\n1,-2.5\r\n0,1e3\r\n",
            "\"x\" ; \"y\"\n1 ; -2.5\n0;1e3\n",
            "# from somewhere\n1\t-2.5\n\n0\t1e3\n",
            "1.0e+00 -2.5e+00\n0 1000\n",
        ] {
            assert_eq!(read(text.as_bytes()).as_ref(), Ok(&expected), "{text}");
        }
        assert_eq!(read(b"5\n6\n"), Ok(array![[5.0], [6.0]]));
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, message) in [
            ("", "no rows"),
            ("\n\n", "no rows"),
            ("a,b\n", "only line 1, taken for column names"),
            ("1,2\n3\n", "line 2 has 1 columns, but the first has 2"),
            ("a,b\n1,2\n3,4,5\n", "line 3 has 3 columns"),
            ("1,2\n3,\n", "line 2, column 2 is empty"),
            (",0,1\n0,1,2\n", "line 1, column 1 is empty"),
            ("1,2\n3,x\n", "line 2, column 2 is `x`, not a number"),
            ("1,2\nnan,3\n", "line 2, column 1 is nan, not a finite"),
            ("1,2\n\n3,inf\n", "line 3, column 2 is inf"),
            ("#x\r\na,b\r\n\r\n1,2\r\n#x\r\n3,inf\r\n", "line 6, column 2 is inf"),
            ("1,2\n3,1e999\n", "line 2, column 2 is 1e999"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }
}
