//! B5a: what was free is given once.

use std::collections::BTreeMap;

use weir_api::PodInfo;
use weir_api::pod::Figure;

use crate::admission::Admission;
use crate::gang::{GangKey, gang_of};
use crate::invariant::Invariant;
use crate::moment::Moment;

/// B5a: within one round, what a pod was admitted on is used before the next; two pods that were admitted on the same
/// free amount were admitted twice on it.
#[derive(Clone, Debug, Default)]
pub struct GivenOnce {
    given: BTreeMap<Place, Vec<Given>>,
}

/// One pool in one dimension, as one round saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: Moment,
    pool: String,
    resource: String,
}

/// A stretch of a pool's usage.
#[derive(Clone, Debug)]
struct Given {
    from: i64,
    to: i64,
    /// The pod or gang that took it.
    by: String,
}

impl Invariant for GivenOnce {
    fn name(&self) -> &'static str {
        "B5a"
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let Some(decision) = admission.decision.as_ref().filter(|decision| decision.finishes.is_none()) else {
            return Ok(());
        };
        let mut twice = None;
        for Figure { pool, resource, entitlement: _, usage, beyond: _, asked } in &decision.figures {
            let (from, to) = (*usage, usage.saturating_add(*asked));
            let by = unit(admission.pod, decision.pods, from);
            let place = Place { at: Moment::of(decision), pool: pool.clone(), resource: resource.clone() };
            let given = self.given.entry(place).or_default();
            if given.iter().any(|other| other.by == by) {
                continue;
            }
            let overlap = given.iter().find(|other| from < other.to && other.from < to);
            twice = twice.or(overlap.map(|Given { by, .. }| {
                format!("{resource} of {pool:?} from {from} to {to} was given to {by} as well, in the same round")
            }));
            given.push(Given { from, to, by });
        }
        twice.map_or(Ok(()), Err)
    }
}

/// What is given an amount as one: of `pods` pods that were admitted together, members of a gang carry the figures of
/// the whole. A replaced member goes alone, and a Ray cluster may be given several workers in a round, one after the
/// other.
fn unit(pod: PodInfo<'_>, pods: usize, from: i64) -> String {
    if pods <= 1 {
        return pod.key();
    }
    match (gang_of(pod), pod.ray_cluster()) {
        (Some((GangKey { namespace, name, .. }, _)), _) => format!("{namespace}/{name}"),
        (None, Some(cluster)) => format!("RayCluster {}/{cluster} (from {from} on)", pod.namespace()),
        (None, None) => pod.key(),
    }
}
