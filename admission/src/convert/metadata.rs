//! The keys of a pod that the sidecar guards, and how its configuration has them read.
//!
//! What a pod says under them is read by [`weir_api::pod::metadata`].

use weir_api::names;
pub use weir_api::pod::metadata::{Compat, GangHints, gang, gang_is_said_by_others, pod_group, pool, preemptible};

use crate::config::Config;

/// Whether the queue labels of other systems name a pool, as configured.
#[must_use]
pub const fn compat(config: &Config) -> Compat {
    if config.pods.compat { Compat::On } else { Compat::Off }
}

/// Every label key that only the sidecar may change once a pod is admitted.
pub fn guarded_labels() -> impl Iterator<Item = &'static str> {
    let gangs = names::GANG_ALIASES.iter().map(|&(label, _)| label);
    [names::POOL, names::GANG, names::POD_GROUP].into_iter().chain(gangs)
}

/// Every annotation key that only the sidecar may change once a pod is admitted.
pub fn guarded_annotations() -> impl Iterator<Item = &'static str> {
    let sizes = names::GANG_ALIASES.iter().map(|&(_, annotation)| annotation);
    let aliases = names::POOL_ALIASES.iter().chain(names::PREEMPTIBLE_ALIASES).copied();
    [names::POOL, names::GANG_SIZE, names::GANG_BY, names::PREEMPTIBLE]
        .into_iter()
        .chain(sizes)
        .chain(aliases)
        .chain(own_annotations())
}

/// The annotations that only the sidecar ever writes.
pub fn own_annotations() -> impl Iterator<Item = &'static str> {
    [names::DECIDED_ON, names::ADMITTED_AS].into_iter()
}

/// The annotation by which a kubelet marks a pod that it runs by itself.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Whether the annotation of this key means anything here.
#[must_use]
pub fn is_read(key: &str) -> bool {
    key == MIRROR_POD || guarded_annotations().any(|guarded| guarded == key)
}
