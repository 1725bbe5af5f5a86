//! B4: pods that are not preemptible use no more than is reserved, in the dimensions that the pool or an
//! ancestor lists.
//!
//! What they use is added up here from the pods, not taken from the record: an error in the sidecar's sum
//! would be in its record too.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use weir_api::condition::Admitted;
use weir_api::pod::Grounds;
use weir_api::quantity::amount;
use weir_api::requests::{Amounts, by_dimension};
use weir_api::{PodInfo, ResourcePool};
use weir_model::Amount;

use super::super::Invariant;
use super::facts::Admission;

/// B4 by these special models.
#[derive(Clone, Debug, Default)]
pub struct WithinReservation {
    special: BTreeSet<String>,
    pools: BTreeMap<String, Pool>,
    /// Whom the sidecar admitted, is not preemptible and has not ended: pool and requests.
    running: BTreeMap<String, (String, Amounts)>,
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

    fn path(&self, pool: &str) -> Vec<&str> {
        let mut path: Vec<&str> = Vec::new();
        let mut next = self.pools.get_key_value(pool);
        while let Some((name, pool)) = next.filter(|(name, _)| !path.contains(&name.as_str())) {
            path.push(name);
            next = pool.parent.as_ref().and_then(|parent| self.pools.get_key_value(parent));
        }
        path
    }

    /// What those in a pool and below use.
    fn used(&self, pool: &str, resource: &str) -> Amount {
        let below = self.running.values().filter(|(leaf, _)| self.path(leaf).contains(&pool));
        below.filter_map(|(_, asks)| asks.get(resource).copied()).sum()
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
        let (pod, said) = (admission.pod, PodInfo::of(admission.pod));
        if said.preemptible() || PodInfo::of(pod).has_ended() {
            return Ok(());
        }
        let (leaf, asks) = (said.pool().unwrap_or_default().to_owned(), by_dimension(pod, &self.special));
        // Somebody who was released by hand a moment ago was not known when this one was decided on.
        if admission.counts_as_entitled() || admission.grounds == Grounds::Known(Admitted::NotEnforced) {
            self.running.insert(PodInfo::of(pod).key(), (leaf.clone(), asks.clone()));
        }
        if !admission.counts_as_entitled() {
            return Ok(());
        }
        for pool in self.path(&leaf) {
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

    fn pod_seen(&mut self, pod: &Pod) -> Result<(), String> {
        if PodInfo::of(pod).has_ended() {
            self.running.remove(&PodInfo::of(pod).key());
        } else if let Some((_, asks)) = self.running.get_mut(&PodInfo::of(pod).key()) {
            // One that was made smaller in place keeps less from then on.
            *asks = by_dimension(pod, &self.special);
        }
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Pod) {
        self.running.remove(&PodInfo::of(pod).key());
    }
}
