//! What the objects say of a pod or a gang, put together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition};
use kube::ResourceExt as _;
use serde::Serialize;
use weir_api::pod::{self, AnnouncedGang, Decision};
use weir_api::pool::PoolState;
use weir_api::requests::{Amounts, by_dimension};
use weir_api::{Gang, PodInfo, condition};
use weir_model::Amount;

use super::advice;
use crate::amounts::add;
use crate::pools::Tree;

/// What was found.
pub(super) enum Seen {
    /// A pod, with its gang's object, all members of its gang and its events.
    Pod { pod: Box<Pod>, gang: Option<Box<Gang>>, siblings: Vec<Pod>, events: Vec<Event> },
    /// A gang, with the members that exist and the events of the first.
    Gang { namespace: String, name: String, object: Option<Box<Gang>>, members: Vec<Pod>, events: Vec<Event> },
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) stands: Stands,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    pub(super) priority: i32,
    pub(super) preemptible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gang: Option<GangSeen>,
    /// Together, by dimension, in base units.
    #[serde(serialize_with = "units")]
    pub(super) asks: Amounts,
    /// The pool and its ancestors, upwards, in the dimensions that are asked for.
    pub(super) path: Vec<OnPath>,
    pub(super) gates: Vec<String>,
    pub(super) conditions: Vec<Said1>,
    /// The reason with which the gate was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) admitted_as: Option<String>,
    /// The digests of the plugins that decided where it went.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) placed_by: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided_on: Option<Decided>,
    /// The newest last.
    pub(super) events: Vec<EventSeen>,
    pub(super) what_to_do: Vec<String>,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is")]
pub(super) enum Stands {
    /// Nobody but the scheduler decides about it.
    NotManaged,
    /// Its gate is there.
    Waiting,
    /// Its gate is gone, and it has no node.
    Admitted,
    /// It has a node.
    Placed { nodes: Vec<String> },
    /// It is being deleted.
    Terminating,
    /// It succeeded or failed.
    Ended { phase: String },
}

/// How far a gang has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct GangSeen {
    pub(super) name: String,
    pub(super) size: i64,
    pub(super) created: i64,
    pub(super) admitted: i64,
    pub(super) placed: i64,
    /// Members that are admitted and have no node.
    #[serde(rename = "withoutNode", skip_serializing_if = "Vec::is_empty")]
    pub(super) without_node: Vec<String>,
}

/// The pool or an ancestor.
#[derive(Debug, Serialize)]
pub(super) struct OnPath {
    pub(super) pool: String,
    pub(super) state: PoolState,
    pub(super) figures: Vec<Room>,
}

/// One dimension there, in base units.
#[derive(Debug, Serialize)]
pub(super) struct Room {
    pub(super) resource: String,
    pub(super) asked: i64,
    pub(super) usage: i64,
    /// The part of it that pools below use beyond their own entitlements: it does not count here.
    pub(super) beyond: i64,
    pub(super) entitlement: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reservation: Option<i64>,
    /// What is missing for it to be admitted; 0 for one that is.
    pub(super) short: i64,
}

/// A condition.
#[derive(Debug, Serialize)]
pub(super) struct Said1 {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
}

/// The record of the admission.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decided {
    pub(super) epoch: i64,
    /// How many pods were admitted together.
    pub(super) pods: usize,
    pub(super) figures: Vec<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) released_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
}

/// What a pool was entitled to and used just before, and what came on top.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) pool: String,
    pub(super) resource: String,
    pub(super) entitlement: i64,
    pub(super) usage: i64,
    /// The part of the usage that did not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) beyond: i64,
    pub(super) asked: i64,
}

/// An event.
#[derive(Debug, Serialize)]
pub(super) struct EventSeen {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) from: String,
    pub(super) reason: String,
    pub(super) message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(units: &i64) -> bool {
    *units == 0
}

fn units<S: serde::Serializer>(amounts: &Amounts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(amounts.iter().map(|(dimension, amount): (&String, &Amount)| (dimension, amount.units())))
}

impl Explained {
    /// Puts together what was seen.
    pub(super) fn of(seen: &Seen, tree: &Tree, special: &BTreeSet<String>) -> Self {
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
        let info = speaker(members).map(PodInfo::of);
        let pool = info.as_ref().and_then(PodInfo::pool).map(str::to_owned);
        let pool = pool.or_else(|| object.map(|gang| gang.spec.pool.clone()).filter(|pool| !pool.is_empty()));
        let stands = stands(members);
        // Of a gang it is asked whether all go; what is admitted of it is usage already.
        let waits = members.iter().filter(|pod| PodInfo::of(pod).waits());
        let mut asks = Amounts::new();
        members.iter().for_each(|pod| add(&mut asks, by_dimension(pod, special)));
        let mut missing = Amounts::new();
        waits.for_each(|pod| add(&mut missing, by_dimension(pod, special)));
        let mut explained = Self {
            kind,
            namespace,
            name,
            stands,
            priority: info.as_ref().map_or(0, PodInfo::priority),
            preemptible: info.as_ref().is_some_and(PodInfo::preemptible),
            gang: gang_seen(object, info.as_ref(), gang_members),
            path: pool.as_deref().map(|pool| path(tree, pool, &asks, &missing)).unwrap_or_default(),
            gates: info.iter().flat_map(PodInfo::gates).map(str::to_owned).collect(),
            conditions: info.as_ref().map(conditions).unwrap_or_default(),
            admitted_as: info.as_ref().and_then(|info| info.grounds().as_str()).map(str::to_owned),
            placed_by: info.as_ref().map(PodInfo::placed_by).unwrap_or_default(),
            decided_on: info.as_ref().and_then(PodInfo::decision).map(decided),
            events: events_seen(events),
            what_to_do: Vec::new(),
            pool,
            asks,
        };
        explained.what_to_do = advice::of(&explained);
        explained
    }

    /// Reason and sentence of `weir.dev/Admitted` where its status is this.
    pub(super) fn told(&self, status: &str) -> Option<&Said1> {
        self.conditions.iter().find(|said| said.type_ == condition::ADMITTED && said.status == status)
    }
}

/// Who speaks for a gang: one that waits, or one that has no node, where there is one.
pub(super) fn speaker(members: &[Pod]) -> Option<&Pod> {
    let waits = members.iter().find(|pod| PodInfo::of(pod).waits());
    waits.or_else(|| members.iter().find(|pod| PodInfo::of(pod).node().is_none())).or_else(|| members.first())
}

/// The one of a gang that has come least far stands for it.
fn stands(members: &[Pod]) -> Stands {
    let of = |pod: &Pod| {
        let info = PodInfo::of(pod);
        match info.node() {
            _ if info.is_terminating() => Stands::Terminating,
            _ if info.has_ended() => Stands::Ended { phase: info.phase().to_owned() },
            _ if info.waits() => Stands::Waiting,
            Some(node) => Stands::Placed { nodes: vec![node.to_owned()] },
            None if info.pool().is_none() => Stands::NotManaged,
            None => Stands::Admitted,
        }
    };
    let all: Vec<Stands> = members.iter().map(of).collect();
    let any = |wanted: &Stands| all.contains(wanted).then(|| wanted.clone());
    let nodes = || {
        let on = all.iter().filter_map(|one| if let Stands::Placed { nodes } = one { Some(nodes) } else { None });
        let nodes: BTreeSet<String> = on.flatten().cloned().collect();
        (!nodes.is_empty()).then(|| Stands::Placed { nodes: nodes.into_iter().collect() })
    };
    let early = any(&Stands::Waiting).or_else(|| any(&Stands::Admitted)).or_else(nodes);
    early.or_else(|| all.first().cloned()).unwrap_or(Stands::Waiting)
}

fn gang_seen(object: Option<&Gang>, info: Option<&PodInfo<'_>>, members: &[Pod]) -> Option<GangSeen> {
    let unplaced = members.iter().filter(|pod| !PodInfo::of(pod).waits() && PodInfo::of(pod).node().is_none());
    let without_node: Vec<String> = unplaced.map(Pod::name_any).collect();
    if let Some(gang) = object {
        let status = gang.status.clone().unwrap_or_default();
        return Some(GangSeen {
            name: gang.name_any(),
            size: gang.spec.size.into(),
            created: status.created.into(),
            admitted: status.admitted.into(),
            placed: status.placed.into(),
            without_node,
        });
    }
    // The sidecar has not written it yet.
    let AnnouncedGang { name, size } = info?.gang()?;
    let count = |holds: fn(&PodInfo<'_>) -> bool| members.iter().filter(|pod| holds(&PodInfo::of(pod))).count() as i64;
    Some(GangSeen {
        name: name.to_owned(),
        size: size.into(),
        created: members.len() as i64,
        admitted: count(|info| !info.waits()),
        placed: count(|info| info.node().is_some()),
        without_node,
    })
}

fn path(tree: &Tree, pool: &str, asks: &Amounts, missing: &Amounts) -> Vec<OnPath> {
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
        // A dimension that nobody on the path lists, uses or waits for is not checked.
        let known = asks.iter().filter(|(resource, _)| row.resources.contains_key(*resource));
        let figures = known.map(|(resource, &asked)| room(row, resource, asked)).collect();
        OnPath { pool: row.name.clone(), state: row.state, figures }
    });
    rows.collect()
}

fn conditions(info: &PodInfo<'_>) -> Vec<Said1> {
    let wanted = [condition::ADMITTED, condition::PREEMPTED, condition::REFUSED, "PodScheduled", "DisruptionTarget"];
    wanted.iter().filter_map(|type_| info.condition(type_)).map(said_1).collect()
}

fn said_1(condition: &PodCondition) -> Said1 {
    Said1 {
        type_: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
        since: condition.last_transition_time.as_ref().map(|time| time.0.to_string()),
    }
}

fn decided(decision: Decision) -> Decided {
    let Decision { epoch, pods, figures, released_by, because, .. } = decision;
    let figure = |pod::Figure { pool, resource, entitlement, usage, beyond, asked }| {
        let pool = if pool.is_empty() { "the cluster".to_owned() } else { pool };
        Figure { pool, resource, entitlement, usage, beyond, asked }
    };
    Decided { epoch, pods, figures: figures.into_iter().map(figure).collect(), released_by, because }
}

fn events_seen(events: &[Event]) -> Vec<EventSeen> {
    let time = |event: &Event| -> Option<Timestamp> {
        let written = event.last_timestamp.as_ref().map(|time| time.0);
        written.or_else(|| event.event_time.as_ref().map(|time| time.0))
    };
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| time(event));
    let seen = events.into_iter().map(|event| EventSeen {
        time: time(event).map(|time| time.to_string()),
        from: event.reporting_component.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
    });
    seen.collect()
}
