//! From `ResourcePool` objects to a tree of figures.
//!
//! Whatever the objects say is shown: a pool whose parent does not exist stands at the top, and so do those
//! whose parents lead round in a circle, each with the condition that says so.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde::Serialize;
use weir_api::ResourcePool;
use weir_api::pool::{PoolResource, PoolResourceStatus, PoolState};
use weir_api::quantity::amount;
use weir_model::Amount;

/// All pools, each after its parent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tree {
    pub(crate) pools: Vec<PoolRow>,
}

/// One pool.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PoolRow {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    /// 0 at the top.
    pub(crate) depth: usize,
    /// `Active`, `Hold` or `Drain`.
    pub(crate) state: PoolState,
    pub(crate) pending: i64,
    pub(crate) admitted: i64,
    pub(crate) conditions: Vec<Condition>,
    /// The sidecar has not seen the pool as it is written now.
    pub(crate) unobserved: bool,
    pub(crate) resources: BTreeMap<String, Figures>,
}

/// The figures of one dimension, in base units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// `None` where the pool does not list the dimension.
    #[serde(serialize_with = "units", skip_serializing_if = "Option::is_none")]
    pub(crate) reservation: Option<Amount>,
    #[serde(serialize_with = "units", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Amount>,
    #[serde(serialize_with = "unit")]
    pub(crate) entitlement: Amount,
    #[serde(serialize_with = "unit")]
    pub(crate) usage: Amount,
    #[serde(serialize_with = "unit")]
    pub(crate) demand: Amount,
    #[serde(serialize_with = "unit")]
    pub(crate) borrowed: Amount,
    /// The part of the entitlement that cannot be taken back: from the reservation, or in use by non-preemptible
    /// pods.
    #[serde(serialize_with = "unit")]
    pub(crate) guaranteed: Amount,
    /// The pools whose reservations are lent, and how much of each.
    #[serde(serialize_with = "lenders")]
    pub(crate) borrowed_from: Vec<(String, Amount)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capped_by: Option<String>,
    /// Since when usage has been above the entitlement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) over_since: Option<String>,
}

fn unit<S: serde::Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(amount.units())
}

fn units<S: serde::Serializer>(amount: &Option<Amount>, serializer: S) -> Result<S::Ok, S::Error> {
    amount.map(Amount::units).serialize(serializer)
}

fn lenders<S: serde::Serializer>(lenders: &[(String, Amount)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(lenders.iter().map(|(pool, amount)| (pool, amount.units())))
}

impl Tree {
    /// The tree that the objects make.
    pub(crate) fn of(objects: &[ResourcePool]) -> Self {
        let mut left: BTreeMap<String, &ResourcePool> = objects.iter().map(|pool| (pool.name_any(), pool)).collect();
        let known: BTreeSet<String> = left.keys().cloned().collect();
        let mut pools = Vec::new();
        loop {
            // Without a top, what is left leads round in a circle; its first by name stands for the top.
            let top =
                left.iter().find(|(_, pool)| !pool.spec.parent.as_ref().is_some_and(|above| known.contains(above)));
            let Some(name) = top.or_else(|| left.iter().next()).map(|(name, _)| name.clone()) else { break };
            let mut open = vec![(name, 0)];
            while let Some((name, depth)) = open.pop() {
                let Some(object) = left.remove(&name) else { continue };
                pools.push(PoolRow::of(object, depth));
                let below = left.iter().filter(|(_, pool)| pool.spec.parent.as_deref() == Some(&name));
                open.extend(below.map(|(child, _)| (child.clone(), depth + 1)).rev());
            }
        }
        Self { pools }
    }

    /// One pool and what is below it.
    pub(crate) fn below(mut self, pool: &str) -> Result<Self> {
        let Some(at) = self.pools.iter().position(|row| row.name == pool) else {
            let names: Vec<_> = self.pools.iter().map(|row| row.name.as_str()).collect();
            bail!(
                "there is no pool {pool:?}; there are {}",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            );
        };
        let mut rows = self.pools.split_off(at);
        let depth = rows[0].depth;
        let end = rows.iter().skip(1).position(|row| row.depth <= depth).map_or(rows.len(), |next| next + 1);
        rows.truncate(end);
        rows.iter_mut().for_each(|row| row.depth -= depth);
        Ok(Self { pools: rows })
    }

    /// Drops all resources but these; none named keeps all.
    pub(crate) fn keep(&mut self, wanted: &[String]) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let known = self.resources();
        if let Some(unknown) = wanted.iter().find(|name| !known.contains(*name)) {
            let known: Vec<_> = known.into_iter().collect();
            bail!("--resource {unknown}: no pool lists, uses or waits for it; there are {}", known.join(", "));
        }
        self.pools.iter_mut().for_each(|row| row.resources.retain(|name, _| wanted.contains(name)));
        Ok(())
    }

    /// Every resource that some pool says something of.
    pub(crate) fn resources(&self) -> BTreeSet<String> {
        self.pools.iter().flat_map(|row| row.resources.keys().cloned()).collect()
    }

    /// A pool.
    pub(crate) fn find(&self, pool: &str) -> Option<&PoolRow> {
        self.pools.iter().find(|row| row.name == pool)
    }

    /// A pool and its ancestors, upwards. A circle ends where it closes.
    pub(crate) fn path(&self, pool: &str) -> Vec<&PoolRow> {
        let mut path: Vec<&PoolRow> = Vec::new();
        let mut next = self.find(pool);
        while let Some(row) = next.filter(|row| !path.iter().any(|seen| seen.name == row.name)) {
            path.push(row);
            next = row.parent.as_deref().and_then(|parent| self.find(parent));
        }
        path
    }

    /// What the leaves below a pool use beyond their own entitlements: it does not count in the pool.
    pub(crate) fn beyond(&self, pool: &str, resource: &str) -> Amount {
        let leaf = |row: &&PoolRow| !self.pools.iter().any(|child| child.parent.as_ref() == Some(&row.name));
        let below = |row: &&PoolRow| self.path(&row.name).iter().skip(1).any(|above| above.name == pool);
        let figures = self.pools.iter().filter(leaf).filter(below).filter_map(|row| row.resources.get(resource));
        figures.map(|figures| figures.usage.minus(figures.entitlement).max(Amount::ZERO)).sum()
    }
}

impl PoolRow {
    fn of(object: &ResourcePool, depth: usize) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let unobserved = status.observed_generation != object.metadata.generation;
        let mut resources: BTreeMap<String, Figures> = BTreeMap::new();
        for PoolResource { name, reservation, limit, share: _, kind: _ } in &object.spec.resources {
            let figures = resources.entry(name.clone()).or_default();
            figures.reservation = Some(reservation.as_ref().map_or(Amount::ZERO, |written| amount(name, written)));
            figures.limit = limit.as_ref().map(|written| amount(name, written));
        }
        for status in &status.resources {
            resources.entry(status.name.clone()).or_default().take(status);
        }
        Self {
            name: object.name_any(),
            parent: object.spec.parent.clone(),
            depth,
            state: object.spec.state,
            pending: status.pending,
            admitted: status.admitted,
            conditions: status.conditions,
            unobserved,
            resources,
        }
    }
}

impl Figures {
    fn take(&mut self, status: &PoolResourceStatus) {
        let PoolResourceStatus { name, entitlement, usage, demand, borrowed, trace, over_since } = status;
        let read = |written| amount(name, written);
        (self.entitlement, self.usage) = (read(entitlement), read(usage));
        (self.demand, self.borrowed) = (read(demand), read(borrowed));
        self.guaranteed = match trace {
            Some(trace) => read(&trace.non_preemptible) + read(&trace.from_reservation),
            None => self.reservation.unwrap_or_default().min(self.entitlement),
        };
        if let Some(trace) = trace {
            self.borrowed_from = trace.borrowed_from.iter().map(|it| (it.pool.clone(), read(&it.amount))).collect();
            self.capped_by.clone_from(&trace.capped_by);
        }
        self.over_since = over_since.as_ref().map(|since| since.0.to_string());
    }
}
