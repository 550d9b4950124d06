//! The board and the phone's own files: `[board]`, `[board.audio]`, `[control]`.

use super::{Section, Setting, WhenUnset, path, setting};
use crate::schema::{EchoCancelling, RingerChoice};
use crate::value::{ValueKind, Wiring};

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Board, "profile", ValueKind::Folder, WhenUnset::Default("\"sim\""),
        "\"rpi-zero2w\"",
        |c, v| c.board.profile = v.text(),
        "Name of the board's profile, or `sim` for a simulated board."),
    setting(Section::Board, "profile_dir", ValueKind::Path,
        WhenUnset::Default("\"/usr/share/offhook/profiles\""), "\"board/profiles\"",
        |c, v| c.board.profile_dir = path(v),
        "Directory that holds the board profiles."),
    setting(Section::Board, "ringer", ValueKind::Choice(&["bell", "buzzer", "sound", "none"]),
        WhenUnset::Means("as the board's profile says, `sound` where it has no ringer"),
        "\"buzzer\"",
        |c, v| c.board.ringer = RingerChoice::from_name(&v.text()),
        "What rings: a bell between the two lines of the profile's ringer, a buzzer on the first, \
         a sound the card plays, or nothing."),

    setting(Section::BoardAudio, "capture", ValueKind::Device(true),
        WhenUnset::Means("as the board's profile says"), "\"hw:0\"",
        |c, v| c.board.audio.capture = Some(v.text()),
        "Microphone: an ALSA device, `wav:FILE` to play a file into the phone, or `silence`."),
    setting(Section::BoardAudio, "playback", ValueKind::Device(false),
        WhenUnset::Means("as the board's profile says"), "\"wav:/tmp/ear.wav\"",
        |c, v| c.board.audio.playback = Some(v.text()),
        "Earpiece: an ALSA device, `wav:FILE` to record what is heard, or `null`."),
    setting(Section::BoardAudio, "rate_hz", ValueKind::Number(8000, 192_000),
        WhenUnset::Means("as the board's profile says"), "48000",
        |c, v| c.board.audio.rate_hz = Some(v.number() as u32),
        "Sample rate in Hz; the nearest the sound card supports is used."),
    setting(Section::BoardAudio, "period_ms", ValueKind::Number(2, 20),
        WhenUnset::Means("as the board's profile says"), "10",
        |c, v| c.board.audio.period_ms = Some(v.number() as u32),
        "Length of the card's period in milliseconds."),
    setting(Section::BoardAudio, "speaker_rate_hz", ValueKind::Number(8000, 192_000),
        WhenUnset::Means("as `rate_hz`"), "44100",
        |c, v| c.board.audio.speaker_rate_hz = Some(v.number() as u32),
        "Sample rate of `audio.speaker_card` in Hz; the nearest it supports is used."),
    setting(Section::BoardAudio, "speaker_period_ms", ValueKind::Number(2, 20),
        WhenUnset::Means("as `period_ms`"), "10",
        |c, v| c.board.audio.speaker_period_ms = Some(v.number() as u32),
        "Length of its period in milliseconds."),
    setting(Section::BoardAudio, "periods", ValueKind::Wiring(Wiring::Number(2, 8)),
        WhenUnset::Means("as the board's profile says"), "3",
        |c, v| c.hardware.set("audio", "periods", v.text()),
        "Periods that are buffered ahead."),
    setting(Section::BoardAudio, "mixer", ValueKind::Wiring(Wiring::Mixer),
        WhenUnset::Means("as the board's profile says"),
        "[{ control = \"Headphone\", volume = 85 }]",
        |c, v| c.hardware.set("audio", "mixer", v.text()),
        "Settings of the card's mixer, made when it is opened: `control` with `volume` (percent), \
         `switch` or `choice`, as `amixer` names them."),
    setting(Section::BoardAudio, "tone_level_dbm0", ValueKind::Number(-30, -3),
        WhenUnset::Means("the phone's own"), "-13",
        |c, v| c.board.audio.tone_level_dbm0 = Some(v.number() as i8),
        "Level of key tones and call progress tones in dBm0."),
    setting(Section::BoardAudio, "echo_canceller", ValueKind::Choice(&["off", "auto", "on"]),
        WhenUnset::Default("\"off\""), "\"auto\"",
        |c, v| c.board.audio.echo_canceller = match v.text().as_str() {
            "auto" => EchoCancelling::Auto,
            "on" => EchoCancelling::On,
            _ => EchoCancelling::Off,
        },
        "Takes the loudspeaker's sound out of the microphone's: for hands-free talking and \
         handsets that leak. `auto` works while there is an echo; it adds one period of the card \
         to the delay."),

    setting(Section::BoardAudio, "high_pass", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.board.audio.high_pass = v.bool(),
        "`true`: what the microphone hears below 100 Hz is taken out: rumble, and hands on the \
         table."),
    setting(Section::BoardAudio, "noise_suppression", ValueKind::Bool,
        WhenUnset::Default("false"), "true",
        |c, v| c.board.audio.noise_suppression = v.bool(),
        "`true`: steady noise in the microphone is lowered by up to 15 dB, talk is not; adds one \
         period of the card to the delay. For hands-free talking; a handset in a quiet room has no \
         need of it."),
    setting(Section::BoardAudio, "gain_control", ValueKind::Bool, WhenUnset::Default("false"),
        "true",
        |c, v| c.board.audio.gain_control = v.bool(),
        "`true`: the microphone is made louder or softer, slowly, until talk has its usual level; \
         for hands-free talking from different distances."),
    setting(Section::BoardAudio, "noise_gate", ValueKind::Bool, WhenUnset::Default("false"),
        "true",
        |c, v| c.board.audio.noise_gate = v.bool(),
        "`true`: between what is said the microphone is closed, and the far end hears a soft noise \
         in place of the room. For loud rooms; it may cut the beginning of a soft word."),

    setting(Section::Control, "socket", ValueKind::Path,
        WhenUnset::Default("\"/run/offhook/ctl.sock\""), "\"/tmp/ctl.sock\"",
        |c, v| c.control.socket = path(v),
        "Path of the socket that `offhook ctl` connects to."),
    setting(Section::Control, "state_dir", ValueKind::Path,
        WhenUnset::Default("\"/var/lib/offhook\""), "\"/tmp/offhook\"",
        |c, v| c.control.state_dir = path(v),
        "Directory for the last good configuration and other state."),
];
