//! The order of decisions.

use weir_api::pod::Decision;

/// When a leader decided: gates go in any order, so the order of decisions is that of epoch and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// The epoch of the AdmissionRound.
    pub(crate) epoch: i64,
    /// The round of the leader's queue within it.
    pub(crate) round: u64,
}

impl Moment {
    pub(crate) const fn of(decision: &Decision) -> Self {
        Self { epoch: decision.epoch, round: decision.round }
    }
}
