//! How a PCM is opened: which rate, format, channels, period and buffer; and the error when none
//! will do.
//!
//! ```text
//! PCM names ─▶ common_rate ─▶ configure (each side) ─▶ Side, or OpenProblem ─▶ "what is wrong; the help"
//! ```

use std::path::Path;

use alsa::ValueOr;
use alsa::pcm::{Access, Format, HwParams, PCM};
use types::MicrophoneChannel;

use super::super::layout::{Layout, Sample};
use super::super::{AudioRequest, cards};
use super::{LONGEST_PERIOD_MS, Side};
use crate::rights;

/// Rates tried after the one asked for, best first.
pub(super) const RATES: [u32; 8] = [
    48_000, 16_000, 8000, 44_100, 32_000, 96_000, 24_000, 192_000,
];

/// Where the kernel has its sound cards. For one that this user may not open, alsa-lib says that it
/// is not there.
const DEVICES: &str = "/dev/snd";

/// Why a PCM cannot be used.
pub(super) enum OpenProblem {
    System(alsa::Error),
    Format,
    Channels(u32, u32),
    Rate(String),
    Period(usize, u32),
    Descriptors(usize),
}

impl std::fmt::Display for OpenProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(e) => write!(f, "{}", std::io::Error::from_raw_os_error(e.errno().abs())),
            Self::Format => f.write_str("offers none of S16_LE, S32_LE, S24_LE, S24_3LE"),
            Self::Channels(from, to) => write!(f, "wants {from} to {to} channels"),
            Self::Rate(wanted) => write!(f, "has no sample rate in common with `{wanted}`"),
            Self::Period(frames, rate) => write!(
                f,
                "cannot do periods below {} ms",
                *frames as u64 * 1000 / u64::from((*rate).max(1))
            ),
            Self::Descriptors(count) => write!(f, "has {count} poll descriptors"),
        }
    }
}

impl OpenProblem {
    pub(super) fn help(&self, device: &str) -> String {
        match self {
            Self::System(e) => match e.errno().abs() {
                libc::ENOENT | libc::ENODEV | libc::ENXIO => {
                    if rights::any_locked_out(Path::new(DEVICES), "control") {
                        rights::help("audio")
                    } else {
                        cards()
                    }
                }
                libc::EBUSY => {
                    format!(
                        "another program holds it: `fuser -v /dev/snd/*` names it; stop it, or use \
                         another card than {device}"
                    )
                }
                libc::EACCES | libc::EPERM => rights::help("audio"),
                _ => "try it with `arecord`/`aplay -D`; a `plughw:` name converts what the card \
                      cannot"
                    .to_owned(),
            },
            Self::Format | Self::Channels(..) | Self::Rate(_) => {
                "use the `plughw:` or `plug:` form of its name: alsa-lib converts".to_owned()
            }
            Self::Period(..) | Self::Descriptors(_) => "use the `hw:` device itself, not a plugin \
                                                        in front of it"
                .to_owned(),
        }
    }
}

/// `PulseAudio` or `PipeWire`, not a card: alsa-lib says so only in its description of the PCM.
pub(super) fn is_sound_server(pcm: &PCM) -> bool {
    let Ok(mut text) = alsa::Output::buffer_open() else {
        return false;
    };
    pcm.dump(&mut text).is_ok()
        && ["PulseAudio", "PipeWire"]
            .iter()
            .any(|name| text.to_string().contains(name))
}

/// `asked_hz` if both can do it, else the first of the usual ones.
pub(super) fn common_rate(
    capture: &PCM,
    playback: &PCM,
    asked_hz: u32,
    request: &AudioRequest,
) -> Result<u32, (String, OpenProblem)> {
    let params =
        |pcm, name: &str| HwParams::any(pcm).map_err(|e| (name.to_owned(), OpenProblem::System(e)));
    let (c, p) = (
        params(capture, &request.capture)?,
        params(playback, &request.playback)?,
    );
    // Conversion by plugins is switched off: a rate the hardware has is always there among the
    // usual ones.
    let _ = c.set_rate_resample(false);
    let _ = p.set_rate_resample(false);
    std::iter::once(asked_hz)
        .chain(RATES)
        .find(|&rate| c.test_rate(rate).is_ok() && p.test_rate(rate).is_ok())
        .ok_or_else(|| {
            (
                request.capture.clone(),
                OpenProblem::Rate(request.playback.clone()),
            )
        })
}

/// Negotiates format, channels, period and buffer of one direction.
pub(super) fn configure(
    pcm: PCM,
    rate_hz: u32,
    period: usize,
    periods: usize,
    microphone: MicrophoneChannel,
) -> Result<Side, OpenProblem> {
    let layout;
    let (got_period, got_buffer);
    {
        let hw = HwParams::any(&pcm).map_err(OpenProblem::System)?;
        let _ = hw.set_rate_resample(false);
        hw.set_access(Access::RWInterleaved)
            .map_err(OpenProblem::System)?;
        let formats = [
            (Format::S16LE, Sample::S16),
            (Format::S32LE, Sample::S32),
            (Format::S24LE, Sample::S24),
            (Format::S243LE, Sample::S24In3),
        ];
        let (format, sample) = formats
            .into_iter()
            .find(|(format, _)| hw.test_format(*format).is_ok())
            .ok_or(OpenProblem::Format)?;
        hw.set_format(format).map_err(OpenProblem::System)?;
        // One channel of two is wanted: a plugin that offers one would mix them.
        let first = if microphone == MicrophoneChannel::Mix {
            1
        } else {
            2
        };
        let channels = (first..=8)
            .chain(std::iter::once(1))
            .find(|&channels| hw.test_channels(channels).is_ok())
            .ok_or_else(|| {
                OpenProblem::Channels(
                    hw.get_channels_min().unwrap_or_default(),
                    hw.get_channels_max().unwrap_or_default(),
                )
            })?;
        hw.set_channels(channels).map_err(OpenProblem::System)?;
        hw.set_rate(rate_hz, ValueOr::Nearest)
            .map_err(OpenProblem::System)?;
        got_period = hw
            .set_period_size_near(period as _, ValueOr::Nearest)
            .map_err(OpenProblem::System)? as usize;
        hw.set_buffer_size_near((got_period.max(period) * periods) as _)
            .map_err(OpenProblem::System)?;
        pcm.hw_params(&hw).map_err(OpenProblem::System)?;
        got_buffer = hw.get_buffer_size().map_err(OpenProblem::System)? as usize;
        layout = Layout {
            sample,
            channels: channels as usize,
            microphone,
        };
    }
    if got_period == 0
        || got_period as u64 * 1000 > u64::from(LONGEST_PERIOD_MS) * u64::from(rate_hz)
    {
        return Err(OpenProblem::Period(got_period, rate_hz));
    }
    {
        let sw = pcm.sw_params_current().map_err(OpenProblem::System)?;
        // Only `start` starts it: the prefill must not.
        let never = sw.get_boundary().map_err(OpenProblem::System)?;
        sw.set_start_threshold(never).map_err(OpenProblem::System)?;
        sw.set_avail_min(got_period.min(period) as _)
            .map_err(OpenProblem::System)?;
        pcm.sw_params(&sw).map_err(OpenProblem::System)?;
    }
    let bytes = vec![0; (got_period.max(period) + 1) * layout.frame()];
    Ok(Side {
        pcm,
        layout,
        buffer: got_buffer,
        period: got_period,
        bytes,
    })
}
