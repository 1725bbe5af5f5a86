//! The pods that belong to a RayCluster, and what the queue is told of them.
//!
//! A pod belongs to the RayCluster that controls it. The pod by which a RayJob is submitted is controlled by a Job, as is
//! the one that cleans up after a cluster; neither is ever part of the gang, whatever its labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weir_api::names;
use weir_api::round::MAX_ENTRIES;
use weir_queue::{GangKey, Membership, Obstacle, Part, Phase, Pod, Uid};

use super::needs::{Group, Needs};
use super::watch::RayCluster;
use crate::convert::name::NamespacedName;

/// The kind and the API group of the controller of such a pod.
const KIND: (&str, &str) = ("RayCluster", "ray.io/");

/// What a pod says of the RayCluster that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Namespace and name of the RayCluster.
    pub cluster: NamespacedName,
    /// Its UID: one that was deleted and made again under its name is another gang.
    pub owner: Uid,
    /// The worker group; none for the head.
    pub group: Option<String>,
    /// Whether the pod says whose job it works for.
    pub has_job: bool,
}

/// The RayCluster that a pod belongs to, if it belongs to one and gangs are asked for by it: by the pod, by
/// its namespace or, as `pool_says`, by its pool, in this order.
#[must_use]
pub fn member(pod: &ObjectMeta, namespace: &ObjectMeta, pool_says: Option<&str>) -> Option<Member> {
    let said = |meta: &ObjectMeta| meta.annotations.as_ref()?.get(names::GANG_BY).cloned();
    let by = said(pod).or_else(|| said(namespace)).or_else(|| pool_says.map(str::to_owned));
    if by.as_deref() != Some(names::RAY_CLUSTER) {
        return None;
    }
    let owner = pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    if owner.kind != KIND.0 || !owner.api_version.starts_with(KIND.1) {
        return None;
    }
    let empty = BTreeMap::new();
    let labels = pod.labels.as_ref().unwrap_or(&empty);
    let head = labels.get(names::RAY_NODE_TYPE).is_some_and(|kind| kind == names::RAY_HEAD);
    let group = labels.get(names::RAY_GROUP).cloned().unwrap_or_default();
    Some(Member {
        cluster: NamespacedName::new(pod.namespace.clone().unwrap_or_default(), &*owner.name),
        owner: owner.uid.parse().ok()?,
        group: (!head).then_some(group),
        has_job: labels.contains_key(names::JOB),
    })
}

impl Member {
    /// Makes a pod part of the gang of its RayCluster, or says why that cannot be done now. A pod that
    /// announces a gang of its own, or that something else is in the way of, stays as it is.
    pub fn join(&self, pod: &mut Pod, cluster: Option<&RayCluster>) {
        if pod.gang.is_some() {
            return;
        }
        match self.needs(cluster) {
            Ok(needs) => pod.gang = Some(self.membership(needs)),
            Err(obstacle) if pod.phase == Phase::Waiting && pod.obstacle.is_none() => pod.obstacle = Some(obstacle),
            Err(_) => {}
        }
    }

    fn needs<'a>(&self, cluster: Option<&'a RayCluster>) -> Result<&'a Needs, Obstacle> {
        let name = &self.cluster.name;
        let unknown = |sentence: String| Obstacle::GangUnknown(format!("RayCluster {name:?} {sentence}"));
        let found = cluster.filter(|cluster| cluster.uid == self.owner);
        let found =
            found.ok_or_else(|| unknown("is not known (yet), so nobody can say how large its gang is".into()))?;
        let needs = found.needs.as_ref().map_err(|sentence| unknown(sentence.clone()))?;
        if u64::from(needs.size) > MAX_ENTRIES {
            return Err(Obstacle::Misconfigured(format!(
                "RayCluster {name:?} needs {} pods at once, and at most {MAX_ENTRIES} can be admitted in one piece; \
                 lower replicas, or minReplicas with autoscaling",
                needs.size
            )));
        }
        Ok(needs)
    }

    fn membership(&self, needs: &Needs) -> Membership {
        let Self { cluster: NamespacedName { namespace, name }, owner, group, has_job: _ } = self;
        let part = match group {
            None => Part { name: "head".to_owned(), needed: 1, step: 1 },
            Some(group) => {
                // Of a group that is no more nothing is needed.
                let Group { needed, hosts } = needs.groups.get(group).copied().unwrap_or(Group { needed: 0, hosts: 1 });
                Part { name: format!("worker {group}"), needed, step: hosts }
            }
        };
        let key = GangKey { namespace: namespace.clone(), name: name.clone(), owner: Some(*owner) };
        Membership { gang: Arc::new(key), size: needs.size, at_most: None, part: Some(Arc::new(part)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use weir_queue::{PodShape, Time};

    const OWNER: &str = "0b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61";
    const BY_RAY: Option<&str> = Some("ray.io/cluster");

    /// A worker of group `gpu` as KubeRay makes it, with this changed.
    fn worker(change: Value) -> ObjectMeta {
        let mut meta = json!({
            "namespace": "team",
            "labels": { "ray.io/cluster": "train", "ray.io/node-type": "worker", "ray.io/group": "gpu" },
            "ownerReferences": [{ "apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "train", "uid": OWNER,
                "controller": true }],
        });
        json_patch::merge(&mut meta, &change);
        serde_json::from_value(meta).unwrap()
    }

    fn says(gang_by: &str) -> ObjectMeta {
        serde_json::from_value(json!({ "annotations": { "weir.dev/gang-by": gang_by } })).unwrap()
    }

    fn waiting() -> Pod {
        Pod {
            uid: Uid::new(1),
            pool: "research".into(),
            priority: 0,
            created: Time::ZERO,
            preemptible: true,
            gang: None,
            shape: Arc::new(PodShape::default()),
            phase: Phase::Waiting,
            obstacle: None,
            back_off: None,
            controlled: true,
        }
    }

    fn cluster(uid: &str, spec: Value) -> RayCluster {
        RayCluster { uid: uid.parse().unwrap(), needs: super::super::needs::needs(&spec), job: None }
    }

    #[test]
    fn the_pod_asks_before_its_namespace_and_that_before_its_pool() {
        let silent = ObjectMeta::default();
        let is = |pod: &ObjectMeta, namespace: &ObjectMeta, pool| member(pod, namespace, pool).is_some();
        assert!(is(&worker(json!({})), &silent, BY_RAY));
        assert!(!is(&worker(json!({})), &silent, None));
        assert!(is(&worker(json!({})), &says("ray.io/cluster"), None));
        assert!(!is(&worker(json!({})), &says("team"), BY_RAY));
        let own = json!({ "annotations": { "weir.dev/gang-by": "ray.io/cluster" } });
        assert!(is(&worker(own), &says("team"), None));
    }

    #[test]
    fn only_what_a_ray_cluster_controls_belongs_to_it() {
        let of = |owner: Value| member(&worker(json!({ "ownerReferences": owner })), &ObjectMeta::default(), BY_RAY);
        let submitter =
            json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": OWNER, "controller": true }]);
        assert_eq!(of(submitter), None, "it carries the label here, and is none all the same");
        assert_eq!(of(json!([])), None);
        let foreign = json!([{ "apiVersion": "example.com/v1", "kind": "RayCluster", "name": "t", "uid": OWNER, "controller": true }]);
        assert_eq!(of(foreign), None);
    }

    #[test]
    fn head_and_workers_are_parts_of_one_gang() {
        let spec = json!({ "workerGroupSpecs": [{ "groupName": "gpu", "replicas": 2, "numOfHosts": 2 }] });
        let train = cluster(OWNER, spec);
        let joined = |meta: ObjectMeta| {
            let mut pod = waiting();
            member(&meta, &ObjectMeta::default(), BY_RAY).unwrap().join(&mut pod, Some(&train));
            pod.gang.unwrap()
        };
        let worker = joined(worker(json!({})));
        assert_eq!((worker.size, worker.gang.name.as_str()), (5, "train"));
        assert_eq!(*worker.part.unwrap(), Part { name: "worker gpu".into(), needed: 4, step: 2 });
        let head = joined(super::tests::worker(
            json!({ "labels": { "ray.io/node-type": "head", "ray.io/group": "headgroup" } }),
        ));
        assert_eq!(*head.part.unwrap(), Part { name: "head".into(), needed: 1, step: 1 });
        let gone = joined(super::tests::worker(json!({ "labels": { "ray.io/group": "renamed" } })));
        assert_eq!(gone.part.unwrap().needed, 0);
        assert_eq!(head.gang, worker.gang);
    }

    #[test]
    fn a_pod_whose_cluster_is_not_known_waits_and_says_so() {
        let sentence = |known: Option<&RayCluster>| {
            let mut pod = waiting();
            member(&worker(json!({})), &ObjectMeta::default(), BY_RAY).unwrap().join(&mut pod, known);
            assert_eq!(pod.gang, None);
            match pod.obstacle {
                Some(Obstacle::GangUnknown(sentence) | Obstacle::Misconfigured(sentence)) => sentence,
                other => format!("{other:?}"),
            }
        };
        assert!(sentence(None).starts_with("RayCluster \"train\" is not known (yet)"));
        let another = cluster("1b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61", json!({}));
        assert!(sentence(Some(&another)).contains("is not known"), "one of the same name made later");
        let huge = cluster(OWNER, json!({ "workerGroupSpecs": [{ "replicas": 5000 }] }));
        assert!(sentence(Some(&huge)).contains("needs 5001 pods at once, and at most 4096"));
    }

    #[test]
    fn a_gang_that_the_pods_announce_themselves_is_kept() {
        let key = GangKey { namespace: "team".into(), name: "own".into(), owner: None };
        let own = Membership { gang: Arc::new(key), size: 7, at_most: None, part: None };
        let mut pod = Pod { gang: Some(own.clone()), ..waiting() };
        member(&worker(json!({})), &ObjectMeta::default(), BY_RAY).unwrap().join(&mut pod, None);
        assert_eq!((pod.gang, pod.obstacle), (Some(own), None));
    }
}
