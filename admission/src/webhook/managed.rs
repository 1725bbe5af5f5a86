//! Which pods are managed: one rule, from which the webhook's match conditions, the policy that guards it and the check
//! in this process are all made.
//!
//! Three places that each spelled the rule out would drift apart, and a pod that one of them overlooks runs without
//! admission. So the rule is a value, [`Rule`], that can be asked about a request and written as CEL; a table of pods is
//! run through both on a real API server.
//!
//! The rule reads the requesting user and never owner references, which a tenant can forge.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use weir_api::names;

use crate::config::Config;

/// The controller of DaemonSets: it binds its pods to nodes by itself, and they serve all tenants.
const DAEMON_SET_CONTROLLER: &str = "system:serviceaccount:kube-system:daemon-set-controller";
/// The group of kubelets, which create mirror pods.
const NODES: &str = "system:nodes";
/// Priority classes without which the cluster does not work.
const CRITICAL: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

/// A condition on a request to create a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every one of these holds.
    All(Vec<Self>),
    /// At least one of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// `spec.schedulerName` is one of these.
    Scheduler(Vec<String>),
    /// `spec.priorityClassName` is one of these.
    PriorityClass(Vec<String>),
    /// The pod has this annotation.
    Annotation(String),
    /// The pod has this label.
    Label(String),
    /// The pod is in one of these namespaces.
    Namespace(Vec<String>),
    /// The pod's namespace carries this label with the value `true`.
    NamespaceLabel(String),
    /// The request comes from one of these users.
    User(Vec<String>),
    /// The requesting user is in this group.
    Group(String),
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pod as it would be created.
    pub pod: &'a Pod,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The user that asks.
    pub user: &'a str,
    /// The groups of that user.
    pub groups: &'a [String],
}

/// Where the CEL is evaluated, which decides what it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The match conditions of a webhook: they see no namespace object, so what depends on one is taken as false, and a
    /// second webhook entry with a namespace selector stands beside.
    Webhook,
    /// A ValidatingAdmissionPolicy.
    Policy,
}

/// Pods that are never managed, whatever they say.
#[must_use]
pub fn exempt(config: &Config) -> Rule {
    let namespaces = config.pods.exempt_namespaces.iter().cloned().chain([config.namespace.clone()]);
    let users = config.pods.exempt_users.iter().cloned().chain([DAEMON_SET_CONTROLLER.to_owned()]);
    Rule::Any(vec![
        Rule::Namespace(namespaces.collect()),
        Rule::User(users.collect()),
        Rule::Group(NODES.to_owned()),
        Rule::PriorityClass(CRITICAL.map(str::to_owned).to_vec()),
    ])
}

/// Pods that ask for admission by what stands on themselves.
#[must_use]
pub fn asks_itself(config: &Config) -> Rule {
    let schedulers = [names::ADMISSION_SCHEDULER, &config.placement.scheduler].map(str::to_owned);
    let annotations = [names::POOL].iter().chain(names::POOL_ALIASES);
    let labels = names::POOL_COMPAT_LABELS.iter().filter(|_| config.pods.compat);
    let mut any = vec![Rule::Scheduler(schedulers.to_vec())];
    any.extend(annotations.map(|&key| Rule::Annotation(key.to_owned())));
    any.extend(labels.map(|&key| Rule::Label(key.to_owned())));
    Rule::Any(any)
}

/// Pods that are managed: they ask, or their namespace asks for them, and they are not exempt.
#[must_use]
pub fn managed(config: &Config) -> Rule {
    let asks = Rule::Any(vec![asks_itself(config), Rule::NamespaceLabel(names::MANAGED.to_owned())]);
    Rule::All(vec![asks, Rule::Not(Box::new(exempt(config)))])
}

impl Rule {
    /// Whether it holds for a request.
    #[must_use]
    pub fn holds(&self, request: &Request<'_>) -> bool {
        let spec = request.pod.spec.as_ref();
        let has = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref().is_some_and(|m| m.contains_key(key));
        let among =
            |list: &[String], value: Option<&str>| value.is_some_and(|value| list.iter().any(|one| one == value));
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.holds(request)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(request)),
            Self::Not(rule) => !rule.holds(request),
            Self::Scheduler(list) => among(list, spec.and_then(|spec| spec.scheduler_name.as_deref())),
            Self::PriorityClass(list) => among(list, spec.and_then(|spec| spec.priority_class_name.as_deref())),
            Self::Annotation(key) => has(&request.pod.metadata.annotations, key),
            Self::Label(key) => has(&request.pod.metadata.labels, key),
            Self::Namespace(list) => among(list, Some(request.namespace)),
            Self::NamespaceLabel(key) => request.namespace_labels.get(key).is_some_and(|value| value == names::TRUE),
            Self::User(list) => among(list, Some(request.user)),
            Self::Group(group) => request.groups.contains(group),
        }
    }

    /// The rule in CEL about the pod in `variable` (`object` or `oldObject`).
    ///
    /// Each access is guarded, so that the expression never fails: a policy that fails denies, and would deny pods that
    /// are not managed.
    #[must_use]
    pub fn cel(&self, variable: &str, scope: Scope) -> String {
        let list = |values: &[String]| {
            let quoted: Vec<_> = values.iter().map(|value| quote(value)).collect();
            format!("[{}]", quoted.join(", "))
        };
        let join = |rules: &[Self], operator: &str, empty: &str| match rules {
            [] => empty.to_owned(),
            rules => {
                let parts: Vec<_> = rules.iter().map(|rule| rule.cel(variable, scope)).collect();
                format!("({})", parts.join(operator))
            }
        };
        match self {
            Self::All(rules) => join(rules, " && ", "true"),
            Self::Any(rules) => join(rules, " || ", "false"),
            Self::Not(rule) => format!("!{}", rule.cel(variable, scope)),
            Self::Scheduler(names) => format!("({variable}.spec.?schedulerName.orValue('') in {})", list(names)),
            Self::PriorityClass(names) => {
                format!("({variable}.spec.?priorityClassName.orValue('') in {})", list(names))
            }
            Self::Annotation(key) => format!("({} in {variable}.metadata.?annotations.orValue({{}}))", quote(key)),
            Self::Label(key) => format!("({} in {variable}.metadata.?labels.orValue({{}}))", quote(key)),
            Self::Namespace(names) => format!("(request.namespace in {})", list(names)),
            Self::NamespaceLabel(_) if scope == Scope::Webhook => "false".to_owned(),
            Self::NamespaceLabel(key) => format!(
                "(namespaceObject != null && namespaceObject.metadata.?labels[?{}].orValue('') == 'true')",
                quote(key)
            ),
            Self::User(names) => format!("(request.userInfo.?username.orValue('') in {})", list(names)),
            Self::Group(group) => format!("({} in request.userInfo.?groups.orValue([]))", quote(group)),
        }
    }
}

/// A string in CEL.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_managed(pod: serde_json::Value, namespace: &str, user: &str) -> bool {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let labels = match namespace {
            "asks" => BTreeMap::from([(names::MANAGED.to_owned(), "true".to_owned())]),
            _ => BTreeMap::new(),
        };
        let groups = if user.starts_with("system:node:") { vec![NODES.to_owned()] } else { Vec::new() };
        let request = Request { pod: &pod, namespace, namespace_labels: &labels, user, groups: &groups };
        managed(&Config::default()).holds(&request)
    }

    #[test]
    fn a_pod_that_asks_is_managed_and_no_other() {
        let plain = json!({ "metadata": {}, "spec": { "containers": [] } });
        let scheduler = |name: &str| json!({ "metadata": {}, "spec": { "containers": [], "schedulerName": name } });
        let annotated = |key: &str| json!({ "metadata": { "annotations": { key: "research" } } });
        assert!(!is_managed(plain.clone(), "team", "alice"));
        assert!(is_managed(plain, "asks", "alice"));
        assert!(is_managed(scheduler("kube-resource-manager-scheduler"), "team", "alice"));
        assert!(is_managed(scheduler("weir-scheduler"), "team", "alice"));
        assert!(!is_managed(scheduler("default-scheduler"), "team", "alice"));
        assert!(is_managed(annotated("weir.dev/pool"), "team", "alice"));
        assert!(is_managed(annotated("resource-pool"), "team", "alice"));
        assert!(!is_managed(annotated("pool"), "team", "alice"));
    }

    #[test]
    fn what_the_cluster_stands_on_is_never_managed() {
        let asking = json!({ "metadata": { "annotations": { "weir.dev/pool": "research" } } });
        let critical = json!({ "metadata": {}, "spec": { "containers": [], "priorityClassName": "system-node-critical",
            "schedulerName": "weir-scheduler" } });
        assert!(!is_managed(asking.clone(), "kube-system", "alice"));
        assert!(!is_managed(asking.clone(), "weir-system", "alice"));
        assert!(!is_managed(asking.clone(), "team", "system:serviceaccount:kube-system:daemon-set-controller"));
        assert!(!is_managed(asking, "team", "system:node:n1"));
        assert!(!is_managed(critical, "team", "alice"));
    }

    #[test]
    fn an_owner_reference_to_a_daemon_set_exempts_no_pod() {
        let forged = json!({ "metadata": { "annotations": { "weir.dev/pool": "research" }, "ownerReferences":
            [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "1", "controller": true }] } });
        assert!(is_managed(forged, "team", "alice"));
    }

    #[test]
    fn a_quote_in_a_configured_name_stays_inside_the_string() {
        let rule = Rule::Namespace(vec!["it's".to_owned()]);
        assert_eq!(rule.cel("object", Scope::Policy), r"(request.namespace in ['it\'s'])");
    }
}
