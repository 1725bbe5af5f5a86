//! What is remembered of pods, by small numbers that are used again.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::ResourceVec;

use crate::Time;
use crate::nodes::NodeId;
use crate::pod::{BackOff, Grounds, Obstacle, Part, Uid};
use crate::queues::Rank;
use crate::shapes::{RequestId, ShapeId};
use weir_model::reason::Waiting;

/// What is remembered of a pod; small, because there are a hundred thousand of them.
#[derive(Clone, Debug)]
pub(crate) struct PodRecord {
    pub(crate) uid: Uid,
    pub(crate) created: Time,
    pub(crate) pool: Arc<str>,
    pub(crate) priority: i32,
    pub(crate) shape: ShapeId,
    /// Its gang, with the size that it announces.
    pub(crate) gang: Option<(u32, u32)>,
    /// The part of the gang that it belongs to, where the gang has parts.
    pub(crate) part: Option<Arc<Part>>,
    pub(crate) preemptible: bool,
    pub(crate) controlled: bool,
    /// The bucket it stands in; of a gang that waits whole, none.
    pub(crate) request: Option<RequestId>,
    pub(crate) rank: Rank,
    /// Since when it stands there; kept while it is written anew.
    pub(crate) since: Option<Time>,
    /// The reason it was last told.
    pub(crate) told: Option<Waiting>,
    pub(crate) obstacle: Option<Box<Obstacle>>,
    pub(crate) back_off: Option<BackOff>,
    pub(crate) state: State,
}

/// Whether a pod waits.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Waiting,
    Running(Box<Running>),
}

/// What is remembered of an admitted pod.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) at: Time,
    pub(crate) grounds: Grounds,
    pub(crate) started: Option<Time>,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// Whether an eviction of it was decided.
    pub(crate) evicting: bool,
    /// Where it is, or was thought to go.
    pub(crate) node: Option<NodeId>,
    pub(crate) bound: bool,
    /// What it counts for, by dimension of the class it is in.
    pub(crate) counted: ResourceVec,
    /// The round that decided it, until its gate is seen to be gone.
    pub(crate) round: Option<u64>,
    /// Until when it is no victim, because an eviction of it was refused.
    pub(crate) spared_until: Time,
}

impl Running {
    /// Whether it is on its way out.
    pub(crate) const fn is_terminating(&self) -> bool {
        self.deleting || self.evicting
    }
}

impl PodRecord {
    pub(crate) const fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            State::Waiting => None,
        }
    }

    pub(crate) const fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            State::Running(running) => Some(running),
            State::Waiting => None,
        }
    }

    pub(crate) const fn waits(&self) -> bool {
        matches!(self.state, State::Waiting)
    }
}

/// The pods, by small numbers that are used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    records: Vec<Option<PodRecord>>,
    by_uid: HashMap<Uid, u32>,
    unused: Vec<u32>,
}

impl Pods {
    pub(crate) fn find(&self, uid: Uid) -> Option<u32> {
        self.by_uid.get(&uid).copied()
    }

    pub(crate) fn record(&self, pod: u32) -> Option<&PodRecord> {
        self.records.get(pod as usize)?.as_ref()
    }

    pub(crate) fn record_mut(&mut self, pod: u32) -> Option<&mut PodRecord> {
        self.records.get_mut(pod as usize)?.as_mut()
    }

    pub(crate) fn insert(&mut self, record: PodRecord) -> u32 {
        let pod = self.unused.pop().unwrap_or_else(|| {
            self.records.push(None);
            self.records.len() as u32 - 1
        });
        self.by_uid.insert(record.uid, pod);
        self.records[pod as usize] = Some(record);
        pod
    }

    pub(crate) fn remove(&mut self, pod: u32) -> Option<PodRecord> {
        let record = self.records.get_mut(pod as usize)?.take()?;
        self.by_uid.remove(&record.uid);
        self.unused.push(pod);
        Some(record)
    }

    /// All numbers in use, in their order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let used = self.records.iter().enumerate().filter(|(_, record)| record.is_some());
        used.map(|(pod, _)| pod as u32).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }
}
