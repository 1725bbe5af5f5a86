//! Says what would have to change for a pod or a gang to go on, by the reason in its condition.

use weir_api::condition::{ADMITTED, Admitted, PREEMPTED, Waiting};
use weir_model::Amount;

use super::facts::{ConditionRow, Facts, GangProgress, Standing};
use crate::draw::{listed, quantity};

/// Sentences, the most useful first; none where nothing has to change.
pub(super) fn of(facts: &Facts) -> Vec<String> {
    let mut said = Vec::new();
    match &facts.stands {
        Standing::Waiting => {
            match admitted(facts, "False").map(|condition| condition.reason.parse::<Waiting>()) {
                None => said.push(
                    "the sidecar has not seen it yet: check that weir-admission runs (kubectl -n weir-system get pods)"
                        .into(),
                ),
                Some(Ok(reason)) => {
                    if matters(reason) {
                        said.extend(missing(facts));
                    }
                    said.push(what_to_do(reason, facts));
                }
                // A newer sidecar may have reasons that this program does not know; its sentence stands above.
                Some(Err(_)) => {}
            }
            if facts.gates.len() > 1 {
                said.push("the other scheduling gates have to be removed by their owners".into());
            }
        }
        Standing::Admitted if facts.kind == "Gang" => said.extend(unplaced(facts)),
        Standing::Admitted => said.push(
            "it is admitted and has no node yet: see what PodScheduled says; after the placement timeout (25 min unless \
             configured) it is evicted to give its quota back"
                .into(),
        ),
        Standing::NotManaged => said.push(format!(
            "Weir does not manage it; a pod asks for admission by the annotation {} when it is created",
            weir_api::names::POOL
        )),
        Standing::Placed { .. } | Standing::Terminating | Standing::Ended { .. } => {}
    }
    if admitted(facts, "True").is_some_and(|condition| condition.reason == Admitted::OnLoan.as_str()) {
        said.push("it runs on loan: it is the first to be evicted when an entitled pod asks for what it uses".into());
    }
    if facts.conditions.iter().any(|condition| condition.type_ == PREEMPTED && condition.status == "True") {
        said.push("it is about to be evicted; its controller makes another, which waits in the queue again".into());
    }
    said
}

/// Which members of a gang have no node yet.
fn unplaced(facts: &Facts) -> Option<String> {
    let GangProgress { size, placed, without_node, .. } = facts.gang.as_ref()?;
    Some(format!(
        "{placed} of {size} placed, no node yet for {}: see what PodScheduled says; after the placement timeout (25 min \
         unless configured) a gang that never ran whole is evicted to give its quota back, otherwise these alone",
        listed(without_node.iter().cloned())
    ))
}

/// Whether the pools' figures say what is missing.
fn matters(reason: Waiting) -> bool {
    matches!(reason, Waiting::WaitingForQuota | Waiting::ExceedsEntitlement)
}

fn missing(facts: &Facts) -> Vec<String> {
    let rows = facts.path.iter().flat_map(|on| on.figures.iter().map(move |room| (&on.pool, room)));
    let short = rows.filter(|(_, room)| room.short > 0).map(|(pool, room)| {
        let show = |units| quantity(&room.resource, Amount::new(units));
        format!(
            "{} {} have to become free in pool {pool}: it uses {} of the {} that it is entitled to",
            show(room.short),
            room.resource,
            show(room.usage),
            show(room.entitlement)
        )
    });
    short.collect()
}

fn what_to_do(reason: Waiting, facts: &Facts) -> String {
    let pool = facts.pool.as_deref().unwrap_or("its pool");
    match reason {
        Waiting::WaitingForQuota => format!(
            "it goes when others in {pool} end or the entitlement grows; a larger spec.resources[].reservation of {pool} \
             makes it sooner, and so does a higher priority than those before it (kubectl weir queue {pool})"
        ),
        Waiting::WaitingForGang => match &facts.gang {
            Some(gang) if gang.created < gang.size => format!(
                "create the missing {} of {} members, or announce a smaller gang (annotation {}) on all of them",
                gang.size - gang.created,
                gang.size,
                weir_api::names::GANG_SIZE
            ),
            _ => "create the members that are missing".to_owned(),
        },
        Waiting::WaitingForPlacement => "no set of nodes takes it now: it goes when others on such nodes end; a wider \
             nodeSelector or affinity, smaller requests or another GPU model make it sooner"
            .to_owned(),
        Waiting::WaitingForPreemption => {
            "nothing: pods above their pool's entitlement are being evicted for it".to_owned()
        }
        Waiting::ExceedsEntitlement => format!(
            "it asks for more than {pool} is entitled to while others ask too: reserve more for {pool}, make it smaller, \
             or mark it preemptible so that it may go on loan"
        ),
        Waiting::ExceedsMaxQuota => "it can never be admitted as it is: make it smaller, or raise spec.resources[].limit or spec.maxWorkload of the \
             pool that the sentence names"
            .to_owned(),
        Waiting::ExceedsReservation => format!(
            "pods that are not preemptible may only use what is reserved: mark it preemptible (annotation {}: \"true\"), or \
             reserve more for {pool}",
            weir_api::names::PREEMPTIBLE
        ),
        Waiting::PoolNotFound => format!("create pool {pool}, or name another (kubectl weir pools)"),
        Waiting::PoolNotLeaf => format!("name one of the pools below {pool} (kubectl weir pools {pool})"),
        Waiting::PoolHeld => {
            "set spec.state of the pool that the sentence names to Active, or name another pool".to_owned()
        }
        Waiting::PoolNotAllowed => {
            format!("use a pool that takes this namespace, or change spec.namespaceSelector of {pool}")
        }
        Waiting::UnknownModel => {
            "correct the model in its nodeSelector, which needs a new pod; or add nodes that have it, \
             or an entry to the list of special hardware"
                .to_owned()
        }
        Waiting::UnknownResource => "correct the resource's name, which needs a new pod; or add nodes that have it".to_owned(),
        Waiting::Misconfigured => {
            "correct what the sentence names; labels and annotations of a waiting pod can be changed, \
             anything else needs a new pod"
                .to_owned()
        }
        Waiting::PlacementTimeout | Waiting::BackingOff => {
            "nothing until the time in the sentence is over; then it is tried \
             again. If its kind never finds a place, its selectors or requests are at fault"
                .to_owned()
        }
    }
}

/// The condition `weir.dev/Admitted` where it has this status.
fn admitted<'a>(facts: &'a Facts, status: &str) -> Option<&'a ConditionRow> {
    facts.conditions.iter().find(|condition| condition.type_ == ADMITTED && condition.status == status)
}
