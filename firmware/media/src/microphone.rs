//! The microphone's sound on its way to the encoders.
//!
//! ```text
//! capture ─▶ EchoCanceller ◀─ what was written to the card ─▶ VoiceProcessor ─▶ mute ─▶ streams
//! ```

use crate::echo::{EchoCanceller, EchoStats};
use crate::voice::VoiceProcessor;

/// What is done to it, and the period that came of it.
pub(crate) struct Microphone {
    pub(crate) echo: Option<Box<EchoCanceller>>,
    pub(crate) voice: Option<Box<VoiceProcessor>>,
    pub(crate) muted: bool,
    sound: Box<[i16]>,
}

impl Microphone {
    pub(crate) fn new(period_frames: usize) -> Self {
        Self {
            echo: None,
            voice: None,
            muted: false,
            sound: vec![0; period_frames].into_boxed_slice(),
        }
    }

    /// One period, as it is sent. Where nothing is to be done to it, it is not even copied.
    pub(crate) fn process<'a>(&'a mut self, capture: &'a [i16]) -> &'a [i16] {
        if self.echo.is_none() && self.voice.is_none() && !self.muted {
            return capture;
        }
        let n = capture.len().min(self.sound.len());
        self.sound[..n].copy_from_slice(&capture[..n]);
        self.sound[n..].fill(0);
        // Muted, too: they go on learning.
        if let Some(echo) = &mut self.echo {
            echo.process(&mut self.sound);
        }
        if let Some(voice) = &mut self.voice {
            voice.process(&mut self.sound);
        }
        if self.muted {
            self.sound.fill(0);
        }
        &self.sound
    }

    /// This was written to the card.
    pub(crate) fn written(&mut self, playback: &[i16]) {
        if let Some(echo) = &mut self.echo {
            echo.written(playback);
        }
    }

    /// Sound of the card was lost or repeated.
    pub(crate) fn handle_discontinuity(&mut self) {
        if let Some(echo) = &mut self.echo {
            echo.handle_discontinuity();
        }
    }

    /// What the echo canceller does, where there is one.
    pub(crate) fn echo_stats(&self) -> Option<EchoStats> {
        self.echo.as_ref().map(|echo| echo.stats())
    }
}
