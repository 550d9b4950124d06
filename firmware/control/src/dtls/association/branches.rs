//! Where the branches of a call that is not established say they are: what comes from there is of
//! that branch, whichever one is agreed on.

use std::net::SocketAddr;

use super::{Agreement, plain};

/// Most addresses kept.
const MAX_BRANCHES: usize = 8;

/// Announced addresses, the newest last.
#[derive(Debug, Default)]
pub(super) struct Branches(Vec<SocketAddr>);

impl Branches {
    /// A branch announces this address.
    pub(super) fn remember(&mut self, announced: SocketAddr) {
        let announced = plain(announced);
        self.0.retain(|branch| *branch != announced);
        if self.0.len() >= MAX_BRANCHES {
            self.0.remove(0);
        }
        self.0.push(announced);
    }

    /// Whether one of them announced this address.
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.0.contains(&plain(address))
    }

    /// Whether an address is that of another branch than the one that is agreed on.
    pub(super) fn is_of_another(&self, address: SocketAddr, agreed: &Agreement) -> bool {
        plain(address) != plain(agreed.announced) && self.contains(address)
    }
}
