//! Takes a part of a trace that looks like the whole.

use std::cmp::Ordering;

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Takes `count` of `items`, so that every group of equal `shape` keeps its proportion to within one item.
///
/// This is systematic sampling: the items are ordered by shape and shuffled by `seed` inside each shape, and every
/// n-th is taken from a start that the seed chooses. A shape with one item has the same chance as any other item,
/// which a rounded quota for each shape would not give it. The sample keeps the order of `items`; a `count` of at
/// least their number takes all of them.
///
/// ```
/// use weir_simulator::openb::sample;
/// let nodes = ["gpu", "cpu", "cpu", "gpu", "cpu", "cpu", "gpu", "cpu", "cpu"];
/// let half = sample(&nodes, 3, 7, |node| node.len() + usize::from(*node == "gpu"));
/// assert_eq!(half.iter().filter(|node| **node == "gpu").count(), 1);
/// ```
#[must_use]
pub fn sample<T: Clone, K: Ord>(items: &[T], count: usize, seed: u64, shape: impl Fn(&T) -> K) -> Vec<T> {
    if count >= items.len() {
        return items.to_vec();
    }
    if count == 0 {
        return Vec::new();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.shuffle(&mut random);
    order.sort_by(|&a, &b| by_shape(&items[a], &items[b], &shape));
    // Positions (start + i × total) ÷ count, in whole numbers: the start is below the total, so none is missed.
    let (total, start) = (items.len() as u64, random.next_u64() % items.len() as u64);
    let mut taken: Vec<usize> = (0..count as u64)
        .filter_map(|i| usize::try_from((start + i * total) / count as u64).ok())
        .filter_map(|at| order.get(at).copied())
        .collect();
    taken.sort_unstable();
    taken.into_iter().map(|at| items[at].clone()).collect()
}

fn by_shape<T, K: Ord>(a: &T, b: &T, shape: impl Fn(&T) -> K) -> Ordering {
    shape(a).cmp(&shape(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openb::{TraceNode, folder, read_nodes};
    use std::collections::BTreeMap;

    fn by_model(nodes: &[TraceNode]) -> BTreeMap<Option<String>, usize> {
        nodes.iter().fold(BTreeMap::new(), |mut counts, node| {
            *counts.entry(node.model.clone()).or_default() += 1;
            counts
        })
    }

    #[test]
    fn every_model_keeps_its_proportion_to_within_one() {
        let nodes = read_nodes(&folder().join("openb_node_list_all_node.csv")).unwrap();
        let all = by_model(&nodes);
        for (count, seed) in [(60, 1), (100, 2), (333, 3), (1522, 4)] {
            let part = sample(&nodes, count, seed, |node| node.model.clone());
            assert_eq!(part.len(), count);
            let taken = by_model(&part);
            for (model, in_all) in &all {
                let (got, exact) = (taken.get(model).copied().unwrap_or(0), in_all * count);
                assert!(got >= exact / 1523 && got <= exact.div_ceil(1523), "{model:?}: {got} of {exact}/1523");
            }
        }
    }

    #[test]
    fn a_seed_always_takes_the_same_and_another_takes_others() {
        let items: Vec<u32> = (0..1000).collect();
        let [a, b, c] = [5, 5, 6].map(|seed| sample(&items, 100, seed, |_| 0));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert!(a.is_sorted());
    }

    #[test]
    fn more_than_there_is_takes_all() {
        assert_eq!(sample(&[1, 2, 3], 9, 0, |_| 0), [1, 2, 3]);
        assert_eq!(sample(&[1, 2, 3], 0, 0, |_| 0), [0; 0]);
    }
}
