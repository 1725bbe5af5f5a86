//! The members of a gang that are there, and of several parts which are needed and which are elastic.
//!
//! A gang with parts is admitted with what it needs of each, in one piece. Pods beyond that are elastic. No pod
//! is needed or elastic for good: of the pods of a part those that were admitted first are needed, so an elastic
//! pod takes the place of one that is lost, and a gang whose needs change is divided anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gangs::Gang;
use super::ids::PodId;
use super::pods::Pods;
use crate::contract::pod::Part;

/// The members of a gang that are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct GangMembers {
    /// How many members the gang announces.
    pub(crate) size: usize,
    /// How many are admitted, and not on the way out.
    pub(crate) staying: usize,
    /// How many are admitted, and on the way out.
    pub(crate) terminating: usize,
    /// The waiting members in their order; of a gang that has parts, those that it needs.
    pub(crate) waiting: Vec<PodId>,
    /// Whether the gang has parts, so that it may have more members than it needs.
    pub(crate) has_parts: bool,
    /// How many of the members that the gang needs are admitted, on the way out or not.
    pub(crate) needed: u32,
    /// The waiting members beyond what the gang needs; each entry goes together.
    pub(crate) elastic: Vec<Vec<PodId>>,
    /// The waiting members beyond what the gang needs that are fewer than go together.
    pub(crate) lacking: Vec<Lacking>,
}

/// Elastic pods of which too few are there.
#[derive(Clone, Debug)]
pub(crate) struct Lacking {
    pub(crate) pods: Vec<PodId>,
    /// How many go together.
    pub(crate) step: u32,
}

/// The pods of one part of a gang that are admitted, in the order in which they are needed.
struct AdmittedOf {
    part: Arc<Part>,
    pods: Vec<PodId>,
}

/// The admitted pods of a gang, divided.
pub(crate) struct Divided {
    /// What the gang does not need; each entry goes together.
    pub(crate) elastic: Vec<Vec<PodId>>,
    pub(crate) needed: Vec<PodId>,
}

impl GangMembers {
    /// Counts the members of a gang.
    pub(crate) fn of(gang: &Gang, pods: &Pods) -> Self {
        let mut members = Self::default();
        for &pod in &gang.members {
            let Some(record) = pods.record(pod) else { continue };
            members.size = record.gang.map_or(1, |seat| seat.size as usize);
            match record.running() {
                None => members.waiting.push(pod),
                // A member that does not end is of no gang any more, or its gang would wait for it for ever.
                Some(running) if running.overdue => {}
                Some(running) if running.is_terminating() => members.terminating += 1,
                Some(_) => members.staying += 1,
            }
        }
        members.waiting.sort_unstable_by_key(|&pod| pods.record(pod).map(|record| record.queue_key()));
        members.needed = (members.staying + members.terminating) as u32;
        let parts = parts(gang, pods);
        if !parts.is_empty() {
            members.needed = needed_among(pods, gang.running(pods));
            members.divide(pods, &parts);
        }
        members
    }

    /// Sorts the waiting members of a gang with parts into those that it needs and the others.
    fn divide(&mut self, pods: &Pods, parts: &BTreeMap<String, AdmittedOf>) {
        self.has_parts = true;
        let mut waiting: BTreeMap<&str, Vec<PodId>> = BTreeMap::new();
        let mut always = Vec::new();
        for &pod in &self.waiting {
            match pods.record(pod).and_then(|record| record.part.as_ref()) {
                Some(part) => waiting.entry(&part.name).or_default().push(pod),
                None => always.push(pod),
            }
        }
        for AdmittedOf { part, pods: admitted } in parts.values() {
            let here = waiting.remove(part.name.as_str()).unwrap_or_default();
            let needed = (part.needed as usize).saturating_sub(admitted.len()).min(here.len());
            let (first, beyond) = here.split_at(needed);
            always.extend(first);
            let step = part.step.max(1) as usize;
            // What a worker lost comes before another worker.
            let elastic = admitted.len().saturating_sub(part.needed as usize);
            let lost = (step - elastic % step) % step;
            let (back, others) = beyond.split_at(lost.min(beyond.len()));
            self.elastic.extend(back.iter().map(|&pod| vec![pod]));
            for group in others.chunks(step) {
                match group.len() == step {
                    true => self.elastic.push(group.to_vec()),
                    false => self.lacking.push(Lacking { pods: group.to_vec(), step: part.step }),
                }
            }
        }
        always.sort_unstable_by_key(|&pod| pods.record(pod).map(|record| record.queue_key()));
        self.waiting = always;
    }
}

impl Divided {
    /// The admitted pods of a gang, divided into those that it needs and the others.
    pub(crate) fn of(gang: &Gang, pods: &Pods) -> Self {
        let (mut elastic, mut needed) = (Vec::new(), gang.running(pods).collect::<Vec<PodId>>());
        for AdmittedOf { part, pods } in parts(gang, pods).into_values() {
            let beyond = pods.get(part.needed as usize..).unwrap_or_default();
            elastic.extend(beyond.chunks(part.step.max(1) as usize).map(<[PodId]>::to_vec));
        }
        needed.retain(|pod| !elastic.iter().flatten().any(|one| one == pod));
        Self { elastic, needed }
    }
}

/// How many of these pods of one gang are needed: of each part at most what is needed of it.
pub(crate) fn needed_among(pods: &Pods, these: impl Iterator<Item = PodId>) -> u32 {
    let (mut count, mut parts) = (0, BTreeMap::new());
    for record in pods.records(these) {
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

/// The parts of a gang by name, each with its admitted pods.
fn parts(gang: &Gang, pods: &Pods) -> BTreeMap<String, AdmittedOf> {
    let mut parts: BTreeMap<String, AdmittedOf> = BTreeMap::new();
    for (&pod, record) in gang.members.iter().filter_map(|pod| Some((pod, pods.record(*pod)?))) {
        let Some(part) = &record.part else { continue };
        let first = || AdmittedOf { part: Arc::clone(part), pods: Vec::new() };
        let admitted = parts.entry(part.name.clone()).or_insert_with(first);
        if !record.waits() {
            admitted.pods.push(pod);
        }
    }
    for admitted in parts.values_mut() {
        admitted.pods.sort_unstable_by_key(|&pod| {
            let record = pods.record(pod)?;
            let running = record.running()?;
            Some((running.is_terminating(), running.at, record.uid))
        });
    }
    parts
}
