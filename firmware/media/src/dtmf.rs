//! Keys within a call (RFC 4733), both ways, and their sound.
//!
//! ```text
//! press, release ─▶ Sender queue ─▶ tick each ptime ─▶ event packets in place of sound
//! event packets ─▶ Receiver ─▶ each key once
//! decoded sound ─▶ Detector ─▶ each key once, where the far end has no events
//! key ─▶ tone() ─▶ ToneGenerator (key tone in the ear, or in-band digits)
//! ```

pub(crate) mod detector;

use heapless::Deque;
use types::Key;

use crate::tone::{MAX_FREQUENCIES, MAX_SEGMENTS, Mix, ToneSegment, ToneSpec};

/// A hook flash (RFC 4733 section 3.2, as in RFC 2833).
pub const FLASH_EVENT: u8 = 16;

/// Bytes of an event payload.
pub const PAYLOAD_LEN: usize = 4;
/// Presses that may wait while one is sent.
pub const QUEUE: usize = 32;
/// Shortest key that leaves us, in ms: what receivers must recognise is 40 (ITU-T Q.24), most real
/// keys are longer.
pub const MIN_TONE_MS: u32 = 50;
/// Shortest key that leaves us as a tone, in ms: a codec and a lost packet may take some of it.
pub const MIN_INBAND_MS: u32 = 80;
/// Shortest pause between two keys, in ms.
pub const MIN_GAP_MS: u32 = 50;
/// Level written into event packets: power below 0 dBm0, in dB (RFC 4733 §2.3.3).
pub const VOLUME: u8 = 10;
/// How often the last packet of an event is sent (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;

/// How long digits last and lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Shortest digit in ms; `None`: [`MIN_TONE_MS`] as an event, [`MIN_INBAND_MS`] as a tone.
    pub shortest_ms: Option<u16>,
    /// Shortest pause between two digits in ms.
    pub gap_ms: u16,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            shortest_ms: None,
            gap_ms: MIN_GAP_MS as u16,
        }
    }
}

/// An event packet to be sent in place of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// Marker bit: the first packet of an event.
    pub marker: bool,
    /// Timestamp: the start of the event (or of its segment), the same in all its packets.
    pub timestamp: u32,
    /// The payload.
    pub payload: [u8; PAYLOAD_LEN],
}

#[derive(Debug, Clone, Copy)]
struct Press {
    event: u8,
    /// The key was released before the event's turn came.
    released: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    /// Sending: the event, its timestamp, how long it lasts so far in this segment and in all, and
    /// whether it is let go.
    Active {
        event: u8,
        timestamp: u32,
        segment: u32,
        total: u32,
        first: bool,
        released: bool,
    },
    /// The end is being repeated.
    Ending {
        event: u8,
        timestamp: u32,
        duration: u16,
        left: u8,
        gap: u32,
    },
    /// Silence before the next key.
    Gap {
        left: u32,
    },
}

/// Turns presses into event packets, one at most each packet time.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: Deque<Press, QUEUE>,
    state: State,
    /// Event clock ticks in one packet time.
    step: u32,
    /// Sound clock ticks for an event clock tick, as a fraction: the timestamp runs on the sound's
    /// clock.
    sound_hz: u32,
    event_hz: u32,
    timing: Timing,
}

impl Sender {
    /// `event_hz`: the clock of `telephone-event/…`; `sound_hz`: the clock of the stream's
    /// timestamps.
    pub fn new(event_hz: u32, sound_hz: u32, ptime_ms: u8) -> Self {
        let event_hz = event_hz.max(1000);
        Self {
            queue: Deque::new(),
            state: State::Idle,
            step: event_hz / 1000 * u32::from(ptime_ms.max(1)),
            sound_hz,
            event_hz,
            timing: Timing::default(),
        }
    }

    /// Other lengths than the usual ones.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// A key goes down. `false`: the queue is full (or the event unknown) and the press is dropped.
    pub fn press(&mut self, event: u8) -> bool {
        event <= FLASH_EVENT
            && self
                .queue
                .push_back(Press {
                    event,
                    released: false,
                })
                .is_ok()
    }

    /// A key goes up: the earliest press of it that is still down.
    pub fn release(&mut self, event: u8) {
        match &mut self.state {
            State::Active {
                event: active,
                released,
                ..
            } if *active == event && !*released => {
                *released = true;
                return;
            }
            State::Idle | State::Active { .. } | State::Ending { .. } | State::Gap { .. } => {}
        }
        if let Some(press) = self
            .queue
            .iter_mut()
            .find(|press| press.event == event && !press.released)
        {
            press.released = true;
        }
    }

    /// Whether a key is being sent or waits.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle) || !self.queue.is_empty()
    }

    /// Called once each packet time with the timestamp the sound of this packet would have. `Some`:
    /// send this instead of sound; `None`: send sound.
    pub fn tick(&mut self, timestamp: u32) -> Option<EventPacket> {
        if let State::Gap { left } = self.state {
            let left = left.saturating_sub(self.step);
            self.state = if left == 0 {
                State::Idle
            } else {
                State::Gap { left }
            };
        }
        if matches!(self.state, State::Idle) {
            let press = self.queue.pop_front()?;
            self.state = State::Active {
                event: press.event,
                timestamp,
                segment: 0,
                total: 0,
                first: true,
                released: press.released,
            };
        }
        match self.state {
            State::Idle | State::Gap { .. } => None,
            State::Active {
                event,
                timestamp: start,
                segment,
                total,
                first,
                released,
            } => Some(self.report(
                event,
                start,
                segment + self.step,
                total.saturating_add(self.step),
                first,
                released,
            )),
            State::Ending {
                event,
                timestamp,
                duration,
                left,
                gap,
            } => {
                let gap = gap.saturating_sub(self.step);
                self.state = match (left, gap) {
                    (2.., _) => State::Ending {
                        event,
                        timestamp,
                        duration,
                        left: left - 1,
                        gap,
                    },
                    (_, 0) => State::Idle,
                    (_, left) => State::Gap { left },
                };
                Some(EventPacket {
                    marker: false,
                    timestamp,
                    payload: payload(event, true, duration),
                })
            }
        }
    }

    fn report(
        &mut self,
        event: u8,
        timestamp: u32,
        segment: u32,
        total: u32,
        first: bool,
        released: bool,
    ) -> EventPacket {
        let ms = |ms: u32| self.event_hz / 1000 * ms;
        if segment > 0xFFFF {
            // Too long for the field: this segment ends without the E bit, the next begins where it
            // ended (§2.5.1.3). Its end is not repeated: the packets of the next segment say that
            // the event goes on.
            let ticks = (0xFFFF * u64::from(self.sound_hz) / u64::from(self.event_hz)) as u32;
            self.state = State::Active {
                event,
                timestamp: timestamp.wrapping_add(ticks),
                segment: segment - 0xFFFF,
                total,
                first: false,
                released,
            };
            return EventPacket {
                marker: first,
                timestamp,
                payload: payload(event, false, 0xFFFF),
            };
        }
        let duration = segment as u16;
        let shortest_ms = self.timing.shortest_ms.map_or(MIN_TONE_MS, u32::from);
        let ends = released && total >= ms(shortest_ms);
        self.state = if ends {
            State::Ending {
                event,
                timestamp,
                duration,
                left: END_PACKETS - 1,
                // The event ends with this packet time, the pause is counted from there.
                gap: ms(u32::from(self.timing.gap_ms)) + self.step,
            }
        } else {
            State::Active {
                event,
                timestamp,
                segment,
                total,
                first: false,
                released,
            }
        };
        EventPacket {
            marker: first,
            timestamp,
            payload: payload(event, ends, duration),
        }
    }
}

fn payload(event: u8, end: bool, duration: u16) -> [u8; PAYLOAD_LEN] {
    let [high, low] = duration.to_be_bytes();
    [event, (u8::from(end) << 7) | VOLUME, high, low]
}

/// Turns event packets into keys, each once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receiver {
    /// The event heard last: timestamp, code, longest duration, end seen.
    last: Option<(u32, u8, u16, bool)>,
}

/// An event as far back as this many ticks is an old packet, not a new key: 10 s at 48 kHz.
const OLD: u32 = 480_000;

impl Receiver {
    /// Nothing heard.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the payload of an event packet and its timestamp. `Some(code)`: a key went down, 0–15.
    /// Reported at the first packet of an event that comes, whichever it is; repeats, late packets
    /// and further segments report nothing.
    pub fn handle(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Option<u8> {
        let &[event, flags, high, low] = payload.first_chunk::<PAYLOAD_LEN>()?;
        let duration = u16::from_be_bytes([high, low]);
        let end = flags & 0x80 != 0;
        // Flash, modem and trunk events are not keys.
        if event > 15 {
            return None;
        }
        if let Some((last, code, longest, ended)) = &mut self.last {
            let ahead = timestamp.wrapping_sub(*last);
            if ahead == 0 {
                if *code == event {
                    *longest = duration.max(*longest);
                    *ended |= end;
                    return None;
                }
            } else if last.wrapping_sub(timestamp) < OLD {
                return None;
            } else if *code == event && !marker && !*ended && *longest >= 0xF000 && ahead < 0x7_0000
            {
                // The next segment of a key that is held for long (§2.5.1.3); on a 48 kHz clock the
                // step may be six times larger.
                *last = timestamp;
                *longest = duration;
                *ended = end;
                return None;
            }
        }
        self.last = Some((timestamp, event, duration, end));
        Some(event)
    }

    /// Whether the key heard last is still down, as far as its packets say.
    pub fn is_down(&self) -> bool {
        matches!(self.last, Some((_, _, _, false)))
    }
}

/// The two frequencies of a key in Hz, low group first (ITU-T Q.23).
pub fn frequencies_of(key: Key) -> (u16, u16) {
    let (row, column) = match key {
        Key::Digit(0) => (3, 1),
        Key::Digit(digit) => {
            let index = digit.clamp(1, 9) - 1;
            (index / 3, index % 3)
        }
        Key::Star => (3, 0),
        Key::Hash => (3, 2),
        Key::Letter(letter) => (letter.min(3), 3),
    };
    (
        [697, 770, 852, 941][usize::from(row)],
        [1209, 1336, 1477, 1633][usize::from(column)],
    )
}

/// The sound of a key until it is stopped, both frequencies together at `level_dbm0`.
pub fn tone(key: Key, level_dbm0: f32) -> ToneSpec {
    let (low, high) = frequencies_of(key);
    let mut frequencies_hz = [0; MAX_FREQUENCIES];
    frequencies_hz[..2].copy_from_slice(&[low, high]);
    let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
    segments[0] = ToneSegment {
        frequencies_hz,
        mix: Mix::Sum,
        length_ms: 0,
        repeat: false,
    };
    ToneSpec {
        segments,
        len: 1,
        level_dbm0,
    }
}

#[cfg(test)]
mod tests;
