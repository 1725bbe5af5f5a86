//! What a pod says of its admission, read for judging: nothing is assumed, and what cannot be read is an
//! answer of its own.

use k8s_openapi::api::core::v1::Pod;
use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{AnnouncedGang, Decision, Grounds};

/// The gate of a pod was seen to go, or a pod that asks for admission was first seen without one.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// The pod as it was then.
    pub pod: &'a Pod,
    /// Whether it was seen with its gate before; one that was not may have run before Weir did.
    pub waited: bool,
    /// What it says.
    pub grounds: Grounds<'a>,
    /// What was recorded; `None` where nothing readable was.
    pub record: Option<Decision>,
}

/// A gang: namespace, name and controlling owner.
pub(super) type GangKey = (String, String, Option<String>);

impl<'a> Admission<'a> {
    /// What the pod says.
    #[must_use]
    pub fn of(pod: &'a Pod, waited: bool) -> Self {
        let info = PodInfo::of(pod);
        Self { pod, waited, grounds: info.grounds(), record: info.decision() }
    }

    /// Whether it was admitted because its pool may use so much.
    pub(super) const fn counts_as_entitled(&self) -> bool {
        matches!(self.grounds, Grounds::Known(Admitted::WithinEntitlement | Admitted::Replacement))
    }
}

/// The gang that a pod belongs to, and its announced size.
pub(super) fn gang_of(pod: &Pod) -> Option<(GangKey, usize)> {
    let info = PodInfo::of(pod);
    let AnnouncedGang { name, size } = info.gang()?;
    let owner = info.controller().map(|owner| owner.uid.clone());
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    Some(((namespace, name.to_owned(), owner), usize::try_from(size).unwrap_or(usize::MAX)))
}

/// The RayCluster that made a pod: its pods are a gang that announces nothing.
pub(super) fn ray_cluster_of(pod: &Pod) -> Option<String> {
    let cluster = PodInfo::of(pod).ray_cluster()?;
    Some(format!("RayCluster {}/{cluster}", pod.metadata.namespace.as_deref().unwrap_or_default()))
}
