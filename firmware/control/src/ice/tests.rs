//! Two ends, the NATs between them, a STUN and a TURN server, in virtual time.

mod against_is;
mod checks;
mod hostile;
mod network;

use std::net::SocketAddr;
use std::time::Duration;

use super::turn::TurnServer;
use super::*;
use crate::stun::Message;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
