//! Stands between the API server and the webhook and notes how long each answer takes.
//!
//! It copies what it cannot read: the API server speaks HTTP/1.1 with its webhooks, one request at a time on each
//! connection, so a request begins with the first byte that comes from the API server after an answer and ends with
//! the last byte of the next answer. That is the webhook's time as it is seen in front of it: the network, its
//! TLS, its queue, its work. What the API server takes before and after is its own.
//!
//! The first exchange of a connection is the handshake and is left out. Each direction has a thread that does
//! nothing else, so that the relay itself adds as little as it can.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// A relay that listens.
pub(crate) struct Relay {
    listener: TcpListener,
    port: u16,
}

/// What was noted on all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Connection>>>);

/// One connection.
#[derive(Debug, Default)]
struct Connection {
    /// When the request that is under way began, and when the last piece of its answer came.
    began: Option<Instant>,
    answered: Option<Instant>,
    /// How long each took that is over; the first is the handshake.
    over: Vec<Duration>,
}

impl Relay {
    /// Listens on a free port of the loopback address.
    pub(crate) fn listen() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen for the relay")?;
        let port = listener.local_addr().context("find the relay's port")?.port();
        Ok(Self { listener, port })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Passes all that comes to this port on, until the program ends.
    pub(crate) fn pass_on_to(self, port: u16) -> Notes {
        let notes = Notes::default();
        let all = notes.clone();
        thread::spawn(move || {
            for accepted in self.listener.incoming() {
                if let Err(error) = accepted.context("accept").and_then(|from| relay(from, port, &all)) {
                    eprintln!("the relay lost a connection: {error:#}");
                }
            }
        });
        notes
    }
}

fn relay(from: TcpStream, port: u16, notes: &Notes) -> Result<()> {
    let to = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).context("connect to the webhook")?;
    let at = notes.with(|connections| {
        connections.push(Connection::default());
        connections.len() - 1
    });
    for stream in [&from, &to] {
        stream.set_nodelay(true).context("send at once")?;
    }
    let (back, forth) = ((to.try_clone()?, from.try_clone()?), (from, to));
    let (asked, answered) = (notes.clone(), notes.clone());
    thread::spawn(move || copy(forth.0, forth.1, |now| asked.with(|all| all[at].asked(now))));
    thread::spawn(move || copy(back.0, back.1, |now| answered.with(|all| all[at].answered = Some(now))));
    Ok(())
}

/// Copies until one side ends, and tells of each piece before it is passed on.
fn copy(mut from: TcpStream, mut to: TcpStream, note: impl Fn(Instant)) {
    let mut piece = [0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        note(Instant::now());
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

impl Connection {
    /// A piece of a request: the first after an answer begins another one.
    fn asked(&mut self, now: Instant) {
        self.finish();
        self.began.get_or_insert(now);
    }

    fn finish(&mut self) {
        if let (Some(began), Some(answered)) = (self.began, self.answered) {
            self.over.push(answered - began);
            (self.began, self.answered) = (None, None);
        }
    }
}

impl Notes {
    /// How long each answer took, and over how many connections they came.
    pub(crate) fn taken(&self) -> (Vec<Duration>, usize) {
        self.with(|connections| {
            connections.iter_mut().for_each(Connection::finish);
            let answers = connections.iter().flat_map(|connection| connection.over.iter().skip(1).copied());
            (answers.collect(), connections.len())
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Connection>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_last_piece_and_the_handshake_is_none() {
        let (mut connection, start) = (Connection::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut exchange = |asked: &[u64], answered: &[u64]| {
            asked.iter().for_each(|&moment| connection.asked(at(moment)));
            answered.iter().for_each(|&moment| connection.answered = Some(at(moment)));
        };
        exchange(&[0], &[5]);
        exchange(&[10, 11], &[17, 18]);
        exchange(&[40], &[43]);
        let notes = Notes(Arc::new(Mutex::new(vec![connection])));
        assert_eq!(notes.taken(), (vec![Duration::from_millis(8), Duration::from_millis(3)], 1));
    }
}
