//! What a Pod object says about its admission: pool, gang, gate, condition and record.
//!
//! Read as written; nothing is judged. Where two accepted keys differ the sidecar keeps the pod waiting and
//! says so, and here the first of them is shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::ResourceExt as _;
use serde::Deserialize;
use weir_api::{condition, names};

/// What a pod says of itself.
pub(crate) struct Said<'a> {
    pub(crate) pod: &'a Pod,
}

/// The record of an admission, as it stands in the annotation `weir.dev/decided-on`; fields that a record
/// does not have are left at their defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The epoch of the AdmissionRound.
    pub(crate) epoch: i64,
    /// How many pods were admitted together.
    pub(crate) pods: u64,
    /// For the pool and each ancestor, dimension by dimension, in base units.
    pub(crate) figures: Vec<RecordedFigure>,
    /// Who removed the gate by hand, if somebody did.
    #[serde(rename = "releasedBy")]
    pub(crate) released_by: Option<String>,
    /// What that person gave as the reason.
    pub(crate) because: Option<String>,
}

/// One figure of a [`Record`].
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RecordedFigure {
    /// The pool or ancestor; empty for the cluster.
    pub(crate) pool: String,
    /// The dimension.
    pub(crate) resource: String,
    /// What the pool was entitled to.
    pub(crate) entitlement: i64,
    /// What it used before.
    pub(crate) usage: i64,
    /// The part of it that pools below used beyond their own entitlements; it did not count.
    #[serde(default)]
    pub(crate) beyond: i64,
    /// What came on top.
    pub(crate) asked: i64,
}

impl<'a> Said<'a> {
    pub(crate) const fn of(pod: &'a Pod) -> Self {
        Self { pod }
    }

    /// The pool, by our key or an accepted one.
    pub(crate) fn pool(&self) -> Option<&'a str> {
        let annotation = self.annotation(names::POOL, names::POOL_ALIASES);
        annotation.or_else(|| value(self.pod.metadata.labels.as_ref(), names::POOL))
    }

    /// The gang's name and how many members are announced, where both are given.
    pub(crate) fn gang(&self) -> Option<(&'a str, u64)> {
        let pairs = [(names::GANG, names::GANG_SIZE)].into_iter().chain(names::GANG_ALIASES.iter().copied());
        let (labels, annotations) = (self.pod.metadata.labels.as_ref(), self.pod.metadata.annotations.as_ref());
        let name = pairs.clone().find_map(|(key, _)| value(labels, key))?;
        let size = pairs.clone().find_map(|(_, key)| value(annotations, key))?;
        Some((name, size.parse().ok()?))
    }

    pub(crate) fn preemptible(&self) -> bool {
        self.annotation(names::PREEMPTIBLE, names::PREEMPTIBLE_ALIASES) == Some(names::TRUE)
    }

    /// All scheduling gates.
    pub(crate) fn gates(&self) -> Vec<&'a str> {
        let gates = self.pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
        gates.into_iter().flatten().map(|gate| gate.name.as_str()).collect()
    }

    /// Whether it waits for admission.
    pub(crate) fn waits(&self) -> bool {
        self.gates().contains(&names::GATE) && self.pod.metadata.deletion_timestamp.is_none()
    }

    pub(crate) fn condition(&self, type_: &str) -> Option<&'a PodCondition> {
        let conditions = self.pod.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == type_)
    }

    pub(crate) fn admitted(&self) -> Option<&'a PodCondition> {
        self.condition(condition::ADMITTED)
    }

    pub(crate) fn node(&self) -> Option<&'a str> {
        self.pod.spec.as_ref()?.node_name.as_deref()
    }

    pub(crate) fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    /// `namespace/name`.
    pub(crate) fn called(&self) -> String {
        format!("{}/{}", self.pod.namespace().unwrap_or_default(), self.pod.name_any())
    }

    /// On what it was admitted; `None` where nothing readable was recorded.
    pub(crate) fn record(&self) -> Option<Record> {
        serde_json::from_str(self.annotation(names::DECIDED_ON, &[])?).ok()
    }

    /// The versions of the plugins that decided where it went.
    pub(crate) fn placed_by(&self) -> BTreeMap<String, String> {
        let said = self.annotation(names::PLACED_BY, &[]);
        said.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The reason with which the gate was removed.
    pub(crate) fn admitted_as(&self) -> Option<&'a str> {
        self.annotation(names::ADMITTED_AS, &[])
    }

    fn annotation(&self, key: &str, aliases: &[&str]) -> Option<&'a str> {
        let annotations = self.pod.metadata.annotations.as_ref();
        [key].iter().chain(aliases).find_map(|key| value(annotations, key))
    }
}

fn value<'a>(map: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    map.and_then(|map| map.get(key)).map(String::as_str)
}

/// A length of time in its two largest units, such as `3h12m`.
pub(crate) fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_described_system_are_read_as_ours_are() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": { "labels": { "gang-member": "train" },
                "annotations": { "resource-pool": "research", "number-gang-members": "8", "preemptible": "true" } },
            "spec": { "containers": [], "schedulingGates": [{ "name": "weir.dev/admission" }] },
        }))
        .unwrap();
        let said = Said::of(&pod);
        assert_eq!((said.pool(), said.gang(), said.preemptible()), (Some("research"), Some(("train", 8)), true));
        assert!(said.waits());
    }

    #[test]
    fn ages_have_two_units() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ages =
            [5, 65, 3 * 3600 + 720, 90_000].map(|ago| age(now, Timestamp::from_second(1_000_000 - ago).unwrap()));
        assert_eq!(ages, ["5s", "1m5s", "3h12m", "1d1h"]);
    }
}
