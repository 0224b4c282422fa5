//! Which buffer each number of a network's run lies in: values that are not needed at the same time share one.

use super::graph::{Node, Source};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Energies alone.
    Energy,
    /// Energies and their gradients in the state.
    Gradient,
    /// These and the gradients in the constants.
    Parameters,
}

/// Buffers of a run, each so many numbers for each row of the block.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Of each node's output.
    pub(super) values: Vec<usize>,
    /// Of what each node keeps for the way back.
    pub(super) kept: Vec<Option<usize>>,
    /// Of the gradient in each node's output.
    pub(super) gradients: Vec<Option<usize>>,
    /// The size of each buffer.
    pub(super) widths: Vec<usize>,
}

/// A stretch of the run in which a buffer is taken.
struct Need {
    from: usize,
    until: usize,
    width: usize,
}

impl Layout {
    /// Forward steps are at times 0, 1, … n − 1, the step of node k on the way back at 2n − 1 − k.
    pub(super) fn new(nodes: &[Node], output: usize, purpose: Purpose) -> Self {
        let n = nodes.len();
        let back = |node: usize| 2 * n - 1 - node;
        let returns = purpose != Purpose::Energy;
        let mut last = vec![0; n];
        let mut first_gradient: Vec<Option<usize>> = vec![None; n];
        for (index, node) in nodes.iter().enumerate() {
            let (reads_inputs, reads_output) = node.operator.reads(purpose == Purpose::Parameters);
            last[index] = if returns && reads_output { back(index) } else { index };
            for input in &node.inputs {
                if let Source::Node(input) = *input {
                    last[input] = last[input].max(if returns && reads_inputs { back(index) } else { index });
                    // The last reader is the first on the way back.
                    first_gradient[input] = Some(back(index));
                }
            }
        }
        last[output] = 2 * n;
        first_gradient[output] = Some(n);
        let mut needs: Vec<Need> = Vec::new();
        let mut need = |from, until, width| {
            needs.push(Need { from, until, width });
            needs.len() - 1
        };
        let values: Vec<usize> = (0..n).map(|k| need(k, last[k], nodes[k].numbers())).collect();
        let kept: Vec<Option<usize>> = (0..n)
            .map(|k| {
                let width = nodes[k].operator.kept(nodes[k].numbers());
                (returns && width > 0).then(|| need(k, back(k), width))
            })
            .collect();
        let gradients: Vec<Option<usize>> = (0..n)
            .map(|k| {
                let from = first_gradient[k].filter(|_| returns)?;
                Some(need(from, if k == 0 { 2 * n } else { back(k) }, nodes[k].numbers()))
            })
            .collect();

        let mut order: Vec<usize> = (0..needs.len()).collect();
        order.sort_by_key(|&index| (needs[index].from, std::cmp::Reverse(needs[index].width)));
        let mut widths: Vec<usize> = Vec::new();
        let mut free_from: Vec<usize> = Vec::new();
        let mut buffer = vec![0; needs.len()];
        for index in order {
            let Need { from, until, width } = needs[index];
            let free = (0..widths.len()).filter(|&b| free_from[b] <= from);
            // The one that wastes least, or has to grow least.
            let best = free.min_by_key(|&b| (widths[b] < width, widths[b].abs_diff(width)));
            let chosen = best.unwrap_or_else(|| {
                widths.push(0);
                free_from.push(0);
                widths.len() - 1
            });
            widths[chosen] = widths[chosen].max(width);
            free_from[chosen] = until + 1;
            buffer[index] = chosen;
        }
        Self {
            values: values.into_iter().map(|need| buffer[need]).collect(),
            kept: kept.into_iter().map(|need| need.map(|need| buffer[need])).collect(),
            gradients: gradients.into_iter().map(|need| need.map(|need| buffer[need])).collect(),
            widths,
        }
    }

    /// Numbers for each row of the block.
    pub(super) fn per_row(&self) -> usize {
        self.widths.iter().sum()
    }
}
