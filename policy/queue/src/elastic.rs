//! Gangs of several parts, of which only so many pods are needed: who is needed, and who is elastic.
//!
//! A gang with parts is admitted with what it needs of each, in one piece. Pods beyond that are elastic: once
//! the gang has all that it needs they stand in the queue like anybody else, as many at a time as one worker
//! has hosts, and they are the first to go. Nobody is needed or elastic for good: of the pods of a part those
//! that were admitted first are needed, so an elastic one takes the place of one that is lost, and a gang whose
//! needs change is divided anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::explanation::Explanation;
use crate::gangs::{GangMembers, Group, queue_key};
use crate::pod::Part;
use crate::pods::PodRecord;
use crate::queues::{QueueKey, QueuedWorkload, Rank, Workload};
use crate::state::Queue;

impl Queue {
    /// Sorts the members of a gang with parts into those that it needs and the others.
    pub(crate) fn divide(&self, number: u32, members: &mut GangMembers) {
        members.needed = (members.staying + members.terminating) as u32;
        let parts = self.parts(number);
        members.has_parts = !parts.is_empty();
        if !members.has_parts {
            return;
        }
        let running = |pod: &u32| self.pods.record(*pod).is_some_and(|record| !record.waits());
        members.needed = self.needed_among(self.gangs[number as usize].members.iter().copied().filter(running));
        let mut waiting: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut always = Vec::new();
        for &pod in &members.waiting {
            match self.pods.record(pod).and_then(|record| record.part.as_ref()) {
                Some(part) => waiting.entry(&part.name).or_default().push(pod),
                None => always.push(pod),
            }
        }
        for (part, there) in parts.values() {
            let here = waiting.remove(part.name.as_str()).unwrap_or_default();
            let needed = (part.needed as usize).saturating_sub(there.len()).min(here.len());
            let (first, beyond) = here.split_at(needed);
            always.extend(first);
            let step = part.step.max(1) as usize;
            // What a worker lost comes before another worker.
            let elastic = there.len().saturating_sub(part.needed as usize);
            let lost = (step - elastic % step) % step;
            let (back, others) = beyond.split_at(lost.min(beyond.len()));
            members.elastic.extend(back.iter().map(|&pod| vec![pod]));
            for group in others.chunks(step) {
                match group.len() == step {
                    true => members.elastic.push(group.to_vec()),
                    false => members.lacking.push((part.step, group.to_vec())),
                }
            }
        }
        always.sort_unstable_by_key(|&pod| self.pods.record(pod).map(queue_key));
        members.waiting = always;
    }

    /// The parts of a gang by name, each with its admitted pods in the order in which they are needed.
    fn parts(&self, number: u32) -> BTreeMap<String, (Arc<Part>, Vec<u32>)> {
        let mut parts: BTreeMap<String, (Arc<Part>, Vec<u32>)> = BTreeMap::new();
        for &pod in &self.gangs[number as usize].members {
            let Some(record) = self.pods.record(pod) else { continue };
            let Some(part) = &record.part else { continue };
            let (_, there) = parts.entry(part.name.clone()).or_insert_with(|| (Arc::clone(part), Vec::new()));
            if !record.waits() {
                there.push(pod);
            }
        }
        for (_, there) in parts.values_mut() {
            there.sort_unstable_by_key(|&pod| {
                let record = self.pods.record(pod)?;
                let running = record.running()?;
                Some((running.is_terminating(), running.at, record.uid))
            });
        }
        parts
    }

    /// How many of these pods of one gang are needed: of each part at most what is needed of it.
    pub(crate) fn needed_among(&self, pods: impl Iterator<Item = u32>) -> u32 {
        let (mut count, mut parts) = (0, BTreeMap::new());
        for record in pods.filter_map(|pod| self.pods.record(pod)) {
            let Some(part) = &record.part else {
                count += 1;
                continue;
            };
            let there = parts.entry(part.name.as_str()).or_insert(0);
            if *there < part.needed {
                (*there, count) = (*there + 1, count + 1);
            }
        }
        count
    }

    /// The admitted pods of a gang that it does not need, each entry what goes together; and the others.
    pub(crate) fn elastic_and_needed(&self, number: u32) -> (Vec<Vec<u32>>, Vec<u32>) {
        let (mut elastic, mut needed) = (Vec::new(), self.running_members(number));
        for (part, there) in self.parts(number).into_values() {
            let beyond = there.get(part.needed as usize..).unwrap_or_default();
            elastic.extend(beyond.chunks(part.step.max(1) as usize).map(<[u32]>::to_vec));
        }
        needed.retain(|pod| !elastic.iter().flatten().any(|one| one == pod));
        (elastic, needed)
    }

    /// Puts elastic pods into the queue, if their gang has all that it needs, and aside otherwise.
    pub(crate) fn enqueue_elastic(&mut self, number: u32, members: &GangMembers) {
        if !members.has_parts {
            return;
        }
        if let Some(why) = self.gang_comes_first(number, members) {
            let all = members.elastic.iter().chain(members.lacking.iter().map(|(_, pods)| pods)).flatten();
            return self.tell(all.copied(), &why);
        }
        for (step, pods) in &members.lacking {
            self.tell(pods.iter().copied(), &Explanation::Gang { created: pods.len() as u32, size: *step });
        }
        for pods in &members.elastic {
            match pods.as_slice() {
                [alone] => self.enqueue_pod(*alone, Rank::Ordinary),
                pods => self.enqueue_group(number, pods),
            }
        }
    }

    /// Why elastic pods of a gang wait for the others, if they do.
    fn gang_comes_first(&self, number: u32, members: &GangMembers) -> Option<Explanation> {
        let gang = &self.gangs[number as usize];
        let complete =
            gang.whole && !gang.evicting && members.needed as usize >= members.size && members.waiting.is_empty();
        (!complete).then_some(Explanation::Elastic { admitted: members.needed, size: members.size as u32 })
    }

    /// What keeps an elastic pod from standing in a queue; none of this is for those whom their gang needs.
    pub(crate) fn elastic_obstacle(&self, number: u32, members: &GangMembers, pod: u32) -> Option<Option<Explanation>> {
        let lacking = members.lacking.iter().find(|(_, pods)| pods.contains(&pod));
        let group = members.elastic.iter().find(|pods| pods.contains(&pod));
        if lacking.is_none() && group.is_none() {
            return None;
        }
        Some(self.gang_comes_first(number, members).or_else(|| match (lacking, group) {
            (Some((step, pods)), _) => Some(Explanation::Gang { created: pods.len() as u32, size: *step }),
            (None, group) => group?.iter().filter_map(|&pod| self.obstacle(self.pods.record(pod)?)).next(),
        }))
    }

    /// Elastic pods that go together stand at the place of the first of them.
    fn enqueue_group(&mut self, number: u32, pods: &[u32]) {
        let records = || pods.iter().filter_map(|&pod| self.pods.record(pod));
        if let Some(why) = records().find_map(|record| self.obstacle(record)) {
            return self.tell(pods.iter().copied(), &why);
        }
        let (Some(first), Some(&head)) = (records().next(), pods.first()) else { return };
        let Some(leaf) = self.leaf_of(first) else { return };
        let key = QueueKey { rank: Rank::Ordinary, ..queue_key(first) };
        let (pool, preemptible) = (Arc::clone(&first.pool), first.preemptible);
        let latest = records().map(|record| record.created).max().unwrap_or_default();
        let shapes: Vec<_> = records().map(|record| record.shape).collect();
        let request = self.shapes.request(shapes.into_iter(), preemptible);
        let now = self.now.max(latest);
        let Some(record) = self.pods.record_mut(head) else { return };
        let queued =
            QueuedWorkload { workload: Workload::Group(number, head), since: *record.since.get_or_insert(now) };
        self.leaf_queues[leaf.index()].insert(request, key, queued);
        self.eligible.stale.insert(leaf);
        let group = Group { pods: pods.to_vec(), position: (pool, request, key) };
        self.gangs[number as usize].groups.insert(head, group);
    }

    /// Takes elastic pods that go together out of the queue.
    pub(crate) fn dequeue_group(&mut self, number: u32, first: u32) {
        let Some(Group { position: (pool, request, key), .. }) = self.gangs[number as usize].groups.remove(&first)
        else {
            return;
        };
        if let Some(leaf) = self.pools.leaf(&pool) {
            self.leaf_queues[leaf.index()].remove(request, &key);
            self.eligible.stale.insert(leaf);
        }
    }

    /// What a pod would be admitted as a part of.
    pub(crate) fn workload_of(&self, pod: u32) -> Workload {
        let gang = |record: &PodRecord| record.gang.filter(|_| record.request.is_none()).map(|(gang, _)| gang);
        let Some(gang) = self.pods.record(pod).and_then(gang) else { return Workload::Pod(pod) };
        let groups = &self.gangs[gang as usize].groups;
        let group = groups.iter().find(|(_, group)| group.pods.contains(&pod)).map(|(&first, _)| first);
        group.map_or(Workload::Gang(gang), |first| Workload::Group(gang, first))
    }
}
