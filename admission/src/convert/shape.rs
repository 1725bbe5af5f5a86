//! What a pod asks for and where it may run, as the queue compares it.

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, Pod as Written, PodSpec, Toleration as WrittenToleration,
};
use weir_model::dimension;
use weir_queue::{HostPort, Operator, PodShape, Requirement, Term, Toleration};

use super::node::effect_of;

/// What a pod asks for and where it may run, and a sentence about what of it cannot be read. Of such a pod only what
/// every cluster has and GPUs count: it may hold them, whatever else is written in it.
pub(super) fn shape(written: &Written, spec: &PodSpec, gpus: &[String]) -> (PodShape, Option<String>) {
    let requests = weir_api::requests::of(written);
    let unreadable = requests.as_ref().err().map(ToString::to_string);
    let requests = requests.or_else(|_| {
        let known = [dimension::CPU, dimension::MEMORY, dimension::EPHEMERAL_STORAGE].into_iter();
        weir_api::requests::of_names(written, &known.chain(gpus.iter().map(String::as_str)).collect::<Vec<_>>())
    });
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let shape = PodShape {
        requests: requests.unwrap_or_default().into_iter().collect(),
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        affinity: required.iter().flat_map(|required| &required.node_selector_terms).map(term).collect(),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
        ports: ports
            .filter_map(|port| {
                Some(HostPort {
                    protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                    address: port.host_ip.clone().unwrap_or_default(),
                    port: u16::try_from(port.host_port.filter(|&port| port > 0)?).ok()?,
                })
            })
            .collect(),
    };
    (shape, unreadable)
}

fn term(written: &NodeSelectorTerm) -> Term {
    let NodeSelectorTerm { match_expressions, match_fields } = written;
    let read = |list: &Option<Vec<NodeSelectorRequirement>>| list.iter().flatten().map(requirement).collect();
    Term { expressions: read(match_expressions), names: read(match_fields) }
}

fn requirement(written: &NodeSelectorRequirement) -> Requirement {
    let NodeSelectorRequirement { key, operator, values } = written;
    let values = values.clone().unwrap_or_default();
    let bound = || values.first().and_then(|value| value.parse().ok());
    let operator = match operator.as_str() {
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => bound().map_or(Operator::In(Vec::new()), Operator::Gt),
        "Lt" => bound().map_or(Operator::In(Vec::new()), Operator::Lt),
        // What the API server does not know it refuses, so this is `In`; a list that is empty holds nowhere.
        _ => Operator::In(values),
    };
    Requirement { key: key.clone(), operator }
}

fn toleration(written: &WrittenToleration) -> Toleration {
    let WrittenToleration { effect, key, operator, toleration_seconds: _, value } = written;
    let exists = operator.as_deref() == Some("Exists");
    Toleration {
        key: key.clone().filter(|key| !key.is_empty()),
        value: if exists { None } else { Some(value.clone().unwrap_or_default()) },
        effect: effect.as_deref().and_then(effect_of),
    }
}
