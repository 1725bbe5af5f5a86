//! Dimensions: what a pool divides, each a resource of a class of hosts.
//!
//! The placement filters partition the hosts into classes: CPU hosts, general GPU hosts and one class for
//! each special SKU. A pod can only ever use the resources of its own class, so each (class, resource) pair
//! is a dimension of its own. Counted together, a pool of CPU work would be entitled to the cores of GPU
//! hosts, where the filters never let it run.
//!
//! Names are what users write in `ResourcePool.spec.resources[].name`:
//!
//! | name | class | resource |
//! |---|---|---|
//! | `cpu`, `memory`, `ephemeral-storage` | CPU hosts | itself |
//! | `nvidia.com/gpu` | general GPU hosts | itself |
//! | `gpu-hosts.weir.dev/cpu`, `…/memory`, `…/ephemeral-storage` | general GPU hosts | what stands behind the slash |
//! | `sku.weir.dev/MODEL` | the SKU | its GPUs |
//! | `sku-cpu.weir.dev/MODEL`, `sku-memory.weir.dev/MODEL`, `sku-ephemeral-storage.weir.dev/MODEL` | the SKU | cpu, memory, disk |
//! | `pods` | all | the pods themselves; a dimension only where a pool lists it |
//! | any other | all | itself |

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The dimension of special GPUs: `sku.weir.dev/MODEL`.
pub const SKU_PREFIX: &str = "sku.weir.dev/";
/// CPU, memory and disk of general GPU hosts: `gpu-hosts.weir.dev/RESOURCE`.
pub const GPU_HOSTS_PREFIX: &str = "gpu-hosts.weir.dev/";
/// CPU of the hosts of a special SKU: `sku-cpu.weir.dev/MODEL`.
pub const SKU_CPU_PREFIX: &str = "sku-cpu.weir.dev/";
/// Memory of the hosts of a special SKU: `sku-memory.weir.dev/MODEL`.
pub const SKU_MEMORY_PREFIX: &str = "sku-memory.weir.dev/";
/// Disk of the hosts of a special SKU: `sku-ephemeral-storage.weir.dev/MODEL`.
pub const SKU_DISK_PREFIX: &str = "sku-ephemeral-storage.weir.dev/";

/// The resource name `cpu`, counted in thousandths of a core.
pub const CPU: &str = "cpu";
/// The resource name `memory`, counted in bytes.
pub const MEMORY: &str = "memory";
/// The resource name `ephemeral-storage`, counted in bytes.
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
/// The resource name `pods`: how many pods a node takes, and how many a pool may have.
pub const PODS: &str = "pods";
/// The dimension of general GPUs, and the usual resource name of a GPU.
pub const GPU: &str = "nvidia.com/gpu";

/// The kind of host a pod may run on; the placement filters see to it that it runs on no other.
///
/// ```
/// use weir_model::Class;
/// // Only here do pods count in the dimensions that people call `cpu` and `nvidia.com/gpu`.
/// assert_eq!(Class::CpuHosts.dimension("memory", false), "memory");
/// assert_eq!(Class::GpuHosts.dimension("nvidia.com/gpu", true), "nvidia.com/gpu");
/// assert_eq!(Class::Sku("G3".into()).dimension("memory", false), "sku-memory.weir.dev/G3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Hosts without GPUs.
    CpuHosts,
    /// Hosts with GPUs of a model that is not special.
    GpuHosts,
    /// Hosts with GPUs of this special model.
    Sku(String),
}

impl Class {
    /// The name of the dimension for `resource` on hosts of this class.
    ///
    /// `is_gpu` tells whether the resource is one of the GPU resource names (they are configuration).
    ///
    /// ```
    /// use weir_model::Class;
    /// assert_eq!(Class::CpuHosts.dimension("cpu", false), "cpu");
    /// assert_eq!(Class::GpuHosts.dimension("cpu", false), "gpu-hosts.weir.dev/cpu");
    /// assert_eq!(Class::Sku("H100".into()).dimension("nvidia.com/gpu", true), "sku.weir.dev/H100");
    /// assert_eq!(Class::Sku("H100".into()).dimension("example.com/nic", false), "example.com/nic");
    /// ```
    #[must_use]
    pub fn dimension(&self, resource: &str, is_gpu: bool) -> String {
        match (self, resource) {
            (Self::Sku(model), _) if is_gpu => format!("{SKU_PREFIX}{model}"),
            (_, _) if is_gpu => GPU.to_owned(),
            (Self::GpuHosts, CPU | MEMORY | EPHEMERAL_STORAGE) => format!("{GPU_HOSTS_PREFIX}{resource}"),
            (Self::Sku(model), CPU) => format!("{SKU_CPU_PREFIX}{model}"),
            (Self::Sku(model), MEMORY) => format!("{SKU_MEMORY_PREFIX}{model}"),
            (Self::Sku(model), EPHEMERAL_STORAGE) => format!("{SKU_DISK_PREFIX}{model}"),
            _ => resource.to_owned(),
        }
    }
}

/// A dimension, as a small number; [`Dimensions`] knows its name.
///
/// ```
/// use weir_model::Dimensions;
/// let mut dims = Dimensions::new();
/// let known = ["memory", "cpu"].map(|name| dims.intern(name));
/// assert_eq!(known.map(|dim| dim.index()), [0, 1], "in the order in which they became known");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dim(u16);

impl Dim {
    /// The position of this dimension, from 0, in the order in which the dimensions became known.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// dims.intern("cpu");
    /// assert_eq!(dims.intern("memory").index(), 1);
    /// ```
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The dimensions that are known, each with its name.
///
/// ```
/// use weir_model::Dimensions;
/// let mut dims = Dimensions::new();
/// let cpu = dims.intern("cpu");
/// assert_eq!(dims.intern("cpu"), cpu);
/// assert_eq!((dims.name(cpu), cpu.index(), dims.len()), ("cpu", 0, 1));
/// let h100 = dims.intern("sku.weir.dev/H100");
/// assert_eq!(dims.iter().map(|dim| dims.default_share(dim)).collect::<Vec<_>>(), [1, 0]);
/// assert!(!dims.only_where_listed(h100));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dimensions {
    names: Vec<String>,
    by_name: BTreeMap<String, Dim>,
}

impl Dimensions {
    /// No dimension yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The dimension of this name, which becomes known if it was not.
    ///
    /// After 65,535 names every further one is the last of them: a cluster has tens, and a tenant that
    /// invents resource names must not be able to stop it.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// assert_eq!(dims.intern("cpu"), dims.intern("cpu"));
    /// assert_ne!(dims.intern("cpu"), dims.intern("memory"));
    /// ```
    pub fn intern(&mut self, name: &str) -> Dim {
        if let Some(&dim) = self.by_name.get(name) {
            return dim;
        }
        let Ok(index) = u16::try_from(self.names.len()) else {
            return Dim(u16::MAX);
        };
        self.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), Dim(index));
        Dim(index)
    }

    /// The dimension of this name, if it is known.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// assert_eq!(dims.find("cpu"), None);
    /// let cpu = dims.intern("cpu");
    /// assert_eq!(dims.find("cpu"), Some(cpu));
    /// ```
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Dim> {
        self.by_name.get(name).copied()
    }

    /// The name of a dimension; empty for one of another set.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// let cpu = dims.intern("cpu");
    /// assert_eq!((dims.name(cpu), Dimensions::new().name(cpu)), ("cpu", ""));
    /// ```
    #[must_use]
    pub fn name(&self, dim: Dim) -> &str {
        self.names.get(dim.index()).map_or("", String::as_str)
    }

    /// How many dimensions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no dimension is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All dimensions in the order in which they became known.
    pub fn iter(&self) -> impl Iterator<Item = Dim> + use<> {
        Self::first(self.names.len())
    }

    /// The first `count` dimensions of any set, known or not: for tables that are laid out by dimension.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// assert!(Dimensions::first(3).map(|dim| dim.index()).eq(0..3));
    /// ```
    pub fn first(count: usize) -> impl Iterator<Item = Dim> {
        (0..count).filter_map(|index| u16::try_from(index).ok()).map(Dim)
    }

    /// The share of a pool that does not list this dimension: 1, and 0 for the GPUs, CPU, memory and disk
    /// of a special SKU, which no pool borrows by accident.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// let (gpu, h100) = (dims.intern("nvidia.com/gpu"), dims.intern("sku.weir.dev/H100"));
    /// assert_eq!((dims.default_share(gpu), dims.default_share(h100)), (1, 0));
    /// ```
    #[must_use]
    pub fn default_share(&self, dim: Dim) -> u32 {
        let name = self.name(dim);
        let special = [SKU_PREFIX, SKU_CPU_PREFIX, SKU_MEMORY_PREFIX, SKU_DISK_PREFIX];
        u32::from(!special.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// Whether the dimension is only checked where the pool or one of its ancestors lists it: CPU, memory
    /// and disk of GPU hosts, and the number of pods, which few administrators divide.
    ///
    /// ```
    /// use weir_model::Dimensions;
    /// let mut dims = Dimensions::new();
    /// let cpu_of_gpu_hosts = dims.intern("gpu-hosts.weir.dev/cpu");
    /// assert!(dims.only_where_listed(cpu_of_gpu_hosts));
    /// ```
    #[must_use]
    pub fn only_where_listed(&self, dim: Dim) -> bool {
        let name = self.name(dim);
        let of_gpu_hosts = [GPU_HOSTS_PREFIX, SKU_CPU_PREFIX, SKU_MEMORY_PREFIX, SKU_DISK_PREFIX];
        name == PODS || of_gpu_hosts.iter().any(|prefix| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_skus_are_never_borrowed_by_default() {
        let mut dims = Dimensions::new();
        let h100 = dims.intern("sku.weir.dev/H100");
        let disk = dims.intern("sku-ephemeral-storage.weir.dev/H100");
        let gpu = dims.intern(GPU);
        assert_eq!([h100, disk, gpu].map(|dim| dims.default_share(dim)), [0, 0, 1]);
    }

    #[test]
    fn cpu_of_gpu_hosts_counts_only_where_it_is_listed() {
        let mut dims = Dimensions::new();
        let checked = ["cpu", "gpu-hosts.weir.dev/cpu", "sku.weir.dev/H100", "sku-cpu.weir.dev/H100"]
            .map(|name| dims.intern(name))
            .map(|dim| dims.only_where_listed(dim));
        assert_eq!(checked, [false, true, false, true]);
    }

    #[test]
    fn disk_of_a_special_sku_has_a_dimension_of_its_own() {
        assert_eq!(Class::Sku("G3".into()).dimension(EPHEMERAL_STORAGE, false), "sku-ephemeral-storage.weir.dev/G3");
    }
}
