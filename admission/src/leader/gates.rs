//! Gates: an admission that stands in the record is applied by removing the gates of its pods.

use weir_queue::{Admission, Time, Uid};

use super::decision;
use super::round_record::RoundRecord;
use super::watch_state::pod_cache::PodCache;
use crate::client::Target;

/// The removal of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GateRemoval {
    /// The pod.
    pub(super) pod: Uid,
    /// The round that admitted it; 0 where an earlier leader recorded it.
    pub(super) round: u64,
    /// The version of the pod that the decision was made on.
    pub(super) target: Target,
    /// The grounds, written with the removal.
    pub(super) grounds: String,
    /// The record of the decision, written with the removal.
    pub(super) decision: String,
}

/// The gates of an admission that is recorded under this epoch.
pub(super) fn removals(admission: &Admission, epoch: i64, pods: &PodCache, now: Time) -> Vec<GateRemoval> {
    let decision = decision::record(admission, epoch, now);
    let removal = |&(pod, _): &(Uid, _)| {
        let target = pods.get(pod)?.target.clone();
        let grounds = admission.grounds.as_str().to_owned();
        Some(GateRemoval { pod, round: admission.round, target, grounds, decision: decision.clone() })
    };
    admission.pods.iter().filter_map(removal).collect()
}

/// The gates that an earlier leader recorded and did not remove.
pub(super) fn finishing(record: &RoundRecord, pods: &PodCache, now: Time) -> Vec<GateRemoval> {
    let decision = decision::finishing(record.epoch(), now);
    let removal = |(&pod, entry): (&Uid, &weir_api::round::Admission)| {
        let target = pods.get(pod)?.target.clone();
        Some(GateRemoval { pod, round: 0, target, grounds: entry.reason.clone(), decision: decision.clone() })
    };
    record.entries.iter().filter_map(removal).collect()
}
