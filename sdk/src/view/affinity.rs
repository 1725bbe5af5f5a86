//! Node affinity: terms of requirements on a node's labels and fields.

use weir_model::view::{RequirementView, TermView};

use super::Texts;
use super::wire::Message;

/// One term of a node affinity; a node meets it when it meets all its requirements.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").affinity_in("zone", &["a", "b"]).bound_to("n1").build();
/// let terms: Vec<_> = pod.required_node_affinity().collect();
/// let zone = terms[0].match_expressions().next().unwrap();
/// assert_eq!((zone.key(), zone.operator()), ("zone", "In"));
/// assert_eq!(zone.values().collect::<Vec<_>>(), ["a", "b"]);
/// let name = terms[1].match_fields().next().unwrap();
/// assert_eq!((name.key(), name.values().next()), ("metadata.name", Some("n1")));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Term<'a>(pub(crate) Message<'a>);

impl<'a> Term<'a> {
    /// Requirements on the node's labels.
    pub fn match_expressions(self) -> impl Iterator<Item = Requirement<'a>> + use<'a> {
        self.0.messages(1).map(Requirement)
    }

    /// Requirements on the node's fields; the only field that Kubernetes knows is `metadata.name`.
    pub fn match_fields(self) -> impl Iterator<Item = Requirement<'a>> + use<'a> {
        self.0.messages(2).map(Requirement)
    }
}

/// One requirement of a [`Term`].
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").affinity_in("zone", &["a", "b"]).build();
/// let term = pod.required_node_affinity().next().unwrap();
/// let requirement = term.match_expressions().next().unwrap();
/// let allows = |zone| requirement.key() == "zone" && requirement.values().any(|value| value == zone);
/// assert_eq!(requirement.operator(), "In");
/// assert_eq!((allows("b"), allows("c")), (true, false));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Requirement<'a>(Message<'a>);

impl<'a> Requirement<'a> {
    /// The label or field it speaks of.
    #[must_use]
    pub fn key(self) -> &'a str {
        self.0.text(1)
    }

    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    #[must_use]
    pub fn operator(self) -> &'a str {
        self.0.text(2)
    }

    /// The values that the operator speaks of.
    pub fn values(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.texts(3)
    }
}

/// A term that a node had better meet.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").preference_in(80, "disk", &["nvme"]).preference_in(20, "disk", &["ssd"]).build();
/// let likes = pod.preferred_node_affinity().map(|preference| {
///     let disk = preference.term().match_expressions().next().and_then(|disk| disk.values().next());
///     (preference.weight(), disk.unwrap())
/// });
/// assert_eq!(likes.collect::<Vec<_>>(), [(80, "nvme"), (20, "ssd")]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Preference<'a>(pub(crate) Message<'a>);

impl<'a> Preference<'a> {
    /// How much it counts, 1 to 100.
    #[must_use]
    pub fn weight(self) -> i32 {
        self.0.int(1) as i32
    }

    /// What to meet.
    #[must_use]
    pub fn term(self) -> Term<'a> {
        Term(self.0.message(2))
    }
}

/// Pods near which another one has to be, or must not be.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("worker").near("app", "cache", "zone").apart_from("app", "worker", "kubernetes.io/hostname").build();
/// let cache = pod.required_pod_affinity().next().unwrap();
/// assert_eq!((cache.match_labels().get("app"), cache.topology_key()), (Some("cache"), "zone"));
/// assert_eq!(cache.namespaces().count(), 0, "so those of its own namespace");
/// let sibling = pod.required_pod_anti_affinity().next().unwrap();
/// assert_eq!(sibling.topology_key(), "kubernetes.io/hostname");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PodTerm<'a>(pub(crate) Message<'a>);

impl<'a> PodTerm<'a> {
    /// `labelSelector.matchLabels`: labels that those pods have.
    #[must_use]
    pub fn match_labels(self) -> Texts<'a> {
        Texts::new(self.0.message(1), 1)
    }

    /// `labelSelector.matchExpressions`: requirements that those pods meet.
    pub fn match_expressions(self) -> impl Iterator<Item = Requirement<'a>> + use<'a> {
        self.0.message(1).messages(2).map(Requirement)
    }

    /// `namespaces`: where those pods are; none means the pod's own, unless a namespace selector says otherwise.
    pub fn namespaces(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.texts(2)
    }

    /// `topologyKey`: the node label whose value makes two nodes near.
    #[must_use]
    pub fn topology_key(self) -> &'a str {
        self.0.text(3)
    }
}

impl TermView for Term<'_> {
    fn match_expressions(&self) -> impl Iterator<Item = impl RequirementView> {
        Term::match_expressions(*self)
    }

    fn match_fields(&self) -> impl Iterator<Item = impl RequirementView> {
        Term::match_fields(*self)
    }
}

impl RequirementView for Requirement<'_> {
    fn key(&self) -> &str {
        Requirement::key(*self)
    }

    fn operator(&self) -> &str {
        Requirement::operator(*self)
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        Requirement::values(*self)
    }
}
