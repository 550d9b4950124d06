//! The phone's voice: announcements of the phone become words for the engine, and their end comes
//! back; the answers of the set-up by keypad become a file.

use std::net::IpAddr;
use std::time::Instant;

use config::providers::{Answers, NetworkSettings, setup_file};
use media::Command;
use media::speech::Clip;
use phone::{Announcement, Input, NetworkAnswer, SetUpAnswers};
use types::Language;

use super::{Control, Output};
use crate::speech::{Facts, Next, Speaker, sentence};

/// What the voice needs.
#[derive(Debug)]
pub(super) struct Voice {
    speaker: Speaker,
    language: Language,
    /// This machine's address.
    address: Option<IpAddr>,
}

impl Voice {
    pub(super) fn new(config: &config::Config, rate_hz: u32, local: &sip::LocalAddresses) -> Self {
        let phone = &config.phone;
        let mut voice = Self {
            speaker: Speaker::new(rate_hz),
            language: phone.language.unwrap_or(Language::of(phone.country)),
            address: None,
        };
        voice.set_address(local);
        voice
    }

    /// The network gave another address. One that leads nowhere is none.
    pub(super) fn set_address(&mut self, local: &sip::LocalAddresses) {
        let ip = local.primary().ip();
        let usable = !ip.is_loopback() && !ip.is_unspecified();
        self.address = Some(ip).filter(|_| usable);
    }

    /// The language of words, spoken and written.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// This machine's address.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(super) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// The sound card has another rate.
    pub(super) fn set_rate(&mut self, rate_hz: u32) {
        self.speaker = Speaker::new(rate_hz);
    }
}

impl Control {
    /// Says an announcement, or no more.
    pub(super) fn speak(&mut self, announcement: Option<&Announcement>, now: Instant) {
        let Some(announcement) = announcement else {
            let stop = self.voice.speaker.stop();
            self.outbox.media(stop);
            return;
        };
        let account = self.config.accounts.first();
        let facts = Facts {
            account: account.map(|account| (account.user.clone(), self.accounts.is_ready(0))),
            address: self.voice.address,
            last_mos: self.history.newest_first().find_map(|call| call.mos),
        };
        let words = sentence(announcement, self.voice.language, &facts);
        match self.voice.speaker.say(words) {
            Some(clip) => self.outbox.media(Command::Speak(clip)),
            // Nothing can be said: the tone must not wait for it.
            None => self.phone.handle(Input::Spoken, now),
        }
    }

    /// A clip came back from the engine.
    pub(super) fn on_spoken(&mut self, clip: &Clip, now: Instant) {
        match self.voice.speaker.handle_spoken(clip) {
            Next::Word(clip) => self.outbox.media(Command::Speak(clip)),
            Next::Finished => self.phone.handle(Input::Spoken, now),
            Next::Nothing => {}
        }
    }

    /// This phone has no settings, and its owner can write them ([`Output::WriteSettings`]): a
    /// person can key them.
    pub fn offer_set_up(&mut self, can: bool) {
        self.phone.offer_set_up(can);
        self.phone.set_network(self.voice.has_address());
    }

    /// What [`Output::WriteSettings`] asked for is written, or could not be.
    pub fn handle_settings_written(&mut self, written: bool, now: Instant) {
        self.phone.handle(Input::SetUpWritten(written), now);
        self.drain(now);
    }

    pub(super) fn write_settings(&mut self, answers: &SetUpAnswers) {
        let answers = Answers {
            country: answers.country.as_str().to_owned(),
            language: Some(answers.language),
            server: answers.server.clone(),
            user: answers.user.clone(),
            password: answers.password.clone(),
            network: match &answers.network {
                NetworkAnswer::Automatic => NetworkSettings::Automatic,
                NetworkAnswer::Wifi { name, password } => NetworkSettings::Wifi {
                    ssid: name.clone(),
                    password: password.clone(),
                },
                NetworkAnswer::Fixed {
                    address,
                    prefix,
                    router,
                } => NetworkSettings::Fixed {
                    address: format!("{address}/{prefix}"),
                    router: router.to_string(),
                },
            },
            ..Answers::default()
        };
        let text = setup_file(&answers, "offhook.toml");
        self.outbox.push(Output::WriteSettings(text));
    }
}
