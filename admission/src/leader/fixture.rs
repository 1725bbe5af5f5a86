//! What the tests of the leader are made from: clocks, pods, admissions. No API server.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use weir_api::names;
use weir_queue::{Admission, Grounds, Time, Uid};

use super::watch_state::pod_cache::{Gang, PodCache, PodState, Stage};
use crate::client::Target;
use crate::clock::Now;
use crate::convert::name::NamespacedName;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

/// Both clocks, this many seconds after they began.
pub(super) fn now(seconds: u64) -> Now {
    Now { time: at(seconds), instant: *BEGAN + Duration::from_secs(seconds) }
}

pub(super) const fn uid(number: u128) -> Uid {
    Uid::new(number)
}

/// A pod of pool `research` in namespace `team` that waits.
pub(super) fn waiting(number: u128) -> PodState {
    PodState {
        target: Target {
            namespace: "team".to_owned(),
            name: format!("p{number}"),
            uid: uid(number).to_string(),
            version: "7".to_owned(),
            gates: vec![names::GATE.to_owned()],
        },
        pool: "research".into(),
        gang: None,
        created: at(1),
        stage: Stage::Waiting,
        admitted: None,
        preempted: None,
        condition_written: Time::ZERO,
        owner: None,
        verdict: None,
        labels: None,
        words: None,
    }
}

/// The same as a member of this gang.
pub(super) fn member(number: u128, gang: &str, size: u32) -> PodState {
    PodState { gang: Some(Gang { name: NamespacedName::new("team", gang), size }), ..waiting(number) }
}

/// The same with a node.
pub(super) fn placed(number: u128) -> PodState {
    PodState { stage: Stage::Placed, ..waiting(number) }
}

pub(super) fn cache(pods: impl IntoIterator<Item = PodState>) -> PodCache {
    let mut cache = PodCache::default();
    for state in pods {
        if let Ok(uid) = state.target.uid.parse() {
            cache.insert(uid, state);
        }
    }
    cache
}

/// The admission of these pods to `research`.
pub(super) fn admission(round: u64, pods: impl IntoIterator<Item = u128>) -> Admission {
    Admission {
        round,
        pods: pods.into_iter().map(|pod| (uid(pod), None)).collect(),
        pool: "research".to_owned(),
        amounts: Vec::new(),
        grounds: Grounds::WithinEntitlement,
        decided_on: Vec::new(),
        would_have: None,
    }
}
