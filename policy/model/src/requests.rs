//! Requests of pods, as kube-scheduler counts them.
//!
//! Decides the one number that a pod takes from a node for each resource, from its containers, its init
//! containers, its sidecars and its overhead. It reads the pod through [`PodShape`], so that the scheduler
//! plugins (which see a protobuf message) and the admission sidecar (which sees a typed object) count with
//! the same code and cannot disagree. What the number is then compared with is decided elsewhere.
//!
//! An init container runs alone, so the most that any of them needs counts, not their sum. A restartable
//! one (a sidecar) runs from its turn until the pod ends: it adds to everything that comes after it.
//!
//! ```text
//!  init a   init b (sidecar)   init c        containers d, e
//!  ├──a──┤  ├──b─────────────────────────────────────────────────▶
//!                              ├──c──┤       ├──d + e─────────────▶
//!  request = max(a, b, b + c, b + d + e) + overhead
//! ```

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::max;
use core::fmt;

use crate::{Amount, Quantity, QuantityError};

/// A list of resources as Kubernetes writes it: a name and the text of a quantity, each name once.
pub trait Resources<'a>: Iterator<Item = (&'a str, &'a str)> {}

impl<'a, I: Iterator<Item = (&'a str, &'a str)>> Resources<'a> for I {}

/// A container as far as its requests go.
///
/// ```
/// use weir_model::{ContainerShape, Resources};
///
/// /// Runs on beside the others.
/// struct Proxy;
///
/// impl ContainerShape for Proxy {
///     fn requests(&self) -> impl Resources<'_> {
///         [("cpu", "100m"), ("memory", "64Mi")].into_iter()
///     }
///     fn is_sidecar(&self) -> bool {
///         true
///     }
/// }
/// assert_eq!(Proxy.requests().map(|(name, _)| name).collect::<Vec<_>>(), ["cpu", "memory"]);
/// assert_eq!(Proxy.allocated().count(), 0, "no node has set anything aside for it");
/// ```
pub trait ContainerShape {
    /// `resources.requests`.
    fn requests(&self) -> impl Resources<'_>;

    /// What the node has set aside for the container (`status.containerStatuses[].resources.requests`), which can
    /// differ from the requests while the pod is resized in place; nothing for a pod that is not placed.
    fn allocated(&self) -> impl Resources<'_> {
        core::iter::empty()
    }

    /// Whether the container is an init container that runs on beside the others (`restartPolicy: Always`).
    fn is_sidecar(&self) -> bool;
}

/// A pod as far as its requests go.
pub trait PodShape {
    /// `spec.containers`, in their order.
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape>;

    /// `spec.initContainers`, in their order, which matters.
    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape>;

    /// `spec.overhead`: what the runtime class takes on top.
    fn overhead(&self) -> impl Resources<'_>;

    /// `spec.resources.requests`: what the pod asks for as a whole. The API server keeps it only where the
    /// feature is on; for `cpu` and `memory` it then stands in place of what the containers ask for.
    fn pod_level(&self) -> impl Resources<'_> {
        core::iter::empty()
    }
}

/// A quantity in a pod that does not parse.
///
/// ```
/// use weir_model::requests::{Place, RequestError};
/// use weir_model::QuantityError;
/// let (place, resource) = (Place::InitContainer(1), "memory".to_owned());
/// let error = RequestError { place, resource, source: QuantityError::NoDigits };
/// assert_eq!(error.to_string(), "spec.initContainers[1].resources.requests[memory]: a quantity has no digits");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// Where the quantity stands in the pod, such as `containers[0].resources.requests`.
    pub place: Place,
    /// The name of the resource.
    pub resource: String,
    /// What is wrong with the text.
    pub source: QuantityError,
}

/// The most resource names that a pod may list: a node has a handful.
pub const MOST_NAMES: usize = 64;

/// The error for a pod of which it cannot be said what it asks for.
///
/// ```
/// use weir_model::requests::PodRequestsError;
/// assert_eq!(
///     PodRequestsError::TooManyNames.to_string(),
///     "spec.containers[].resources.requests: more than 64 resources are listed; ask for those that the pod needs",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodRequestsError {
    /// A quantity cannot be read.
    Unreadable(RequestError),
    /// The pod lists more than [`MOST_NAMES`] resources; no more than those were read.
    TooManyNames,
}

impl fmt::Display for PodRequestsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(source) => source.fmt(f),
            Self::TooManyNames => write!(
                f,
                "spec.containers[].resources.requests: more than {MOST_NAMES} resources are listed; \
                 ask for those that the pod needs"
            ),
        }
    }
}

impl core::error::Error for PodRequestsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreadable(source) => source.source(),
            Self::TooManyNames => None,
        }
    }
}

/// A place in a pod where resources are listed.
///
/// ```
/// use weir_model::requests::{Place, RequestError};
/// use weir_model::QuantityError;
/// let error = RequestError { place: Place::Pod, resource: "cpu".into(), source: QuantityError::NoDigits };
/// assert_eq!(error.to_string(), "spec.resources.requests[cpu]: a quantity has no digits");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `containers[index]`, counted from 0.
    Container(usize),
    /// `initContainers[index]`, counted from 0.
    InitContainer(usize),
    /// `overhead`.
    Overhead,
    /// `resources` of the pod itself.
    Pod,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, resource, source } = self;
        match place {
            Place::Container(at) => write!(f, "spec.containers[{at}].resources.requests[{resource}]: {source}"),
            Place::InitContainer(at) => write!(f, "spec.initContainers[{at}].resources.requests[{resource}]: {source}"),
            Place::Overhead => write!(f, "spec.overhead[{resource}]: {source}"),
            Place::Pod => write!(f, "spec.resources.requests[{resource}]: {source}"),
        }
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The amount of `resource` that the pod takes from a node, in the resource's base unit: milli-CPU for `cpu`,
/// whole units for all others. Zero when the pod does not mention it.
///
/// Sums are rounded up once, at the end, as kube-scheduler does.
///
/// ```
/// use weir_model::requests::{ContainerShape, PodShape, Resources, asks_for, pod_request, pod_requests};
///
/// #[derive(Clone, Copy)]
/// struct Container(&'static [(&'static str, &'static str)]);
///
/// impl ContainerShape for Container {
///     fn requests(&self) -> impl Resources<'_> {
///         self.0.iter().copied()
///     }
///     fn is_sidecar(&self) -> bool {
///         false
///     }
/// }
///
/// /// Its container, and what has to run before.
/// struct Pod(Container, Container);
///
/// impl PodShape for Pod {
///     fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
///         [self.0].into_iter()
///     }
///     fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
///         [self.1].into_iter()
///     }
///     fn overhead(&self) -> impl Resources<'_> {
///         [].into_iter()
///     }
/// }
///
/// let pod = Pod(Container(&[("cpu", "500m"), ("nvidia.com/gpu", "1")]), Container(&[("cpu", "2")]));
/// assert_eq!(pod_request(&pod, "cpu")?.units(), 2000, "the larger of the two");
/// assert_eq!(pod_requests(&pod).unwrap().len(), 2);
/// assert!(asks_for(&pod, |resource| resource.ends_with("/gpu"))?);
///
/// let wrong = pod_request(&Pod(Container(&[("cpu", "one")]), Container(&[])), "cpu").unwrap_err();
/// assert!(wrong.to_string().starts_with("spec.containers[0].resources.requests[cpu]: "));
/// # Ok::<(), weir_model::RequestError>(())
/// ```
///
/// # Errors
/// When a quantity of this resource does not parse; it says which one.
pub fn pod_request(pod: &impl PodShape, resource: &str) -> Result<Amount, RequestError> {
    let overhead = amount_of(pod.overhead(), resource, Place::Overhead)?.unwrap_or(Quantity::ZERO);
    let whole = match resource {
        "cpu" | "memory" => amount_of(pod.pod_level(), resource, Place::Pod)?,
        _ => None,
    };
    let base = match whole {
        Some(quantity) => quantity,
        None => containers_request(pod, resource)?,
    };
    Ok((base + overhead).amount(resource))
}

/// Every resource that the pod takes more than nothing of, in the order of their names.
///
/// ```
/// # use weir_model::requests::{ContainerShape, PodShape, Resources};
/// # struct Container;
/// # impl ContainerShape for Container {
/// #     fn requests(&self) -> impl Resources<'_> { [("memory", "1Gi"), ("cpu", "2"), ("nvidia.com/gpu", "0")].into_iter() }
/// #     fn is_sidecar(&self) -> bool { false }
/// # }
/// # struct Pod;
/// # impl PodShape for Pod {
/// #     fn containers(&self) -> impl Iterator<Item = impl ContainerShape> { [Container].into_iter() }
/// #     fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> { Vec::<Container>::new().into_iter() }
/// #     fn overhead(&self) -> impl Resources<'_> { [].into_iter() }
/// # }
/// // A pod with one container: 2 cores, 1Gi, no GPU.
/// let requests = weir_model::requests::pod_requests(&Pod)?;
/// let names: Vec<&str> = requests.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["cpu", "memory"]);
/// # Ok::<(), weir_model::requests::PodRequestsError>(())
/// ```
///
/// # Errors
/// As [`pod_request`], and when the pod lists more than [`MOST_NAMES`] resources.
pub fn pod_requests(pod: &impl PodShape) -> Result<Vec<(String, Amount)>, PodRequestsError> {
    pod_requests_of(pod, |_| true)
}

/// The same of the names that `wanted` accepts. The others do not count towards those that a pod may list.
///
/// # Errors
/// As [`pod_requests`].
pub fn pod_requests_of(
    pod: &impl PodShape,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Amount)>, PodRequestsError> {
    let mut requests = Vec::new();
    for name in resource_names(pod, wanted).ok_or(PodRequestsError::TooManyNames)? {
        let amount = pod_request(pod, &name).map_err(PodRequestsError::Unreadable)?;
        if !amount.is_zero() {
            requests.push((name, amount));
        }
    }
    Ok(requests)
}

/// Whether the pod asks for anything whose name `wanted` accepts, in whichever container.
///
/// ```
/// # use weir_model::requests::{ContainerShape, PodShape, Resources};
/// # struct Container;
/// # impl ContainerShape for Container {
/// #     fn requests(&self) -> impl Resources<'_> { [("nvidia.com/gpu", "1")].into_iter() }
/// #     fn is_sidecar(&self) -> bool { false }
/// # }
/// # struct Pod;
/// # impl PodShape for Pod {
/// #     fn containers(&self) -> impl Iterator<Item = impl ContainerShape> { [Container].into_iter() }
/// #     fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> { Vec::<Container>::new().into_iter() }
/// #     fn overhead(&self) -> impl Resources<'_> { [].into_iter() }
/// # }
/// // A pod with one container that asks for a GPU.
/// assert!(weir_model::requests::asks_for(&Pod, |name| name == "nvidia.com/gpu")?);
/// # Ok::<(), weir_model::RequestError>(())
/// ```
///
/// # Errors
/// When the quantity of an accepted name does not parse.
pub fn asks_for(pod: &impl PodShape, wanted: impl Fn(&str) -> bool) -> Result<bool, RequestError> {
    for (at, container) in pod.containers().enumerate() {
        if any_positive(container.requests(), &wanted, Place::Container(at))? {
            return Ok(true);
        }
    }
    for (at, container) in pod.init_containers().enumerate() {
        if any_positive(container.requests(), &wanted, Place::InitContainer(at))? {
            return Ok(true);
        }
    }
    any_positive(pod.overhead(), &wanted, Place::Overhead)
}

fn containers_request(pod: &impl PodShape, resource: &str) -> Result<Quantity, RequestError> {
    let mut running = Quantity::ZERO;
    for (at, container) in pod.containers().enumerate() {
        running = running + container_request(&container, resource, Place::Container(at))?;
    }
    let mut sidecars = Quantity::ZERO;
    let mut starting = Quantity::ZERO;
    for (at, container) in pod.init_containers().enumerate() {
        let request = container_request(&container, resource, Place::InitContainer(at))?;
        if container.is_sidecar() {
            running = running + request;
            sidecars = sidecars + request;
            starting = max(starting, sidecars);
        } else {
            starting = max(starting, sidecars + request);
        }
    }
    Ok(max(running, starting))
}

/// The larger of what a container asks for and what the node has set aside for it.
fn container_request(container: &impl ContainerShape, resource: &str, place: Place) -> Result<Quantity, RequestError> {
    let asked = amount_of(container.requests(), resource, place)?.unwrap_or(Quantity::ZERO);
    let allocated = amount_of(container.allocated(), resource, place)?.unwrap_or(Quantity::ZERO);
    Ok(max(asked, allocated))
}

fn amount_of<'a>(
    mut resources: impl Resources<'a>,
    resource: &str,
    place: Place,
) -> Result<Option<Quantity>, RequestError> {
    match resources.find(|(name, _)| *name == resource) {
        None => Ok(None),
        Some((name, text)) => parse(name, text, place).map(Some),
    }
}

fn any_positive<'a>(
    resources: impl Resources<'a>,
    wanted: impl Fn(&str) -> bool,
    place: Place,
) -> Result<bool, RequestError> {
    for (name, text) in resources {
        if wanted(name) && parse(name, text, place)?.is_positive() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parse(name: &str, text: &str, place: Place) -> Result<Quantity, RequestError> {
    Quantity::parse(text).map_err(|source| RequestError { place, resource: name.to_string(), source })
}

/// The names of the wanted resources that a pod lists; `None` for more than [`MOST_NAMES`].
fn resource_names(pod: &impl PodShape, wanted: impl Fn(&str) -> bool) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut add = |name: &str| {
        if wanted(name) && !names.contains(name) {
            names.insert(name.to_string());
        }
        (names.len() <= MOST_NAMES).then_some(())
    };
    for container in pod.containers() {
        container.requests().chain(container.allocated()).try_for_each(|(name, _)| add(name))?;
    }
    for container in pod.init_containers() {
        container.requests().try_for_each(|(name, _)| add(name))?;
    }
    pod.overhead().chain(pod.pod_level()).try_for_each(|(name, _)| add(name))?;
    Some(names)
}
