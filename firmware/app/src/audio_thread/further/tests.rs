//! Where one talks moves between two cards without a gap; devices are counted frames here, and
//! time is virtual.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use board::audio::AudioFormat;
use media::{Command, EngineConfig, Gains};

use super::*;

/// A card whose microphone hears one value, and that keeps what is played.
#[derive(Clone)]
struct Fake(Arc<Mutex<FakeState>>);

struct FakeState {
    format: AudioFormat,
    /// Periods due.
    due: u32,
    microphone: i16,
    played: Vec<i16>,
    running: bool,
    starts: u32,
    gone: bool,
}

impl Fake {
    fn new(rate_hz: u32, period_frames: usize, microphone: i16) -> Self {
        Self(Arc::new(Mutex::new(FakeState {
            format: AudioFormat {
                rate_hz,
                period_frames,
                playback_delay_frames: period_frames,
            },
            due: 0,
            microphone,
            played: Vec::new(),
            running: true,
            starts: 0,
            gone: false,
        })))
    }

    fn get<T>(&self, read: impl FnOnce(&mut FakeState) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }
}

impl AudioDevice for Fake {
    fn format(&self) -> AudioFormat {
        self.get(|state| state.format)
    }
    fn poll_fds(&self) -> &[RawFd] {
        &[]
    }
    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        self.get(|state| {
            if state.gone {
                return Err(AudioError::Lost("fake".into()));
            }
            if !state.running || state.due == 0 {
                return Ok(Period::NotYet);
            }
            state.due -= 1;
            capture.fill(state.microphone);
            Ok(Period::Ready)
        })
    }
    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        self.get(|state| state.played.extend_from_slice(playback));
        Ok(Period::Ready)
    }
    fn pause(&mut self) -> bool {
        self.get(|state| (state.running, state.due) = (false, 0));
        true
    }
    fn resume(&mut self) -> Result<(), AudioError> {
        self.get(|state| {
            state.running = true;
            state.starts += 1;
        });
        Ok(())
    }
    fn check(&mut self) -> Result<(), AudioError> {
        self.get(|state| {
            if state.gone {
                Err(AudioError::Lost("fake".into()))
            } else {
                Ok(())
            }
        })
    }
}

const ENGINE: EngineConfig = EngineConfig {
    rate_hz: 16_000,
    period_frames: 80,
    sidetone_db: None,
};
const SPEAKER: CardUse = CardUse {
    speaks: true,
    listens: true,
    rings: false,
};
const RINGER: CardUse = CardUse {
    speaks: false,
    listens: false,
    rings: true,
};

/// Cards in virtual time: the handset's microphone hears 1000, the speaker's 2000, and what is to
/// be played is 500.
struct Desk {
    cards: FurtherCards,
    engine: Engine,
    now: Instant,
    devices: Vec<(Fake, f64)>,
    lost: Vec<(CardUse, LossReason)>,
    heard: Vec<i16>,
    handset: Vec<i16>,
}

impl Desk {
    fn new() -> Self {
        let now = Instant::now();
        let mut engine = Engine::new(ENGINE, now);
        // Something to hear, so that the phone is in use.
        let mut segments = [media::ToneSegment::default(); media::tone::MAX_SEGMENTS];
        segments[0].frequencies_hz[0] = 425;
        let tone = media::ToneSpec {
            segments,
            len: 1,
            level_dbm0: -10.0,
        };
        engine.handle_command(Command::Tone(Some(tone)), now);
        Self {
            cards: FurtherCards::new(480),
            engine,
            now,
            devices: Vec::new(),
            lost: Vec::new(),
            heard: Vec::new(),
            handset: Vec::new(),
        }
    }

    fn add(&mut self, fake: &Fake, card_use: CardUse) {
        let card = FurtherCard::new(Box::new(fake.clone()), card_use, ENGINE, self.now).unwrap();
        assert!(self.cards.add(Box::new(card)).is_ok());
        self.devices.push((fake.clone(), 0.0));
    }

    fn hands_free(&mut self, hands_free: bool) {
        let gains = Gains {
            hands_free,
            ..Gains::default()
        };
        self.engine.handle_command(Command::Gains(gains), self.now);
    }

    /// So many periods of 5 ms.
    fn run(&mut self, periods: usize, bell: Option<i16>) {
        for _ in 0..periods {
            self.now += Duration::from_millis(5);
            for (fake, ms) in &mut self.devices {
                *ms += 5.0;
                fake.get(|state| {
                    let period = state.format.period_frames as f64 * 1000.0
                        / f64::from(state.format.rate_hz);
                    while *ms >= period {
                        *ms -= period;
                        state.due += u32::from(state.running);
                    }
                });
            }
            let mut capture = [1000; 80];
            let mut playback = [500; 80];
            self.cards
                .capture(self.engine.is_hands_free(), &mut capture);
            let bell = bell.map(|level| [level; 80]);
            self.cards
                .playback(&mut playback, bell.as_ref().map(<[i16; 80]>::as_slice));
            self.heard.extend(capture);
            self.handset.extend(playback);
            let mut lost = Fixed::new();
            self.cards.serve(&self.engine, 1, self.now, &mut lost);
            let each = lost.into_iter().map(|(card, why)| (card.card_use(), why));
            self.lost.extend(each);
        }
    }
}

/// Longest run of samples below half of the softer sound, in ms at this rate.
fn longest_gap_ms(sound: &[i16], least: i16, rate_hz: u32) -> f64 {
    let longest = sound
        .split(|&x| x >= least)
        .map(<[i16]>::len)
        .max()
        .unwrap_or(0);
    longest as f64 * 1000.0 / f64::from(rate_hz)
}

#[test]
fn a_call_moves_to_the_speaker_and_back_without_a_gap() {
    let mut desk = Desk::new();
    let speaker = Fake::new(44_100, 441, 2000);
    desk.add(&speaker, SPEAKER);
    desk.run(600, None);
    assert!(!speaker.get(|state| state.running), "no one wanted it");
    speaker.get(|state| state.played.clear());
    desk.heard.clear();
    desk.handset.clear();
    desk.hands_free(true);
    desk.run(400, None);
    let moved = desk.handset.len();
    assert_eq!(desk.heard.last(), Some(&2000), "its microphone is heard");
    assert_eq!(desk.handset.last(), Some(&0), "the handset is silent");
    desk.hands_free(false);
    desk.run(200, None);
    assert_eq!(desk.heard.last(), Some(&1000));
    assert_eq!(desk.handset.last(), Some(&500));
    // The far end hears one of the two at every moment.
    let gap = longest_gap_ms(&desk.heard, 900, 16_000);
    assert!(gap < 1.0, "the far end hears nothing for {gap} ms");
    // And so does the near end: the handset plays until the speaker does.
    let played = speaker.get(|state| state.played.clone());
    let from_speaker = played.iter().position(|&x| x > 250).unwrap();
    let until_handset = desk.handset.iter().position(|&x| x < 250).unwrap();
    // What the speaker's card queues besides is a period.
    let speaker_ms = from_speaker as f64 / 44.1 + 10.0;
    let handset_ms = until_handset as f64 / 16.0;
    println!("speaker from {speaker_ms:.0} ms on, handset until {handset_ms:.0} ms");
    assert!(handset_ms + 20.0 > speaker_ms && handset_ms < speaker_ms + 40.0);
    let gap = longest_gap_ms(&played[from_speaker..played.len() - 44_100], 250, 44_100);
    assert!(gap < 1.0, "the speaker pauses for {gap} ms");
    assert!(desk.handset[moved..moved + 160].iter().all(|&x| x >= 0));
}

#[test]
fn a_lost_speaker_leaves_the_handset_and_the_ringer() {
    let mut desk = Desk::new();
    let (speaker, ringer) = (Fake::new(48_000, 240, 2000), Fake::new(48_000, 960, 0));
    desk.add(&speaker, SPEAKER);
    desk.add(&ringer, RINGER);
    desk.hands_free(true);
    desk.run(100, None);
    assert_eq!(desk.heard.last(), Some(&2000));
    speaker.get(|state| state.gone = true);
    desk.run(20, None);
    let failed = LossReason::Failed(AudioError::Lost("fake".into()));
    assert_eq!(desk.lost, [(SPEAKER, failed)]);
    assert_eq!(
        (desk.heard.last(), desk.handset.last()),
        (Some(&1000), Some(&500))
    );
    assert!(desk.cards.has_ringer());
    desk.run(100, Some(800));
    assert!(ringer.get(|state| state.played.contains(&800)), "it rings");
    assert_eq!(
        desk.handset.last(),
        Some(&500),
        "the bell is not in the ear"
    );
}

#[test]
fn a_silent_card_is_lost_and_a_resting_one_is_looked_at() {
    let mut desk = Desk::new();
    let (speaker, ringer) = (Fake::new(48_000, 240, 2000), Fake::new(48_000, 240, 0));
    desk.add(&speaker, SPEAKER);
    desk.add(&ringer, RINGER);
    desk.hands_free(true);
    desk.run(600, None);
    assert!(!ringer.get(|state| state.running), "it rests");
    ringer.get(|state| state.gone = true);
    speaker.get(|state| state.running = false);
    desk.run(300, None);
    let uses: Vec<CardUse> = desk.lost.iter().map(|(card_use, _)| *card_use).collect();
    assert!(
        uses.contains(&SPEAKER) && uses.contains(&RINGER),
        "{uses:?}"
    );
    assert!(desk.lost.iter().any(|(_, why)| *why == LossReason::Silent));
    assert_eq!(desk.heard.last(), Some(&1000), "the handset's microphone");
}

#[test]
fn a_speaker_without_microphone_keeps_the_handsets() {
    let mut desk = Desk::new();
    let speaker = Fake::new(48_000, 240, 2000);
    let deaf = CardUse {
        listens: false,
        ..SPEAKER
    };
    desk.add(&speaker, deaf);
    desk.hands_free(true);
    desk.run(100, None);
    assert_eq!(desk.heard.last(), Some(&1000));
    assert!(speaker.get(|state| state.played.contains(&500)));
}
