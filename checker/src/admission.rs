//! An admission as the watch tells it.

use weir_api::PodInfo;
use weir_api::condition::Admitted;
use weir_api::pod::{Decision, Grounds};

/// The gate of a pod was seen to go, or a pod that asks for admission was first seen without one.
///
/// Nothing is assumed: a word that is none of the contract's and a record that does not parse are answers of their
/// own.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// The pod as it was then.
    pub pod: PodInfo<'a>,
    /// Whether the pod was seen with its gate before; a pod that was not may have run before Weir did.
    pub waited: bool,
    /// The grounds that the pod gives.
    pub grounds: Grounds<'a>,
    /// What was recorded; `None` where nothing readable was.
    pub decision: Option<Decision>,
}

impl<'a> Admission<'a> {
    /// The admission of a pod that waited before, or did not.
    pub(crate) fn of(pod: PodInfo<'a>, waited: bool) -> Self {
        Self { pod, waited, grounds: pod.grounds(), decision: pod.decision() }
    }

    /// Whether the pod was admitted because its pool may use so much.
    pub(crate) const fn counts_as_entitled(&self) -> bool {
        matches!(self.grounds, Grounds::Known(Admitted::WithinEntitlement | Admitted::Replacement))
    }

    /// The pool that the pod names; empty where it names none.
    pub(crate) fn pool(&self) -> &'a str {
        self.pod.pool().unwrap_or_default()
    }
}
