//! What the phone wants done, done: signalling goes to the agent, sound to the engine, the rest to
//! whoever owns the board.

use std::time::Instant;

use phone::CallId;
use types::Direction;

use super::media_sockets::AwaitingSockets;
use super::{Control, Output, Stage};
use crate::tones;

impl Control {
    pub(super) fn obey(&mut self, wish: phone::Output, now: Instant) {
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
            phone::Output::PlaceCall { call, to } => {
                self.open_media(AwaitingSockets::Place { call, to });
            }
            phone::Output::Follow { old, call, to } => {
                self.open_media(AwaitingSockets::Follow { old, call, to });
            }
            phone::Output::Transfer { held, consulted } => self.transfer(held, consulted, now),
            phone::Output::Decline(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.reject_refer(sip, now);
                }
            }
            phone::Output::Ringing(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.ring(sip, now);
                }
            }
            phone::Output::Answer(call) => self.open_media(AwaitingSockets::Answer { call }),
            phone::Output::Reject(call, code) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.reject(sip, code, now);
                }
            }
            phone::Output::End(call) => match self.sip_of(call) {
                Some(sip) => self.agent.end(sip, now),
                None => self.abandon(call, now),
            },
            phone::Output::Hold(call, hold) => self.hold(call, hold, now),
            phone::Output::Connect(calls) => {
                self.connected = calls;
                self.connect_sound();
            }
            phone::Output::Mute(muted) => self
                .outputs
                .push_back(Output::Media(media::Command::Mute(muted))),
            phone::Output::Dtmf(call, key, down) => self.send_digit(call, key, down, now),
            phone::Output::StarCode(order) => self.outputs.push_back(Output::Order(order)),
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

    pub(super) fn sip_of(&self, call: CallId) -> Option<sip::CallHandle> {
        self.calls
            .iter()
            .find(|record| record.id == call && record.stage != Stage::Ended)
            .map(|record| record.sip)
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
                event: key.event(),
                down,
            })),
            (None, _) | (_, None) if down => {
                self.agent.send_info_digit(record.sip, key.as_char(), now)
            }
            (None, _) | (_, None) => {}
        }
    }
}
