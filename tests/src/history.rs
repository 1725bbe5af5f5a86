//! Everything that the API server's watches told of a world, in the order in which it happened, and waiting for them
//! to tell something.
//!
//! Each kind has a watch of its own, and the watches have no common order. All objects of one store share one counter
//! of revisions, though, and by that the whole can be put in order afterwards ([`Record::in_order`]).
//!
//! A watch that breaks and goes on where it broke misses nothing. One that has to list anew may: what came and went
//! in between is never told. That is noted ([`Record::gap`]), and nothing is judged by a history with a gap.

mod event;
mod record;

use anyhow::{Context as _, Result};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_local::every_state;

pub use event::WatchEvent;
pub use record::{NamespacedName, Record, View};

/// The watches of a world, from before anything happens there.
#[derive(Debug)]
pub struct History {
    record: watch::Receiver<Record>,
    feed: JoinHandle<()>,
}

impl History {
    /// Begins to watch, and returns when it is known what was there before.
    ///
    /// # Errors
    /// When the watches end before.
    pub async fn begin(client: &Client) -> Result<Self> {
        let watches = [
            watch(client, WatchEvent::Node, WatchEvent::NodeGone),
            watch(client, WatchEvent::Pod, WatchEvent::PodGone),
            watch(client, WatchEvent::Pool, WatchEvent::PoolGone),
            watch(client, WatchEvent::Gang, WatchEvent::GangGone),
            watch(client, WatchEvent::Round, WatchEvent::RoundGone),
            watch(client, WatchEvent::Event, WatchEvent::EventGone),
        ];
        let kinds = watches.len();
        let mut all = stream::select_all(watches);
        let (tell, mut record) = watch::channel(Record::default());
        let feed = tokio::spawn(async move {
            while let Some(told) = all.next().await {
                tell.send_modify(|record| match told {
                    Told::Changed(event) => record.take(event),
                    Told::Begins(kind) => record.begins(kind),
                    Told::Begun(kind) => record.begun(kind),
                });
            }
        });
        record.wait_for(|record| record.known_kinds() == kinds).await.context("watch the world")?;
        Ok(Self { record, feed })
    }

    /// Returns what `find` finds, as soon as it finds something.
    ///
    /// # Errors
    /// When the watches end before.
    pub async fn until<T>(&self, mut find: impl FnMut(&Record) -> Option<T>) -> Result<T> {
        let mut found = None;
        let mut record = self.record.clone();
        let watched = record.wait_for(|record| {
            found = find(record);
            found.is_some()
        });
        watched.await.context("the watches ended")?;
        found.context("the watches ended")
    }

    /// What `look` makes of all that was told until now.
    pub fn now<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record.borrow())
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

/// What a watch tells.
enum Told {
    Changed(WatchEvent),
    /// A list of this kind begins.
    Begins(&'static str),
    /// All that was there of this kind is told.
    Begun(&'static str),
}

/// A watch over all objects of a kind.
fn watch<K>(client: &Client, seen: fn(Box<K>) -> WatchEvent, gone: fn(Box<K>) -> WatchEvent) -> BoxStream<'static, Told>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let kind = std::any::type_name::<K>();
    let events = watcher(Api::<K>::all(client.clone()), every_state()).default_backoff();
    let told = events.map_ok(move |event| match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => Told::Changed(seen(Box::new(object))),
        watcher::Event::Delete(object) => Told::Changed(gone(Box::new(object))),
        watcher::Event::Init => Told::Begins(kind),
        watcher::Event::InitDone => Told::Begun(kind),
    });
    // Errors are the watcher's own to mend; a list that follows from one is told as such.
    told.filter_map(|told| std::future::ready(told.ok())).boxed()
}
