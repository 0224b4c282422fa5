//! Orders of a graph's sites in which few are open at a time.

/// Candidates that the greedy order chooses among, those that have waited longest.
const CANDIDATES: usize = 64;
/// Sites spread over a component that orders start from, beside its ends.
const SPREAD: usize = 8;

/// Sites one after the other. A site is open from when it is added until all its neighbours are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) sites: Vec<usize>,
    /// Most sites that are open at a time.
    pub(super) width: usize,
    /// Σ over sites of 2 to the number that are open then.
    pub(super) work: f64,
}

/// The least work found in an order with at most `most` open sites, component after component: as numbered, breadth-first
/// (Cuthill & McKee 1969, doi:10.1145/800195.805928) and greedily from several ends. `None` if there is none.
pub(super) fn narrowest(neighbours: &[Vec<usize>], most: usize) -> Option<Order> {
    let mut all = Order { sites: Vec::new(), width: 0, work: 0.0 };
    let mut local = vec![usize::MAX; neighbours.len()];
    for first in 0..neighbours.len() {
        if local[first] != usize::MAX {
            continue;
        }
        let mut members = vec![first];
        local[first] = 0;
        let mut next = 0;
        while next < members.len() {
            for &site in &neighbours[members[next]] {
                if local[site] == usize::MAX {
                    local[site] = 0;
                    members.push(site);
                }
            }
            next += 1;
        }
        members.sort_unstable();
        members.iter().enumerate().for_each(|(number, &site)| local[site] = number);
        let links: Vec<Vec<usize>> = members
            .iter()
            .map(|&site| neighbours[site].iter().map(|&other| local[other]).collect())
            .collect();
        let best = narrowest_of_component(&links, most)?;
        all.sites.extend(best.sites.iter().map(|&site| members[site]));
        all.width = all.width.max(best.width);
        all.work += best.work;
    }
    Some(all)
}

fn narrowest_of_component(neighbours: &[Vec<usize>], most: usize) -> Option<Order> {
    // The site that is closed first has all its neighbours open.
    if neighbours.iter().map(Vec::len).min().is_some_and(|degree| degree > most) {
        return None;
    }
    let mut best = Walk::new(neighbours, most, f64::INFINITY).along(0..neighbours.len());
    for start in starts(neighbours) {
        for follow in [Walk::breadth_first, Walk::greedy] {
            let least = best.as_ref().map_or(f64::INFINITY, |best| best.work);
            best = follow(Walk::new(neighbours, most, least), start).or(best);
        }
    }
    best
}

/// Sites far apart, and some spread over all.
fn starts(neighbours: &[Vec<usize>]) -> Vec<usize> {
    let count = neighbours.len();
    if count <= 2 {
        return Vec::new();
    }
    let mut starts = Vec::new();
    let mut end = (0..count).min_by_key(|&site| neighbours[site].len()).unwrap_or(0);
    for _ in 0..3 {
        starts.push(end);
        end = *levels(neighbours, end).last().unwrap_or(&end);
    }
    starts.extend((0..SPREAD).map(|k| k * count / SPREAD));
    starts.push(count - 1);
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// All sites breadth-first from `start`, those with few neighbours first.
fn levels(neighbours: &[Vec<usize>], start: usize) -> Vec<usize> {
    let mut seen = vec![false; neighbours.len()];
    seen[start] = true;
    let mut sites = vec![start];
    let mut next = 0;
    while next < sites.len() {
        let from = sites.len();
        for &site in &neighbours[sites[next]] {
            if !std::mem::replace(&mut seen[site], true) {
                sites.push(site);
            }
        }
        sites[from..].sort_by_key(|&site| neighbours[site].len());
        next += 1;
    }
    sites
}

/// An order in the making, given up when it turns out wider than `most` or no less work than `least`.
#[derive(Debug)]
struct Walk<'a> {
    neighbours: &'a [Vec<usize>],
    most: usize,
    least: f64,
    order: Order,
    is_added: Vec<bool>,
    /// How many neighbours of each site are still to be added.
    waiting: Vec<usize>,
    open: usize,
}

impl<'a> Walk<'a> {
    fn new(neighbours: &'a [Vec<usize>], most: usize, least: f64) -> Self {
        Self {
            neighbours,
            most,
            least,
            order: Order { sites: Vec::with_capacity(neighbours.len()), width: 0, work: 0.0 },
            is_added: vec![false; neighbours.len()],
            waiting: neighbours.iter().map(Vec::len).collect(),
            open: 0,
        }
    }

    /// How many sites would be open after `site` was added.
    fn open_after(&self, site: usize) -> usize {
        let closed = self.neighbours[site].iter().filter(|&&u| self.is_added[u] && self.waiting[u] == 1);
        self.open + usize::from(self.waiting[site] > 0) - closed.count()
    }

    fn add(&mut self, site: usize) -> Option<()> {
        let before = self.open;
        self.open = self.open_after(site);
        self.is_added[site] = true;
        self.neighbours[site].iter().for_each(|&u| self.waiting[u] -= 1);
        let wider = before.max(self.open);
        self.order.sites.push(site);
        self.order.width = self.order.width.max(wider);
        self.order.work += (wider as f64).exp2();
        (wider <= self.most && self.order.work < self.least).then_some(())
    }

    fn along(mut self, sites: impl IntoIterator<Item = usize>) -> Option<Order> {
        for site in sites {
            self.add(site)?;
        }
        Some(self.order)
    }

    fn breadth_first(self, start: usize) -> Option<Order> {
        let sites = levels(self.neighbours, start);
        self.along(sites)
    }

    /// Next the neighbour of an open site that leaves fewest sites open, then the one with fewest neighbours to come.
    fn greedy(mut self, start: usize) -> Option<Order> {
        let mut is_listed = self.is_added.clone();
        is_listed[start] = true;
        let mut candidates = vec![start];
        while !candidates.is_empty() {
            let place = (0..candidates.len().min(CANDIDATES))
                .min_by_key(|&k| (self.open_after(candidates[k]), self.waiting[candidates[k]]))?;
            let site = candidates.remove(place);
            self.add(site)?;
            for &u in &self.neighbours[site] {
                if !std::mem::replace(&mut is_listed[u], true) {
                    candidates.push(u);
                }
            }
        }
        Some(self.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(count: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); count];
        for (i, j) in edges {
            lists[i].push(j);
            lists[j].push(i);
        }
        lists
    }

    /// A cylinder with the given numbers of sites along and around, numbered along or around first and then shuffled or not.
    fn cylinder(along: usize, around: usize, number: impl Fn(usize, usize) -> usize) -> Vec<Vec<usize>> {
        let mut edges = Vec::new();
        for a in 0..along {
            for b in 0..around {
                edges.push((number(a, b), number(a, (b + 1) % around)));
                if a + 1 < along {
                    edges.push((number(a, b), number(a + 1, b)));
                }
            }
        }
        graph(along * around, edges)
    }

    #[test]
    fn lattices_are_as_narrow_as_they_look_however_numbered() {
        let width = |graph: &[Vec<usize>]| narrowest(graph, 30).expect("narrow").width;
        assert_eq!(width(&cylinder(16, 16, |a, b| 16 * a + b)), 16);
        assert_eq!(width(&cylinder(16, 16, |a, b| 16 * b + a)), 16);
        // 101 and 256 have no common factor.
        assert_eq!(width(&cylinder(16, 16, |a, b| (16 * a + b) * 101 % 256)), 16);
        assert_eq!(width(&cylinder(40, 7, |a, b| (7 * a + b) * 101 % 280)), 7);
        assert_eq!(width(&graph(50, (0..49).map(|i| (i * 7 % 50, (i + 1) * 7 % 50)))), 1);
        assert_eq!(width(&graph(50, (1..50).map(|i| (49, i - 1)))), 1, "a star");
        assert_eq!(width(&graph(5, [])), 0, "sites apart");
    }

    #[test]
    fn orders_hold_every_site_once_and_count_what_is_open() {
        let graph = graph(9, [(0, 5), (5, 8), (8, 0), (1, 2), (2, 3), (3, 1), (3, 6)]);
        let order = narrowest(&graph, 5).expect("narrow");
        let mut sites = order.sites.clone();
        sites.sort_unstable();
        assert_eq!(sites, (0..9).collect::<Vec<_>>());
        assert_eq!(order.width, 2);
        assert_eq!(narrowest(&graph, 1), None);
        let dense: Vec<Vec<usize>> = (0..40).map(|i| (0..40).filter(|&j| j != i).collect()).collect();
        assert_eq!(narrowest(&dense, 30), None);
    }
}
