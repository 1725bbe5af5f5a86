//! The settings of BinPackScore, and what can be wrong with them.

use alloc::string::String;
use alloc::vec::Vec;

use anyhow::{Result, anyhow, ensure};
use serde::Deserialize;
use weir_model::{Quantity, dimension};
use weir_placement::binpack::{GpuRequest, Shape, TypicalPods};

/// The settings as they stand in the scheduler's configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// How nodes are compared.
    pub strategy: Strategy,
    /// Extended resources that are GPUs; a `*` at the end stands for any rest.
    pub gpu_resources: Vec<String>,
    /// The pods that usually come; only for [`Strategy::FragmentationAware`], which needs some.
    pub typical_pods: Vec<TypicalPod>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::MostAllocated,
            gpu_resources: ["nvidia.com/gpu"].map(String::from).into(),
            typical_pods: Vec::new(),
        }
    }
}

/// How nodes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// The fuller a node's GPUs would be, the better.
    MostAllocated,
    /// The fewer idle GPUs become useless to typical pods, the better.
    FragmentationAware,
}

/// A shape of pod that usually comes, and how often.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypicalPod {
    /// What it requests of `cpu`, as a quantity: `"8"`, `"500m"`.
    pub cpu: String,
    /// How many whole GPUs it requests.
    #[serde(default)]
    pub gpus: u32,
    /// How many thousandths of one GPU it uses, 1 to 999, instead of whole ones.
    #[serde(default)]
    pub gpu_milli: Option<u16>,
    /// How often it comes, relative to the others.
    pub weight: u32,
}

impl Settings {
    /// The pods to measure fragmentation against, if the strategy is to do so.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub(crate) fn typical(&self) -> Result<Option<TypicalPods>> {
        match self.strategy {
            Strategy::MostAllocated => {
                ensure!(
                    self.typical_pods.is_empty(),
                    "typicalPods: only the strategy FragmentationAware looks at them"
                );
                Ok(None)
            }
            Strategy::FragmentationAware => {
                let mut shapes = Vec::with_capacity(self.typical_pods.len());
                for (at, pod) in self.typical_pods.iter().enumerate() {
                    let shape = pod.shape().map_err(|error| anyhow!("typicalPods[{at}].{error}"))?;
                    shapes.push((shape, pod.weight));
                }
                Ok(Some(TypicalPods::new(shapes)?))
            }
        }
    }
}

impl TypicalPod {
    fn shape(&self) -> Result<Shape> {
        let Self { cpu, gpus, gpu_milli, weight: _ } = self;
        let gpus = match (gpus, gpu_milli) {
            (0, None) => GpuRequest::Nothing,
            (count, None) => GpuRequest::Whole(*count),
            (0, Some(milli @ 1..=999)) => GpuRequest::Part(*milli),
            (0, Some(_)) => return Err(anyhow!("gpuMilli: write 1 to 999, or `gpus` for whole ones")),
            (_, Some(_)) => return Err(anyhow!("gpuMilli: write either this or `gpus`")),
        };
        let cpu = Quantity::parse(cpu).map_err(|error| anyhow!("cpu: {error}"))?;
        Ok(Shape { cpu_milli: cpu.amount(dimension::CPU), gpus })
    }
}
