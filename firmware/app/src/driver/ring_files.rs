//! Recordings to ring with: files of the card, checked and decoded on a thread of their own.
//!
//! ```text
//! audio.ring_sound, ring_sounds ─▶ names ─▶ read (type, size) ─▶ WAV | Ogg, Opus (length) ─▶ card's rate ─▶ DriverEvent::RingClips
//!                                              └─ anything wrong: one line that names the file; the phone's own bell rings
//! ```

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use board::audio::{Recording, WavError};
use media::RingClip;
use media::speech::SpeechError;
use ogg::reading::{OggReadError, PacketReader};
use tokio::sync::mpsc;

use super::event::DriverEvent;

/// Most bytes of a file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Longest recording, in seconds.
const MAX_SECONDS: u32 = 20;
/// What the first two packets of an Opus stream begin with (RFC 7845 section 5).
const OPUS_HEAD: &[u8] = b"OpusHead";
const OPUS_TAGS: &[u8] = b"OpusTags";

/// Why a file cannot be rung with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RingFileError {
    #[error("{0}; put it beside offhook.toml")]
    File(#[from] std::io::Error),
    #[error("{0}; make one with `sox IN -r 16000 -c 1 -b 16 OUT.wav trim 0 {MAX_SECONDS}`")]
    Wav(#[from] WavError),
    #[error("it is no Ogg file ({0})")]
    Ogg(#[from] OggReadError),
    #[error("it is neither WAV nor Opus in an Ogg file")]
    Unknown,
    #[error("it has {0} channels, and at most 2 can be played")]
    Channels(u8),
    #[error("it is longer than {MAX_SECONDS} s")]
    TooLong,
    #[error("its sound cannot be decoded: {0}")]
    Decode(SpeechError),
    #[error("there is no sound in it")]
    Empty,
}

/// The files that the configuration names, each once.
pub(crate) fn names(config: &config::Config) -> Vec<String> {
    let audio = &config.audio;
    let each = audio.ring_sounds.iter().map(|(_, sound)| sound);
    let mut names: Vec<String> = std::iter::once(&audio.ring_sound)
        .chain(each)
        .filter_map(|sound| sound.file().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The files, and the card's rate they were decoded for last.
pub(super) struct RingFiles {
    folder: PathBuf,
    names: Vec<String>,
    rate_hz: Option<u32>,
    events: mpsc::Sender<DriverEvent>,
}

impl RingFiles {
    pub(super) fn new(
        folder: PathBuf,
        config: &config::Config,
        events: mpsc::Sender<DriverEvent>,
    ) -> Self {
        Self {
            folder,
            names: names(config),
            rate_hz: None,
            events,
        }
    }

    /// Has them decoded for a card, once; [`DriverEvent::RingClips`] follows.
    pub(super) fn decode_for(&mut self, rate_hz: u32) {
        if self.names.is_empty() || self.rate_hz == Some(rate_hz) {
            return;
        }
        self.rate_hz = Some(rate_hz);
        let (folder, names) = (self.folder.clone(), self.names.clone());
        let events = self.events.clone();
        let started = std::thread::Builder::new()
            .name("offhook-rings".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                let clips = decode_all(&folder, names, rate_hz);
                // The phone may have ended meanwhile.
                let _ = events.blocking_send(DriverEvent::RingClips(clips));
            });
        if let Err(error) = started {
            tracing::error!("ring sounds: no thread to decode them on: {error}");
        }
    }
}

/// Every file that can be rung with; of each other one line says why not.
fn decode_all(folder: &Path, names: Vec<String>, rate_hz: u32) -> Vec<(String, Arc<RingClip>)> {
    let mut clips = Vec::new();
    for name in names {
        match load(&folder.join(&name), rate_hz) {
            Ok(clip) => clips.push((name, Arc::new(clip))),
            Err(error) => tracing::error!("ring sound {name}: {error}; the phone's own bell rings"),
        }
    }
    clips
}

/// One file, at the card's rate.
pub(crate) fn load(path: &Path, rate_hz: u32) -> Result<RingClip, RingFileError> {
    decode(&board::files::read(path, MAX_BYTES)?, rate_hz)
}

/// What it is counts, not how its name ends.
fn decode(bytes: &[u8], rate_hz: u32) -> Result<RingClip, RingFileError> {
    let samples = if bytes.starts_with(b"RIFF") {
        let recording = Recording::parse(Cursor::new(bytes), bytes.len(), MAX_SECONDS)?;
        recording.at_rate(rate_hz).samples
    } else if bytes.starts_with(b"OggS") {
        decode_opus(bytes, rate_hz)?
    } else {
        return Err(RingFileError::Unknown);
    };
    if samples.is_empty() {
        return Err(RingFileError::Empty);
    }
    Ok(RingClip::new(samples, rate_hz))
}

/// Opus in an Ogg file (RFC 7845); other streams in it are passed over.
fn decode_opus(bytes: &[u8], rate_hz: u32) -> Result<Vec<i16>, RingFileError> {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    let mut stream = None;
    let mut packets: Vec<Vec<u8>> = Vec::new();
    while let Some(packet) = reader.read_packet()? {
        let serial = packet.stream_serial();
        match stream {
            None if packet.data.starts_with(OPUS_HEAD) => {
                let channels = packet.data.get(9).copied().unwrap_or(0);
                if !(1..=2).contains(&channels) {
                    return Err(RingFileError::Channels(channels));
                }
                stream = Some(serial);
            }
            Some(own) if own == serial && !packet.data.starts_with(OPUS_TAGS) => {
                packets.push(packet.data);
            }
            None | Some(_) => {}
        }
    }
    if stream.is_none() {
        return Err(RingFileError::Unknown);
    }
    let most = MAX_SECONDS as usize * 48_000;
    let sound = packets.iter().map(Vec::as_slice).filter(|p| !p.is_empty());
    media::speech::decode_at_most(
        sound,
        rate_hz,
        most.min(rate_hz as usize * MAX_SECONDS as usize),
    )
    .map_err(|error| match error {
        SpeechError::TooLong => RingFileError::TooLong,
        other => RingFileError::Decode(other),
    })
}

#[cfg(test)]
mod tests;
