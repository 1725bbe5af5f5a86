//! What must hold of every history of pods, whatever crashed in between; judged from the watch alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::world::{admitted, gated};

/// All breaches in a history, as sentences. `capacity` is what all admitted pods together may ask for, in
/// thousandths of a core; nothing where it was not to hold.
pub(crate) fn breaches(history: &[(bool, Pod)], capacity: Option<i64>) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut known: BTreeMap<String, Pod> = BTreeMap::new();
    for (alive, pod) in history {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if let Some(before) = known.get(&uid)
            && admitted(before)
            && gated(pod)
        {
            breaches.push(format!("{} was admitted and waits again", name(pod)));
        }
        match alive {
            true => drop(known.insert(uid, pod.clone())),
            false => drop(known.remove(&uid)),
        }
        if admitted(pod) {
            breaches.extend(unfounded(pod));
        }
        let total: i64 = known.values().filter(|pod| admitted(pod)).map(cpu).sum();
        if capacity.is_some_and(|capacity| total > capacity) {
            breaches.push(format!("{total}m are admitted of {capacity:?}m that there are"));
        }
    }
    breaches.extend(half_gangs(known.values()));
    breaches.sort();
    breaches.dedup();
    breaches
}

/// An admission that says on no grounds it was decided, or on figures that do not allow it.
fn unfounded(pod: &Pod) -> Option<String> {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let Some(grounds) = annotations.get("weir.dev/admitted-as") else {
        return Some(format!("{} was admitted on no grounds", name(pod)));
    };
    let record: Value = serde_json::from_str(annotations.get("weir.dev/decided-on")?).ok()?;
    if grounds != "WithinEntitlement" {
        return None;
    }
    let figures = record["figures"].as_array().cloned().unwrap_or_default();
    let number = |figures: &Value, key: &str| figures[key].as_i64().unwrap_or(i64::MIN);
    let above = figures.iter().find(|one| number(one, "usage") + number(one, "asked") > number(one, "entitlement"))?;
    Some(format!("{} was admitted beyond what it was decided on: {above}", name(pod)))
}

/// Gangs of which a part waits at the end.
fn half_gangs<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<String> {
    let mut gangs: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for pod in pods {
        if let Some(gang) = pod.metadata.labels.as_ref().and_then(|labels| labels.get("gang-member")) {
            let (waits, runs) = gangs.entry(gang.clone()).or_default();
            if gated(pod) { *waits += 1 } else { *runs += 1 }
        }
    }
    let half = gangs.into_iter().filter(|(_, (waits, runs))| *waits > 0 && *runs > 0);
    half.map(|(gang, (waits, runs))| format!("{runs} of gang {gang} run and {waits} wait")).collect()
}

fn cpu(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests = containers.filter_map(|one| one.resources.as_ref()?.requests.as_ref()?.get("cpu").cloned());
    requests.map(|quantity| quantity.0.parse::<i64>().unwrap_or(0) * 1000).sum()
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}
