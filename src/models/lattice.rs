//! The graphs that lattice models live on: rings, tori and open grids.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A ring, a torus or an open grid of sites, numbered row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lattice {
    /// `sites` in a circle, each with two neighbours.
    Ring {
        /// How many, at least 3.
        sites: usize,
    },
    /// rows × columns with both ends joined, each site with four neighbours.
    Torus {
        /// At least 3, so that no pair is joined twice.
        rows: usize,
        /// At least 3.
        columns: usize,
    },
    /// rows × columns with open ends.
    Grid {
        /// At least 1.
        rows: usize,
        /// At least 1.
        columns: usize,
    },
}

impl Lattice {
    /// Checks the side lengths.
    ///
    /// # Errors
    /// [`Error::Model`] where a wrapped side is shorter than 3 (its neighbours would be joined twice), a side is 0, or the
    /// number of sites exceeds 2²⁴.
    pub fn checked(self) -> Result<Self> {
        let (least, sides) = match self {
            Self::Ring { sites } => (3, [sites, 3]),
            Self::Torus { rows, columns } => (3, [rows, columns]),
            Self::Grid { rows, columns } => (1, [rows, columns]),
        };
        if sides.iter().any(|&side| side < least) {
            return Err(Error::model("lattice", format!("{self}: a side is at least {least} long")));
        }
        if sides[0].saturating_mul(sides[1]) > 1 << 24 {
            return Err(Error::model("lattice", format!("{self} has more than 2^24 sites")));
        }
        Ok(self)
    }

    /// The number of sites.
    #[must_use]
    pub fn sites(&self) -> usize {
        match *self {
            Self::Ring { sites } => sites,
            Self::Torus { rows, columns } | Self::Grid { rows, columns } => rows * columns,
        }
    }

    /// (rows, columns); a ring is one row.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match *self {
            Self::Ring { sites } => (1, sites),
            Self::Torus { rows, columns } | Self::Grid { rows, columns } => (rows, columns),
        }
    }

    /// Every bond once, as (site, right or lower neighbour).
    #[must_use]
    pub fn bonds(&self) -> Vec<(usize, usize)> {
        let (rows, columns) = self.shape();
        let wraps = !matches!(self, Self::Grid { .. });
        let mut bonds = Vec::with_capacity(2 * self.sites());
        for row in 0..rows {
            for column in 0..columns {
                let site = row * columns + column;
                if column + 1 < columns || wraps {
                    bonds.push((site, row * columns + (column + 1) % columns));
                }
                if row + 1 < rows || (wraps && rows > 1) {
                    bonds.push((site, (row + 1) % rows * columns + column));
                }
            }
        }
        bonds
    }

    /// The neighbours of each site.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.sites()];
        for (a, b) in self.bonds() {
            lists[a].push(b);
            lists[b].push(a);
        }
        lists
    }

    /// Sites in classes none of which holds two neighbours, so that a class can be updated at once.
    ///
    /// Two classes, a chequerboard, where every wrapped side is even; three where one is odd.
    #[must_use]
    pub fn colouring(&self) -> Vec<Vec<usize>> {
        colour(&self.neighbours())
    }
}

impl fmt::Display for Lattice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring { sites } => write!(f, "ring of {sites}"),
            Self::Torus { rows, columns } => write!(f, "{rows}x{columns} torus"),
            Self::Grid { rows, columns } => write!(f, "{rows}x{columns} open grid"),
        }
    }
}

/// A colouring of a graph: greedy in breadth-first order, so a bipartite graph gets two classes.
#[must_use]
pub fn colour(neighbours: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut colours = vec![usize::MAX; neighbours.len()];
    let mut classes: Vec<Vec<usize>> = Vec::new();
    let mut queue = std::collections::VecDeque::new();
    let mut queued = vec![false; neighbours.len()];
    for start in 0..neighbours.len() {
        if queued[start] {
            continue;
        }
        queued[start] = true;
        queue.push_back(start);
        while let Some(site) = queue.pop_front() {
            let class = (0..=neighbours[site].len())
                .find(|class| neighbours[site].iter().all(|&other| colours[other] != *class))
                .expect("n neighbours leave one of n + 1 colours free");
            colours[site] = class;
            if class == classes.len() {
                classes.push(Vec::new());
            }
            classes[class].push(site);
            for &other in &neighbours[site] {
                if !queued[other] {
                    queued[other] = true;
                    queue.push_back(other);
                }
            }
        }
    }
    for class in &mut classes {
        class.sort_unstable();
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colourings_are_valid_and_small() {
        let lattices = [
            (Lattice::Ring { sites: 8 }, 2),
            (Lattice::Ring { sites: 7 }, 3),
            (Lattice::Torus { rows: 4, columns: 6 }, 2),
            (Lattice::Torus { rows: 5, columns: 7 }, 5),
            (Lattice::Grid { rows: 3, columns: 5 }, 2),
            (Lattice::Grid { rows: 1, columns: 1 }, 1),
        ];
        for (lattice, most) in lattices {
            let classes = lattice.colouring();
            assert!(classes.len() <= most, "{lattice}: {} classes", classes.len());
            assert_eq!(classes.iter().map(Vec::len).sum::<usize>(), lattice.sites());
            for class in &classes {
                for (a, b) in lattice.bonds() {
                    assert!(!(class.contains(&a) && class.contains(&b)), "{lattice}");
                }
            }
        }
    }

    #[test]
    fn bonds_are_counted_once() {
        assert_eq!(Lattice::Torus { rows: 3, columns: 4 }.bonds().len(), 24);
        assert_eq!(Lattice::Grid { rows: 3, columns: 4 }.bonds().len(), 17);
        assert_eq!(Lattice::Ring { sites: 5 }.bonds().len(), 5);
        assert!(Lattice::Torus { rows: 2, columns: 4 }.checked().is_err());
    }
}
