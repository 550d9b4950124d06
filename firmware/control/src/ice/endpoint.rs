//! One stream: its gathering, its TURN clients and its checks, and what passes between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use media::{PacketKind, Relay, Relays, StreamId};
use sip::ice::{ChosenPath, IceCredentials};

use super::agent::{Agent, AgentEvent};
use super::gather::Gatherer;
use super::turn::TurnClient;
use super::{Event, Path, Via};
use crate::stun::Message;
use crate::transmit::Transmit;

/// One stream.
pub(super) struct Endpoint {
    pub(super) stream: StreamId,
    pub(super) gatherer: Gatherer,
    pub(super) gathered_reported: bool,
    pub(super) credentials: IceCredentials,
    pub(super) agent: Option<Agent>,
    pub(super) muxed: bool,
    /// The path before a restart, until there is another.
    pub(super) before: Option<Path>,
    /// What the owner knows.
    pub(super) reported: Path,
    /// What the owner knows of the way that was chosen for good.
    pub(super) chosen: Option<ChosenPath>,
    /// There was a path in this call: it goes by checked ones only from then on.
    pub(super) had_path: bool,
    /// Since when there is none, where there was one.
    pub(super) lost: Option<Instant>,
    pub(super) events: VecDeque<Event>,
    pub(super) outgoing: VecDeque<Transmit>,
}

impl Endpoint {
    pub(super) fn path(&self) -> Path {
        let Some(agent) = &self.agent else {
            return Path::default();
        };
        let mut relays = Relays::default();
        let mut of = |socket: PacketKind| {
            let (via, to) = agent.path(socket)?;
            if via == Via::Relay {
                let turn = match socket {
                    PacketKind::Rtp => self.gatherer.turn[0].as_ref(),
                    PacketKind::Rtcp => self.gatherer.turn[1].as_ref(),
                }?;
                // Until the server has the channel there is no way for media.
                let relay = Some(Relay {
                    server: turn.server(),
                    channel: turn.channel(to)?,
                });
                match socket {
                    PacketKind::Rtp => relays.rtp = relay,
                    PacketKind::Rtcp => relays.rtcp = relay,
                }
            }
            Some(to)
        };
        let rtp = of(PacketKind::Rtp);
        let rtcp = if self.muxed {
            rtp
        } else {
            of(PacketKind::Rtcp)
        };
        match self.before {
            Some(before) if rtp.is_none() => before,
            Some(_) | None => Path { rtp, rtcp, relays },
        }
    }

    /// One datagram, by whichever way it came; returns what is for others.
    pub(super) fn handle(
        &mut self,
        socket: PacketKind,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Option<Vec<u8>> {
        let turn = match socket {
            PacketKind::Rtp => &mut self.gatherer.turn[0],
            PacketKind::Rtcp => &mut self.gatherer.turn[1],
        };
        if let Some(client) = turn.as_mut().filter(|turn| turn.server() == from) {
            let inner = if bytes.first().is_some_and(|first| (64..80).contains(first)) {
                client.unwrap_channel(bytes)
            } else {
                let message = Message::parse(bytes)?;
                // The same server may be asked for our address, too.
                if self.gatherer.handle_message(&message, socket, from, now) {
                    return None;
                }
                let turn = match socket {
                    PacketKind::Rtp => &mut self.gatherer.turn[0],
                    PacketKind::Rtcp => &mut self.gatherer.turn[1],
                };
                let inner = turn.as_mut()?.handle_message(&message, now);
                self.gatherer.finish(now);
                inner
            };
            let (peer, inner) = inner?;
            return self.handle_inner(socket, (Via::Relay, peer), inner, now);
        }
        if let Some(message) = Message::parse(bytes)
            && self.gatherer.handle_message(&message, socket, from, now)
        {
            return None;
        }
        self.handle_inner(socket, (Via::Direct, from), bytes, now)
    }

    fn handle_inner(
        &mut self,
        socket: PacketKind,
        (via, from): (Via, SocketAddr),
        bytes: &[u8],
        now: Instant,
    ) -> Option<Vec<u8>> {
        let agent = self.agent.as_mut()?;
        if let Some(message) = Message::parse(bytes) {
            agent.handle_message(&message, (socket, via, from), now);
            return None;
        }
        (matches!(bytes.first(), Some(20..=63)) && agent.knows((socket, via, from)))
            .then(|| bytes.to_vec())
    }

    /// Carries on what the parts have: requests to servers, checks, events.
    pub(super) fn collect(&mut self, now: Instant) {
        let stream = self.stream;
        let transmit = |socket, to, bytes| Transmit {
            stream,
            socket,
            to,
            bytes,
        };
        while let Some((socket, to, bytes)) = self.gatherer.poll_question(now) {
            self.outgoing.push_back(transmit(socket, to, bytes));
        }
        if self.gatherer.is_done() && !std::mem::replace(&mut self.gathered_reported, true) {
            self.events.push_back(Event::Gathered(stream));
        }
        if self.gatherer.take_remapped(now) {
            self.events.push_back(Event::Remapped(stream));
        }
        if let Some(agent) = &mut self.agent {
            while let Some(outgoing) = agent.poll_outgoing() {
                let turn = match outgoing.component {
                    PacketKind::Rtp => &mut self.gatherer.turn[0],
                    PacketKind::Rtcp => &mut self.gatherer.turn[1],
                };
                let (to, bytes) = match (outgoing.via, turn) {
                    (Via::Direct, _) => (outgoing.to, outgoing.bytes),
                    (Via::Relay, Some(turn)) => {
                        turn.permit(outgoing.to.ip(), now);
                        (turn.server(), turn.wrap(outgoing.to, &outgoing.bytes))
                    }
                    (Via::Relay, None) => continue,
                };
                self.outgoing
                    .push_back(transmit(outgoing.component, to, bytes));
            }
            while let Some(event) = agent.poll_event() {
                match event {
                    AgentEvent::Moved => {}
                    // A restart that came to nothing: without consent nothing may be sent.
                    AgentEvent::Failed if self.had_path => self.before = None,
                    AgentEvent::Failed => self.events.push_back(Event::Failed(stream)),
                    AgentEvent::ConsentLost => {
                        self.before = None;
                        self.events.push_back(Event::ConsentLost(stream));
                    }
                }
            }
            for socket in [PacketKind::Rtp, PacketKind::Rtcp] {
                let turn = match socket {
                    PacketKind::Rtp => &mut self.gatherer.turn[0],
                    PacketKind::Rtcp => &mut self.gatherer.turn[1],
                };
                if let (Some((Via::Relay, to)), Some(turn)) = (agent.path(socket), turn) {
                    turn.bind(to, now);
                }
            }
        }
        for (socket, client) in [PacketKind::Rtp, PacketKind::Rtcp]
            .into_iter()
            .zip(&mut self.gatherer.turn)
        {
            let Some(client) = client else { continue };
            while let Some(bytes) = client.poll_outgoing() {
                let to = client.server();
                self.outgoing.push_back(transmit(socket, to, bytes));
            }
        }
        let chosen = self.chosen();
        if chosen.is_some() && chosen != self.chosen {
            self.events.push_back(Event::Chosen(stream));
        }
        self.chosen = chosen;
        let path = self.path();
        if path.rtp.is_some()
            && self
                .agent
                .as_ref()
                .is_some_and(|a| a.path(PacketKind::Rtp).is_some())
        {
            self.before = None;
        }
        if path != self.reported {
            self.had_path |= path.rtp.is_some();
            let lost = self.reported.rtp.is_some() && path.rtp.is_none();
            self.lost = lost
                .then_some(now)
                .or(self.lost.filter(|_| path.rtp.is_none()));
            self.reported = path;
            self.events.push_back(Event::Moved(stream));
        }
    }
}

/// Gives an allocation back.
pub(super) fn release(
    stream: StreamId,
    socket: PacketKind,
    client: Option<TurnClient>,
    outgoing: &mut VecDeque<Transmit>,
    now: Instant,
) {
    let Some(client) = client else { return };
    let to = client.server();
    outgoing.extend(client.close(now).map(|bytes| Transmit {
        stream,
        socket,
        to,
        bytes,
    }));
}
