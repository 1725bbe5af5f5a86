//! Pods of RayClusters: they join their gang when they are read, and again when the RayCluster changes.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weir_api::names;
use weir_queue::{Event, Uid};

use super::{Term, WriteResult};
use crate::client::label;
use crate::leader::pod_cache::PodState;
use crate::watch::ray::{Member, member::member};

impl Term<'_> {
    /// Makes a pod that was read part of the gang of its RayCluster, if it belongs to one and that is asked for.
    pub(super) fn join_ray(&mut self, written: &Pod, namespace: &ObjectMeta, pod: &mut weir_queue::Pod) {
        let says = self.context.caches.defaults(&pod.pool).and_then(|defaults| defaults.gang_by);
        let Some(member) = member(&written.metadata, namespace, says.as_deref()) else {
            return self.roster.remove(pod.uid);
        };
        self.roster.insert(&member, pod);
        self.join(&member, pod);
    }

    /// A RayCluster says something else of its pods, or is known only now; whether there is something to decide.
    pub(super) fn rays_changed(&mut self) -> bool {
        let mut any = false;
        for key in self.context.caches.rays().take_changed() {
            let pods: Vec<(Member, weir_queue::Pod)> = self.roster.of(&key).cloned().collect();
            for (member, mut pod) in pods {
                self.join(&member, &mut pod);
                let Some(mut known) = self.pods.get(pod.uid).cloned() else { continue };
                (known.gang, known.size) = PodState::gang_of(&pod);
                self.remember(pod.uid, known);
                self.name_job(pod.uid);
                self.events.push(Event::Pod(pod));
                any = true;
            }
        }
        any
    }

    fn join(&self, member: &Member, pod: &mut weir_queue::Pod) {
        let cluster = self.context.caches.rays().get(&member.key());
        member.join(pod, cluster.as_deref());
    }

    /// Writes whose job a pod works for, which KubeRay leaves on the RayCluster, to where figures are joined.
    pub(super) fn name_job(&self, uid: Uid) {
        let (Some(member), Some(known)) = (self.roster.member(uid), self.pods.get(uid)) else { return };
        if member.has_job {
            return;
        }
        let cluster = self.context.caches.rays().get(&member.key()).filter(|cluster| cluster.uid == member.owner);
        let Some(job) = cluster.and_then(|cluster| cluster.job.clone()) else { return };
        let (client, target) = (self.context.client.clone(), known.target.clone());
        self.spawn(async move { WriteResult::Other(label(&client, &target, names::JOB, &job).await) });
    }

    /// Remembers a pod, and that its gang, also the one before, is to be reported.
    pub(super) fn remember(&mut self, uid: Uid, known: PodState) {
        self.report.touch(known.gang.as_ref());
        let before = self.pods.insert(uid, known);
        self.report.touch(before.and_then(|before| before.gang).as_ref());
    }
}
