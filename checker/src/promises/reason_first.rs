//! C4: no pod is evicted without a condition before it.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::{AdmissionRound, PodInfo};

use crate::eviction::{is_evicted, says_why, spared};
use crate::invariant::{Breach, Invariant};

/// C4: the condition stands on a victim before it is evicted.
///
/// An eviction shows as the condition that the API server sets with it. Others evict too, such as an administrator who
/// drains a node, so only pods are judged that stood as victims in the AdmissionRound. Two watches have no common
/// order, so it is judged when nothing more happens.
#[derive(Clone, Debug, Default)]
pub struct ReasonFirst {
    /// UIDs.
    victims: BTreeSet<String>,
    /// Evicted pods that had no condition at that moment: their names, by UID.
    silent: BTreeMap<String, String>,
    evicted: BTreeSet<String>,
}

impl Invariant for ReasonFirst {
    fn name(&self) -> &'static str {
        "C4"
    }

    fn round_seen(&mut self, round: &AdmissionRound) {
        self.victims.extend(round.spec.victims.iter().map(|victim| victim.uid.clone()));
    }

    fn pod_seen(&mut self, pod: PodInfo<'_>) -> Result<(), String> {
        // A pod that was spared before may be evicted by others, without a word of ours.
        let object = pod.object();
        if is_evicted(object) && self.evicted.insert(pod.key()) && !says_why(object) && spared(pod).is_none() {
            self.silent.insert(pod.key(), pod.full_name());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Breach> {
        let ours = self.silent.iter().filter(|(uid, _)| self.victims.contains(*uid));
        let sentence = "it was evicted, and no condition said why before".to_owned();
        ours.map(|(_, pod)| Breach { pod: pod.clone(), sentence: sentence.clone() }).collect()
    }
}
