//! Namespace and name of an object, in one type.

use std::fmt;

use kube::{Resource, ResourceExt};

/// What identifies an object of a kind that has namespaces.
///
/// ```
/// use weir_admission::convert::name::NamespacedName;
/// assert_eq!(NamespacedName::new("team", "train").to_string(), "team/train");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl NamespacedName {
    /// This namespace and this name.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Those of an object; the namespace is empty where it has none.
    #[must_use]
    pub fn of(object: &impl Resource) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
