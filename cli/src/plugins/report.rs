//! What each replica of the scheduler says it has in force: the documents, read from their ConfigMaps.
//!
//! The scheduler's `report` package writes them and explains every field. A field that this version does not know is
//! left out, one that is missing is empty: replicas of several releases may run at once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use weir_api::names;

/// What one replica says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) replica: String,
    pub(super) renewed_at: Time,
    #[serde(default)]
    pub(super) plugins: Vec<Plugin>,
}

/// A plugin in a profile.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plugin {
    pub(super) plugin: String,
    #[serde(default)]
    pub(super) profile: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) version: String,
    pub(super) mode: String,
    pub(super) source: String,
    pub(super) since: Time,
    #[serde(default)]
    pub(super) points: BTreeMap<String, Point>,
    #[serde(default)]
    pub(super) memo_hit_rate: f64,
    #[serde(default)]
    pub(super) traps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_swap: Option<Swap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config_map: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) candidate: Option<Candidate>,
    #[serde(default)]
    pub(super) log: Vec<Entry>,
}

/// Answers at one extension point.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) calls: u64,
    pub(super) remembered: u64,
    /// Of those that were not remembered, in microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// The last attempt to replace a module or its configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Swap {
    pub(super) result: String,
    pub(super) at: Time,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// A module in the shadow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub(super) digest: String,
    #[serde(default)]
    pub(super) version: String,
    pub(super) since: Time,
    #[serde(default)]
    pub(super) comparisons: u64,
    #[serde(default)]
    pub(super) disagreements: u64,
    #[serde(default)]
    pub(super) failures: u64,
    #[serde(default)]
    pub(super) skipped: u64,
    #[serde(default)]
    pub(super) examples: Vec<Example>,
}

/// A disagreement.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Example {
    pub(super) at: Time,
    pub(super) point: String,
    pub(super) pod: String,
    #[serde(default)]
    pub(super) node: String,
    pub(super) in_force: String,
    pub(super) candidate: String,
}

/// Something that happened to a plugin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) at: Time,
    pub(super) event: String,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// How a swap ended.
pub(super) const REFUSED: &str = "Refused";
/// See [`REFUSED`].
pub(super) const ROLLED_BACK: &str = "RolledBack";

/// A report renewed so many seconds before the newest one is that of a replica that is gone: they renew every 30.
const GONE_AFTER: i64 = 75;

impl Report {
    /// The report in a ConfigMap, if it is one.
    pub(super) fn of(object: &ConfigMap) -> Option<Self> {
        serde_json::from_str(object.data.as_ref()?.get(names::REPORT_KEY)?).ok()
    }

    /// What the replica says of this plugin, in all profiles.
    pub(super) fn about(&self, plugin: &str) -> impl Iterator<Item = &Plugin> {
        self.plugins.iter().filter(move |row| row.plugin == plugin)
    }
}

/// The reports of the replicas that are there, by their own clocks and not by ours.
pub(super) fn living(reports: &[Report]) -> impl Iterator<Item = &Report> {
    let newest = reports.iter().map(|report| report.renewed_at.0.as_second()).max().unwrap_or_default();
    reports.iter().filter(move |report| newest - report.renewed_at.0.as_second() <= GONE_AFTER)
}
