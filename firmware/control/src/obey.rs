//! What the phone wants done, done: signalling goes to the agent, sound to the engine, the rest to
//! whoever owns the board.

use std::time::Instant;

use phone::{CallId, CallUpdate, Destination, EndCause, Input};
use sip::offer_answer::Direction;

use super::keys;
use super::{CallRecord, Control, MediaPorts, Output, Stage, Way};
use crate::tones;

impl Control {
    pub(super) fn obey(&mut self, wish: phone::Output, ports: &mut dyn MediaPorts, now: Instant) {
        match wish {
            phone::Output::Tone(kind) => {
                self.tone = kind;
                let spec = kind.map(|kind| {
                    let tone = tones::call_tone(self.plan, kind, self.tone_level());
                    match (kind, self.trouble) {
                        (phone::Tone::Dial | phone::Tone::StutterDial, Some(code)) => {
                            tones::after_code(&tone, code)
                        }
                        (_, _) => tone,
                    }
                });
                self.outputs
                    .push_back(Output::Media(media::Command::Tone(spec)));
            }
            phone::Output::KeyTone(key) => {
                let spec = key.map(|key| tones::key_tone(key, self.tone_level()));
                self.outputs
                    .push_back(Output::Media(media::Command::KeyTone(spec)));
            }
            phone::Output::Ring(style) => {
                let cadence = style.and_then(|style| tones::ring_cadence(self.plan, style.alert));
                self.outputs.push_back(Output::Ring(cadence));
            }
            phone::Output::Lamp(phone::Lamp::Line, state) => {
                self.line_lamp = state;
                self.show_line_lamp();
            }
            phone::Output::Lamp(lamp, state) => self.outputs.push_back(Output::Lamp(lamp, state)),
            phone::Output::Place { call, to } => self.place(call, &to, ports, now),
            phone::Output::Follow { old, call, to } => self.follow(old, call, to, ports, now),
            phone::Output::Transfer { held, consulted } => self.transfer(held, consulted, now),
            phone::Output::Decline(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.decline(sip, now);
                }
            }
            phone::Output::Ringing(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.ring(sip, now);
                }
            }
            phone::Output::Answer(call) => self.answer(call, ports, now),
            phone::Output::Reject(call, code) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.reject(sip, code, now);
                }
            }
            phone::Output::End(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.end(sip, now);
                }
            }
            phone::Output::Hold(call, hold) => self.hold(call, hold, now),
            phone::Output::Connect(calls) => {
                self.connected = calls;
                self.connect_sound();
            }
            phone::Output::Mute(muted) => self
                .outputs
                .push_back(Output::Media(media::Command::Mute(muted))),
            phone::Output::Dtmf(call, key, down) => self.send_digit(call, key, down, now),
            phone::Output::Order(order) => self.outputs.push_back(Output::Order(order)),
            phone::Output::Note(text) => self.note(&text),
        }
    }

    fn tone_level(&self) -> i8 {
        self.config
            .board
            .audio
            .tone_level_dbm0
            .unwrap_or(tones::DEFAULT_LEVEL_DBM0)
    }

    fn sip_of(&self, call: CallId) -> Option<sip::Call> {
        self.calls
            .iter()
            .find(|record| record.id == call && record.stage != Stage::Ended)
            .map(|record| record.sip)
    }

    fn place(&mut self, call: CallId, to: &Destination, ports: &mut dyn MediaPorts, now: Instant) {
        let stream = self.new_stream_id();
        let (rtp, rtcp) = match ports.open(stream, None) {
            Ok(pair) => pair,
            Err(error) => {
                return self.could_not(
                    call,
                    &format!("no media port: {error}; widen network.rtp_ports"),
                    now,
                );
            }
        };
        let line = to
            .account
            .and_then(|account| self.config.accounts.get(account.0));
        let mut media = crate::negotiate::local_media(&self.config, line, rtp, rtcp);
        self.expect_handshake(stream, &mut media);
        let account = to.account.map(|account| sip::AccountId(account.0));
        match self.agent.invite(account, &to.address, media, now) {
            Ok(sip) => {
                let mut record = CallRecord::new(call, sip, Way::Out, to.address.clone(), now);
                record.account = to.account.map(|account| account.0);
                record.stream = Some(stream);
                self.calls.push(record);
                self.tell_call(self.calls.len() - 1);
            }
            Err(error) => {
                self.dtls.close(stream);
                ports.close(stream);
                self.could_not(call, &error.to_string(), now);
            }
        }
    }

    /// Calls whom the far end of a call asked for: by that call's account, and encrypted as any
    /// call by it.
    fn follow(
        &mut self,
        old: CallId,
        call: CallId,
        to: String,
        ports: &mut dyn MediaPorts,
        now: Instant,
    ) {
        let Some(place) = self
            .place_of(old)
            .filter(|place| self.calls[*place].stage != Stage::Ended)
        else {
            return self.could_not(call, "the call it was asked for in is over", now);
        };
        let (asked, account) = (self.calls[place].sip, self.calls[place].account);
        let stream = self.new_stream_id();
        let (rtp, rtcp) = match ports.open(stream, None) {
            Ok(pair) => pair,
            Err(error) => {
                self.agent.decline(asked, now);
                return self.could_not(
                    call,
                    &format!("no media port: {error}; widen network.rtp_ports"),
                    now,
                );
            }
        };
        let line = account.and_then(|account| self.config.accounts.get(account));
        let mut media = crate::negotiate::local_media(&self.config, line, rtp, rtcp);
        self.expect_handshake(stream, &mut media);
        match self.agent.follow(asked, media, now) {
            Ok(sip) => {
                let mut record = CallRecord::new(call, sip, Way::Out, to, now);
                record.account = account;
                record.stream = Some(stream);
                self.calls.push(record);
                self.tell_call(self.calls.len() - 1);
            }
            Err(error) => {
                self.dtls.close(stream);
                ports.close(stream);
                self.could_not(call, &error.to_string(), now);
            }
        }
    }

    /// Connects two far ends with each other, or ends both calls and says why.
    fn transfer(&mut self, held: CallId, consulted: CallId, now: Instant) {
        let (from, to) = (self.sip_of(held), self.sip_of(consulted));
        let result = match (from, to) {
            (Some(from), Some(to)) => self.agent.transfer(from, to, now),
            (None, _) | (_, None) => Err(sip::agent::TransferError::NoCall),
        };
        if let Err(why) = result {
            self.note(&format!(
                "call {} is not handed over: {why}; both calls end",
                held.0
            ));
            for call in [from, to].into_iter().flatten() {
                self.agent.end(call, now);
            }
        }
    }

    /// A call that cannot even be tried: the phone hears of it as of any failure, log and events
    /// say why.
    fn could_not(&mut self, call: CallId, reason: &str, now: Instant) {
        self.note(&format!("call {} failed: {reason}", call.0));
        let cause = EndCause {
            code: None,
            reason: reason.to_owned(),
        };
        self.phone
            .handle(Input::Call(call, CallUpdate::Ended(cause)), now);
    }

    fn answer(&mut self, call: CallId, ports: &mut dyn MediaPorts, now: Instant) {
        let stream = self.new_stream_id();
        let Some(place) = self
            .place_of(call)
            .filter(|place| self.calls[*place].stage == Stage::Ringing)
        else {
            return;
        };
        let sip = self.calls[place].sip;
        match ports.open(stream, None) {
            Ok((rtp, rtcp)) => {
                self.calls[place].stream = Some(stream);
                self.calls[place].stage = Stage::Answering;
                let line = self.calls[place]
                    .account
                    .and_then(|account| self.config.accounts.get(account));
                let mut media = crate::negotiate::local_media(&self.config, line, rtp, rtcp);
                self.expect_handshake(stream, &mut media);
                self.agent.answer(sip, media, now);
            }
            Err(error) => {
                self.note(&format!(
                    "call {} refused: no media port: {error}; widen network.rtp_ports",
                    call.0
                ));
                self.agent.reject(sip, 500, now);
            }
        }
    }

    fn hold(&mut self, call: CallId, hold: bool, now: Instant) {
        let Some(place) = self.place_of(call) else {
            return;
        };
        let record = &mut self.calls[place];
        match record.stage {
            // Put aside for another call without a word on the wire: there is nothing to take back.
            Stage::Talking if !hold && record.hold_asked.is_none() => {}
            Stage::Talking | Stage::OnHold => {
                record.hold_asked = Some(hold);
                let direction = if hold {
                    Direction::SendOnly
                } else {
                    Direction::SendRecv
                };
                let sip = record.sip;
                self.agent.set_direction(sip, direction, now);
            }
            Stage::Calling
            | Stage::Ringback
            | Stage::EarlyMedia
            | Stage::Ringing
            | Stage::Answering
            | Stage::Ended => {}
        }
    }

    /// RFC 4733 where it was agreed, INFO where not: INFO knows no release, so it goes out when the
    /// key goes down.
    fn send_digit(&mut self, call: CallId, key: phone::Key, down: bool, now: Instant) {
        let Some(record) = self.calls.iter().find(|record| record.id == call) else {
            return;
        };
        let Some(agreed) = record.media.as_ref() else {
            return;
        };
        match (agreed.send_dtmf, record.stream) {
            (Some(_), Some(id)) => self.outputs.push_back(Output::Media(media::Command::Dtmf {
                id,
                event: keys::event_of(key),
                down,
            })),
            (None, _) | (_, None) if down => {
                self.agent
                    .send_info_digit(record.sip, keys::cap_of(key), now)
            }
            (None, _) | (_, None) => {}
        }
    }
}
