//! The phone's sound on the kernel's own card: several cards in one call, and real time under load.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::measure::level_dbfs;

use crate::chip::Chip;
use crate::loopback::Loopback;
use crate::phone::Phone;
use crate::story::{ECHO_SIP, PHONE_DIR, assert_echo, desk_phone_with, echo_phone, is, ms};

fn hands_free_key(phone: &Phone) {
    let reply = phone.ask(r#"{"cmd":"key","key":"hands-free"}"#);
    assert_eq!(reply["ok"], true, "{reply}");
}

fn dial_echo(phone: &Phone) {
    let request = format!(r#"{{"cmd":"dial","to":"sip:phone@127.0.0.1:{ECHO_SIP}"}}"#);
    let reply = phone.ask(&request);
    assert_eq!(reply["ok"], true, "{reply}");
}

fn quiet(loopback: &Loopback, what: &str) {
    let heard = loopback.listen(ms(500));
    let level = level_dbfs(&heard[heard.len() / 2..]);
    assert!(level < -75.0, "{what}: {level:.0} dBFS");
}

/// Handset, loudspeaker and ringer are three devices of snd-aloop with rates of their own.
pub(crate) fn a_call_moves_between_the_cards(chip: &Chip) {
    let mut echo = echo_phone();
    let mut phone = desk_phone_with(
        "[audio]\nspeaker_card = \"hw:Loopback,0,1\"\nringer_card = \"hw:Loopback,0,2\"\n\
         [board.audio]\nspeaker_rate_hz = 44100\n",
    );
    let (handset, speaker) = (Loopback::open(), Loopback::open_cable(1, 44_100));
    println!("cards: {}", phone.status()["audio"]["cards"]);
    chip.lift();
    phone.expect("dial tone", |e| is(e, "state", "state", "dial_tone"));
    dial_echo(&phone);
    phone.expect("talking", |e| is(e, "state", "state", "talking"));
    std::thread::sleep(ms(500));
    assert_echo(&handset);
    quiet(&speaker, "the loudspeaker while one talks by the handset");
    hands_free_key(&phone);
    std::thread::sleep(ms(500));
    assert_echo(&speaker);
    quiet(&handset, "the handset while one talks by the loudspeaker");
    hands_free_key(&phone);
    std::thread::sleep(ms(500));
    assert_echo(&handset);
    chip.put_down();
    phone.expect("idle", |e| is(e, "state", "state", "idle"));
    let status = phone.status();
    assert_eq!(status["counters"]["device_losses"], 0, "{status}");
    echo.expect("BYE at the far end", |e| {
        e["event"] == "call" && matches!(e["state"].as_str(), Some("ended" | "over" | "terminated"))
    });
    drop((handset, speaker));
    phone.quit();
    echo.quit();
}

/// The audio thread of the phone under test, in /proc.
fn audio_thread() -> PathBuf {
    let folders = |path: &str| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<PathBuf>>()
    };
    let of_phone = |process: &PathBuf| {
        let arguments = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        arguments.contains(PHONE_DIR)
    };
    let named = |task: &PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        name.trim() == "offhook-audio"
    };
    let processes = folders("/proc").into_iter().filter(of_phone);
    let mut tasks = processes.flat_map(|process| folders(&process.join("task").to_string_lossy()));
    tasks
        .find(named)
        .unwrap_or_else(|| panic!("no audio thread"))
}

/// Minor and major page faults, voluntary and involuntary switches.
fn counted(task: &std::path::Path) -> [u64; 4] {
    let stat = std::fs::read_to_string(task.join("stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |line| line.trim().parse().unwrap())
    };
    [
        fields[7].parse().unwrap(),
        fields[9].parse().unwrap(),
        of("voluntary_ctxt_switches:"),
        of("nonvoluntary_ctxt_switches:"),
    ]
}

/// The load is over.
static OVER: AtomicBool = AtomicBool::new(false);

/// Half a minute of a call while the processor computes and files are written: printed; the
/// guest has one processor, and its own clock stands still while the machine does other work.
pub(crate) fn half_a_minute_under_load(chip: &Chip) {
    let echo = echo_phone();
    // 10 ms periods: snd-aloop moves with the guest's clock tick.
    let mut phone = desk_phone_with("");
    let _card = Loopback::open();
    chip.lift();
    phone.expect("dial tone", |e| is(e, "state", "state", "dial_tone"));
    dial_echo(&phone);
    phone.expect("talking", |e| is(e, "state", "state", "talking"));
    // RTCP's first report is made after five seconds: what it runs is in memory then.
    std::thread::sleep(ms(8000));
    let task = audio_thread();
    let computing = std::thread::spawn(|| {
        let mut x = 1_u64;
        while !OVER.load(Ordering::Relaxed) {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    });
    let writing = std::thread::spawn(|| {
        let block = vec![0x5a; 1 << 16];
        while !OVER.load(Ordering::Relaxed) {
            let mut file = std::fs::File::create("/tmp/written").unwrap();
            for _ in 0..64 {
                file.write_all(&block).unwrap();
            }
            file.sync_all().unwrap();
        }
    });
    std::thread::sleep(ms(500));
    let (before, status_before) = (counted(&task), phone.status());
    std::thread::sleep(Duration::from_secs(30));
    let (after, status) = (counted(&task), phone.status());
    OVER.store(true, Ordering::Relaxed);
    computing.join().unwrap();
    writing.join().unwrap();
    let since = |path: &str| {
        let of = |status: &serde_json::Value| status.pointer(path).unwrap().as_u64().unwrap();
        of(&status) - of(&status_before)
    };
    let classes: Vec<u64> = (0..7)
        .map(|class| since(&format!("/audio/wake_ups/{class}")))
        .collect();
    println!(
        "30 s of 10 ms periods, real-time priority {}: {} over- and underruns, lateness up to 0.1, \
         0.25, 0.5, 1, 2, 5 ms and later: {classes:?}",
        status["audio"]["rt"],
        since("/audio/xruns")
    );
    let [minor, major, voluntary, involuntary] = [0, 1, 2, 3].map(|n| after[n] - before[n]);
    println!(
        "page faults {minor} minor, {major} major; switches {voluntary} voluntary, {involuntary} \
         involuntary"
    );
    assert_eq!(
        status["audio"]["rt"], true,
        "no real-time priority in the guest"
    );
    assert_eq!(major, 0, "the audio thread waited for the disk");
    // Minor faults say nothing here: user-mode Linux has no accessed bit and learns by faults which
    // pages are in use.
    chip.put_down();
    phone.expect("idle", |e| is(e, "state", "state", "idle"));
    phone.quit();
    echo.quit();
}
