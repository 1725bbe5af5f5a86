//! A Node object as the queue is told of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node as Written, Taint as WrittenTaint};
use weir_entitlement::Exclusion;
use weir_queue::{Effect, Node, Taint, Time};

use super::{amounts, time};
use crate::config::Nodes;

/// The node as it is at `now`, and when it has to be read again although no event will say so.
#[must_use]
pub fn node(written: &Written, config: &Nodes, now: Time) -> (Node, Option<Time>) {
    let name = written.metadata.name.clone().unwrap_or_default();
    let spec = written.spec.clone().unwrap_or_default();
    let status = written.status.as_ref();
    let taints: Vec<Taint> = spec.taints.iter().flatten().filter_map(taint).collect();
    let ready = status.and_then(|status| status.conditions.as_ref()?.iter().find(|one| one.type_ == "Ready"));
    // A node that never reported is as if it had just fallen silent.
    let silent_since = match ready {
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(condition.last_transition_time.as_ref().map_or(Time::ZERO, time)),
        None => written.metadata.creation_timestamp.as_ref().map(time),
    };
    let holds_until = silent_since.map(|since| since.after(Duration::from(config.not_ready_hold)));
    let maintained = taints.iter().any(|taint| config.maintenance_taints.contains(&taint.key));
    let excluded = match holds_until {
        _ if maintained => Some(Exclusion::Maintenance),
        _ if spec.unschedulable == Some(true) => Some(Exclusion::Cordoned),
        Some(until) if until <= now => Some(Exclusion::NotReady),
        _ => None,
    };
    let node = Node {
        name,
        labels: written.metadata.labels.clone().unwrap_or_default(),
        taints,
        capacity: amounts(status.and_then(|status| status.capacity.as_ref())),
        allocatable: amounts(status.and_then(|status| status.allocatable.as_ref())),
        excluded,
    };
    (node, holds_until.filter(|&until| until > now))
}

fn taint(written: &WrittenTaint) -> Option<Taint> {
    let WrittenTaint { effect, key, time_added: _, value } = written;
    Some(Taint { key: key.clone(), value: value.clone().unwrap_or_default(), effect: effect_of(effect)? })
}

/// The effect of this name; none for one that is not known.
pub(super) fn effect_of(name: &str) -> Option<Effect> {
    match name {
        "NoSchedule" => Some(Effect::NoSchedule),
        "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
        "NoExecute" => Some(Effect::NoExecute),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_model::Amount;

    fn read(value: serde_json::Value, now: u64) -> (Node, Option<Time>) {
        let nodes = Nodes { maintenance_taints: vec!["repair".to_owned()], ..Nodes::default() };
        node(&serde_json::from_value(value).unwrap(), &nodes, Time::from_millis(now))
    }

    fn with_ready(status: &str) -> serde_json::Value {
        json!({ "metadata": { "name": "n" }, "status": { "allocatable": { "cpu": "1500m", "memory": "1Gi" },
            "conditions": [{ "type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:00:00Z" }] } })
    }

    #[test]
    fn a_node_gives_what_its_kubelet_can_allocate_in_base_units() {
        let (node, again) = read(with_ready("True"), 0);
        assert_eq!(node.allocatable["cpu"], Amount::new(1500));
        assert_eq!(node.allocatable["memory"], Amount::new(1_073_741_824));
        assert_eq!((node.excluded, again), (None, None));
    }

    #[test]
    fn a_silent_node_is_held_for_five_minutes() {
        assert_eq!(
            read(with_ready("Unknown"), 299_999),
            (read(with_ready("True"), 0).0, Some(Time::from_millis(300_000)))
        );
        assert_eq!(read(with_ready("False"), 300_000).0.excluded, Some(Exclusion::NotReady));
    }

    #[test]
    fn a_cordon_or_a_maintenance_taint_excludes_at_once() {
        let mut cordoned = with_ready("True");
        cordoned["spec"] = json!({ "unschedulable": true });
        assert_eq!(read(cordoned, 0).0.excluded, Some(Exclusion::Cordoned));
        let mut tainted = with_ready("True");
        tainted["spec"] = json!({ "taints": [{ "key": "repair", "effect": "NoSchedule" }] });
        assert_eq!(read(tainted, 0).0.excluded, Some(Exclusion::Maintenance));
    }
}
