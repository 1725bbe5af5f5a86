//! Gangs of several parts, of which only so many pods are needed: who is needed, and who is elastic.
//!
//! A gang with parts is admitted with what it needs of each, in one piece. Pods beyond that are elastic: once
//! the gang has all that it needs they stand in the queue like anybody else, as many at a time as one worker
//! has hosts, and they are the first to go. Nobody is needed or elastic for good: of the pods of a part those
//! that were admitted first are needed, so an elastic one takes the place of one that is lost, and a gang whose
//! needs change is divided anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::explain::Explanation;
use crate::gang::{Group, Roll, place_of};
use crate::order::{Entry, Place, Rank, Unit};
use crate::pod::Part;
use crate::records::PodRecord;
use crate::state::Queue;

impl Queue {
    /// Sorts the members of a gang with parts into those that it needs and the others.
    pub(crate) fn divide(&self, number: u32, roll: &mut Roll) {
        roll.needed = (roll.staying + roll.leaving) as u32;
        let parts = self.parts(number);
        roll.has_parts = !parts.is_empty();
        if !roll.has_parts {
            return;
        }
        let running = |pod: &u32| self.pods.record(*pod).is_some_and(|record| !record.waits());
        roll.needed = self.needed_among(self.gangs[number as usize].members.iter().copied().filter(running));
        let mut waiting: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut always = Vec::new();
        for &pod in &roll.waiting {
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
            roll.elastic.extend(back.iter().map(|&pod| vec![pod]));
            for group in others.chunks(step) {
                match group.len() == step {
                    true => roll.elastic.push(group.to_vec()),
                    false => roll.lacking.push((part.step, group.to_vec())),
                }
            }
        }
        always.sort_unstable_by_key(|&pod| self.pods.record(pod).map(place_of));
        roll.waiting = always;
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
                Some((running.leaves(), running.at, record.uid))
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
    pub(crate) fn file_elastic(&mut self, number: u32, roll: &Roll) {
        if !roll.has_parts {
            return;
        }
        if let Some(why) = self.gang_comes_first(number, roll) {
            let all = roll.elastic.iter().chain(roll.lacking.iter().map(|(_, pods)| pods)).flatten();
            return self.tell(all.copied(), &why);
        }
        for (step, pods) in &roll.lacking {
            self.tell(pods.iter().copied(), &Explanation::Gang { created: pods.len() as u32, size: *step });
        }
        for pods in &roll.elastic {
            match pods.as_slice() {
                [alone] => self.file_pod(*alone, Rank::Ordinary),
                pods => self.file_group(number, pods),
            }
        }
    }

    /// Why elastic pods of a gang wait for the others, if they do.
    fn gang_comes_first(&self, number: u32, roll: &Roll) -> Option<Explanation> {
        let gang = &self.gangs[number as usize];
        let complete = gang.whole && !gang.evicting && roll.needed as usize >= roll.size && roll.waiting.is_empty();
        (!complete).then_some(Explanation::Elastic { admitted: roll.needed, size: roll.size as u32 })
    }

    /// What keeps an elastic pod from standing in a queue; none of this is for those whom their gang needs.
    pub(crate) fn elastic_in_the_way(&self, number: u32, roll: &Roll, pod: u32) -> Option<Option<Explanation>> {
        let lacking = roll.lacking.iter().find(|(_, pods)| pods.contains(&pod));
        let group = roll.elastic.iter().find(|pods| pods.contains(&pod));
        if lacking.is_none() && group.is_none() {
            return None;
        }
        Some(self.gang_comes_first(number, roll).or_else(|| match (lacking, group) {
            (Some((step, pods)), _) => Some(Explanation::Gang { created: pods.len() as u32, size: *step }),
            (None, group) => group?.iter().filter_map(|&pod| self.in_the_way(self.pods.record(pod)?)).next(),
        }))
    }

    /// Elastic pods that go together stand at the place of the first of them.
    fn file_group(&mut self, number: u32, pods: &[u32]) {
        let records = || pods.iter().filter_map(|&pod| self.pods.record(pod));
        if let Some(why) = records().find_map(|record| self.in_the_way(record)) {
            return self.tell(pods.iter().copied(), &why);
        }
        let (Some(first), Some(&head)) = (records().next(), pods.first()) else { return };
        let Some(leaf) = self.leaf_of(first) else { return };
        let place = Place { rank: Rank::Ordinary, ..place_of(first) };
        let (pool, preemptible) = (Arc::clone(&first.pool), first.preemptible);
        let latest = records().map(|record| record.created).max().unwrap_or_default();
        let shapes: Vec<_> = records().map(|record| record.shape).collect();
        let ask = self.shapes.ask(shapes.into_iter(), preemptible);
        let now = self.now.max(latest);
        let Some(record) = self.pods.record_mut(head) else { return };
        let entry = Entry { unit: Unit::Group(number, head), since: *record.since.get_or_insert(now) };
        self.lines[leaf.index()].insert(ask, place, entry);
        self.eligible.stale.insert(leaf);
        let group = Group { pods: pods.to_vec(), filed: (pool, ask, place) };
        self.gangs[number as usize].groups.insert(head, group);
    }

    /// Takes elastic pods that go together out of the queue.
    pub(crate) fn unfile_group(&mut self, number: u32, first: u32) {
        let Some(Group { filed: (pool, ask, place), .. }) = self.gangs[number as usize].groups.remove(&first) else {
            return;
        };
        if let Some(leaf) = self.pools.leaf(&pool) {
            self.lines[leaf.index()].remove(ask, &place);
            self.eligible.stale.insert(leaf);
        }
    }

    /// What a pod would be admitted as a part of.
    pub(crate) fn unit_of(&self, pod: u32) -> Unit {
        let gang = |record: &PodRecord| record.gang.filter(|_| record.ask.is_none()).map(|(gang, _)| gang);
        let Some(gang) = self.pods.record(pod).and_then(gang) else { return Unit::Pod(pod) };
        let groups = &self.gangs[gang as usize].groups;
        let group = groups.iter().find(|(_, group)| group.pods.contains(&pod)).map(|(&first, _)| first);
        group.map_or(Unit::Gang(gang), |first| Unit::Group(gang, first))
    }
}
