//! Pods that are there, changed or are gone.

use crate::contract::decision::Decision;
use crate::contract::pod::{Admitted, Membership, Phase, Pod, Uid};
use crate::contract::time::Time;
use crate::state::State;
use crate::state::ids::{PodId, ShapeId};
use crate::state::pods::{GangSeat, PodRecord, PodState, Running};
use crate::state::queues::Rank;

use super::super::context::Round;
use super::super::enqueue::enqueue;
use super::super::gangs::note_bound;
use super::record::{unadmit, void_gang};

/// Takes over what a pod is now.
pub(super) fn changed(round: &mut Round<'_>, pod: Pod) {
    let state = &mut *round.state;
    let shape = state.shapes.shape(&pod.shape);
    state.nodes.drop_unmanaged(pod.uid, &mut state.shapes);
    let known = state.pods.find(pod.uid);
    if known.is_some_and(|known| says_nothing_new(state, known, &pod, shape)) {
        return;
    }
    if let Some(known) = known {
        void_where_decided_otherwise(round, known, &pod, shape);
    }
    let state = &mut *round.state;
    let before = known.and_then(|known| forget(state, known));
    let seat = pod.gang.as_ref().map(|membership| seat(state, membership));
    let record = record_of(state, pod, shape, seat, before);
    let id = state.pods.insert(record);
    if let Some(GangSeat { gang, .. }) = seat {
        state.dequeue_gang(gang);
        let gang = &mut state.gangs[gang];
        gang.members.insert(id);
        gang.empty_since = None;
        if let Some(running) = state.pods.running(id).filter(|running| !running.is_terminating()) {
            let since = running.since();
            gang.began = Some(gang.began.map_or(since, |began| began.min(since)));
        }
    }
    state.enter(id);
    seat.into_iter().for_each(|seat| note_bound(state, seat));
    enqueue(round, id);
}

fn seat(state: &mut State, membership: &Membership) -> GangSeat {
    GangSeat { gang: state.gangs.of(membership), size: membership.size.max(1) }
}

/// B5b: voids an admission that was decided on something else than the pod says now, as long as its gate is there: of the
/// whole gang, or, where a gate of it is gone already, of the pod alone.
fn void_where_decided_otherwise(round: &mut Round<'_>, known: PodId, pod: &Pod, shape: ShapeId) {
    let state = &*round.state;
    let Some(record) = state.pods.record(known) else { return };
    let Some(number) = record.running().and_then(|running| running.round) else { return };
    if pod.phase != Phase::Waiting || is_decided_on(state, record, pod, shape) {
        return;
    }
    if let Some(gang) = record.gang_id() {
        void_gang(round, gang, number, pod.uid);
    }
    if !round.state.pods.waits(known) {
        unadmit(round, known);
        round.decisions.push(Decision::Void(vec![pod.uid]));
    }
}

/// Whether a pod says what its admission was decided on.
fn is_decided_on(state: &State, record: &PodRecord, pod: &Pod, shape: ShapeId) -> bool {
    record.pool == pod.pool
        && record.priority == pod.priority
        && record.preemptible == pod.preemptible
        && record.shape == shape
        && record.obstacle.as_deref() == pod.obstacle.as_ref()
        && same_membership(state, record, pod.gang.as_ref())
}

/// Whether a waiting pod says nothing new: most changes of pods are of their status, often ours.
fn says_nothing_new(state: &State, known: PodId, pod: &Pod, shape: ShapeId) -> bool {
    let Some(record) = state.pods.record(known) else { return false };
    record.waits()
        && pod.phase == Phase::Waiting
        && is_decided_on(state, record, pod, shape)
        && record.created == pod.created
        && record.controlled == pod.controlled
        && record.back_off == pod.back_off
}

fn same_membership(state: &State, record: &PodRecord, membership: Option<&Membership>) -> bool {
    let (Some(seat), Some(membership)) = (record.gang, membership) else {
        return record.gang.is_none() && membership.is_none();
    };
    let Membership { gang: key, size, at_most, part } = membership;
    let gang = &state.gangs[seat.gang];
    gang.key == *key && seat.size == (*size).max(1) && gang.at_most == *at_most && record.part == *part
}

/// What is to be remembered of a pod, given what was remembered before.
fn record_of(
    state: &mut State,
    pod: Pod,
    shape: ShapeId,
    seat: Option<GangSeat>,
    before: Option<PodRecord>,
) -> PodRecord {
    // A pod that changes pools is told the reason anew, even if the word is the same.
    let same_pool = before.as_ref().filter(|record| record.pool == pod.pool);
    let told = same_pool.and_then(|record| record.told);
    let (refused, state_before) = before.map_or((None, None), |record| (record.refused, Some(record.state)));
    let running = state_before.and_then(|state| match state {
        PodState::Running(running) => Some(*running),
        PodState::Waiting => None,
    });
    // Whatever was refused, an admitted pod is past it.
    let refused = refused.filter(|_| pod.phase == Phase::Waiting);
    let pod_state = state_of(state, &pod, shape, running);
    PodRecord {
        uid: pod.uid,
        created: pod.created,
        pool: pod.pool,
        priority: pod.priority,
        shape,
        gang: seat,
        part: pod.gang.and_then(|membership| membership.part),
        preemptible: pod.preemptible,
        controlled: pod.controlled,
        request: None,
        rank: Rank::Ordinary,
        told,
        obstacle: pod.obstacle.map(Box::new),
        back_off: pod.back_off,
        refused,
        state: pod_state,
    }
}

/// How far a pod is, given how far it was: an admission that was decided stands until its gate is seen gone.
fn state_of(state: &mut State, pod: &Pod, shape: ShapeId, before: Option<Running>) -> PodState {
    let Phase::Admitted(Admitted { at, grounds, ref node, started, terminating }) = pod.phase else {
        let decided = before.filter(|running| running.round.is_some());
        return decided.map_or(PodState::Waiting, |running| PodState::Running(Box::new(running)));
    };
    let bound = node.as_ref().map(|node| state.nodes.named(node));
    let node = bound.or(before.as_ref().and_then(|running| running.node));
    let counted = state.counted_on(shape, node);
    PodState::Running(Box::new(Running {
        at: before.as_ref().map_or(at, |running| running.at),
        grounds,
        started,
        deleting: terminating,
        overdue: terminating.is_some() && before.as_ref().is_some_and(|running| running.overdue),
        evicting: before.as_ref().is_some_and(|running| running.evicting),
        node,
        bound: bound.is_some(),
        counted,
        round: None,
        spared_until: before.as_ref().map_or(Time::ZERO, |running| running.spared_until),
    }))
}

/// Takes a pod out of everything and returns what was remembered of it.
fn forget(state: &mut State, pod: PodId) -> Option<PodRecord> {
    state.dequeue(pod);
    state.withdraw(pod);
    let record = state.pods.remove(pod)?;
    state.pods.unplaced.remove(&pod);
    if let Some(gang) = record.gang_id() {
        state.gangs[gang].members.remove(&pod);
    }
    Some(record)
}

/// Takes a pod, of either kind, out of everything.
pub(super) fn gone(round: &mut Round<'_>, uid: Uid) {
    let state = &mut *round.state;
    state.nodes.drop_unmanaged(uid, &mut state.shapes);
    state.pods.announced.remove(&uid);
    let Some(record) = state.pods.find(uid).and_then(|pod| forget(state, pod)) else { return };
    let Some(gang) = record.gang_id() else { return };
    if let Some(number) = record.running().and_then(|running| running.round) {
        void_gang(round, gang, number, uid);
    }
    match round.state.gangs[gang].members.first().copied() {
        Some(other) => enqueue(round, other),
        None => round.state.gangs.emptied(gang, round.now),
    }
}
