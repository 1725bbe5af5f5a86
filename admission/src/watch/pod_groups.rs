//! PodGroups of other schedulers, of which one number counts here: how many members belong together.
//!
//! Most clusters do not have the kind at all, so it is asked for quietly and seldom until it is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use weir_api::names;

use crate::convert::name::NamespacedName;

/// How often it is asked whether the kind is there.
const EVERY: Duration = Duration::from_secs(60);

/// The PodGroups that are known. Clones share them.
#[derive(Clone)]
pub struct PodGroups {
    client: Client,
    sizes: Arc<Mutex<Sizes>>,
}

/// How many members each asks for; none while the kind is not served.
type Sizes = Option<BTreeMap<NamespacedName, u32>>;

impl PodGroups {
    /// Begins to watch; the task ends with `tasks`.
    pub fn start(client: &Client, tasks: &mut JoinSet<()>, changed: &Arc<Notify>) -> Self {
        let groups = Self { client: client.clone(), sizes: Arc::default() };
        tasks.spawn(groups.clone().follow(Arc::clone(changed)));
        groups
    }

    /// How many members a PodGroup asks for; one that the watch has not brought yet is asked for.
    pub async fn size(&self, group: &NamespacedName) -> Option<u32> {
        if self.with(|sizes| sizes.is_none()) {
            return None;
        }
        if let Some(size) = self.known(group) {
            return Some(size);
        }
        let groups: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &group.namespace, &kind());
        groups.get_opt(&group.name).await.ok().flatten().as_ref().and_then(min_member)
    }

    /// How many members a PodGroup asks for, as far as the watch has brought it.
    #[must_use]
    pub fn known(&self, group: &NamespacedName) -> Option<u32> {
        self.with(|sizes| sizes.as_ref()?.get(group).copied())
    }

    async fn follow(self, changed: Arc<Notify>) {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind());
        while api.list(&ListParams::default().limit(1)).await.is_err() {
            tokio::time::sleep(EVERY).await;
        }
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.take(event);
                    changed.notify_one();
                }
                Err(error) => tracing::warn!(%error, kind = "PodGroup", "watching failed; retrying"),
            }
        }
    }

    fn take(&self, event: watcher::Event<DynamicObject>) {
        self.with(|sizes| match event {
            watcher::Event::Init => *sizes = Some(BTreeMap::new()),
            watcher::Event::InitDone => {}
            watcher::Event::Apply(group) | watcher::Event::InitApply(group) => {
                let (sizes, name) = (sizes.get_or_insert_default(), NamespacedName::of(&group));
                match min_member(&group) {
                    Some(size) => drop(sizes.insert(name, size)),
                    None => drop(sizes.remove(&name)),
                }
            }
            watcher::Event::Delete(group) => drop(sizes.get_or_insert_default().remove(&NamespacedName::of(&group))),
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Sizes) -> T) -> T {
        look(&mut self.sizes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(names::POD_GROUP_API, "v1alpha1", "PodGroup"))
}

/// `spec.minMember` of a PodGroup, where it is a number that a gang can have.
fn min_member(group: &DynamicObject) -> Option<u32> {
    let members = group.data.pointer("/spec/minMember")?.as_u64()?;
    u32::try_from(members).ok().filter(|&members| members > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_without_a_sensible_size_has_none() {
        let group = |spec| DynamicObject::new("g", &kind()).data(json!({ "spec": spec }));
        assert_eq!(min_member(&group(json!({ "minMember": 3 }))), Some(3));
        assert_eq!(min_member(&group(json!({ "minMember": 0 }))), None);
        assert_eq!(min_member(&group(json!({}))), None);
    }
}
