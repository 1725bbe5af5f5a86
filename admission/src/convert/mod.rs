//! Kubernetes objects as events of `policy/queue`: pure, and nothing is decided here.
//!
//! What an object says that cannot be understood becomes an obstacle with a sentence, or a condition of its pool;
//! nothing is dropped silently and nothing stops the rest. Types of the API are taken apart field by field without
//! `..`, so that a field which is added there has to be thought of here.

pub mod condition;
pub mod hosts;
pub mod interner;
pub mod metadata;
pub mod name;
pub mod node;
pub mod pod;
pub mod pool;
mod shape;
pub mod words;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, Time as Moment};
use weir_model::{Amount, Quantity};
use weir_queue::Time;

/// A time of the API server's clock, as the queue counts.
#[must_use]
pub fn time(moment: &Moment) -> Time {
    Time::from_millis(u64::try_from(moment.0.as_millisecond()).unwrap_or(0))
}

/// A time of the queue's clock, as the API server writes it.
#[must_use]
pub fn moment(time: Time) -> Moment {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    Moment(jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX))
}

/// A list of resources in base units. A quantity that does not parse is left out: the API server took the
/// object, so it parses there.
#[must_use]
pub fn amounts(written: Option<&BTreeMap<String, Written>>) -> BTreeMap<String, Amount> {
    let parsed = written
        .into_iter()
        .flatten()
        .filter_map(|(name, written)| Some((name.clone(), Quantity::parse(&written.0).ok()?.amount(name))));
    parsed.collect()
}

/// The unit that amounts of a dimension are counted in: thousandths of a core, or pieces.
#[must_use]
pub fn is_milli(dim: &str) -> bool {
    let own = dim == weir_model::dimension::CPU || dim.starts_with(weir_model::dimension::SKU_CPU_PREFIX);
    own || dim.strip_prefix(weir_model::dimension::GPU_HOSTS_PREFIX) == Some(weir_model::dimension::CPU)
}

/// An amount in base units of a dimension, as Kubernetes writes it.
///
/// ```
/// use weir_admission::convert::written;
/// use weir_model::Amount;
/// assert_eq!(written("cpu", Amount::new(1500)).0, "1500m");
/// assert_eq!(written("cpu", Amount::new(4000)).0, "4");
/// assert_eq!(written("nvidia.com/gpu", Amount::new(8)).0, "8");
/// ```
#[must_use]
pub fn written(dim: &str, amount: Amount) -> Written {
    let units = amount.units();
    Written(match is_milli(dim) {
        true if units % 1000 != 0 => format!("{units}m"),
        true => (units / 1000).to_string(),
        false => units.to_string(),
    })
}

/// Whether a label selector selects these labels; an empty one selects everything, an operator that does not exist
/// nothing.
#[must_use]
pub fn selects<'a>(selector: &LabelSelector, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let LabelSelector { match_expressions, match_labels } = selector;
    let holds = |LabelSelectorRequirement { key, operator, values }: &LabelSelectorRequirement| {
        let value = label(key);
        let listed = || value.is_some_and(|value| values.iter().flatten().any(|one| one == value));
        match operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    match_labels.iter().flatten().all(|(key, value)| label(key) == Some(value))
        && match_expressions.iter().flatten().all(holds)
}
