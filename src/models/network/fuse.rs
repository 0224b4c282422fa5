//! The graph made shorter: elementwise steps in a row become one program, biases join their products, what is unused goes.

use std::collections::HashMap;

use super::graph::{Graph, Node, Source};
use super::operators::{Operator, Spread};
use super::program::{Argument, Instruction, LONGEST, Program};
use crate::models::network::operators::Binary;

/// What `output` needs of the graph, as few steps.
pub(super) fn fuse(graph: &Graph, output: usize) -> (Vec<Node>, usize) {
    let (nodes, output) = used(join_biases(graph, output), output);
    let roots = roots(&nodes);
    let mut wanted = vec![false; nodes.len()];
    (wanted[0], wanted[output]) = (true, true);
    // From the end: a step that is left as it is needs its inputs, a program needs its root.
    for index in (0..nodes.len()).rev().filter(|&index| index > 0) {
        if !wanted[index] {
            continue;
        }
        if roots[index] == index {
            let inputs = nodes[index].inputs.iter();
            inputs.for_each(|input| {
                if let Source::Node(input) = input {
                    wanted[*input] = true;
                }
            });
        } else {
            wanted[roots[index]] = true;
        }
    }
    let mut fused: Vec<Node> = Vec::new();
    let mut renamed = HashMap::new();
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        let node = if roots[index] == index {
            let inputs = node.inputs.iter().map(|input| match input {
                Source::Node(input) => Source::Node(renamed[input]),
                Source::Constant(constant) => Source::Constant(*constant),
            });
            Node { operator: node.operator.clone(), inputs: inputs.collect(), row: node.row.clone() }
        } else {
            let program = program(&nodes, &roots, index).simplified();
            let inputs = vec![Source::Node(renamed[&roots[index]])];
            Node { operator: Operator::Elementwise(program), inputs, row: node.row.clone() }
        };
        renamed.insert(index, fused.len());
        fused.push(node);
    }
    (fused, renamed[&output])
}

/// x W + b of two steps as one, where nothing else reads x W.
fn join_biases(graph: &Graph, output: usize) -> Vec<Node> {
    let mut nodes = graph.nodes.clone();
    let mut readers = vec![0; nodes.len()];
    for input in nodes.iter().flat_map(|node| &node.inputs) {
        if let Source::Node(input) = input {
            readers[*input] += 1;
        }
    }
    readers[output] += 1;
    for index in 0..nodes.len() {
        let Operator::Binary(Binary::Add, spreads) = &nodes[index].operator else { continue };
        let ([Source::Node(product), Source::Constant(bias)]
        | [Source::Constant(bias), Source::Node(product)]) = nodes[index].inputs[..]
        else {
            continue;
        };
        let (Operator::Linear { outer, .. }, 2, 1) =
            (&nodes[product].operator, nodes[product].inputs.len(), readers[product])
        else {
            continue;
        };
        let repeated = nodes[index].inputs.iter().zip(spreads).all(|(input, spread)| match input {
            Source::Node(_) => *spread == Spread::Same,
            Source::Constant(_) => matches!(spread, Spread::Same | Spread::Cycle(_)),
        });
        if repeated && graph.constants[bias].values.len() == *outer {
            let operator = nodes[product].operator.clone();
            let inputs = [&nodes[product].inputs[..], &[Source::Constant(bias)]].concat();
            nodes[index] = Node { operator, inputs, row: nodes[index].row.clone() };
        }
    }
    nodes
}

/// The nodes that `output` depends on, and the input.
fn used(nodes: Vec<Node>, output: usize) -> (Vec<Node>, usize) {
    let mut used = vec![false; nodes.len()];
    (used[0], used[output]) = (true, true);
    for (index, node) in nodes.iter().enumerate().rev() {
        if used[index] {
            node.inputs.iter().for_each(|input| {
                if let Source::Node(input) = input {
                    used[*input] = true;
                }
            });
        }
    }
    let mut renamed = vec![0; nodes.len()];
    let mut kept = Vec::new();
    for (index, mut node) in nodes.into_iter().enumerate() {
        if used[index] {
            for input in &mut node.inputs {
                if let Source::Node(input) = input {
                    *input = renamed[*input];
                }
            }
            renamed[index] = kept.len();
            kept.push(node);
        }
    }
    (kept, renamed[output])
}

/// For each node the one that it is a function of, number by number; itself where there is none.
fn roots(nodes: &[Node]) -> Vec<usize> {
    let mut roots: Vec<usize> = Vec::new();
    let mut lengths: Vec<usize> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let elementwise = match &node.operator {
            Operator::Elementwise(_) => true,
            Operator::Binary(_, spreads) => {
                spreads.iter().all(|spread| *spread == Spread::Same)
                    && node.inputs.iter().all(|input| matches!(input, Source::Node(_)))
            }
            _ => false,
        };
        let (mut root, mut length) = (index, 0);
        if elementwise {
            let inputs = || {
                node.inputs.iter().filter_map(|input| match input {
                    Source::Node(input) => Some(*input),
                    Source::Constant(_) => None,
                })
            };
            let own = match &node.operator {
                Operator::Elementwise(program) => program.instructions.len(),
                _ => 1,
            };
            length = own + inputs().map(|input| lengths[input]).sum::<usize>();
            let first = inputs().next().expect("it has an input that is no constant");
            if inputs().all(|input| roots[input] == roots[first]) && length <= LONGEST {
                root = roots[first];
            } else if let Operator::Elementwise(_) = node.operator {
                (root, length) = (first, own);
            } else {
                length = 0;
            }
        }
        roots.push(root);
        lengths.push(if root == index { 0 } else { length });
    }
    roots
}

/// The instructions that lead from its root to a node.
fn program(nodes: &[Node], roots: &[usize], node: usize) -> Program {
    let root = roots[node];
    let mut instructions = Vec::new();
    let mut registers = HashMap::from([(root, 0)]);
    append(nodes, node, &mut registers, &mut instructions);
    Program { instructions }
}

fn append(
    nodes: &[Node],
    node: usize,
    registers: &mut HashMap<usize, usize>,
    instructions: &mut Vec<Instruction>,
) -> usize {
    if let Some(register) = registers.get(&node) {
        return *register;
    }
    let inputs: Vec<usize> = nodes[node]
        .inputs
        .iter()
        .map(|input| match input {
            Source::Node(input) => append(nodes, *input, registers, instructions),
            Source::Constant(_) => unreachable!("programs read one node"),
        })
        .collect();
    match &nodes[node].operator {
        Operator::Elementwise(program) => {
            let before = instructions.len();
            for instruction in &program.instructions {
                let name = |register: usize| if register == 0 { inputs[0] } else { before + register };
                instructions.push(instruction.renamed(name));
            }
        }
        Operator::Binary(operation, _) => {
            let [a, b] = [inputs[0], inputs[1]].map(Argument::Register);
            instructions.push(Instruction::Binary(*operation, a, b));
        }
        other => unreachable!("{other:?} is not elementwise"),
    }
    registers.insert(node, instructions.len());
    instructions.len()
}
