//! The pieces of schema that several objects share: quantities, names, durations, lists with a key.
//!
//! Every string and list here has a maximum. The API server prices a CEL rule by the worst case that the
//! schema allows and refuses the whole definition when that is too dear, so a list without a maximum makes
//! the cheapest rule impossible. A field that takes both numbers and strings is priced as if it held a
//! whole request, three megabytes, whatever its maximum says; that is why quantities are checked by
//! pattern, and compared a few at a time.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// How long a name may be that is mirrored to a label's value.
pub(crate) const NAME: u64 = 63;
/// How many resources one pool may list.
pub(crate) const RESOURCES: u64 = 60;
/// How many pairs of quantities one rule can compare within what the API server lets a rule cost.
const COMPARED: u64 = 15;
/// What the API server's parser of quantities takes, without a minus.
const QUANTITY_PATTERN: &str = r"^[+]?([0-9]+|[0-9]+[.][0-9]*|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$";

/// An amount as Kubernetes writes it: a number or a string with a suffix, not negative.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "maxLength": 48,
        "minimum": 0,
        "pattern": QUANTITY_PATTERN,
        "x-kubernetes-int-or-string": true,
    })
}

/// Amounts by resource name, as in a pod's requests.
pub(crate) fn quantities(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": RESOURCES,
        "additionalProperties": quantity(generator),
    })
}

/// A span of time as Go writes it, such as `90s`, `10m` or `1h30m`, not negative.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "pattern": r"^([0-9]+([.][0-9]+)?(ms|s|m|h))+$",
    })
}

/// The conditions of an object: one of each type.
pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    json_schema!({
        "type": "array",
        "items": generator.subschema_for::<Condition>(),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// A rule in CEL, and the sentence for a request that breaks it.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// Rules for a list of pool resources: no limit is below its reservation.
///
/// One rule on the items would be the obvious way and is too dear for more than fifteen of them, so each
/// rule looks at the entries of fifteen positions.
pub(crate) fn limits_cover_reservations() -> Vec<Value> {
    let covers = "type(self[i].limit) == string \
        ? (type(self[i].reservation) == string \
            ? !quantity(self[i].limit).isLessThan(quantity(self[i].reservation)) \
            : quantity(self[i].limit).asApproximateFloat() >= double(self[i].reservation)) \
        : (type(self[i].reservation) == string \
            ? double(self[i].limit) >= quantity(self[i].reservation).asApproximateFloat() \
            : self[i].limit >= self[i].reservation)";
    let positions: Vec<u64> = (0..RESOURCES).collect();
    let chunks = positions.chunks(usize::try_from(COMPARED).unwrap_or(usize::MAX));
    let rules = chunks.map(|chunk| {
        let text = format!(
            "{chunk:?}.all(i, i >= self.size() || !has(self[i].limit) || !has(self[i].reservation) || ({covers}))"
        );
        rule(&text, "a limit is below its reservation; raise the limit or lower the reservation")
    });
    rules.collect()
}
