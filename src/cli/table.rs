//! Tables on a terminal: the first column to the left, numbers to the right.

/// Rows under a header, columns two spaces apart.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let space = " ".repeat(width - cell.chars().count());
                if column == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
            })
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(header.to_vec())).chain(body).collect()
}

/// A count to three digits: `950`, `65.5k`, `1.05M`, `2.1G`.
pub(crate) fn count(count: f64) -> String {
    let (value, unit) = match count {
        c if c < 1e4 => return format!("{c:.0}"),
        c if c < 1e6 => (c / 1e3, "k"),
        c if c < 1e9 => (c / 1e6, "M"),
        c => (c / 1e9, "G"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}{unit}")
}

/// A number that may be missing.
pub(crate) fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".into(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["ais".to_owned(), "1.5".into()], vec!["ti".into(), "-12.25".into()]];
        assert_eq!(table(&["method", "error"], &rows), "method   error\nais        1.5\nti      -12.25\n");
    }

    #[test]
    fn counts_are_short() {
        let counts = [7.0, 9999.0, 65_536.0, 1_048_576.0, 2.1e9].map(count);
        assert_eq!(counts.join(" "), "7 9999 65.5k 1.05M 2.10G");
    }
}
