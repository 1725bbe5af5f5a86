//! What is remembered of pods.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use weir_model::ResourceVec;
use weir_model::reason::{Grounds, Waiting};

use super::ids::{GangId, NodeId, PodId, RequestId, ShapeId};
use super::queues::{QueueKey, Rank};
use crate::contract::pod::{BackOff, Obstacle, Part, Terminating, Uid};
use crate::contract::time::Time;

/// What is remembered of a pod; small, because there are a hundred thousand of them.
#[derive(Clone, Debug)]
pub(crate) struct PodRecord {
    pub(crate) uid: Uid,
    pub(crate) created: Time,
    pub(crate) pool: Arc<str>,
    pub(crate) priority: i32,
    pub(crate) shape: ShapeId,
    pub(crate) gang: Option<GangSeat>,
    /// The part of the gang that the pod belongs to, where the gang has parts.
    pub(crate) part: Option<Arc<Part>>,
    pub(crate) preemptible: bool,
    pub(crate) controlled: bool,
    /// The bucket that the pod stands in by itself; of a gang that waits whole, none.
    pub(crate) request: Option<RequestId>,
    pub(crate) rank: Rank,
    /// The reason that the pod was last told.
    pub(crate) told: Option<Waiting>,
    pub(crate) obstacle: Option<Box<Obstacle>>,
    pub(crate) back_off: Option<BackOff>,
    /// The last refusal of the API server to carry out the pod's admission.
    pub(crate) refused: Option<Box<RefusedAdmission>>,
    pub(crate) state: PodState,
}

/// An admission that the API server refused to carry out (B5c).
#[derive(Clone, Debug)]
pub(crate) struct RefusedAdmission {
    /// The API server's sentence.
    pub(crate) why: String,
    /// How often it refused.
    pub(crate) times: u32,
    /// Until when the pod backs off.
    pub(crate) until: Time,
}

/// A pod's place in a gang, as the pod announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GangSeat {
    pub(crate) gang: GangId,
    /// How many members the gang has, at least 1.
    pub(crate) size: u32,
}

/// Whether a pod waits.
#[derive(Clone, Debug)]
pub(crate) enum PodState {
    Waiting,
    Running(Box<Running>),
}

/// What is remembered of an admitted pod.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) at: Time,
    pub(crate) grounds: Grounds,
    pub(crate) started: Option<Time>,
    /// The deletion of the pod, while it is being deleted.
    pub(crate) deleting: Option<Terminating>,
    /// Whether the pod is past its grace period, so that nobody waits for its end any more.
    pub(crate) overdue: bool,
    /// Whether an eviction of the pod was decided.
    pub(crate) evicting: bool,
    /// The node that the pod is bound to, or is assumed on until then.
    pub(crate) node: Option<NodeId>,
    pub(crate) bound: bool,
    /// What the pod counts for, by dimension of the class it is in.
    pub(crate) counted: ResourceVec,
    /// The round that decided the admission, until the gate is seen to be gone.
    pub(crate) round: Option<u64>,
    /// Until when the pod is no victim, because an eviction of it was refused.
    pub(crate) spared_until: Time,
}

impl Running {
    /// Since when the pod does its work.
    pub(crate) fn since(&self) -> Time {
        self.started.unwrap_or(self.at)
    }

    /// Whether the pod is on its way out.
    pub(crate) const fn is_terminating(&self) -> bool {
        self.deleting.is_some() || self.evicting
    }

    /// Whether the pod is on its way out and will soon be gone: what it holds is as good as free.
    pub(crate) const fn ends_soon(&self) -> bool {
        self.is_terminating() && !self.overdue
    }

    /// Whether an eviction of the pod was decided and has not begun.
    pub(crate) const fn is_marked(&self) -> bool {
        self.evicting && self.deleting.is_none()
    }
}

impl PodRecord {
    pub(crate) const fn running(&self) -> Option<&Running> {
        match &self.state {
            PodState::Running(running) => Some(running),
            PodState::Waiting => None,
        }
    }

    pub(crate) const fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            PodState::Running(running) => Some(running),
            PodState::Waiting => None,
        }
    }

    /// Until when the pod backs off, for whatever reason.
    pub(crate) fn backs_off_until(&self) -> Option<Time> {
        let refused = self.refused.as_ref().map(|refused| refused.until);
        self.back_off.map(|back_off| back_off.until).max(refused)
    }

    pub(crate) const fn waits(&self) -> bool {
        matches!(self.state, PodState::Waiting)
    }

    pub(crate) fn gang_id(&self) -> Option<GangId> {
        self.gang.map(|seat| seat.gang)
    }

    /// The sort key of the pod in its queue.
    pub(crate) const fn queue_key(&self) -> QueueKey {
        QueueKey { rank: self.rank, priority: Reverse(self.priority), created: self.created, uid: self.uid }
    }
}

/// The pods, and which of them need a look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    records: Vec<Option<PodRecord>>,
    by_uid: HashMap<Uid, PodId>,
    /// Numbers that are free.
    unused: Vec<PodId>,
    /// Admitted pods that are not bound.
    pub(crate) unbound: BTreeSet<PodId>,
    /// Admitted pods that are being deleted.
    pub(crate) deleting: BTreeSet<PodId>,
    /// Admitted pods for which no node is assumed.
    pub(crate) unplaced: BTreeSet<PodId>,
    /// When pods that back off may be looked at again.
    pub(crate) backoff_timers: BTreeSet<(Time, PodId)>,
    /// Pods of which it was said that they would have to go, while nothing is enforced.
    pub(crate) announced: HashSet<Uid>,
}

impl Pods {
    pub(crate) fn find(&self, uid: Uid) -> Option<PodId> {
        self.by_uid.get(&uid).copied()
    }

    pub(crate) fn record(&self, pod: PodId) -> Option<&PodRecord> {
        self.records.get(pod.index())?.as_ref()
    }

    pub(crate) fn record_mut(&mut self, pod: PodId) -> Option<&mut PodRecord> {
        self.records.get_mut(pod.index())?.as_mut()
    }

    /// What is remembered of a pod as far as it is admitted.
    pub(crate) fn running(&self, pod: PodId) -> Option<&Running> {
        self.record(pod)?.running()
    }

    pub(crate) fn running_mut(&mut self, pod: PodId) -> Option<&mut Running> {
        self.record_mut(pod)?.running_mut()
    }

    /// Whether a pod is known and waits.
    pub(crate) fn waits(&self, pod: PodId) -> bool {
        self.record(pod).is_some_and(PodRecord::waits)
    }

    /// The records of these pods, without those that are gone.
    pub(crate) fn records(&self, pods: impl IntoIterator<Item = PodId>) -> impl Iterator<Item = &PodRecord> {
        pods.into_iter().filter_map(|pod| self.record(pod))
    }

    pub(crate) fn insert(&mut self, record: PodRecord) -> PodId {
        let pod = self.unused.pop().unwrap_or_else(|| {
            self.records.push(None);
            PodId::at(self.records.len() - 1)
        });
        self.by_uid.insert(record.uid, pod);
        self.records[pod.index()] = Some(record);
        pod
    }

    pub(crate) fn remove(&mut self, pod: PodId) -> Option<PodRecord> {
        let record = self.records.get_mut(pod.index())?.take()?;
        self.by_uid.remove(&record.uid);
        self.unused.push(pod);
        Some(record)
    }

    /// All pods, in the order of their numbers.
    pub(crate) fn ids(&self) -> Vec<PodId> {
        let used = self.records.iter().enumerate().filter(|(_, record)| record.is_some());
        used.map(|(at, _)| PodId::at(at)).collect()
    }

    /// The records of all pods.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PodRecord> {
        self.records.iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }
}
