//! The objects at the API server that make asking for admission the only way to run: two webhook entries that change
//! managed pods, one policy that refuses managed pods which were not changed, and entries that notice what the policy is
//! about to refuse.
//!
//! The webhook fails open, so that a cluster without Weir's replicas still creates pods that are not managed. The policy
//! closes the gap for managed ones: it is evaluated inside the API server and never down. It allows everything about
//! pods that are not managed, and every access in it is guarded, because an expression that fails is a denial.
//!
//! A refusal leaves no trace on the pod, and the API server answers only the user that asked. So for each refusal there
//! is an entry that is called for exactly the requests of which the policy's rule does not hold, and changes nothing. It
//! is a mutating entry because those come before the policy: a request that is refused reaches no validating webhook.
//! `refusals` writes it on the pod.
//!
//! At creation a pod is managed when [`managed`] says so. Later the user is another one, and the namespace's label may
//! have changed; then a pod is managed if it was made so, which its gate, or its annotation together with the mirrored
//! label, shows.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, MutatingWebhook, MutatingWebhookConfiguration, NamedRuleWithOperations,
    RuleWithOperations, ServiceReference, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use std::time::Duration;
use weir_api::condition::Refusal;
use weir_api::{GROUP, names};

use crate::config::Config;
use crate::convert::metadata;
use crate::webhook::managed::{Scope, asks_itself, exempt, managed, quote};

/// The name of every object made here.
pub const NAME: &str = "weir-admission";
/// The path that the webhook is called at.
pub const PATH: &str = "/mutate";
/// The path above those at which refusals are noticed, each by its name.
pub const REFUSALS: &str = "/refusals";

/// The webhook's registration: one entry for pods that ask by themselves, and one for namespaces that ask
/// for all of theirs, because match conditions see the pod but not its namespace; and one for each refusal.
#[must_use]
pub fn webhook(config: &Config, ca_bundle: &[u8]) -> MutatingWebhookConfiguration {
    let by_label = |operator: &str| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: names::MANAGED.to_owned(),
            operator: operator.to_owned(),
            values: Some(vec![names::TRUE.to_owned()]),
        }]),
        match_labels: None,
    };
    let condition = |name: &str, expression| MatchCondition { name: name.to_owned(), expression };
    let not_exempt = || condition("not-exempt", format!("!{}", exempt(config).cel("object", Scope::Webhook)));
    let asks = condition("asks", asks_itself(config).cel("object", Scope::Webhook));
    let gates = |name: &str, operator, conditions| MutatingWebhook {
        match_conditions: Some(conditions),
        namespace_selector: Some(by_label(operator)),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(vec![rule("CREATE", &["pods"])]),
        ..entry(config, ca_bundle, &format!("{name}.admission"), PATH)
    };
    let notices = |validation: &Validates| {
        let refusal = validation.refusal?;
        let name = format!("{}.refusals", refusal.as_str().to_ascii_lowercase());
        Some(MutatingWebhook {
            match_conditions: Some(vec![condition("refused", refused(config, validation))]),
            rules: Some(vec![rule("UPDATE", &["pods", "pods/resize"])]),
            side_effects: "NoneOnDryRun".to_owned(),
            ..entry(config, ca_bundle, &name, &format!("{REFUSALS}/{refusal}"))
        })
    };
    let mut webhooks =
        vec![gates("pods", "NotIn", vec![asks, not_exempt()]), gates("namespaces", "In", vec![not_exempt()])];
    webhooks.extend(validations().iter().filter_map(notices));
    MutatingWebhookConfiguration { metadata: named(), webhooks: Some(webhooks) }
}

/// What all entries have in common: they fail open, and soon.
fn entry(config: &Config, ca_bundle: &[u8], name: &str, path: &str) -> MutatingWebhook {
    let service = ServiceReference {
        name: config.webhook.service.clone(),
        namespace: config.namespace.clone(),
        path: Some(path.to_owned()),
        port: Some(i32::from(config.webhook.service_port)),
    };
    let url = config.webhook.url.as_ref().map(|url| format!("{}{path}", url.trim_end_matches('/')));
    MutatingWebhook {
        name: format!("{name}.{GROUP}"),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: WebhookClientConfig {
            ca_bundle: Some(ByteString(ca_bundle.to_vec())),
            service: url.is_none().then_some(service),
            url,
        },
        failure_policy: Some("Ignore".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        side_effects: "None".to_owned(),
        timeout_seconds: i32::try_from(Duration::from(config.webhook.timeout).as_secs()).ok(),
        ..MutatingWebhook::default()
    }
}

fn rule(operation: &str, resources: &[&str]) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: Some(vec![String::new()]),
        api_versions: Some(vec!["v1".to_owned()]),
        operations: Some(vec![operation.to_owned()]),
        resources: Some(resources.iter().map(|&resource| resource.to_owned()).collect()),
        scope: Some("Namespaced".to_owned()),
    }
}

/// A rule of the policy turned round, as a match condition: what the policy has in variables stands in it.
///
/// The sidecar's own requests, which are most, are asked for first and cost nothing more.
fn refused(config: &Config, validation: &Validates) -> String {
    let mut expression = format!("!variables.sidecar && !({})", validation.expression);
    // A variable may be written in those before it.
    for (name, meaning) in variables(config).into_iter().rev() {
        expression = replace_word(&expression, &format!("variables.{name}"), &format!("({meaning})"));
    }
    expression
}

/// Replaces a word wherever it is not the beginning of a longer one.
fn replace_word(text: &str, word: &str, with: &str) -> String {
    let mut parts = text.split(word);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = part.starts_with(|next: char| next.is_ascii_alphanumeric());
        result.push_str(if longer { word } else { with });
        result.push_str(part);
    }
    result
}

/// The policy that lets no user admit a pod.
#[must_use]
pub fn policy(config: &Config) -> ValidatingAdmissionPolicy {
    let variable = |(name, expression): (&str, String)| Variable { name: name.to_owned(), expression };
    let validation = |Validates { refusal: _, expression, message }| Validation {
        expression,
        message: Some(str::to_owned(message)),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    ValidatingAdmissionPolicy {
        metadata: named(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(MatchResources {
                resource_rules: Some(vec![NamedRuleWithOperations {
                    api_groups: Some(vec![String::new()]),
                    api_versions: Some(vec!["v1".to_owned()]),
                    operations: Some(vec!["CREATE".to_owned(), "UPDATE".to_owned()]),
                    resources: Some(["pods", "pods/resize", "pods/status"].map(str::to_owned).to_vec()),
                    resource_names: None,
                    scope: Some("Namespaced".to_owned()),
                }]),
                ..MatchResources::default()
            }),
            variables: Some(variables(config).into_iter().map(variable).collect()),
            validations: Some(validations().into_iter().map(validation).collect()),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    }
}

/// What puts [`policy`] in force everywhere.
#[must_use]
pub fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: named(),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: NAME.to_owned(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

/// What the validations are written in, each evaluated at most once and only when it is asked for.
fn variables(config: &Config) -> Vec<(&'static str, String)> {
    let has_gate =
        |pod: &str| format!("{pod}.spec.?schedulingGates.orValue([]).exists(gate, gate.name == '{}')", names::GATE);
    let pool = |map: &str| format!("'{}' in oldObject.metadata.?{map}.orValue({{}})", names::POOL);
    let list = |keys: Vec<&str>| format!("[{}]", keys.into_iter().map(quote).collect::<Vec<_>>().join(", "));
    let same = |map: &str, keys: String| {
        format!(
            "{keys}.all(key, object.metadata.?{map}[?key].orValue('') == oldObject.metadata.?{map}[?key].orValue(''))"
        )
    };
    let smaller = |containers: &str| {
        format!(
            "object.spec.?{containers}.orValue([]).all(new, new.?resources.?requests.orValue({{}}).all(name, \
             oldObject.spec.?{containers}.orValue([]).exists(old, old.name == new.name \
             && name in old.?resources.?requests.orValue({{}}) \
             && !quantity(string(new.resources.requests[name])).isGreaterThan(quantity(string(old.resources.requests[name]))))))"
        )
    };
    vec![
        ("creates", "request.operation == 'CREATE'".to_owned()),
        ("created", format!("variables.creates && {}", managed(config).cel("object", Scope::Policy))),
        ("gated", has_gate("object")),
        ("wasGated", format!("!variables.creates && {}", has_gate("oldObject"))),
        (
            "updated",
            format!("!variables.creates && (variables.wasGated || ({} && {}))", pool("labels"), pool("annotations")),
        ),
        ("sidecar", format!("request.userInfo.?username.orValue('') == {}", quote(&config.user))),
        ("removesGate", "variables.updated && variables.wasGated && !variables.gated".to_owned()),
        (
            "releases",
            format!(
                "variables.removesGate && authorizer.group('{GROUP}').resource('resourcepools').check('{}').allowed()",
                names::RELEASE_VERB
            ),
        ),
        (
            "sameKeys",
            format!(
                "{} && {}",
                same("labels", list(metadata::guarded_labels().collect())),
                same("annotations", list(metadata::guarded_annotations().collect()))
            ),
        ),
        ("sameRecord", same("annotations", list(metadata::own_annotations().collect()))),
        (
            "noRecord",
            format!(
                "!{}.exists(key, key in object.metadata.?annotations.orValue({{}}))",
                list(metadata::own_annotations().collect())
            ),
        ),
        ("notLarger", format!("{} && {}", smaller("containers"), smaller("initContainers"))),
    ]
}

/// What must hold, and what is said when it does not.
struct Validates {
    /// What it is called where it is noticed; none for a creation, which leaves no pod to write on and which the pod's
    /// controller reports by itself.
    refusal: Option<Refusal>,
    expression: String,
    message: &'static str,
}

/// The sentence for the user whose request is refused, and for the pod.
#[must_use]
pub const fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::GateRemoval => {
            "spec.schedulingGates: removing weir.dev/admission is the admission, which only Weir may do; whoever has \
             the verb release on resourcepools.weir.dev can use `weir break-glass`"
        }
        Refusal::KeyChange => "pool, gang and preemptible of an admitted pod cannot be changed; create it anew",
        Refusal::RecordChange => "metadata.annotations: what Weir records of an admission is written by Weir alone",
        Refusal::Growth => {
            "resources.requests: an admitted pod may shrink in place but not grow; create it anew with what it needs"
        }
    }
}

fn validations() -> Vec<Validates> {
    let created =
        |rule: &str, message| Validates { refusal: None, expression: format!("!variables.created || {rule}"), message };
    let updated = |refusal, rule: &str| Validates {
        refusal: Some(refusal),
        expression: rule.to_owned(),
        message: sentence(refusal),
    };
    let schedulers = ["", names::DEFAULT_SCHEDULER, names::ADMISSION_SCHEDULER].map(quote).join(", ");
    let pool = |map: &str| format!("object.metadata.?{map}[?'{}'].orValue('')", names::POOL);
    vec![
        created(
            "variables.gated || object.spec.?nodeName.orValue('') != ''",
            "a pod that asks for admission must carry the scheduling gate weir.dev/admission; Weir's webhook adds it \
             and did not answer: try again, a controller does so by itself",
        ),
        created(
            "object.spec.?nodeName.orValue('') == ''",
            "spec.nodeName: a pod that asks for admission is placed by the scheduler; leave the node out",
        ),
        created(
            &format!("!(object.spec.?schedulerName.orValue('') in [{schedulers}])"),
            "spec.schedulerName: a pod that asks for admission must name the placing scheduler; Weir's webhook sets it \
             and did not answer: try again, a controller does so by itself",
        ),
        created(
            &format!("{} == {}", pool("labels"), pool("annotations")),
            "metadata.labels[weir.dev/pool] must be what the annotation of the same key says; leave the label out, \
             Weir's webhook sets it",
        ),
        created(
            "variables.sidecar || variables.noRecord",
            "metadata.annotations: what Weir records of an admission is written by Weir alone; leave it out",
        ),
        updated(Refusal::GateRemoval, "!variables.removesGate || variables.sidecar || variables.releases"),
        updated(
            Refusal::KeyChange,
            "!variables.updated || variables.wasGated || variables.sidecar || variables.sameKeys",
        ),
        updated(
            Refusal::RecordChange,
            "!variables.updated || variables.sidecar || variables.releases || variables.sameRecord",
        ),
        updated(
            Refusal::Growth,
            "!variables.updated || request.?subResource.orValue('') != 'resize' || variables.sidecar \
             || variables.notLarger",
        ),
    ]
}

fn named() -> ObjectMeta {
    ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_webhook_fails_open_and_leaves_what_is_exempt_alone() {
        let webhook = webhook(&Config::default(), b"ca");
        let entries = webhook.webhooks.unwrap();
        assert!(entries.iter().all(|entry| entry.failure_policy.as_deref() == Some("Ignore")), "{entries:?}");
        for entry in &entries[..2] {
            assert_eq!(entry.side_effects, "None");
            let conditions = entry.match_conditions.as_ref().unwrap();
            assert!(conditions.iter().any(|one| one.expression.contains("'kube-system'")), "{conditions:?}");
        }
    }

    #[test]
    fn every_refusal_is_noticed_by_an_entry_of_its_own_in_the_words_of_the_policy() {
        let webhook = webhook(&Config::default(), b"ca");
        let notices = &webhook.webhooks.unwrap()[2..];
        let paths: Vec<_> =
            notices.iter().map(|entry| entry.client_config.service.clone().unwrap().path.unwrap()).collect();
        let all: Vec<_> = Refusal::ALL.iter().map(|refusal| format!("/refusals/{refusal}")).collect();
        assert_eq!(paths, all);
        for entry in notices {
            let expression = &entry.match_conditions.as_ref().unwrap()[0].expression;
            assert!(!expression.contains("variables."), "{expression}");
            assert!(expression.starts_with("!(request.userInfo.?username.orValue('') == "), "{expression}");
        }
        assert_eq!(notices[0].name, "gateremoval.refusals.weir.dev");
    }

    #[test]
    fn a_word_is_not_replaced_within_a_longer_one() {
        assert_eq!(replace_word("v.gate && !v.gated || v.gate", "v.gate", "(g)"), "(g) && !v.gated || (g)");
    }

    #[test]
    fn every_key_that_the_webhook_reads_is_guarded_after_admission() {
        let policy = serde_json::to_string(&policy(&Config::default())).unwrap();
        for key in metadata::guarded_labels().chain(metadata::guarded_annotations()) {
            assert!(policy.contains(&format!("'{key}'")), "{key}");
        }
    }
}
