//! The fixed binary reduction tree along which per-leaf sums are added.
//!
//! Owns the shape of the tree, the partition of a step into leaves and the order of addition. Floating-point
//! addition is not associative, so the order determines the result: it depends only on the number of leaves,
//! never on the number of workers or the order of their results.

use std::{collections::HashMap, fmt, ops::Range};

use serde::{Deserialize, Serialize};

/// A node of the tree, as the half-open range of its leaves. A range of length one is a leaf.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Node {
    pub first: u32,
    pub end: u32,
}

impl Node {
    #[must_use]
    pub fn root(leaves: u32) -> Self {
        Self { first: 0, end: leaves }
    }

    /// Returns the two children; `None` for a leaf. With an odd number of leaves, the right child has one more.
    #[must_use]
    pub fn children(self) -> Option<(Self, Self)> {
        let leaves = self.end - self.first;
        (leaves > 1).then(|| {
            let middle = self.first + leaves / 2;
            (Self { first: self.first, end: middle }, Self { first: middle, end: self.end })
        })
    }

    #[must_use]
    pub fn is_in_tree_over(self, leaves: u32) -> bool {
        let mut node = Self::root(leaves);
        loop {
            if node == self {
                return true;
            }
            match node.children() {
                Some((left, right)) => node = if self.first < right.first { left } else { right },
                None => return false,
            }
        }
    }

    /// Splits this subtree level by level into at least `parts` nodes, or into its leaves if it has fewer.
    /// Together the nodes cover every leaf once, in order.
    #[must_use]
    pub fn split(self, parts: usize) -> Vec<Self> {
        let mut nodes = vec![self];
        while nodes.len() < parts {
            let next: Vec<Self> = nodes
                .iter()
                .flat_map(|node| match node.children() {
                    Some((left, right)) => vec![left, right],
                    None => vec![*node],
                })
                .collect();
            if next.len() == nodes.len() {
                break;
            }
            nodes = next;
        }
        nodes
    }

    /// Adds along the tree. Sums of whole subtrees come from `known`, other leaves from `leaf`.
    ///
    /// Returns `None` if a leaf is neither in `known` nor returned by `leaf`.
    pub fn reduce<T: Clone>(
        self,
        known: &HashMap<Self, T>,
        leaf: &mut impl FnMut(u32) -> Option<T>,
        add: &impl Fn(T, T) -> T,
    ) -> Option<T> {
        if let Some(sum) = known.get(&self) {
            return Some(sum.clone());
        }
        match self.children() {
            None => leaf(self.first),
            Some((left, right)) => {
                let left = left.reduce(known, leaf, add)?;
                let right = right.reduce(known, leaf, add)?;
                Some(add(left, right))
            }
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.end)
    }
}

/// Returns the range of items that belongs to a leaf: `⌊i·n/L⌋ .. ⌊(i+1)·n/L⌋`. With more leaves than items,
/// some ranges are empty.
#[must_use]
pub fn leaf_range(leaf: u32, leaves: u32, items: usize) -> Range<usize> {
    let bound = |i: u32| (u128::from(i) * items as u128 / u128::from(leaves)) as usize;
    bound(leaf)..bound(leaf + 1)
}

/// Returns the range of items that belongs to all leaves of `node`.
#[must_use]
pub fn node_range(node: Node, leaves: u32, items: usize) -> Range<usize> {
    leaf_range(node.first, leaves, items).start..leaf_range(node.end - 1, leaves, items).end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f32], root: Node, known: &HashMap<Node, f32>) -> Option<f32> {
        root.reduce(known, &mut |leaf| values.get(leaf as usize).copied(), &|a, b| a + b)
    }

    #[test]
    fn leaves_cover_every_item_once() {
        for (leaves, items) in [(16, 50), (16, 3), (1, 7), (64, 0), (5, 5), (16, 1920)] {
            let ranges: Vec<_> = (0..leaves).map(|leaf| leaf_range(leaf, leaves, items)).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, items);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn split_stops_at_the_leaves() {
        assert_eq!(Node::root(3).split(100).len(), 3);
        assert_eq!(Node::root(16).split(1), [Node::root(16)]);
        assert_eq!(Node::root(16).split(3).len(), 4);
    }

    #[test]
    fn other_ranges_are_not_nodes_of_the_tree() {
        assert!(Node { first: 8, end: 12 }.is_in_tree_over(16));
        assert!(!Node { first: 7, end: 12 }.is_in_tree_over(16));
        assert!(!Node { first: 0, end: 32 }.is_in_tree_over(16));
    }

    proptest! {
        #[test]
        fn sums_do_not_depend_on_the_split_or_the_arrival_order(
            values in prop::collection::vec(-1e3_f32..1e3, 1..70),
            parts in 1_usize..80,
            seed in any::<u64>(),
        ) {
            let root = Node::root(values.len() as u32);
            let whole = sum(&values, root, &HashMap::new()).unwrap();
            let mut nodes = root.split(parts);
            let rotation = seed as usize % nodes.len();
            nodes.rotate_left(rotation);
            let mut known = HashMap::new();
            for node in nodes {
                prop_assert!(node.is_in_tree_over(values.len() as u32));
                known.insert(node, sum(&values, node, &HashMap::new()).unwrap());
            }
            let combined = root.reduce(&known, &mut |_| None, &|a, b| a + b).unwrap();
            prop_assert_eq!(whole.to_bits(), combined.to_bits());
        }

        #[test]
        fn sum_is_none_while_a_part_is_missing(leaves in 2_u32..64, parts in 2_usize..64) {
            let root = Node::root(leaves);
            let known: HashMap<Node, f32> = root.split(parts).into_iter().skip(1).map(|node| (node, 1.0)).collect();
            prop_assert_eq!(root.reduce(&known, &mut |_| None, &|a, b| a + b), None);
        }
    }
}
