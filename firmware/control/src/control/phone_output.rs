//! Does what the phone wants: signalling goes to the agent, sound to the engine, the rest to
//! whoever owns the board.

use std::sync::Arc;
use std::time::Instant;

use media::Command;
use phone::CallId;
use types::{Direction, DtmfMethod, Key, Lamp};

use super::media_sockets::AwaitingSockets;
use super::{Control, Output, call_span};
use crate::note::Note;
use crate::tones;

/// Length of a digit that INFO names, in ms, where none is set.
const INFO_MS: u16 = 160;

impl Control {
    pub(super) fn on_phone_output(&mut self, output: phone::Output, now: Instant) {
        match output {
            phone::Output::Tone(kind) => self.play_tone(kind),
            phone::Output::KeyTone(key) => {
                let spec = key.map(|key| tones::key_tone(key, self.tone_level()));
                self.outbox.media(Command::KeyTone(spec));
            }
            phone::Output::Speak(announcement) => self.speak(announcement.as_deref(), now),
            phone::Output::SetUp(answers) => self.write_settings(&answers),
            phone::Output::Ring(style) => {
                self.ring(style);
            }
            phone::Output::Lamp(Lamp::Line, state) => {
                self.line_lamp.line = state;
                self.outbox.lamp(Lamp::Line, self.line_lamp.shown());
            }
            phone::Output::Lamp(lamp, state) => self.outbox.lamp(lamp, state),
            phone::Output::PlaceCall { call, to } if to.options.page.is_some() => {
                self.begin_own_page(call, to.options.page.unwrap_or_default());
            }
            phone::Output::PlaceCall { call, to } => {
                self.open_media(AwaitingSockets::Place { call, to }, now);
            }
            phone::Output::Follow { old, call, to } => {
                self.open_media(AwaitingSockets::Follow { old, call, to }, now);
            }
            phone::Output::Transfer { held, consulted } => self.transfer(held, consulted, now),
            phone::Output::Decline(call) => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.reject_refer(sip, now);
                }
            }
            phone::Output::Ringing(call) => {
                if let Some(sip) = self.sip_of(call) {
                    if self.config.call.early_media {
                        self.open_media(AwaitingSockets::EarlyMedia { call }, now);
                    } else {
                        self.agent.ring(sip, now);
                        self.prepare_answer(call, now);
                    }
                }
            }
            phone::Output::Answer(call) => self.answer(call, now),
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
                self.connect_streams();
                self.connect_own_page();
            }
            phone::Output::Mute(muted) => self.outbox.media(Command::Mute(muted)),
            phone::Output::Levels(levels) => self.outbox.media(Command::Gains(media::Gains {
                microphone_db: levels.microphone_db,
                ear_db: levels.ear_db,
                ringer_db: levels.ringer_db,
                hands_free: levels.hands_free,
            })),
            phone::Output::Dtmf(call, key, down) => self.send_digit(call, key, down, now),
            phone::Output::Maintenance(what) => self.outbox.push(Output::Maintenance(what)),
            phone::Output::SetUpServer(url) => self.outbox.push(Output::SetUpServer(url)),
            phone::Output::Remember(features) => self.outbox.push(Output::Keep {
                file: crate::features::FILE,
                text: crate::features::to_json(&features),
            }),
            phone::Output::BlindTransfer { held, to } => self.transfer_to(held, &to, now),
            phone::Output::Forward { call, to } => {
                if let Some(sip) = self.sip_of(call) {
                    self.agent.redirect(sip, &to, now);
                }
            }
            phone::Output::FlashToNetwork(call) => self.send_flash(call, now),
            phone::Output::OpenDoor => self.open_door(),
            phone::Output::Note(note) => {
                self.display_note(&note);
                self.outbox.note(&Note::Phone(note));
            }
        }
    }

    /// The board has neither bell nor buzzer: where the configuration names none, the card plays
    /// the bell.
    pub fn set_no_ringer(&mut self) {
        self.rings_by_sound |= self.config.board.ringer.is_none();
    }

    /// The recordings of `audio.ring_sound` and `audio.ring_sounds`, by the names of their files,
    /// decoded for the card's rate.
    pub fn set_ring_clips(&mut self, clips: Vec<(String, Arc<media::RingClip>)>) {
        self.ring_sounds.set(clips);
    }

    fn play_tone(&mut self, kind: Option<phone::Tone>) {
        let spec = kind.map(|kind| {
            let tone = tones::call_tone(self.plan, kind, self.tone_level());
            match (kind, self.line_lamp.fault) {
                (phone::Tone::Dial | phone::Tone::StutterDial, Some(code))
                    if !self.phone.fault_is_said() =>
                {
                    tones::after_code(&tone, code)
                }
                (_, _) => tone,
            }
        });
        self.outbox.media(Command::Tone(spec));
    }

    /// Bell or buzzer, or a sound of the card where there is neither.
    fn ring(&mut self, style: Option<phone::RingStyle>) {
        let ring = style.and_then(|style| {
            let cadence = tones::ring_cadence(self.plan, style.alert)?;
            Some((style.alert, cadence))
        });
        if self.rings_by_sound {
            let (rate_hz, _) = self.streams.card;
            let sounds = &self.ring_sounds;
            let tone = ring
                .as_ref()
                .map(|(alert, cadence)| sounds.tone(*alert, cadence, rate_hz));
            self.outbox.media(Command::Ring(tone));
        }
        self.outbox
            .push(Output::Ring(ring.map(|(_, cadence)| cadence)));
    }

    pub(super) fn tone_level(&self) -> i8 {
        self.config
            .board
            .audio
            .tone_level_dbm0
            .unwrap_or(tones::DEFAULT_LEVEL_DBM0)
    }

    /// The agent's number of a call that is not over.
    pub(super) fn sip_of(&mut self, call: CallId) -> Option<sip::CallHandle> {
        self.calls.alive(call).map(|record| record.sip)
    }

    /// Connects two far ends with each other, or says why not: then who is still there comes back.
    pub(super) fn transfer(&mut self, held: CallId, consulted: CallId, now: Instant) {
        let (from, to) = (self.sip_of(held), self.sip_of(consulted));
        let result = if let (Some(from), Some(to)) = (from, to) {
            self.agent.transfer(from, to, now)
        } else {
            for call in [from, to].into_iter().flatten() {
                self.agent.not_transferred(call, now);
            }
            Err(sip::agent::TransferError::NoCall)
        };
        if let Err(why) = result {
            let _span = call_span(held);
            self.outbox.note(&Note::NotTransferred {
                call: held.0,
                why: why.to_string(),
            });
        }
    }

    /// Sends a far end to another number, or says why not: then it comes back.
    fn transfer_to(&mut self, held: CallId, to: &str, now: Instant) {
        let Some(sip) = self.sip_of(held) else { return };
        if let Err(why) = self.agent.transfer_to(sip, to, now) {
            let _span = call_span(held);
            let why = format!("{to}: {why}");
            self.outbox
                .note(&Note::NotTransferred { call: held.0, why });
        }
    }

    /// RFC 4733 event 16 where events were agreed on, INFO where not.
    fn send_flash(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let events = record
            .media
            .as_ref()
            .is_some_and(|agreed| agreed.send_dtmf.is_some());
        match record.stream.filter(|_| events) {
            Some(id) => {
                for down in [true, false] {
                    let event = media::dtmf::FLASH_EVENT;
                    self.outbox.media(Command::Dtmf { id, event, down });
                }
            }
            None => self.agent.send_info_flash(record.sip, now),
        }
    }

    fn hold(&mut self, call: CallId, hold: bool, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        if record.is_established() && record.hold.request(hold) {
            let direction = if hold {
                Direction::SendOnly
            } else {
                Direction::SendRecv
            };
            self.agent.set_direction(record.sip, direction, now);
        }
    }

    /// How digits go is the account's to say ([`DtmfMethod`]). INFO knows no release, so it goes
    /// out when the key goes down.
    fn send_digit(&mut self, call: CallId, key: Key, down: bool, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let Some(agreed) = record.media.as_ref() else {
            return;
        };
        let method = dtmf_method(&self.config, record.account);
        let by_info = agreed.send_dtmf.is_none() && method.may_use_info() && !record.refuses_info;
        match record.stream {
            // Without telephone-event the engine sends a tone.
            Some(id) if !by_info => {
                let event = key.event();
                self.outbox.media(Command::Dtmf { id, event, down });
            }
            Some(_) | None if down => {
                let length_ms = self.config.call.dtmf_ms.unwrap_or(INFO_MS);
                self.agent
                    .send_info_digit(record.sip, key.as_char(), length_ms, now);
            }
            Some(_) | None => {}
        }
    }

    /// INFO was refused: the digit goes as a tone, and so do those after it.
    pub(super) fn on_digit_refused(&mut self, call: sip::CallHandle, digit: char) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        record.refuses_info = true;
        if let (Some(id), Some(key)) = (record.stream, Key::from_char(digit)) {
            let event = key.event();
            for down in [true, false] {
                self.outbox.media(Command::Dtmf { id, event, down });
            }
        }
    }
}

/// How a call of this account sends digits.
fn dtmf_method(config: &config::Config, account: Option<usize>) -> DtmfMethod {
    account
        .and_then(|account| config.accounts.get(account)?.dtmf)
        .unwrap_or(config.call.dtmf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set for an account goes before what is set for all.
    #[test]
    fn digits_go_as_the_account_says() {
        let account = |user: &str, more: &str| {
            format!("[[account]]\nuser = \"{user}\"\ndomain = \"example.net\"\n{more}")
        };
        let text = format!(
            "[call]\ndtmf = \"info\"\n{}{}",
            account("a", "dtmf = \"inband\"\n"),
            account("b", "")
        );
        let config = config::load(&text, "t.toml").unwrap();
        for (account, method) in [
            (Some(0), DtmfMethod::Inband),
            (Some(1), DtmfMethod::Info),
            (None, DtmfMethod::Info),
        ] {
            assert_eq!(dtmf_method(&config, account), method, "{account:?}");
        }
    }
}
