//! Free ports without a race: the port stays bound, with `SO_REUSEPORT` and without listening, until the
//! server that was told its number has bound it too.
//!
//! Binding port 0, closing it and reusing its number races with a second cluster that starts at the same
//! moment. Kubernetes' servers can share a port (`--permit-port-sharing`). The kernel never assigns a port that
//! is bound this way to a process that asks for any port, and hands connections only to the socket that listens.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

/// Which port of the loopback address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// Any that is free.
    #[default]
    Free,
    /// This one, or an error.
    Fixed(u16),
}

/// A port of the loopback address that no other process gets as long as this value lives.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _held: TcpSocket,
}

impl ReservedPort {
    /// Reserves a port for `server`, which the error names.
    ///
    /// # Errors
    /// When the port is in use.
    pub fn reserve(port: Port, server: &str) -> Result<Self> {
        let asked = match port {
            Port::Free => 0,
            Port::Fixed(number) => number,
        };
        let socket = TcpSocket::new_v4().context("open a socket")?;
        socket.set_reuseport(true).context("share a port")?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, asked))).with_context(|| {
            format!("{server}: port {asked} of 127.0.0.1 cannot be had; choose another, or none to get a free one")
        })?;
        let number = socket.local_addr().context("read the port's number")?.port();
        Ok(Self { number, _held: socket })
    }

    /// The port's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_reservations_never_share_a_port() {
        let ports: Vec<_> = (0..50).map(|_| ReservedPort::reserve(Port::Free, "test").unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(ReservedPort::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_it() {
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        let error = ReservedPort::reserve(Port::Fixed(number), "kube-apiserver").unwrap_err();
        assert!(error.to_string().contains(&format!("kube-apiserver: port {number} of 127.0.0.1 cannot be had")));
    }
}
