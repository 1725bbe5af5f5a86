//! Takes in what happened. Nothing is decided here; afterwards every pod is counted and stands where it
//! belongs, whatever order the events came in.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::PoolId;

use crate::decision::Decision;
use crate::event::{Budget, Event, Record};
use crate::gangs::Gang;
use crate::nodes::{Holder, NodeContext, NodeId};
use crate::pod::{Admitted, Grounds, Membership, Phase, Pod, PodShape, Uid};
use crate::pods::{PodRecord, Running, State};
use crate::pools::Pools;
use crate::queues::{LeafQueue, Rank};
use crate::settings::PoolConfig;
use crate::state::Queue;

impl Queue {
    /// Takes in one event.
    pub(crate) fn take_in(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => self.pod(pod),
            Event::Unmanaged { uid, node, shape } => self.unmanaged(uid, &node, &shape),
            Event::PodGone(uid) => self.pod_gone(uid),
            Event::Node(node) => {
                let id = self.nodes.named(&node.name);
                self.node(id, Some(node));
            }
            Event::NodeGone(name) => {
                let id = self.nodes.named(&name);
                self.node(id, None);
            }
            Event::Pools(pools) => self.change_pools(pools),
            Event::Config(config) => self.config = config,
            Event::Budgets(budgets) => self.change_budgets(budgets),
            Event::RoundLost(round) => self.round_lost(round),
            Event::Restored(record) => self.restore(&record),
            Event::OverSince { pool, dim, since } => {
                let dim = self.dims.intern(&dim);
                self.over_since.insert((pool, dim), since.min(self.now));
            }
            Event::EvictionRefused(uid) => self.eviction_refused(uid),
            Event::SchedulerProgress => self.progress.mark(self.now, self.config.scheduler_patience),
            Event::SchedulerWorked(at) => self.progress.mark(at.min(self.now), self.config.scheduler_patience),
            Event::Tick => {}
        }
    }

    fn pod(&mut self, pod: Pod) {
        let shape = self.shapes.shape(&pod.shape, &*self.hosts, &mut self.dims);
        if let Some((node, held)) = self.unmanaged.remove(&pod.uid) {
            self.hold_unmanaged(node, held, -1);
        }
        let known = self.pods.find(pod.uid);
        if known.is_some_and(|number| self.same_wait(number, &pod, shape)) {
            return;
        }
        let before = known.and_then(|number| self.forget(number));
        let gang = pod.gang.as_ref().map(|membership| (self.gang_number(membership), membership.size.max(1)));
        let told = before.as_ref().and_then(|record| record.told).filter(|_| {
            // Somebody who changes pools hears the reason anew, even if the word is the same.
            before.as_ref().is_some_and(|record| record.pool == pod.pool)
        });
        let since = before.as_ref().filter(|record| record.pool == pod.pool).and_then(|record| record.since);
        let running = before.and_then(|record| match record.state {
            State::Running(running) => Some(*running),
            State::Waiting => None,
        });
        let state = self.state_of(&pod, shape, running);
        let record = PodRecord {
            uid: pod.uid,
            created: pod.created,
            pool: pod.pool,
            priority: pod.priority,
            shape,
            gang,
            part: pod.gang.and_then(|membership| membership.part),
            preemptible: pod.preemptible,
            controlled: pod.controlled,
            request: None,
            rank: Rank::Ordinary,
            since,
            told,
            obstacle: pod.obstacle.map(Box::new),
            back_off: pod.back_off,
            state,
        };
        let number = self.pods.insert(record);
        if let Some((gang, _)) = gang {
            self.dequeue_gang_of(gang);
            let gang = &mut self.gangs[gang as usize];
            gang.members.insert(number);
            gang.empty_since = None;
        }
        self.enter(number);
        self.note_bound(gang);
        self.enqueue(number);
    }

    /// Whether a waiting pod says nothing new: most changes of pods are of their status, often ours.
    fn same_wait(&self, number: u32, pod: &Pod, shape: crate::shapes::ShapeId) -> bool {
        let Some(record) = self.pods.record(number) else { return false };
        let gang = record.gang.map(|(number, size)| {
            let gang = &self.gangs[number as usize];
            (&gang.key, size, gang.at_most, record.part.as_ref())
        });
        record.waits()
            && pod.phase == Phase::Waiting
            && record.pool == pod.pool
            && record.priority == pod.priority
            && record.created == pod.created
            && record.preemptible == pod.preemptible
            && record.controlled == pod.controlled
            && record.shape == shape
            && record.back_off == pod.back_off
            && record.obstacle.as_deref() == pod.obstacle.as_ref()
            && gang
                == pod
                    .gang
                    .as_ref()
                    .map(|Membership { gang, size, at_most, part }| (gang, (*size).max(1), *at_most, part.as_ref()))
    }

    /// What a pod is now, given what it was: an admission that was decided stands until its gate is seen gone.
    fn state_of(&mut self, pod: &Pod, shape: crate::shapes::ShapeId, before: Option<Running>) -> State {
        let Phase::Admitted(Admitted { at, grounds, ref node, started, terminating }) = pod.phase else {
            return before
                .filter(|running| running.round.is_some())
                .map_or(State::Waiting, |running| State::Running(Box::new(running)));
        };
        let bound = node.as_ref().map(|node| self.nodes.named(node));
        let place = bound.or(before.as_ref().and_then(|running| running.node));
        let counted = self.counted(shape, place);
        State::Running(Box::new(Running {
            at: before.as_ref().map_or(at, |running| running.at),
            grounds,
            started,
            deleting: terminating,
            evicting: before.as_ref().is_some_and(|running| running.evicting),
            node: place,
            bound: bound.is_some(),
            counted,
            round: None,
            spared_until: before.as_ref().map_or_else(Default::default, |running| running.spared_until),
        }))
    }

    /// Takes a pod out of everything and returns what was remembered of it.
    fn forget(&mut self, number: u32) -> Option<PodRecord> {
        self.dequeue(number);
        self.withdraw(number);
        let record = self.pods.remove(number)?;
        self.unplaced.remove(&number);
        if let Some((gang, _)) = record.gang {
            self.gangs[gang as usize].members.remove(&number);
        }
        Some(record)
    }

    fn pod_gone(&mut self, uid: Uid) {
        if let Some((node, shape)) = self.unmanaged.remove(&uid) {
            self.hold_unmanaged(node, shape, -1);
        }
        self.announced.remove(&uid);
        let Some(number) = self.pods.find(uid) else { return };
        let Some(record) = self.forget(number) else { return };
        let Some((gang, _)) = record.gang else { return };
        let decided = record.running().and_then(|running| running.round);
        if let Some(round) = decided {
            self.void_gang(gang, round, uid);
        }
        let members = &self.gangs[gang as usize].members;
        match members.first().copied() {
            Some(other) => self.enqueue(other),
            None => self.gang_is_empty(gang),
        }
    }

    fn gang_is_empty(&mut self, gang: u32) {
        self.empty_gangs.insert((self.now, gang));
        let gang = &mut self.gangs[gang as usize];
        gang.empty_since = Some(self.now);
        // Without an owner nothing tells a second gang of the name from the first.
        if gang.evicting || gang.key.owner.is_none() {
            gang.begin_anew();
        }
    }

    /// B5a: a member is gone before any gate of its gang's round was removed, so the rest must not go.
    fn void_gang(&mut self, gang: u32, round: u64, gone: Uid) {
        let members: Vec<u32> = self.gangs[gang as usize].members.iter().copied().collect();
        let of_round = |pod: &u32| {
            self.pods
                .record(*pod)
                .and_then(|record| record.running())
                .is_some_and(|running| running.round == Some(round))
        };
        let (decided, others): (Vec<u32>, Vec<u32>) = members.into_iter().partition(of_round);
        let begun = others.iter().any(|&pod| self.pods.record(pod).is_some_and(|record| !record.waits()));
        if begun || decided.is_empty() {
            return;
        }
        let uids = decided.iter().filter_map(|&pod| self.pods.record(pod)).map(|record| record.uid);
        let uids: Vec<Uid> = uids.chain([gone]).collect();
        self.gangs[gang as usize].whole = false;
        decided.iter().for_each(|&pod| self.unadmit(pod));
        self.pending.push(Decision::Void(uids));
    }

    /// Makes a pod whose admission was decided wait again.
    fn unadmit(&mut self, pod: u32) {
        self.dequeue(pod);
        self.withdraw(pod);
        if let Some(record) = self.pods.record_mut(pod) {
            (record.state, record.told) = (State::Waiting, None);
        }
        self.enter(pod);
        self.enqueue(pod);
    }

    fn round_lost(&mut self, round: u64) {
        let lost = |pod: &u32| {
            let running = self.pods.record(*pod).and_then(|record| record.running());
            running.is_some_and(|running| running.round == Some(round))
        };
        let pods: Vec<u32> = self.pods.numbers().into_iter().filter(lost).collect();
        for &pod in &pods {
            if let Some((gang, _)) = self.pods.record(pod).and_then(|record| record.gang) {
                self.gangs[gang as usize].whole = false;
            }
        }
        pods.into_iter().for_each(|pod| self.unadmit(pod));
        let (lost, kept) = std::mem::take(&mut self.claims).into_iter().partition(|claim| claim.round == round);
        self.claims = kept;
        let lost: Vec<crate::claims::Claim> = lost;
        lost.into_iter().for_each(|claim| self.drop_claim(claim));
    }

    /// Counts a waiting pod as admitted, as an earlier leader decided.
    fn restore(&mut self, record: &Record) {
        self.requeue_gangs();
        for recorded in &record.admitted {
            let Some(pod) = self.pods.find(recorded.uid) else { continue };
            if self.pods.record(pod).is_some_and(PodRecord::waits) {
                let node = recorded.node.as_deref().map(|name| self.nodes.named(name));
                self.dequeue(pod);
                self.become_admitted(pod, node, recorded.grounds);
                self.enqueue(pod);
            }
        }
        self.requeue_gangs();
        self.restore_victims(&record.victims);
        record.claims.iter().for_each(|claim| self.restore_claim(claim));
    }

    /// Counts as going whoever an earlier leader was about to evict; a gang of which nobody stays goes whole.
    fn restore_victims(&mut self, victims: &[Uid]) {
        let mut gangs = std::collections::BTreeSet::new();
        let known: Vec<u32> = victims.iter().filter_map(|&uid| self.pods.find(uid)).collect();
        for pod in known {
            self.mark_evicting(pod);
            gangs.extend(self.pods.record(pod).and_then(|record| record.gang).map(|(gang, _)| gang));
        }
        for gang in gangs {
            let stays = |pod: &u32| {
                self.pods
                    .record(*pod)
                    .and_then(|record| record.running())
                    .is_some_and(|running| !running.is_terminating())
            };
            if !self.running_members(gang).iter().any(stays) {
                self.gang_goes(gang);
            }
        }
    }

    /// Turns a waiting pod that stands nowhere into usage.
    pub(crate) fn become_admitted(&mut self, pod: u32, node: Option<NodeId>, grounds: Grounds) {
        let Some(record) = self.pods.record(pod) else { return };
        let shape = record.shape;
        self.withdraw(pod);
        let counted = self.counted(shape, node);
        let running = Running {
            at: self.now,
            grounds,
            started: None,
            deleting: false,
            evicting: false,
            node,
            bound: false,
            counted,
            round: Some(self.round),
            spared_until: crate::Time::ZERO,
        };
        if let Some(record) = self.pods.record_mut(pod) {
            record.state = State::Running(Box::new(running));
        }
        self.enter(pod);
    }

    fn gang_number(&mut self, membership: &Membership) -> u32 {
        let number = match self.gang_by_key.get(&membership.gang) {
            Some(&number) => number,
            None => {
                let gang = Gang::new(Arc::clone(&membership.gang));
                let number = match self.unused_gangs.pop() {
                    Some(number) => number,
                    None => self.gangs.len() as u32,
                };
                match self.gangs.get_mut(number as usize) {
                    Some(unused) => *unused = gang,
                    None => self.gangs.push(gang),
                }
                self.gang_by_key.insert(Arc::clone(&membership.gang), number);
                number
            }
        };
        self.gangs[number as usize].at_most = membership.at_most;
        number
    }

    fn dequeue_gang_of(&mut self, gang: u32) {
        if let Some(member) = self.gangs[gang as usize].members.first().copied() {
            self.dequeue(member);
        }
    }

    /// Remembers whether all that a gang needs ran at once.
    fn note_bound(&mut self, gang: Option<(u32, u32)>) {
        let Some((gang, size)) = gang else { return };
        let bound = |pod: &&u32| {
            self.pods.record(**pod).and_then(|record| record.running()).is_some_and(|running| running.bound)
        };
        let count = self.needed_among(self.gangs[gang as usize].members.iter().filter(bound).copied());
        // One that ran whole and announces more members since has not ceased to have run whole.
        self.gangs[gang as usize].ran_whole |= count >= size;
    }

    fn unmanaged(&mut self, uid: Uid, node: &str, shape: &Arc<PodShape>) {
        let shape = self.shapes.shape(shape, &*self.hosts, &mut self.dims);
        let node = self.nodes.named(node);
        if let Some((node, shape)) = self.unmanaged.insert(uid, (node, shape)) {
            self.hold_unmanaged(node, shape, -1);
        }
        self.hold_unmanaged(node, shape, 1);
    }

    fn hold_unmanaged(&mut self, node: NodeId, shape: crate::shapes::ShapeId, times: i64) {
        let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
        let shape = self.shapes.shape_of(shape);
        match times > 0 {
            true => self.nodes.take(node, shape, Holder::Unmanaged, &self.shapes, &mut context),
            false => self.nodes.release(node, shape, Holder::Unmanaged, &self.shapes, &mut context),
        }
    }

    /// A node changed: pods that are bound to it may now count in another class, and pods that were only
    /// thought of for it need another place if it can no longer take them.
    fn node(&mut self, id: NodeId, spec: Option<crate::hosts::Node>) {
        let class = self.nodes.host(id).class.clone();
        let gone = spec.is_none();
        let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
        self.nodes.describe(id, spec, &mut self.shapes, &mut context);
        let moved = class != self.nodes.host(id).class;
        if !moved && !gone {
            return;
        }
        for pod in self.nodes.host(id).pods.clone() {
            self.withdraw(pod);
            let Some(record) = self.pods.record(pod) else { continue };
            let (shape, bound) = (record.shape, record.running().is_some_and(|running| running.bound));
            let node = if gone && !bound { None } else { Some(id) };
            let counted = self.counted(shape, node);
            if let Some(running) = self.pods.record_mut(pod).and_then(|record| record.running_mut()) {
                (running.node, running.counted) = (node, counted);
            }
            self.enter(pod);
        }
    }

    fn change_pools(&mut self, configs: Vec<PoolConfig>) {
        let new = Pools::build(configs, &mut self.dims);
        self.pools_generation += 1;
        self.restart_clocks_of_moved(&new);
        if new.same_structure(&self.pools) {
            self.pools = new;
            return;
        }
        let claims = std::mem::take(&mut self.claims);
        claims.iter().for_each(|claim| self.unhold(claim));
        let numbers = self.pods.numbers();
        for &pod in &numbers {
            self.dequeue(pod);
            self.withdraw(pod);
        }
        self.pools = new;
        self.leaf_queues = vec![LeafQueue::default(); self.pools.tree.len()];
        self.ledger = crate::ledger::Ledger::default();
        for &pod in &numbers {
            self.enter(pod);
        }
        let mut done = std::collections::HashSet::new();
        for pod in numbers {
            let gang = self.pods.record(pod).and_then(|record| record.gang);
            if gang.is_none_or(|(gang, _)| done.insert(gang)) {
                self.enqueue(pod);
            }
        }
        claims.into_iter().for_each(|claim| self.hold_again(claim));
    }

    /// A12: moving a pool evicts nobody for the length of the hysteresis, so its clocks start anew.
    fn restart_clocks_of_moved(&mut self, new: &Pools) {
        let path = |pools: &Pools, name: &str| -> Option<Vec<String>> {
            let pool = pools.tree.find(name)?;
            Some(pools.tree.path(pool).map(|at| pools.tree.name(at).to_owned()).collect())
        };
        let old = &self.pools;
        let now = self.now;
        self.over_since.retain(|(pool, _), _| new.tree.find(pool).is_some() || pool.is_empty());
        for ((pool, _), since) in &mut self.over_since {
            // A pool that becomes known was not moved: an earlier leader may have said since when it is above.
            if path(old, pool).is_some_and(|before| Some(before) != path(new, pool)) {
                *since = now;
            }
        }
    }

    fn change_budgets(&mut self, budgets: Vec<Budget>) {
        let mut of: HashMap<Uid, Vec<usize>> = HashMap::new();
        for (at, budget) in budgets.iter().enumerate() {
            budget.pods.iter().for_each(|&pod| of.entry(pod).or_default().push(at));
        }
        (self.budgets, self.budgets_of) = (budgets, of);
    }

    /// The place of a workload's leaf, for those that stand in the queue.
    pub(crate) fn leaf_named(&self, pool: &str) -> Option<PoolId> {
        self.pools.leaf(pool)
    }
}
