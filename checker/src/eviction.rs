//! What a pod's conditions say of an eviction.

use k8s_openapi::api::core::v1::Pod;
use weir_api::PodInfo;
use weir_api::condition::{PREEMPTED, Preempted, Spared};

/// The condition that the API server itself sets on a pod that it evicts.
const DISRUPTED: &str = "DisruptionTarget";

/// Whether the API server has accepted an eviction of this pod, from any client.
#[must_use]
pub fn is_evicted(pod: &Pod) -> bool {
    let set = PodInfo::of(pod).condition(DISRUPTED);
    set.is_some_and(|set| set.status == "True" && set.reason.as_deref() == Some("EvictionByEvictionAPI"))
}

/// Whether the pod says, in a word of the contract and a sentence, why it has to go.
#[must_use]
pub fn says_why(pod: &Pod) -> bool {
    PodInfo::of(pod).condition(PREEMPTED).is_some_and(|said| {
        let word = said.reason.as_deref().unwrap_or_default().parse::<Preempted>();
        said.status == "True" && word.is_ok() && said.message.as_deref().is_some_and(|text| !text.is_empty())
    })
}

/// The reason why a pod is not evicted after all, where the pod gives one.
pub(crate) fn spared(pod: PodInfo<'_>) -> Option<Spared> {
    let said = pod.condition(PREEMPTED).filter(|said| said.status == "False")?;
    said.reason.as_deref()?.parse().ok()
}
