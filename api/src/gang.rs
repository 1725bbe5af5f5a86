//! `Gang`: how far pods have come that are admitted together or not at all.
//!
//! The sidecar makes one for each gang it sees and owns every field. Users read it; what they announce
//! stands on the pods.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, NAME};

/// What the members announced.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Gang",
    namespaced,
    category = "weir",
    status = "GangStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Pods that are admitted together or not at all, named after the gang. Made and written by the \
           admission sidecar alone; deleted with the last member.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name of a gang is a label's value and may \
        have at most 63 characters"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Size", type_ = "integer", json_path = ".spec.size"),
    printcolumn(name = "Created", type_ = "integer", json_path = ".status.created"),
    printcolumn(name = "Admitted", type_ = "integer", json_path = ".status.admitted"),
    printcolumn(name = "Placed", type_ = "integer", json_path = ".status.placed"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"weir.dev/Admitted\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct GangSpec {
    /// How many members the pods announce; at least 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub size: i32,
    /// The pool that the members name; empty where they disagree.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = NAME))]
    pub pool: String,
}

/// How far the gang has come; written by the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GangStatus {
    /// Members that exist and have not ended.
    #[serde(default)]
    pub created: i32,
    /// Members whose gate is gone.
    #[serde(default)]
    pub admitted: i32,
    /// Members that have a node.
    #[serde(default)]
    pub placed: i32,
    /// `weir.dev/Admitted` with the reason why the gang waits, in numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What the last admission was decided on, so that a reader can check it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_on: Option<DecidedOn>,
}

/// The figures that an admission was decided on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidedOn {
    /// The epoch of the [`AdmissionRound`](crate::AdmissionRound) that admitted the gang.
    pub epoch: i64,
    /// When the round was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The figures of the gang's pool in each dimension that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub resources: Vec<DecidedResource>,
}

/// The figures of one dimension that an admission was decided on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidedResource {
    /// The dimension.
    pub name: String,
    /// What the pool was entitled to.
    pub entitlement: Quantity,
    /// What it used before.
    pub usage: Quantity,
    /// What was admitted on top of it.
    pub requested: Quantity,
}
