//! What several pods ask for together, and how that is written.

use std::collections::BTreeSet;

use weir_api::ResourcePool;
use weir_api::requests::Amounts;
use weir_model::dimension::SKU_PREFIX;

/// The models that have dimensions of their own because some pool lists them: the command line does not know the
/// sidecar's list.
pub(crate) fn special_models(pools: &[ResourcePool]) -> BTreeSet<String> {
    let listed = pools.iter().flat_map(|pool| &pool.spec.resources);
    listed.filter_map(|resource| resource.name.strip_prefix(SKU_PREFIX).map(str::to_owned)).collect()
}

/// Adds amounts up.
pub(crate) fn add(sum: &mut Amounts, more: Amounts) {
    for (dimension, amount) in more {
        *sum.entry(dimension).or_default() += amount;
    }
}

/// Amounts in one line, such as `8 nvidia.com/gpu, 64 gpu-hosts.weir.dev/cpu`.
pub(crate) fn line(amounts: &Amounts) -> String {
    let parts: Vec<_> = amounts
        .iter()
        .map(|(dimension, &amount)| format!("{} {dimension}", crate::draw::quantity(dimension, amount)))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use weir_model::Amount;

    use super::*;

    #[test]
    fn amounts_are_written_in_the_units_of_their_dimensions() {
        let amounts = [("cpu", 1500), ("memory", 1 << 30), ("sku.weir.dev/H100", 1)];
        let amounts = amounts.map(|(dimension, units)| (dimension.to_owned(), Amount::new(units))).into();
        assert_eq!(line(&amounts), "1500m cpu, 1Gi memory, 1 sku.weir.dev/H100");
        assert_eq!(line(&Amounts::new()), "nothing");
    }
}
