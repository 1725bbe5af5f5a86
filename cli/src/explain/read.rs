//! Reads the facts about a pod or a gang from its objects.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};
use kube::ResourceExt as _;
use weir_api::pod::{self, AnnouncedGang, Decision};
use weir_api::requests::{Amounts, by_dimension};
use weir_api::{Gang, PodInfo, condition};
use weir_model::Amount;

use super::facts::{ConditionRow, DecisionRecord, EventRow, Facts, Figure, GangProgress, PathPool, Room, Standing};
use crate::amounts::add;
use crate::pools::Tree;

/// The objects that were found.
pub(super) enum Seen {
    /// A pod, with its Gang object, all members of its gang and its events.
    Pod { pod: Box<Pod>, gang: Option<Box<Gang>>, siblings: Vec<Pod>, events: Vec<Event> },
    /// A gang, with the members that exist and the events of the first.
    Gang { namespace: String, name: String, object: Option<Box<Gang>>, members: Vec<Pod>, events: Vec<Event> },
}

/// Puts together what the objects say.
pub(super) fn facts(seen: &Seen, tree: &Tree, special: &BTreeSet<String>) -> Facts {
    let (kind, namespace, name, object, members, events) = match seen {
        Seen::Pod { pod, gang, siblings: _, events } => {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            ("Pod", namespace, name, gang.as_deref(), std::slice::from_ref(&**pod), events)
        }
        Seen::Gang { namespace, name, object, members, events } => {
            ("Gang", namespace.clone(), name.clone(), object.as_deref(), members.as_slice(), events)
        }
    };
    let gang_members = match seen {
        Seen::Pod { siblings, .. } => siblings.as_slice(),
        Seen::Gang { members, .. } => members.as_slice(),
    };
    let info = representative(members).map(PodInfo::of);
    let pool = info.as_ref().and_then(PodInfo::pool).map(str::to_owned);
    let pool = pool.or_else(|| object.map(|gang| gang.spec.pool.clone()).filter(|pool| !pool.is_empty()));
    let stands = standing(members);
    // A gang goes whole; what is admitted of it counts as usage already.
    let waits = members.iter().filter(|pod| PodInfo::of(pod).waits());
    let mut asks = Amounts::new();
    members.iter().for_each(|pod| add(&mut asks, by_dimension(pod, special)));
    let mut missing = Amounts::new();
    waits.for_each(|pod| add(&mut missing, by_dimension(pod, special)));
    Facts {
        kind,
        namespace,
        name,
        stands,
        priority: info.as_ref().map_or(0, PodInfo::priority),
        preemptible: info.as_ref().is_some_and(PodInfo::preemptible),
        gang: gang_progress(object, info.as_ref(), gang_members),
        path: pool.as_deref().map(|pool| path(tree, pool, &asks, &missing)).unwrap_or_default(),
        gates: info.iter().flat_map(PodInfo::gates).map(str::to_owned).collect(),
        conditions: info.as_ref().map(conditions).unwrap_or_default(),
        admitted_as: info.as_ref().and_then(|info| info.grounds().as_str()).map(str::to_owned),
        placed_by: info.as_ref().map(PodInfo::placed_by).unwrap_or_default(),
        decided_on: info.as_ref().and_then(PodInfo::decision).map(decision_record),
        events: event_rows(events),
        pool,
        asks,
    }
}

/// The member whose conditions stand for the gang: one that waits, else one without a node, else the first.
pub(super) fn representative(members: &[Pod]) -> Option<&Pod> {
    let waits = members.iter().find(|pod| PodInfo::of(pod).waits());
    waits.or_else(|| members.iter().find(|pod| PodInfo::of(pod).node().is_none())).or_else(|| members.first())
}

/// The standing of the member that has come least far.
fn standing(members: &[Pod]) -> Standing {
    let of = |pod: &Pod| {
        let info = PodInfo::of(pod);
        match info.node() {
            _ if info.is_terminating() => Standing::Terminating,
            _ if info.has_ended() => Standing::Ended { phase: info.phase().to_owned() },
            _ if info.waits() => Standing::Waiting,
            Some(node) => Standing::Placed { nodes: vec![node.to_owned()] },
            None if info.pool().is_none() => Standing::NotManaged,
            None => Standing::Admitted,
        }
    };
    let all: Vec<Standing> = members.iter().map(of).collect();
    let any = |wanted: &Standing| all.contains(wanted).then(|| wanted.clone());
    let nodes = || {
        let on = all.iter().filter_map(|one| if let Standing::Placed { nodes } = one { Some(nodes) } else { None });
        let nodes: BTreeSet<String> = on.flatten().cloned().collect();
        (!nodes.is_empty()).then(|| Standing::Placed { nodes: nodes.into_iter().collect() })
    };
    let early = any(&Standing::Waiting).or_else(|| any(&Standing::Admitted)).or_else(nodes);
    early.or_else(|| all.first().cloned()).unwrap_or(Standing::Waiting)
}

fn gang_progress(object: Option<&Gang>, info: Option<&PodInfo<'_>>, members: &[Pod]) -> Option<GangProgress> {
    let unplaced = members.iter().filter(|pod| !PodInfo::of(pod).waits() && PodInfo::of(pod).node().is_none());
    let without_node: Vec<String> = unplaced.map(Pod::name_any).collect();
    if let Some(gang) = object {
        let status = gang.status.clone().unwrap_or_default();
        return Some(GangProgress {
            name: gang.name_any(),
            size: gang.spec.size.into(),
            created: status.created.into(),
            admitted: status.admitted.into(),
            placed: status.placed.into(),
            without_node,
        });
    }
    // The sidecar has not written the Gang object yet.
    let AnnouncedGang { name, size } = info?.gang()?;
    let count = |holds: fn(&PodInfo<'_>) -> bool| members.iter().filter(|pod| holds(&PodInfo::of(pod))).count() as i64;
    Some(GangProgress {
        name: name.to_owned(),
        size: size.into(),
        created: members.len() as i64,
        admitted: count(|info| !info.waits()),
        placed: count(|info| info.node().is_some()),
        without_node,
    })
}

fn path(tree: &Tree, pool: &str, asks: &Amounts, missing: &Amounts) -> Vec<PathPool> {
    let room = |row: &crate::pools::PoolRow, resource: &String, asked: Amount| {
        let found = row.resources.get(resource).cloned().unwrap_or_default();
        let more = missing.get(resource).copied().unwrap_or_default();
        let beyond = tree.beyond(&row.name, resource);
        let of_right = (found.usage + more).minus(beyond).minus(found.entitlement);
        let of_limit = found.limit.map_or(Amount::ZERO, |limit| (found.usage + more).minus(limit));
        let short = if more.is_zero() { Amount::ZERO } else { of_right.max(of_limit) };
        Room {
            resource: resource.clone(),
            asked: asked.units(),
            usage: found.usage.units(),
            beyond: beyond.units(),
            entitlement: found.entitlement.units(),
            reservation: found.reservation.map(Amount::units),
            short: short.units(),
        }
    };
    let rows = tree.path(pool).into_iter().map(|row| {
        // The sidecar does not check a dimension that no pool on the path lists, uses or waits for.
        let known = asks.iter().filter(|(resource, _)| row.resources.contains_key(*resource));
        let figures = known.map(|(resource, &asked)| room(row, resource, asked)).collect();
        PathPool { pool: row.name.clone(), state: row.state, figures }
    });
    rows.collect()
}

fn conditions(info: &PodInfo<'_>) -> Vec<ConditionRow> {
    let wanted = [condition::ADMITTED, condition::PREEMPTED, condition::REFUSED, "PodScheduled", "DisruptionTarget"];
    wanted.iter().filter_map(|type_| info.condition(type_)).map(condition_row).collect()
}

fn condition_row(condition: &PodCondition) -> ConditionRow {
    ConditionRow {
        type_: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
        since: condition.last_transition_time.as_ref().map(|time| time.0.to_string()),
    }
}

fn decision_record(decision: Decision) -> DecisionRecord {
    let Decision { epoch, pods, figures, released_by, because, .. } = decision;
    let figure = |pod::Figure { pool, resource, entitlement, usage, beyond, asked }| {
        let pool = if pool.is_empty() { "the cluster".to_owned() } else { pool };
        Figure { pool, resource, entitlement, usage, beyond, asked }
    };
    DecisionRecord { epoch, pods, figures: figures.into_iter().map(figure).collect(), released_by, because }
}

fn event_rows(events: &[Event]) -> Vec<EventRow> {
    let time = |event: &Event| -> Option<Timestamp> {
        let written = event.last_timestamp.as_ref().map(|time| time.0);
        written.or_else(|| event.event_time.as_ref().map(|time| time.0))
    };
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| time(event));
    let seen = events.into_iter().map(|event| EventRow {
        time: time(event).map(|time| time.to_string()),
        from: event.reporting_component.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
    });
    seen.collect()
}
