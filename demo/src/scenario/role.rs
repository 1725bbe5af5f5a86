//! The roles of the story, which pods carry as labels.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// The label that says which part of the run a pod belongs to, and its value on the pods of the story.
const NAME: (&str, &str) = ("app.kubernetes.io/name", "story");
/// The label that says which role a pod has.
const ROLE: &str = "app.kubernetes.io/component";

/// The role of a pod in the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May be taken back.
    Research,
    /// Is what others are taken back for.
    Production,
}

impl Role {
    const ALL: [Self; 2] = [Self::Research, Self::Production];

    /// Its name, which its pods' names begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Production => "production",
        }
    }

    /// The labels that its pods carry.
    #[must_use]
    pub fn labels(self) -> [(String, String); 2] {
        [NAME, (ROLE, self.name())].map(|(key, value)| (key.to_owned(), value.to_owned()))
    }

    /// The role of a pod; none for a pod of the trace.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.labels();
        labels.get(NAME.0).filter(|name| *name == NAME.1)?;
        let role = labels.get(ROLE)?;
        Self::ALL.into_iter().find(|known| known.name() == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_the_trace_plays_no_part() {
        let labels =
            serde_json::json!({ "app.kubernetes.io/name": "openb", "app.kubernetes.io/component": "research" });
        let pod = serde_json::from_value(serde_json::json!({ "metadata": { "labels": labels } })).unwrap();
        assert_eq!(Role::of(&pod), None);
    }
}
