//! Pages: what is heard of them and what this phone sends.
//!
//! ```text
//! handle_page ─▶ Paging ─▶ Output::OpenGroup ─▶ handle_group_socket ─▶ stream (receive only), beep, Input::Paged
//! star code ─▶ PlaceCall (page) ─▶ Output::OpenMedia ─▶ stream (send only) to the group ─▶ CallUpdate::Answered
//! every turn: run_pages: what is not to be heard any more stops
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use media::{Command, SignallingHosts, Stream, StreamConfig, StreamId};
use phone::{CallId, CallUpdate, Input};

use super::{Control, Output};
use crate::negotiate::OpusSending;
use crate::note::Note;
use crate::tones;

impl Control {
    /// A datagram came to a group of `[paging]`.
    pub fn handle_page(&mut self, group: SocketAddr, from: SocketAddr, bytes: &[u8], now: Instant) {
        if let Some(begin) = self.paging.handle_packet(group, from, bytes, now)
            && self.hears_page(begin.number, now)
        {
            self.stop_page(now);
            let stream = self.streams.next_id();
            self.paging.begin(begin, stream, bytes, now);
            self.outbox.note(&Note::Page {
                group: begin.number,
                from: from.to_string(),
            });
            self.outbox.push(Output::OpenGroup { stream, group });
        }
        self.drain(now);
    }

    /// The answer to [`Output::OpenGroup`].
    pub fn handle_group_socket(&mut self, stream: StreamId, opened: io::Result<()>, now: Instant) {
        match (opened, self.paging.play(stream)) {
            (Ok(()), Some(config)) => {
                if self.start_page_stream(config) {
                    self.outbox.connect(stream, true);
                    self.phone.handle(Input::Paged(true), now);
                }
            }
            (Ok(()), None) => self.outbox.push(Output::CloseMedia(stream)),
            (Err(error), _) => {
                tracing::warn!("page: {error}");
                self.paging.stop();
            }
        }
        self.drain(now);
    }

    /// Whether a page of this group is heard now.
    fn hears_page(&self, number: u8, now: Instant) -> bool {
        let in_use = self.phone.state() != phone::State::Idle;
        let undisturbed = self.phone.features().dnd || self.is_quiet(now);
        !self.closing
            && !self.phone.in_emergency_call()
            && self.paging.is_heard(number, in_use, undisturbed)
    }

    /// Stops what is over or not to be heard any more, and ends a page whose call the phone knows
    /// no more, whatever became of it.
    pub(super) fn run_pages(&mut self, now: Instant) {
        let over = self.paging.is_over(now);
        if let Some(number) = self.paging.heard()
            && (over || !self.hears_page(number, now))
        {
            self.stop_page(now);
        }
        let own = self.paging.own();
        if own.is_some_and(|call| self.phone.call_state(call).is_none())
            && let Some(stopped) = self.paging.stop_own()
        {
            self.close_page(stopped);
        }
    }

    fn stop_page(&mut self, now: Instant) {
        if let Some(stopped) = self.paging.stop() {
            self.close_page(stopped);
            self.phone.handle(Input::Paged(false), now);
        }
    }

    fn close_page(&mut self, (stream, in_engine): (StreamId, bool)) {
        if in_engine {
            self.outbox.media(Command::Stop(stream));
        }
        self.outbox.push(Output::CloseMedia(stream));
    }

    // ── this phone's own ────────────────────────────────────────────────────────────────────────

    /// Speaks to a group.
    pub(super) fn begin_own_page(&mut self, call: CallId, number: u8) {
        let stream = self.streams.next_id();
        self.paging.begin_own(call, number, stream);
        self.outbox.push(Output::OpenMedia(stream));
    }

    /// Whether these sockets are those of a page; then it goes on.
    pub(super) fn on_page_sockets(
        &mut self,
        stream: StreamId,
        opened: &io::Result<crate::MediaAddresses>,
        now: Instant,
    ) -> bool {
        let Some(call) = self.paging.own_call(stream) else {
            return false;
        };
        if let Err(error) = opened {
            self.paging.stop_own();
            self.could_not(call, &format!("no media port: {error}"), now);
            return true;
        }
        let identity =
            self.streams
                .identity(stream, SignallingHosts::default(), OpusSending::default());
        if let Some(config) = self.paging.send(stream, identity.ssrc) {
            let config = StreamConfig {
                first_sequence: identity.first_sequence,
                first_timestamp: identity.first_timestamp,
                cname: identity.cname,
                ..config
            };
            if self.start_page_stream(config) {
                let update = CallUpdate::Answered;
                self.phone.handle(Input::Call(call, update), now);
            }
        }
        true
    }

    /// Which calls the handset is connected with changed.
    pub(super) fn connect_own_page(&mut self) {
        if let Some((stream, connected)) = self.paging.connect(&self.connected) {
            self.outbox.connect(stream, connected);
        }
    }

    /// Gives the engine a page's stream, with a beep before it.
    fn start_page_stream(&mut self, mut config: StreamConfig) -> bool {
        (config.card_rate_hz, config.period_frames) = self.streams.card;
        let id = config.id;
        match Stream::new(config) {
            Ok(stream) => {
                self.outbox.media(Command::Start(stream));
                let beep = tones::page_beep(self.tone_level());
                self.outbox.media(Command::KeyTone(Some(beep)));
                true
            }
            Err(error) => {
                tracing::error!("page {}: {error}", id.0);
                false
            }
        }
    }
}
