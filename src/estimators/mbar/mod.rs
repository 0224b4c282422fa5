//! The multistate acceptance ratio: log of the partition functions of many states at once, from samples of all of them.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rand::RngExt;
use rayon::prelude::*;

use super::bar::bar;
use crate::error::{Error, Result};
use crate::math::linear::Cholesky;
use crate::math::{Stream, log_sum_exp, products, statistics};

mod newton;

use newton::Newton;

/// Parts that samples are cut into, whatever the number of threads, so that sums come out the same.
const PARTS: usize = 64;

/// Reduced energies of samples: what free-energy programs call u_kn and N_k.
///
/// Row k holds the reduced energy u_k(x) = −log f_k(x) of every sample at state k; samples are ordered by the state that they were
/// drawn from, `counts[k]` from state k. States without samples (count 0) are allowed: their log Z is found by reweighting.
#[derive(Clone, Copy, Debug)]
pub struct Reduced<'a> {
    energies: ArrayView2<'a, f64>,
    counts: &'a [usize],
}

impl<'a> Reduced<'a> {
    /// Energies as (states, samples).
    ///
    /// # Errors
    /// [`Error::Data`] where shapes do not fit, an energy is NaN or −∞, or a sample has energy +∞ at every state with samples.
    pub fn new(energies: ArrayView2<'a, f64>, counts: &'a [usize]) -> Result<Self> {
        let (states, samples) = energies.dim();
        if counts.len() != states {
            return Err(Error::data(format!(
                "u_kn has {states} rows but N_k {} entries; one per state",
                counts.len()
            )));
        }
        let total: usize = counts.iter().sum();
        if total != samples {
            return Err(Error::data(format!(
                "N_k adds up to {total}, but u_kn has {samples} columns; one per sample"
            )));
        }
        if samples == 0 {
            return Err(Error::data("no samples: N_k is zero for every state"));
        }
        for ((state, sample), &energy) in energies.indexed_iter() {
            if energy.is_nan() || energy == f64::NEG_INFINITY {
                return Err(Error::data(format!(
                    "the energy of sample {sample} at state {state} is {energy}; it must be finite or +inf"
                )));
            }
        }
        let lost =
            (0..samples).find(|&n| (0..states).all(|k| counts[k] == 0 || energies[[k, n]] == f64::INFINITY));
        if let Some(sample) = lost {
            return Err(Error::data(format!(
                "sample {sample} has energy +inf at every state that was sampled, so it can be a sample of none"
            )));
        }
        Ok(Self { energies, counts })
    }

    /// The samples of each state.
    fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut from = 0;
        self.counts
            .iter()
            .map(|&count| {
                from += count;
                from - count..from
            })
            .collect()
    }

    fn sampled(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&k| self.counts[k] > 0).collect()
    }

    /// log Z of the sampled states, each from the one before it by the acceptance ratio: where the multistate equations start.
    fn first_guess(&self, sampled: &[usize]) -> Vec<f64> {
        let ranges = self.ranges();
        let mut guess = vec![0.0];
        for pair in sampled.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let gains = |of: usize, to: usize| -> Vec<f64> {
                let range = ranges[of].clone();
                let (from, to) =
                    (self.energies.slice(s![of, range.clone()]), self.energies.slice(s![to, range]));
                from.iter()
                    .zip(to)
                    .map(|(from, to)| if from.is_infinite() { f64::NEG_INFINITY } else { from - to })
                    .collect()
            };
            let step = bar(&gains(low, high), &gains(high, low)).map_or(0.0, |ratio| ratio.log_ratio);
            guess.push(guess[guess.len() - 1] + step);
        }
        guess
    }
}

/// A state as the samples of others see it.
#[derive(Clone, Debug)]
pub struct Reweighted {
    /// Its log Z less that of state 0.
    pub log_z: f64,
    /// The weight of every sample in its averages; they add up to one.
    pub weights: Vec<f64>,
}

/// Overlap of neighbours below which they hardly know of each other, so that neither error bars nor differences mean much
/// (Klimovich, Shirts & Mobley 2015, doi:10.1007/s10822-015-9840-9).
pub const LEAST_OVERLAP: f64 = 0.03;

/// The solution of the multistate acceptance-ratio equations.
#[derive(Clone, Debug)]
pub struct Mbar {
    /// log Z_k − log Z₀.
    pub log_z: Array1<f64>,
    /// Newton steps that it took.
    pub steps: usize,
    counts: Vec<usize>,
    /// log Σ_j N_j e^{−u_j(x_n)}/Z_j, Z₀ being 1.
    log_totals: Vec<f64>,
    /// W_nk = e^{−u_k(x_n)} / (Z_k Σ_j N_j e^{−u_j(x_n)}/Z_j), (samples, states): each column adds up to one.
    weights: Array2<f64>,
    /// Sampled states but the first, and the factor of their curvature.
    others: Vec<usize>,
    curvature: Cholesky,
}

impl Mbar {
    /// Solves for all log Z at once (Shirts & Chodera 2008, doi:10.1063/1.2978177).
    ///
    /// With f_k = −log Z_k the equations Σ_n N_k e^{f_k − u_k(x_n)} / Σ_j N_j e^{f_j − u_j(x_n)} = N_k are the gradient of a convex
    /// function, which Newton's method with a line search brings to its minimum from the pairwise acceptance ratios. The order of
    /// states matters to where that starts only.
    ///
    /// # Errors
    /// [`Error::NotReached`] where some states have no overlap with the rest, so that the minimum is not unique, and where the
    /// method does not converge: there is no number then.
    pub fn solve(samples: Reduced<'_>) -> Result<Self> {
        let sampled = samples.sampled();
        let guess = samples.first_guess(&sampled);
        let solution = Newton::new(samples, &sampled, &guess).solve(samples, None)?;
        let curvature = solution.factor().map_err(|pivot| no_overlap(sampled[pivot.index + 1]))?;
        let energies = samples.energies;
        let log_totals: Vec<f64> = solution.log_totals();
        let mut log_z = Array1::zeros(energies.nrows());
        let mut weights = Array2::zeros((energies.ncols(), energies.nrows()));
        for state in 0..energies.nrows() {
            let row = energies.row(state);
            let logs: Vec<f64> = row.iter().zip(&log_totals).map(|(u, total)| -u - total).collect();
            let whole = log_sum_exp(&logs);
            if whole == f64::NEG_INFINITY {
                return Err(no_overlap(state));
            }
            log_z[state] = whole;
            weights
                .column_mut(state)
                .iter_mut()
                .zip(&logs)
                .for_each(|(weight, log)| *weight = (log - whole).exp());
        }
        let zero = log_z[0];
        log_z -= zero;
        Ok(Self {
            log_z,
            steps: solution.steps,
            counts: samples.counts.to_vec(),
            log_totals: log_totals.iter().map(|total| total + zero).collect(),
            weights,
            others: sampled[1..].to_vec(),
            curvature,
        })
    }

    /// W_nk, (samples, states).
    #[must_use]
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        self.weights.view()
    }

    /// O_ij = N_j Σ_n W_ni W_nj: the chance that a sample which looks like one of state i is one of state j; rows add up to one.
    /// Neighbours should have [`LEAST_OVERLAP`].
    #[must_use]
    pub fn overlap(&self) -> Array2<f64> {
        let counts: Array1<f64> = self.counts.iter().map(|&count| count as f64).collect();
        self.products() * counts
    }

    /// The overlap O_ij of each state i with the next j that has samples; `None` for the last of them, and for states without.
    #[must_use]
    pub fn overlap_with_next(&self) -> Vec<Option<f64>> {
        let overlap = self.overlap();
        let sampled = |state: usize| self.counts[state] > 0;
        let states = self.counts.len();
        let next = |state: usize| (state + 1..states).find(|&next| sampled(next)).filter(|_| sampled(state));
        (0..states).map(|state| Some(overlap[[state, next(state)?]])).collect()
    }

    /// 1 / Σ_n W_nk²: how many samples each state's averages are worth.
    #[must_use]
    pub fn effective_samples(&self) -> Array1<f64> {
        self.weights.map_axis(Axis(0), |column| 1.0 / column.dot(&column))
    }

    /// Asymptotic covariance of log Z_k − log Z₀ for independent samples (Shirts & Chodera 2008, eq. 8; Kong, McCullagh, Meng,
    /// Nicolae & Tan 2003, doi:10.1111/1467-9868.00404).
    ///
    /// Where neighbouring samples of a state are correlated it is too small by their statistical inefficiency: thin them first, or
    /// ask for [`Mbar::covariance_of_clusters`].
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let products = self.products();
        let states = self.counts.len();
        // Column k solves H x = N A d for the contrast d = e_k − e_0 among sampled states, and follows for the others.
        let mut solved = Array2::zeros((states, states));
        for k in 1..states {
            let target: Array1<f64> = &products.column(k) - &products.column(0);
            let right = self.others.iter().map(|&j| self.counts[j] as f64 * target[j]).collect();
            let x = self.curvature.solve(right);
            let mut all = Array1::<f64>::zeros(states);
            self.others.iter().zip(&x).for_each(|(&j, x)| all[j] = *x);
            let weighted: Array1<f64> =
                all.iter().zip(&self.counts).map(|(x, &count)| x * count as f64).collect();
            // x = A (N x + d), which the sampled states satisfy already up to a constant.
            let x = products.dot(&weighted) + target;
            let zero = x[0];
            solved.column_mut(k).assign(&x.mapv(|x| x - zero));
        }
        symmetric(solved)
    }

    /// Covariance of log Z_k − log Z₀ where samples of one cluster (a chain, or all rungs of one tempering system) depend on each
    /// other in whatever way, and clusters do not: C/(C − 1) Σ_c δ_c δ_cᵀ over C clusters, δ_c as [`Mbar::influence_of_clusters`]
    /// has it. No autocorrelation time is needed.
    ///
    /// # Panics
    /// Unless there is a cluster for each sample.
    #[must_use]
    pub fn covariance_of_clusters(&self, clusters: &[usize]) -> Array2<f64> {
        let moved = self.influence_of_clusters(clusters);
        let number = moved.nrows() as f64;
        moved.t().dot(&moved) * (number / (number - 1.0))
    }

    /// By how much each cluster of samples moves log Z_k − log Z₀, to first order, (clusters, states).
    ///
    /// # Panics
    /// Unless there is a cluster for each sample.
    #[must_use]
    pub fn influence_of_clusters(&self, clusters: &[usize]) -> Array2<f64> {
        assert_eq!(clusters.len(), self.weights.nrows(), "a cluster for each sample");
        let number = clusters.iter().max().map_or(0, |most| most + 1);
        let mut sums = Array2::<f64>::zeros((number, self.counts.len()));
        for (row, &cluster) in self.centred().rows().into_iter().zip(clusters) {
            let mut sum = sums.row_mut(cluster);
            sum += &row;
        }
        sums.dot(&self.response().t())
    }

    /// A state that need not have been among them, from the reduced energies of all samples at it.
    ///
    /// # Errors
    /// [`Error::Data`] for energies of another number, NaN or −∞; [`Error::NotReached`] where all are +∞.
    pub fn reweight(&self, energies: ArrayView1<'_, f64>) -> Result<Reweighted> {
        if energies.len() != self.log_totals.len() {
            return Err(Error::data(format!(
                "{} energies for {} samples; one per sample",
                energies.len(),
                self.log_totals.len()
            )));
        }
        if let Some(sample) = energies.iter().position(|u| u.is_nan() || *u == f64::NEG_INFINITY) {
            return Err(Error::data(format!(
                "the energy of sample {sample} is {}; it must be finite or +inf",
                energies[sample]
            )));
        }
        let logs: Vec<f64> = energies.iter().zip(&self.log_totals).map(|(u, total)| -u - total).collect();
        let log_z = log_sum_exp(&logs);
        if log_z == f64::NEG_INFINITY {
            return Err(no_overlap(self.counts.len()));
        }
        Ok(Reweighted { log_z, weights: logs.iter().map(|log| (log - log_z).exp()).collect() })
    }

    /// By how much each cluster of samples moves Σ_n w_n a(x_n), w the weights of a reweighted state, to first order: by its own
    /// samples, and through log Z of the sampled states, which the weights depend on (`influence`, as
    /// [`Mbar::influence_of_clusters`] has it).
    ///
    /// With a = 1 it is by how much the cluster moves log Z of that state.
    pub(crate) fn influence_on_average(
        &self,
        weights: &[f64],
        values: impl Fn(usize) -> f64,
        clusters: &[usize],
        influence: ArrayView2<'_, f64>,
    ) -> Array1<f64> {
        let mut moved = Array1::<f64>::zeros(influence.nrows());
        let mut through = Array1::<f64>::zeros(self.counts.len());
        for (n, (row, &cluster)) in self.weights.rows().into_iter().zip(clusters).enumerate() {
            // Energies may be infinite where there is no weight.
            if weights[n] > 0.0 {
                let share = weights[n] * values(n);
                moved[cluster] += share;
                through.scaled_add(share, &row);
            }
        }
        moved -= moved.mean().unwrap_or(0.0);
        let counts: Array1<f64> = self.counts.iter().map(|&count| count as f64).collect();
        moved + influence.dot(&(through * counts))
    }

    /// Covariance of log Z_k − log Z₀ where samples of a state follow each other in time and are worth 1/g of independent ones, g the
    /// statistical inefficiency of each state ([`inefficiencies`]); with g = 1 it is [`Mbar::covariance`].
    ///
    /// Σ_i g_i N_i Cov_i(W), where Cov_i, the covariance in state i of the row that a sample adds, is taken over the samples of all
    /// states by their weights W_ni: a state's own are too few for it where they are one or two, and never show the rare ones that
    /// join states of little overlap.
    ///
    /// # Panics
    /// Unless there is an inefficiency for each state.
    #[must_use]
    pub fn covariance_in_time(&self, inefficiencies: &[f64]) -> Array2<f64> {
        assert_eq!(inefficiencies.len(), self.counts.len(), "an inefficiency for each state");
        let scales: Array1<f64> =
            self.counts.iter().zip(inefficiencies).map(|(&count, g)| count as f64 * g).collect();
        let mut scaled = self.weights.clone();
        for mut row in scaled.rows_mut() {
            let shared = row.dot(&scales).sqrt();
            row *= shared;
        }
        let means = self.products();
        let spread = square(scaled.view()) - (&means * &scales).dot(&means);
        let response = self.response();
        symmetric(response.dot(&spread).dot(&response.t()))
    }

    /// W_nk less its mean over the samples that came from the same state: what no change of sample within a state changes.
    fn centred(&self) -> Array2<f64> {
        let states = self.counts.len();
        let mut means = Array2::<f64>::zeros((states, states));
        for (row, origin) in self.weights.rows().into_iter().zip(origins(&self.counts)) {
            means.row_mut(origin).scaled_add(1.0 / self.counts[origin] as f64, &row);
        }
        let mut centred = self.weights.clone();
        for (mut row, origin) in centred.rows_mut().into_iter().zip(origins(&self.counts)) {
            row -= &means.row(origin);
        }
        centred
    }

    /// The derivative of log Z_k − log Z₀ by Σ_n W_nj, (k, j): among sampled states H δ = N s, and δ = s + A N δ for all.
    fn response(&self) -> Array2<f64> {
        let states = self.counts.len();
        let counts: Array1<f64> = self.counts.iter().map(|&count| count as f64).collect();
        let mut among = Array2::<f64>::zeros((states, states));
        for (i, &j) in self.others.iter().enumerate() {
            let mut right = Array1::zeros(self.others.len());
            right[i] = counts[j];
            let solved = self.curvature.solve(right);
            self.others.iter().zip(&solved).for_each(|(&k, x)| among[[k, j]] = *x);
        }
        let response = (self.products() * &counts).dot(&among) + Array2::<f64>::eye(states);
        let zero = response.row(0).to_owned();
        response - zero
    }

    /// log Z_k − log Z₀ of `replicates` bootstrap samples, (replicates, states): clusters are drawn with replacement, or samples
    /// within each state where `clusters` is `None`.
    ///
    /// # Errors
    /// As [`Mbar::solve`], for a replicate.
    pub fn bootstrap(
        &self,
        samples: Reduced<'_>,
        clusters: Option<&[usize]>,
        replicates: usize,
        stream: Stream,
    ) -> Result<Array2<f64>> {
        let sampled = samples.sampled();
        let start: Vec<f64> = sampled.iter().map(|&k| self.log_z[k]).collect();
        let newton = Newton::new(samples, &sampled, &start);
        let mut rows = Array2::zeros((replicates, self.counts.len()));
        for (replicate, mut row) in rows.rows_mut().into_iter().enumerate() {
            let times = redrawn(&self.counts, clusters, stream.child(replicate as u64));
            let solution = newton.solve(samples, Some(&times))?;
            let log_totals = solution.log_totals();
            for (state, value) in row.iter_mut().enumerate() {
                let terms: Vec<f64> = samples
                    .energies
                    .row(state)
                    .iter()
                    .zip(&log_totals)
                    .zip(&times)
                    .map(|((u, total), times)| times.ln() - u - total)
                    .collect();
                *value = log_sum_exp(&terms);
            }
            let zero = row[0];
            row -= zero;
        }
        Ok(rows)
    }

    /// WᵀW.
    fn products(&self) -> Array2<f64> {
        let rows = self.weights.nrows().div_ceil(PARTS);
        let parts: Vec<Array2<f64>> = self
            .weights
            .axis_chunks_iter(Axis(0), rows)
            .into_par_iter()
            .map(|part| square(part.view()))
            .collect();
        parts.into_iter().reduce(|sum, part| sum + part).expect("there are samples")
    }
}

/// Statistical inefficiency of a state's samples, in the order in which they were taken: the integrated autocorrelation time of the
/// difference between the energies at the next state (or the one before the last) and its own.
#[must_use]
pub fn inefficiencies(samples: Reduced<'_>) -> Vec<f64> {
    let states = samples.counts.len();
    let of = |(state, range): (usize, std::ops::Range<usize>)| {
        let other = if state + 1 < states { state + 1 } else { state.saturating_sub(1) };
        let own = samples.energies.slice(s![state, range.clone()]);
        let next = samples.energies.slice(s![other, range]);
        let series: Vec<f64> = if other == state { own.to_vec() } else { (&next - &own).to_vec() };
        if series.iter().all(|x| x.is_finite()) { statistics::autocorrelation_time(&series) } else { 1.0 }
    };
    samples.ranges().into_iter().enumerate().map(of).collect()
}

/// How often each sample is drawn.
fn redrawn(counts: &[usize], clusters: Option<&[usize]>, stream: Stream) -> Vec<f64> {
    let mut generator = stream.generator();
    let total: usize = counts.iter().sum();
    if let Some(clusters) = clusters {
        let number = clusters.iter().max().map_or(0, |most| most + 1);
        let mut times = vec![0.0; number];
        (0..number).for_each(|_| times[generator.random_range(0..number)] += 1.0);
        return clusters.iter().map(|&cluster| times[cluster]).collect();
    }
    let mut times = vec![0.0; total];
    let mut from = 0;
    for &count in counts {
        (0..count).for_each(|_| times[from + generator.random_range(0..count)] += 1.0);
        from += count;
    }
    times
}

/// The state that each sample was drawn from.
fn origins(counts: &[usize]) -> impl Iterator<Item = usize> + '_ {
    counts.iter().enumerate().flat_map(|(state, &count)| std::iter::repeat_n(state, count))
}

fn no_overlap(state: usize) -> Error {
    Error::NotReached {
        estimator: "mbar",
        message: format!(
            "state {state} does not overlap with those before it, so their log Z cannot be compared; put states between them, or \
             draw more samples"
        ),
    }
}

/// MᵀM on the calling thread.
fn square(matrix: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((matrix.ncols(), matrix.ncols()));
    products::multiply(matrix.t(), matrix, out.view_mut());
    out
}

fn symmetric(matrix: Array2<f64>) -> Array2<f64> {
    let sum = &matrix + &matrix.t();
    0.5 * sum
}
