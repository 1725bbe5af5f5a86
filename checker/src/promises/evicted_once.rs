//! C5: no pod is evicted twice.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::{AdmissionRound, PodInfo};

use crate::eviction::is_evicted;
use crate::invariant::{Breach, Invariant};

/// C5: no pod stands in the record as a victim again after its eviction was taken.
#[derive(Clone, Debug, Default)]
pub struct EvictedOnce {
    /// By UID, the pod's name.
    evicted: BTreeMap<String, String>,
    /// The victims of the record as it was told last.
    standing: BTreeSet<String>,
    /// Victims that left the record after their eviction.
    done: BTreeSet<String>,
    again: BTreeSet<String>,
}

impl Invariant for EvictedOnce {
    fn name(&self) -> &'static str {
        "C5"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        let now: BTreeSet<String> = round.spec.victims.iter().map(|victim| victim.uid.clone()).collect();
        self.again.extend(now.intersection(&self.done).cloned());
        let left = self.standing.difference(&now).filter(|uid| self.evicted.contains_key(*uid)).cloned();
        self.done.extend(left);
        self.standing = now;
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        if is_evicted(pod.object()) {
            self.evicted.insert(pod.key(), pod.full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let sentence = "it was to be evicted again after it had been evicted".to_owned();
        let pods = self.again.iter().filter_map(|uid| self.evicted.get(uid));
        pods.map(|pod| Breach { pod: pod.clone(), sentence: sentence.clone() }).collect()
    }
}
