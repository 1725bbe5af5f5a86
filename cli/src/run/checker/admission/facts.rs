//! What a pod says of its admission, read for judging: nothing is assumed, and what cannot be read is an
//! answer of its own.

use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use weir_api::condition::Admitted;
use weir_api::names;

use crate::pods::Said;

/// On what grounds a pod says that it was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// One of the words of the contract.
    Known(Admitted),
    /// Another word.
    Unknown,
    /// Nothing is said.
    Silent,
}

/// The gate of a pod was seen to go, or a pod that asks for admission was first seen without one.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// The pod as it was then.
    pub pod: &'a Pod,
    /// Whether it was seen with its gate before; one that was not may have run before Weir did.
    pub waited: bool,
    /// What it says.
    pub grounds: Grounds,
    /// What was recorded; `None` where nothing readable was.
    pub record: Option<Record>,
}

/// What was recorded with the removal of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The epoch of the AdmissionRound.
    pub epoch: i64,
    /// The round of the leader's queue, unique within an epoch.
    pub round: u64,
    /// How many pods were admitted together.
    pub pods: usize,
    /// What each pool on the path was entitled to and used just before.
    pub figures: Vec<Figure>,
    /// Set where a new leader carried out what an earlier one had recorded.
    pub finishes: Option<String>,
}

/// One pool in one dimension, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Figure {
    /// The pool; empty for the cluster.
    pub pool: String,
    /// The dimension.
    pub resource: String,
    /// What it was entitled to.
    pub entitlement: i64,
    /// What it used just before.
    pub usage: i64,
    /// The part of it that pools below used beyond their own entitlements: it does not count here.
    #[serde(default)]
    pub beyond: i64,
    /// What came on top.
    pub asked: i64,
}

/// A gang: namespace, name and controlling owner.
pub(super) type GangKey = (String, String, Option<String>);

impl<'a> Admission<'a> {
    /// What the pod says.
    #[must_use]
    pub fn of(pod: &'a Pod, waited: bool) -> Self {
        let said = Said::of(pod);
        let grounds = match said.admitted_as().map(str::parse) {
            None => Grounds::Silent,
            Some(Ok(word)) => Grounds::Known(word),
            Some(Err(_)) => Grounds::Unknown,
        };
        let annotations = pod.metadata.annotations.as_ref();
        let text = annotations.and_then(|annotations| annotations.get(names::DECIDED_ON));
        let record = text.and_then(|text| serde_json::from_str(text).ok());
        Self { pod, waited, grounds, record }
    }

    /// Whether it was admitted because its pool may use so much.
    pub(super) const fn counts_as_entitled(&self) -> bool {
        matches!(self.grounds, Grounds::Known(Admitted::WithinEntitlement | Admitted::Replacement))
    }
}

/// The gang that a pod belongs to, and its announced size.
pub(super) fn gang_of(pod: &Pod) -> Option<(GangKey, usize)> {
    let (name, size) = Said::of(pod).gang()?;
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone());
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    Some(((namespace, name.to_owned(), owner), usize::try_from(size).unwrap_or(usize::MAX)))
}

/// The RayCluster that made a pod: its pods are a gang that announces nothing.
pub(super) fn ray_cluster_of(pod: &Pod) -> Option<String> {
    let owners = pod.metadata.owner_references.iter().flatten();
    let cluster = owners.into_iter().find(|owner| owner.controller == Some(true) && owner.kind == "RayCluster")?;
    Some(format!("RayCluster {}/{}", pod.metadata.namespace.as_deref().unwrap_or_default(), cluster.name))
}

/// The UID, or the name where an object has none.
pub(super) fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_else(|| Said::of(pod).called())
}

/// Whether it succeeded or failed: it uses nothing any more.
pub(super) fn ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
