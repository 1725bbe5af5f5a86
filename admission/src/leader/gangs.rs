//! The objects of gangs: how far each has come, why it waits, and what it was admitted on.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde_json::json;
use weir_api::gang::{DecidedOn, DecidedResource, GangSpec};
use weir_api::{Gang, condition, names};
use weir_queue::{Admission, Time};

use super::report::outcome;
use super::{Term, WriteResult};
use crate::client::Outcome;
use crate::convert::{moment, written};
use crate::leader::pod_cache::PodState;

impl Term<'_> {
    /// Notes what a gang is admitted on, in its own pool.
    pub(super) fn note_decision(&mut self, admission: &Admission) {
        let first = admission.pods.first().and_then(|(uid, _)| self.pods.get(*uid));
        let Some(gang) = first.and_then(|known| known.gang.clone()) else { return };
        let own = admission.decided_on.iter().filter(|figure| figure.pool.0 == admission.pool);
        let resource = |figure: &weir_queue::DecidedOn| {
            let [entitlement, usage, requested]: [Quantity; 3] =
                [figure.entitlement, figure.usage, figure.asked].map(|amount| written(&figure.dim, amount));
            DecidedResource { name: figure.dim.clone(), entitlement, usage, requested }
        };
        let resources = own.map(resource).collect();
        let decided = DecidedOn { epoch: self.record.epoch(), time: self.record.recorded(), resources };
        self.report.touch(Some(&gang));
        self.report.decided.insert(gang, decided);
    }

    /// Writes how a gang stands, where that changed.
    pub(super) fn report_gang(&mut self, gang: (String, String)) {
        let members: Vec<&PodState> = self.pods.members(&gang).collect();
        let api: Api<Gang> = Api::namespaced(self.context.client.clone(), &gang.0);
        let (key, name) = (gang.clone(), gang.1.clone());
        let Some(first) = members.first() else {
            self.report.gangs.remove(&gang);
            self.report.decided.remove(&gang);
            self.spawn(async move {
                match api.delete(&name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => WriteResult::Other(Outcome::Done),
                    other => WriteResult::Gang(key, outcome(other.map(drop))),
                }
            });
            return;
        };
        // A label may hold what a name may not; such a gang shows on its pods alone.
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !name.chars().all(valid) {
            return;
        }
        let spec = GangSpec { size: i32::try_from(first.size).unwrap_or(i32::MAX), pool: first.pool.to_string() };
        let mut body = json!({
            "apiVersion": Gang::api_version(&()), "kind": Gang::kind(&()), "metadata": { "name": name }, "spec": spec,
        });
        if let Some(job) = self.context.caches.rays().get(&gang).and_then(|cluster| cluster.job.clone()) {
            body["metadata"]["labels"] = json!({ names::JOB: job });
        }
        let mut status = standing(&members);
        // A merge leaves what is not spoken of, so a new leader keeps what an earlier one had decided on.
        if let Some(decided) = self.report.decided.get(&gang) {
            status["decidedOn"] = json!(decided);
        }
        let both = json!([body, status]);
        if self.report.gangs.get(&gang) == Some(&both) {
            return;
        }
        self.report.gangs.insert(gang, both);
        let params = PatchParams::apply(names::ADMISSION).force();
        let merge = PatchParams { field_manager: Some(names::ADMISSION.to_owned()), ..PatchParams::default() };
        self.spawn(async move {
            let written = match api.patch(&name, &params, &Patch::Apply(body)).await {
                Ok(_) => api.patch_status(&name, &merge, &Patch::Merge(json!({ "status": status }))).await.map(drop),
                Err(error) => Err(error),
            };
            WriteResult::Gang(key, outcome(written))
        });
    }
}

/// How many of a gang there are, were admitted and have a node, and what its pods are told.
fn standing(members: &[&PodState]) -> serde_json::Value {
    let count = |what: fn(&PodState) -> bool| members.iter().filter(|known| what(known)).count();
    let (admitted, placed) = (count(|known| !known.waits), count(|known| known.placed));
    let speaks = members.iter().find(|known| known.waits).or(members.first());
    let told = speaks.and_then(|known| {
        let (yes, reason) = known.told.as_ref()?;
        Some(Condition {
            type_: condition::ADMITTED.to_owned(),
            status: if *yes { "True" } else { "False" }.to_owned(),
            reason: reason.clone(),
            message: known.message.clone(),
            observed_generation: None,
            last_transition_time: moment(Time::from_millis(known.since.millis() / 1000 * 1000)),
        })
    });
    let going = members.iter().find_map(|known| {
        let (_, reason, message) = known.preempted.as_deref().filter(|(yes, _, _)| *yes)?;
        Some(Condition {
            type_: condition::PREEMPTED.to_owned(),
            status: "True".to_owned(),
            reason: reason.clone(),
            message: message.clone(),
            observed_generation: None,
            last_transition_time: moment(known.created),
        })
    });
    json!({ "created": members.len(), "admitted": admitted, "placed": placed,
        "conditions": told.into_iter().chain(going).collect::<Vec<_>>() })
}
