//! Whether a pod's constraints let it on a node: selectors, required affinity, taints.
//!
//! The rules are kube-scheduler's, reduced to what does not depend on other pods. Preferences do not decide
//! whether something fits, so they are not here.

use std::collections::BTreeMap;

use crate::pod::PodShape;

/// One term of a required node affinity; all of its requirements must hold. A term without any matches nothing.
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
    /// What has to hold of its value.
    pub operator: Operator,
}

/// What has to hold of a label's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// It is one of these.
    In(Vec<String>),
    /// It is none of these, or the label is absent.
    NotIn(Vec<String>),
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// It is an integer above this.
    Gt(i64),
    /// It is an integer below this.
    Lt(i64),
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
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
    fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let expressions = |one: &Requirement| one.holds(labels.get(&one.key).map(String::as_str));
        !(self.expressions.is_empty() && self.names.is_empty())
            && self.expressions.iter().all(expressions)
            && self.names.iter().all(|one| one.holds(Some(name)))
    }
}

/// What a taint does to a pod that does not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It is not placed there.
    NoSchedule,
    /// It is placed there only if nothing else is left; never decides whether something fits.
    PreferNoSchedule,
    /// It is not placed there, and would be evicted.
    NoExecute,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, often empty.
    pub value: String,
    /// What it does.
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
    fn tolerates(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}

/// Whether `shape` may run on a node of this name with these labels and taints, whatever is free there.
pub(crate) fn admits(shape: &PodShape, name: &str, labels: &BTreeMap<String, String>, taints: &[Taint]) -> bool {
    let repels = |taint: &Taint| {
        taint.effect != Effect::PreferNoSchedule && !shape.tolerations.iter().any(|one| one.tolerates(taint))
    };
    shape.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        && (shape.affinity.is_empty() || shape.affinity.iter().any(|term| term.matches(name, labels)))
        && !taints.iter().any(repels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    fn requires(key: &str, operator: Operator) -> PodShape {
        let expressions = vec![Requirement { key: key.into(), operator }];
        PodShape { affinity: vec![Term { expressions, names: vec![] }], ..PodShape::default() }
    }

    #[test]
    fn each_operator_reads_a_label_as_kubernetes_does() {
        let node = labels(&[("model", "T4"), ("slots", "8")]);
        let fits = |operator, key| admits(&requires(key, operator), "n", &node, &[]);
        assert!(fits(Operator::In(vec!["A10".into(), "T4".into()]), "model"));
        assert!(!fits(Operator::In(vec!["A10".into()]), "absent"));
        assert!(fits(Operator::NotIn(vec!["A10".into()]), "absent"));
        assert!(!fits(Operator::NotIn(vec!["T4".into()]), "model"));
        assert!(fits(Operator::Exists, "model") && !fits(Operator::Exists, "absent"));
        assert!(fits(Operator::DoesNotExist, "absent") && !fits(Operator::DoesNotExist, "model"));
        assert!(fits(Operator::Gt(7), "slots") && !fits(Operator::Gt(8), "slots"));
        assert!(fits(Operator::Lt(9), "slots") && !fits(Operator::Lt(9), "model"));
    }

    #[test]
    fn a_term_without_requirements_matches_no_node() {
        let shape = PodShape { affinity: vec![Term::default()], ..PodShape::default() };
        assert!(!admits(&shape, "n", &labels(&[]), &[]));
    }

    #[test]
    fn a_pod_can_be_bound_to_one_node_by_name() {
        let names = vec![Requirement { key: "metadata.name".into(), operator: Operator::In(vec!["b".into()]) }];
        let shape = PodShape { affinity: vec![Term { expressions: vec![], names }], ..PodShape::default() };
        assert!(!admits(&shape, "a", &labels(&[]), &[]));
        assert!(admits(&shape, "b", &labels(&[]), &[]));
    }

    #[test]
    fn a_taint_repels_who_does_not_tolerate_key_value_and_effect() {
        let taint = Taint { key: "gpu".into(), value: "yes".into(), effect: Effect::NoSchedule };
        let with = |toleration| PodShape { tolerations: vec![toleration], ..PodShape::default() };
        let key = Some("gpu".to_owned());
        let fits = |shape: PodShape| admits(&shape, "n", &labels(&[]), std::slice::from_ref(&taint));
        assert!(!fits(PodShape::default()));
        assert!(fits(with(Toleration::default())));
        assert!(fits(with(Toleration { key: key.clone(), ..Toleration::default() })));
        assert!(fits(with(Toleration { key: key.clone(), value: Some("yes".into()), ..Toleration::default() })));
        assert!(!fits(with(Toleration { key: key.clone(), value: Some("no".into()), ..Toleration::default() })));
        assert!(!fits(with(Toleration { key, effect: Some(Effect::NoExecute), ..Toleration::default() })));
        let soft = Taint { effect: Effect::PreferNoSchedule, ..taint.clone() };
        assert!(admits(&PodShape::default(), "n", &labels(&[]), &[soft]));
    }
}
