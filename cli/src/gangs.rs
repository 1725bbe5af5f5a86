//! The gangs that pods belong to.
//!
//! Members announce their gang by a label and a size. The pods of a RayCluster announce nothing: where the sidecar
//! made a gang of them, its Gang object has the RayCluster's name.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::ObjectRef;
use weir_api::{Gang, PodInfo};

/// The Gang objects, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Gangs(HashMap<ObjectRef<Gang>, Gang>);

impl Gangs {
    pub(crate) fn of(gangs: impl IntoIterator<Item = Gang>) -> Self {
        Self(gangs.into_iter().map(|gang| (ObjectRef::from_obj(&gang), gang)).collect())
    }

    /// The object of a gang; `None` before the sidecar has written it.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&Gang> {
        self.0.get(&ObjectRef::new(name).within(namespace))
    }

    /// The name of the gang that a pod belongs to.
    pub(crate) fn name_of<'a>(&self, pod: &'a Pod) -> Option<&'a str> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let info = PodInfo::of(pod);
        let announced = info.gang().map(|gang| gang.name);
        announced.or_else(|| info.ray_cluster().filter(|name| self.find(namespace, name).is_some()))
    }
}
