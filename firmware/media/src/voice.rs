//! What is done to the microphone's sound before it is coded, each part by a setting of the board.
//!
//! ```text
//! microphone (echo taken out) ─▶ HighPass ─▶ NoiseSuppressor ─▶ GainControl ─▶ NoiseGate ─▶ encoder
//! ```
//!
//! It works at the card's rate. Only the noise suppressor adds delay, a period of the card. Nothing
//! allocates after `new`.

mod gain;
mod gate;
mod high_pass;
mod noise;

use gain::GainControl;
use gate::NoiseGate;
use high_pass::HighPass;
use noise::NoiseSuppressor;

/// Which parts are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VoiceOptions {
    /// Rumble below 100 Hz is taken out.
    pub high_pass: bool,
    /// Steady noise is lowered.
    pub noise_suppression: bool,
    /// Talk is brought to one level, slowly.
    pub gain_control: bool,
    /// Between what is said the far end hears a soft noise in place of the room.
    pub noise_gate: bool,
}

/// The parts that are wanted, for one card.
pub struct VoiceProcessor {
    high_pass: Option<HighPass>,
    noise: Option<NoiseSuppressor>,
    gain: Option<GainControl>,
    gate: Option<NoiseGate>,
}

impl VoiceProcessor {
    /// For a card of this rate and period; `None` where nothing is wanted.
    pub fn new(options: VoiceOptions, rate_hz: u32, period_frames: usize) -> Option<Self> {
        if options == VoiceOptions::default() || rate_hz == 0 || period_frames == 0 {
            return None;
        }
        Some(Self {
            high_pass: options.high_pass.then(|| HighPass::new(rate_hz)),
            noise: options
                .noise_suppression
                .then(|| NoiseSuppressor::new(rate_hz, period_frames)),
            gain: options
                .gain_control
                .then(|| GainControl::new(rate_hz, period_frames)),
            gate: options
                .noise_gate
                .then(|| NoiseGate::new(rate_hz, period_frames)),
        })
    }

    /// One period of the microphone, in place.
    pub fn process(&mut self, sound: &mut [i16]) {
        if let Some(high_pass) = &mut self.high_pass {
            high_pass.process(sound);
        }
        if let Some(noise) = &mut self.noise {
            noise.process(sound);
        }
        if let Some(gain) = &mut self.gain {
            gain.process(sound);
        }
        if let Some(gate) = &mut self.gate {
            gate.process(sound);
        }
    }
}

#[cfg(test)]
mod tests;
