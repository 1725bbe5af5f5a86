//! [`PodInfo`]: what a Pod object says of its admission.
//!
//! The sidecar, the command line, the judge and the demo read pods here, so that no two of them differ over what a
//! pod says. Reading decides nothing: a word that is none of ours and a record that does not parse are answers of
//! their own.
//!
//! A pod may carry several accepted keys for one thing. [`PodInfo`] takes the first of them, in the order of
//! [`names`]: a pod whose keys differ is never admitted, and a view that shows it needs some answer. The sidecar has to
//! refuse such a pod, so it reads through [`metadata`], where keys that differ are an error with a sentence.

mod keys;
pub mod metadata;
mod record;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::condition::{ADMITTED, Admitted};
use crate::names;
use keys::{gang_labels, gang_size_annotations, pool_annotations, preemptible_annotations, value};

pub use keys::AnnouncedGang;
pub use record::{Decision, Figure};

/// Reads one Pod object.
#[derive(Clone, Copy, Debug)]
pub struct PodInfo<'a> {
    pod: &'a Pod,
}

/// The grounds on which a pod says that it was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds<'a> {
    /// A word of the contract.
    Known(Admitted),
    /// Another word, as it stands.
    Unknown(&'a str),
    /// No word: the pod waits, or it ran before Weir did.
    Silent,
}

impl<'a> PodInfo<'a> {
    /// A reader of this pod.
    ///
    /// ```
    /// use weir_api::PodInfo;
    /// let pod = serde_json::from_value(serde_json::json!({
    ///     "metadata": {
    ///         "labels": { "weir.dev/gang": "train" },
    ///         "annotations": { "weir.dev/pool": "research", "weir.dev/gang-size": "8" },
    ///     },
    ///     "spec": { "containers": [], "schedulingGates": [{ "name": "weir.dev/admission" }] },
    /// })).unwrap();
    /// let info = PodInfo::of(&pod);
    /// assert_eq!((info.pool(), info.gang().map(|gang| gang.size)), (Some("research"), Some(8)));
    /// assert!(info.waits());
    /// ```
    #[must_use]
    pub const fn of(pod: &'a Pod) -> Self {
        Self { pod }
    }

    /// The object that is read.
    #[must_use]
    pub const fn object(&self) -> &'a Pod {
        self.pod
    }

    /// The namespace; empty for an object that no API server made.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.pod.name_any())
    }

    /// The UID, which no other pod ever has; [`full_name`](Self::full_name) for an object that no API server made.
    #[must_use]
    pub fn key(&self) -> String {
        self.pod.uid().unwrap_or_else(|| self.full_name())
    }

    /// The pool that the pod names, by annotation or by the label that mirrors it.
    #[must_use]
    pub fn pool(&self) -> Option<&'a str> {
        let annotation = pool_annotations().find_map(|key| self.annotation(key));
        annotation.or_else(|| self.label(names::POOL))
    }

    /// The gang that the pod announces, where it gives both a name and a size.
    #[must_use]
    pub fn gang(&self) -> Option<AnnouncedGang<'a>> {
        let name = gang_labels().find_map(|key| self.label(key))?;
        let size = gang_size_annotations().find_map(|key| self.annotation(key))?;
        Some(AnnouncedGang { name, size: size.parse().ok()? })
    }

    /// Whether the pod says that it may be taken back.
    #[must_use]
    pub fn preemptible(&self) -> bool {
        preemptible_annotations().find_map(|key| self.annotation(key)) == Some(names::TRUE)
    }

    /// Whether the webhook saw the pod at its creation: its pool stands in the annotation and in the label.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        self.label(names::POOL).is_some() && self.annotation(names::POOL).is_some()
    }

    /// The names of all scheduling gates.
    pub fn gates(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let gates = self.pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
        gates.into_iter().flatten().map(|gate| gate.name.as_str())
    }

    /// Whether the pod carries our gate.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.gates().any(|gate| gate == names::GATE)
    }

    /// Whether the pod waits for admission: it is gated and is not being deleted.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.is_gated() && !self.is_terminating()
    }

    /// The grounds that were written with the removal of the gate.
    #[must_use]
    pub fn grounds(&self) -> Grounds<'a> {
        match self.annotation(names::ADMITTED_AS) {
            None => Grounds::Silent,
            Some(word) => word.parse().map_or(Grounds::Unknown(word), Grounds::Known),
        }
    }

    /// The record of the decision as it stands on the pod, read or not.
    #[must_use]
    pub fn recorded(&self) -> Option<&'a str> {
        self.annotation(names::DECIDED_ON)
    }

    /// The record of the decision that removed the gate; `None` where nothing readable was recorded.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        serde_json::from_str(self.recorded()?).ok()
    }

    /// The shortened digests of the plugins that chose the node, by plugin.
    #[must_use]
    pub fn placed_by(&self) -> BTreeMap<String, String> {
        let digests = self.annotation(names::PLACED_BY);
        digests.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&'a PodCondition> {
        let conditions = self.pod.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The condition [`ADMITTED`].
    #[must_use]
    pub fn admitted(&self) -> Option<&'a PodCondition> {
        self.condition(ADMITTED)
    }

    /// The node that the pod was bound to.
    #[must_use]
    pub fn node(&self) -> Option<&'a str> {
        self.pod.spec.as_ref()?.node_name.as_deref()
    }

    /// The priority; 0 where none was given.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
    }

    /// When the pod was created; the beginning of time for an object that no API server made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    /// Whether the pod is being deleted.
    #[must_use]
    pub const fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// The phase; empty before the kubelet has written one.
    #[must_use]
    pub fn phase(&self) -> &'a str {
        self.pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    /// Whether the pod succeeded or failed: it uses nothing any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase(), "Succeeded" | "Failed")
    }

    /// The owner that controls the pod.
    #[must_use]
    pub fn controller(&self) -> Option<&'a OwnerReference> {
        let owners = self.pod.metadata.owner_references.as_ref();
        owners.into_iter().flatten().find(|owner| owner.controller == Some(true))
    }

    /// The RayCluster that controls the pod.
    #[must_use]
    pub fn ray_cluster(&self) -> Option<&'a str> {
        let owner = self.controller()?;
        let is_ray = owner.kind == names::RAY_CLUSTER_KIND && owner.api_version.starts_with(names::RAY_API);
        is_ray.then_some(owner.name.as_str())
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        value(self.pod.metadata.annotations.as_ref(), key)
    }

    fn label(&self, key: &str) -> Option<&'a str> {
        value(self.pod.metadata.labels.as_ref(), key)
    }
}

impl<'a> Grounds<'a> {
    /// The word as it stands on the pod.
    #[must_use]
    pub const fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Known(grounds) => Some(grounds.as_str()),
            Self::Unknown(word) => Some(word),
            Self::Silent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: Value, spec: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    fn with_annotations(annotations: Value) -> Pod {
        pod(json!({ "annotations": annotations }), json!({ "containers": [] }))
    }

    #[test]
    fn the_keys_of_the_described_system_are_read_as_ours_are() {
        let keys = json!({ "resource-pool": "research", "number-gang-members": "8", "preemptible": "true" });
        let metadata = json!({ "labels": { "gang-member": "train" }, "annotations": keys });
        let pod = pod(metadata, json!({ "containers": [], "schedulingGates": [{ "name": "weir.dev/admission" }] }));
        let info = PodInfo::of(&pod);
        assert_eq!(info.gang(), Some(AnnouncedGang { name: "train", size: 8 }));
        assert_eq!((info.pool(), info.preemptible(), info.waits()), (Some("research"), true, true));
    }

    #[test]
    fn where_keys_differ_ours_is_read() {
        let pod =
            with_annotations(json!({ "weir.dev/pool": "a", "resource-pool": "b", "weir.dev/preemptible": "false",
            "preemptible": "true" }));
        assert_eq!((PodInfo::of(&pod).pool(), PodInfo::of(&pod).preemptible()), (Some("a"), false));
    }

    #[test]
    fn a_pod_whose_annotation_was_lost_is_still_in_the_pool_of_its_label() {
        let mirrored = |annotations: Value| {
            let pod = pod(json!({ "labels": { "weir.dev/pool": "a" }, "annotations": annotations }), json!(null));
            (PodInfo::of(&pod).pool().map(str::to_owned), PodInfo::of(&pod).is_mirrored())
        };
        assert_eq!(mirrored(json!({})), (Some("a".to_owned()), false));
        assert_eq!(mirrored(json!({ "weir.dev/pool": "a" })), (Some("a".to_owned()), true));
    }

    #[test]
    fn half_a_gang_is_no_gang() {
        let gang = |label: Value, size: Value| {
            let metadata = json!({ "labels": label, "annotations": size });
            PodInfo::of(&pod(metadata, json!(null))).gang().map(|gang| gang.size)
        };
        let (name, size) = (json!({ "weir.dev/gang": "g" }), json!({ "weir.dev/gang-size": "4" }));
        assert_eq!(gang(name.clone(), size.clone()), Some(4));
        assert_eq!(gang(name.clone(), json!({})), None);
        assert_eq!(gang(json!({}), size), None);
        assert_eq!(gang(name, json!({ "weir.dev/gang-size": "many" })), None);
    }

    #[test]
    fn a_gated_pod_that_is_being_deleted_waits_no_more() {
        let gates =
            json!({ "containers": [], "schedulingGates": [{ "name": "a/b" }, { "name": "weir.dev/admission" }] });
        let deleted = pod(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), gates);
        let info = PodInfo::of(&deleted);
        assert_eq!((info.is_gated(), info.waits()), (true, false));
        assert_eq!(info.gates().collect::<Vec<_>>(), ["a/b", "weir.dev/admission"]);
    }

    #[test]
    fn grounds_are_a_word_of_the_contract_another_word_or_none() {
        let grounds =
            |annotations: Value| PodInfo::of(&with_annotations(annotations)).grounds().as_str().map(str::to_owned);
        let said = with_annotations(json!({ "weir.dev/admitted-as": "OnLoan" }));
        assert_eq!(PodInfo::of(&said).grounds(), Grounds::Known(Admitted::OnLoan));
        let strange = with_annotations(json!({ "weir.dev/admitted-as": "Bribed" }));
        assert_eq!(PodInfo::of(&strange).grounds(), Grounds::Unknown("Bribed"));
        assert_eq!(PodInfo::of(&Pod::default()).grounds(), Grounds::Silent);
        assert_eq!(grounds(json!({ "weir.dev/admitted-as": "OnLoan" })).as_deref(), Some("OnLoan"));
    }

    #[test]
    fn a_record_that_does_not_parse_is_no_decision_and_is_still_there() {
        let pod = with_annotations(json!({ "weir.dev/decided-on": "no JSON" }));
        assert_eq!((PodInfo::of(&pod).decision(), PodInfo::of(&pod).recorded()), (None, Some("no JSON")));
    }

    #[test]
    fn only_its_controller_makes_a_pod_one_of_a_ray_cluster() {
        let owned = |controller: bool, api: &str| {
            let owner = json!([{ "apiVersion": api, "kind": "RayCluster", "name": "nightly-x", "uid": "u",
                "controller": controller }]);
            PodInfo::of(&pod(json!({ "ownerReferences": owner }), json!(null))).ray_cluster().map(str::to_owned)
        };
        assert_eq!(owned(true, "ray.io/v1").as_deref(), Some("nightly-x"));
        assert_eq!((owned(false, "ray.io/v1"), owned(true, "example.com/v1")), (None, None));
    }

    #[test]
    fn an_object_that_no_api_server_made_is_known_by_its_name() {
        let named = json!({ "namespace": "team", "name": "p" });
        assert_eq!(PodInfo::of(&pod(named, json!(null))).key(), "team/p");
        assert_eq!(PodInfo::of(&pod(json!({ "name": "p", "uid": "u" }), json!(null))).key(), "u");
    }
}
