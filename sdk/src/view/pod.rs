//! The pod that is being scheduled.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};

use weir_model::view::{PodView, TermView};
use weir_model::{Amount, ContainerShape, PodShape, Resources, requests};

use super::object::Object;
use super::wire::{Index, Message, Positions, positions};
use super::{PodTerm, Preference, Quantities, Taint, Term, Texts};
use crate::host::{self, Call, CurrentPod, TargetPod};

/// The pod that is being scheduled, read from the host when it is first asked for something.
///
/// If the host does not answer, or not with a pod, everything is empty and the verdict of the call becomes
/// an error that names the host function; the plugin need not check anything.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("trainer").uid("1").label("team", "vision").annotation("note", "x").request("nvidia.com/gpu", "8");
/// let pod = pod.selector("zone", "a").build();
/// assert_eq!((pod.name(), pod.namespace(), pod.uid()), ("trainer", "default", "1"));
/// assert_eq!((pod.labels().get("team"), pod.annotations().get("note")), (Some("vision"), Some("x")));
/// assert_eq!(pod.node_selector().get("zone"), Some("a"));
/// assert_eq!(pod.request("nvidia.com/gpu").units(), 8);
/// assert_eq!((pod.node_name(), pod.scheduler_name(), pod.priority()), ("", "", 0));
/// ```
#[derive(Debug, Default)]
pub struct Pod {
    object: OnceCell<Object>,
    spec: Index<8>,
    /// What was asked for of [`Pod::request`] before: the pod of a cycle is asked about for each of its nodes.
    requests: RefCell<Vec<(String, Amount)>>,
}

/// The annotation in which a host hands over the pod as it made it before. A tenant can write it to a
/// pod too, and is not believed: a pod that exists has a name, the wrapping has none.
const PACKED: &str = "pod.weir.dev/packed";

/// Fields of PodSpec and their positions in the index.
const IN_SPEC: Positions = positions([2, 7, 18, 20, 22, 25, 32, 40]);
const CONTAINERS: usize = 0;
const NODE_SELECTOR: usize = 1;
const AFFINITY: usize = 2;
const INIT_CONTAINERS: usize = 3;
const TOLERATIONS: usize = 4;
const PRIORITY: usize = 5;
const OVERHEAD: usize = 6;
const RESOURCES: usize = 7;

impl Pod {
    /// The pod of this cycle.
    pub(crate) fn current() -> Self {
        Self::default()
    }

    /// The pod that is added to a node or removed from it. It is read at once: a pod that remembered which
    /// one it is would make every module import `targetPod`, and no module could be pure.
    pub(crate) fn target() -> Self {
        Self::from_protobuf(host::ask(TargetPod))
    }

    /// A pod from the bytes of its protobuf message, for tests and for tools outside a scheduler.
    ///
    /// ```
    /// use kube_scheduler_guest::{Pod, testing::pod};
    /// let bytes = pod("p").label("team", "vision").build().protobuf().to_vec();
    /// assert_eq!(Pod::from_protobuf(bytes).labels().get("team"), Some("vision"));
    /// ```
    #[must_use]
    pub fn from_protobuf(bytes: Vec<u8>) -> Self {
        Self { object: Object::new(bytes).into(), ..Self::default() }
    }

    /// The bytes of its protobuf message, empty if it was never read.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn protobuf(&self) -> &[u8] {
        self.object.get().map_or(&[], Object::bytes)
    }

    /// The bytes of the pod, empty if it was never read.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn into_protobuf(self) -> Vec<u8> {
        self.object.into_inner().map(Object::into_bytes).unwrap_or_default()
    }

    /// `metadata.name`. Empty where the host leaves it out, as it does for plugins that are declared pure.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object().name()
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.object().namespace()
    }

    /// `metadata.uid`. Empty where the host leaves it out, as [`Pod::name`].
    #[must_use]
    pub fn uid(&self) -> &str {
        self.object().uid()
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> Texts<'_> {
        self.object().labels()
    }

    /// `metadata.annotations`.
    #[must_use]
    pub fn annotations(&self) -> Texts<'_> {
        self.object().annotations()
    }

    /// `spec.nodeSelector`.
    #[must_use]
    pub fn node_selector(&self) -> Texts<'_> {
        Texts::new(self.spec(NODE_SELECTOR), 7)
    }

    /// `spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`: one of
    /// them a node has to meet. None when the pod has no such affinity.
    pub fn required_node_affinity(&self) -> impl Iterator<Item = Term<'_>> {
        self.spec(AFFINITY).message(18).message(1).message(1).messages(1).map(Term)
    }

    /// `spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution`: what a node had better
    /// meet, each with a weight.
    pub fn preferred_node_affinity(&self) -> impl Iterator<Item = Preference<'_>> {
        self.spec(AFFINITY).message(18).message(1).messages(2).map(Preference)
    }

    /// `spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution`: pods near which this one
    /// has to be.
    pub fn required_pod_affinity(&self) -> impl Iterator<Item = PodTerm<'_>> {
        self.spec(AFFINITY).message(18).message(2).messages(1).map(PodTerm)
    }

    /// `spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution`: pods near which this
    /// one must not be.
    pub fn required_pod_anti_affinity(&self) -> impl Iterator<Item = PodTerm<'_>> {
        self.spec(AFFINITY).message(18).message(3).messages(1).map(PodTerm)
    }

    /// `spec.containers`.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::pod;
    /// let pod = pod("p").request("cpu", "2").init_request("cpu", "4").build();
    /// let container = pod.containers().next().unwrap();
    /// assert_eq!((container.name(), container.requests().text("cpu")), ("main", Some("2")));
    /// assert!(container.limits().is_empty() && container.image().is_empty());
    /// let init = pod.init_containers().next().unwrap();
    /// assert_eq!((init.requests().text("cpu"), init.is_sidecar()), (Some("4"), false));
    /// assert!(pod.overhead().is_empty());
    /// ```
    pub fn containers(&self) -> impl Iterator<Item = Container<'_>> {
        self.object().front_of_spec(&self.spec, CONTAINERS).messages(2).map(Container)
    }

    /// `spec.initContainers`, in the order in which they run.
    pub fn init_containers(&self) -> impl Iterator<Item = Container<'_>> {
        self.spec(INIT_CONTAINERS).messages(20).map(Container)
    }

    /// `spec.overhead`: what the runtime class takes on top of the containers.
    #[must_use]
    pub fn overhead(&self) -> Quantities<'_> {
        Quantities::new(self.spec(OVERHEAD), 32)
    }

    /// `spec.tolerations`.
    pub fn tolerations(&self) -> impl Iterator<Item = Toleration<'_>> {
        self.spec(TOLERATIONS).messages(22).map(Toleration)
    }

    /// `spec.nodeName`; empty until the pod is placed.
    #[must_use]
    pub fn node_name(&self) -> &str {
        self.object().spec().text(10)
    }

    /// `spec.schedulerName`.
    #[must_use]
    pub fn scheduler_name(&self) -> &str {
        self.object().spec().text(19)
    }

    /// `spec.priority`, which the API server fills in; 0 when it is absent.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.spec(PRIORITY).int(25) as i32
    }

    /// How much of `resource` the pod takes from a node, as kube-scheduler counts it (init containers,
    /// sidecars, overhead), in the base unit: milli-CPU for `cpu`, whole units for all others.
    ///
    /// A quantity that does not parse makes the verdict of the call an error that says where it stands.
    #[must_use]
    pub fn request(&self, resource: &str) -> Amount {
        let known = |requests: &Vec<(String, Amount)>| {
            requests.iter().find(|(name, _)| name == resource).map(|&(_, amount)| amount)
        };
        if let Some(amount) = known(&self.requests.borrow()) {
            return amount;
        }
        match requests::pod_request(self, resource) {
            Ok(amount) => {
                self.requests.borrow_mut().push((String::from(resource), amount));
                amount
            }
            Err(error) => {
                host::fail(CurrentPod::NAME, &error);
                Amount::ZERO
            }
        }
    }

    fn spec(&self, position: usize) -> Message<'_> {
        self.object().spec_part(&self.spec, &IN_SPEC, position)
    }

    fn object(&self) -> &Object {
        self.object.get_or_init(|| {
            let bytes = host::ask(CurrentPod);
            if bytes.is_empty() {
                host::fail(CurrentPod::NAME, &"the host has no pod for this call");
            }
            let object = Object::new(bytes);
            if object.name().is_empty() { object.unpacked(PACKED) } else { object }
        })
    }
}

impl PodShape for Pod {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        Self::containers(self)
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        Self::init_containers(self)
    }

    fn overhead(&self) -> impl Resources<'_> {
        Self::overhead(self).iter()
    }

    fn pod_level(&self) -> impl Resources<'_> {
        Quantities::new(self.spec(RESOURCES).message(40), 2).iter()
    }
}

impl PodView for Pod {
    fn node_selector(&self, label: &str) -> Option<&str> {
        Self::node_selector(self).get(label)
    }

    fn required_node_affinity(&self) -> impl Iterator<Item = impl TermView> {
        Self::required_node_affinity(self)
    }
}

/// A container of a [`Pod`].
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").request("cpu", "500m").init_request("cpu", "2").build();
/// let largest = pod.containers().chain(pod.init_containers()).max_by_key(|one| one.requests().amount("cpu"));
/// let init = largest.unwrap();
/// assert_eq!((init.name(), init.requests().text("cpu")), ("init", Some("2")));
/// assert!(init.image().is_empty() && init.limits().is_empty() && !init.is_sidecar());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Container<'a>(Message<'a>);

impl<'a> Container<'a> {
    /// `name`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.0.text(1)
    }

    /// `image`.
    #[must_use]
    pub fn image(self) -> &'a str {
        self.0.text(2)
    }

    /// `resources.requests`.
    #[must_use]
    pub fn requests(self) -> Quantities<'a> {
        Quantities::new(self.0.message(8), 2)
    }

    /// `resources.limits`.
    #[must_use]
    pub fn limits(self) -> Quantities<'a> {
        Quantities::new(self.0.message(8), 1)
    }

    /// Whether this is an init container that runs on beside the others (`restartPolicy: Always`).
    #[must_use]
    pub fn is_sidecar(self) -> bool {
        self.0.text(24) == "Always"
    }
}

impl ContainerShape for Container<'_> {
    fn requests(&self) -> impl Resources<'_> {
        Container::requests(*self).iter()
    }

    fn is_sidecar(&self) -> bool {
        Container::is_sidecar(*self)
    }
}

/// A toleration of a [`Pod`].
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").toleration("dedicated", "Equal", "gpu", "NoSchedule").build();
/// let toleration = pod.tolerations().next().unwrap();
/// assert_eq!((toleration.key(), toleration.operator()), ("dedicated", "Equal"));
/// assert_eq!((toleration.value(), toleration.effect()), ("gpu", "NoSchedule"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Toleration<'a>(Message<'a>);

impl<'a> Toleration<'a> {
    /// The key of the taints it tolerates; empty with `Exists` means all.
    #[must_use]
    pub fn key(self) -> &'a str {
        self.0.text(1)
    }

    /// `Equal` or `Exists`; empty means `Equal`.
    #[must_use]
    pub fn operator(self) -> &'a str {
        self.0.text(2)
    }

    /// The value that `Equal` compares with.
    #[must_use]
    pub fn value(self) -> &'a str {
        self.0.text(3)
    }

    /// The effect it tolerates; empty means all.
    #[must_use]
    pub fn effect(self) -> &'a str {
        self.0.text(4)
    }

    /// Whether it tolerates a taint, as Kubernetes sees it.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::{node, pod};
    /// let node = node("n1").taint("dedicated", "gpu", "NoSchedule").build();
    /// let pod = pod("p").toleration("dedicated", "Equal", "gpu", "").build();
    /// let taint = node.taints().next().unwrap();
    /// assert!(pod.tolerations().any(|toleration| toleration.tolerates(taint)));
    /// ```
    #[must_use]
    pub fn tolerates(self, taint: Taint<'_>) -> bool {
        let effect = self.effect().is_empty() || self.effect() == taint.effect();
        let key = self.key().is_empty() || self.key() == taint.key();
        let value = match self.operator() {
            "Exists" => true,
            "" | "Equal" => self.value() == taint.value(),
            _ => false,
        };
        effect && key && value
    }
}
