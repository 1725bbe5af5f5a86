//! What follows from killing pods that were not placed in time (B7): their owner backs off, longer each time,
//! and hears of it.
//!
//! A controller makes a killed pod again at once, so without a pause killing would never end. How long an
//! owner backs off stands in the record, written before the first of its pods goes; a new leader reads it there.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use weir_api::condition::Preempted;
use weir_api::round::BackOff;
use weir_queue::{Cause, Eviction, Time, Uid};

use super::{Term, WriteResult};
use crate::client::{About, Outcome, Target, report};
use crate::convert::{moment, time};

/// How many owners up the chain is looked.
const DEPTH: usize = 5;

impl Term<'_> {
    /// Lets the owner of killed pods back off; once for all of a gang.
    pub(super) fn back_off(&mut self, eviction: &Eviction) {
        if !matches!(eviction.cause, Cause::PlacementTimeout { .. }) {
            return;
        }
        let now = super::now();
        let cycle = &self.context.config.cycle;
        let (first, most) = (Duration::from(cycle.back_off_first), Duration::from(cycle.back_off_most));
        self.record.back_offs.retain(|_, it| now.since(time(&it.until)) < most);
        let known = eviction.victims.iter().filter_map(|victim| self.pods.get(victim.uid));
        let owned: Vec<(Uid, Target)> = known.filter_map(|known| Some((known.owner?, known.target.clone()))).collect();
        let mut owners: Vec<Uid> = Vec::new();
        for (owner, target) in owned {
            if owners.contains(&owner) {
                continue;
            }
            owners.push(owner);
            let next = longer(self.record.back_offs.get(&owner), owner, now, first, most);
            self.record.back_offs.insert(owner, next);
            self.tell_owner(target, eviction.to_string());
        }
    }

    /// How long a pod backs off that was made at this moment by this owner.
    pub(super) fn backs_off(&self, owner: Uid, created: Time) -> Option<weir_queue::BackOff> {
        let found = self.record.back_offs.get(&owner)?;
        let BackOff { owner: _, since, until, times } = found;
        // Pods that were there before are not those that the controller made instead.
        (created >= time(since))
            .then(|| weir_queue::BackOff { until: time(until), times: u32::try_from(*times).unwrap_or(u32::MAX) })
    }

    fn tell_owner(&self, target: Target, sentence: String) {
        let client = self.context.client.clone();
        self.spawn(async move {
            let Some(owner) = top_owner(&client, &target).await else { return WriteResult::Other(Outcome::Done) };
            let reason = Preempted::PlacementTimeout.as_str();
            WriteResult::Other(report(&client, &owner, reason, &format!("pod {}: {sentence}", target.name)).await)
        });
    }
}

/// How long an owner backs off from now on: twice as long as the last time.
fn longer(before: Option<&BackOff>, owner: Uid, now: Time, first: Duration, most: Duration) -> BackOff {
    let times = before.map_or(0, |before| before.times).saturating_add(1);
    let doublings = u32::try_from(times - 1).unwrap_or(0).min(30);
    let span = first.saturating_mul(1 << doublings).min(most);
    // Pods are made at whole seconds, as far as they say; one that was made in this second is a new one.
    let since = moment(Time::from_millis(now.millis() / 1000 * 1000));
    BackOff { owner: owner.to_string(), since, until: moment(now.after(span)), times }
}

/// The owner at the top of the chain of controllers above a pod, as far as it may be read.
async fn top_owner(client: &Client, target: &Target) -> Option<About> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let mut next = controller(&pods.get_opt(&target.name).await.ok()??.metadata.owner_references)?;
    let mut top = about(&next, &target.namespace);
    for _ in 0..DEPTH {
        let (group, version) = next.api_version.split_once('/').unwrap_or(("", &next.api_version));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &next.kind));
        let owners: Api<DynamicObject> = Api::namespaced_with(client.clone(), &target.namespace, &kind);
        let Ok(Some(object)) = owners.get_opt(&next.name).await else { break };
        let Some(above) = controller(&Some(object.owner_references().to_vec())) else { break };
        top = about(&above, &target.namespace);
        next = above;
    }
    Some(top)
}

fn controller(owners: &Option<Vec<OwnerReference>>) -> Option<OwnerReference> {
    owners.iter().flatten().find(|owner| owner.controller == Some(true)).cloned()
}

fn about(owner: &OwnerReference, namespace: &str) -> About {
    About {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        namespace: namespace.to_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_backs_off_twice_as_long_each_time_up_to_a_bound() {
        let (first, most) = (Duration::from_secs(60), Duration::from_secs(3600));
        let mut before = None;
        let mut spans = Vec::new();
        for _ in 0..8 {
            let next = longer(before.as_ref(), Uid::new(1), Time::ZERO, first, most);
            spans.push(time(&next.until).millis() / 1000);
            before = Some(next);
        }
        assert_eq!(spans, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }
}
