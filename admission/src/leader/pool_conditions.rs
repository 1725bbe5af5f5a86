//! What is wrong with pools: a condition with a sentence, an event when it changes, a metric while it lasts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as Moment};
use kube::{Resource, ResourceExt};
use weir_api::condition;
use weir_api::pool::ResourcePool;
use weir_entitlement::Condition as Attention;
use weir_model::{Amount, Dim, PoolError, PoolId};
use weir_queue::Time;

use super::{Term, WriteResult};
use crate::client::{About, report};
use crate::convert::{moment, written};

impl Term<'_> {
    /// What reserves more than there is, in sentences, by the pools that say so.
    ///
    /// That the pools below a pool reserve too much stands on the pool; of the root, which has no object, on
    /// those right below it that reserve the dimension.
    pub(super) fn over_reserved(&self) -> BTreeMap<String, String> {
        let (tree, dims) = (self.queue.pools().0, self.queue.dimensions());
        let reserves = |pool: PoolId, dim: Dim| {
            tree.parent(pool) == Some(PoolId::ROOT)
                && tree.listed(pool, dim).is_some_and(|spec| spec.reservation > Amount::ZERO)
        };
        let mut sentences: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for found in self.queue.entitlements().conditions() {
            let Attention::OverReserved { pool, dim, reserved, available } = found else { continue };
            let name = dims.name(dim);
            let [reserved, available] = [reserved, available].map(|amount| written(name, amount).0);
            let scaled = "; when all of it is asked for, each gets its part";
            if pool == PoolId::ROOT {
                let sentence = format!("{name}: the pools of the cluster reserve {reserved} of {available}{scaled}");
                for pool in tree.iter().filter(|&pool| reserves(pool, dim)) {
                    sentences.entry(tree.name(pool).to_owned()).or_default().push(sentence.clone());
                }
            } else {
                let sentence = format!("{name}: the pools below reserve {reserved} of {available}{scaled}");
                sentences.entry(tree.name(pool).to_owned()).or_default().push(sentence);
            }
        }
        sentences.into_iter().map(|(pool, sentences)| (pool, sentences.join(". "))).collect()
    }

    /// The conditions of a pool, as they are now.
    pub(super) fn pool_conditions(&self, object: &ResourcePool, over: Option<&String>, now: Time) -> Vec<Condition> {
        let name = object.name_any();
        let error = self.queue.pools().1.iter().find(|error| error.pool() == name);
        let invalid = self.report.invalid.get(&name);
        let (ready, reason, message) = match (error, invalid) {
            (_, Some(sentence)) => ("False", condition::Pool::Invalid, sentence.clone()),
            (Some(error), None) => ("False", reason_of(error), error.to_string()),
            (None, None) if object.metadata.deletion_timestamp.is_some() => {
                ("False", condition::Pool::Terminating, "deleted as soon as no pod is in it".to_owned())
            }
            (None, None) => ("True", condition::Pool::InTree, "takes part".to_owned()),
        };
        let mut conditions = vec![kept(object, condition::READY, ready, reason.as_str(), message, now)];
        if let Some(sentence) = over {
            let over = condition::OVER_RESERVED;
            conditions.push(kept(object, over, "True", over, sentence.clone(), now));
        }
        conditions
    }

    /// Counts what is wrong with a pool, and tells of what was not wrong, or wrong otherwise, before.
    pub(super) fn report_pool_problems(&mut self, object: &ResourcePool, conditions: &[Condition]) {
        let name = object.name_any();
        let wrong = |one: &Condition| (one.type_ == condition::READY) != (one.status == "True");
        let stands: BTreeSet<(String, String)> =
            conditions.iter().filter(|one| wrong(one)).map(|one| (one.type_.clone(), one.reason.clone())).collect();
        for (condition, reason) in &stands {
            self.context.metrics.pool_condition(&name, condition, reason);
        }
        let said = object.status.iter().flat_map(|status| &status.conditions).filter(|one| wrong(one));
        let before = said.map(|one| (one.type_.clone(), one.reason.clone())).collect();
        let before = self.report.attention.insert(name, stands).unwrap_or(before);
        for one in conditions {
            let key = (one.type_.clone(), one.reason.clone());
            if wrong(one) && !before.contains(&key) {
                let about = About {
                    api_version: ResourcePool::api_version(&()).into_owned(),
                    kind: ResourcePool::kind(&()).into_owned(),
                    namespace: String::new(),
                    name: object.name_any(),
                    uid: object.uid().unwrap_or_default(),
                };
                let (client, one) = (self.context.client.clone(), one.clone());
                self.spawn(async move { WriteResult::Other(report(&client, &about, &one.reason, &one.message).await) });
            }
        }
    }
}

fn reason_of(error: &PoolError) -> condition::Pool {
    match error {
        PoolError::MissingParent { .. } => condition::Pool::ParentNotFound,
        PoolError::Cycle { .. } => condition::Pool::ParentCycle,
        PoolError::EmptyName
        | PoolError::DuplicateName { .. }
        | PoolError::LimitBelowReservation { .. }
        | PoolError::DuplicateResource { .. } => condition::Pool::Invalid,
    }
}

/// A condition that keeps the time of its last transition as long as its status stays.
fn kept(object: &ResourcePool, type_: &str, status: &str, reason: &str, message: String, now: Time) -> Condition {
    let before = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let same = before.iter().find(|one| one.type_ == type_ && one.status == status);
    let seconds = Time::from_millis(now.millis() / 1000 * 1000);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: object.metadata.generation,
        last_transition_time: same
            .map_or_else(|| -> Moment { moment(seconds) }, |one| one.last_transition_time.clone()),
    }
}
