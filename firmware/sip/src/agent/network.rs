//! What the owner reports of the network: addresses, changes and its loss.

use std::time::Instant;

use crate::local_addresses::LocalAddresses;

use super::UserAgent;

impl UserAgent {
    /// Our own addresses, as they are now.
    pub fn local_addresses(&self) -> &LocalAddresses {
        &self.env.addresses
    }

    /// The phone's own addresses changed (link up, DHCP, roaming): accounts register again, calls
    /// are re-invited.
    pub fn handle_local_addresses(&mut self, addresses: LocalAddresses, now: Instant) {
        self.on_local_addresses(addresses, now);
        self.finish_turn(now);
    }

    /// There is a network again or another one (link up, another route or name server): all
    /// accounts register now.
    pub fn handle_network_change(&mut self, now: Instant) {
        if !self.shutting_down {
            self.on_network_change(now);
        }
        self.finish_turn(now);
    }

    /// There is no network; `reason` says why, in words a person can act on ("the cable is out").
    /// [`UserAgent::handle_network_change`] or [`UserAgent::handle_local_addresses`] ends that.
    pub fn handle_network_lost(&mut self, reason: &str, now: Instant) {
        self.on_network_lost(reason, now);
        self.finish_turn(now);
    }
}
