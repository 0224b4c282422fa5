//! Each operator against differences, the plan against the same graph on a constant, one precision against the other.

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use proptest::prelude::*;

use super::*;

/// Numbers that vary without a pattern.
fn numbers(shape: &[usize], seed: usize) -> ArrayD<f64> {
    let mut state = seed as f64 * 0.37 + 0.123;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = (state * 997.0 + 0.618).fract();
        1.6 * (state - 0.5)
    })
}

type Build = fn(&mut Graph, &Value, usize) -> Built<Value>;

/// Between 0.5 and 1.5, where every function of the list below is smooth.
fn positive(graph: &mut Graph, x: &Value) -> Built<Value> {
    let share = graph.unary(Function::Sigmoid, x)?;
    let half = graph.number(0.5);
    graph.binary(Binary::Add, &share, &half)
}

fn all_functions() -> Vec<Function> {
    use Function::*;
    vec![
        Negative,
        Reciprocal,
        Square,
        SquareRoot,
        Exp,
        Log,
        Absolute,
        Erf,
        Sigmoid,
        Silu,
        Tanh,
        Softplus,
        Softsign,
        LeakyRelu { slope: 0.1 },
        Elu { alpha: 0.8, scale: 1.3, width: 0.7 },
        Gelu,
        Clip { low: -0.2, high: 0.9 },
        Sine,
        Cosine,
        Power { power: 2.5 },
        Power { power: 3.0 },
        Power { power: 4.0 },
    ]
}

const GRAPHS: &[(&str, &[usize], Build)] = &[
    ("functions of positive numbers", &[3], |graph, x, seed| {
        let mut x = positive(graph, x)?;
        for k in 0..3 {
            let functions = all_functions();
            let function = functions[(seed * 7 + k * 5) % functions.len()];
            x = graph.unary(function, &x)?;
            x = positive(graph, &x)?;
        }
        Ok(x)
    }),
    ("functions", &[4], |graph, x, seed| {
        let smooth = [
            Function::Erf,
            Function::Sigmoid,
            Function::Silu,
            Function::Tanh,
            Function::Softplus,
            Function::Gelu,
            Function::Sine,
            Function::Cosine,
            Function::Elu { alpha: 1.0, scale: 1.0, width: 1.0 },
            Function::Exp,
        ];
        let y = graph.unary(smooth[seed % smooth.len()], x)?;
        let z = graph.unary(smooth[(seed / 10) % smooth.len()], x)?;
        let mixed = graph.binary(Binary::Multiply, &y, &z)?;
        let three = graph.number(3.0);
        let shifted = graph.binary(Binary::Subtract, &three, &mixed)?;
        graph.binary(Binary::Multiply, &shifted, x)
    }),
    ("operations on two values", &[2, 3], |graph, x, seed| {
        let weights = graph.constant("W", numbers(&[3, 3], seed));
        let y = graph.linear(x, &weights, None, false)?;
        let y = positive(graph, &y)?;
        let x = positive(graph, x)?;
        let operations = [Binary::Add, Binary::Subtract, Binary::Multiply, Binary::Divide, Binary::Power];
        let z = graph.binary(operations[seed % 5], &x, &y)?;
        let z = positive(graph, &z)?;
        let offset = graph.constant("offset", numbers(&[3], seed + 1));
        let z = graph.binary(operations[(seed / 5) % 3], &z, &offset)?;
        let scale = graph.constant("scale", numbers(&[1, 2, 1], seed + 2));
        let z = graph.binary(Binary::Multiply, &z, &scale)?;
        let table = graph.constant("table", numbers(&[2, 3], seed + 2));
        graph.binary(Binary::Add, &table, &z)
    }),
    ("values broadcast to values", &[2, 3, 2], |graph, x, _| {
        let by_channel = graph.reduce(Reduction::Sum, x, &[2, 3], true)?;
        let y = graph.binary(Binary::Multiply, x, &by_channel)?;
        let by_column = graph.reduce(Reduction::LogSumExp, x, &[1, 2], true)?;
        let y = graph.binary(Binary::Subtract, &y, &by_column)?;
        let middle = graph.reduce(Reduction::Sum, x, &[1, 3], true)?;
        graph.binary(Binary::Multiply, &y, &middle)
    }),
    ("choices", &[5], |graph, x, seed| {
        let threshold = graph.number(0.05);
        let condition = graph.binary(Binary::Greater, x, &threshold)?;
        let square = graph.unary(Function::Square, x)?;
        let constant = graph.constant("other", numbers(&[5], seed));
        let chosen = graph.select(&condition, &square, &constant)?;
        let same = graph.select(&condition, x, x)?;
        graph.binary(Binary::Multiply, &chosen, &same)
    }),
    ("largest and smallest", &[4], |graph, x, seed| {
        let weights = graph.constant("W", numbers(&[4, 4], seed));
        let y = graph.linear(x, &weights, None, false)?;
        let larger = graph.binary(Binary::Maximum, x, &y)?;
        let smaller = graph.binary(Binary::Minimum, x, &y)?;
        let product = graph.binary(Binary::Multiply, &larger, &larger)?;
        let product = graph.binary(Binary::Multiply, &product, &smaller)?;
        let most = graph.reduce(Reduction::Max, &y, &[1], true)?;
        graph.binary(Binary::Multiply, &product, &most)
    }),
    ("a perceptron", &[3], |graph, x, seed| {
        let shape = if seed % 2 == 1 { [19, 3] } else { [3, 19] };
        let weights = graph.constant("0.weight", numbers(&shape, seed));
        let bias = graph.constant("0.bias", numbers(&[19], seed + 1));
        let y = graph.linear(x, &weights, Some(&bias), seed % 2 == 1)?;
        let gate = graph.unary(Function::Sigmoid, &y)?;
        let y = graph.binary(Binary::Multiply, &gate, &y)?;
        let weights = graph.constant("2.weight", numbers(&[19, 2], seed + 2));
        let y = graph.matmul(&y, &weights)?;
        let bias = graph.constant("2.bias", numbers(&[2], seed + 3));
        graph.binary(Binary::Add, &y, &bias)
    }),
    ("attention", &[3, 4], |graph, x, seed| {
        let [q, k, v] = [0, 1, 2].map(|i| graph.constant(format!("w{i}"), numbers(&[4, 4], seed + i)));
        let (q, k, v) = (graph.matmul(x, &q)?, graph.matmul(x, &k)?, graph.matmul(x, &v)?);
        let k = graph.transpose(&k, &[0, 2, 1])?;
        let scores = graph.matmul(&q, &k)?;
        let total = graph.reduce(Reduction::LogSumExp, &scores, &[2], true)?;
        let shares = graph.binary(Binary::Subtract, &scores, &total)?;
        let shares = graph.unary(Function::Exp, &shares)?;
        graph.matmul(&shares, &v)
    }),
    ("products of a value with itself and with constants", &[2, 2, 2], |graph, x, seed| {
        let square = graph.matmul(x, x)?;
        let left = graph.constant("left", numbers(&[2, 2], seed));
        let product = graph.matmul(&left, &square)?;
        let each = graph.constant("each", numbers(&[2, 2, 3], seed + 1));
        graph.matmul(&product, &each)
    }),
    ("convolutions", &[2, 5, 6], |graph, x, seed| {
        let geometry = Geometry {
            input: [2, 5, 6],
            outputs: 4,
            groups: 1 + seed % 2,
            window: [1 + seed % 3, 2],
            strides: [1 + seed % 2, 1 + (seed / 2) % 2],
            dilations: [1, 1 + (seed / 4) % 2],
            before: [seed % 2, 1],
            after: [1, (seed / 3) % 3],
            round_up: false,
            count_padding: false,
        };
        let [high, wide] = geometry.output()?;
        let kernel =
            graph.constant("kernel", numbers(&[4, 2 / geometry.groups, geometry.window[0], 2], seed));
        let bias = graph.constant("bias", numbers(&[4], seed + 1));
        let y = graph.convolution(x, &kernel, Some(&bias), geometry)?;
        let y = graph.unary(Function::Tanh, &y)?;
        let pointwise = Geometry {
            input: [4, high, wide],
            outputs: 2,
            groups: 1,
            window: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            before: [0, 0],
            after: [0, 0],
            round_up: false,
            count_padding: false,
        };
        let kernel = graph.constant("pointwise", numbers(&[2, 4, 1, 1], seed));
        graph.convolution(&y, &kernel, None, pointwise)
    }),
    ("pools", &[2, 5, 4], |graph, x, seed| {
        let geometry = Geometry {
            input: [2, 5, 4],
            outputs: 2,
            groups: 1,
            window: [2, 3],
            strides: [1 + seed % 2, 2],
            dilations: [1, 1],
            before: [1, seed % 2],
            after: [0, 1],
            round_up: seed % 3 == 0,
            count_padding: seed % 5 < 2,
        };
        let means = graph.pool(x, Pooling::Mean, geometry.clone())?;
        let largest = graph.pool(x, Pooling::Max, geometry)?;
        graph.binary(Binary::Multiply, &means, &largest)
    }),
    ("norms", &[4, 6], |graph, x, _| {
        let y = graph.normalise(x, 2, 1e-2)?;
        let y = graph.unary(Function::Sine, &y)?;
        let groups = graph.reshape(&y, &[Size::batches(1), Size::fixed(2), Size::fixed(12)])?;
        let y = graph.normalise(&groups, 2, 1e-3)?;
        graph.unary(Function::Square, &y)
    }),
    ("arrangements", &[2, 3, 4], |graph, x, seed| {
        let y = graph.transpose(x, &[0, 3, 1, 2])?;
        let y = graph.take(&y, 1, &[3, 0, 0, 2])?;
        let back = graph.take(&y, 2, &[1])?;
        let back =
            graph.expand(&back, &[Size::batches(1), Size::fixed(4), Size::fixed(3), Size::fixed(3)])?;
        let constant = graph.constant("constant", numbers(&[1, 4, 1, 3], seed));
        let y = graph.concat(&[y, constant, back], 2)?;
        // Axes of the state merged with the batch.
        let merged = graph.reshape(&y, &[Size::batches(4), Size::fixed(6), Size::fixed(3)])?;
        let swapped = graph.transpose(&merged, &[0, 2, 1])?;
        let weights = graph.constant("W", numbers(&[6, 2], seed));
        let y = graph.matmul(&swapped, &weights)?;
        let y = graph.reshape(&y, &[Size::batches(1), Size::fixed(24)])?;
        graph.unary(Function::Square, &y)
    }),
];

/// A graph whose energy is a smooth number of what `build` makes.
fn network(shape: &[usize], build: Build, seed: usize, precision: Precision) -> Network {
    let (mut graph, x) = Graph::new(shape);
    let value = build(&mut graph, &x, seed).expect("it fits");
    let energy = to_energy(&mut graph, &value, seed).expect("it fits");
    Network::new(graph, &energy, Output::Energy, Domain::Real, precision).expect("it is a network")
}

fn to_energy(graph: &mut Graph, value: &Value, seed: usize) -> Built<Value> {
    let shape: Vec<usize> = value.shape().iter().skip(1).map(|size| size.count).collect();
    let weights = graph.constant("readout", numbers(&shape, seed + 9));
    let weighted = graph.binary(Binary::Multiply, value, &weights)?;
    let axes: Vec<usize> = (1..value.rank()).collect();
    graph.reduce(Reduction::Sum, &weighted, &axes, false)
}

fn states(dim: usize, rows: usize, seed: usize) -> Array2<f64> {
    numbers(&[rows, dim], seed + 100).into_dimensionality().expect("two axes")
}

fn near(found: f64, exact: f64, tolerance: f64) -> bool {
    (found - exact).abs() <= tolerance * (1.0 + exact.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Central differences are right to about h² and 1e-16/h.
    #[test]
    fn gradients_agree_with_differences(seed in 0usize..1000) {
        for (name, shape, build) in GRAPHS {
            let model = network(shape, *build, seed, Precision::Double);
            let dim = model.space().dim;
            let x = states(dim, 3, seed);
            let (energies, gradients) = model.energy_and_gradient(x.view());
            prop_assert_eq!(&energies, &model.energy(x.view()), "{}", name);
            for column in 0..dim {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x.column_mut(column).mapv_inplace(|x| x + by);
                    model.energy(x.view())
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                for row in 0..3 {
                    let (found, exact) = (gradients[[row, column]], difference[row]);
                    prop_assert!(near(found, exact, 2e-6), "{name} {seed}: {found} for {exact}");
                }
            }
        }
    }

    #[test]
    fn parameter_gradients_agree_with_differences(seed in 0usize..1000) {
        for (name, shape, build) in GRAPHS {
            let model = network(shape, *build, seed, Precision::Double);
            let x = states(model.space().dim, 3, seed);
            let weights = [0.5, -1.0, 2.0];
            let total = |model: &Network| model.energy(x.view()).dot(&Array1::from(weights.to_vec()));
            let (_, gradients) = model.parameter_gradients(x.view(), &weights);
            for (constant, gradient) in gradients {
                let index = model.graph.constants.iter().position(|c| c.name == constant).expect("it is there");
                let at = seed % gradient.len();
                let moved = |by: f64| {
                    let mut moved = model.in_precision(Precision::Double);
                    moved.graph.constants[index].values.as_slice_mut().expect("standard layout")[at] += by;
                    total(&moved)
                };
                let exact = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let found = gradient.as_slice().expect("standard layout")[at];
                prop_assert!(near(found, exact, 2e-6), "{name} {seed}, {constant}: {found} for {exact}");
            }
        }
    }

    /// A constant in place of the state is computed step by step, without a batch; and f32 gives the same but for rounding.
    #[test]
    fn plans_agree_with_steps_and_precisions(seed in 0usize..1000) {
        for (name, shape, build) in GRAPHS {
            let double = network(shape, *build, seed, Precision::Double);
            let single = double.in_precision(Precision::Single);
            // More rows than a block holds, and not a multiple of one.
            let x = states(double.space().dim, 300, seed);
            let (energies, gradients) = double.energy_and_gradient(x.view());
            let (rough, rough_gradients) = single.energy_and_gradient(x.view());
            let size = 1.0 + gradients.iter().fold(0.0f64, |most, g| most.max(g.abs()));
            // Where two numbers are nearly equal, f32 may choose the other.
            let kinks = name.contains("choices") || name.contains("largest") || name.contains("pools");
            for row in 0..300 {
                prop_assert!(near(rough[row], energies[row], 2e-4), "{name} {seed}: {}", rough[row]);
                for (rough, exact) in rough_gradients.row(row).iter().zip(gradients.row(row)) {
                    prop_assert!(kinks || (rough - exact).abs() < 1e-3 * size, "{name} {seed}: {rough} for {exact}");
                }
            }
            let (mut graph, _) = Graph::new(shape);
            let sides = [&[1], *shape].concat();
            let state = x.row(7).to_owned().into_dyn().into_shape_with_order(IxDyn(&sides)).expect("as many");
            let state = graph.constant("state", state);
            // Images and merged batches are for values with rows.
            if ["arrangements", "convolutions", "pools", "norms"].contains(name) {
                continue;
            }
            let value = build(&mut graph, &state, seed).expect("it fits");
            let energy = to_energy(&mut graph, &value, seed).expect("it fits");
            let step_by_step = graph.values(&energy).expect("all is constant").sum();
            prop_assert!(near(step_by_step, energies[7], 1e-12), "{name} {seed}: {step_by_step} {}", energies[7]);
        }
    }
}

#[test]
fn rows_must_stay_apart() {
    let (mut graph, x) = Graph::new(&[4]);
    assert!(graph.reduce(Reduction::Sum, &x, &[0], false).is_err());
    assert!(graph.transpose(&x, &[1, 0]).is_err());
    assert!(graph.take(&x, 0, &[0]).is_err());
    let mixed = graph.constant("table", numbers(&[3, 4], 1));
    assert!(graph.binary(Binary::Add, &x, &mixed).is_err());
    let sums = graph.reduce(Reduction::Sum, &x, &[1], false).expect("rows alone");
    assert!(graph.binary(Binary::Add, &x, &sums).is_err());
    assert!(graph.reshape(&x, &[Size::fixed(4), Size::batches(1)]).is_err());
    assert!(graph.reshape(&x, &[Size::fixed(4)]).is_err());
}

#[test]
fn outputs_are_read_as_stated() {
    let (mut graph, x) = Graph::new(&[3]);
    let doubled = {
        let two = graph.number(2.0);
        graph.binary(Binary::Multiply, &x, &two).expect("it fits")
    };
    let of = |output| Network::new(graph.clone(), &doubled, output, Domain::Real, Precision::Double);
    let state = ndarray::array![[0.1, -0.4, 0.9]];
    let logits = of(Output::Logits).expect("three classes").energy(state.view())[0];
    let exact = -[0.2f64, -0.8, 1.8].map(f64::exp).iter().sum::<f64>().ln();
    assert!((logits - exact).abs() < 1e-14);
    assert_eq!(of(Output::Class(1)).expect("it is there").energy(state.view())[0], 0.8);
    assert!(of(Output::Class(3)).is_err());
    let message = of(Output::Energy).expect_err("three numbers are no energy").to_string();
    assert!(message.contains("(batch, 3)") && message.contains("--output"), "{message}");
}

/// The same function three ways: x σ(x) written out, as one function, and with a step between that others read too.
#[test]
fn fused_steps_are_the_same_function() {
    let (mut graph, x) = Graph::new(&[5]);
    let gate = graph.unary(Function::Sigmoid, &x).expect("fits");
    let written = graph.binary(Binary::Multiply, &x, &gate).expect("fits");
    let one = graph.unary(Function::Silu, &x).expect("fits");
    let apart = graph.binary(Binary::Subtract, &written, &one).expect("fits");
    let sum = graph.reduce(Reduction::Sum, &apart, &[1], false).expect("fits");
    let gates = graph.reduce(Reduction::Sum, &gate, &[1], false).expect("fits");
    let energy = graph.binary(Binary::Add, &sum, &gates).expect("fits");
    let model =
        Network::new(graph, &energy, Output::Energy, Domain::Real, Precision::Double).expect("a network");
    // gate, x σ(x) − silu(x), two sums and their sum.
    assert_eq!(model.double().steps(), 5);
    let x = states(5, 4, 3);
    let (energies, gradients) = model.energy_and_gradient(x.view());
    for (row, x) in x.rows().into_iter().enumerate() {
        let sigmoid = x.mapv(|x| 1.0 / (1.0 + (-x).exp()));
        assert!((energies[row] - sigmoid.sum()).abs() < 1e-14);
        let slope = sigmoid.mapv(|s| s * (1.0 - s));
        assert!((&gradients.row(row) - &slope).iter().all(|d| d.abs() < 1e-14));
    }
}
