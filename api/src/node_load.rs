//! `NodeLoad`: how busy one node is.
//!
//! The agent of the node writes it and the scheduler host reads it. It is an object of its own, because an
//! annotation on the Node would need the right to patch nodes, send the whole Node to every watcher and
//! retry every rejected pod.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What was measured on the node. There is no status: the whole object is an observation.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "NodeLoad",
    shortname = "nl",
    category = "weir",
    derive = "PartialEq",
    doc = "How busy the node of the same name is. Written by the agent of that node alone, which a policy checks.",
    printcolumn(name = "CPU", type_ = "string", json_path = ".spec.usage.cpu"),
    printcolumn = r#"{"name":"Memory", "type":"string", "jsonPath":".spec.usage.memory"}"#,
    printcolumn(name = "Window", type_ = "integer", json_path = ".spec.windowSeconds"),
    printcolumn(name = "Sampled", type_ = "date", json_path = ".spec.sampleTime")
)]
pub struct NodeLoadSpec {
    /// When the window ended, by the clock of the node. A reader takes a sample that is too old as if there
    /// were none: no figure is neutral, never zero.
    pub sample_time: Time,
    /// The length of the window that the figures are averages over, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub window_seconds: i32,
    /// What all processes of the node used on average in the window, by resource: `cpu` in cores, `memory`
    /// in bytes of working set, `nvidia.com/gpu` in devices fully busy.
    #[schemars(schema_with = "schema::quantities")]
    pub usage: BTreeMap<String, Quantity>,
}
