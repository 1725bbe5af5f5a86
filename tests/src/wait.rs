//! Waiting: each wait has an event that ends it, a deadline, and a sentence for when the event does not come.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::wait::Condition;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a test waits for one event.
///
/// Generous, because it decides nothing but how long a failure takes: a machine with ten other things to do is slow,
/// and no test fails for that.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Returns what `event` brings.
///
/// # Errors
/// When it does not come in time; the error says until `what` was waited, and what was `seen` instead.
pub async fn until<T>(what: impl Display, event: impl Future<Output = T>, seen: impl FnOnce() -> String) -> Result<T> {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(brought) => Ok(brought),
        Err(_) => bail!("waited {} s in vain until {what}; seen instead:\n{}", PATIENCE.as_secs(), seen()),
    }
}

/// Watches one object and returns once `holds` does; `what` completes "waited until …".
///
/// # Errors
/// When it does not hold in time; the error has the object as it was last.
pub async fn until_object<K>(api: &Api<K>, name: &str, what: &str, holds: impl Condition<K>) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let mut last = None;
    let watched = async {
        // What the watch cannot bring now it brings later, or the time is over.
        let mut states = pin!(watch_object(api.clone(), name).default_backoff());
        while let Some(state) = states.next().await {
            if let Ok(state) = state {
                if holds.matches_object(state.as_ref()) {
                    return true;
                }
                last = state;
            }
        }
        false
    };
    let done = tokio::time::timeout(PATIENCE, watched).await;
    if done == Ok(true) {
        return Ok(());
    }
    let seen = last.map_or_else(|| "nothing".to_owned(), |object| serde_json::json!(object).to_string());
    bail!("waited {} s in vain until {what}; seen of {name} instead: {seen}", PATIENCE.as_secs())
}
