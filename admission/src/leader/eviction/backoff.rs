//! Owners back off whose pods were evicted for not being placed in time (B7), longer each time, and get an event.
//!
//! A controller makes an evicted pod again at once, so without a pause evicting would never end. How long an owner
//! backs off stands in the record, written before the first of its pods goes; a new leader reads it there.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_api::round::BackOff;
use weir_queue::{Cause, Eviction, Time, Uid};

use crate::client::Target;
use crate::config::Cycle;
use crate::convert::{moment, time};
use crate::leader::watch_state::pod_cache::PodCache;

/// An event that the owner at the top of a pod's chain of controllers gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) struct OwnerEvent {
    /// The pod.
    pub(in crate::leader) target: Target,
    /// The sentence.
    pub(in crate::leader) message: String,
}

/// Lets the owners of pods back off that are evicted for not being placed; once for all pods of an owner.
pub(in crate::leader) fn back_off(
    back_offs: &mut BTreeMap<Uid, BackOff>,
    eviction: &Eviction,
    pods: &PodCache,
    config: &Cycle,
    now: Time,
) -> Vec<OwnerEvent> {
    if !matches!(eviction.cause, Cause::PlacementTimeout { .. }) {
        return Vec::new();
    }
    let (first, most) = (Duration::from(config.back_off_first), Duration::from(config.back_off_most));
    back_offs.retain(|_, it| now.since(time(&it.until)) < most);
    let states = eviction.victims.iter().filter_map(|victim| pods.get(victim.uid));
    let mut owners: BTreeMap<Uid, &Target> = BTreeMap::new();
    for state in states {
        if let Some(owner) = state.owner {
            owners.entry(owner).or_insert(&state.target);
        }
    }
    let told = owners.into_iter().map(|(owner, target)| {
        let next = longer(back_offs.get(&owner), owner, now, first, most);
        back_offs.insert(owner, next);
        OwnerEvent { target: target.clone(), message: format!("pod {}: {eviction}", target.name) }
    });
    told.collect()
}

/// How long a pod backs off that was made at this time by this owner.
pub(in crate::leader) fn of_pod(
    back_offs: &BTreeMap<Uid, BackOff>,
    owner: Uid,
    created: Time,
) -> Option<weir_queue::BackOff> {
    let BackOff { owner: _, since, until, times } = back_offs.get(&owner)?;
    // Pods that were there before are not those that the controller made instead.
    (created >= time(since))
        .then(|| weir_queue::BackOff { until: time(until), times: u32::try_from(*times).unwrap_or(u32::MAX) })
}

/// How long an owner backs off from now on: twice as long as the last time.
fn longer(before: Option<&BackOff>, owner: Uid, now: Time, first: Duration, most: Duration) -> BackOff {
    let times = before.map_or(0, |before| before.times).saturating_add(1);
    let doublings = u32::try_from(times - 1).unwrap_or(0).min(30);
    let span = first.saturating_mul(1 << doublings).min(most);
    // Creation times are whole seconds, so a pod that was made in this second is a new one.
    let since = moment(Time::from_millis(now.millis() / 1000 * 1000));
    BackOff { owner: owner.to_string(), since, until: moment(now.after(span)), times }
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

    #[test]
    fn a_pod_that_was_there_before_does_not_back_off() {
        let now = Time::from_millis(10_500);
        let once = longer(None, Uid::new(1), now, Duration::from_secs(60), Duration::from_secs(3600));
        let back_offs = BTreeMap::from([(Uid::new(1), once)]);
        let until = |created| of_pod(&back_offs, Uid::new(1), Time::from_millis(created)).map(|it| it.until.millis());
        assert_eq!([until(9_999), until(10_000)], [None, Some(70_500)]);
    }
}
