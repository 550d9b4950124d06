//! The whole phone: the unmodified binary on gpio-sim and snd-aloop, as a person has it in the
//! hand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::data;
use testkit::measure::{Clip, align_parts, level_dbfs, median, peak_near, share_of_power};
use testkit::signal::Source;

use crate::chip::{BELL, Chip, LAMP_IN_USE, LAMPS_WATCHED};
use crate::devices::watch_bell;
use crate::keypad::with_contacts;
use crate::loopback::Loopback;
use crate::phone::Phone;

const PHONE_SIP: u16 = 5062;
pub(crate) const ECHO_SIP: u16 = 5072;
const CALLER_SIP: u16 = 5082;

/// Where the phone under test has its files.
pub(crate) const PHONE_DIR: &str = "/tmp/phone";

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The phone under test, on the simulated board.
fn desk_phone() -> Phone {
    desk_phone_with("")
}

/// The same with more in its configuration.
pub(crate) fn desk_phone_with(more: &str) -> Phone {
    let dir = Path::new(PHONE_DIR);
    let config = write_config(dir, PHONE_SIP, "gpio-sim", ECHO_SIP, ["", more]);
    Phone::start(dir, &["run", "--config", &config])
}

/// Something to call: it answers at once and says what it hears.
pub(crate) fn echo_phone() -> Phone {
    let dir = Path::new("/tmp/echo");
    let config = write_config(dir, ECHO_SIP, "sim", 9, ["", ""]);
    Phone::start(dir, &["echo", "--config", &config])
}

/// `more`: lines of `[dial]`, and further sections.
fn write_config(
    dir: &Path,
    sip_port: u16,
    profile: &str,
    peer: u16,
    [dial, more]: [&str; 2],
) -> String {
    std::fs::create_dir_all(dir).unwrap();
    let root = std::env::var("OFFHOOK_ROOT").unwrap();
    let text = format!(
        "[phone]\ncountry = \"de\"\nuser = \"phone\"\n[network]\nbind = \"127.0.0.1\"\n\
         sip_port = {sip_port}\nrtp_ports = [{}, {}]\n\
         [control]\nsocket = \"{dir}/ctl.sock\"\nstate_dir = \"{dir}/state\"\n\
         [board]\nprofile = \"{profile}\"\nprofile_dir = \"{root}/board/profiles\"\n\
         [codecs]\norder = [\"pcmu\"]\n[dial]\ndigit_map = \"xx\"\n{dial}\
         [dial.speed]\n12 = \"sip:phone@127.0.0.1:{peer}\"\n20 = \"sip:phone@127.0.0.1:{peer}\"\n\
         {more}",
        20_000 + sip_port % 100 * 100,
        20_000 + sip_port % 100 * 100 + 59,
        dir = dir.display(),
    );
    let file: PathBuf = dir.join("offhook.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

pub(crate) fn is(event: &Value, name: &str, key: &str, value: &str) -> bool {
    event["event"] == name && event[key] == value
}

/// Dial tone of Germany: 425 Hz without a pause.
fn assert_dial_tone(heard: &[i16]) {
    let tail = &heard[heard.len() - 24_000..];
    let (peak, _) = peak_near(tail, 48_000, 425.0, 40.0);
    let share = share_of_power(tail, 48_000, &[425.0]);
    println!(
        "dial tone: {peak:.1} Hz, {:.0} % of the power, {:.1} dBFS",
        share * 100.0,
        level_dbfs(tail)
    );
    assert!((peak - 425.0).abs() < 3.0, "{peak} Hz");
    assert!(share > 0.9, "only {share} of the power is dial tone");
    assert!(
        level_dbfs(tail) > -40.0,
        "too quiet: {} dBFS",
        level_dbfs(tail)
    );
}

/// Three seconds of speech, no wider than the codec: the recorded sentence where the data is at
/// hand, else the simulator's own voice.
fn speech(rate_hz: u32) -> Vec<i16> {
    let signal = data::path("speech/core/f1_8k.wav")
        .and_then(|path| Source::wav(&path, rate_hz).ok())
        .unwrap_or_else(|| Source::voice(11, rate_hz));
    let mut sound = vec![0; rate_hz as usize * 3];
    signal.read(0, &mut sound);
    sound
}

/// Rounds of speech in which the card lost nothing; and all rounds, where it did.
const CLEAN_ROUNDS: usize = 4;
const ROUNDS: usize = 12;

/// A round: three seconds of speech, and what is on its way then.
const LISTENED_S: f64 = 4.5;

/// Speaks into the card and finds it back: most parts of one round.
///
/// A machine whose processors are taken away for a tenth of a second loses sound in this guest, and
/// the card here says so. Such a round shows less, so the parts that came back whole in it are
/// added up, until they are as many as one round has.
pub(crate) fn assert_echo(loopback: &Loopback) {
    let rate_hz = loopback.rate_hz();
    let mut said = Clip {
        rate_hz,
        samples: speech(rate_hz),
    };
    // Silence to the end of what is listened to: the last parts are looked for as well.
    let listened = (f64::from(rate_hz) * LISTENED_S) as usize;
    said.samples.resize(listened, 0);
    let (mut clean_rounds, mut whole_parts) = (0, 0);
    for round in 1..=ROUNDS {
        let xruns_before = loopback.xruns();
        loopback.say(&said.samples);
        let heard = loopback.listen(Duration::from_secs_f64(LISTENED_S));
        let parts = align_parts(
            &said,
            &Clip {
                rate_hz,
                samples: heard,
            },
            0.25,
            1.5,
        );
        let back = parts
            .iter()
            .filter(|part| part.correlation > 0.8 && part.gain_db.abs() < 3.0)
            .count();
        let delay = median(parts.iter().map(|part| part.delay_s * 1000.0));
        println!(
            "speech: {back} of {} parts came back, {delay:.0} ms later",
            parts.len()
        );
        if loopback.xruns() == xruns_before {
            clean_rounds += 1;
        } else {
            whole_parts += back;
        }
        if back * 2 > parts.len() || (back > 0 && whole_parts >= parts.len()) {
            return;
        }
        assert!(
            clean_rounds < CLEAN_ROUNDS && round < ROUNDS,
            "speech did not come back in {round} rounds, {clean_rounds} of them without a loss at \
             the card: {parts:?}"
        );
    }
}

pub(crate) fn lift_dial_speak_hang_up(chip: &Chip) {
    let mut echo = echo_phone();
    let mut phone = desk_phone();
    let loopback = Loopback::open();
    assert_eq!(phone.status()["hook"], "on");
    let quiet = loopback.listen(ms(300));
    assert!(
        level_dbfs(&quiet) < -80.0,
        "a phone on hook makes no sound: {} dBFS",
        level_dbfs(&quiet)
    );

    chip.lift();
    phone.expect("hook off", |e| e["event"] == "hook" && e["off"] == true);
    phone.expect("dial tone", |e| is(e, "state", "state", "dial_tone"));
    assert_dial_tone(&loopback.listen(ms(1000)));
    assert!(
        chip.wait(LAMP_IN_USE, true, ms(500)),
        "the lamp of a phone in use is dark"
    );

    with_contacts(chip, |contacts| {
        contacts.press('1', || phone.expect("key 1", |e| is(e, "key", "key", "1")));
        let tone = phone.status()["tone"].clone();
        assert!(tone.is_null(), "the first digit ends dial tone: {tone}");
        contacts.press('2', || phone.expect("key 2", |e| is(e, "key", "key", "2")));
    });
    phone.expect("talking", |e| is(e, "state", "state", "talking"));
    let call = phone.status()["calls"][0].clone();
    println!("call: {call}");
    assert_eq!(
        call["codec"].as_str().map(str::to_lowercase).as_deref(),
        Some("pcmu")
    );
    std::thread::sleep(ms(500));
    assert_echo(&loopback);

    chip.put_down();
    phone.expect("idle", |e| is(e, "state", "state", "idle"));
    // The echo phone has seen the BYE when its call is over.
    echo.expect("BYE at the far end", |e| {
        e["event"] == "call" && matches!(e["state"].as_str(), Some("ended" | "over" | "terminated"))
    });
    let status = phone.status();
    assert_eq!(
        status["calls"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
    assert!(chip.wait(LAMP_IN_USE, false, ms(500)));
    let after = loopback.listen(ms(500));
    assert!(
        level_dbfs(&after[after.len() - 9600..]) < -80.0,
        "still a sound after hanging up"
    );
    println!("last call: {}", status["last_call"]);

    // And it is ready for the next lift.
    chip.lift();
    phone.expect("dial tone again", |e| is(e, "state", "state", "dial_tone"));
    chip.put_down();
    phone.expect("idle again", |e| is(e, "state", "state", "idle"));
    drop(loopback);
    phone.quit();
    echo.quit();
}

pub(crate) fn dialled_by_pulses(chip: &Chip) {
    let echo = echo_phone();
    let mut phone = desk_phone();
    let loopback = Loopback::open();
    let dialled = (0..5).any(|_| {
        chip.lift();
        phone.expect("dial tone", |e| is(e, "state", "state", "dial_tone"));
        let in_time = ['2', '0'].into_iter().all(|digit| chip.dial(digit));
        if !in_time {
            chip.put_down();
            phone.expect("idle", |e| is(e, "state", "state", "idle"));
        }
        in_time
    });
    assert!(dialled, "the machine is too busy to dial");
    phone.expect("talking", |e| is(e, "state", "state", "talking"));
    std::thread::sleep(ms(500));
    assert_echo(&loopback);
    chip.put_down();
    phone.expect("idle", |e| is(e, "state", "state", "idle"));
    drop(loopback);
    phone.quit();
    echo.quit();
}

pub(crate) fn it_rings(chip: &Chip) {
    let mut phone = desk_phone();
    let dir = Path::new("/tmp/caller");
    let config = write_config(dir, CALLER_SIP, "sim", PHONE_SIP, ["", ""]);
    let mut caller = Phone::start(dir, &["run", "--config", &config]);
    let call = |caller: &mut Phone| {
        caller.ask("{\"cmd\":\"lift\"}");
        caller.expect("dial tone at the caller", |e| {
            is(e, "state", "state", "dial_tone")
        });
        caller.ask("{\"cmd\":\"press\",\"keys\":\"12\"}");
    };
    call(&mut caller);
    phone.expect("ringing", |e| is(e, "state", "state", "ringing"));
    let rises = watch_bell(chip, ms(1000));
    println!("bell: {rises} swings in the first second");
    // Germany rings for a second: 25 swings, less what the start took.
    assert!((6..=27).contains(&rises), "{rises} swings");
    caller.ask("{\"cmd\":\"hang-up\"}");
    phone.expect("idle when the caller gives up", |e| {
        is(e, "state", "state", "idle")
    });
    std::thread::sleep(ms(100));
    assert_eq!(watch_bell(chip, ms(500)), 0, "the bell rings on");
    assert_eq!(BELL.map(|line| chip.value(line)), [false, false]);

    // And again, answered by lifting.
    caller.expect("idle caller", |e| is(e, "state", "state", "idle"));
    call(&mut caller);
    phone.expect("ringing again", |e| is(e, "state", "state", "ringing"));
    chip.lift();
    phone.expect("talking", |e| is(e, "state", "state", "talking"));
    caller.expect("answer", |e| is(e, "state", "state", "talking"));
    std::thread::sleep(ms(100));
    assert_eq!(
        BELL.map(|line| chip.value(line)),
        [false, false],
        "lifting silences the bell"
    );
    chip.put_down();
    phone.expect("idle", |e| is(e, "state", "state", "idle"));
    phone.quit();
    caller.quit();
}

/// A watched phone that is idle, talks and rings: dark, lit and blinking; the lamp of another one,
/// which is not there, stays dark.
pub(crate) fn lamps_follow_the_watched_phones(chip: &Chip) {
    let echo = echo_phone();
    let dir = Path::new("/tmp/watched");
    let watchers = ["", "[call]\nwatched_by = [\"127.0.0.0/8\"]\n"];
    let config = write_config(dir, CALLER_SIP, "sim", ECHO_SIP, watchers);
    let mut watched = Phone::start(dir, &["run", "--config", &config]);
    let dir = Path::new("/tmp/watching");
    let watch =
        format!("watch = [\"sip:phone@127.0.0.1:{CALLER_SIP}\", \"sip:phone@127.0.0.1:9\"]\n");
    let config = write_config(dir, PHONE_SIP, "gpio-sim", CALLER_SIP, [&watch, ""]);
    let mut phone = Phone::start(dir, &["run", "--config", &config]);
    let [lamp, other] = LAMPS_WATCHED;
    if phone.status()["watched"][0]["state"] == "unknown" {
        phone.expect("idle there", |e| is(e, "watched", "state", "idle"));
    }
    assert!(!chip.value(lamp), "lit for a phone that is idle");

    watched.ask("{\"cmd\":\"lift\"}");
    watched.expect("dial tone there", |e| is(e, "state", "state", "dial_tone"));
    watched.ask("{\"cmd\":\"press\",\"keys\":\"12\"}");
    watched.expect("talking there", |e| is(e, "state", "state", "talking"));
    assert!(
        chip.wait(lamp, true, ms(3000)),
        "dark for a phone that talks"
    );
    watched.ask("{\"cmd\":\"hang-up\"}");
    assert!(chip.wait(lamp, false, ms(3000)), "lit after the call");

    // The watching phone calls it: it rings there.
    phone.ask("{\"cmd\":\"lift\"}");
    phone.expect("dial tone", |e| is(e, "state", "state", "dial_tone"));
    phone.ask("{\"cmd\":\"press\",\"keys\":\"12\"}");
    phone.expect("ringing there", |e| is(e, "watched", "state", "ringing"));
    for lit in [true, false, true, false] {
        assert!(chip.wait(lamp, lit, ms(1000)), "it does not blink");
    }
    assert!(!chip.value(other), "the lamp of another phone");
    phone.ask("{\"cmd\":\"hang-up\"}");
    phone.expect("idle there again", |e| is(e, "watched", "state", "idle"));
    assert!(chip.wait(lamp, false, ms(1000)));
    phone.quit();
    watched.quit();
    echo.quit();
}

pub(crate) fn booted_off_hook(chip: &Chip) {
    chip.lift();
    let phone = desk_phone();
    let loopback = Loopback::open();
    assert_dial_tone(&loopback.listen(ms(1200)));
    assert_eq!(phone.status()["hook"], "off");
    chip.put_down();
    std::thread::sleep(ms(300));
    assert_eq!(phone.status()["state"], "idle");
    drop(loopback);
    phone.quit();
}

pub(crate) fn busy_line(_chip: &Chip) {
    let first = desk_phone();
    let dir = Path::new("/tmp/second");
    let config = write_config(dir, CALLER_SIP, "gpio-sim", ECHO_SIP, ["", ""]);
    let second = Phone::start(dir, &["run", "--config", &config]);
    let status = second.status();
    println!("{}", status["hardware"]);
    // A device that cannot be had does not end the phone; it is named in status and log.
    let held = "[hook]: GPIO line 0 of chip `offhook-test`: is held by `offhook`";
    assert!(status["hardware"].to_string().contains(held), "{status:#}");
    let log = second.said();
    assert!(log.contains(held) && !log.contains("panicked"), "{log}");
    second.quit();
    first.quit();
}
