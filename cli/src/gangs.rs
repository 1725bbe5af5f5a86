//! Which gang a pod belongs to, and how far that gang has come.
//!
//! Members announce their gang by a label and a size. The pods of a RayCluster announce nothing: where the sidecar
//! made a gang of them, its Gang object has the RayCluster's name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use weir_api::{Gang, PodInfo};

/// The Gang objects, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Gangs(BTreeMap<(String, String), Gang>);

impl Gangs {
    pub(crate) fn of(gangs: impl IntoIterator<Item = Gang>) -> Self {
        let key = |gang: &Gang| (gang.namespace().unwrap_or_default(), gang.name_any());
        Self(gangs.into_iter().map(|gang| (key(&gang), gang)).collect())
    }

    /// The object of a gang; none before the sidecar has written it.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&Gang> {
        self.0.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The name of the gang that a pod belongs to.
    pub(crate) fn name_of<'a>(&self, pod: &'a Pod) -> Option<&'a str> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let info = PodInfo::of(pod);
        let announced = info.gang().map(|gang| gang.name);
        announced.or_else(|| info.ray_cluster().filter(|name| self.find(namespace, name).is_some()))
    }
}
