//! An event as a plugin records it, in the shape in which the host reads it.

use alloc::string::String;

use serde::Serialize;

/// An object that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectReference {
    /// Its kind, such as `Pod`.
    pub kind: String,
    /// Its API version, such as `v1`.
    #[serde(rename = "APIVersion")]
    pub api_version: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty for what is in none.
    pub namespace: String,
    /// Its UID; empty if it does not matter which one of the name.
    #[serde(rename = "UID")]
    pub uid: String,
    /// Its resource version; empty if it does not matter.
    pub resource_version: String,
}

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// Good to know.
    #[default]
    Normal,
    /// An administrator should look.
    Warning,
}

/// A Kubernetes event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// What it is about.
    #[serde(rename = "RegardingReference")]
    pub regarding: ObjectReference,
    /// What else plays a part in it.
    #[serde(rename = "RelatedReference")]
    pub related: ObjectReference,
    /// Whether it is good news.
    #[serde(rename = "Eventtype")]
    pub event_type: EventType,
    /// Why, in one word: `TooHot`.
    pub reason: String,
    /// What was done: `Scoring`.
    pub action: String,
    /// The sentence that a person reads.
    pub note: String,
}
