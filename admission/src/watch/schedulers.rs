//! What the replicas of the placing scheduler report of themselves: which revision of the special hardware they have in
//! force, and that they work.
//!
//! A report is a ConfigMap of its own for each replica, renewed every half minute. A report that was not renewed for two
//! minutes counts no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Moment;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use weir_api::names;
use weir_queue::Time;

use crate::config::Config;
use crate::convert::time;

/// For how long a report holds.
const HOLDS: Duration = Duration::from_secs(120);

/// The reports of all replicas. Clones share them.
#[derive(Clone)]
pub struct Schedulers {
    /// The ConfigMap of special hardware, as `namespace/name`.
    list: Arc<str>,
    reports: Arc<Mutex<BTreeMap<String, Report>>>,
}

/// The report of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    renewed: Time,
    /// The newest revision of the list that one of its plugins has in force.
    revision: Option<u64>,
}

/// The part of a report that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    renewed_at: Moment,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plugin {
    #[serde(default)]
    config_map: String,
    #[serde(default)]
    config_revision: String,
}

impl Schedulers {
    /// Begins to watch; the task ends with `tasks`. `changed` hears of another revision, not of each renewal.
    pub fn start(client: &Client, config: &Config, tasks: &mut JoinSet<()>, changed: &Arc<Notify>) -> Self {
        let list = config.placement.special_hardware.as_str().into();
        let schedulers = Self { list, reports: Arc::default() };
        let api = Api::<ConfigMap>::namespaced(client.clone(), &config.namespace);
        tasks.spawn(schedulers.clone().follow(api, Arc::clone(changed)));
        schedulers
    }

    /// The newest revision of the list of special hardware that a replica has in force.
    #[must_use]
    pub fn in_force(&self, now: Time) -> Option<u64> {
        let holds = |report: &&Report| now.since(report.renewed) < HOLDS;
        self.with(|reports| reports.values().filter(holds).filter_map(|report| report.revision).max())
    }

    /// When a replica last showed that it lives.
    #[must_use]
    pub fn renewed(&self) -> Option<Time> {
        self.with(|reports| reports.values().map(|report| report.renewed).max())
    }

    async fn follow(self, api: Api<ConfigMap>, changed: Arc<Notify>) {
        let reports = watcher::Config::default().labels(names::REPORT_SELECTOR);
        let mut events = std::pin::pin!(watcher(api, reports).default_backoff());
        while let Some(event) = events.next().await {
            let news = match event {
                Ok(watcher::Event::Init) => self.with(|reports| !std::mem::take(reports).is_empty()),
                Ok(watcher::Event::InitDone) => false,
                Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => self.take(&map),
                Ok(watcher::Event::Delete(map)) => self.with(|reports| reports.remove(&map.name_any()).is_some()),
                Err(error) => {
                    tracing::warn!(%error, "watching the schedulers' reports failed; retrying");
                    false
                }
            };
            if news {
                changed.notify_one();
            }
        }
    }

    /// Takes in a report; whether another revision is in force there.
    fn take(&self, map: &ConfigMap) -> bool {
        let Some(report) = read(map, &self.list) else { return false };
        let before = self.with(|reports| reports.insert(map.name_any(), report));
        before.map(|before| before.revision) != Some(report.revision)
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Report>) -> T) -> T {
        look(&mut self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A report, if the ConfigMap is one.
fn read(map: &ConfigMap, list: &str) -> Option<Report> {
    let text = map.data.as_ref()?.get(names::REPORT_KEY)?;
    let Document { renewed_at, plugins } = serde_json::from_str(text).ok()?;
    let follows = plugins.iter().filter(|plugin| plugin.config_map == list);
    let revision = follows.filter_map(|plugin| plugin.config_revision.parse().ok()).max();
    Some(Report { renewed: time(&renewed_at), revision })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(revision: &str, renewed: &str) -> ConfigMap {
        let plugins = json!([{ "plugin": "GPUFilter" },
            { "plugin": "SKUExclusionFilter", "configMap": "weir-system/special-hardware", "configRevision": revision }]);
        let text = json!({ "replica": "a", "renewedAt": renewed, "plugins": plugins }).to_string();
        serde_json::from_value(json!({ "metadata": { "name": "weir-plugins-a" }, "data": { "plugins.json": text } }))
            .unwrap()
    }

    #[test]
    fn a_replica_says_what_is_in_force_until_it_falls_silent() {
        let schedulers = Schedulers { list: "weir-system/special-hardware".into(), reports: Arc::default() };
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        assert!(schedulers.take(&report("41", "1970-01-01T00:10:00Z")), "the first revision is news");
        assert!(!schedulers.take(&report("41", "1970-01-01T00:10:30Z")), "a renewal is none");
        assert!(schedulers.take(&report("105", "1970-01-01T00:11:00Z")));
        assert_eq!((schedulers.in_force(at(700)), schedulers.in_force(at(780))), (Some(105), None));
        assert_eq!(schedulers.renewed(), Some(at(660)));
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        assert_eq!(read(&ConfigMap::default(), "weir-system/special-hardware"), None);
        let other = read(&report("7", "1970-01-01T00:10:00Z"), "elsewhere/list").unwrap();
        assert_eq!(other.revision, None);
    }
}
