//! Events: about a condition of a pod, about a pool, about the owner of pods, about a request that was refused.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client, ResourceExt};
use weir_api::condition::{Refusal, Waiting};
use weir_api::names;

use super::outcome::Outcome;
use super::pods::{Target, write_condition};
use crate::convert::condition::{Change, ConditionStatus, ConditionType, ConditionUpdate};

/// The reason of an event about a request that was refused.
const REFUSED: &str = "Refused";
/// Where events about objects without a namespace stand.
const DEFAULT_NAMESPACE: &str = "default";
/// How many characters of a sentence an event takes.
const SENTENCE: usize = 1000;
/// How many owners up the chain are looked at.
const DEPTH: usize = 5;

/// An object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Group and version of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for an object of the whole cluster, whose events stand in `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl About {
    /// A pod.
    #[must_use]
    pub fn pod(target: &Target) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            uid: target.uid.clone(),
        }
    }
}

/// Writes a condition and, unless only its message changed, an event beside it.
pub async fn write_condition_and_event(
    client: &Client,
    target: &Target,
    update: &ConditionUpdate,
    change: Change,
) -> Outcome {
    match write_condition(client, target, update, change).await {
        Outcome::Done if change != Change::Message => write_event_for(client, target, update, Timestamp::now()).await,
        other => other,
    }
}

/// Writes the event beside a condition that was written at this time.
pub async fn write_event_for(client: &Client, target: &Target, update: &ConditionUpdate, at: Timestamp) -> Outcome {
    let evicted = update.condition == ConditionType::Preempted;
    let warns = evicted || update.reason == Waiting::Misconfigured.as_str();
    let kind = if warns { "Warning" } else { "Normal" };
    write(client, event(&About::pod(target), update.reason, &update.message, kind, at)).await
}

/// Writes a warning about an object that is not ours.
pub async fn warn(client: &Client, about: &About, reason: &str, sentence: &str) -> Outcome {
    write(client, event(about, reason, sentence, "Warning", Timestamp::now())).await
}

/// Writes on a pod that a request about it was refused: a condition, and an event. The event's name follows from the
/// pod and the kind of request, so that it stands there once, however often and at whichever replica it is asked for.
pub async fn refused(client: &Client, about: &About, refusal: Refusal, sentence: &str) -> Outcome {
    let mut event = event(about, REFUSED, sentence, "Warning", Timestamp::now());
    let own = about.uid.split('-').next().unwrap_or_default();
    event.metadata.name = Some(format!("{}.{own}.{}", about.name, refusal.as_str().to_ascii_lowercase()));
    let About { namespace, name, uid, .. } = about.clone();
    let target = Target { namespace, name, uid, version: String::new(), gates: Vec::new() };
    let update = ConditionUpdate {
        condition: ConditionType::Refused,
        status: ConditionStatus::True,
        reason: refusal.as_str(),
        message: sentence.to_owned(),
    };
    match write_condition(client, &target, &update, Change::Transition).await {
        Outcome::Gone => Outcome::Gone,
        // The event is of use without the condition, so it is written whatever came of that.
        written => match write(client, event).await {
            Outcome::Done => written,
            failed => failed,
        },
    }
}

/// The owner at the top of the chain of controllers above a pod, as far as it may be read.
pub async fn top_owner(client: &Client, target: &Target) -> Option<About> {
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

/// An event that is there already, or that cannot be there because its namespace is gone, counts as written.
async fn write(client: &Client, event: Event) -> Outcome {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    match Outcome::of_this(events.create(&PostParams::default(), &event).await) {
        Outcome::Gone => Outcome::Done,
        other => other,
    }
}

fn event(about: &About, reason: &str, sentence: &str, kind: &str, at: Timestamp) -> Event {
    let About { api_version, kind: object, namespace, name, uid } = about.clone();
    let own = Some(namespace).filter(|namespace| !namespace.is_empty());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", at.as_nanosecond())),
            namespace: Some(own.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())),
            ..ObjectMeta::default()
        },
        action: Some("Admission".to_owned()),
        event_time: Some(MicroTime(at)),
        note: Some(sentence.chars().take(SENTENCE).collect()),
        reason: Some(reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(api_version),
            kind: Some(object),
            name: Some(name),
            namespace: own,
            uid: Some(uid),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(names::ADMISSION.to_owned()),
        reporting_instance: Some(names::ADMISSION.to_owned()),
        type_: Some(kind.to_owned()),
        ..Event::default()
    }
}
