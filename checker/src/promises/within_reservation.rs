//! B4: what cannot be taken back stays within the reservation.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::condition::Admitted;
use weir_api::pod::Grounds;
use weir_api::quantity::amount;
use weir_api::requests::{Amounts, by_dimension};
use weir_api::{PodInfo, ResourcePool};
use weir_model::Amount;

use crate::admission::Admission;
use crate::invariant::Invariant;

/// B4: pods that are not preemptible use no more than is reserved, in the dimensions that the pool or an ancestor
/// lists.
///
/// What they use is added up from the pods, not taken from the record: an error in the sidecar's sum would be in its
/// record too.
#[derive(Clone, Debug, Default)]
pub struct WithinReservation {
    special: BTreeSet<String>,
    pools: BTreeMap<String, Pool>,
    /// By key, the pods that the sidecar admitted, that are not preemptible and that have not ended.
    running: BTreeMap<String, Running>,
}

#[derive(Clone, Debug)]
struct Running {
    leaf: String,
    asks: Amounts,
}

#[derive(Clone, Debug, Default)]
struct Pool {
    parent: Option<String>,
    /// The largest that was ever seen: the watches of pods and pools have no common order, so a reservation
    /// that shrank may have been in force when the pod was decided on.
    reserved: Amounts,
}

impl WithinReservation {
    /// B4 where these GPU models have dimensions of their own.
    #[must_use]
    pub fn new(special: &[&str]) -> Self {
        Self { special: special.iter().map(|&model| model.to_owned()).collect(), ..Self::default() }
    }

    /// A pool and its ancestors. A circle ends where it closes.
    fn path(&self, pool: &str) -> Vec<&str> {
        let mut path: Vec<&str> = Vec::new();
        let mut next = self.pools.get_key_value(pool);
        while let Some((name, pool)) = next.filter(|(name, _)| !path.contains(&name.as_str())) {
            path.push(name);
            next = pool.parent.as_ref().and_then(|parent| self.pools.get_key_value(parent));
        }
        path
    }

    /// What the pods in a pool and below use.
    fn used(&self, pool: &str, resource: &str) -> Amount {
        let below = self.running.values().filter(|running| self.path(&running.leaf).contains(&pool));
        below.filter_map(|running| running.asks.get(resource).copied()).sum()
    }
}

impl Invariant for WithinReservation {
    fn name(&self) -> &'static str {
        "B4"
    }

    fn pool_seen(&mut self, object: &ResourcePool) {
        let pool = self.pools.entry(object.metadata.name.clone().unwrap_or_default()).or_default();
        pool.parent.clone_from(&object.spec.parent);
        for resource in &object.spec.resources {
            let now = resource.reservation.as_ref().map_or(Amount::ZERO, |it| amount(&resource.name, it));
            let most = pool.reserved.entry(resource.name.clone()).or_default();
            *most = now.max(*most);
        }
    }

    fn admitted(&mut self, admission: &Admission<'_>) -> Result<(), String> {
        let (pod, leaf) = (admission.pod, admission.pool());
        if pod.preemptible() || pod.has_ended() {
            return Ok(());
        }
        let asks = by_dimension(pod.object(), &self.special);
        // A pod that was released by hand a moment ago was not known when this one was decided on.
        if admission.counts_as_entitled() || admission.grounds == Grounds::Known(Admitted::NotEnforced) {
            self.running.insert(pod.key(), Running { leaf: leaf.to_owned(), asks: asks.clone() });
        }
        if !admission.counts_as_entitled() {
            return Ok(());
        }
        for pool in self.path(leaf) {
            for resource in asks.keys() {
                let Some(&reserved) = self.pools.get(pool).and_then(|pool| pool.reserved.get(resource)) else {
                    continue;
                };
                let used = self.used(pool, resource);
                if used > reserved {
                    return Err(format!(
                        "it is not preemptible, and with it {used} {resource} of {pool:?} cannot be taken back; \
                         {reserved} are reserved"
                    ));
                }
            }
        }
        Ok(())
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        if pod.has_ended() {
            self.running.remove(&pod.key());
        } else if let Some(running) = self.running.get_mut(&pod.key()) {
            // A pod that was made smaller in place keeps less from then on.
            running.asks = by_dimension(pod.object(), &self.special);
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: PodInfo<'_>) {
        self.running.remove(&pod.key());
    }
}
