//! The pods that arrive, and their order.

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::openb::TracePod;

/// The treatment of pods that ask for a part of a GPU, which `nvidia.com/gpu` cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fractions {
    /// They get a part of a GPU, as in the trace.
    Keep,
    /// They are left out.
    Drop,
    /// They get a whole GPU.
    RoundUp,
}

/// The pods of the trace with their fractions treated as asked.
pub(super) fn prepare(pods: &[TracePod], fractions: Fractions) -> Vec<TracePod> {
    let mut pods = pods.to_vec();
    match fractions {
        Fractions::Keep => {}
        Fractions::Drop => pods.retain(|pod| !pod.is_fractional()),
        Fractions::RoundUp => pods.iter_mut().filter(|pod| pod.gpus > 0).for_each(|pod| pod.gpu_milli = 1000),
    }
    pods
}

/// Positions of pods in the order of their arrival: all of them once in an order that the seed chooses, then
/// any of them again and again, until the pods that arrived ask for `milli` in all.
///
/// `demand` is what each pod asks for, in the unit of `milli`, at least one of them more than nothing.
pub(crate) fn arrivals(demand: &[i64], milli: i64, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..demand.len()).collect();
    order.shuffle(&mut random);
    let mut came = 0;
    let mut missing = |&at: &usize| {
        let go_on = came < milli;
        came += demand[at];
        go_on
    };
    let once: Vec<usize> = order.into_iter().take_while(&mut missing).collect();
    let again = std::iter::repeat_with(|| below(&mut random, demand.len()));
    let again: Vec<usize> = again.take_while(&mut missing).collect();
    once.into_iter().chain(again).collect()
}

/// A whole number below `end`, each as likely as any other (to within `end` in 2⁶⁴).
pub(crate) fn below(random: &mut ChaCha8Rng, end: usize) -> usize {
    let scaled = (u128::from(random.next_u64()) * end as u128) >> 64;
    usize::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_comes_once_before_any_comes_again() {
        let mut came = arrivals(&[1000, 0, 500, 2000], 10_000, 42);
        let mut first: Vec<_> = came.drain(..4).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2, 3]);
        assert!(!came.is_empty());
    }

    #[test]
    fn arrivals_end_with_the_pod_that_reaches_the_load() {
        let demand = [1000, 0, 500, 2000];
        for seed in 0..50 {
            let came = arrivals(&demand, 3000, seed);
            let sum: i64 = came.iter().map(|&at| demand[at]).sum();
            let last = came.last().map_or(0, |&at| demand[at]);
            assert!(sum >= 3000 && sum - last < 3000, "{came:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals_and_another_seed_others() {
        let demand = [1000; 20];
        assert_eq!(arrivals(&demand, 50_000, 1), arrivals(&demand, 50_000, 1));
        assert_ne!(arrivals(&demand, 50_000, 1), arrivals(&demand, 50_000, 2));
    }
}
