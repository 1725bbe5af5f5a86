//! Which class of host pods and nodes belong to: the placement filters themselves, with the settings of one
//! configuration and one list of special hardware.

use std::fmt;

use weir_placement::Filters;
use weir_placement::gpu::GpuNames;
use weir_placement::sku::SpecialHardware;
use weir_queue::{FilterHosts, Hosts, Obstacle, PodShape, ShapeView};

use crate::config::{Config, Placement};

/// A GPU model as a node label, or a node selector, names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelLabel {
    /// The key of the label.
    pub key: String,
    /// The name of the model under it.
    pub value: String,
}

impl ModelLabel {
    /// This name under this key.
    #[must_use]
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl fmt::Display for ModelLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// The rules of one configuration and one list of special hardware.
#[derive(Clone)]
pub struct Rules {
    hosts: FilterHosts,
    special: SpecialHardware,
}

impl Rules {
    /// The rules as configured.
    ///
    /// # Errors
    /// A GPU resource name that cannot be one; the sentence names the field.
    pub fn new(config: &Config, special: SpecialHardware) -> Result<Self, String> {
        let Placement { gpu_resources, model_label, gpu_filter, sku_exclusion_filter, .. } = &config.placement;
        let gpu = GpuNames::new(gpu_resources.clone(), vec![model_label.clone()])
            .map_err(|error| format!("configuration, placement.{error}"))?;
        let filters =
            Filters { gpu: gpu_filter.then(|| gpu.clone()), sku: sku_exclusion_filter.then(|| special.clone()) };
        Ok(Self { hosts: FilterHosts { filters, gpu }, special })
    }

    /// What the queue asks about classes.
    #[must_use]
    pub fn hosts(&self) -> Box<dyn Hosts> {
        Box::new(self.hosts.clone())
    }

    /// The special hardware.
    #[must_use]
    pub const fn special(&self) -> &SpecialHardware {
        &self.special
    }

    /// What is in the way of a pod because of the GPU models that it names. `on_a_node` says whether some node has this
    /// value of this label.
    pub fn obstacle(&self, shape: &PodShape, on_a_node: impl Fn(&str, &str) -> bool) -> Option<Obstacle> {
        let pod = ShapeView::new(shape);
        if let Some(rewrite) = self.special.rewrites(&pod).first() {
            let (alias, value) = (&rewrite.alias, &rewrite.value);
            return Some(Obstacle::Misconfigured(format!(
                "the alias {alias} now means {value}, and the selectors of a pod cannot be changed; create it anew"
            )));
        }
        self.special.unknown(&pod, on_a_node).map(Obstacle::UnknownModel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Amount, Class};
    use weir_placement::sku::SpecialHardwareList;
    use weir_queue::{Node, Operator, Requirement, Term};

    fn rules(text: &str) -> Rules {
        let list: SpecialHardwareList = serde_json::from_str(
            r#"{"models": [{"model": "G3", "gpusPerHost": 8}, {"model": "H100", "aliases": ["big"], "gpusPerHost": 8}]}"#,
        )
        .unwrap();
        Rules::new(&Config::parse(text).unwrap(), SpecialHardware::new(list).unwrap()).unwrap()
    }

    fn gpu_pod(models: &[&str]) -> PodShape {
        let values = models.iter().map(|&model| model.to_owned()).collect();
        let requirement = Requirement { key: "gpu-node-label-model".to_owned(), operator: Operator::In(values) };
        PodShape {
            requests: [("nvidia.com/gpu".to_owned(), Amount::new(1))].into(),
            affinity: vec![Term { expressions: vec![requirement], names: Vec::new() }],
            ..PodShape::default()
        }
    }

    #[test]
    fn a_pod_counts_where_the_filters_let_it_run() {
        let hosts = rules("").hosts();
        assert_eq!(hosts.pod_class(&PodShape::default()), Ok(Class::CpuHosts));
        assert_eq!(hosts.pod_class(&gpu_pod(&["T4"])), Ok(Class::GpuHosts));
        assert_eq!(hosts.pod_class(&gpu_pod(&["H100"])), Ok(Class::Sku("H100".to_owned())));
        assert_eq!(hosts.pod_class(&gpu_pod(&["H100", "T4"])), Ok(Class::GpuHosts));
        assert!(matches!(hosts.pod_class(&gpu_pod(&["H100", "G3"])), Err(Obstacle::Misconfigured(_))));
    }

    #[test]
    fn a_host_keeps_its_class_while_its_device_plugin_restarts() {
        let labels = [("gpu-node-label-model".to_owned(), "T4".to_owned())].into();
        let node = Node { name: "n".to_owned(), labels, ..Node::default() };
        assert_eq!(rules("").hosts().node_class(&node), Class::GpuHosts);
    }

    #[test]
    fn with_a_filter_off_its_classes_fall_together() {
        let off = rules("placement: {gpuFilter: false, skuExclusionFilter: false}").hosts();
        assert_eq!(off.pod_class(&gpu_pod(&["H100"])), Ok(Class::CpuHosts));
        let general = rules("placement: {skuExclusionFilter: false}").hosts();
        assert_eq!(general.pod_class(&gpu_pod(&["H100"])), Ok(Class::GpuHosts));
    }

    #[test]
    fn an_alias_that_became_known_later_and_an_unknown_model_are_in_the_way() {
        let rules = rules("");
        let said = |model: &str| rules.obstacle(&gpu_pod(&[model]), |_, value| value == "T4");
        assert!(
            matches!(said("big"), Some(Obstacle::Misconfigured(text)) if text.starts_with("the alias big now means H100"))
        );
        assert_eq!(said("B200"), Some(Obstacle::UnknownModel("B200".to_owned())));
        assert_eq!([said("T4"), said("H100")], [None, None]);
    }
}
