//! What is remembered of gangs.
//!
//! A gang is (namespace, name, controlling owner). Which members are there, and which are needed, is worked out in
//! `gang_members`; the rules for its place in the queue are in `round::gangs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::ids::{GangId, PodId, RequestId};
use super::pods::Pods;
use super::queues::QueueKey;
use crate::contract::pod::{GangKey, Membership};
use crate::contract::time::Time;

/// What is remembered of a gang.
#[derive(Clone, Debug)]
pub(crate) struct Gang {
    pub(crate) key: Arc<GangKey>,
    /// The gang's live pods, waiting and admitted.
    pub(crate) members: BTreeSet<PodId>,
    /// How many pods its owner ever has at once.
    pub(crate) at_most: Option<u32>,
    /// Whether the gang was admitted whole, so that members may be replaced one by one.
    pub(crate) whole: bool,
    /// Whether all that the gang needs was bound at the same time once.
    pub(crate) ran_whole: bool,
    /// The most needed members that the gang has had at once since it was admitted.
    pub(crate) most_needed: u32,
    /// Since when the gang runs, whichever of its members were replaced since.
    pub(crate) began: Option<Time>,
    /// Whether all of the gang is being evicted.
    pub(crate) evicting: bool,
    /// Since when the gang has no live pod.
    pub(crate) empty_since: Option<Time>,
    /// Where the gang stands, if it waits whole.
    pub(crate) position: Option<QueuePosition>,
    /// The pods that stand there, where that is not every member: of a gang with parts those that it needs.
    pub(crate) piece: Option<Vec<PodId>>,
    /// Elastic pods that wait for one place together, by the first of them.
    pub(crate) groups: BTreeMap<PodId, Group>,
}

/// A place in the queue of a pool. The pool is named, because the tree may change under the gang.
#[derive(Clone, Debug)]
pub(crate) struct QueuePosition {
    pub(crate) pool: Arc<str>,
    pub(crate) request: RequestId,
    pub(crate) key: QueueKey,
}

/// Elastic pods that go together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) pods: Vec<PodId>,
    pub(crate) position: QueuePosition,
}

impl Gang {
    const fn new(key: Arc<GangKey>) -> Self {
        Self {
            key,
            members: BTreeSet::new(),
            at_most: None,
            whole: false,
            ran_whole: false,
            most_needed: 0,
            began: None,
            evicting: false,
            empty_since: None,
            position: None,
            piece: None,
            groups: BTreeMap::new(),
        }
    }

    /// Notes that all of the gang was admitted in one piece.
    pub(crate) fn admitted_whole(&mut self, now: Time) {
        self.whole = true;
        self.began.get_or_insert(now);
    }

    /// The admitted members.
    pub(crate) fn running<'a>(&'a self, pods: &'a Pods) -> impl Iterator<Item = PodId> + 'a {
        self.members.iter().copied().filter(|&pod| pods.record(pod).is_some_and(|record| !record.waits()))
    }

    /// The pods that stand in the queue in one piece.
    pub(crate) fn in_one_piece(&self) -> Vec<PodId> {
        let stands = |pod: &PodId| self.piece.as_ref().is_none_or(|piece| piece.contains(pod));
        self.members.iter().copied().filter(stands).collect()
    }

    /// The elastic pods that go together with this one.
    pub(crate) fn group(&self, first: PodId) -> &[PodId] {
        self.groups.get(&first).map_or(&[], |group| &group.pods)
    }

    /// The first of the elastic pods that this one goes together with.
    pub(crate) fn group_of(&self, pod: PodId) -> Option<PodId> {
        self.groups.iter().find(|(_, group)| group.pods.contains(&pod)).map(|(&first, _)| first)
    }

    /// Forgets that the gang ran: a gang of which no pod is left was never there.
    pub(crate) const fn begin_anew(&mut self) {
        (self.evicting, self.whole, self.ran_whole, self.most_needed) = (false, false, false, 0);
        self.began = None;
    }
}

/// The gangs, and which of them need a look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gangs {
    gangs: Vec<Gang>,
    by_key: HashMap<Arc<GangKey>, GangId>,
    /// Numbers of gangs that were forgotten.
    unused: Vec<GangId>,
    /// Gangs without a live pod, and since when.
    empty: BTreeSet<(Time, GangId)>,
    /// Gangs whose members have to be queued anew.
    pub(crate) to_requeue: BTreeSet<GangId>,
}

impl Gangs {
    /// The gang that a pod belongs to, which becomes known if it was not.
    pub(crate) fn of(&mut self, membership: &Membership) -> GangId {
        let id = match self.by_key.get(&membership.gang) {
            Some(&known) => known,
            None => self.insert(&membership.gang),
        };
        self[id].at_most = membership.at_most;
        id
    }

    fn insert(&mut self, key: &Arc<GangKey>) -> GangId {
        let gang = Gang::new(Arc::clone(key));
        let id = self.unused.pop().unwrap_or_else(|| GangId::at(self.gangs.len()));
        match self.gangs.get_mut(id.index()) {
            Some(unused) => *unused = gang,
            None => self.gangs.push(gang),
        }
        self.by_key.insert(Arc::clone(key), id);
        id
    }

    /// Notes that the last pod of a gang is gone. A gang that was not admitted whole is forgotten at once: there is
    /// nothing to know of it.
    pub(crate) fn emptied(&mut self, id: GangId, now: Time) {
        let gang = &mut self[id];
        // Without an owner nothing tells a second gang of the name from the first.
        if gang.evicting || gang.key.owner.is_none() {
            gang.begin_anew();
        }
        if !gang.whole {
            return self.forget(id);
        }
        gang.empty_since = Some(now);
        self.empty.insert((now, id));
    }

    fn forget(&mut self, id: GangId) {
        self.by_key.remove(&self.gangs[id.index()].key);
        self.to_requeue.remove(&id);
        self.unused.push(id);
    }

    /// Forgets gangs that have had no pod for long enough, so that their numbers can be used again.
    pub(crate) fn forget_empty(&mut self, long_enough: impl Fn(Time) -> bool) {
        while let Some(&(since, id)) = self.empty.first().filter(|&&(since, _)| long_enough(since)) {
            self.empty.remove(&(since, id));
            let gang = &self.gangs[id.index()];
            if gang.members.is_empty() && gang.empty_since == Some(since) {
                self.forget(id);
            }
        }
    }
}

impl Index<GangId> for Gangs {
    type Output = Gang;
    fn index(&self, id: GangId) -> &Gang {
        &self.gangs[id.index()]
    }
}

impl IndexMut<GangId> for Gangs {
    fn index_mut(&mut self, id: GangId) -> &mut Gang {
        &mut self.gangs[id.index()]
    }
}
