//! What a Pod object asks for, counted by `policy/model` as kube-scheduler counts it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_model::Amount;
use weir_model::requests::{ContainerShape, PodShape, RequestError, Resources};

/// What a pod asks for by resource, in base units; what its node has set aside for it counts where that is
/// more.
///
/// ```
/// use weir_model::Amount;
/// let pod = serde_json::from_value(serde_json::json!({ "spec": { "containers": [
///     { "name": "a", "resources": { "requests": { "cpu": "500m" } } },
///     { "name": "b", "resources": { "requests": { "cpu": "1" } } },
/// ] } })).unwrap();
/// assert_eq!(weir_api::requests::of(&pod), Ok(vec![("cpu".to_owned(), Amount::new(1500))]));
/// ```
///
/// # Errors
/// A quantity that does not parse, with the container and the resource; the API server lets none through.
pub fn of(pod: &Pod) -> Result<Vec<(String, Amount)>, RequestError> {
    let nothing = PodSpec::default();
    let typed = Typed { spec: pod.spec.as_ref().unwrap_or(&nothing), status: pod.status.as_ref() };
    weir_model::requests::pod_requests(&typed)
}

struct Typed<'a> {
    spec: &'a PodSpec,
    status: Option<&'a PodStatus>,
}

struct TypedContainer<'a> {
    spec: &'a Container,
    status: Option<&'a ContainerStatus>,
}

impl PodShape for Typed<'_> {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        let statuses = self.status.and_then(|status| status.container_statuses.as_ref());
        self.spec.containers.iter().map(move |spec| TypedContainer { spec, status: status_of(spec, statuses) })
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        let statuses = self.status.and_then(|status| status.init_container_statuses.as_ref());
        let containers = self.spec.init_containers.iter().flatten();
        containers.map(move |spec| TypedContainer { spec, status: status_of(spec, statuses) })
    }

    fn overhead(&self) -> impl Resources<'_> {
        texts(self.spec.overhead.as_ref())
    }

    fn pod_level(&self) -> impl Resources<'_> {
        texts(self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    }
}

impl ContainerShape for TypedContainer<'_> {
    fn requests(&self) -> impl Resources<'_> {
        texts(self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    }

    fn allocated(&self) -> impl Resources<'_> {
        let resources = self.status.and_then(|status| status.resources.as_ref());
        texts(resources.and_then(|resources| resources.requests.as_ref()))
    }

    fn is_sidecar(&self) -> bool {
        self.spec.restart_policy.as_deref() == Some("Always")
    }
}

fn status_of<'a>(container: &Container, statuses: Option<&'a Vec<ContainerStatus>>) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|status| status.name == container.name)
}

fn texts(list: Option<&BTreeMap<String, Quantity>>) -> impl Iterator<Item = (&str, &str)> {
    list.into_iter().flatten().map(|(name, quantity)| (name.as_str(), quantity.0.as_str()))
}
