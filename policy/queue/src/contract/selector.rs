//! A pod's constraints on nodes: required affinity, tolerations, and the taints that they tolerate.
//!
//! The rules are kube-scheduler's, reduced to what does not depend on other pods. Preferences do not decide
//! whether something fits, so they are not here.

use std::collections::BTreeMap;

/// One term of a required node affinity; all of its requirements must hold. A term without any matches nothing.
///
/// ```
/// use weir_queue::{Operator, Requirement, Term};
/// let zone = Requirement { key: "zone".into(), operator: Operator::In(vec!["a".into(), "b".into()]) };
/// let term = Term { expressions: vec![zone], names: vec![] };
/// let labels = [("zone".to_owned(), "b".to_owned())].into();
/// assert!(term.matches("node-0", &labels));
/// assert!(!Term::default().matches("node-0", &labels));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// `matchExpressions`.
    pub expressions: Vec<Requirement>,
    /// `matchFields` on `metadata.name`, the only field there is.
    pub names: Vec<Requirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What has to hold of the label's value.
    pub operator: Operator,
}

/// What has to hold of a label's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The value is one of these.
    In(Vec<String>),
    /// The value is none of these, or the label is absent.
    NotIn(Vec<String>),
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The value is an integer above this.
    Gt(i64),
    /// The value is an integer below this.
    Lt(i64),
}

impl Requirement {
    /// Whether the label's value is what the requirement asks for; `None` means that the label is absent.
    ///
    /// ```
    /// use weir_queue::{Operator, Requirement};
    /// let many = Requirement { key: "slots".into(), operator: Operator::Gt(4) };
    /// assert!(many.holds(Some("8")) && !many.holds(Some("four")) && !many.holds(None));
    /// ```
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(bound) => number().is_some_and(|number| number > *bound),
            Operator::Lt(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl Term {
    /// Whether a node of this name with these labels meets every requirement of the term.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let expressions = |one: &Requirement| one.holds(labels.get(&one.key).map(String::as_str));
        !(self.expressions.is_empty() && self.names.is_empty())
            && self.expressions.iter().all(expressions)
            && self.names.iter().all(|one| one.holds(Some(name)))
    }
}

/// What a taint does to a pod that does not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The pod is not placed there.
    NoSchedule,
    /// The pod is placed there only if nothing else is left; this never decides whether something fits.
    PreferNoSchedule,
    /// The pod is not placed there, and would be evicted.
    NoExecute,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// The taint's key.
    pub key: String,
    /// The taint's value, often empty.
    pub value: String,
    /// What the taint does.
    pub effect: Effect,
}

/// A toleration of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toleration {
    /// The key; `None` tolerates every taint.
    pub key: Option<String>,
    /// The value (operator `Equal`); `None` is the operator `Exists`.
    pub value: Option<String>,
    /// The effect; `None` means every effect.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether the pod tolerates a taint.
    ///
    /// ```
    /// use weir_queue::{Effect, Taint, Toleration};
    /// let taint = Taint { key: "gpu".into(), value: "yes".into(), effect: Effect::NoSchedule };
    /// let exists = Toleration { key: Some("gpu".into()), ..Toleration::default() };
    /// assert!(exists.tolerates(&taint));
    /// assert!(!Toleration { value: Some("no".into()), ..exists }.tolerates(&taint));
    /// ```
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}
