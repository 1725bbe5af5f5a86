//! The pods of the round record, each with what it has in common with others: a record names that once.

use std::sync::Arc;

use weir_api::round::Admission as Admitted;
use weir_model::Amount;
use weir_queue::Uid;

/// A pod whose gate is about to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// What it has in common with the pods beside it.
    pub(super) group: Arc<Group>,
    /// What was decided with it, by dimension; of a gang, on its first pod.
    pub(super) amounts: Arc<[(String, Amount)]>,
}

/// What recorded pods have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) namespace: String,
    /// Empty for pods that stand alone.
    pub(super) gang: String,
    pub(super) pool: String,
    pub(super) reason: String,
}

impl Entry {
    /// The grounds, as they are written.
    pub(super) fn reason(&self) -> &str {
        &self.group.reason
    }
}

/// The pods of a written admission.
pub(super) fn entries(written: &Admitted) -> Vec<(Uid, Entry)> {
    let Admitted { namespace, gang, pool, reason, amounts: _, pods } = written.clone();
    let group = Arc::new(Group { namespace, gang, pool, reason });
    let entry = |uid: Uid| (uid, Entry { group: Arc::clone(&group), amounts: Arc::default() });
    pods.iter().filter_map(|uid| uid.parse().ok()).map(entry).collect()
}
