//! How many pods a RayCluster needs before any of them is of use: its head and the workers it starts with.
//!
//! Counted as KubeRay counts, because it makes the pods: a group has `replicas` workers, at least
//! `minReplicas` and at most `maxReplicas`, and where the two contradict each other `maxReplicas` is what it
//! gets. With autoscaling the cluster works with `minReplicas`, and what Ray adds is elastic. A worker has
//! `numOfHosts` pods.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a RayCluster needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The head and what all groups need: the size of the gang, at least 1.
    pub size: u32,
    /// Its worker groups by name.
    pub groups: BTreeMap<String, Group>,
}

/// What a RayCluster needs of one worker group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many of its pods.
    pub needed: u32,
    /// How many pods one worker has, at least 1.
    pub hosts: u32,
}

/// The value of a field that a group leaves out, as KubeRay's schema fills it in.
mod default {
    pub(super) const REPLICAS: i64 = 0;
    pub(super) const MIN_REPLICAS: i64 = 0;
    pub(super) const MAX_REPLICAS: i64 = i32::MAX as i64;
    pub(super) const HOSTS: i64 = 1;
}

/// What a RayCluster with this `spec` needs.
///
/// ```
/// use serde_json::json;
/// use weir_admission::watch::ray::needs::needs;
/// let spec = json!({ "workerGroupSpecs": [
///     { "groupName": "gpu", "replicas": 3, "minReplicas": 1, "maxReplicas": 8, "numOfHosts": 2 },
/// ] });
/// assert_eq!(needs(&spec).unwrap().size, 1 + 3 * 2);
/// ```
///
/// # Errors
/// A number that is none; the sentence names its field. The API server's schema refuses it first, unless the schema was
/// changed.
pub fn needs(spec: &Value) -> Result<Needs, String> {
    let autoscales = spec["enableInTreeAutoscaling"].as_bool().unwrap_or(false);
    let mut needs = Needs { size: 1, groups: BTreeMap::new() };
    for (at, written) in spec["workerGroupSpecs"].as_array().into_iter().flatten().enumerate() {
        let group = group(written, autoscales).map_err(|field| {
            format!("spec.workerGroupSpecs[{at}].{field}: {} is not a whole number", written[field])
        })?;
        needs.size = needs.size.saturating_add(group.needed);
        let name = written["groupName"].as_str().unwrap_or_default().to_owned();
        let known = needs.groups.entry(name).or_insert(Group { needed: 0, ..group });
        known.needed = known.needed.saturating_add(group.needed);
    }
    Ok(needs)
}

/// What is needed of a group; an error is the field that is no number.
fn group(written: &Value, autoscales: bool) -> Result<Group, &'static str> {
    let number =
        |field: &'static str, default: i64| whole(&written[field]).map_or(Err(field), |n| Ok(n.unwrap_or(default)));
    let replicas = number("replicas", default::REPLICAS)?;
    let min = number("minReplicas", default::MIN_REPLICAS)?;
    let max = number("maxReplicas", default::MAX_REPLICAS)?;
    let hosts = number("numOfHosts", default::HOSTS)?;
    let suspended = written["suspend"].as_bool().unwrap_or(false);
    let workers = match () {
        () if suspended => 0,
        // Below its minimum KubeRay never goes, unless the maximum is even lower.
        () if autoscales => min.min(max),
        () => replicas.max(min).min(max),
    };
    let pods = workers.max(0).saturating_mul(hosts.max(0));
    Ok(Group {
        needed: u32::try_from(pods).unwrap_or(u32::MAX),
        hosts: u32::try_from(hosts.max(1)).unwrap_or(u32::MAX),
    })
}

/// A whole number, the nearest one where it is beyond what fits; none where it is left out.
fn whole(written: &Value) -> Option<Option<i64>> {
    match written {
        Value::Null => Some(None),
        Value::Number(number) if number.is_i64() => Some(number.as_i64()),
        Value::Number(number) if number.is_u64() => Some(Some(i64::MAX)),
        Value::Number(number) => number.as_f64().filter(|n| n.fract() == 0.0).map(|n| {
            // Beyond 64 bits JSON numbers are read as floats; only the side that they are on counts.
            Some(if n < 0.0 { i64::MIN } else { i64::MAX })
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The size of a cluster with these groups.
    fn size(groups: Value) -> u32 {
        needs(&json!({ "workerGroupSpecs": groups })).unwrap().size
    }

    fn autoscaled(groups: Value) -> u32 {
        needs(&json!({ "enableInTreeAutoscaling": true, "workerGroupSpecs": groups })).unwrap().size
    }

    #[test]
    fn a_head_alone_is_a_gang_of_one() {
        assert_eq!(needs(&json!({})).unwrap(), Needs { size: 1, groups: BTreeMap::new() });
        assert_eq!(size(json!([])), 1);
        assert_eq!(size(json!(null)), 1);
    }

    #[test]
    fn replicas_stay_between_their_minimum_and_their_maximum() {
        assert_eq!(size(json!([{ "replicas": 2, "minReplicas": 0, "maxReplicas": 10 }])), 3);
        assert_eq!(size(json!([{ "replicas": 1, "minReplicas": 4, "maxReplicas": 10 }])), 5);
        assert_eq!(size(json!([{ "replicas": 20, "minReplicas": 0, "maxReplicas": 10 }])), 11);
        assert_eq!(size(json!([{ "replicas": 2 }, { "replicas": 3 }])), 6);
    }

    #[test]
    fn what_is_left_out_has_the_default_of_kuberay() {
        assert_eq!(size(json!([{}])), 1);
        assert_eq!(size(json!([{ "minReplicas": 3 }])), 4, "replicas are 0 and never below the minimum");
        assert_eq!(size(json!([{ "replicas": 7 }])), 8, "there is no maximum to speak of");
        assert_eq!(size(json!([{ "replicas": null, "minReplicas": 2, "maxReplicas": null, "numOfHosts": null }])), 3);
        assert_eq!(autoscaled(json!([{ "replicas": 5 }])), 1, "the minimum is 0");
    }

    #[test]
    fn a_maximum_below_the_minimum_is_what_kuberay_makes() {
        assert_eq!(size(json!([{ "replicas": 5, "minReplicas": 4, "maxReplicas": 2 }])), 3);
        assert_eq!(size(json!([{ "replicas": 1, "minReplicas": 4, "maxReplicas": 2 }])), 3);
        assert_eq!(autoscaled(json!([{ "replicas": 5, "minReplicas": 4, "maxReplicas": 2 }])), 3);
    }

    #[test]
    fn with_autoscaling_the_minimum_is_needed_and_the_rest_is_elastic() {
        assert_eq!(autoscaled(json!([{ "replicas": 5, "minReplicas": 2, "maxReplicas": 10 }])), 3);
        assert_eq!(autoscaled(json!([{ "replicas": 5, "minReplicas": 2, "maxReplicas": 10, "numOfHosts": 4 }])), 9);
        let off =
            json!({ "enableInTreeAutoscaling": false, "workerGroupSpecs": [{ "replicas": 5, "minReplicas": 2 }] });
        assert_eq!(needs(&off).unwrap().size, 6);
    }

    #[test]
    fn a_worker_has_as_many_pods_as_hosts() {
        let spec = json!({ "workerGroupSpecs": [
            { "groupName": "tpu", "replicas": 2, "numOfHosts": 4 }, { "groupName": "cpu", "replicas": 3 },
        ] });
        let groups = [("cpu", 3, 1), ("tpu", 8, 4)];
        let groups = groups.map(|(name, needed, hosts)| (name.to_owned(), Group { needed, hosts }));
        assert_eq!(needs(&spec).unwrap(), Needs { size: 12, groups: groups.into() });
        assert_eq!(size(json!([{ "replicas": 3, "numOfHosts": 0 }])), 1, "KubeRay makes no pod of no host");
    }

    #[test]
    fn a_suspended_group_needs_nothing() {
        let groups = json!([{ "groupName": "a", "replicas": 2, "suspend": true }, { "replicas": 3, "suspend": false }]);
        assert_eq!(size(groups.clone()), 4);
        assert_eq!(autoscaled(json!([{ "minReplicas": 2, "suspend": true }])), 1);
        let needs = needs(&json!({ "workerGroupSpecs": groups })).unwrap();
        assert_eq!(needs.groups["a"], Group { needed: 0, hosts: 1 });
    }

    #[test]
    fn numbers_below_zero_are_none_and_numbers_beyond_all_bounds_saturate() {
        assert_eq!(size(json!([{ "replicas": -3, "minReplicas": -5 }])), 1);
        assert_eq!(size(json!([{ "replicas": 3, "maxReplicas": -1 }])), 1);
        assert_eq!(size(json!([{ "replicas": 3, "numOfHosts": -2 }])), 1);
        assert_eq!(size(json!([{ "replicas": i32::MAX, "numOfHosts": i32::MAX }])), u32::MAX);
        assert_eq!(size(json!([{ "replicas": u64::MAX, "maxReplicas": u64::MAX }])), u32::MAX);
        let beyond: Value = serde_json::from_str(r#"[{ "replicas": 1e300, "maxReplicas": 1e300 }]"#).unwrap();
        assert_eq!(size(beyond), u32::MAX);
        assert_eq!(
            size(json!([{ "replicas": 2147483647_i64 }, { "replicas": 2147483647_i64 }, { "replicas": 9 }])),
            u32::MAX
        );
    }

    #[test]
    fn two_groups_of_one_name_are_added_up() {
        let spec = json!({ "workerGroupSpecs": [
            { "groupName": "a", "replicas": 2 }, { "groupName": "a", "replicas": 3 },
        ] });
        assert_eq!(needs(&spec).unwrap().groups["a"].needed, 5);
    }

    #[test]
    fn what_is_no_number_names_its_field() {
        let spec = json!({ "workerGroupSpecs": [{ "replicas": 1 }, { "minReplicas": "two" }] });
        let sentence = "spec.workerGroupSpecs[1].minReplicas: \"two\" is not a whole number";
        assert_eq!(needs(&spec), Err(sentence.to_owned()));
        assert!(needs(&json!({ "workerGroupSpecs": [{ "replicas": 1.5 }] })).is_err());
    }
}
