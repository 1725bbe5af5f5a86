//! `AdmissionRound`: what is about to be done, written down before it is done.
//!
//! Preconditions on single pods cannot guard a sum, so the leader records a whole round in one object by
//! compare-and-swap. Every leader counts what it names as used; a deposed leader fails at the write;
//! the next one finishes exactly what is recorded. An entry leaves when the watch shows it true.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, NAME, rule};

/// What is recorded. Only the sidecar's leader writes it, always with the resource version it read.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "AdmissionRound",
    category = "weir",
    derive = "PartialEq",
    derive = "Default",
    doc = "What the admission sidecar is about to do. There is one, named weir; only the sidecar writes it.",
    validation = Rule::new("self.metadata.name == 'weir'").message("there is one AdmissionRound and its name is weir"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".spec.epoch"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".spec.holder"),
    printcolumn(name = "Recorded", type_ = "date", json_path = ".spec.recorded")
)]
#[schemars(extend("x-kubernetes-validations" = [rule("self.epoch >= oldSelf.epoch", "epoch only grows")]))]
pub struct AdmissionRoundSpec {
    /// One more for each round that was recorded; never falls.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Which replica recorded it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub holder: String,
    /// When it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Time>,
    /// What the entitlements follow from that [`admissions`](Self::admissions) of this epoch were decided on:
    /// capacity, pools, usage and demand as JSON, in the form that `weir entitlement --tree` reads. Left out
    /// where nothing new is admitted, and where it would be longer than [`MAX_INPUTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_INPUTS))]
    pub inputs: Option<String>,
    /// Pods whose gate is about to go. All members of a gang stand in the same round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("x-kubernetes-list-type" = "atomic"))]
    pub admissions: Vec<Admission>,
    /// What is kept, on nodes and in quotas, for the workload that waited longest or for which it was freed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("x-kubernetes-list-type" = "atomic"))]
    pub claims: Vec<Claim>,
    /// Pods that are about to be evicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("x-kubernetes-list-type" = "atomic"))]
    pub victims: Vec<Victim>,
    /// Owners that back off after their pods were not placed in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), extend("x-kubernetes-list-type" = "atomic"))]
    pub back_offs: Vec<BackOff>,
}

/// How many pods one round may name: what fits into one object of etcd (1.5 MiB) with room to spare. It
/// is also the largest gang.
pub const MAX_ENTRIES: u64 = 4096;

/// How long [`AdmissionRoundSpec::inputs`] may be, in bytes: some hundreds of pools.
pub const MAX_INPUTS: u64 = 131_072;

/// How many bytes of JSON a record may have, a gang of [`MAX_ENTRIES`] included: a third of what etcd takes, because the
/// API server stores beside it who owns which field.
pub const MAX_BYTES: usize = 512 * 1024;

/// How many pods are recorded together where none of their gangs is larger.
pub const TOGETHER: u64 = 1024;
/// How many pods may be about to be evicted at once, each with its sentence. A larger gang goes in several records,
/// one after the other; the pods that go for a claim stand in [`Claim::victims`] from the first of them.
pub const MAX_VICTIMS: u64 = 256;
/// How many owners back off in the record: those that do so longest.
pub const MAX_BACK_OFFS: usize = 1024;
/// How many bytes the sentence of a victim may have.
pub const MAX_SENTENCE: usize = 512;

/// Pods whose gate is about to go: a gang, or pods of one namespace and pool that stand alone. The pods are named once,
/// by UID, and everything that they have in common once, so that a record of the largest gang is small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// Their namespace.
    #[schemars(length(max = NAME))]
    pub namespace: String,
    /// The gang that they belong to; empty for pods that stand alone. A gang is finished whole or dropped whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub gang: String,
    /// The pool that they count in.
    #[schemars(length(max = NAME))]
    pub pool: String,
    /// The reason that their condition will carry.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What they counted for together when they were decided, by dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub amounts: BTreeMap<String, Quantity>,
    /// Their UIDs.
    #[schemars(
        length(min = 1, max = MAX_ENTRIES),
        inner(length(max = 64)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub pods: Vec<String>,
}

/// What is kept until the claimant is admitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The UIDs of the pods that it is for, the whole of a gang.
    #[schemars(length(min = 1, max = MAX_ENTRIES), inner(length(max = 64)))]
    pub claimant: Vec<String>,
    /// Their pool.
    #[schemars(length(max = NAME))]
    pub pool: String,
    /// What is kept of the quota, by dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub amounts: BTreeMap<String, Quantity>,
    /// The nodes on which room is kept, one for each pod, so that a node may stand several times; empty for
    /// a claim on quota alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), inner(length(max = 253)))]
    pub nodes: Vec<String>,
    /// What a claim from patience keeps on these nodes so far: what was freed there since it waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES))]
    pub held: Vec<Held>,
    /// The UIDs of the pods that make room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ENTRIES), inner(length(max = 64)))]
    pub victims: Vec<String>,
}

/// What a claim keeps on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The node.
    #[schemars(length(max = 253))]
    pub node: String,
    /// How much of each resource.
    #[schemars(schema_with = "schema::quantities")]
    pub amounts: BTreeMap<String, Quantity>,
}

/// A pod that is about to be evicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Victim {
    /// The pod; only the one with this UID is meant.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Its namespace.
    #[schemars(length(max = NAME))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its pool.
    #[schemars(length(max = NAME))]
    pub pool: String,
    /// The claimant: the UID of the first pod of a [`Claim::claimant`]; empty when a pool is drained.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub claimant: String,
    /// Not before this moment: the end of the notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The reason that its condition carries before it goes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The sentence of that condition, so that a new leader says the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MAX_SENTENCE))]
    pub message: String,
}

/// An owner that backs off because pods of it were not placed in time and killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackOff {
    /// The UID of the controller that makes the pods.
    #[schemars(length(min = 1, max = 64))]
    pub owner: String,
    /// When its pods were killed last; those that it made before do not back off.
    pub since: Time,
    /// Until when the pods that it made since wait.
    pub until: Time,
    /// How often its pods were killed in a row.
    #[schemars(range(min = 1))]
    pub times: i64,
}
