//! Quantities on objects as amounts.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use weir_model::dimension::{CPU, GPU_HOSTS_PREFIX, SKU_CPU_PREFIX};
use weir_model::{Amount, Quantity};

/// A quantity in the base unit of its dimension; zero for one that does not parse, which no API server lets through.
///
/// ```
/// use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
/// let two = Quantity("2".to_owned());
/// let units = ["cpu", "gpu-hosts.weir.dev/cpu", "sku-cpu.weir.dev/H100", "nvidia.com/gpu"]
///     .map(|dimension| weir_api::quantity::amount(dimension, &two).units());
/// assert_eq!(units, [2000, 2000, 2000, 2], "CPU of every class of hosts is counted in thousandths of a core");
/// ```
#[must_use]
pub fn amount(dimension: &str, written: &Written) -> Amount {
    let of_cpu = dimension.starts_with(SKU_CPU_PREFIX) || dimension.strip_prefix(GPU_HOSTS_PREFIX) == Some(CPU);
    let unit = if of_cpu { CPU } else { dimension };
    Quantity::parse(&written.0).map_or(Amount::ZERO, |quantity| quantity.amount(unit))
}
