//! A whole call on ALSA: PulseAudio's null sinks for function, the tests' own virtual card, paced
//! in real time, which can be pulled out.
//!
//! ```text
//! aplay speech ─▶ far end of the card's cable ─▶ microphone of l ═call═ r (WAV) ─▶ ear of r
//! arecord ◀─ far end of the card's cable ◀─ earpiece of l ◀═════════════ r's speech
//! paplay speech ─▶ null sink `mouth` ─▶ its monitor ─▶ microphone of l, and parec ◀─ null sink `ear` ◀─ earpiece of l
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use offhook_tests::vcard::{Side, VirtualCard};
use serde_json::{Value, json};
use testkit::measure::peak_near;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Likeness, Speaker, assert_heard, compare, speech};
use testkit::process::{ChildProcess, TestDir};

fn alsa(program: &str, config: &Path, arguments: &[&str], file: &Path) -> ChildProcess {
    let mut command = Command::new(program);
    command
        .args(["-q", "-D"])
        .args(arguments)
        .arg(file)
        .env("ALSA_CONFIG_PATH", config);
    ChildProcess::start(&mut command, &file.with_extension("log"))
}

/// A phone on ALSA devices and another on WAV files that answers by itself and speaks.
fn phones(
    dir: &TestDir,
    config: &Path,
    capture: &str,
    playback: &str,
    says: &Path,
) -> (DeskPhone, DeskPhone) {
    let r = DeskPhone::start(
        dir,
        "r",
        Setup {
            auto_answer: true,
            microphone: Some(says.to_owned()),
            ..Setup::default()
        },
    );
    let env = vec![("ALSA_CONFIG_PATH".into(), config.display().to_string())];
    let l = DeskPhone::start(
        dir,
        "l",
        Setup {
            devices: Some((capture.into(), playback.into())),
            env,
            speed: vec![("1".into(), format!("sip:r@127.0.0.1:{}", r.sip_port))],
            ..Setup::default()
        },
    );
    (l, r)
}

/// An established call, one end of it on a sound server.
struct Served {
    _mouth: ChildProcess,
    /// On the server, and the far end.
    l: DeskPhone,
    r: DeskPhone,
    /// What is said into the server's microphone, and by the far end.
    alice: PathBuf,
    bob: PathBuf,
    /// The last to go.
    sound: NullSink,
}

impl Served {
    fn call(dir: &TestDir) -> Self {
        let sound = NullSink::start(dir);
        let (alice, bob) = (
            speech(dir, Speaker::Alice, 48000, 1),
            speech(dir, Speaker::Bob, 16000, 1),
        );
        // The server has idled with two seconds rendered ahead: the phone's microphone gives
        // nothing before they are over.
        let (l, r) = phones(dir, &sound.alsa_config, "mic", "ear", &bob);
        let mouth = sound.speak(&alice);
        l.call("1#");
        l.wait("sound from the server", Duration::from_secs(5), |status| {
            status["audio"]["capture_level_db"]
                .as_f64()
                .is_some_and(|level| level > -60.0)
        });
        Self {
            sound,
            alice,
            bob,
            l,
            r,
            _mouth: mouth,
        }
    }
}

/// The speech arrived, as everywhere. Other speech reaches 0.37, silence 0.
fn arrived(result: &Likeness) -> bool {
    result.correlation > 0.8 && result.level_db.abs() < 3.0
}

#[test]
fn a_call_through_pulseaudio_carries_both_directions() {
    let dir = TestDir::new("pulse-call");
    let served = Served::call(&dir);
    let Served {
        sound,
        alice,
        bob,
        l,
        r,
        ..
    } = &served;
    // No more than PCMU carries, and no shorter period than the server's lumps are worth.
    let card = &l.status()["audio"]["cards"][0];
    assert_eq!(
        (&card["rate_hz"], &card["period_ms"]),
        (&json!(8000), &json!(20.0))
    );
    // Sound through a server has no real-time promise: where the machine kept server or phone
    // waiting, that is an xrun, it is heard, and says nothing of the phone. Then another piece of
    // the call is listened to.
    let xruns = |status: &Value| status["audio"]["xruns"].as_u64();
    let is_undisturbed = (1..=3).any(|turn| {
        let before = xruns(&l.status());
        let heard = dir.join(format!("earpiece-{turn}.wav"));
        let mut record = sound.listen(&heard);
        std::thread::sleep(Duration::from_secs(7));
        let status = l.status();
        let ear = r.ear_now();
        record.terminate(Duration::from_secs(2));
        println!(
            "through PulseAudio: {}, {}",
            status["audio"], status["calls"][0]["rtp"]
        );
        assert_eq!(
            status["counters"]["device_losses"], 0,
            "a slow server was taken for a lost card: {status:#}"
        );
        let results = [
            ("r heard l through PulseAudio", compare(&dir, alice, &ear)),
            ("l's earpiece on PulseAudio", compare(&dir, bob, &heard)),
        ];
        let is_good = results.iter().all(|(what, result)| {
            println!(
                "{what}: correlation {:.3}, level {:+.1} dB",
                result.correlation, result.level_db
            );
            arrived(result)
        });
        assert!(
            is_good || xruns(&status) > before,
            "the speech did not arrive: {results:?}"
        );
        is_good
    });
    if !is_undisturbed {
        testkit::skipped(
            "sound of a call through PulseAudio",
            "xruns in each of three tries, the server gets too little of this machine",
        );
    }
    l.hang_up();
    l.assert_usable();
}

/// A server goes on without a phone that came late, and takes what comes too late for played: the
/// phone must catch up with it.
#[test]
fn sound_returns_after_a_stall_of_the_server() {
    let dir = TestDir::new("pulse-stall");
    let served = Served::call(&dir);
    let Served {
        sound,
        alice,
        bob,
        l,
        r,
        ..
    } = &served;
    for (turn, (who, ms)) in [("phone", 400), ("both", 300)].into_iter().enumerate() {
        let time = Duration::from_millis(ms);
        std::thread::scope(|scope| {
            if who == "both" {
                scope.spawn(|| sound.stall(time));
            }
            l.stall(time);
        });
        // The null sink renders up to two seconds ahead, and plays a stream that is new only after
        // them.
        std::thread::sleep(Duration::from_millis(2500));
        // Again if need be: an xrun in between is heard, too; silence for ever is what must not be.
        let is_heard = (1..=3).any(|time| {
            let heard = dir.join(format!("earpiece-{turn}-{time}.wav"));
            let mut record = sound.listen(&heard);
            std::thread::sleep(Duration::from_secs(6));
            record.terminate(Duration::from_secs(2));
            let results = [
                compare(&dir, bob, &heard),
                compare(&dir, alice, &r.ear_now()),
            ];
            println!("{who} stood still for {ms} ms: earpiece, then far ear {results:?}");
            results.iter().all(arrived)
        });
        let status = l.status();
        assert!(
            is_heard,
            "{who} stood still for {ms} ms, and then was not heard: {status:#}"
        );
        assert_eq!(
            status["counters"]["device_losses"], 0,
            "a stall was taken for a lost card: {status:#}"
        );
    }
    l.hang_up();
    l.assert_usable();
}

#[test]
fn the_card_is_pulled_out_in_mid_call() {
    let dir = TestDir::new("pulled-card");
    let card = match VirtualCard::new(dir.path(), "") {
        Ok(card) => card,
        Err(why) => return testkit::skipped("the_card_is_pulled_out_in_mid_call", &why),
    };
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 48000, 1),
        speech(&dir, Speaker::Bob, 16000, 1),
    );
    let (l, r) = phones(&dir, card.alsa_config(), "phone", "phone", &bob);
    let _mouth = alsa("aplay", card.alsa_config(), &["far"], &alice);
    l.call("1#");
    let heard = dir.join("earpiece.wav");
    let mut record = alsa(
        "arecord",
        card.alsa_config(),
        &["far", "-f", "S16_LE", "-r", "48000", "-c", "1", "-d", "5"],
        &heard,
    );
    record.wait(Duration::from_secs(9));
    assert_heard(&dir, "r heard l through the card", &alice, &r.ear_now());
    assert_heard(&dir, "l's earpiece", &bob, &heard);
    let before = l.status();
    assert!(
        before["audio"]["device"]
            .as_str()
            .is_some_and(|device| device.contains("phone")),
        "{before:#}"
    );

    card.unplug(Side::Phone).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(l.state(), "talking", "the call outlives its card");
    l.hang_up();
    l.wait_state("idle");
    card.plug(Side::Phone).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    l.lift();
    l.wait_state("dial_tone");
    let tone = dir.join("tone.wav");
    alsa(
        "arecord",
        card.alsa_config(),
        &["far", "-f", "S16_LE", "-r", "48000", "-c", "1", "-d", "2"],
        &tone,
    )
    .wait(Duration::from_secs(5));
    let samples: Vec<i16> = hound::WavReader::open(&tone)
        .unwrap()
        .into_samples()
        .map(Result::unwrap)
        .collect();
    let (frequency, _) = peak_near(&samples[samples.len() / 2..], 48_000, 425.0, 40.0);
    println!("dial tone on the card that came back: {frequency:.1} Hz");
    assert!(
        (frequency - 425.0).abs() < 4.25,
        "no German dial tone on the card that came back: {frequency} Hz"
    );
    assert!(
        testkit::measure::level_dbfs(&samples[samples.len() / 2..]) > -40.0,
        "the dial tone cannot be heard"
    );
    l.hang_up();
    l.assert_usable();
}
