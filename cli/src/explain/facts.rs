//! The facts that the answer gives: plain records, in the order of the JSON document.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_api::pool::PoolState;
use weir_api::requests::Amounts;
use weir_model::Amount;

/// The facts about one pod or gang.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) stands: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    pub(super) priority: i32,
    pub(super) preemptible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gang: Option<GangProgress>,
    /// The sum of all members' requests by dimension, in base units.
    #[serde(serialize_with = "units")]
    pub(super) asks: Amounts,
    /// The pool and its ancestors, upwards, in the dimensions that are asked for.
    pub(super) path: Vec<PathPool>,
    pub(super) gates: Vec<String>,
    pub(super) conditions: Vec<ConditionRow>,
    /// The reason with which the gate was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) admitted_as: Option<String>,
    /// The digests of the plugins that decided where it went.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) placed_by: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided_on: Option<DecisionRecord>,
    /// The newest last.
    pub(super) events: Vec<EventRow>,
}

/// The state of a pod, or of the member of a gang that has come least far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is")]
pub(super) enum Standing {
    /// Only the scheduler decides about it.
    NotManaged,
    /// It has its gate.
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

/// Counts of a gang's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct GangProgress {
    pub(super) name: String,
    pub(super) size: i64,
    pub(super) created: i64,
    pub(super) admitted: i64,
    pub(super) placed: i64,
    /// Members that are admitted and have no node.
    #[serde(rename = "withoutNode", skip_serializing_if = "Vec::is_empty")]
    pub(super) without_node: Vec<String>,
}

/// The pool or one of its ancestors.
#[derive(Debug, Serialize)]
pub(super) struct PathPool {
    pub(super) pool: String,
    pub(super) state: PoolState,
    pub(super) figures: Vec<Room>,
}

/// The figures of one dimension in one pool, in base units.
#[derive(Debug, Serialize)]
pub(super) struct Room {
    pub(super) resource: String,
    pub(super) asked: i64,
    pub(super) usage: i64,
    /// The part of the usage that pools below use beyond their own entitlements: it does not count here.
    pub(super) beyond: i64,
    pub(super) entitlement: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reservation: Option<i64>,
    /// What is missing for the admission; 0 once admitted.
    pub(super) short: i64,
}

/// A condition of the pod.
#[derive(Debug, Serialize)]
pub(super) struct ConditionRow {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
}

/// The figures on which the admission was decided.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DecisionRecord {
    pub(super) epoch: i64,
    /// How many pods were admitted together.
    pub(super) pods: usize,
    pub(super) figures: Vec<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) released_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
}

/// Entitlement and usage of one pool just before the admission, and what came on top.
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

/// An event about the pod.
#[derive(Debug, Serialize)]
pub(super) struct EventRow {
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
