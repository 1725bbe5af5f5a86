//! Which kind of host a pod may run on, and which kind a node is: the filters, seen as a partition.
//!
//! The filters answer for one pod and one node; entitlement needs to know what a pod's resources are counted
//! against before it has a node. Both follow from the same rules here, so that what is counted as one kind
//! of host is exactly what the filters let a pod have: a pod that neither filter keeps off a node has the
//! node's class, and the other way round. (Pods of a DaemonSet, bound to their nodes by name, pass the
//! filters everywhere; they are not admitted, so they need no class.)
//!
//! A filter that is switched off does not divide anything, and the classes on its two sides are one.

use alloc::string::String;
use core::fmt;

use weir_model::{Class, NodeView, PodView, RequestError};

use crate::gpu::GpuNames;
use crate::sku::{Named, SeveralModels, SpecialHardware};

/// The filters that are switched on, with their settings.
///
/// ```
/// use weir_model::{Class, NodeView};
/// use weir_placement::{Filters, gpu::GpuNames};
///
/// /// A host with GPUs.
/// struct Host;
///
/// impl NodeView for Host {
///     fn label(&self, _: &str) -> Option<&str> {
///         None
///     }
///     fn annotation(&self, _: &str) -> Option<&str> {
///         None
///     }
///     fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
///         [("cpu", "96"), ("nvidia.com/gpu", "8")].into_iter()
///     }
///     fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
///         self.capacity()
///     }
/// }
/// let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![])?;
/// assert_eq!(Filters { gpu: Some(gpu), sku: None }.class_of_node(&Host), Class::GpuHosts);
/// // Nothing keeps pods without GPUs off it, so it is a host like any other.
/// assert_eq!(Filters::default().class_of_node(&Host), Class::CpuHosts);
/// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
/// ```
#[derive(Clone, Default)]
pub struct Filters {
    /// The settings of gpu-filter; `None` while it is off.
    pub gpu: Option<GpuNames>,
    /// The settings of sku-exclusion-filter; `None` while it is off.
    pub sku: Option<SpecialHardware>,
}

impl Filters {
    /// The class of hosts that a node belongs to. With gpu-filter off, general GPU hosts and CPU hosts are
    /// one class, [`Class::CpuHosts`].
    #[must_use]
    pub fn class_of_node(&self, node: &impl NodeView) -> Class {
        let special = self.sku.as_ref().and_then(|sku| sku.model_of_node(node));
        match (special, &self.gpu) {
            (Some(model), _) => Class::Sku(model.model.clone()),
            (None, Some(gpu)) if gpu.is_gpu_host(node) => Class::GpuHosts,
            (None, _) => Class::CpuHosts,
        }
    }

    /// The class of hosts that a pod may run on.
    ///
    /// # Errors
    /// When no host could take the pod as it is.
    pub fn class_of_pod(&self, pod: &impl PodView) -> Result<Class, NoClass> {
        let asks = self.gpu.as_ref().map(|gpu| gpu.asks_for_gpus(pod)).transpose().map_err(NoClass::Unreadable)?;
        let named = match &self.sku {
            Some(sku) => sku.named_by(pod).map_err(NoClass::SeveralModels)?,
            None => Named::General,
        };
        match (named, asks) {
            (Named::Special(model), Some(false)) => Err(NoClass::ModelWithoutGpus { model: model.model.clone() }),
            (Named::Special(model), _) => Ok(Class::Sku(model.model.clone())),
            (Named::General, Some(true)) => Ok(Class::GpuHosts),
            (Named::General, _) => Ok(Class::CpuHosts),
        }
    }
}

/// Why no host could take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoClass {
    /// What it asks for cannot be read.
    Unreadable(RequestError),
    /// It names several special models.
    SeveralModels(SeveralModels),
    /// It names a special model and asks for no GPU: GPU hosts are closed to it, and the others are not of
    /// that model.
    ModelWithoutGpus {
        /// The model.
        model: String,
    },
}

impl fmt::Display for NoClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(source) => source.fmt(f),
            Self::SeveralModels(source) => source.fmt(f),
            Self::ModelWithoutGpus { model } => {
                write!(f, "the pod names the GPU model {model} and asks for no GPU; ask for GPUs or name no model")
            }
        }
    }
}

impl core::error::Error for NoClass {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreadable(source) => Some(source),
            Self::SeveralModels(source) => Some(source),
            Self::ModelWithoutGpus { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Node, Pod, node, pod, term};
    use crate::sku::{MODEL_LABEL, SpecialHardwareList, SpecialModel};
    use alloc::collections::BTreeMap;
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    fn gpu() -> Option<GpuNames> {
        Some(GpuNames::new(vec!["nvidia.com/gpu".into()], vec![MODEL_LABEL.into()]).unwrap())
    }

    fn sku() -> Option<SpecialHardware> {
        let special = |model: &str| SpecialModel {
            model: model.into(),
            aliases: vec![],
            label_values: BTreeMap::new(),
            gpus_per_host: 8,
        };
        let list = SpecialHardwareList { models: vec![special("H100"), special("A100")], ..Default::default() };
        Some(SpecialHardware::new(list).unwrap())
    }

    /// A CPU host, a general GPU host, one whose device plugin restarts, and two special ones.
    fn hosts() -> [Node; 5] {
        let gpus = |model: &str| node().labelled(MODEL_LABEL, model).has("nvidia.com/gpu", "8");
        [node().has("cpu", "32"), gpus("T4"), node().labelled(MODEL_LABEL, "T4"), gpus("H100"), gpus("A100")]
    }

    fn pods() -> Vec<Pod> {
        let gpus = || pod().requests("nvidia.com/gpu", "1");
        vec![
            pod(),
            gpus(),
            gpus().selects(MODEL_LABEL, "T4"),
            gpus().selects(MODEL_LABEL, "H100"),
            gpus().affinity([term().one_of(MODEL_LABEL, &["A100"])]),
            gpus().affinity([term().one_of(MODEL_LABEL, &["A100", "T4"])]),
            gpus().affinity([term().one_of(MODEL_LABEL, &["A100", "H100"])]),
            pod().selects(MODEL_LABEL, "H100"),
        ]
    }

    #[test]
    fn with_both_filters_every_kind_of_host_is_a_class() {
        let filters = Filters { gpu: gpu(), sku: sku() };
        let special = |model: &str| Class::Sku(model.into());
        assert_eq!(
            hosts().map(|host| filters.class_of_node(&host)),
            [Class::CpuHosts, Class::GpuHosts, Class::GpuHosts, special("H100"), special("A100")]
        );
        let classes: Vec<_> = pods().iter().map(|pod| filters.class_of_pod(pod).map_err(|no| no.to_string())).collect();
        assert_eq!(
            classes,
            [
                Ok(Class::CpuHosts),
                Ok(Class::GpuHosts),
                Ok(Class::GpuHosts),
                Ok(special("H100")),
                Ok(special("A100")),
                Ok(Class::GpuHosts),
                Err("the pod names several special GPU models (H100, A100); name one of them".into()),
                Err("the pod names the GPU model H100 and asks for no GPU; ask for GPUs or name no model".into()),
            ]
        );
    }

    #[test]
    fn a_pod_may_run_exactly_on_the_hosts_of_its_class_whichever_filters_are_on() {
        for filters in [
            Filters { gpu: gpu(), sku: sku() },
            Filters { gpu: gpu(), sku: None },
            Filters { gpu: None, sku: sku() },
            Filters { gpu: None, sku: None },
        ] {
            for (pod, host) in pods().iter().flat_map(|pod| hosts().map(|host| (pod.clone(), host))) {
                let passes = filters.gpu.as_ref().is_none_or(|gpu| gpu.judge(&pod, &host).is_ok())
                    && filters.sku.as_ref().is_none_or(|sku| sku.judge(&pod, &host).is_ok());
                let same_class = filters.class_of_pod(&pod).is_ok_and(|class| class == filters.class_of_node(&host));
                assert_eq!(passes, same_class, "{pod:?} on {host:?}");
            }
        }
    }

    #[test]
    fn with_gpu_filter_off_a_model_may_be_named_without_gpus() {
        let filters = Filters { gpu: None, sku: sku() };
        assert_eq!(filters.class_of_pod(&pod().selects(MODEL_LABEL, "H100")), Ok(Class::Sku("H100".into())));
        assert_eq!(filters.class_of_node(&hosts()[1]), Class::CpuHosts);
    }
}
