//! Special hardware is kept for the pods that name it; general pods avoid it.
//!
//! Decides which special model a pod names, which one a node has, and whether the two go together. It does
//! not decide whether the pod may have GPUs at all ([`crate::gpu`]), nor compare label with label: a pod's
//! node selector is met or not by kube-scheduler's own NodeAffinity.
//!
//! What a pod names, from its node selector and its required node affinity (`In` only):
//!
//! | the pod lists | it is |
//! |---|---|
//! | no model, or only general ones | a general pod |
//! | one special model | a pod for that model |
//! | special models and general ones | a general pod: it can do without, so it goes without |
//! | several special models and no general one | misconfigured: they are different pools of hardware |
//!
//! The terms of a node affinity are alternatives, so the rule holds over all of them together; the
//! requirements within a term, and the node selector beside it, must all be met, so they narrow each other.
//! `NotIn`, `Exists` and the others name no model.
//!
//! People write `H100` where the node says `NVIDIA_H100_80GB_HBM3`. An alias means its model everywhere
//! here, but NodeAffinity compares letters, so it has to be replaced before the pod is scheduled:
//! [`SpecialHardware::rewrites`] says what by what.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use weir_model::view::bound_to_one_node;
use weir_model::{NodeView, PodView, RequirementView, TermView};

mod list;
pub use list::{ListError, MODEL_LABEL, SpecialHardwareList, SpecialModel};

use list::MOST_MODELS;

/// The special hardware of a cluster: a list that was found to be free of contradictions.
///
/// ```
/// use weir_placement::sku::{ListError, SpecialHardware, SpecialHardwareList, SpecialModel};
/// let h100 = SpecialModel {
///     model: "NVIDIA_H100_80GB_HBM3".into(),
///     aliases: vec!["H100".into()],
///     label_values: [("nvidia.com/gpu.product".into(), "NVIDIA-H100-80GB-HBM3".into())].into(),
///     gpus_per_host: 8,
/// };
/// let keys = vec!["gpu-node-label-model".into(), "nvidia.com/gpu.product".into()];
/// let list = |models| SpecialHardwareList { label_keys: keys.clone(), models };
/// let special = SpecialHardware::new(list(vec![h100.clone()]))?;
/// assert_eq!(special.label_keys(), keys);
/// assert_eq!(special.models()[0].label_value("nvidia.com/gpu.product"), "NVIDIA-H100-80GB-HBM3");
/// assert!(SpecialHardware::new(list(vec![h100.clone(), h100])).is_err(), "a name cannot mean two models");
/// # Ok::<(), ListError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialHardware {
    label_keys: Vec<String>,
    models: Vec<SpecialModel>,
}

/// Which hardware a pod names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// None that is special: a general pod.
    General,
    /// This special model.
    Special(&'a SpecialModel),
}

impl SpecialHardware {
    /// Checks a list.
    ///
    /// # Errors
    /// The first thing in it that is wrong: an empty or unusable name, a name with two meanings, a host
    /// without GPUs, a label that is not among the keys.
    pub fn new(list: SpecialHardwareList) -> Result<Self, ListError> {
        list::check(&list)?;
        let SpecialHardwareList { label_keys, models } = list;
        Ok(Self { label_keys, models })
    }

    /// The special models, in the order of the list.
    #[must_use]
    pub fn models(&self) -> &[SpecialModel] {
        &self.models
    }

    /// The node labels that name a model.
    #[must_use]
    pub fn label_keys(&self) -> &[String] {
        &self.label_keys
    }

    /// The special model that a node has, if any. Of several labels the first of the list that names one
    /// counts; an alias on a node counts as well, because the hardware is no less special for it.
    #[must_use]
    pub fn model_of_node(&self, node: &impl NodeView) -> Option<&SpecialModel> {
        let named = self.label_keys.iter().filter_map(|key| node.label(key));
        named.filter_map(|value| self.find(value)).next().and_then(|index| self.models.get(index))
    }

    /// Which hardware a pod names.
    ///
    /// # Errors
    /// When it names several special models and leaves no general one.
    pub fn named_by(&self, pod: &impl PodView) -> Result<Named<'_>, SeveralModels> {
        let selected = self.selected(pod)?;
        let mut alternatives = None;
        for term in pod.required_node_affinity().filter(|term| !matches_nothing(term)) {
            let left = self.narrowed(selected, &term)?;
            alternatives = Some(alternatives.unwrap_or(Models::NONE).or(left));
        }
        let models = alternatives.unwrap_or(selected);
        if models.with_general() { Ok(Named::General) } else { self.only(models).map(Named::Special) }
    }

    /// Whether the pod may run on the node as far as special hardware goes.
    ///
    /// # Errors
    /// The reason why not, in the words that the user reads on the pod.
    pub fn judge(&self, pod: &impl PodView, node: &impl NodeView) -> Result<(), Refusal> {
        let named = self.named_by(pod).map_err(Refusal::Misconfigured)?;
        match (named, self.model_of_node(node)) {
            (Named::General, None) => Ok(()),
            (Named::Special(wanted), Some(model)) if wanted.model == model.model => Ok(()),
            // Looked up last: hardly any pod is bound like this.
            (_, Some(_)) if bound_to_one_node(pod).is_some() => Ok(()),
            (Named::General, Some(_)) => Err(Refusal::KeptForPodsThatNameIt),
            (Named::Special(_), _) => Err(Refusal::OtherModel),
        }
    }

    /// Every place where the pod says a special model's name other than the nodes do: what has to be written
    /// there instead, in `spec.nodeSelector` and in the values of every required `In`.
    ///
    /// A pod that is not created yet can be corrected; one that exists has to be created anew, because the
    /// selectors of a pod can only be added to.
    #[must_use]
    pub fn rewrites(&self, pod: &impl PodView) -> Vec<Rewrite> {
        let mut rewrites = Vec::new();
        let mut add = |key: &str, name: &str| {
            let Some(model) = self.find(name).and_then(|index| self.models.get(index)) else { return };
            let value = model.label_value(key);
            let rewrite = Rewrite { key: key.into(), alias: name.into(), value: value.into() };
            if name != value && !rewrites.contains(&rewrite) {
                rewrites.push(rewrite);
            }
        };
        for key in &self.label_keys {
            pod.node_selector(key).into_iter().for_each(|name| add(key, name));
        }
        for term in pod.required_node_affinity() {
            for requirement in term.match_expressions().filter(|requirement| self.names_models(requirement)) {
                requirement.values().for_each(|name| add(requirement.key(), name));
            }
        }
        rewrites
    }

    /// The model that keeps the pod from every node there is, because it is unknown: it stands neither in
    /// the list nor on a node. `on_a_node` says whether some node carries this value under this label.
    ///
    /// A pod that lists an unknown model beside a known one has somewhere to go, and gets `None`.
    #[must_use]
    pub fn unknown(&self, pod: &impl PodView, on_a_node: impl Fn(&str, &str) -> bool) -> Option<String> {
        let known = |key: &str, name: &str| self.find(name).is_some() || on_a_node(key, name);
        let selected = |key: &String| pod.node_selector(key).filter(|name| !known(key, name));
        if let Some(name) = self.label_keys.iter().find_map(selected) {
            return Some(name.to_string());
        }
        let mut unknown = None;
        for term in pod.required_node_affinity().filter(|term| !matches_nothing(term)) {
            let mut requirements = term.match_expressions().filter(|requirement| self.names_models(requirement));
            let lost = requirements.find_map(|requirement| {
                let mut names = requirement.values();
                let first = names.next()?;
                let any_known = known(requirement.key(), first) || names.any(|name| known(requirement.key(), name));
                (!any_known).then(|| first.to_string())
            });
            // The terms are alternatives: one that could be met is enough.
            unknown = Some(lost?);
        }
        unknown
    }

    /// The position of the model that has this name, in whatever spelling.
    fn find(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model.spellings().any(|spelling| spelling == name))
    }

    /// What the node selector leaves.
    fn selected(&self, pod: &impl PodView) -> Result<Models, SeveralModels> {
        self.label_keys.iter().try_fold(Models::ANY, |left, key| match pod.node_selector(key) {
            Some(name) => self.and(left, self.listed([name])),
            None => Ok(left),
        })
    }

    /// What a term of the affinity leaves of `selected`.
    fn narrowed(&self, selected: Models, term: &impl TermView) -> Result<Models, SeveralModels> {
        let mut left = selected;
        for requirement in term.match_expressions().filter(|requirement| self.names_models(requirement)) {
            left = self.and(left, self.listed(requirement.values()))?;
        }
        Ok(left)
    }

    fn names_models(&self, requirement: &impl RequirementView) -> bool {
        requirement.operator() == "In" && self.label_keys.iter().any(|key| key == requirement.key())
    }

    /// The models among these names. General ones have no position; a list of only such ones leaves
    /// everything open, because the same hardware may have a name under another label.
    fn listed<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Models {
        let mut special = Models::NONE;
        let mut general = Models::NONE;
        for name in names {
            match self.find(name) {
                Some(index) => special = special.or(Models::one(index)),
                None => general = Models::GENERAL,
            }
        }
        if special == Models::NONE { Models::ANY } else { special.or(general) }
    }

    /// What two requirements leave that must both be met; nothing is a pod that names two models.
    fn and(&self, one: Models, other: Models) -> Result<Models, SeveralModels> {
        match Models(one.0 & other.0) {
            Models::NONE => Err(self.several(one.or(other))),
            both => Ok(both),
        }
    }

    fn only(&self, models: Models) -> Result<&SpecialModel, SeveralModels> {
        let mut listed = models.indexes().filter_map(|index| self.models.get(index));
        match (listed.next(), listed.next()) {
            (Some(model), None) => Ok(model),
            _ => Err(self.several(models)),
        }
    }

    fn several(&self, models: Models) -> SeveralModels {
        let names = models.indexes().filter_map(|index| self.models.get(index)).map(|model| model.model.clone());
        SeveralModels { models: names.collect() }
    }
}

/// A set of models: the special ones by position, and one bit for all general ones together.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Models(u128);

impl Models {
    const NONE: Self = Self(0);
    const ANY: Self = Self(u128::MAX);
    /// Above every position.
    const GENERAL: Self = Self(1 << MOST_MODELS);

    const fn one(index: usize) -> Self {
        Self(1 << index)
    }

    const fn with_general(self) -> bool {
        self.0 & Self::GENERAL.0 != 0
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn indexes(self) -> impl Iterator<Item = usize> {
        (0..MOST_MODELS).filter(move |&index| self.0 & (1 << index) != 0)
    }
}

/// Kubernetes lets a term without requirements match no node, so it is no alternative.
fn matches_nothing(term: &impl TermView) -> bool {
    term.match_expressions().next().is_none() && term.match_fields().next().is_none()
}

/// A name in a pod that has to be replaced before NodeAffinity sees it.
///
/// ```
/// use weir_placement::sku::Rewrite;
/// let [key, alias, value] = ["gpu-node-label-model", "H100", "NVIDIA_H100_80GB_HBM3"].map(String::from);
/// let said = "recreate the pod: under gpu-node-label-model, alias H100 now means NVIDIA_H100_80GB_HBM3";
/// assert_eq!(Rewrite { key, alias, value }.to_string(), said);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The label.
    pub key: String,
    /// What the pod says.
    pub alias: String,
    /// What the nodes say.
    pub value: String,
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, alias, value } = self;
        write!(f, "recreate the pod: under {key}, alias {alias} now means {value}")
    }
}

/// A pod that names several special models and no general one; which of their dimensions it should count in
/// cannot be said.
///
/// ```
/// use weir_placement::sku::SeveralModels;
/// let both = SeveralModels { models: vec!["G3".into(), "V100M32".into()] };
/// assert_eq!(both.to_string(), "the pod names several special GPU models (G3, V100M32); name one of them");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeveralModels {
    /// Their real names, in the order of the list.
    pub models: Vec<String>,
}

impl fmt::Display for SeveralModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pod names several special GPU models ({}); name one of them", self.models.join(", "))
    }
}

impl core::error::Error for SeveralModels {}

/// Why a pod may not run on a node, as far as special hardware goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node has special GPUs and the pod does not name them.
    KeptForPodsThatNameIt,
    /// The pod names a special model that the node does not have.
    OtherModel,
    /// The pod can run nowhere as it is.
    Misconfigured(SeveralModels),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // kube-scheduler counts nodes by this text ("12 node(s) had …"), so it names no node.
        match self {
            Self::KeptForPodsThatNameIt => {
                f.write_str("node(s) had special GPUs, which are kept for pods that name them")
            }
            Self::OtherModel => f.write_str("node(s) did not have the special GPU model that the pod names"),
            Self::Misconfigured(several) => several.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Node, Pod, node, pod, term};
    use alloc::collections::BTreeMap;
    use alloc::vec;

    const PRODUCT: &str = "nvidia.com/gpu.product";

    /// H100 (spelled otherwise under the product label) and A100 are special.
    fn special() -> SpecialHardware {
        let model = |model: &str, alias: &str| SpecialModel {
            model: model.into(),
            aliases: vec![alias.into()],
            label_values: BTreeMap::from([(PRODUCT.into(), model.replace('_', "-"))]),
            gpus_per_host: 8,
        };
        let label_keys = vec![MODEL_LABEL.into(), PRODUCT.into()];
        let models = vec![model("NVIDIA_H100_80GB_HBM3", "H100"), model("NVIDIA_A100_SXM4_80GB", "A100")];
        SpecialHardware::new(SpecialHardwareList { label_keys, models }).unwrap()
    }

    /// `-` for a general pod, the model's first letters for a special one, or what is wrong.
    fn named(pod: &Pod) -> String {
        match special().named_by(pod) {
            Ok(Named::General) => "-".into(),
            Ok(Named::Special(model)) => model.model[7..11].into(),
            Err(several) => several.to_string(),
        }
    }

    fn wants(models: &[&str]) -> Pod {
        pod().affinity([term().one_of(MODEL_LABEL, models)])
    }

    #[test]
    fn a_pod_names_a_model_by_node_selector_under_any_of_the_labels_and_by_alias() {
        assert_eq!(named(&pod().selects(MODEL_LABEL, "NVIDIA_H100_80GB_HBM3")), "H100");
        assert_eq!(named(&pod().selects(PRODUCT, "NVIDIA-H100-80GB-HBM3")), "H100");
        assert_eq!(named(&pod().selects(MODEL_LABEL, "A100")), "A100");
        assert_eq!(named(&pod().selects("example.com/rack", "H100")), "-");
        assert_eq!(named(&pod().selects(MODEL_LABEL, "T4")), "-");
        assert_eq!(named(&pod()), "-");
    }

    #[test]
    fn affinity_names_a_model_when_all_its_values_mean_that_one() {
        assert_eq!(named(&wants(&["H100"])), "H100");
        assert_eq!(named(&wants(&["H100", "NVIDIA_H100_80GB_HBM3"])), "H100");
        assert_eq!(named(&pod().affinity([term().one_of("zone", &["a"]).one_of(PRODUCT, &["H100"])])), "H100");
    }

    #[test]
    fn a_list_that_also_names_general_models_is_a_general_pod() {
        assert_eq!(named(&wants(&["H100", "T4"])), "-");
        assert_eq!(named(&wants(&["H100", "A100", "T4"])), "-");
        // The same as alternatives: a term that asks for no model can be met by a general host.
        let terms = [term().one_of(MODEL_LABEL, &["H100"]), term().one_of("zone", &["a"])];
        assert_eq!(named(&pod().affinity(terms)), "-");
    }

    #[test]
    fn several_special_models_and_no_general_one_are_misconfigured() {
        let said = "the pod names several special GPU models (NVIDIA_H100_80GB_HBM3, NVIDIA_A100_SXM4_80GB); \
                    name one of them";
        assert_eq!(named(&wants(&["H100", "A100"])), said);
        let alternatives = [term().one_of(MODEL_LABEL, &["H100"]), term().one_of(MODEL_LABEL, &["A100"])];
        assert_eq!(named(&pod().affinity(alternatives)), said);
        assert_eq!(named(&pod().selects(MODEL_LABEL, "H100").selects(PRODUCT, "A100")), said);
        assert_eq!(named(&wants(&["A100"]).selects(MODEL_LABEL, "H100")), said);
    }

    #[test]
    fn requirements_that_must_all_be_met_narrow_each_other() {
        assert_eq!(named(&wants(&["H100", "A100"]).selects(MODEL_LABEL, "A100")), "A100");
        assert_eq!(named(&wants(&["H100", "T4"]).selects(MODEL_LABEL, "H100")), "H100");
        let both = term().one_of(MODEL_LABEL, &["H100", "A100"]).one_of(PRODUCT, &["H100", "T4"]);
        assert_eq!(named(&pod().affinity([both])), "H100");
        let general_in_both = term().one_of(MODEL_LABEL, &["A100", "T4"]).one_of(PRODUCT, &["H100", "T4"]);
        assert_eq!(named(&pod().affinity([general_in_both])), "-");
        // A name that the list does not know may be the same hardware under another label.
        assert_eq!(named(&pod().selects(MODEL_LABEL, "H100").selects(PRODUCT, "NVIDIA-H100-PCIe")), "H100");
    }

    #[test]
    fn other_operators_and_empty_terms_name_nothing() {
        assert_eq!(named(&pod().affinity([term().with(MODEL_LABEL, "NotIn", &["H100"])])), "-");
        assert_eq!(named(&pod().affinity([term().with(MODEL_LABEL, "Exists", &[])])), "-");
        assert_eq!(named(&pod().affinity([term(), term().one_of(MODEL_LABEL, &["H100"])])), "H100");
        assert_eq!(named(&pod().selects(MODEL_LABEL, "H100").affinity([term()])), "H100");
    }

    fn judged(pod: &Pod, node: &Node) -> String {
        special().judge(pod, node).map_or_else(|refusal| refusal.to_string(), |()| "yes".into())
    }

    #[test]
    fn special_hosts_take_only_pods_that_name_them_and_these_run_nowhere_else() {
        let h100 = node().labelled(MODEL_LABEL, "NVIDIA_H100_80GB_HBM3");
        let a100 = node().labelled(PRODUCT, "NVIDIA-A100-SXM4-80GB");
        let t4 = node().labelled(MODEL_LABEL, "T4");
        let wants_h100 = pod().selects(MODEL_LABEL, "NVIDIA_H100_80GB_HBM3");
        assert_eq!(
            [&h100, &a100, &t4, &node()].map(|node| judged(&wants_h100, node)),
            [
                "yes",
                "node(s) did not have the special GPU model that the pod names",
                "node(s) did not have the special GPU model that the pod names",
                "node(s) did not have the special GPU model that the pod names",
            ]
        );
        assert_eq!(
            [&h100, &a100, &t4, &node()].map(|node| judged(&pod(), node)),
            [
                "node(s) had special GPUs, which are kept for pods that name them",
                "node(s) had special GPUs, which are kept for pods that name them",
                "yes",
                "yes",
            ]
        );
        assert!(judged(&wants(&["H100", "A100"]), &t4).starts_with("the pod names several special GPU models"));
    }

    #[test]
    fn a_pod_of_a_daemon_set_runs_on_the_host_it_is_bound_to() {
        let h100 = node().labelled(MODEL_LABEL, "H100");
        assert_eq!(judged(&pod().affinity([term().on_node("gpu-7")]), &h100), "yes");
        let either = [term().on_node("gpu-7"), term().on_node("gpu-8")];
        assert_ne!(judged(&pod().affinity(either), &h100), "yes");
    }

    #[test]
    fn an_alias_is_rewritten_to_what_the_nodes_say_under_that_label() {
        let aliased = pod().selects(MODEL_LABEL, "H100").affinity([
            term().one_of(PRODUCT, &["H100", "NVIDIA-H100-80GB-HBM3", "T4"]),
            term().one_of(PRODUCT, &["H100"]),
        ]);
        let rewrites = special().rewrites(&aliased).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            rewrites,
            [
                "recreate the pod: under gpu-node-label-model, alias H100 now means NVIDIA_H100_80GB_HBM3",
                "recreate the pod: under nvidia.com/gpu.product, alias H100 now means NVIDIA-H100-80GB-HBM3",
            ]
        );
        assert_eq!(special().rewrites(&pod().selects(MODEL_LABEL, "NVIDIA_H100_80GB_HBM3")), []);
        assert_eq!(special().rewrites(&pod().affinity([term().with(PRODUCT, "NotIn", &["H100"])])), []);
    }

    #[test]
    fn a_model_that_neither_the_list_nor_a_node_knows_is_named() {
        let unknown = |pod: &Pod| special().unknown(pod, |key, value| (key, value) == (MODEL_LABEL, "T4"));
        assert_eq!(unknown(&pod()), None);
        assert_eq!(unknown(&pod().selects(MODEL_LABEL, "T4")), None);
        assert_eq!(unknown(&pod().selects(MODEL_LABEL, "H100")), None);
        assert_eq!(unknown(&pod().selects(MODEL_LABEL, "B300")), Some("B300".into()));
        assert_eq!(unknown(&pod().selects(PRODUCT, "T4")), Some("T4".into()));
        assert_eq!(unknown(&wants(&["B300", "T4"])), None);
        assert_eq!(unknown(&wants(&["B300", "B301"])), Some("B300".into()));
        let terms = || [term().one_of(MODEL_LABEL, &["B300"]), term().one_of("zone", &["a"])];
        assert_eq!(unknown(&pod().affinity(terms())), None);
        assert_eq!(unknown(&pod().affinity([terms()[0].clone()])), Some("B300".into()));
    }
}
