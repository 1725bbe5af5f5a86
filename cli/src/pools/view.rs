//! The tree for people: first every pool with its state, then each resource with bars.
//!
//! A bar shows use within the entitlement: thick what is used of what is guaranteed, half what is used of
//! what is borrowed or spread, thin what is entitled and free. All bars of a resource have one scale.

use std::fmt::Write as _;

use weir_api::condition::READY;
use weir_api::pool::PoolState;
use weir_model::Amount;

use super::rows::{Figures, PoolRow, Tree};
use crate::draw::{Line, Paint, Section, bar, branches, listed, quantity};

const LEGEND: &str = "█ used, guaranteed  ▓ used, borrowed  ░ entitled and free";

/// The picture.
pub(super) fn draw(tree: &Tree, paint: Paint) -> String {
    if tree.pools.is_empty() {
        return "there are no pools; kubectl apply a ResourcePool to make one (kubectl explain rp.spec)\n".to_owned();
    }
    let mut page = String::new();
    states(tree, paint).draw(&mut page, paint);
    for resource in tree.resources() {
        page.push('\n');
        of_resource(tree, &resource, paint).draw(&mut page, paint);
    }
    let _ = writeln!(page, "\n{}", paint.dim(LEGEND));
    page
}

/// The rows with their branches; the cluster itself stands above those that hang on nothing here.
fn drawn(tree: &Tree) -> Vec<(String, Option<&PoolRow>)> {
    let depth = |at: usize| tree.pools[at].depth;
    let children = |parent: Option<usize>| {
        let (first, wanted) = parent.map_or((0, 0), |at| (at + 1, depth(at) + 1));
        let rows = (first..tree.pools.len()).take_while(|&at| depth(at) >= wanted);
        rows.filter(|&at| depth(at) == wanted).map(Some).collect()
    };
    branches(None, children).into_iter().map(|(lead, at)| (lead, at.map(|at| &tree.pools[at]))).collect()
}

fn states(tree: &Tree, paint: Paint) -> Section {
    let tops = || tree.pools.iter().filter(|row| row.depth == 0);
    let line = |(lead, row): (String, Option<&PoolRow>)| {
        let (name, pending, admitted) = match row {
            Some(row) => (row.name.as_str(), row.pending, row.admitted),
            None => ("cluster", tops().map(|row| row.pending).sum(), tops().map(|row| row.admitted).sum()),
        };
        let numbers = vec![pending.to_string(), admitted.to_string()];
        let why = row.map(|row| attention(row, paint)).unwrap_or_default();
        Line { label: format!("{lead}{name}"), bar: String::new(), numbers, why }
    };
    Section {
        title: "pods".to_owned(),
        heads: vec!["waiting", "admitted"],
        lines: drawn(tree).into_iter().map(line).collect(),
    }
}

/// What deserves attention of a pool.
fn attention(row: &PoolRow, paint: Paint) -> String {
    let mut said = Vec::new();
    match row.state {
        PoolState::Active => {}
        PoolState::Hold => said.push(paint.yellow("Hold: takes nothing new")),
        PoolState::Drain => said.push(paint.yellow("Drain: takes nothing new, preemptible pods go")),
    }
    for condition in &row.conditions {
        let usual = condition.type_ == READY && condition.status == "True";
        if !usual && (condition.type_ == READY || condition.status == "True") {
            let word = if condition.type_ == READY { &condition.reason } else { &condition.type_ };
            said.push(paint.red(&format!("{word}: {}", condition.message)));
        }
    }
    if row.unobserved {
        said.push(paint.yellow("not looked at yet as it is now; is weir-admission running?"));
    }
    said.join("; ")
}

fn of_resource(tree: &Tree, resource: &str, paint: Paint) -> Section {
    let none = Figures::default();
    let figures = |row: &PoolRow| row.resources.get(resource).cloned().unwrap_or_default();
    let whole = tree.pools.iter().filter(|row| row.depth == 0).map(figures).fold(none, sum);
    let scale = whole.entitlement.max(whole.usage);
    let line = |(lead, row): (String, Option<&PoolRow>)| {
        let (name, figures) = row.map_or(("cluster", whole.clone()), |row| (row.name.as_str(), figures(row)));
        let show = |amount| quantity(resource, amount);
        let numbers = vec![
            figures.reservation.map_or_else(|| "-".to_owned(), show),
            show(figures.entitlement),
            show(figures.usage),
            show(figures.demand),
            show(figures.borrowed),
        ];
        let why = row.map(|_| why(&figures, resource, paint)).unwrap_or_default();
        Line { label: format!("{lead}{name}"), bar: bar(parts(&figures), scale, paint), numbers, why }
    };
    Section {
        title: resource.to_owned(),
        heads: vec!["reserved", "entitled", "used", "demand", "borrowed"],
        lines: drawn(tree).into_iter().map(line).collect(),
    }
}

/// The cluster as the sum of the topmost pools; it borrows nothing.
fn sum(total: Figures, more: Figures) -> Figures {
    let reservation = match (total.reservation, more.reservation) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
    Figures {
        reservation,
        entitlement: total.entitlement + more.entitlement,
        usage: total.usage + more.usage,
        demand: total.demand + more.demand,
        guaranteed: total.guaranteed + more.guaranteed,
        ..Figures::default()
    }
}

/// Used of what is guaranteed, used beyond that, entitled and free.
fn parts(figures: &Figures) -> [Amount; 3] {
    let Figures { entitlement, usage, guaranteed, .. } = *figures;
    let within = usage.min(guaranteed);
    [within, usage.minus(within), entitlement.minus(usage)]
}

fn why(figures: &Figures, resource: &str, paint: Paint) -> String {
    let show = |amount| quantity(resource, amount);
    let mut said = Vec::new();
    if !figures.borrowed_from.is_empty() {
        let lenders = figures.borrowed_from.iter().map(|(pool, amount)| format!("{} from {pool}", show(*amount)));
        said.push(paint.yellow(&format!("borrows {}", listed(lenders))));
    }
    let above = figures.usage.minus(figures.entitlement);
    if !above.is_zero() {
        let since = figures.over_since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
        said.push(paint.red(&format!("uses {} more than that{since}", show(above))));
    }
    let short = (figures.usage + figures.demand).minus(figures.entitlement);
    if let Some(cap) = figures.capped_by.as_ref().filter(|_| !short.is_zero()) {
        said.push(paint.red(&format!("{} short of its demand, held by {cap}", show(short))));
    }
    said.join("; ")
}
