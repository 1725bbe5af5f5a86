//! What was recorded and came to nothing, and what an earlier leader recorded (B5a).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::contract::decision::Decision;
use crate::contract::event::Record;
use crate::contract::pod::Uid;
use crate::state::State;
use crate::state::ids::{GangId, PodId};
use crate::state::pods::{PodRecord, PodState, RefusedAdmission};

use super::super::admission::become_admitted;
use super::super::claims::{abandon, restore_claim};
use super::super::context::Round;
use super::super::enqueue::enqueue;
use super::super::evictions::gang_goes;
use super::super::gangs::requeue_gangs;

/// B5a: voids the admission of a gang of which a member is gone before any gate of its round was removed.
pub(super) fn void_gang(round: &mut Round<'_>, gang: GangId, number: u64, gone: Uid) {
    let state = &mut *round.state;
    let members = state.gangs[gang].members.iter().copied();
    let (decided, others): (Vec<PodId>, Vec<PodId>) = members.partition(|&pod| was_decided_in(state, pod, number));
    let begun = state.pods.records(others).any(|record| !record.waits());
    if begun || decided.is_empty() {
        return;
    }
    let uids = state.pods.records(decided.iter().copied()).map(|record| record.uid);
    let uids: Vec<Uid> = uids.chain([gone]).collect();
    state.gangs[gang].whole = false;
    decided.into_iter().for_each(|pod| unadmit(round, pod));
    round.decisions.push(Decision::Void(uids));
}

/// Takes back all that a round decided.
pub(super) fn round_lost(round: &mut Round<'_>, number: u64) {
    let state = &mut *round.state;
    let mut pods = state.pods.ids();
    pods.retain(|&pod| was_decided_in(state, pod, number));
    for gang in pods.iter().filter_map(|&pod| state.pods.record(pod).and_then(PodRecord::gang_id)) {
        state.gangs[gang].whole = false;
    }
    pods.into_iter().for_each(|pod| unadmit(round, pod));
    let lost = round.state.claims.take_where(|claim| claim.round == number);
    lost.into_iter().for_each(|claim| abandon(round, claim));
}

/// How long a pod backs off after the first refusal of the API server, and at most; each time twice as long.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// B5c: takes back the admission of a pod that the API server refuses. The rest of its gang stays admitted, and the
/// pod waits by itself, as a member that the gang lost.
pub(super) fn admission_refused(round: &mut Round<'_>, uid: Uid, why: String) {
    let Some(pod) = round.state.pods.find(uid) else { return };
    let decided = round.state.pods.running(pod).is_some_and(|running| running.round.is_some());
    let Some(record) = round.state.pods.record_mut(pod).filter(|_| decided) else { return };
    let times = record.refused.as_ref().map_or(0, |refused| refused.times).saturating_add(1);
    let (first, most) = REFUSED;
    let span = first.saturating_mul(1 << (times - 1).min(16)).min(most);
    record.refused = Some(Box::new(RefusedAdmission { why, times, until: round.now.after(span) }));
    unadmit(round, pod);
}

fn was_decided_in(state: &State, pod: PodId, number: u64) -> bool {
    state.pods.running(pod).is_some_and(|running| running.round == Some(number))
}

/// Makes a pod whose admission was decided wait again.
pub(super) fn unadmit(round: &mut Round<'_>, pod: PodId) {
    let state = &mut *round.state;
    state.dequeue(pod);
    state.withdraw(pod);
    if let Some(record) = state.pods.record_mut(pod) {
        (record.state, record.told) = (PodState::Waiting, None);
    }
    state.enter(pod);
    enqueue(round, pod);
}

/// Counts waiting pods as admitted, victims as going and claims as made, as an earlier leader decided.
pub(super) fn restore(round: &mut Round<'_>, record: &Record) {
    requeue_gangs(round);
    for recorded in &record.admitted {
        let Some(pod) = round.state.pods.find(recorded.uid) else { continue };
        if round.state.pods.waits(pod) {
            let node = recorded.node.as_deref().map(|name| round.state.nodes.named(name));
            round.state.dequeue(pod);
            become_admitted(round, pod, node, recorded.grounds);
            enqueue(round, pod);
        }
    }
    requeue_gangs(round);
    restore_victims(round, &record.victims);
    record.claims.iter().for_each(|claim| restore_claim(round, claim));
}

/// Counts the pods that an earlier leader was about to evict as going; a gang of which none stays goes whole.
fn restore_victims(round: &mut Round<'_>, victims: &[Uid]) {
    let mut gangs = BTreeSet::new();
    let known: Vec<PodId> = victims.iter().filter_map(|&uid| round.state.pods.find(uid)).collect();
    for pod in known {
        round.state.set_evicting(pod, true);
        gangs.extend(round.state.pods.record(pod).and_then(PodRecord::gang_id));
    }
    for gang in gangs {
        let pods = &round.state.pods;
        let stays = |pod| pods.running(pod).is_some_and(|running| !running.is_terminating());
        if !round.state.gangs[gang].running(pods).any(stays) {
            gang_goes(round, gang);
        }
    }
}
