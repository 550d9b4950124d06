//! A call needs the sockets of its stream before it can be placed or answered: their ports stand in
//! the SDP. Whoever owns the sockets is asked for them, and the call goes on when they are there.
//!
//! ```text
//! dial tone ─▶ prepare_sockets ─▶ Output::OpenMedia;  handle_media_sockets: they wait for the call,
//!              gather_ahead: their addresses outside are asked for meanwhile
//! phone::Output::PlaceCall ─▶ open_media ─▶ go_on ─▶ sip::UserAgent::invite
//!
//! phone::Output::{Follow, Answer} ─▶ open_media ─▶ Output::OpenMedia
//! handle_media_sockets ─▶ go_on ─▶ sip::UserAgent::{follow, answer}      or the call fails, and says why
//! ```

use std::io;
use std::time::Instant;

use media::StreamId;
use phone::{CallId, CallUpdate, Destination, EndCause, Input};
use sip::offer_answer::LocalMedia;

use super::{Control, Output, call_span};
use crate::agent_config::watched_by_account;
use crate::call::CallRecord;
use crate::event::CallDirection;
use crate::media_addresses::MediaAddresses;
use crate::note::Note;

/// What goes on when a stream's sockets are open.
#[derive(Debug)]
pub(crate) enum AwaitingSockets {
    /// A call to be placed.
    Place { call: CallId, to: Destination },
    /// A call the far end of another asked for.
    Follow {
        old: CallId,
        call: CallId,
        to: String,
    },
    /// An incoming call to be answered.
    Answer { call: CallId },
    /// An incoming call that rings: its caller is to hear this phone already.
    EarlyMedia { call: CallId },
    /// An incoming call that rings, and whose addresses are found out before it is answered.
    Prepare { call: CallId },
}

/// Something that goes on when the sockets of its stream are open and their addresses known.
#[derive(Debug)]
pub(crate) struct Waiting {
    stream: StreamId,
    awaiting: AwaitingSockets,
    /// Those of the open sockets, while it is asked what they are outside.
    addresses: Option<MediaAddresses>,
}

/// The sockets of the call that is being dialled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum PreparedSockets {
    /// No one dials.
    #[default]
    None,
    /// Asked for.
    Requested(StreamId),
    /// Open, and no call's yet.
    Open(StreamId, MediaAddresses),
    /// They could not be opened: the call asks for its own, and fails where there are none.
    Failed,
}

impl PreparedSockets {
    /// Whether there are any, or will be.
    pub(crate) fn is_pending(self) -> bool {
        match self {
            Self::Requested(_) | Self::Open(..) => true,
            Self::None | Self::Failed => false,
        }
    }
}

impl Control {
    /// Opens the sockets of the next call while its number is dialled, and finds out their
    /// addresses, so that the INVITE leaves with the last key; closes them when no call came of it.
    pub(super) fn prepare_sockets(&mut self, now: Instant) {
        let dialling = self.phone.state().takes_digits() && !self.closing;
        match (self.prepared_sockets, dialling) {
            (PreparedSockets::None, true) => {
                let stream = self.streams.next_id();
                self.prepared_sockets = PreparedSockets::Requested(stream);
                // The way to a TURN server is there before they are.
                self.look_up_servers(now);
                self.outbox.push(Output::OpenMedia(stream));
            }
            (PreparedSockets::Open(stream, _), false) => {
                self.prepared_sockets = PreparedSockets::None;
                self.close_media(stream, now);
            }
            // Those that were asked for are closed when they come.
            (PreparedSockets::Requested(_) | PreparedSockets::Failed, false) => {
                self.prepared_sockets = PreparedSockets::None;
            }
            (PreparedSockets::None, false)
            | (
                PreparedSockets::Requested(_) | PreparedSockets::Open(..) | PreparedSockets::Failed,
                true,
            ) => {}
        }
    }

    /// Goes on with a call's sockets: those that are ready, or else when they are.
    pub(super) fn open_media(&mut self, awaiting: AwaitingSockets, now: Instant) {
        let stream = match std::mem::take(&mut self.prepared_sockets) {
            PreparedSockets::Open(stream, addresses) => {
                return self.on_sockets(awaiting, stream, addresses, now);
            }
            PreparedSockets::Requested(stream) => stream,
            PreparedSockets::None | PreparedSockets::Failed => {
                let stream = self.streams.next_id();
                self.outbox.push(Output::OpenMedia(stream));
                stream
            }
        };
        self.awaiting_sockets.push(Waiting {
            stream,
            awaiting,
            addresses: None,
        });
    }

    /// The answer to [`Output::OpenMedia`].
    pub fn handle_media_sockets(
        &mut self,
        stream: StreamId,
        opened: io::Result<MediaAddresses>,
        now: Instant,
    ) {
        if self.on_page_sockets(stream, &opened, now) {
            return self.drain(now);
        }
        let index = self
            .awaiting_sockets
            .iter()
            .position(|waiting| waiting.stream == stream);
        let prepared = matches!(self.prepared_sockets,
            PreparedSockets::Requested(requested) if requested == stream);
        match (index, opened) {
            (None, Ok(addresses)) if prepared => {
                self.prepared_sockets = PreparedSockets::Open(stream, addresses);
                self.gather_ahead(stream, [addresses.rtp, addresses.rtcp], now);
            }
            (None, Err(error)) if prepared => {
                tracing::debug!("no media port for the next call yet: {error}");
                self.prepared_sockets = PreparedSockets::Failed;
            }
            (Some(index), Ok(addresses)) => {
                let awaiting = self.awaiting_sockets.remove(index).awaiting;
                self.on_sockets(awaiting, stream, addresses, now);
            }
            (Some(index), Err(error)) => {
                let awaiting = self.awaiting_sockets.remove(index).awaiting;
                let reason = format!("no media port: {error}; widen network.rtp_ports");
                self.without_sockets(&awaiting, &reason, now);
            }
            // Given up meanwhile.
            (None, Ok(_)) => self.outbox.push(Output::CloseMedia(stream)),
            (None, Err(_)) => {}
        }
        self.drain(now);
    }

    /// A call has its sockets.
    fn on_sockets(
        &mut self,
        awaiting: AwaitingSockets,
        stream: StreamId,
        addresses: MediaAddresses,
        now: Instant,
    ) {
        let sockets = [addresses.rtp, addresses.rtcp];
        if self.gather(&awaiting, stream, sockets, now) {
            self.go_on_or_close(awaiting, stream, addresses, now);
        } else {
            // What they are outside is known within half a second.
            self.awaiting_sockets.push(Waiting {
                stream,
                awaiting,
                addresses: Some(addresses),
            });
        }
    }

    /// A stream's addresses are known. Whether a call waited for them that has no stream yet.
    pub(super) fn on_gathered(&mut self, stream: StreamId, now: Instant) -> bool {
        let mut waiting = self.awaiting_sockets.iter();
        let Some(index) = waiting.position(|waiting| waiting.stream == stream) else {
            return false;
        };
        let Waiting {
            awaiting,
            addresses,
            ..
        } = self.awaiting_sockets.remove(index);
        if let Some(addresses) = addresses {
            self.go_on_or_close(awaiting, stream, addresses, now);
        }
        true
    }

    fn go_on_or_close(
        &mut self,
        awaiting: AwaitingSockets,
        stream: StreamId,
        addresses: MediaAddresses,
        now: Instant,
    ) {
        if !self.go_on(awaiting, stream, addresses, now) {
            self.close_media(stream, now);
        }
    }

    /// No one has a use for a stream's sockets.
    fn close_media(&mut self, stream: StreamId, now: Instant) {
        self.dtls.close(stream);
        self.close_ice(stream, now);
        self.outbox.push(Output::CloseMedia(stream));
    }

    /// Goes on with what waited. Returns whether somebody owns the sockets now.
    fn go_on(
        &mut self,
        awaiting: AwaitingSockets,
        stream: StreamId,
        addresses: MediaAddresses,
        now: Instant,
    ) -> bool {
        match awaiting {
            AwaitingSockets::Place { call, to } => {
                // An address of an account's domain uses that account: its server knows no one
                // else there.
                let own = || Some(self.agent.account_of_address(&to.address)?.0);
                if let Some(watch) = to.options.pick_up {
                    let account = watched_by_account(&self.config, &to.address);
                    let outside = self.is_outside(account, &to.address);
                    let media = self.local_media(account, stream, addresses, outside, now);
                    let invited = self.agent.pick_up(watch, media, now);
                    let sockets = (stream, addresses);
                    return self.begin_outgoing(call, to.address, account, sockets, invited, now);
                }
                let account = to.account.map(|account| account.0).or_else(own);
                let outside = self.is_outside(account, &to.address);
                let mut media = self.local_media(account, stream, addresses, outside, now);
                if to.emergency && self.config.encryption.emergency_clear {
                    media.media_security = media.media_security.or_clear();
                }
                let options = sip::InviteOptions {
                    anonymous: to.options.anonymous,
                    intercom: to.options.intercom,
                    has_other_ways: to.emergency && to.has_more,
                    is_emergency: to.emergency,
                };
                let by = account.map(sip::AccountId);
                let invited = self.agent.invite_with(by, &to.address, options, media, now);
                self.begin_outgoing(call, to.address, account, (stream, addresses), invited, now)
            }
            AwaitingSockets::Follow { old, call, to } => {
                let Some(record) = self.calls.alive(old) else {
                    self.could_not(call, "the call it was asked for in is over", now);
                    return false;
                };
                // By the account of the call it was asked for in, and encrypted as any call by it.
                let (asked, account) = (record.sip, record.account);
                let outside = self.is_outside(account, &to);
                let media = self.local_media(account, stream, addresses, outside, now);
                let invited = self.agent.accept_refer(asked, media, now);
                self.begin_outgoing(call, to, account, (stream, addresses), invited, now)
            }
            AwaitingSockets::Answer { call } | AwaitingSockets::EarlyMedia { call } => {
                let Some(record) = self.calls.alive(call).filter(|call| call.stream.is_none())
                else {
                    return false;
                };
                record.stream = Some(stream);
                record.sockets = Some(addresses);
                let (sip, account) = (record.sip, record.account);
                let outside = self.comes_from_outside(sip);
                let media = self.local_media(account, stream, addresses, outside, now);
                if let AwaitingSockets::Answer { .. } = awaiting {
                    self.agent.answer(sip, media, now);
                } else {
                    self.agent.send_early_media(sip, media.clone(), now);
                    if let Some(record) = self.calls.get(call) {
                        record.early_media = Some(media);
                    }
                }
                true
            }
            AwaitingSockets::Prepare { call } => {
                let ringing = self.calls.alive(call).filter(|call| call.stream.is_none());
                let Some(record) = ringing else { return false };
                record.stream = Some(stream);
                record.sockets = Some(addresses);
                true
            }
        }
    }

    /// Answers an incoming call: with the sockets it rang with, if it has any.
    pub(super) fn answer(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.alive(call) else {
            return self.open_media(AwaitingSockets::Answer { call }, now);
        };
        let sip = record.sip;
        if let Some(media) = record.early_media.take() {
            return self.agent.answer(sip, media, now);
        }
        if let (Some(stream), Some(addresses)) = (record.stream, record.sockets) {
            let account = record.account;
            let outside = self.comes_from_outside(sip);
            let media = self.local_media(account, stream, addresses, outside, now);
            return self.agent.answer(sip, media, now);
        }
        let mut waiting = self.awaiting_sockets.iter_mut();
        let prepared = waiting.find(
            |waiting| matches!(waiting.awaiting, AwaitingSockets::Prepare { call: c } if c == call),
        );
        match prepared {
            Some(waiting) => waiting.awaiting = AwaitingSockets::Answer { call },
            None => self.open_media(AwaitingSockets::Answer { call }, now),
        }
    }

    fn begin_outgoing(
        &mut self,
        call: CallId,
        peer: String,
        account: Option<usize>,
        (stream, sockets): (StreamId, MediaAddresses),
        invited: Result<sip::CallHandle, impl std::fmt::Display>,
        now: Instant,
    ) -> bool {
        match invited {
            Ok(sip) => {
                let outside = self.is_outside(account, &peer);
                let mut record = CallRecord::new(call, sip, CallDirection::Out, peer, now);
                record.goes_outside = Some(outside);
                record.account = account;
                record.stream = Some(stream);
                record.sockets = Some(sockets);
                self.calls.push(record);
                true
            }
            Err(error) => {
                self.could_not(call, &error.to_string(), now);
                false
            }
        }
    }

    /// What waited cannot go on.
    fn without_sockets(&mut self, awaiting: &AwaitingSockets, reason: &str, now: Instant) {
        match *awaiting {
            AwaitingSockets::Place { call, .. } => self.could_not(call, reason, now),
            AwaitingSockets::Follow { old, call, .. } => {
                if let Some(asked) = self.sip_of(old) {
                    self.agent.reject_refer(asked, now);
                }
                self.could_not(call, reason, now);
            }
            // It only rings; the answer asks for sockets again.
            AwaitingSockets::EarlyMedia { call } => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.ring(sip, now);
                }
            }
            // The answer finds out its addresses by itself then.
            AwaitingSockets::Prepare { .. } => {}
            AwaitingSockets::Answer { call } => {
                if let Some(sip) = self.sip_of(call) {
                    self.outbox.note(&Note::Refused {
                        call: call.0,
                        reason: reason.to_owned(),
                    });
                    self.agent.reject(sip, 500, now);
                }
            }
        }
    }

    /// A call that has not begun is given up; its sockets are closed when they come.
    pub(super) fn abandon(&mut self, ended: CallId, now: Instant) {
        let index = self.awaiting_sockets.iter().position(|waiting| {
            matches!(&waiting.awaiting, AwaitingSockets::Place { call, .. }
                | AwaitingSockets::Follow { call, .. } if *call == ended)
        });
        let Some(index) = index else { return };
        let waiting = self.awaiting_sockets.remove(index);
        if waiting.addresses.is_some() {
            self.close_media(waiting.stream, now);
        }
        if let AwaitingSockets::Follow { old, .. } = waiting.awaiting
            && let Some(asked) = self.sip_of(old)
        {
            self.agent.reject_refer(asked, now);
        }
    }

    /// What is offered, or answered with. `outside`: the far end is beyond our router.
    pub(super) fn local_media(
        &mut self,
        account: Option<usize>,
        stream: StreamId,
        addresses: MediaAddresses,
        outside: bool,
        now: Instant,
    ) -> LocalMedia {
        let settings = account.and_then(|account| self.config.accounts.get(account));
        let mut media =
            crate::negotiate::local_media(&self.config, settings, addresses.rtp, addresses.rtcp);
        self.apply_addresses(account, stream, outside, &mut media, now);
        self.prepare_dtls(stream, &mut media);
        media
    }

    /// A call that cannot even be tried: the phone hears of it as of any failure, log and events
    /// say why.
    pub(super) fn could_not(&mut self, call: CallId, reason: &str, now: Instant) {
        let _span = call_span(call);
        self.outbox.note(&Note::NotPlaced {
            call: call.0,
            reason: reason.to_owned(),
        });
        let cause = EndCause {
            code: None,
            reason: reason.to_owned(),
        };
        self.phone
            .handle(Input::Call(call, CallUpdate::Ended(cause)), now);
    }
}
