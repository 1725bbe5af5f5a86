//! Gangs, and where each waiting pod stands: in its queue, in its gang's place in the queue, or aside.
//!
//! A gang is (namespace, name, controlling owner). It takes one place in the queue when all the members it
//! announces are there and agree; before that its pods stand aside and move nobody's entitlement. Once it was
//! admitted whole, a member that was lost and made again stands alone, ahead of the queue, for the quota
//! that it left.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::explanation::Explanation;
use crate::pod::{BackOff, GangKey, Obstacle};
use crate::pods::PodRecord;
use crate::queues::{QueueKey, QueuedWorkload, Rank, Workload};
use crate::shapes::RequestId;
use crate::state::Queue;

/// What is remembered of a gang.
#[derive(Clone, Debug)]
pub(crate) struct Gang {
    pub(crate) key: Arc<GangKey>,
    /// Its live pods, waiting and admitted, by number.
    pub(crate) members: BTreeSet<u32>,
    /// How many pods its owner ever has at once.
    pub(crate) at_most: Option<u32>,
    /// Whether it was admitted whole, so that members may be replaced one by one.
    pub(crate) whole: bool,
    /// Whether all that it needs was bound at the same time once.
    pub(crate) ran_whole: bool,
    /// How many of those that it needs now it has had at once since it was admitted.
    most_needed: u32,
    /// Whether all of it is being evicted.
    pub(crate) evicting: bool,
    /// Since when it has no live pod.
    pub(crate) empty_since: Option<crate::Time>,
    /// Since when it stands in the queue; kept while a member is written anew.
    since: Option<crate::Time>,
    /// Its place in the queue.
    position: Option<QueuePosition>,
    /// Who stands there, where that is not every member: of a gang with parts those that it needs.
    piece: Option<Vec<u32>>,
    /// Elastic pods that wait for one place together, by the first of them.
    pub(crate) groups: BTreeMap<u32, Group>,
}

/// A place in the queue of a pool, in the bucket of a request.
pub(crate) type QueuePosition = (Arc<str>, RequestId, QueueKey);

/// Elastic pods that go together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) pods: Vec<u32>,
    pub(crate) position: QueuePosition,
}

impl Gang {
    pub(crate) const fn new(key: Arc<GangKey>) -> Self {
        Self {
            key,
            members: BTreeSet::new(),
            at_most: None,
            whole: false,
            ran_whole: false,
            most_needed: 0,
            evicting: false,
            empty_since: None,
            since: None,
            position: None,
            piece: None,
            groups: BTreeMap::new(),
        }
    }

    /// Notes that all of it was admitted in one piece.
    pub(crate) const fn admitted_whole(&mut self) {
        (self.whole, self.since) = (true, None);
    }

    /// Where it stands, if it waits whole.
    pub(crate) const fn queue_position(&self) -> Option<&QueuePosition> {
        self.position.as_ref()
    }

    /// Where elastic pods of it stand that go together, by the first of them.
    pub(crate) fn group_position(&self, first: u32) -> Option<&QueuePosition> {
        self.groups.get(&first).map(|group| &group.position)
    }

    /// Who stands in the queue in one piece.
    pub(crate) fn in_one_piece(&self) -> Vec<u32> {
        let stands = |pod: &u32| self.piece.as_ref().is_none_or(|piece| piece.contains(pod));
        self.members.iter().copied().filter(stands).collect()
    }

    /// The elastic pods that go together with this one.
    pub(crate) fn group(&self, first: u32) -> &[u32] {
        self.groups.get(&first).map_or(&[], |group| &group.pods)
    }

    /// A gang of which nobody is left was never there.
    pub(crate) const fn begin_anew(&mut self) {
        (self.evicting, self.whole, self.ran_whole, self.most_needed) = (false, false, false, 0);
    }
}

impl Queue {
    /// Takes a pod, and the gang it belongs to, out of the queue.
    pub(crate) fn dequeue(&mut self, pod: u32) {
        let Some(record) = self.pods.record(pod) else { return };
        if let Some((gang, _)) = record.gang {
            self.dequeue_gang(gang);
        } else {
            self.dequeue_pod(pod);
        }
    }

    /// Takes one pod, and nobody else of its gang, out of the queue.
    pub(crate) fn dequeue_pod(&mut self, pod: u32) {
        let Some(record) = self.pods.record_mut(pod) else { return };
        let Some(request) = record.request.take() else { return };
        let (key, pool) = (queue_key(record), Arc::clone(&record.pool));
        if let Some(leaf) = self.pools.leaf(&pool) {
            self.leaf_queues[leaf.index()].remove(request, &key);
            self.eligible.stale.insert(leaf);
        }
    }

    /// Takes a gang, and those of its members that stand alone, out of the queue.
    pub(crate) fn dequeue_gang(&mut self, gang: u32) {
        if let Some((pool, request, key)) = self.gangs[gang as usize].position.take()
            && let Some(leaf) = self.pools.leaf(&pool)
        {
            self.leaf_queues[leaf.index()].remove(request, &key);
            self.eligible.stale.insert(leaf);
        }
        let groups: Vec<u32> = self.gangs[gang as usize].groups.keys().copied().collect();
        groups.into_iter().for_each(|first| self.dequeue_group(gang, first));
        let alone = |pod: &u32| self.pods.record(*pod).is_some_and(|record| record.request.is_some());
        let alone: Vec<u32> = self.gangs[gang as usize].members.iter().copied().filter(alone).collect();
        alone.into_iter().for_each(|pod| self.dequeue_pod(pod));
    }

    /// Puts a pod, or its gang, where it belongs now.
    pub(crate) fn requeue(&mut self, pod: u32) {
        self.dequeue(pod);
        self.enqueue(pod);
    }

    /// Puts a pod, or its gang, that stands nowhere, where it belongs.
    pub(crate) fn enqueue(&mut self, pod: u32) {
        let Some(record) = self.pods.record(pod) else { return };
        match record.gang {
            Some((gang, _)) => drop(self.gangs_to_requeue.insert(gang)),
            None => self.enqueue_pod(pod, Rank::Ordinary),
        }
    }

    /// Puts gangs where they belong: once for all that happened to their members.
    pub(crate) fn requeue_gangs(&mut self) {
        for gang in std::mem::take(&mut self.gangs_to_requeue) {
            self.dequeue_gang(gang);
            self.enqueue_gang(gang);
        }
    }

    /// Puts a pod into its queue, or aside if something is in its way.
    pub(crate) fn enqueue_pod(&mut self, pod: u32, rank: Rank) {
        let Some(record) = self.pods.record(pod).filter(|record| record.waits()) else { return };
        if let Some(why) = self.obstacle(record) {
            self.set_backoff_timer(pod);
            self.pods.record_mut(pod).into_iter().for_each(|record| record.since = None);
            return self.tell([pod], &why);
        }
        let (shape, preemptible) = (record.shape, record.preemptible);
        let Some(leaf) = self.leaf_of(record) else { return };
        let request = self.shapes.request(std::iter::once(shape), preemptible);
        let now = self.now;
        let Some(record) = self.pods.record_mut(pod) else { return };
        (record.request, record.rank) = (Some(request), rank);
        // One that nothing was ever in the way of has waited since it was created, whoever leads now.
        let first = if record.told.is_none() { record.created } else { now.max(record.created) };
        let queued = QueuedWorkload { workload: Workload::Pod(pod), since: *record.since.get_or_insert(first) };
        let key = queue_key(record);
        self.leaf_queues[leaf.index()].insert(request, key, queued);
        self.eligible.stale.insert(leaf);
    }

    fn set_backoff_timer(&mut self, pod: u32) {
        let back_off = self.pods.record(pod).and_then(|record| record.back_off);
        if let Some(BackOff { until, .. }) = back_off.filter(|back_off| back_off.until > self.now) {
            self.backoff_timers.insert((until, pod));
        }
    }

    /// What keeps a single pod from being considered, whatever its pool has left.
    pub(crate) fn obstacle(&self, record: &PodRecord) -> Option<Explanation> {
        let Some(pool) = self.pools.tree.find(&record.pool) else {
            return Some(Explanation::PoolNotFound { pool: record.pool.as_ref().to_owned() });
        };
        if !self.pools.tree.is_leaf(pool) {
            return Some(Explanation::PoolNotLeaf { pool: self.pools.named(pool) });
        }
        if let Some(BackOff { until, times }) = record.back_off.filter(|back_off| back_off.until > self.now) {
            let seconds = until.since(self.now).as_millis().div_ceil(1000) as u64;
            return Some(Explanation::BackingOff { seconds, times });
        }
        let unplaceable = self.shapes.shape_of(record.shape).class.as_ref().err();
        record.obstacle.as_deref().or(unplaceable).map(explain_obstacle)
    }

    /// Puts a gang where it belongs: whole into the queue, its replacements ahead of it, or aside.
    fn enqueue_gang(&mut self, number: u32) {
        let members = self.gang_members(number);
        let gang = &mut self.gangs[number as usize];
        let all_terminating = gang.evicting && members.terminating > 0;
        // Where all of it is gone and all of it is there again, it is a new gang of the old name. Where only
        // some are, the others finished: a Job's last pod that is tried again must not wait for the seven
        // that succeeded.
        let anew = gang.whole
            && members.staying + members.terminating == 0
            && members.size > 0
            && members.waiting.len() >= members.size;
        if (gang.evicting && !all_terminating) || anew {
            gang.begin_anew();
        }
        gang.whole |= members.staying > 0 && !all_terminating;
        gang.most_needed = if gang.whole { gang.most_needed.max(members.needed).min(members.size as u32) } else { 0 };
        let lost = gang.most_needed.saturating_sub(members.needed) as usize;
        if gang.whole && !all_terminating {
            for (at, &pod) in members.waiting.iter().enumerate() {
                // Who comes on top of what a gang had stands in the queue like everybody else.
                let rank = if members.has_parts && at >= lost { Rank::Ordinary } else { Rank::Replacement };
                match self.surplus(&members, at) {
                    None => self.enqueue_pod(pod, rank),
                    Some(why) => self.tell([pod], &why),
                }
            }
        } else if let Some(why) = self.gang_obstacle(number, &members) {
            members.waiting.iter().for_each(|&pod| self.set_backoff_timer(pod));
            self.gangs[number as usize].since = None;
            self.tell(members.waiting.iter().copied(), &why);
        } else {
            self.enqueue_whole(number, &members);
        }
        self.enqueue_elastic(number, &members);
    }

    /// Who of a gang is there.
    pub(crate) fn gang_members(&self, number: u32) -> GangMembers {
        let mut members = GangMembers::default();
        for &pod in &self.gangs[number as usize].members {
            let Some(record) = self.pods.record(pod) else { continue };
            members.size = record.gang.map_or(1, |(_, size)| size as usize);
            match record.running() {
                None => members.waiting.push(pod),
                Some(running) if running.is_terminating() => members.terminating += 1,
                Some(_) => members.staying += 1,
            }
        }
        members.waiting.sort_unstable_by_key(|&pod| self.pods.record(pod).map(queue_key));
        self.divide(number, &mut members);
        members
    }

    /// What is said to the waiting pod at this position of a gang that runs, if there is no place for it.
    fn surplus(&self, members: &GangMembers, at: usize) -> Option<Explanation> {
        let GangMembers { size, staying, terminating, has_parts, .. } = members;
        let full = !has_parts && at + staying + terminating >= *size;
        full.then(|| Explanation::Misconfigured {
            what: format!(
                "the gang announces {size} members and all of them are there; raise the number or delete this pod"
            ),
        })
    }

    /// The gang stands in the queue in one piece, at the place of its oldest member.
    fn enqueue_whole(&mut self, number: u32, members: &GangMembers) {
        let records = || members.waiting.iter().filter_map(|&pod| self.pods.record(pod));
        let Some(first) = records().min_by_key(|record| queue_key(record)) else { return };
        let latest = records().map(|record| record.created).max().unwrap_or_default();
        let Some(leaf) = self.leaf_of(first) else { return };
        let key = QueueKey { rank: Rank::Ordinary, ..queue_key(first) };
        let (pool, preemptible) = (Arc::clone(&first.pool), first.preemptible);
        let shapes: Vec<_> = records().map(|record| record.shape).collect();
        let request = self.shapes.request(shapes.into_iter(), preemptible);
        let since = *self.gangs[number as usize].since.get_or_insert(self.now.max(latest));
        let queued = QueuedWorkload { workload: Workload::Gang(number), since };
        self.leaf_queues[leaf.index()].insert(request, key, queued);
        self.eligible.stale.insert(leaf);
        let gang = &mut self.gangs[number as usize];
        gang.piece = members.has_parts.then(|| members.waiting.clone());
        gang.position = Some((pool, request, key));
    }

    /// What keeps a pod from standing in a queue; `None` if it does, or if nobody knows it.
    pub(crate) fn inadmissible(&self, pod: u32) -> Option<Explanation> {
        let record = self.pods.record(pod)?;
        let Some((number, _)) = record.gang else { return self.obstacle(record) };
        let (gang, members) = (&self.gangs[number as usize], self.gang_members(number));
        if let Some(why) = self.elastic_obstacle(number, &members, pod) {
            return why;
        }
        if gang.whole && !(gang.evicting && members.terminating > 0) {
            let at = members.waiting.iter().position(|&one| one == pod)?;
            return self.surplus(&members, at).or_else(|| self.obstacle(record));
        }
        self.gang_obstacle(number, &members)
    }

    /// What keeps a gang from standing in the queue.
    fn gang_obstacle(
        &self,
        number: u32,
        GangMembers { size, terminating, waiting, .. }: &GangMembers,
    ) -> Option<Explanation> {
        if self.gangs[number as usize].evicting && *terminating > 0 {
            return Some(Explanation::GangLeaving { left: *terminating as u32 });
        }
        let first = self.pods.record(*waiting.first()?)?;
        let size = *size as u32;
        let misconfigured = |what: String| Some(Explanation::Misconfigured { what });
        if let Some(at_most) = self.gangs[number as usize].at_most.filter(|&at_most| at_most < size) {
            return misconfigured(format!(
                "the gang announces {size} members, but its owner never has more than {at_most} pods at once"
            ));
        }
        // Before anybody is counted: of two sizes, nobody knows how many are to come.
        if waiting.iter().filter_map(|&pod| self.pods.record(pod)).any(|record| record.gang != first.gang) {
            return misconfigured("the members of the gang disagree about its size".to_owned());
        }
        if waiting.len() < size as usize {
            return Some(Explanation::Gang { created: waiting.len() as u32, size });
        }
        if waiting.len() > size as usize {
            let there = waiting.len();
            return misconfigured(format!(
                "{there} pods say that they belong to a gang of {size}; delete what is too many"
            ));
        }
        for record in waiting.iter().filter_map(|&pod| self.pods.record(pod)) {
            let says = |field: &str| misconfigured(format!("the members of the gang disagree about {field}"));
            match () {
                () if record.pool != first.pool => return says("the pool"),
                () if record.preemptible != first.preemptible => return says("preemptible"),
                () if record.priority != first.priority => return says("the priority"),
                () => {}
            }
            if let Some(why) = self.obstacle(record) {
                return Some(why);
            }
        }
        None
    }
}

/// Who of a gang is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct GangMembers {
    /// How many members it announces.
    pub(crate) size: usize,
    /// Admitted, and not on the way out.
    pub(crate) staying: usize,
    /// Admitted, and on the way out.
    pub(crate) terminating: usize,
    /// Waiting, in their order; of a gang that has parts, those that it needs.
    pub(crate) waiting: Vec<u32>,
    /// Whether it has parts, so that it may have more members than it needs.
    pub(crate) has_parts: bool,
    /// How many of those that it needs are admitted, on the way out or not.
    pub(crate) needed: u32,
    /// Waiting beyond what it needs: each entry goes together.
    pub(crate) elastic: Vec<Vec<u32>>,
    /// Waiting beyond what it needs, and fewer than go together: with how many that would be.
    pub(crate) lacking: Vec<(u32, Vec<u32>)>,
}

/// The place of a pod in its queue.
pub(crate) fn queue_key(record: &PodRecord) -> QueueKey {
    QueueKey { rank: record.rank, priority: Reverse(record.priority), created: record.created, uid: record.uid }
}

fn explain_obstacle(obstacle: &Obstacle) -> Explanation {
    match obstacle {
        Obstacle::OtherGate(gate) => Explanation::OtherGate { gate: gate.clone() },
        Obstacle::Misconfigured(what) => Explanation::Misconfigured { what: what.clone() },
        Obstacle::PoolNotAllowed(namespace) => Explanation::PoolNotAllowed { namespace: namespace.clone() },
        Obstacle::UnknownModel(model) => Explanation::UnknownModel { model: model.clone() },
        Obstacle::GangUnknown(what) => Explanation::GangUnknown { what: what.clone() },
    }
}
