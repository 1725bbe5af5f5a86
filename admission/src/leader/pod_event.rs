//! What the watch of pods brings, as each owner of a part of the term's state takes it in.

use weir_queue::{Grounds, Uid};

use super::watch_state::pod_cache::PodState;

/// What happened to a pod.
pub(super) enum PodEvent<'a> {
    /// A managed pod is there, or changed.
    Seen(PodSeen<'a>),
    /// A pod is gone, finished, or managed no more.
    Gone {
        /// The pod.
        uid: Uid,
        /// What was remembered of it.
        last: Option<PodState>,
    },
}

/// A managed pod, before and now.
pub(super) struct PodSeen<'a> {
    /// The pod.
    pub(super) uid: Uid,
    /// As it was remembered, if it was.
    pub(super) before: Option<PodState>,
    /// As it is remembered now.
    pub(super) state: &'a PodState,
    /// The admission that stands on it; none while it is gated.
    pub(super) admission: Option<StandingAdmission<'a>>,
}

/// What stands on an admitted pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct StandingAdmission<'a> {
    /// On what grounds it was admitted.
    pub(super) grounds: Grounds,
    /// The record of the decision, `weir.dev/decided-on`.
    pub(super) decision: Option<&'a str>,
}

impl PodSeen<'_> {
    /// Whether the pod is admitted.
    pub(super) const fn is_admitted(&self) -> bool {
        self.admission.is_some()
    }
}
