//! Calls behind NAT: their addresses are asked for before they are named, and checks find the way
//! of their packets.
//!
//! ```text
//! sockets open ─▶ ice::IceEndpoints ─▶ Gathered ─▶ the call goes on
//! agree ─▶ ice::IceEndpoints ─▶ Moved ─▶ Command::Redirect      ConsentLost ─▶ other addresses ─▶ re-INVITE
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use media::{Command, PacketKind, StreamConfig, StreamId};
use phone::CallId;
use sip::media_security::Protection;
use sip::offer_answer::{LocalMedia, Negotiated};

use super::media_sockets::AwaitingSockets;
use super::{Control, Output, call_span};
use crate::ice::{self, Wanted};
use crate::note::Note;
use crate::transmit::Transmit;

/// Not an address: nothing is sent there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
/// The far end of a handshake whose datagrams go by whichever way checks find: an address that
/// no one has (RFC 7600).
pub(super) const CHECKED_PEER: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 0, 8)), 1);

/// Where a stream's packets go, and from where else they may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct FarAddresses {
    pub(super) path: (SocketAddr, SocketAddr),
    pub(super) relays: media::Relays,
    /// The address was not proven: see [`StreamConfig::latching`].
    pub(super) latching: bool,
}

impl Control {
    /// A datagram came on a stream's socket that is no media: DTLS, STUN, or something that a TURN
    /// server passes on (RFC 7983).
    pub fn handle_non_media(
        &mut self,
        stream: StreamId,
        socket: PacketKind,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) {
        let is_dtls = matches!(bytes.first(), Some(20..=63));
        if is_dtls && !self.ice.is_active(stream) {
            self.dtls.handle_datagram(stream, socket, from, bytes, now);
        } else if let Some(inner) = self.ice.handle_datagram(stream, socket, from, bytes, now) {
            let from = CHECKED_PEER;
            self.dtls.handle_datagram(stream, socket, from, &inner, now);
        }
        self.drain(now);
    }

    /// Asks for the addresses of the STUN and TURN servers, where it is time.
    pub(super) fn look_up_servers(&mut self, now: Instant) {
        while let Some(lookup) = self.servers.poll_lookup(now) {
            self.outbox.push(Output::Lookup(lookup));
        }
        while let Some(link) = self.servers.poll_link() {
            self.outbox.push(Output::TurnLink(link));
        }
    }

    /// The answer to [`Output::TurnLink`]: the address on this machine that leads to the server.
    pub fn handle_turn_link(&mut self, id: usize, local: Option<SocketAddr>) {
        self.servers.handle_link(id, local);
    }

    /// What leaves by media sockets and is no media.
    pub(super) fn poll_datagram(&mut self) -> Option<Transmit> {
        while let Some(mut datagram) = self.dtls.poll_transmit() {
            // Without a way it is lost, as on any network: it is sent again.
            if datagram.to != CHECKED_PEER || self.ice.send_by_path(&mut datagram) {
                return Some(datagram);
            }
        }
        self.ice.poll_transmit()
    }

    /// Asks which addresses a stream's sockets have, where that matters for its call. Whether they
    /// are known at once.
    pub(super) fn gather(
        &mut self,
        awaiting: &AwaitingSockets,
        stream: StreamId,
        sockets: [SocketAddr; 2],
        now: Instant,
    ) -> bool {
        let (account, offered) = self.account_and_offer(awaiting);
        let known = if let Some(wanted) = self.wanted(account, offered) {
            self.ice.open(stream, sockets, wanted, now)
        } else {
            // They were asked for by another account.
            self.close_ice(stream, now);
            true
        };
        if !known && matches!(awaiting, AwaitingSockets::Place { to, .. } if to.emergency) {
            self.ice.hurry(stream, now);
        }
        known
    }

    /// A number is being dialled: what its sockets are outside is asked for the account that it
    /// will go by, unless it says otherwise.
    pub(super) fn gather_ahead(
        &mut self,
        stream: StreamId,
        sockets: [SocketAddr; 2],
        now: Instant,
    ) {
        let account = self.phone.next_account().map(|account| account.0);
        let wanted = self.wanted(account, false);
        if let Some(wanted) = wanted.filter(|w| !w.stun.is_empty() || w.turn.is_some()) {
            self.ice.open(stream, sockets, wanted, now);
        }
    }

    /// By which account a call goes, and whether an offer with ICE came for it.
    fn account_and_offer(&mut self, awaiting: &AwaitingSockets) -> (Option<usize>, bool) {
        match awaiting {
            AwaitingSockets::Place { to, .. } => {
                let own = || Some(self.agent.account_of_address(&to.address)?.0);
                (to.account.map(|account| account.0).or_else(own), false)
            }
            AwaitingSockets::Follow { old: call, .. } => {
                let record = self.calls.alive(*call);
                (record.and_then(|record| record.account), false)
            }
            AwaitingSockets::Answer { call }
            | AwaitingSockets::EarlyMedia { call }
            | AwaitingSockets::Prepare { call } => {
                let record = self.calls.alive(*call);
                record.map_or((None, false), |record| (record.account, record.offers_ice))
            }
        }
    }

    /// What is to be found out for a call; `None`: nothing.
    fn wanted(&self, account: Option<usize>, ice_came: bool) -> Option<Wanted> {
        let account = account.and_then(|account| self.config.accounts.get(account));
        let ice = self.ice_setting(account);
        let with_ice = ice == Some(true) || ice_came && ice.is_none();
        let stun = self.servers.stun(&self.config, account);
        if !with_ice && stun.is_empty() {
            return None;
        }
        let addresses = self.agent.local_addresses();
        Some(Wanted {
            hosts: addresses.hosts(),
            external: account
                .and_then(|account| account.external_address)
                .or(addresses.external()),
            stun,
            turn: self
                .servers
                .turn(&self.config, account)
                .filter(|_| with_ice),
        })
    }

    /// A call rings: what its answer will say of addresses is found out meanwhile, so that lifting
    /// the handset does not wait for a server. Strangers make no one be asked.
    pub(super) fn prepare_answer(&mut self, call: CallId, now: Instant) {
        let record = self.calls.alive(call);
        let Some((account, offers_ice)) = record.and_then(|r| Some((r.account?, r.offers_ice)))
        else {
            return;
        };
        let wanted = self.wanted(Some(account), offers_ice);
        if wanted.is_some_and(|wanted| !wanted.stun.is_empty() || wanted.turn.is_some()) {
            self.open_media(AwaitingSockets::Prepare { call }, now);
        }
    }

    fn ice_setting(&self, account: Option<&config::schema::Account>) -> Option<bool> {
        let own = account.and_then(|account| account.ice);
        own.or(self.config.network.ice)
    }

    /// Puts what was found out into what will be offered or answered. `outside`: the far end, or
    /// its server, is beyond our router.
    pub(super) fn apply_addresses(
        &mut self,
        account: Option<usize>,
        stream: StreamId,
        outside: bool,
        media: &mut LocalMedia,
        now: Instant,
    ) {
        let account = account.and_then(|account| self.config.accounts.get(account));
        let (ice, external) = (
            self.ice_setting(account),
            account.and_then(|account| account.external_address),
        );
        if let Some((rtp, rtcp)) = self.ice.default_addresses(stream, outside) {
            (media.rtp, media.rtcp) = (rtp, rtcp);
            media.owner_moves = true;
            if ice != Some(false) {
                media.ice = self.ice.local(stream, ice == Some(true), now);
            }
        }
        // An account with an address of its own says so to everybody.
        if let Some(external) = external {
            if media.ice.is_none() {
                media.rtp = SocketAddr::new(external, media.rtp.port());
                media.rtcp = SocketAddr::new(external, media.rtcp.port());
            }
            media.owner_moves = true;
        }
    }

    /// Whether the far end of a call to be placed, or its server, is beyond our router.
    pub(super) fn is_outside(&self, account: Option<usize>, address: &str) -> bool {
        if let Some(account) = account {
            let (server, _) = self.agent.account_servers(sip::AccountId(account));
            return server.is_none_or(|server| sip::is_public(server.address.ip().to_canonical()));
        }
        let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
        let host = host
            .trim_start_matches("sip:")
            .split([';', '>', '?'])
            .next();
        let host = host.unwrap_or_default();
        let bare = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next(),
            None => host.split(':').next(),
        };
        let bare = bare.unwrap_or_default();
        // A name of mDNS (RFC 6762) is of this network.
        let top = bare.trim_end_matches('.').rsplit('.').next();
        let is_local = top.is_some_and(|top| top.eq_ignore_ascii_case("local"));
        let address = bare.parse::<IpAddr>();
        address.map_or(!is_local, |ip| sip::is_public(ip.to_canonical()))
    }

    /// The same of a call that stands or rings.
    pub(super) fn comes_from_outside(&self, sip: sip::CallHandle) -> bool {
        self.agent.last_hop(sip).is_none_or(sip::is_public)
    }

    /// Tells the checks of a call what signalling agreed on.
    pub(super) fn agree_ice(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (Some(stream), Some(agreed)) = (record.stream, record.media.as_ref()) else {
            return;
        };
        let is_final =
            record.direction == crate::event::CallDirection::In || record.setup.is_some();
        match &agreed.ice {
            Some(ice) => self.ice.agree(stream, Some(ice), agreed.rtcp_mux, now),
            // Another answer may still come, from another fork.
            None if !is_final => {}
            None => self.ice.agree(stream, None, false, now),
        }
    }

    /// Shows the far end of an established call which way was chosen, where its description
    /// names another.
    pub(super) fn confirm_path(&mut self, call: CallId, now: Instant) {
        let record = self.calls.alive(call).filter(|call| call.is_established());
        let Some((sip, Some(stream))) = record.map(|record| (record.sip, record.stream)) else {
            return;
        };
        if let Some(path) = self.ice.chosen_path(stream) {
            self.agent.confirm_path(sip, path, now);
        }
    }

    /// Where the packets of a call go.
    pub(super) fn far_addresses(&self, stream: StreamId, agreed: &Negotiated) -> FarAddresses {
        let mut calls = self.calls.iter();
        let record = calls.find(|record| record.stream == Some(stream));
        let checked = agreed.ice.is_some() && !record.is_some_and(|record| record.ice_failed);
        if !checked {
            return FarAddresses {
                path: self.remote_addresses(stream, agreed),
                relays: media::Relays::default(),
                latching: !matches!(agreed.protection, Protection::Dtls { .. }),
            };
        }
        let path = self.ice.path(stream);
        let rtcp = match &agreed.protection {
            // It would need keys of its own.
            Protection::Dtls { .. } if !agreed.rtcp_mux => None,
            Protection::Dtls { .. } | Protection::Sdes { .. } | Protection::Clear => path.rtcp,
        };
        FarAddresses {
            path: (path.rtp.unwrap_or(NOWHERE), rtcp.unwrap_or(NOWHERE)),
            relays: path.relays,
            // Only an address that answered a check, signed with a password of this call.
            latching: false,
        }
    }

    /// Puts where packets go into what the engine gets.
    pub(super) fn apply_far_addresses(&self, config: &mut StreamConfig, agreed: &Negotiated) {
        let far = self.far_addresses(config.id, agreed);
        (config.remote_rtp, config.remote_rtcp) = far.path;
        config.relays = far.relays;
        config.latching = far.latching;
    }

    /// Tells the engine where a running stream's packets go now.
    pub(super) fn redirect_stream(&mut self, call: CallId) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (Some(id), Some(agreed)) = (record.stream, record.media.clone()) else {
            return;
        };
        let (signalling, runs) = (record.signalling, record.in_engine > 0);
        if runs {
            let far = self.far_addresses(id, &agreed);
            self.outbox.media(Command::Redirect {
                id,
                remote_rtp: far.path.0,
                remote_rtcp: far.path.1,
                relays: far.relays,
                signalling,
                direction: agreed.direction,
            });
        }
    }

    pub(super) fn on_ice_event(&mut self, event: ice::Event, now: Instant) {
        let (ice::Event::Gathered(stream)
        | ice::Event::Remapped(stream)
        | ice::Event::Chosen(stream)
        | ice::Event::Moved(stream)
        | ice::Event::Failed(stream)
        | ice::Event::ConsentLost(stream)
        | ice::Event::Gone(stream)) = event;
        if let ice::Event::Gathered(_) = event
            && self.on_gathered(stream, now)
        {
            return;
        }
        let Some(record) = self.calls.by_stream(stream).filter(|call| !call.is_ended()) else {
            return;
        };
        let (call, sip) = (record.id, record.sip);
        let _span = call_span(call);
        match event {
            ice::Event::Gathered(_) => self.move_media(call, now),
            ice::Event::Remapped(_) if record.is_established() => {
                tracing::info!("call {}: a router gave its sound another address", call.0);
                self.move_media(call, now);
            }
            ice::Event::Chosen(_) => self.confirm_path(call, now),
            // What was offered cannot be changed before there is an answer.
            ice::Event::Remapped(_) => {}
            ice::Event::Moved(_) => {
                let path = self.ice.path(stream);
                if let Some(rtp) = path.rtp {
                    tracing::info!("call {}: media goes to {rtp}", call.0);
                } else {
                    tracing::info!("call {}: there is no way for media", call.0);
                }
                self.agree_dtls(call, now);
                self.redirect_stream(call);
            }
            ice::Event::Failed(_) => {
                record.ice_failed = true;
                self.outbox.note(&Note::NoPath { call: call.0 });
                self.ice.agree(stream, None, false, now);
                self.agree_dtls(call, now);
                if let Some(agreed) = self.calls.get(call).and_then(|call| call.media.clone()) {
                    self.start_stream(call, stream, &agreed, now);
                }
            }
            ice::Event::ConsentLost(_) => {
                self.outbox.note(&Note::ConsentLost { call: call.0 });
                self.regather(call, now);
            }
            ice::Event::Gone(_) => {
                record.end_reason = Some("no way to the far end is left for its media".to_owned());
                self.agent
                    .end_because(sip, sip::EndReason::MediaTimeout, now);
            }
        }
    }

    /// A stream is over: its checks and what servers keep for it.
    pub(super) fn close_ice(&mut self, stream: StreamId, now: Instant) {
        self.ice.close(stream, now);
        // Before its sockets are closed.
        while let Some(datagram) = self.ice.poll_transmit() {
            self.outbox.push(Output::Datagram(datagram));
        }
    }

    /// The network changed: the addresses of every call, or of those by one account, are others.
    pub(super) fn regather_all(&mut self, by: Option<usize>, now: Instant) {
        let calls: Vec<CallId> = self
            .calls
            .iter()
            .filter(|call| call.is_established() && (by.is_none() || call.account == by))
            .map(|call| call.id)
            .collect();
        for call in calls {
            self.regather(call, now);
        }
        // What ringing calls would be answered with is old, too.
        let prepared: Vec<_> = self
            .calls
            .iter()
            .filter(|call| by.is_none() || call.account == by)
            .filter(|call| call.setup.is_none() && call.media.is_none() && !call.is_ended())
            .filter_map(|call| Some((call.stream?, call.account, call.offers_ice)))
            .collect();
        for (stream, account, offers_ice) in prepared {
            if let Some(wanted) = self.wanted(account, offers_ice) {
                self.ice.reopen(stream, wanted, now);
            }
        }
    }

    /// Asks for a call's addresses again, and gives them to its far end: with ICE a restart.
    fn regather(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.alive(call).filter(|call| call.is_established()) else {
            return;
        };
        let (account, offers_ice) = (record.account, record.offers_ice);
        let with_ice = record
            .media
            .as_ref()
            .is_some_and(|media| media.ice.is_some());
        let Some(stream) = record.stream else { return };
        let external = account
            .and_then(|account| self.config.accounts.get(account)?.external_address)
            .is_some();
        let known = match self.wanted(account, offers_ice || with_ice) {
            Some(wanted) => self.ice.reopen(stream, wanted, now),
            None => external,
        };
        if known {
            self.move_media(call, now);
        }
    }

    /// Tells a call's far end the addresses it has now.
    fn move_media(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.alive(call) else {
            return;
        };
        let (sip, account, stream) = (record.sip, record.account, record.stream);
        let goes_outside = record.goes_outside;
        let (Some(stream), Some(sockets)) = (stream, record.sockets) else {
            return;
        };
        // As the first offer saw it: what a name led to may look different by its address.
        let outside = goes_outside.unwrap_or_else(|| self.comes_from_outside(sip));
        let media = self.local_media(account, stream, sockets, outside, now);
        self.agent.move_media(sip, &media, now);
    }
}
