//! The keys under which a pod may say a thing, ours first, and how a value is looked up.

use std::collections::BTreeMap;

use crate::names;

/// A gang as a pod announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedGang<'a> {
    /// The gang's name.
    pub name: &'a str,
    /// How many members the gang has.
    pub size: u32,
}

/// Annotations that name a pod's pool.
pub(super) fn pool_annotations() -> impl Iterator<Item = &'static str> {
    [names::POOL].into_iter().chain(names::POOL_ALIASES.iter().copied())
}

/// Annotations that say whether a pod may be taken back.
pub(super) fn preemptible_annotations() -> impl Iterator<Item = &'static str> {
    [names::PREEMPTIBLE].into_iter().chain(names::PREEMPTIBLE_ALIASES.iter().copied())
}

/// Labels that name a pod's gang.
pub(super) fn gang_labels() -> impl Iterator<Item = &'static str> {
    [names::GANG].into_iter().chain(names::GANG_ALIASES.iter().map(|&(label, _)| label))
}

/// Annotations that say how many members a pod's gang has.
pub(super) fn gang_size_annotations() -> impl Iterator<Item = &'static str> {
    [names::GANG_SIZE].into_iter().chain(names::GANG_ALIASES.iter().map(|&(_, annotation)| annotation))
}

/// The value of a label or annotation.
pub(super) fn value<'a>(map: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    map.and_then(|map| map.get(key)).map(String::as_str)
}
