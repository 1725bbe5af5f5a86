//! Which pods belong together.

use weir_api::PodInfo;

/// A gang: its namespace, its name and the owner that controls its members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GangKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The UID of the owner, for members that have one.
    pub(crate) owner: Option<String>,
}

/// The gang that a pod belongs to, and how many members it announces.
pub(crate) fn gang_of(pod: PodInfo<'_>) -> Option<(GangKey, usize)> {
    let gang = pod.gang()?;
    let (namespace, name) = (pod.namespace().to_owned(), gang.name.to_owned());
    let owner = pod.controller().map(|owner| owner.uid.clone());
    Some((GangKey { namespace, name, owner }, usize::try_from(gang.size).unwrap_or(usize::MAX)))
}
