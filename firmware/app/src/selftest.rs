//! `offhook selftest`: a test by ear of speaker, microphone, keys, hook, lamps, bell and
//! network. The test itself is clocked by the sound it makes, so that it runs as well in a test as
//! on a board.
//!
//! ```text
//! capture ─▶ SelfTest::process ─▶ playback          as many beeps as the step's number, then what the step does
//! BoardEvent ─▶ SelfTest::handle                    SelfTest::poll ─▶ lamps, bell, a look at the network, lines of the report, the end
//! address, or why there is none ─▶ SelfTest::network
//! ```
//!
//! What a board does not have is reported and skipped. At the end three rising tones say that all
//! is well; a low one, and the number of the step, that it is not.

mod outcome;
mod run;
pub(crate) mod wiring;

use std::collections::VecDeque;

use board::BoardEvent;
use types::Lamp;

pub(crate) use outcome::{Fault, Passed};
pub(crate) use run::{SelfTestError, run};

/// Level of every tone, about −16 dBm0.
const AMPLITUDE: f32 = 5000.0;
/// Softer than this is no microphone: −60 dB of full scale.
const QUIET: f64 = 33.0;
/// Seconds a person has for all keys, and for the hook.
const STEP_LIMITS: (f32, f32) = (60.0, 30.0);
/// Seconds a network has to come up: the self-test may have begun with the power.
const NETWORK: f32 = 20.0;
/// Seconds heard and played back.
const LISTENS: f32 = 3.0;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Speaker,
    Microphone,
    Keys,
    Hook,
    Lamps,
    Bell,
    Network,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Speaker,
        Self::Microphone,
        Self::Keys,
        Self::Hook,
        Self::Lamps,
        Self::Bell,
        Self::Network,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::Microphone => "microphone",
            Self::Keys => "keys",
            Self::Hook => "hook",
            Self::Lamps => "lamps",
            Self::Bell => "bell",
            Self::Network => "network",
        }
    }

    /// Its number, as it is beeped.
    fn number(self) -> usize {
        Self::ALL.iter().position(|step| *step == self).unwrap_or(0) + 1
    }
}

/// What there is to test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BoardParts {
    /// What is printed on its keys.
    pub(crate) keys: Vec<char>,
    pub(crate) hook: bool,
    pub(crate) lamps: bool,
    pub(crate) bell: bool,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Lamp(Lamp, bool),
    Ring(bool),
    /// Look whether there is a network, and report it to [`SelfTest::network`].
    CheckNetwork,
    /// A line of the report.
    Print(String),
    /// It is over: whether all was well.
    End(bool),
}

/// The test.
#[derive(Debug)]
pub(crate) struct SelfTest {
    rate: f32,
    parts: BoardParts,
    /// The step under way; past the last: the closing tones.
    step: usize,
    /// Frames since the step began.
    frame: usize,
    heard: Vec<i16>,
    /// Keys not pressed yet.
    missing: Vec<char>,
    /// The key that sounds, and until which frame.
    sounding: Option<(char, usize)>,
    /// The handset was seen lifted, and put down.
    hook_seen: (bool, bool),
    /// The network's answer, and at which frame it came.
    network: Option<(Result<Passed, Fault>, usize)>,
    /// What was switched in this step already.
    switched: usize,
    first_failed: Option<Step>,
    out: VecDeque<Action>,
}

impl SelfTest {
    pub(crate) fn new(rate_hz: u32, parts: BoardParts) -> Self {
        let mut test = Self {
            rate: rate_hz as f32,
            missing: parts.keys.clone(),
            parts,
            step: 0,
            frame: 0,
            heard: Vec::new(),
            sounding: None,
            hook_seen: (false, false),
            network: None,
            switched: 0,
            first_failed: None,
            out: VecDeque::new(),
        };
        test.announce();
        test
    }

    /// The board saw something.
    pub(crate) fn handle(&mut self, event: BoardEvent) {
        match (self.current(), event) {
            (Some(Step::Keys), BoardEvent::KeyDown(key)) => {
                self.missing.retain(|missing| *missing != key);
                self.sounding = Some((key, self.frame + (0.2 * self.rate) as usize));
            }
            (Some(Step::Hook), BoardEvent::Hook(off)) => {
                if off {
                    self.hook_seen.0 = true;
                } else {
                    self.hook_seen.1 = true;
                }
            }
            (_, _) => {}
        }
    }

    /// What a look at the network found: an address, or why there is none.
    pub(crate) fn network(&mut self, found: Result<Passed, Fault>) {
        if self.current() == Some(Step::Network) && !matches!(self.network, Some((Ok(_), _))) {
            self.network = Some((found, self.frame));
        }
    }

    /// One period of sound: what the microphone gave, what the ear gets.
    pub(crate) fn process(&mut self, capture: &[i16], playback: &mut [i16]) {
        for (at, out) in playback.iter_mut().enumerate() {
            let heard = capture.get(at).copied().unwrap_or(0);
            *out = self.sample(heard);
            self.frame += 1;
        }
        self.switch();
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    fn current(&self) -> Option<Step> {
        Step::ALL.get(self.step).copied()
    }

    /// Seconds since the step's own part began, after its beeps.
    fn inside(&self) -> f32 {
        let beeps = self.current().map_or(0, Step::number) as f32 * 0.3 + 0.4;
        self.frame as f32 / self.rate - beeps
    }

    fn sample(&mut self, heard: i16) -> i16 {
        let Some(step) = self.current() else {
            return self.closing();
        };
        let inside = self.inside();
        if inside < 0.0 {
            let within = (self.frame as f32 / self.rate) % 0.3;
            let beeping =
                (self.frame as f32 / self.rate) < step.number() as f32 * 0.3 && within < 0.15;
            return if beeping { self.tone(1000.0, 0.0) } else { 0 };
        }
        match step {
            Step::Speaker if inside < 2.0 => self.tone(440.0, 0.0),
            Step::Microphone if inside < LISTENS => {
                self.heard.push(heard);
                0
            }
            Step::Microphone if inside < 2.0 * LISTENS => {
                let at = self
                    .heard
                    .len()
                    .min(((inside - LISTENS) * self.rate) as usize);
                self.heard.get(at).copied().unwrap_or(0)
            }
            Step::Keys => match self.sounding {
                Some((key, until)) if self.frame < until => {
                    let (row, column) = dtmf(key);
                    self.tone(row, column)
                }
                Some(_) | None => 0,
            },
            // A high tone: there is a network.
            Step::Network => match &self.network {
                Some((Ok(_), since)) if (self.frame - since) as f32 <= 0.6 * self.rate => {
                    self.tone(880.0, 0.0)
                }
                Some(_) | None => 0,
            },
            Step::Speaker | Step::Microphone | Step::Hook | Step::Lamps | Step::Bell => 0,
        }
    }

    /// The sum of two sines; 0 is none.
    fn tone(&self, first: f32, second: f32) -> i16 {
        let seconds = self.frame as f64 / f64::from(self.rate);
        let sine = |hz: f32| {
            if hz > 0.0 {
                (std::f64::consts::TAU * f64::from(hz) * seconds).sin() as f32
            } else {
                0.0
            }
        };
        let share = if second > 0.0 { 0.5 } else { 1.0 };
        ((sine(first) + sine(second)) * share * AMPLITUDE) as i16
    }

    fn closing(&self) -> i16 {
        let at = self.frame as f32 / self.rate;
        match self.first_failed {
            None if at < 0.6 => self.tone([523.0, 659.0, 784.0][(at / 0.2) as usize % 3], 0.0),
            Some(_) if at < 1.0 => self.tone(200.0, 0.0),
            Some(step)
                if at > 1.3 && at < 1.3 + 0.4 * step.number() as f32 && (at - 1.3) % 0.4 < 0.2 =>
            {
                self.tone(1000.0, 0.0)
            }
            Some(_) | None => 0,
        }
    }

    /// After each period: lamps, bell, and whether the step is over.
    fn switch(&mut self) {
        let Some(step) = self.current() else {
            let length = self
                .first_failed
                .map_or(0.8, |step| 1.5 + 0.4 * step.number() as f32);
            if self.frame as f32 / self.rate >= length && self.switched == 0 {
                self.switched = 1;
                self.out.push_back(Action::End(self.first_failed.is_none()));
            }
            return;
        };
        let inside = self.inside();
        if inside < 0.0 {
            return;
        }
        match step {
            Step::Speaker if inside >= 2.0 => self.next(&Ok(Passed::TonePlayed)),
            Step::Microphone if inside >= 2.0 * LISTENS => {
                let sum: f64 = self
                    .heard
                    .iter()
                    .map(|sample| f64::from(*sample).powi(2))
                    .sum();
                let level = (sum / self.heard.len().max(1) as f64).sqrt();
                let decibel = 20.0 * (level.max(0.1) / 32_768.0).log10();
                let outcome = if level > QUIET {
                    Ok(Passed::Recorded { decibel })
                } else {
                    Err(Fault::Silence { decibel })
                };
                self.next(&outcome);
            }
            Step::Keys
                if self.missing.is_empty()
                    && self.sounding.is_none_or(|(_, until)| self.frame >= until) =>
            {
                self.next(&Ok(Passed::EveryKey));
            }
            Step::Keys if inside > STEP_LIMITS.0 => {
                let missing = self.missing.clone();
                self.next(&Err(Fault::Keys { missing }));
            }
            Step::Hook if self.hook_seen == (true, true) => {
                self.next(&Ok(Passed::HookMoved));
            }
            Step::Hook if inside > STEP_LIMITS.1 => {
                let (lifted, put_down) = self.hook_seen;
                self.next(&Err(Fault::Hook { lifted, put_down }));
            }
            Step::Lamps => self.light(inside),
            Step::Bell => self.ring(inside),
            Step::Network => self.connect(inside),
            Step::Speaker | Step::Microphone | Step::Keys | Step::Hook => {}
        }
    }

    /// One lamp after the other, a second each.
    fn light(&mut self, inside: f32) {
        const LAMPS: [Lamp; 3] = [Lamp::Line, Lamp::InUse, Lamp::Message];
        while self.switched as f32 <= inside && self.switched <= LAMPS.len() {
            if let Some(before) = self.switched.checked_sub(1) {
                self.out.push_back(Action::Lamp(LAMPS[before], false));
            }
            match LAMPS.get(self.switched) {
                Some(lamp) => self.out.push_back(Action::Lamp(*lamp, true)),
                None => {
                    return self.next(&Ok(Passed::LampsLit));
                }
            }
            self.switched += 1;
        }
    }

    /// On, off, on, off: a second each.
    fn ring(&mut self, inside: f32) {
        while self.switched as f32 <= inside {
            if self.switched == 4 {
                return self.next(&Ok(Passed::BellRang));
            }
            self.out
                .push_back(Action::Ring(self.switched.is_multiple_of(2)));
            self.switched += 1;
        }
    }

    /// A look each second until there is an address, which then sounds.
    fn connect(&mut self, inside: f32) {
        match &self.network {
            Some((Ok(_), since)) => {
                if (self.frame - since) as f32 > 0.8 * self.rate
                    && let Some((outcome, _)) = self.network.take()
                {
                    self.next(&outcome);
                }
            }
            Some((Err(_), _)) if inside > NETWORK => {
                if let Some((outcome, _)) = self.network.take() {
                    self.next(&outcome);
                }
            }
            Some((Err(_), _)) | None => {
                if self.switched as f32 <= inside {
                    self.out.push_back(Action::CheckNetwork);
                    self.switched += 1;
                }
            }
        }
    }

    /// The step is over.
    fn next(&mut self, outcome: &Result<Passed, Fault>) {
        if let Some(step) = self.current() {
            let (word, text) = match outcome {
                Ok(passed) => ("ok", passed.to_string()),
                Err(fault) => ("FAILED", fault.to_string()),
            };
            self.out.push_back(Action::Print(format!(
                "{} {:<10} {word}: {text}",
                step.number(),
                step.name()
            )));
            if outcome.is_err() && self.first_failed.is_none() {
                self.first_failed = Some(step);
            }
        }
        self.step += 1;
        self.announce();
    }

    /// Begins the next step there is.
    fn announce(&mut self) {
        (self.frame, self.switched) = (0, 0);
        while let Some(step) = self.current() {
            let there = match step {
                Step::Speaker | Step::Microphone | Step::Network => true,
                Step::Keys => !self.parts.keys.is_empty(),
                Step::Hook => self.parts.hook,
                Step::Lamps => self.parts.lamps,
                Step::Bell => self.parts.bell,
            };
            if there {
                let asks = match step {
                    Step::Speaker => "listen: a long tone",
                    Step::Microphone => {
                        "after the beeps speak for three seconds; then you hear yourself"
                    }
                    Step::Keys => "press every key once; each answers with its tone",
                    Step::Hook => "put the handset down and lift it again",
                    Step::Lamps => "look: line, in use, messages",
                    Step::Bell => "listen: the bell",
                    Step::Network => "a high tone says that the phone has an address",
                };
                self.out.push_back(Action::Print(format!(
                    "{} {:<10} {asks}",
                    step.number(),
                    step.name()
                )));
                return;
            }
            self.out.push_back(Action::Print(format!(
                "{} {:<10} this board has none",
                step.number(),
                step.name()
            )));
            self.step += 1;
        }
    }
}

/// The tone pair of a key (ITU-T Q.23).
fn dtmf(key: char) -> (f32, f32) {
    const ROWS: [(&str, f32); 4] = [
        ("123A", 697.0),
        ("456B", 770.0),
        ("789C", 852.0),
        ("*0#D", 941.0),
    ];
    const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    ROWS.iter()
        .find_map(|(keys, row)| keys.find(key).map(|column| (*row, COLUMNS[column])))
        .unwrap_or((400.0, 0.0))
}

#[cfg(test)]
mod tests;
