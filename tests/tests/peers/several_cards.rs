//! A phone with three sound cards, each with a rate, a layout and a clock of its own: the handset,
//! a loudspeaker one talks to without it, and a ringer.
//!
//! ```text
//! 700 Hz ─▶ far ═cable═ phone (48 kHz, S16, mono) ──┐
//! 1100 Hz ─▶ room ═cable═ speaker (44.1 kHz, S24_3, stereo, +300 ppm) ─ l ═call═ r ◀─ 1500 Hz
//!            hall ═cable═ bells (48 kHz, S32, −200 ppm) ──┘
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::vcard::{Side, VirtualCard};
use serde_json::{Value, json};
use testkit::measure::{goertzel, level_dbfs};
use testkit::process::{ChildProcess, TestDir};

const CARDS: &str = "pcm.speaker { type vcard file \"WIRE2\" side 0 rate 44100 format S24_3LE \
                     channels 2 microphone 0 ppm 300 }\n\
                     pcm.room { type vcard file \"WIRE2\" side 1 rate 44100 ppm 300 }\n\
                     pcm.bells { type vcard file \"WIRE3\" side 0 rate 48000 format S32_LE \
                     channels 2 ppm -200 }\n\
                     pcm.hall { type vcard file \"WIRE3\" side 1 rate 48000 ppm -200 }\n";

const HANDSET_HZ: u32 = 700;
const ROOM_HZ: u32 = 1100;
const FAR_HZ: u32 = 1500;

/// A steady tone, long enough for the whole test.
fn tone(dir: &TestDir, hz: u32, rate_hz: u32) -> PathBuf {
    let path = dir.join(format!("tone-{hz}.wav"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(&path, spec).unwrap();
    for n in 0..rate_hz * 90 {
        let turn = f64::from(n) * f64::from(hz) / f64::from(rate_hz) * std::f64::consts::TAU;
        file.write_sample((turn.sin() * 5000.0) as i16).unwrap();
    }
    file.finalize().unwrap();
    path
}

/// The last `seconds` of a recording.
fn end_of(path: &Path, seconds: f64) -> (Vec<i16>, u32) {
    // A phone that still records has not written the length.
    let bytes = std::fs::read(path).unwrap();
    let (header, sound) = bytes.split_at(44);
    let rate_hz = u32::from_le_bytes(header[24..28].try_into().unwrap());
    let samples: Vec<i16> = sound
        .chunks_exact(2)
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
        .collect();
    let from = samples
        .len()
        .saturating_sub((seconds * f64::from(rate_hz)) as usize);
    (samples[from..].to_vec(), rate_hz)
}

/// Which of the tones a sound is; 0: silence, or something else.
fn heard_hz((samples, rate_hz): &(Vec<i16>, u32)) -> u32 {
    if level_dbfs(samples) < -50.0 {
        return 0;
    }
    let all = [HANDSET_HZ, ROOM_HZ, FAR_HZ];
    let powers = all.map(|hz| goertzel(samples, *rate_hz, f64::from(hz)));
    let sum: f64 = powers.iter().sum();
    let clear = powers.iter().position(|power| *power > 0.9 * sum);
    clear.map_or(0, |index| all[index])
}

fn alsa(program: &str, card: &VirtualCard, arguments: &[&str], file: &Path) -> ChildProcess {
    let mut command = Command::new(program);
    command
        .args(["-q", "-D"])
        .args(arguments)
        .arg(file)
        .env("ALSA_CONFIG_PATH", card.alsa_config());
    ChildProcess::start(&mut command, &file.with_extension("log"))
}

/// What each ear hears in so many seconds from now on, without the first: handset, speaker, ringer.
fn ears(dir: &TestDir, card: &VirtualCard, turn: &str, seconds: u64) -> [(Vec<i16>, u32); 3] {
    let files = [("far", "48000"), ("room", "44100"), ("hall", "48000")].map(|(name, rate)| {
        let file = dir.join(format!("{turn}-{name}.wav"));
        let length = seconds.to_string();
        let arguments = [name, "-f", "S16_LE", "-r", rate, "-c", "1", "-d", &length];
        (alsa("arecord", card, &arguments, &file), file)
    });
    files.map(|(mut record, file)| {
        record.wait(Duration::from_secs(seconds + 4));
        end_of(&file, seconds as f64 - 1.0)
    })
}

/// What the far end heard of the last second.
fn far_ear(r: &DeskPhone) -> u32 {
    heard_hz(&end_of(&r.ear_now(), 1.0))
}

/// Longest time without sound in this recording's end, in ms.
fn longest_silence_ms((samples, rate_hz): &(Vec<i16>, u32)) -> usize {
    let ms = *rate_hz as usize / 1000;
    let quiet = samples.chunks(ms).map(|block| level_dbfs(block) < -50.0);
    let (mut longest, mut run) = (0, 0);
    for quiet in quiet {
        run = if quiet { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[test]
fn a_call_moves_between_the_cards() {
    let name = "a_call_moves_between_the_cards";
    let dir = TestDir::new("several-cards");
    let card = match VirtualCard::new(dir.path(), CARDS) {
        Ok(card) => card,
        Err(why) => return testkit::skipped(name, &why),
    };
    let speaker_cable = card.cable("wire2").unwrap();
    let r = DeskPhone::start(
        &dir,
        "r",
        Setup {
            auto_answer: true,
            microphone: Some(tone(&dir, FAR_HZ, 16_000)),
            ..Setup::default()
        },
    );
    let l = DeskPhone::start(
        &dir,
        "l",
        Setup {
            devices: Some(("phone".into(), "phone".into())),
            env: vec![(
                "ALSA_CONFIG_PATH".into(),
                card.alsa_config().display().to_string(),
            )],
            speed: vec![("1".into(), format!("sip:r@127.0.0.1:{}", r.sip_port))],
            more: "[audio]\nspeaker_card = \"speaker\"\nringer_card = \"bells\"\n\
                   speaker_microphone_channel = \"left\"\nspeaker_microphone_db = 6\n"
                .into(),
            ..Setup::default()
        },
    );
    let status = l.status();
    let cards = status["audio"]["cards"].as_array().unwrap().clone();
    let of = |what: &str, key: &str| -> Value {
        let card = cards.iter().find(|card| card["uses"] == what).unwrap();
        card[key].clone()
    };
    assert_eq!(of("handset", "rate_hz"), 48_000, "{cards:?}");
    assert_eq!(of("speaker", "rate_hz"), 44_100, "{cards:?}");
    assert_eq!(of("ringer", "present"), true, "{cards:?}");

    let (handset, room) = (tone(&dir, HANDSET_HZ, 48_000), tone(&dir, ROOM_HZ, 44_100));
    let _mouths = [
        alsa("aplay", &card, &["far"], &handset),
        alsa("aplay", &card, &["room"], &room),
    ];
    let key = || drop(l.ctl(&json!({"cmd": "key", "key": "hands-free"})));
    l.call("1#");
    std::thread::sleep(Duration::from_millis(1500));
    let [ear, speaker, ringer] = ears(&dir, &card, "handset", 2);
    assert_eq!(far_ear(&r), HANDSET_HZ, "the handset's microphone");
    assert_eq!(heard_hz(&ear), FAR_HZ, "the earpiece");
    assert_eq!((heard_hz(&speaker), heard_hz(&ringer)), (0, 0));

    key();
    std::thread::sleep(Duration::from_millis(1500));
    // 500 ms before the key and all since.
    let gap = longest_silence_ms(&end_of(&r.ear_now(), 2.0));
    println!("the far end heard nothing for {gap} ms as the call moved to the speaker");
    assert!(gap <= 20, "{gap} ms without sound");
    let [ear, speaker, ringer] = ears(&dir, &card, "speaker", 2);
    assert_eq!(far_ear(&r), ROOM_HZ, "the speaker's microphone");
    assert_eq!(heard_hz(&speaker), FAR_HZ, "the loudspeaker");
    assert_eq!((heard_hz(&ear), heard_hz(&ringer)), (0, 0));
    // The microphone on one channel of two, 6 dB louder than it was said.
    let level = level_dbfs(&end_of(&r.ear_now(), 1.0).0);
    assert!((level + 13.3).abs() < 2.0, "{level} dBFS instead of -13.3");

    key();
    std::thread::sleep(Duration::from_millis(1500));
    let gap = longest_silence_ms(&end_of(&r.ear_now(), 2.0));
    println!("and for {gap} ms as it moved back");
    assert!(gap <= 20, "{gap} ms without sound");
    assert_eq!(far_ear(&r), HANDSET_HZ, "the handset's microphone again");

    // Without its card the speaker is the handset's, and comes back with it.
    key();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(far_ear(&r), ROOM_HZ);
    speaker_cable.unplug(Side::Phone).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(far_ear(&r), HANDSET_HZ, "the call goes on by the handset");
    assert_eq!(l.state(), "talking");
    speaker_cable.plug(Side::Phone).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(far_ear(&r), ROOM_HZ, "by the card that came back");
    let status = l.status();
    assert_eq!(status["counters"]["device_losses"], 1, "{status:#}");
    l.hang_up();
    l.wait_state("idle");

    // It rings on the ringer's card alone.
    r.hang_up();
    r.wait_state("idle");
    let to = format!("sip:l@127.0.0.1:{}", l.sip_port);
    r.ctl(&json!({"cmd": "dial", "to": to}));
    l.wait_state("ringing");
    let [ear, speaker, ringer] = ears(&dir, &card, "ringing", 7);
    let levels = [&ear, &speaker, &ringer].map(|(samples, _)| level_dbfs(samples));
    println!("it rings: {levels:.0?} dBFS in handset, speaker, ringer");
    assert!(
        levels[0] < -60.0 && levels[1] < -60.0 && levels[2] > -50.0,
        "{levels:?}"
    );
    r.hang_up();
    l.wait_state("idle");
    l.assert_usable();
}
