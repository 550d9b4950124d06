//! The way a registration was granted over: how it is kept open, and how its end is noticed.

use std::net::SocketAddr;
use std::time::Instant;

use crate::api::AccountConfig;
use crate::flow::{Target, Transport};
use crate::token::Tokens;
use crate::udp_keepalive::{KeepaliveMode, Need, UdpKeepalive, UdpKeepaliveStep};

use super::grant::Grant;

/// What is known of a server's answers to OPTIONS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OptionsAnswers {
    /// Nothing yet.
    Unknown,
    /// The first one was not answered.
    Missing,
    /// It answered one: its silence means something.
    Given,
    /// It answers REGISTER and no OPTIONS.
    Ignored,
}

/// The flow of one registration.
#[derive(Debug)]
pub(crate) struct FlowState {
    keepalive: UdpKeepalive,
    options: OptionsAnswers,
    /// The server it leads to.
    server: Option<Target>,
    /// Our address as the registrar saw it last.
    seen: Option<SocketAddr>,
    /// That was another one before: calls have the old one in their dialogs.
    moved: bool,
    /// Flows are named by `reg-id` (RFC 5626), unless the first hop cannot do that.
    named: bool,
    /// The registrar sends calls along the flow, whatever the contact says.
    bound: bool,
}

impl FlowState {
    /// `named`: the phone has an instance id to name its flows with.
    pub(crate) fn new(named: bool) -> Self {
        Self {
            keepalive: UdpKeepalive::default(),
            options: OptionsAnswers::Unknown,
            server: None,
            seen: None,
            moved: false,
            named,
            bound: false,
        }
    }

    /// Whether `reg-id` names the flow.
    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// Whether the registrar sends calls along the flow.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    /// The server did not answer an OPTIONS. Whether that means anything.
    pub(crate) fn handle_silence(&mut self) -> bool {
        match self.options {
            OptionsAnswers::Unknown | OptionsAnswers::Missing => {
                self.options = OptionsAnswers::Missing;
                true
            }
            OptionsAnswers::Given => true,
            OptionsAnswers::Ignored => false,
        }
    }

    /// This server granted the registration.
    pub(crate) fn handle_server(&mut self, server: Option<Target>) {
        if self.server != server {
            self.server = server;
            self.options = OptionsAnswers::Unknown;
            // Routers may show another port to each server.
            self.seen = None;
        } else if self.options == OptionsAnswers::Missing {
            self.options = OptionsAnswers::Ignored;
        }
    }

    /// The first hop cannot name flows (439, RFC 5626 section 6). Whether that is news.
    pub(crate) fn handle_no_outbound(&mut self) -> bool {
        std::mem::replace(&mut self.named, false)
    }

    /// A registration was granted over it. `here`: our own address; `has_alternatives`: there are
    /// other servers to go to.
    pub(crate) fn handle_granted(
        &mut self,
        grant: &Grant,
        account: &AccountConfig,
        here: SocketAddr,
        has_alternatives: bool,
        tokens: &mut Tokens,
        now: Instant,
    ) {
        let seen_before = std::mem::replace(&mut self.seen, grant.seen);
        if let (Some(before), Some(seen)) = (seen_before, grant.seen) {
            // A phone that is not behind a router dials TCP from a new port each time.
            let by_port = account.transport == Transport::Udp || seen.ip() != here.ip();
            self.moved |= seen.ip() != before.ip() || by_port && seen != before;
        }
        self.bound = self.named && grant.binds_flow;
        let translated = grant.seen.is_some_and(|seen| seen != here);
        let need = match (account.transport, account.keepalive) {
            (Transport::Udp, KeepaliveMode::Always) => Need::Open(grant.flow_timer),
            (Transport::Udp, KeepaliveMode::Auto) if translated || self.bound => {
                Need::Open(grant.flow_timer)
            }
            (Transport::Udp, KeepaliveMode::Auto) if has_alternatives => Need::Watched,
            // Connections have a keepalive of their own.
            (Transport::Udp, KeepaliveMode::Auto | KeepaliveMode::Off)
            | (Transport::Tcp | Transport::Tls, _) => Need::Nothing,
        };
        self.keepalive.set(need, tokens, now);
    }

    /// The server answered an OPTIONS and sees us at this address. Whether that is another than
    /// before: the way back is not what it was.
    pub(crate) fn handle_seen(
        &mut self,
        seen: Option<SocketAddr>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> bool {
        self.options = OptionsAnswers::Given;
        let moved = seen.is_some() && self.seen.is_some() && seen != self.seen;
        if moved {
            self.keepalive.handle_moved(tokens, now);
        }
        moved
    }

    /// The phone is in another network.
    pub(crate) fn handle_other_network(&mut self) {
        self.keepalive.handle_other_network();
    }

    /// Whether the server sees us at another address than before, and did not at the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The way of another registration of this phone changed.
    pub(crate) fn handle_other_moved(&mut self, tokens: &mut Tokens, now: Instant) {
        self.keepalive.ask_soon(tokens, now);
    }

    /// When to call [`FlowState::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.keepalive.deadline()
    }

    /// What keepalive is due.
    pub(crate) fn handle_timeout(&mut self, tokens: &mut Tokens, now: Instant) -> UdpKeepaliveStep {
        self.keepalive.handle_timeout(tokens, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_to_options_means_something_until_it_is_the_servers_way() {
        let server = |port| {
            Some(Target {
                transport: Transport::Udp,
                address: ([192, 0, 2, 1], port).into(),
            })
        };
        let mut flow = FlowState::new(true);
        flow.handle_server(server(1));
        assert!(flow.handle_silence(), "it may have died at once");
        // It answers REGISTER: it ignores OPTIONS.
        flow.handle_server(server(1));
        assert!(!flow.handle_silence());
        // Another one may answer them.
        flow.handle_server(server(2));
        flow.handle_seen(None, &mut Tokens::new([1; 32]), crate::timer::epoch());
        assert!(flow.handle_silence());
        flow.handle_server(server(2));
        assert!(flow.handle_silence(), "one was lost");
    }
}
