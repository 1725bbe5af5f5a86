//! The objects of gangs: how far each has come, why it waits, and what it was admitted on.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as Moment};
use kube::Resource;
use serde_json::{Value, json};
use weir_api::gang::{DecidedOn, DecidedResource, GangSpec};
use weir_api::{Gang, names};
use weir_queue::{Admission, Time};

use crate::client::GangObject;
use crate::convert::condition::{ConditionType, StandingCondition};
use crate::convert::name::NamespacedName;
use crate::convert::{moment, written};
use crate::leader::watch_state::pod_cache::PodState;

/// What a gang is admitted on, in its own pool.
pub(super) fn decided_on(admission: &Admission, epoch: i64, time: Option<Moment>) -> DecidedOn {
    let own = admission.decided_on.iter().filter(|figure| figure.pool.0 == admission.pool);
    let resource = |figure: &weir_queue::DecidedOn| {
        let [entitlement, usage, requested]: [Quantity; 3] =
            [figure.entitlement, figure.usage, figure.asked].map(|amount| written(&figure.dim, amount));
        DecidedResource { name: figure.dim.clone(), entitlement, usage, requested }
    };
    DecidedOn { epoch, time, resources: own.map(resource).collect() }
}

/// The object of a gang that has members; none for a gang whose name no object can have.
pub(super) fn object(
    gang: &NamespacedName,
    members: &[&PodState],
    decided: Option<&DecidedOn>,
    job: Option<String>,
) -> Option<GangObject> {
    // A label may hold what a name may not; such a gang shows on its pods alone.
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let first = members.first().filter(|_| gang.name.chars().all(valid))?;
    let size = first.gang.as_ref().map_or(0, |gang| gang.size);
    let spec = GangSpec { size: i32::try_from(size).unwrap_or(i32::MAX), pool: first.pool.to_string() };
    let mut body = json!({ "apiVersion": Gang::api_version(&()), "kind": Gang::kind(&()),
        "metadata": { "name": gang.name }, "spec": spec });
    if let Some(job) = job {
        body["metadata"]["labels"] = json!({ names::JOB: job });
    }
    let mut status = standing(members);
    // A merge leaves the fields that it does not name, so a new leader keeps what an earlier one had decided on.
    if let Some(decided) = decided {
        status["decidedOn"] = json!(decided);
    }
    Some(GangObject { name: gang.clone(), body, status })
}

/// How many pods of a gang there are, were admitted and have a node, and what stands on them.
fn standing(members: &[&PodState]) -> Value {
    let count = |what: fn(&PodState) -> bool| members.iter().filter(|state| what(state)).count();
    let (admitted, placed) = (count(|state| !state.waits()), count(PodState::placed));
    let waits = count(PodState::waits) > 0;
    // The condition that was written last: the members before it were told smaller numbers.
    let told = members.iter().filter(|state| state.waits() == waits && state.admitted.is_some());
    let told = told.max_by_key(|state| state.condition_written).and_then(|state| state.admitted.as_ref());
    let told = told.map(|standing| condition(ConditionType::Admitted, standing, standing.since));
    let leaving = members.iter().find_map(|state| Some((state.eviction_reason()?, state.created)));
    let leaving = leaving.map(|(standing, created)| condition(ConditionType::Preempted, standing, created));
    json!({ "created": members.len(), "admitted": admitted, "placed": placed,
        "conditions": told.into_iter().chain(leaving).collect::<Vec<_>>() })
}

fn condition(type_: ConditionType, standing: &StandingCondition, since: Time) -> Condition {
    Condition {
        type_: type_.as_str().to_owned(),
        status: standing.status.as_str().to_owned(),
        reason: standing.reason.clone(),
        message: standing.message.clone(),
        observed_generation: None,
        last_transition_time: moment(Time::from_millis(since.millis() / 1000 * 1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::condition::ConditionStatus;
    use crate::leader::fixture::{at, member};

    /// A waiting member that was told at this time that so many are there.
    fn told(number: u128, there: u32, seconds: u64) -> PodState {
        let admitted = StandingCondition {
            status: ConditionStatus::False,
            reason: "WaitingForGang".to_owned(),
            message: format!("{there} of 3 members are there"),
            since: at(seconds),
        };
        PodState { admitted: Some(admitted), condition_written: at(seconds), ..member(number, "g", 3) }
    }

    #[test]
    fn a_gang_shows_the_condition_that_was_written_last_whatever_the_order_of_its_members() {
        let [first, second, silent] = [told(1, 1, 10), told(2, 2, 11), member(3, "g", 3)];
        for members in [[&first, &second, &silent], [&silent, &second, &first]] {
            let status = standing(&members);
            assert_eq!(status["created"], 3);
            assert_eq!(status["conditions"][0]["message"], "2 of 3 members are there");
        }
    }
}
