//! Which class of host pods and nodes belong to, by the same rules as the placement filters.

use std::collections::BTreeSet;

use weir_model::{Amount, Class};
use weir_placement::gpu::GpuNames;
use weir_queue::{Hosts, Node, Obstacle, Operator, PodShape};

use crate::config::{Config, Placement};
use crate::hardware::Model;

/// The rules of one configuration and one list of special hardware.
#[derive(Clone, Debug)]
pub struct Rules {
    gpus: GpuNames,
    /// The label that names a node's model.
    label: String,
    /// Whether CPU and GPU hosts are kept apart.
    apart: bool,
    /// The models that are kept for pods which name them; none with the filter off.
    special: BTreeSet<String>,
}

impl Rules {
    /// The rules as configured.
    ///
    /// # Errors
    /// A GPU resource name that cannot be one; the sentence names the field.
    pub fn new(config: &Config, special: &[Model]) -> Result<Self, String> {
        let Placement { gpu_resources, model_label, gpu_filter, sku_exclusion_filter, .. } = &config.placement;
        let gpus = GpuNames::new(gpu_resources.clone(), vec![model_label.clone()])
            .map_err(|error| format!("configuration, placement.{error}"))?;
        let listed = special.iter().filter(|_| *sku_exclusion_filter && *gpu_filter);
        let special = listed.map(|Model { name, aliases: _ }| name.clone()).collect();
        Ok(Self { gpus, label: model_label.clone(), apart: *gpu_filter, special })
    }

    /// The models that a pod names, by node selector or required affinity.
    pub fn models<'a>(&self, shape: &'a PodShape) -> BTreeSet<&'a str> {
        if let Some(model) = shape.node_selector.get(&self.label) {
            return BTreeSet::from([model.as_str()]);
        }
        let expressions = shape.affinity.iter().flat_map(|term| &term.expressions);
        let named = expressions.filter(|requirement| requirement.key == self.label);
        let listed = named.filter_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some(values),
            _ => None,
        });
        listed.flatten().map(String::as_str).collect()
    }
}

impl Hosts for Rules {
    fn is_gpu(&self, resource: &str) -> bool {
        self.gpus.is_gpu(resource)
    }

    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle> {
        let asks = |(name, amount): (&String, &Amount)| self.is_gpu(name) && !amount.is_zero();
        if !self.apart || !shape.requests.iter().any(asks) {
            return Ok(Class::CpuHosts);
        }
        let named = self.models(shape);
        let special: Vec<_> = named.iter().filter(|model| self.special.contains(**model)).collect();
        match (special.as_slice(), special.len() == named.len()) {
            ([one], true) => Ok(Class::Sku((**one).to_owned())),
            ([_, _, ..], true) => Err(Obstacle::Misconfigured(format!(
                "{}: several special models and no general one; name one of them",
                self.label
            ))),
            _ => Ok(Class::GpuHosts),
        }
    }

    fn node_class(&self, node: &Node) -> Class {
        let model = node.labels.get(&self.label);
        if !self.apart || (model.is_none() && !node.capacity.keys().any(|name| self.is_gpu(name))) {
            return Class::CpuHosts;
        }
        match model.filter(|model| self.special.contains(*model)) {
            Some(model) => Class::Sku(model.clone()),
            None => Class::GpuHosts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_queue::{Requirement, Term};

    fn rules(text: &str) -> Rules {
        let special = [
            Model { name: "G3".to_owned(), ..Model::default() },
            Model { name: "H100".to_owned(), ..Model::default() },
        ];
        Rules::new(&Config::parse(text).unwrap(), &special).unwrap()
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
        let rules = rules("");
        assert_eq!(rules.pod_class(&PodShape::default()), Ok(Class::CpuHosts));
        assert_eq!(rules.pod_class(&gpu_pod(&["T4"])), Ok(Class::GpuHosts));
        assert_eq!(rules.pod_class(&gpu_pod(&["H100"])), Ok(Class::Sku("H100".to_owned())));
        assert_eq!(rules.pod_class(&gpu_pod(&["H100", "T4"])), Ok(Class::GpuHosts));
        assert!(matches!(rules.pod_class(&gpu_pod(&["H100", "G3"])), Err(Obstacle::Misconfigured(_))));
    }

    #[test]
    fn a_host_keeps_its_class_while_its_device_plugin_restarts() {
        let labels = [("gpu-node-label-model".to_owned(), "T4".to_owned())].into();
        let node = Node { name: "n".to_owned(), labels, ..Node::default() };
        assert_eq!(rules("").node_class(&node), Class::GpuHosts);
    }

    #[test]
    fn with_a_filter_off_its_classes_fall_together() {
        assert_eq!(rules("placement: {gpuFilter: false}").pod_class(&gpu_pod(&["H100"])), Ok(Class::CpuHosts));
        assert_eq!(rules("placement: {skuExclusionFilter: false}").pod_class(&gpu_pod(&["H100"])), Ok(Class::GpuHosts));
    }
}
