//! When kube-scheduler showed that it works. While it does not, the time of admitted pods without a node stands
//! still (B7).

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use weir_queue::Time;

use crate::config::Cycle;
use crate::convert::time;

/// How close two moments may be to count as one, in milliseconds.
const GRAIN: u64 = 10_000;

/// The moments of progress that the queue was told of, to a few seconds.
#[derive(Debug, Default)]
pub(crate) struct SchedulerLiveness {
    marks: BTreeSet<u64>,
}

impl SchedulerLiveness {
    /// Whether this moment is news: recent enough to matter and not told yet.
    pub(crate) fn is_news(&mut self, at: Time, config: &Cycle, now: Time) -> bool {
        let useful = Duration::from(config.placement_timeout) * 2 + Duration::from(config.scheduler_patience) * 2;
        if now.since(at) > useful || !self.marks.insert(at.millis() / GRAIN) {
            return false;
        }
        let oldest = now.millis().saturating_sub(u64::try_from(useful.as_millis()).unwrap_or(u64::MAX)) / GRAIN;
        self.marks = self.marks.split_off(&oldest);
        true
    }
}

/// When the scheduler last said something of a pod: it was bound, or no node was found for it. This also shows what
/// happened before this leader watched.
pub(crate) fn progress_on(pod: &Pod) -> Option<Time> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let by_scheduler = conditions.iter().find(|one| {
        one.type_ == "PodScheduled" && (one.status == "True" || one.reason.as_deref() == Some("Unschedulable"))
    })?;
    by_scheduler.last_transition_time.as_ref().map(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn progress_is_news_once_in_ten_seconds_and_while_it_matters() {
        let (mut liveness, config) = (SchedulerLiveness::default(), Cycle::default());
        let mut is_news = |moment: u64, now: u64| liveness.is_news(at(moment), &config, at(now));
        assert!(is_news(10_000, 10_000));
        assert!(!is_news(10_001, 10_001));
        assert!(is_news(10_010, 10_010));
        // Twice the placement timeout and the patience: 25 and 6 minutes.
        assert!(is_news(11_000, 11_000 + 3720));
        assert!(!is_news(11_010, 11_010 + 3721));
    }

    #[test]
    fn a_pod_shows_that_it_was_bound_or_that_no_node_was_found() {
        let pod = |condition: serde_json::Value| {
            let pod = json!({ "status": { "conditions": [condition] } });
            progress_on(&serde_json::from_value(pod).unwrap())
        };
        let moment = "1970-01-01T00:00:09Z";
        let condition = |status: &str, reason: &str| json!({ "type": "PodScheduled", "status": status, "reason": reason, "lastTransitionTime": moment });
        assert_eq!(pod(condition("True", "")), Some(at(9)));
        assert_eq!(pod(condition("False", "Unschedulable")), Some(at(9)));
        assert_eq!(pod(condition("False", "SchedulingGated")), None);
    }
}
