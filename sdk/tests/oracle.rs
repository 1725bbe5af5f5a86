//! Holds the lazy views against a full decoder: thousands of random Pods and Nodes are written by prost with
//! the types of k8s-pb, which are made from Kubernetes' own definitions, and every accessor has to agree with
//! the object. Fields that no accessor reads are there too, so that skipping them is tested as well.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;

use k8s_pb::api::core::v1 as k8s;
use k8s_pb::apimachinery::pkg::api::resource::Quantity;
use k8s_pb::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta, Time};
use kube_scheduler_guest::{Node, Pod, PodTerm, Quantities, Term, Texts};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;

type Map = BTreeMap<String, String>;
type QuantityMap = BTreeMap<String, Quantity>;

// What is random.

fn text() -> impl Strategy<Value = String> {
    // Long enough now and then for a length of two bytes.
    prop_oneof![4 => "[a-z./-]{0,12}", 1 => "[a-zé😀]{0,8}", 1 => "[a-z]{120,300}"]
}

fn map() -> impl Strategy<Value = Map> {
    prop::collection::btree_map(text(), text(), 0..5)
}

fn quantities() -> impl Strategy<Value = QuantityMap> {
    let quantity = "[0-9]{1,4}(m|Gi|)".prop_map(|text| Quantity { string: Some(text) });
    let name = prop_oneof![Just("cpu".to_string()), Just("nvidia.com/gpu".to_string()), text()];
    prop::collection::btree_map(name, quantity, 0..5)
}

fn metadata() -> impl Strategy<Value = ObjectMeta> {
    (of(text()), of(text()), of(text()), map(), map(), of(any::<i64>())).prop_map(
        |(name, namespace, uid, labels, annotations, generation)| ObjectMeta {
            name,
            namespace,
            uid,
            labels,
            annotations,
            generation,
            creation_timestamp: Some(Time { seconds: generation, nanos: None }),
            finalizers: vec!["example.com/hold".into()],
            ..Default::default()
        },
    )
}

fn requirement() -> impl Strategy<Value = k8s::NodeSelectorRequirement> {
    (of(text()), of(text()), vec(text(), 0..3)).prop_map(|(key, operator, values)| k8s::NodeSelectorRequirement {
        key,
        operator,
        values,
    })
}

fn term() -> impl Strategy<Value = k8s::NodeSelectorTerm> {
    (vec(requirement(), 0..3), vec(requirement(), 0..2))
        .prop_map(|(match_expressions, match_fields)| k8s::NodeSelectorTerm { match_expressions, match_fields })
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let expression = (of(text()), of(text()), vec(text(), 0..3))
        .prop_map(|(key, operator, values)| LabelSelectorRequirement { key, operator, values });
    (map(), vec(expression, 0..3))
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
}

fn pod_terms() -> impl Strategy<Value = Vec<k8s::PodAffinityTerm>> {
    let term =
        (of(selector()), vec(text(), 0..2), of(text())).prop_map(|(label_selector, namespaces, topology_key)| {
            k8s::PodAffinityTerm { label_selector, namespaces, topology_key, ..Default::default() }
        });
    vec(term, 0..3)
}

fn affinity() -> impl Strategy<Value = k8s::Affinity> {
    let required = vec(term(), 0..3).prop_map(|node_selector_terms| k8s::NodeSelector { node_selector_terms });
    let preferred = (of(any::<i32>()), of(term()))
        .prop_map(|(weight, preference)| k8s::PreferredSchedulingTerm { weight, preference });
    (of((of(required), vec(preferred, 0..3))), pod_terms(), pod_terms()).prop_map(|(node, near, far)| k8s::Affinity {
        node_affinity: node.map(|(required, preferred)| k8s::NodeAffinity {
            required_during_scheduling_ignored_during_execution: required,
            preferred_during_scheduling_ignored_during_execution: preferred,
        }),
        pod_affinity: Some(k8s::PodAffinity {
            required_during_scheduling_ignored_during_execution: near,
            ..Default::default()
        }),
        pod_anti_affinity: Some(k8s::PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: far,
            ..Default::default()
        }),
    })
}

fn container() -> impl Strategy<Value = k8s::Container> {
    let restart_policy = of(prop_oneof![Just("Always".to_string()), Just("Never".to_string())]);
    let resources = (quantities(), quantities()).prop_map(|(requests, limits)| k8s::ResourceRequirements {
        requests,
        limits,
        ..Default::default()
    });
    (of(text()), of(text()), of(resources), restart_policy, vec(text(), 0..3)).prop_map(
        |(name, image, resources, restart_policy, args)| k8s::Container {
            name,
            image,
            args,
            resources,
            restart_policy,
            tty: Some(true),
            ..Default::default()
        },
    )
}

fn toleration() -> impl Strategy<Value = k8s::Toleration> {
    (of(text()), of(text()), of(text()), of(text()), of(any::<i64>())).prop_map(
        |(key, operator, value, effect, toleration_seconds)| k8s::Toleration {
            key,
            operator,
            value,
            effect,
            toleration_seconds,
        },
    )
}

fn pod() -> impl Strategy<Value = k8s::Pod> {
    let containers = (vec(container(), 0..4), vec(container(), 0..3), quantities());
    let placing = (of(affinity()), map(), vec(toleration(), 0..3));
    let names = (of(text()), of(text()), of(any::<i32>()), of(any::<bool>()));
    (of(metadata()), containers, placing, names).prop_map(|(metadata, containers, placing, names)| {
        let (containers, init_containers, overhead) = containers;
        let (affinity, node_selector, tolerations) = placing;
        let (node_name, scheduler_name, priority, host_network) = names;
        let spec = k8s::PodSpec {
            containers,
            init_containers,
            overhead,
            affinity,
            node_selector,
            tolerations,
            node_name,
            scheduler_name,
            priority,
            host_network,
            service_account: Some("default".into()),
            ..Default::default()
        };
        let status = k8s::PodStatus { phase: Some("Pending".into()), ..Default::default() };
        k8s::Pod { metadata, spec: Some(spec), status: Some(status) }
    })
}

fn node_spec() -> impl Strategy<Value = k8s::NodeSpec> {
    let time_added = Some(Time { seconds: Some(1_700_000_000), nanos: Some(5) });
    let taint = (of(text()), of(text()), of(text())).prop_map(move |(key, value, effect)| k8s::Taint {
        key,
        value,
        effect,
        time_added,
    });
    (vec(taint, 0..3), of(any::<bool>()), of(text())).prop_map(|(taints, unschedulable, provider_id)| k8s::NodeSpec {
        taints,
        unschedulable,
        provider_id,
        ..Default::default()
    })
}

fn node() -> impl Strategy<Value = k8s::Node> {
    let condition = (of(text()), of(text()), of(text()), of(text())).prop_map(|(kind, status, reason, message)| {
        k8s::NodeCondition { r#type: kind, status, reason, message, ..Default::default() }
    });
    let image =
        (vec(text(), 0..3), of(any::<i64>())).prop_map(|(names, size_bytes)| k8s::ContainerImage { names, size_bytes });
    (of(metadata()), of(node_spec()), quantities(), quantities(), vec(condition, 0..4), vec(image, 0..4)).prop_map(
        |(metadata, spec, capacity, allocatable, conditions, images)| k8s::Node {
            metadata,
            spec,
            status: Some(k8s::NodeStatus {
                capacity,
                allocatable,
                conditions,
                images,
                phase: Some("Running".into()),
                ..Default::default()
            }),
        },
    )
}

// What has to agree.

fn said(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn assert_texts(ours: Texts<'_>, theirs: &Map) {
    let all: Map = ours.iter().map(|(key, value)| (key.into(), value.into())).collect();
    assert_eq!(&all, theirs);
    for (key, value) in theirs {
        assert_eq!(ours.get(key), Some(value.as_str()));
    }
    assert_eq!(ours.is_empty(), theirs.is_empty());
    assert_eq!(ours.get("no such key"), None);
}

fn assert_quantities(ours: Quantities<'_>, theirs: &QuantityMap) {
    let all: BTreeMap<_, _> = ours.iter().collect();
    assert_eq!(all, theirs.iter().map(|(name, quantity)| (name.as_str(), said(&quantity.string))).collect());
    for (name, quantity) in theirs {
        assert_eq!(ours.text(name), quantity.string.as_deref());
    }
    assert_eq!(ours.is_empty(), theirs.is_empty());
}

fn assert_term(ours: Term<'_>, theirs: &k8s::NodeSelectorTerm) {
    let k8s::NodeSelectorTerm { match_expressions, match_fields } = theirs;
    let ours = [ours.match_expressions().collect::<Vec<_>>(), ours.match_fields().collect()];
    for (ours, theirs) in ours.into_iter().zip([match_expressions, match_fields]) {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert_eq!((ours.key(), ours.operator()), (said(&theirs.key), said(&theirs.operator)));
            assert!(ours.values().eq(theirs.values.iter().map(String::as_str)));
        }
    }
}

fn assert_pod_term(ours: PodTerm<'_>, theirs: &k8s::PodAffinityTerm) {
    let selector = theirs.label_selector.clone().unwrap_or_default();
    assert_texts(ours.match_labels(), &selector.match_labels);
    assert_eq!(ours.match_expressions().count(), selector.match_expressions.len());
    for (ours, theirs) in ours.match_expressions().zip(&selector.match_expressions) {
        assert_eq!((ours.key(), ours.operator()), (said(&theirs.key), said(&theirs.operator)));
        assert!(ours.values().eq(theirs.values.iter().map(String::as_str)));
    }
    assert!(ours.namespaces().eq(theirs.namespaces.iter().map(String::as_str)));
    assert_eq!(ours.topology_key(), said(&theirs.topology_key));
}

fn assert_affinity(ours: &Pod, theirs: k8s::Affinity) {
    let node = theirs.node_affinity.unwrap_or_default();
    let required = node.required_during_scheduling_ignored_during_execution.unwrap_or_default().node_selector_terms;
    assert_eq!(ours.required_node_affinity().count(), required.len());
    ours.required_node_affinity().zip(&required).for_each(|(ours, theirs)| assert_term(ours, theirs));

    let preferred = node.preferred_during_scheduling_ignored_during_execution;
    assert_eq!(ours.preferred_node_affinity().count(), preferred.len());
    for (ours, theirs) in ours.preferred_node_affinity().zip(preferred) {
        assert_eq!(ours.weight(), theirs.weight.unwrap_or_default());
        assert_term(ours.term(), &theirs.preference.unwrap_or_default());
    }

    let near = theirs.pod_affinity.unwrap_or_default().required_during_scheduling_ignored_during_execution;
    assert_eq!(ours.required_pod_affinity().count(), near.len());
    ours.required_pod_affinity().zip(&near).for_each(|(ours, theirs)| assert_pod_term(ours, theirs));
    let far = theirs.pod_anti_affinity.unwrap_or_default().required_during_scheduling_ignored_during_execution;
    assert_eq!(ours.required_pod_anti_affinity().count(), far.len());
    ours.required_pod_anti_affinity().zip(&far).for_each(|(ours, theirs)| assert_pod_term(ours, theirs));
}

fn assert_pod(ours: &Pod, theirs: k8s::Pod) {
    let metadata = theirs.metadata.unwrap_or_default();
    let spec = theirs.spec.unwrap_or_default();
    assert_eq!(
        [ours.name(), ours.namespace(), ours.uid()],
        [&metadata.name, &metadata.namespace, &metadata.uid].map(said)
    );
    assert_texts(ours.labels(), &metadata.labels);
    assert_texts(ours.annotations(), &metadata.annotations);
    assert_texts(ours.node_selector(), &spec.node_selector);
    assert_quantities(ours.overhead(), &spec.overhead);
    assert_eq!([ours.node_name(), ours.scheduler_name()], [&spec.node_name, &spec.scheduler_name].map(said));
    assert_eq!(ours.priority(), spec.priority.unwrap_or_default());
    assert_affinity(ours, spec.affinity.unwrap_or_default());

    assert_eq!(ours.containers().count(), spec.containers.len());
    assert_eq!(ours.init_containers().count(), spec.init_containers.len());
    let both = ours.containers().chain(ours.init_containers());
    for (ours, theirs) in both.zip(spec.containers.into_iter().chain(spec.init_containers)) {
        let resources = theirs.resources.unwrap_or_default();
        assert_eq!([ours.name(), ours.image()], [&theirs.name, &theirs.image].map(said));
        assert_quantities(ours.requests(), &resources.requests);
        assert_quantities(ours.limits(), &resources.limits);
        assert_eq!(ours.is_sidecar(), theirs.restart_policy.as_deref() == Some("Always"));
    }
    assert_eq!(ours.tolerations().count(), spec.tolerations.len());
    for (ours, theirs) in ours.tolerations().zip(&spec.tolerations) {
        let parts = [&theirs.key, &theirs.operator, &theirs.value, &theirs.effect].map(said);
        assert_eq!([ours.key(), ours.operator(), ours.value(), ours.effect()], parts);
    }
}

fn assert_node(ours: &Node, theirs: k8s::Node) {
    let metadata = theirs.metadata.unwrap_or_default();
    let spec = theirs.spec.unwrap_or_default();
    let status = theirs.status.unwrap_or_default();
    assert_eq!(ours.name(), said(&metadata.name));
    assert_texts(ours.labels(), &metadata.labels);
    assert_texts(ours.annotations(), &metadata.annotations);
    assert_eq!(ours.unschedulable(), spec.unschedulable.unwrap_or_default());
    assert_quantities(ours.capacity(), &status.capacity);
    assert_quantities(ours.allocatable(), &status.allocatable);
    assert_eq!(ours.taints().count(), spec.taints.len());
    for (ours, theirs) in ours.taints().zip(&spec.taints) {
        let parts = [&theirs.key, &theirs.value, &theirs.effect].map(said);
        assert_eq!([ours.key(), ours.value(), ours.effect()], parts);
    }
    assert_eq!(ours.conditions().count(), status.conditions.len());
    for (ours, theirs) in ours.conditions().zip(&status.conditions) {
        let parts = [&theirs.r#type, &theirs.status, &theirs.reason, &theirs.message].map(said);
        assert_eq!([ours.kind(), ours.status(), ours.reason(), ours.message()], parts);
    }
    assert_eq!(ours.images().count(), status.images.len());
    for (ours, theirs) in ours.images().zip(&status.images) {
        assert!(ours.names().eq(theirs.names.iter().map(String::as_str)));
        assert_eq!(ours.size_bytes(), theirs.size_bytes.unwrap_or_default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn a_pod_is_read_as_a_full_decoder_reads_it(pod in pod()) {
        assert_pod(&Pod::from_protobuf(pod.encode_to_vec()), pod);
    }

    #[test]
    fn a_node_is_read_as_a_full_decoder_reads_it(node in node()) {
        assert_node(&Node::from_protobuf(node.encode_to_vec()), node);
    }

    /// No bytes make a view panic or go on for ever; what comes out of nonsense is not of interest.
    #[test]
    fn no_bytes_are_too_strange(pod in pod(), node in node(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for mut bytes in [pod.encode_to_vec(), node.encode_to_vec()].into_iter().filter(|bytes| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            walk(bytes.clone());
            bytes.truncate(at);
            walk(bytes);
        }
    }
}

/// Reads everything there is to read.
fn walk(bytes: Vec<u8>) {
    let pod = Pod::from_protobuf(bytes.clone());
    let mut seen = pod.labels().iter().chain(pod.annotations().iter()).chain(pod.node_selector().iter()).count();
    seen += pod.containers().chain(pod.init_containers()).map(|one| one.requests().iter().count()).sum::<usize>();
    seen += pod.required_node_affinity().map(|term| term.match_fields().count()).sum::<usize>();
    seen += pod.tolerations().map(|one| one.key().len()).sum::<usize>() + pod.overhead().iter().count();
    let node = Node::from_protobuf(bytes);
    seen += node.labels().iter().count() + node.taints().map(|taint| taint.key().len()).sum::<usize>();
    seen += node.capacity().iter().chain(node.allocatable().iter()).count() + node.conditions().count();
    seen += node.images().map(|image| image.names().count()).sum::<usize>();
    std::hint::black_box((seen, pod.request("cpu"), pod.priority(), node.unschedulable()));
}
