//! The order in which a sweep visits the sites of a graph, and where it finds each site's neighbours.

use super::{WIDTH, Words};

/// Sites class by class of a colouring and, within a class, degree by degree, in groups of eight that are updated at once.
///
/// Each run of one class and degree starts a new group, so a group never holds two neighbours; places that are left over at the
/// end of a run belong to no site. On lattices, neighbours of a group mostly stand in a row themselves; those that do not are
/// copied behind the last site before their run is visited, so that a group's neighbours always are a few rows of eight words.
#[derive(Debug)]
pub(super) struct Order {
    /// The place of each site.
    places: Vec<usize>,
    runs: Vec<Run>,
    /// Where copies begin, and where they end.
    copies: usize,
    len: usize,
    /// The first run of the second and last class, where there are two: every bond has one end from here on.
    bipartite: Option<usize>,
}

/// Groups of one class and one degree.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) degree: usize,
    /// The place of its first site.
    pub(super) first: usize,
    sites: usize,
    /// Where neighbours begin, `degree` rows for each group.
    rows: Vec<usize>,
    /// What is copied before.
    copied: Vec<[u32; WIDTH]>,
}

impl Run {
    pub(super) fn groups(&self) -> usize {
        self.sites.div_ceil(WIDTH)
    }

    /// Clears words of a group at places without a site.
    #[inline(always)]
    pub(super) fn clear_rest(&self, group: usize, words: &mut Words) {
        let sites = self.sites - group * WIDTH;
        if sites < WIDTH {
            words[sites..].fill(0);
        }
    }

    /// The words of the k-th neighbours, for k below the degree, of the sites of a group.
    #[inline(always)]
    pub(super) fn around<const DEGREE: usize>(&self, group: usize, words: &[u64]) -> [Words; DEGREE] {
        let rows: &[usize; DEGREE] =
            self.rows[group * DEGREE..][..DEGREE].try_into().expect("as many as asked for");
        // A loop, because closures of array methods are not compiled for the instruction set in use.
        let mut around = [[0; WIDTH]; DEGREE];
        for k in 0..DEGREE {
            around[k] = at(words, rows[k]);
        }
        around
    }
}

impl Run {
    /// Rows for a group whose sites have their neighbours at `around`: first what all have in a row among the `copies` places, then
    /// the rest.
    fn find(&mut self, mut around: Vec<Vec<usize>>, copies: usize) {
        for start in around[0].clone() {
            let everywhere = around.iter().enumerate().all(|(i, places)| places.contains(&(start + i)));
            if everywhere && start + WIDTH <= copies {
                self.rows.push(start);
                for (i, places) in around.iter_mut().enumerate() {
                    places.retain(|&place| place != start + i);
                }
            }
        }
        for k in 0..around[0].len() {
            self.rows.push(copies + WIDTH * self.copied.len());
            self.copied.push(std::array::from_fn(|i| around.get(i).map_or(0, |places| places[k] as u32)));
        }
    }
}

impl Order {
    /// An order for a graph whose `classes` hold no two neighbours.
    pub(super) fn new(neighbours: &[Vec<usize>], classes: &[Vec<usize>]) -> Self {
        let mut places = vec![0; neighbours.len()];
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut runs = Vec::new();
        let (mut next, mut bipartite) = (0, None);
        let degrees = neighbours.iter().map(Vec::len).max().unwrap_or(0);
        for (number, class) in classes.iter().enumerate() {
            if number == 1 && classes.len() == 2 {
                bipartite = Some(runs.len());
            }
            for degree in 0..=degrees {
                let sites: Vec<usize> =
                    class.iter().copied().filter(|&site| neighbours[site].len() == degree).collect();
                if sites.is_empty() {
                    continue;
                }
                for (i, &site) in sites.iter().enumerate() {
                    places[site] = next + i;
                }
                runs.push(Run {
                    degree,
                    first: next,
                    sites: sites.len(),
                    rows: Vec::new(),
                    copied: Vec::new(),
                });
                next += sites.len().next_multiple_of(WIDTH);
                members.push(sites);
            }
        }
        for (run, sites) in runs.iter_mut().zip(members) {
            for group in sites.chunks(WIDTH) {
                let around = group
                    .iter()
                    .map(|&site| neighbours[site].iter().map(|&other| places[other]).collect())
                    .collect();
                run.find(around, next);
            }
        }
        let most = runs.iter().map(|run| run.copied.len()).max().unwrap_or(0);
        Self { places, runs, copies: next, len: next + WIDTH * most, bipartite }
    }

    /// Words of 64 chains: a place for each site, what fills up groups, and copies.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Those that are no copies.
    pub(super) fn sites<'a>(&self, words: &'a [u64]) -> &'a [Words] {
        words[..self.copies].as_chunks().0
    }

    /// The place of each site.
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }

    /// Classes in order, those of one class together.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Runs whose sites have every bond at least once among their neighbours, and how often.
    pub(super) fn covering(&self) -> (&[Run], u32) {
        self.bipartite.map_or((&self.runs, 2), |first| (&self.runs[first..], 1))
    }

    /// Copies what `run` needs side by side.
    #[inline(always)]
    pub(super) fn copy(&self, run: &Run, words: &mut [u64]) {
        let (sites, copies) = words.split_at_mut(self.copies);
        for (copies, places) in copies.as_chunks_mut::<WIDTH>().0.iter_mut().zip(&run.copied) {
            for i in 0..WIDTH {
                copies[i] = sites[places[i] as usize];
            }
        }
    }
}

/// Eight words in a row.
#[inline(always)]
pub(super) fn at(words: &[u64], place: usize) -> Words {
    words[place..][..WIDTH].try_into().expect("as many as asked for")
}
