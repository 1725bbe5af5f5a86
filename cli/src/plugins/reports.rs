//! The ConfigMaps in which the replicas of the scheduler report: listed once, or watched.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use weir_api::names;

use super::report::Report;
use crate::cluster::Cluster;

/// The reports of all replicas, by their names.
pub(super) async fn list(cluster: &Cluster) -> Result<Vec<Report>> {
    let selected = ListParams::default().labels(names::REPORT_SELECTOR);
    let mut reports: Vec<_> =
        cluster.list(api(cluster), "configmaps", selected).await?.iter().filter_map(Report::of).collect();
    reports.sort_by(|a, b| a.replica.cmp(&b.replica));
    Ok(reports)
}

/// All reports, and again after each change of one of them.
pub(super) fn watch(cluster: &Cluster) -> BoxStream<'static, Vec<Report>> {
    let only = watcher::Config::default().labels(names::REPORT_SELECTOR);
    let mut seen: BTreeMap<String, Report> = BTreeMap::new();
    let mut listed = false;
    let told = watcher(api(cluster), only).filter_map(move |event| {
        // After an error the watch begins again by itself, with a list.
        if let Ok(event) = event {
            listed |= matches!(event, watcher::Event::InitDone);
            take(&mut seen, event);
        }
        std::future::ready(listed.then(|| seen.values().cloned().collect()))
    });
    told.boxed()
}

fn take(seen: &mut BTreeMap<String, Report>, event: watcher::Event<ConfigMap>) {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            if let Some(report) = Report::of(&object) {
                seen.insert(object.name_any(), report);
            }
        }
        watcher::Event::Delete(object) => drop(seen.remove(&object.name_any())),
        watcher::Event::Init | watcher::Event::InitDone => {}
    }
}

fn api(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client.clone(), names::NAMESPACE)
}
