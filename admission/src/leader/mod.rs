//! What the leader does: term after term, as long as this replica holds the lease.
//!
//! ```text
//!   watches ──▶ events ──▶ WatchState ──▶ Queue::step ──▶ apply ──▶ requests ──▶ API server
//!                 │                                        ▲  │         │
//!                 └──▶ RoundRecord, Conditions, Evictions, Status ◀──────┘
//! ```
//!
//! | part | does |
//! |---|---|
//! | [`term`], [`context`] | the state of one term and its loop, and what it starts from |
//! | [`events`], [`pod_event`] | what the watches bring, passed on to each owner of a part of the state |
//! | [`apply`], [`requests`] | what each owner says is due is sent, and what came of it goes back |
//! | [`watch_state`], [`resync`] | the cluster as this leader knows it, and why it has to be listed again |
//! | [`round_record`], [`recorded`], [`gates`] | what is about to be done is recorded before it is done |
//! | [`conditions`] | conditions of pods, and the events beside them |
//! | [`eviction`] | evictions, step by step |
//! | [`status`] | the status of pools and gangs, and metrics |
//! | [`decision`], [`entitlement_document`] | what an admission and a round were decided on |

mod apply;
mod conditions;
mod context;
pub mod decision;
mod entitlement_document;
mod events;
mod eviction;
#[cfg(test)]
mod fixture;
mod gates;
mod pod_event;
mod recorded;
mod requests;
mod resync;
mod round_record;
mod status;
mod term;
mod watch_state;

pub use conditions::EventQueue;
pub use context::LeaderContext;

use std::time::Duration;

use tokio::sync::watch;

use self::term::{Term, TermEnd};

/// How long to wait after a term that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Leads, term after term, as long as this replica holds the lease.
pub async fn lead(context: &LeaderContext, leads: &mut watch::Receiver<bool>) {
    while *leads.borrow_and_update() {
        match Term::begin(context).await {
            Ok(mut term) => match term.run(leads).await {
                Ok(TermEnd::Resync(reason)) => {
                    context.metrics.term_ended("Resync");
                    context.metrics.resync(reason.as_str());
                    tracing::info!(%reason, "resyncing");
                }
                Ok(TermEnd::LostLeadership) => {
                    context.metrics.term_ended("LostLeadership");
                    tracing::info!("stopped leading: the lease is lost");
                }
                Err(error) => {
                    context.metrics.term_ended("Conflict");
                    tracing::warn!(error = format!("{error:#}"), "stopped leading: the term failed; retrying");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot start leading; retrying");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
