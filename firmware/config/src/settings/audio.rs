//! What people set of the sound: `[audio]`.

use types::MicrophoneChannel;

use super::{Section, Setting, WhenUnset, setting};
use crate::schema::RingSound;
use crate::value::{TextFormat, ValueKind};

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Audio, "card", ValueKind::Device(true),
        WhenUnset::Means("as the board's profile says"), "\"hw:CARD=Device,DEV=0\"",
        |c, v| c.audio.card = Some(v.text()),
        "The sound card, for microphone and earpiece: an ALSA device. `offhook check --try` names \
         those there are. `[board.audio]` has a key for each direction, which goes before this."),
    setting(Section::Audio, "microphone_channel", ValueKind::Choice(&["left", "right", "mix"]),
        WhenUnset::Means("as the board's profile says"), "\"left\"",
        |c, v| c.audio.microphone_channel = MicrophoneChannel::from_name(&v.text()),
        "Where one microphone stands on a stereo bus, its channel: `mix`, the mean of both, is \
         half its level with the other channel's noise."),
    setting(Section::Audio, "speaker_card", ValueKind::Device(false),
        WhenUnset::Means("one talks hands-free by the handset's card"),
        "\"hw:CARD=Speaker,DEV=0\"",
        |c, v| c.audio.speaker_card = Some(v.text()),
        "The sound card for talking without the handset, with its microphone. It has a clock, a \
         rate and a period of its own; the hands-free key moves a call from one card to the other. \
         While it is not there, the handset's card is used."),
    setting(Section::Audio, "speaker_microphone", ValueKind::Device(true),
        WhenUnset::Means("the microphone of `speaker_card`"), "\"hw:CARD=Webcam,DEV=0\"",
        |c, v| c.audio.speaker_microphone = Some(v.text()),
        "Its microphone, where that is another device. `silence`: it has none, and the handset's \
         stays in use."),
    setting(Section::Audio, "speaker_microphone_channel",
        ValueKind::Choice(&["left", "right", "mix"]), WhenUnset::Default("\"mix\""), "\"left\"",
        |c, v| c.audio.speaker_microphone_channel =
            MicrophoneChannel::from_name(&v.text()).unwrap_or(MicrophoneChannel::Mix),
        "As `microphone_channel`, of that microphone."),
    setting(Section::Audio, "ringer_card", ValueKind::Device(false),
        WhenUnset::Means("the handset's card"), "\"hw:CARD=Headphones,DEV=0\"",
        |c, v| c.audio.ringer_card = Some(v.text()),
        "The sound card that plays the bell. Where it is named, the bell is a sound, unless \
         `board.ringer` says something else. It may be the same as `speaker_card`. While it is not \
         there, the handset's card rings."),
    setting(Section::Audio, "microphone_db", ValueKind::Number(-40, 40), WhenUnset::Default("0"),
        "12",
        |c, v| c.audio.microphone_db = v.number() as i8,
        "Gain of the microphone in dB, besides what the card's own mixer does."),
    setting(Section::Audio, "speaker_microphone_db", ValueKind::Number(-40, 40),
        WhenUnset::Means("as `microphone_db`"), "20",
        |c, v| c.audio.speaker_microphone_db = Some(v.number() as i8),
        "The same while one talks hands-free."),
    setting(Section::Audio, "earpiece_db", ValueKind::Number(-40, 20), WhenUnset::Default("0"),
        "-6",
        |c, v| c.audio.earpiece_db = v.number() as i8,
        "Gain of everything one hears in the handset, in dB. The volume keys add to it."),
    setting(Section::Audio, "speaker_db", ValueKind::Number(-40, 20), WhenUnset::Default("0"),
        "6",
        |c, v| c.audio.speaker_db = v.number() as i8,
        "The same while one talks hands-free."),
    setting(Section::Audio, "ringer_db", ValueKind::Number(-40, 20), WhenUnset::Default("0"),
        "10",
        |c, v| c.audio.ringer_db = v.number() as i8,
        "Gain of a bell that is played by the card, in dB. The volume keys add to it while the \
         handset lies."),
    setting(Section::Audio, "sidetone_db", ValueKind::Number(-40, -6),
        WhenUnset::Means("none from the phone"), "-20",
        |c, v| c.audio.sidetone_db = Some(v.number() as i8),
        "How much of your own voice you hear in the handset, in dB. Hands-free there is none."),
    setting(Section::Audio, "ring_sound", ValueKind::Formatted(TextFormat::RingSound),
        WhenUnset::Default("\"bell\""), "\"doorbell.wav\"",
        |c, v| c.audio.ring_sound = RingSound::from_text(&v.text()).unwrap_or_default(),
        "Sound of a bell that is played by the card: where the board has neither bell nor buzzer, \
         or with `board.ringer = \"sound\"`. `bell`, `low`, `high` or `chord`, or the name of a \
         file beside `offhook.toml`: WAV, or Opus in Ogg, at most 20 seconds and 4 MiB. A file is \
         played from beginning to end, again and again."),
    setting(Section::Audio, "ring_sounds", ValueKind::Numbered(5, TextFormat::RingSound),
        WhenUnset::Default("{}"),
        "{ 2 = \"chord\", 4 = \"doorbell.wav\" }",
        |c, v| c.audio.ring_sounds = v.pairs().iter()
            .filter_map(|(ring, sound)| Some((ring.parse().ok()?, RingSound::from_text(sound)?)))
            .collect(),
        "Sounds of the distinctive rings 1 to 5, where they are played by the card: those that a \
         caller asks for (Alert-Info), that `call.ring` gives to callers, and that `ring` gives to \
         an account. A ring without a sound of its own has `ring_sound` in its own cadence."),
    setting(Section::Audio, "ring_rising", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.audio.ring_rising = v.bool(),
        "`true`: that bell begins softly and gets louder within 15 seconds."),
];
