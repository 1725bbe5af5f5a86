//! The pods that wait: for admission, for which reasons and in which gangs; for a node, and why the scheduler found none.

use std::collections::BTreeMap;

use super::pod::{GangOf, Gate, PodState};
use super::refusal::{self, Reason};
use super::state::ClusterState;
use crate::At;

/// How many pods wait for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReason {
    /// The word of the condition; `None` for pods that the sidecar has not looked at yet.
    pub reason: Option<String>,
    /// Pods.
    pub pods: usize,
}

/// A gang that waits for members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GangRow {
    /// Its name.
    pub name: String,
    /// Members that wait.
    pub created: usize,
    /// Members that it announces.
    pub size: usize,
    /// When the first of those that wait was told of.
    pub since: At,
}

/// The pods that wait for admission, each with its gate.
pub fn gated(cluster: &ClusterState) -> impl Iterator<Item = (&PodState, &Gate)> {
    cluster.pods().filter_map(|pod| Some((pod, pod.waits_behind()?)))
}

/// Why pods wait: reasons of most pods first, then by name.
#[must_use]
pub fn reasons(cluster: &ClusterState) -> Vec<WaitReason> {
    let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for (_, gate) in gated(cluster) {
        *counts.entry(gate.reason.as_deref()).or_default() += 1;
    }
    let row = |(reason, pods): (Option<&str>, usize)| WaitReason { reason: reason.map(str::to_owned), pods };
    let mut reasons: Vec<WaitReason> = counts.into_iter().map(row).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.pods));
    reasons
}

/// Why the scheduler found no node for pods, most pods first.
#[must_use]
pub fn refusals(cluster: &ClusterState) -> Vec<Reason> {
    refusal::grouped(cluster.pods().filter(|pod| pod.waits()).filter_map(|pod| pod.refusal.as_ref()))
}

/// The gangs that are not whole: those that miss fewest first, then those that wait longest.
#[must_use]
pub fn gangs(cluster: &ClusterState) -> Vec<GangRow> {
    let mut rows: BTreeMap<&str, GangRow> = BTreeMap::new();
    for (pod, _) in gated(cluster) {
        let Some(GangOf { name, size }) = &pod.pod.gang else { continue };
        let new = || GangRow { name: name.clone(), created: 0, size: *size, since: pod.since };
        let row = rows.entry(name).or_insert_with(new);
        row.created += 1;
        row.since = row.since.min(pod.since);
    }
    let mut rows: Vec<GangRow> = rows.into_values().filter(|row| row.created < row.size).collect();
    rows.sort_by_key(|row| (row.size - row.created, row.since));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::pod::Pod;
    use crate::cluster_state::{Change, What};
    use crate::example::{NOW, gated as waits_for, gone, looked_at_by_nobody, pod, seen};

    #[test]
    fn reasons_are_counted_and_a_pod_has_the_one_it_was_told_last() {
        let mut cluster = seen([
            looked_at_by_nobody(pod("p", 1, 1)),
            waits_for("WaitingForQuota", pod("q", 1, 1)),
            waits_for("WaitingForQuota", pod("r", 1, 1)),
        ]);
        let reason = |reason: Option<&str>, pods| WaitReason { reason: reason.map(Into::into), pods };
        assert_eq!(reasons(&cluster), [reason(Some("WaitingForQuota"), 2), reason(None, 1)]);
        cluster.apply(NOW, waits_for("PoolHeld", pod("p", 1, 1)));
        cluster.apply(NOW, gone("q"));
        assert_eq!(reasons(&cluster), [reason(Some("PoolHeld"), 1), reason(Some("WaitingForQuota"), 1)]);
    }

    #[test]
    fn a_gang_waits_for_members_until_all_are_there_and_is_told_whole_once() {
        let mut cluster = ClusterState::default();
        let gang = GangOf { name: "g".into(), size: 3 };
        let of = |key: &str| {
            let member = Pod { gang: Some(GangOf { name: "g".into(), size: 3 }), ..pod(key, 1, 1) };
            waits_for("WaitingForGang", member)
        };
        let made_whole = |cluster: &mut ClusterState, second, change: Change| {
            cluster
                .apply(At::from_secs(second), change)
                .into_iter()
                .any(|news| news.what == What::MadeWhole(gang.clone()))
        };
        assert!(!made_whole(&mut cluster, 1, of("a")));
        assert!(!made_whole(&mut cluster, 2, of("a")), "told again");
        assert!(!made_whole(&mut cluster, 3, of("b")));
        assert_eq!(gangs(&cluster), [GangRow { name: "g".into(), created: 2, size: 3, since: At::from_secs(1) }]);
        assert!(made_whole(&mut cluster, 9, of("c")));
        assert!(!made_whole(&mut cluster, 9, of("c")));
        assert_eq!(gangs(&cluster), []);
    }
}
