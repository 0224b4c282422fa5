//! Kernels leave their distribution alone: chains drawn exactly from the model, moved 1, 4 and 16 times, must not drift.
//!
//! Immune to slow mixing, because the chains are in equilibrium from the start. Then the tests are tested: kernels that are
//! wrong on purpose must be caught.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::Silent;
use lnz::estimators::annealing;
use lnz::estimators::enumeration::exact_sampler;
use lnz::kernels::{
    EllipticalSlice, Ends, Hmc, Kernel, KernelChoice, Mala, RandomWalk, ReferenceChoice, StepStats, Walkers,
};
use lnz::math::random::Generator;
use lnz::math::{Stream, statistics};
use lnz::models::{Gaussian, Model, Sampler, builtin};
use lnz::paths::geometric::GeometricPath;
use lnz::paths::{self, Bend, Choices, Ensemble, Move, Path, Population, Schedule};
use ndarray::{Array2, ArrayView2, array};
use rand_distr::{Distribution, StandardNormal};

/// Chains of a discrete test: 64 blocks of 512.
const DRAWS: usize = 32_768;

/// Models with few states: 2⁶ or 3⁴.
const FINITE: [&str; 6] = [
    "ref:ising?rows=2&columns=3&coupling=0.5&field=0.3&boundary=grid",
    "ref:ising?side=5&coupling=0.6&field=-0.2&boundary=ring",
    "ref:boltzmann?dim=6&coupling=2",
    "ref:boltzmann?dim=6&units=spins&seed=4",
    "ref:potts?rows=2&columns=2&states=3&coupling=0.8&field=0.3&boundary=grid",
    "ref:rbm?visible=6&hidden=4&scale=1",
];

/// A state's number in the table of all states.
fn number(row: &[f64], values: &[f64]) -> usize {
    row.iter().fold(0, |sum, x| sum * values.len() + values.iter().position(|v| v == x).unwrap())
}

fn counts(states: ArrayView2<'_, f64>, values: &[f64]) -> Vec<f64> {
    let mut table = vec![0.0; values.len().pow(states.ncols() as u32)];
    for row in states.rows() {
        table[number(&row.to_vec(), values)] += 1.0;
    }
    table
}

/// Pearson's χ² over its degrees of freedom, in standard deviations above what it should be.
fn excess(observed: &[f64], probabilities: &[f64]) -> f64 {
    let total: f64 = observed.iter().sum();
    let (mut chi2, mut degrees) = (0.0, -1.0);
    let (mut rest, mut rest_expected) = (0.0, 0.0);
    for (o, p) in observed.iter().zip(probabilities) {
        if p * total >= 5.0 {
            chi2 += (o - p * total).powi(2) / (p * total);
            degrees += 1.0;
        } else {
            rest += o;
            rest_expected += p * total;
        }
    }
    if rest_expected >= 5.0 {
        chi2 += (rest - rest_expected).powi(2) / rest_expected;
        degrees += 1.0;
    }
    (chi2 - degrees) / f64::sqrt(2.0 * degrees)
}

fn probabilities(model: &Arc<dyn Model>) -> Vec<f64> {
    let space = model.space();
    let values = space.values().unwrap();
    let n = values.len().pow(space.dim as u32);
    let states = Array2::from_shape_fn((n, space.dim), |(state, i)| {
        values[state / values.len().pow((space.dim - 1 - i) as u32) % values.len()]
    });
    let energies = model.energy(states.view());
    let weights: Vec<f64> = energies.iter().map(|e| (-e).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

/// How far the distribution has drifted from the model's after `steps` moves at `beta`, in standard deviations of χ².
fn drift(model: &Arc<dyn Model>, beta: f64, steps: usize, movement: Move) -> f64 {
    let values = model.space().values().unwrap();
    let starts = exact_sampler(model).unwrap().unwrap().sample(DRAWS, &mut Stream::new(11).generator());
    let path = paths::for_model(model, None).unwrap();
    let mut population = Population::adopt(path.as_ref(), starts.view(), Stream::new(12)).unwrap();
    for _ in 0..steps {
        population.step(beta, movement);
    }
    excess(&counts(population.states().view(), &values), &probabilities(model))
}

/// χ² within 6 standard deviations: α below 1e-7 for each of 36, and a change of 1 % in a probability of ½ makes 6.
#[test]
fn finite_kernels_do_not_drift() {
    for spec in FINITE {
        let model = builtin::parse(spec).unwrap();
        for steps in [1, 4, 16] {
            for movement in [Move::Forward, Move::Reversed] {
                let found = drift(&model, 1.0, steps, movement);
                assert!(found < 6.0, "{spec}: {steps} steps, {movement:?}: {found:.1}");
            }
        }
    }
}

/// At a middle β of a bent path, too: f_β over all states says how often each is to be seen.
#[test]
fn the_kernel_of_a_bent_path_does_not_drift() {
    let model = builtin::parse("ref:rbm?visible=6&hidden=4&scale=1").unwrap();
    let bend = Array2::from_shape_fn((Bend::TERMS, 6), |(j, i)| 4.0 * ((5 * i + 7 * j) as f64).sin());
    let straight = paths::for_model(&model, None).unwrap();
    let path = straight.bent(Bend::new(bend).unwrap()).unwrap();
    let states = Array2::from_shape_fn((64, 6), |(state, i)| f64::from(state as u8 >> (5 - i) & 1));
    let probabilities = |path: &dyn Path| {
        let mut all = Population::adopt(path, states.view(), Stream::new(1)).unwrap();
        let weights = all.log_density(&[0.6]).mapv(f64::exp);
        (&weights / weights.sum()).into_raw_vec_and_offset().0
    };
    let right = probabilities(path.as_ref());
    let picks: Vec<usize> = (0..64)
        .flat_map(|state| std::iter::repeat_n(state, (right[state] * DRAWS as f64).round() as usize))
        .collect();
    let starts = states.select(ndarray::Axis(0), &picks);
    let mut population = Population::adopt(path.as_ref(), starts.view(), Stream::new(2)).unwrap();
    for _ in 0..8 {
        population.step(0.6, Move::Forward);
    }
    let seen = counts(population.states().view(), &[0.0, 1.0]);
    let (found, other) = (excess(&seen, &right), excess(&seen, &probabilities(straight.as_ref())));
    assert!(found < 6.0 && other > 100.0, "{found:.1}; held against the straight path {other:.1}");
}

/// A kernel at the wrong temperature is caught.
#[test]
fn a_wrong_temperature_drifts() {
    for spec in FINITE {
        let model = builtin::parse(spec).unwrap();
        let found = drift(&model, 0.8, 16, Move::Forward);
        assert!(found > 20.0, "{spec}: only {found:.1}");
    }
}

/// f(x) K(x→y) = f(y) K̃(y→x): pairs (start, end) of the kernel and (end, start) of its reversal have one distribution. Sweeps in one
/// order are not reversible, and the test sees that: the kernel held against itself fails.
#[test]
fn reversed_kernels_reverse() {
    for spec in [
        "ref:boltzmann?dim=4&coupling=3",
        "ref:potts?rows=1&columns=3&states=3&coupling=1.5&field=0.4&boundary=grid",
        "ref:ising?rows=2&columns=2&coupling=0.6&field=0.3&boundary=grid",
    ] {
        let model = builtin::parse(spec).unwrap();
        let pairs = |movement: Move, seed: u64| -> Vec<f64> {
            let values = model.space().values().unwrap();
            let starts =
                exact_sampler(&model).unwrap().unwrap().sample(4 * DRAWS, &mut Stream::new(seed).generator());
            let path = paths::for_model(&model, None).unwrap();
            let mut population =
                Population::adopt(path.as_ref(), starts.view(), Stream::new(seed + 100)).unwrap();
            population.step(1.0, movement);
            let ends = population.states();
            let both = match movement {
                Move::Reversed => [ends.view(), starts.view()],
                _ => [starts.view(), ends.view()],
            };
            counts(ndarray::concatenate(ndarray::Axis(1), &both).unwrap().view(), &values)
        };
        let swapped = |table: &[f64]| -> Vec<f64> {
            let side = (table.len() as f64).sqrt() as usize;
            (0..table.len()).map(|k| table[(k % side) * side + k / side]).collect()
        };
        let (forward, reversed) = (pairs(Move::Forward, 1), pairs(Move::Reversed, 2));
        let found = two_sample(&forward, &reversed);
        assert!(found < 6.0, "{spec}: {found:.1}");
        let itself = two_sample(&forward, &swapped(&pairs(Move::Forward, 3)));
        assert!(itself > 10.0, "{spec} was not seen to be irreversible, {itself:.1}: the test has no power");
    }
}

fn two_sample(x: &[f64], y: &[f64]) -> f64 {
    let (mut chi2, mut degrees) = (0.0, -1.0);
    for (a, b) in x.iter().zip(y).filter(|(a, b)| *a + *b >= 10.0) {
        chi2 += (a - b).powi(2) / (a + b);
        degrees += 1.0;
    }
    (chi2 - degrees) / f64::sqrt(2.0 * degrees)
}

/// A correlated Gaussian with a mean: first and second moments after exact starts, as t statistics.
fn moments_after(kernel: Arc<dyn Kernel>, steps: usize) -> f64 {
    let covariance = array![[1.0, 0.5], [0.5, 0.8]];
    let mean = array![0.7, -0.4];
    let model: Arc<dyn Model> = Arc::new(Gaussian::from_covariance(mean, covariance, 0.3).unwrap());
    let starts = model.sampler().unwrap().sample(16_384, &mut Stream::new(21).generator());
    let path = GeometricPath::new(Arc::clone(&model), None).with_kernel(kernel);
    let mut population = Population::adopt(&path, starts.view(), Stream::new(22)).unwrap();
    for _ in 0..steps {
        population.step(1.0, Move::Forward);
    }
    let states = population.states();
    let against = |values: Vec<f64>, truth: f64| {
        (statistics::mean(&values) - truth).abs() / statistics::std_err(&values)
    };
    let column = |i: usize| states.column(i).to_vec();
    let product = |i: usize, j: usize| -> Vec<f64> {
        let centre = [0.7, -0.4];
        states.rows().into_iter().map(|x| (x[i] - centre[i]) * (x[j] - centre[j])).collect()
    };
    [
        against(column(0), 0.7),
        against(column(1), -0.4),
        against(product(0, 0), 1.0),
        against(product(0, 1), 0.5),
        against(product(1, 1), 0.8),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

#[test]
fn continuous_kernels_do_not_drift() {
    let kernels: [Arc<dyn Kernel>; 4] =
        [Arc::new(Hmc::default()), Arc::new(Mala), Arc::new(RandomWalk), Arc::new(EllipticalSlice)];
    for kernel in kernels {
        for steps in [1, 4, 16] {
            let worst = moments_after(Arc::clone(&kernel), steps);
            assert!(worst < 4.5, "{}: {steps} steps: t = {worst:.1}", kernel.name());
        }
    }
}

/// A random walk that takes every proposal.
#[derive(Debug)]
struct NoAcceptStep;

impl Kernel for NoAcceptStep {
    fn name(&self) -> &'static str {
        "without its accept step"
    }

    fn uses_gradients(&self) -> bool {
        false
    }

    fn target_acceptance(&self) -> f64 {
        0.3
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        _beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        use rand::RngExt;
        let mut states = walkers.states.clone();
        states.mapv_inplace(|x| x + scale * (generator.random::<f64>() - 0.5));
        *walkers = Walkers::new(states, ends, false);
        StepStats::default()
    }
}

#[test]
fn a_kernel_without_its_accept_step_is_caught() {
    assert!(moments_after(Arc::new(NoAcceptStep), 16) > 10.0);
}

/// What a kernel that multiplies the slice's level by two would be: a slice sampler at the wrong β.
#[derive(Debug)]
struct WrongSlice;

impl Kernel for WrongSlice {
    fn name(&self) -> &'static str {
        "slices of half the tilt"
    }

    fn uses_gradients(&self) -> bool {
        false
    }

    fn target_acceptance(&self) -> f64 {
        1.0
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        EllipticalSlice.step(walkers, ends, 0.5 * beta, scale, generator)
    }
}

#[test]
fn a_wrong_slice_is_caught() {
    assert!(moments_after(Arc::new(WrongSlice), 16) > 10.0);
}

/// In the neck of a funnel at v = −7 other coordinates have a scale of 0.03: steps of 0.5, and of a quarter of that, diverge there, and
/// only the shortest can move chains.
#[test]
fn hmc_moves_chains_that_lie_in_a_neck() {
    let model = builtin::parse("ref:funnel?dim=10").unwrap();
    let mut generator = Stream::new(24).generator();
    let starts = Array2::from_shape_fn((64, 10), |(_, i)| {
        let noise: f64 = StandardNormal.sample(&mut generator);
        if i == 0 { -7.0 } else { f64::exp(-3.5) * noise }
    });
    let path = GeometricPath::new(model, None).with_kernel(Arc::new(Hmc::default()));
    let mut population = Population::adopt(&path, starts.view(), Stream::new(25)).unwrap();
    for _ in 0..100 {
        population.step(1.0, Move::Forward);
    }
    let moved = population.states();
    let still = moved.rows().into_iter().zip(starts.rows()).filter(|(now, start)| now == start).count();
    assert_eq!(still, 0);
    let left = moved.column(0).iter().filter(|v| (**v + 7.0).abs() > 0.1).count();
    assert!(left > 32, "{left} of 64 have moved along the neck");
}

/// A path whose reference was fitted, as this kind, to draws of a skewed mixture in the plane.
fn fitted(kernel: KernelChoice, reference: ReferenceChoice) -> GeometricPath {
    let model = builtin::parse("ref:mixture?dim=2&modes=3&separation=2").unwrap();
    let data = model.sampler().unwrap().sample(400, &mut Stream::new(31).generator());
    GeometricPath::chosen(model, Some(data.view()), Choices { kernel, reference }).unwrap()
}

/// Draws from f₀, reweighted to f_β, keep the mean of x, x² and log f₁ under the kernel: as the largest |t| of the changes.
///
/// Weights w = (f₁/f₀)^β make the draws f_β's, and a kernel that leaves f_β alone leaves every weighted mean alone.
fn change(path: &GeometricPath, beta: f64, steps: usize) -> f64 {
    let mut population = Population::from_reference(path, 16_384, Stream::new(32));
    let weights: Vec<f64> = population.log_ratio(0.0, beta).unwrap().iter().map(|w| w.exp()).collect();
    let functions = |population: &mut Population| -> Vec<Vec<f64>> {
        let states = population.states();
        let energies = population.log_density(&[1.0]);
        let column = |of: &dyn Fn(usize) -> f64| (0..states.nrows()).map(of).collect::<Vec<f64>>();
        vec![
            column(&|i| states[(i, 0)].tanh()),
            column(&|i| states[(i, 1)].tanh()),
            column(&|i| (states[(i, 0)] * states[(i, 1)]).tanh()),
            column(&|i| energies[(i, 0)].max(-20.0)),
        ]
    };
    let before = functions(&mut population);
    for _ in 0..steps {
        population.step(beta, Move::Forward);
    }
    let after = functions(&mut population);
    let of_one = |(before, after): (&Vec<f64>, &Vec<f64>)| {
        let changes: Vec<f64> = (0..weights.len()).map(|i| weights[i] * (after[i] - before[i])).collect();
        (statistics::mean(&changes) / statistics::std_err(&changes)).abs()
    };
    before.iter().zip(&after).map(of_one).fold(0.0, f64::max)
}

/// |t| < 4.5 for each of four means (α = 7e-6), for every kernel and every kind of reference that it takes, in the middle of the
/// path and near its ends.
#[test]
fn kernels_leave_every_reference_alone() {
    use KernelChoice as K;
    use ReferenceChoice as R;
    let pairs = [
        (K::Hmc, R::Diagonal),
        (K::Hmc, R::Full),
        (K::Hmc, R::Mixture),
        (K::Hmc, R::Student),
        (K::RandomWalk, R::Full),
        (K::RandomWalk, R::Mixture),
        (K::Mala, R::Student),
        (K::EllipticalSlice, R::Diagonal),
        (K::EllipticalSlice, R::Full),
    ];
    for (kernel, reference) in pairs {
        let path = fitted(kernel, reference);
        for (beta, steps) in [(0.0, 4), (0.5, 1), (0.5, 8), (0.9, 4)] {
            let found = change(&path, beta, steps);
            assert!(found < 4.5, "{kernel:?} from {reference:?} at {beta}, {steps} steps: t = {found:.1}");
        }
    }
}

/// The same test sees a slice at the wrong β.
#[test]
fn a_wrong_slice_changes_what_it_should_leave_alone() {
    let path = fitted(KernelChoice::EllipticalSlice, ReferenceChoice::Full);
    assert!(change(&path.with_kernel(Arc::new(WrongSlice)), 0.9, 8) > 10.0);
}

/// Every energy that a slice looks at is counted, and at β = 0 that is one a chain: the first proposal is taken.
#[test]
fn slices_count_their_energies() {
    let path = fitted(KernelChoice::EllipticalSlice, ReferenceChoice::Diagonal);
    let mut population = Population::from_reference(&path, 128, Stream::new(1));
    assert_eq!(population.counts().energy_evaluations, 128);
    let before = population.states();
    population.step(0.0, Move::Forward);
    assert_eq!(population.counts().energy_evaluations, 256);
    assert!(before.rows().into_iter().zip(population.states().rows()).all(|(x, y)| x != y), "all moved");
    population.step(1.0, Move::Forward);
    assert!(population.counts().energy_evaluations > 384);
}

/// A kernel or a reference that does not apply is refused in words that name the option.
#[test]
fn choices_that_do_not_apply_are_refused() {
    use lnz::models::{Domain, FunctionModel, Space};
    let refused = |model: &Arc<dyn Model>, kernel, reference| {
        paths::chosen(model, None, Choices { kernel, reference }).map(|_| ()).unwrap_err().to_string()
    };
    let spins = builtin::parse("ref:ising?side=3").unwrap();
    assert!(refused(&spins, KernelChoice::Hmc, ReferenceChoice::Auto).contains("--kernel"));
    assert!(refused(&spins, KernelChoice::Auto, ReferenceChoice::Full).contains("--reference"));
    let plain: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, Domain::Real), |x| x.dot(&x)));
    assert!(refused(&plain, KernelChoice::Hmc, ReferenceChoice::Auto).contains("gradient"));
    assert!(refused(&plain, KernelChoice::Auto, ReferenceChoice::Uniform).contains("bounds"));
    let slices = KernelChoice::EllipticalSlice;
    assert!(refused(&plain, slices, ReferenceChoice::Student).contains("normal"));
    let bounds = Domain::Box { lower: vec![0.0; 2], upper: vec![1.0; 2] };
    let boxed: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, bounds), |x| x.dot(&x)));
    assert!(refused(&boxed, slices, ReferenceChoice::Auto).contains("box"));
    assert!(refused(&boxed, KernelChoice::Auto, ReferenceChoice::Full).contains("box"));
}

/// Pilots tune HMC to 65 to 90 % of accepted trajectories.
#[test]
fn step_sizes_are_tuned() {
    for spec in ["ref:gaussian?dim=10", "ref:many-well?dim=8"] {
        let model = builtin::parse(spec).unwrap();
        let settings = lnz::estimators::Settings { max_time: 1e9, ..Default::default() };
        let found = lnz::estimators::by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
        let acceptance = found.diagnostics.acceptance_mean.unwrap();
        assert!((0.65..0.9).contains(&acceptance), "{spec}: {acceptance}");
        assert_eq!(found.diagnostics.kernel.as_deref(), Some("HMC"));
    }
}

/// HMC with one leapfrog step makes MALA's proposal and MALA's acceptance probability.
#[test]
fn mala_accepts_as_its_formula_says() {
    let path = builtin::parse("ref:gaussian?dim=3").unwrap();
    let geometric = GeometricPath::new(Arc::clone(&path), None).with_kernel(Arc::new(Mala));
    let mut block = geometric.sample_reference(64, Stream::new(5));
    let before = block.states();
    let stats = block.step(1.0, Move::Forward);
    let after = block.states();
    // Of the chains that moved, the residual x′ − x − ½ε²∇log f is ε ξ with ξ standard normal (ε = 0.5, scales 1).
    let (_, gradient) = path.gradient().unwrap().energy_and_gradient(before.view());
    let mut residuals = Vec::new();
    for i in 0..64 {
        if before.row(i) != after.row(i) {
            for j in 0..3 {
                residuals.push((after[(i, j)] - before[(i, j)] + 0.125 * gradient[(i, j)]) / 0.5);
            }
        }
    }
    assert!(residuals.len() > 60, "{} moved", residuals.len() / 3);
    assert!(statistics::variance(&residuals) < 1.6 && statistics::variance(&residuals) > 0.4);
    assert!(stats.acceptance().unwrap() > 0.3);
}

/// An ensemble whose weights have the wrong sign gives an answer that is visibly wrong.
#[test]
fn a_wrong_sign_in_the_weights_is_caught() {
    struct WrongSign(Box<dyn Ensemble>);
    impl Ensemble for WrongSign {
        fn chains(&self) -> usize {
            self.0.chains()
        }
        fn log_density(&mut self, betas: &[f64], out: ndarray::ArrayViewMut2<'_, f64>) {
            self.0.log_density(betas, out);
        }
        fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
            self.0.log_ratio(to, from, out);
        }
        fn derivatives(&mut self, beta: f64, first: &mut [f64], second: &mut [f64]) {
            self.0.derivatives(beta, first, second);
        }
        fn step(&mut self, beta: f64, movement: Move) -> StepStats {
            self.0.step(beta, movement)
        }
        fn copy_chains(&mut self, moves: &[(usize, usize)]) {
            self.0.copy_chains(moves);
        }
        fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
            self.0.copy_chains_from(other, moves);
        }
        fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
            self.0.exchange(other, mask);
        }
        fn states(&self) -> Array2<f64> {
            self.0.states()
        }
        fn counts(&self) -> lnz::paths::Counts {
            self.0.counts()
        }
    }
    #[derive(Debug)]
    struct WrongPath(Arc<dyn Path>);
    impl Path for WrongPath {
        fn space(&self) -> lnz::models::Space {
            self.0.space()
        }
        fn log_z_reference(&self) -> f64 {
            self.0.log_z_reference()
        }
        fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
            Box::new(WrongSign(self.0.sample_reference(chains, stream)))
        }
        fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> lnz::Result<Box<dyn Ensemble>> {
            self.0.adopt(states, stream)
        }
        fn kernel(&self) -> String {
            self.0.kernel()
        }
    }
    let model = builtin::parse("ref:ising?side=4&coupling=0.35&field=0.1").unwrap();
    let truth = lnz::estimators::by_name("enumeration").unwrap().estimate(
        &model,
        &lnz::estimators::Settings::default(),
        &Silent,
    );
    let truth = truth.unwrap().log_z;
    let right = paths::for_model(&model, None).unwrap();
    let z = |path: &dyn Path| {
        let population = Population::from_reference(path, 256, Stream::new(1));
        let run =
            annealing::forward(population, &Schedule::linear(50), Move::Forward, None, &Silent).unwrap();
        (path.log_z_reference() + run.weights.log_mean() - truth) / run.weights.std_err()
    };
    assert!(z(right.as_ref()).abs() < 4.5);
    assert!(z(&WrongPath(right)).abs() > 20.0);
}
