//! The rows of the page, one function a group.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use media::Codec;
use offhook_tests::fleet::Fleet;
use offhook_tests::kamailio::Kamailio;
use offhook_tests::plots;
use testkit::process::TestDir;

use crate::caller::Caller;
use crate::echo;
use crate::encrypted;
use crate::far::{Far, chirps, mouth_to_ear_ms};
use crate::idle;
use crate::noise;
use crate::process::{Counts, counts, preload, processor_shares, resident_mb, threads};
use crate::quality;
use crate::subject::{Kind, PhoneOptions, Subject, binary};
use crate::table::{Page, figure, spread};
use crate::work;

/// Runs of each start and each reaction; the median counts.
const RUNS: usize = 7;
/// How long CPU time is counted.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Delay, CPU and memory in a call.
    Calls,
    /// What encryption costs.
    Private,
    /// What a call costs by codec and by the card's rate.
    Work,
    /// On hook and silent.
    Idle,
    /// From the start of the process.
    Starts,
    /// Lifting and hanging up.
    Reactions,
    /// Allocations and locks.
    Thread,
    /// Speech under loss.
    Quality,
    /// Echo cancellers on recordings.
    Echo,
    /// Noise suppressors on talk in noise.
    Noise,
    /// Many phones at one registrar.
    Fleet,
}

impl Group {
    pub(crate) const ALL: [Group; 11] = [
        Group::Calls,
        Group::Private,
        Group::Work,
        Group::Idle,
        Group::Starts,
        Group::Reactions,
        Group::Thread,
        Group::Quality,
        Group::Echo,
        Group::Noise,
        Group::Fleet,
    ];

    /// As it is named on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Calls => "calls",
            Group::Private => "encrypted",
            Group::Work => "work",
            Group::Idle => "idle",
            Group::Starts => "starts",
            Group::Reactions => "reactions",
            Group::Thread => "thread",
            Group::Quality => "quality",
            Group::Echo => "echo",
            Group::Noise => "noise",
            Group::Fleet => "fleet",
        }
    }

    /// The group of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }
}

/// Measures the groups, or everything where none is named. A whole run writes the page; one of some
/// groups adds a section to it, with a load of its own, where `OFFHOOK_WRITE_PAGES` is set.
pub(crate) fn measure(folder: &Path, groups: &[Group]) {
    crate::process::hurry();
    let began = Instant::now();
    let mut page = Page::new();
    // Fleet, echo cancellers and noise suppressors are measured without peers.
    let alone = |groups: &[Group]| matches!(groups, [Group::Fleet | Group::Echo | Group::Noise]);
    for kind in Kind::ALL.into_iter().filter(|_| !alone(groups)) {
        if let Some(why) = kind.missing() {
            page.skip(&format!("{kind:?}"), &why);
        }
    }
    for group in Group::ALL {
        if !groups.is_empty() && !groups.contains(&group) {
            continue;
        }
        match group {
            Group::Calls => calls(folder, &mut Far::open(), &mut page),
            Group::Private => encrypted::rows(folder, &mut page),
            Group::Work => work::rows(folder, &mut page),
            Group::Idle => idle::rows(folder, &mut Far::open(), &mut page),
            Group::Starts => starts(folder, &mut page),
            Group::Reactions => reactions(folder, &mut page),
            Group::Thread => {
                audio_thread(folder, &mut page);
                page.row(
                    "binary, stripped",
                    "≤ 8 MB",
                    [figure(size_mb(&binary()), 1, "MB")],
                );
            }
            Group::Quality => quality::rows(folder, &mut Far::open(), &mut page),
            Group::Echo => echo::rows(folder, &mut page),
            Group::Noise => noise::rows(folder, &mut page),
            Group::Fleet => fleet(&mut page),
        }
        println!(
            "bench: {} after {:.0} s",
            group.name(),
            began.elapsed().as_secs_f64()
        );
    }
    if !groups.is_empty() && std::env::var_os("OFFHOOK_WRITE_PAGES").is_none() {
        return println!("bench: not all was measured, so docs/budgets.md stays as it is");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/budgets.md");
    // The image is measured elsewhere (`make bench-image`), in a section of its own.
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let (table, image) = before.split_at(before.find("\n## The image").unwrap_or(before.len()));
    let text = if groups.is_empty() {
        page.text(&machine())
    } else {
        let names: Vec<&str> = groups.iter().map(|group| group.name()).collect();
        let title = format!("\n## By itself: {}\n\n", names.join(", "));
        // The section of an older run ends where the next one begins.
        let old = table.find(&title).map_or("", |at| {
            let rest = &table[at..];
            let end = rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1);
            &rest[..end]
        });
        let kept = if old.is_empty() {
            table.to_owned()
        } else {
            table.replace(old, "")
        };
        let section = page.section(&machine());
        format!("{kept}{title}{section}")
    };
    let text = text + image;
    std::fs::write(&path, &text).unwrap();
    plots::write(&text, &path.with_file_name("pictures"));
    println!("bench: written to docs/budgets.md");
}

/// Phones at one kamailio that restarts and has forgotten them.
fn fleet(page: &mut Page) {
    const PHONES: usize = 200;
    const AWAY: Duration = Duration::from_secs(10);
    const LIMIT: Duration = Duration::from_secs(120);
    let what = format!("{PHONES} phones after their kamailio restarted");
    if !Path::new("/usr/sbin/kamailio").exists() {
        return page.skip(&what, "kamailio is not installed");
    }
    let dir = TestDir::new("bench-fleet");
    let mut kamailio = Kamailio::start(&dir, "MD5");
    let mut fleet = Fleet::new(PHONES, &kamailio.at());
    if !fleet.run_until_registered(Instant::now(), LIMIT) {
        return page.skip(&what, "not all phones registered");
    }
    kamailio.stop();
    fleet.run(AWAY);
    kamailio.restart();
    let back = fleet.come_back(LIMIT);
    let seconds = back.map(|back| format!("{:.0} s", back.all_back.as_secs_f64()));
    page.row(format!("{what}: all back"), "≤ 60 s", [seconds]);
    let peak = back.map(|back| back.peak_per_second.to_string());
    page.row(
        format!("{what}: most messages in one second"),
        "≤ 100",
        [peak],
    );
}

pub(crate) fn phone_options(kind: Kind, codec: Codec) -> PhoneOptions<'static> {
    PhoneOptions {
        kind,
        codec,
        answers: true,
        registrar: None,
        encrypted: false,
        counting: None,
        microphone: None,
        card_hz: None,
        sound_server: None,
        period_ms: None,
        instructions: None,
    }
}

/// One call to a phone that answers, with RTP echoed.
fn in_call<T>(
    folder: &Path,
    options: &PhoneOptions<'_>,
    work: impl FnOnce(&Subject) -> T,
) -> Option<T> {
    if options.kind.missing().is_some() {
        return None;
    }
    let subject = Subject::start(folder, options)?;
    subject.rested();
    let mut caller = Caller::invite(subject.sip, options.codec);
    caller.answered()?;
    let echo = caller.echo(|_| false);
    let got = work(&subject);
    drop(echo);
    caller.hang_up();
    Some(got)
}

/// Delay, CPU and memory in a call, a row each.
fn calls(folder: &Path, far: &mut Far, page: &mut Page) {
    let seconds = WINDOW.as_secs() as usize + 4;
    let said = chirps(seconds);
    let spoken = quality::speech(folder, 48_000).map(|(path, _)| path);
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut delays = Kind::ALL.map(|_| None);
        let mut cpu = Kind::ALL.map(|_| None);
        let mut memory = Kind::ALL.map(|_| None);
        for (n, kind) in Kind::ALL.into_iter().enumerate() {
            // A machine that was late spoils the recording: once more, twice at most.
            for _ in 0..3 {
                let options = PhoneOptions {
                    microphone: spoken.as_deref(),
                    ..phone_options(kind, codec)
                };
                let got = in_call(folder, &options, |subject| {
                    let pid = subject.process.pid();
                    let meter = std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(2));
                        (processor_shares(pid, WINDOW), resident_mb(pid))
                    });
                    let talk = match kind {
                        Kind::Pjsua => None,
                        Kind::Offhook | Kind::Baresip | Kind::Linphone => {
                            far.talk(&said, seconds as f64)
                        }
                    };
                    let delay = talk.and_then(|talk| mouth_to_ear_ms(&said, &talk));
                    (meter.join().unwrap(), delay)
                });
                let Some(((shares, resident), delay)) = got else {
                    break;
                };
                cpu[n] = spread(&shares, 2, "%");
                memory[n] = figure(resident, 1, "MB");
                delays[n] = delay.as_deref().and_then(|ms| spread(ms, 1, "ms"));
                if delay.is_some() || kind == Kind::Pjsua {
                    break;
                }
            }
        }
        page.row(
            format!("one-way delay mouth to ear, {codec:?}, 20 ms packets"),
            "≤ 45 ms",
            delays,
        );
        page.row(
            format!("CPU of one core, one {codec:?} call"),
            "below every peer",
            cpu,
        );
        page.row(
            format!("resident memory in a {codec:?} call"),
            "≤ 10 MB",
            memory,
        );
    }
}

fn size_mb(path: &Path) -> Option<f64> {
    std::fs::metadata(path)
        .ok()
        .map(|data| data.len() as f64 / 1_048_576.0)
}

/// A figure of several runs in ms.
pub(crate) fn runs(mut one: impl FnMut() -> Option<f64>) -> Option<String> {
    let got: Vec<f64> = (0..RUNS).filter_map(|_| one()).collect();
    of_runs(&got)
}

/// The figure of several runs in ms, if more than half of them gave one.
fn of_runs(got: &[f64]) -> Option<String> {
    (got.len() * 2 > RUNS)
        .then(|| spread(got, 1, "ms"))
        .flatten()
}

/// From the start of the process to dial tone, and to REGISTER on the wire.
fn starts(folder: &Path, page: &mut Page) {
    let tone = runs(|| {
        let subject = Subject::start(folder, &phone_options(Kind::Offhook, Codec::Pcmu))?;
        let end = subject.began + Duration::from_secs(3);
        while Instant::now() < end {
            if subject.ctl(&serde_json::json!({"cmd": "lift"})).is_some() {
                break;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        while Instant::now() < end {
            if subject.ctl(&serde_json::json!({"cmd": "status"}))?["tone"] == "dial" {
                return Some(subject.began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        None
    });
    page.row(
        "start of process to dial tone (lifted at once)",
        "≤ 50 ms",
        [tone],
    );
    let registers = [Kind::Offhook, Kind::Baresip].map(|kind| {
        runs(|| {
            // Offhook sends to the port of RFC 3261 unless a proxy says otherwise.
            let registrar = UdpSocket::bind("127.0.0.1:0").ok()?;
            registrar
                .set_read_timeout(Some(Duration::from_secs(5)))
                .ok()?;
            let options = PhoneOptions {
                registrar: registrar.local_addr().ok(),
                ..phone_options(kind, Codec::Pcmu)
            };
            let subject = Subject::start(folder, &options)?;
            let mut packet = [0; 2048];
            loop {
                let (length, _) = registrar.recv_from(&mut packet).ok()?;
                if packet[..length].starts_with(b"REGISTER") {
                    return Some(subject.began.elapsed().as_secs_f64() * 1000.0);
                }
            }
        })
    });
    let [ours, theirs] = registers;
    page.row(
        "start of process to REGISTER sent",
        "≤ 100 ms",
        [ours, theirs],
    );
}

/// Lifting while it rings, and hanging up.
fn reactions(folder: &Path, page: &mut Page) {
    let mut answered = [None, None];
    let mut ended = [None, None];
    for (n, kind) in [Kind::Offhook, Kind::Baresip].into_iter().enumerate() {
        if kind.missing().is_some() {
            continue;
        }
        let (mut to_ok, mut to_bye) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let options = PhoneOptions {
                answers: false,
                ..phone_options(kind, Codec::Pcmu)
            };
            let Some(subject) = Subject::start(folder, &options) else {
                continue;
            };
            subject.ready();
            let mut caller = Caller::invite(subject.sip, Codec::Pcmu);
            if !caller.ringing() {
                continue;
            }
            let lifting = std::thread::scope(|scope| {
                let hand = scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(100));
                    subject.lift()
                });
                let came = caller.answered();
                (hand.join().unwrap(), came)
            });
            if let (lifted, Some(came)) = lifting {
                to_ok.push(came.saturating_duration_since(lifted).as_secs_f64() * 1000.0);
            }
            std::thread::sleep(Duration::from_millis(300));
            let hanging = std::thread::scope(|scope| {
                let hand = scope.spawn(|| subject.hang_up());
                let came = caller.bye_came();
                (hand.join().unwrap(), came)
            });
            if let (hung, Some(came)) = hanging {
                to_bye.push(came.saturating_duration_since(hung).as_secs_f64() * 1000.0);
            }
        }
        answered[n] = of_runs(&to_ok);
        ended[n] = of_runs(&to_bye);
    }
    page.row(
        "lift while ringing to 200 OK (request on the control socket to the wire)",
        "≤ 10 ms",
        answered,
    );
    page.row("hang up to BYE (the same)", "≤ 10 ms", ended);
}

/// What the audio thread asks of allocator, locks and kernel, in one second of a call.
fn audio_thread(folder: &Path, page: &mut Page) {
    const SECONDS: u64 = 4;
    let Some(library) = preload(folder, "counting") else {
        return page.skip(
            "allocations and locks on the audio thread",
            "no C compiler for the counting preload",
        );
    };
    let mut allocations = [None, None];
    let mut locks = [None, None];
    for (n, kind) in [Kind::Offhook, Kind::Baresip].into_iter().enumerate() {
        let file = folder.join(format!("counts-{kind:?}"));
        let options = PhoneOptions {
            counting: Some((&library, &file)),
            ..phone_options(kind, Codec::Pcmu)
        };
        let got = in_call(folder, &options, |_| {
            std::thread::sleep(Duration::from_secs(1));
            let before = counts(&file);
            std::thread::sleep(Duration::from_secs(SECONDS));
            (before, counts(&file))
        });
        let Some((before, after)) = got else { continue };
        // Offhook's audio thread has its name; in baresip every thread but none touches sound: all
        // are counted.
        let ours = |all: &[Counts], of: fn(&Counts) -> u64| -> u64 {
            all.iter()
                .filter(|thread| kind != Kind::Offhook || thread.name.starts_with("offhook-audio"))
                .map(of)
                .sum()
        };
        if kind == Kind::Offhook
            && !after
                .iter()
                .any(|thread| thread.name.starts_with("offhook-audio"))
        {
            page.skip(
                "allocations on Offhook's audio thread",
                "the preload saw no thread of that name",
            );
            continue;
        }
        let rate = |of: fn(&Counts) -> u64| {
            figure(
                Some((ours(&after, of) - ours(&before, of)) as f64 / SECONDS as f64),
                0,
                "/s",
            )
        };
        allocations[n] = rate(|counts| counts.allocations);
        locks[n] = rate(|counts| counts.locks);
    }
    page.row(
        "allocator calls on the audio thread, one Pcmu call (baresip: all threads)",
        "0",
        allocations,
    );
    page.row(
        "mutex locks on the audio thread (baresip: all threads)",
        "0",
        locks,
    );
    futexes(folder, page);
}

/// Futex calls: a lock that had to wait, or wake somebody.
fn futexes(folder: &Path, page: &mut Page) {
    const SECONDS: u64 = 4;
    if Command::new("strace").arg("-V").output().is_err() {
        return page.skip("futex calls", "no strace");
    }
    let cells = [Kind::Offhook, Kind::Baresip].map(|kind| {
        let got = in_call(folder, &phone_options(kind, Codec::Pcmu), |subject| {
            std::thread::sleep(Duration::from_secs(1));
            let pid = subject.process.pid();
            let watched = match kind {
                Kind::Offhook => threads(pid, "offhook-audio"),
                Kind::Baresip | Kind::Pjsua | Kind::Linphone => threads(pid, ""),
            };
            let mut command = Command::new("timeout");
            command.args([
                "-s",
                "INT",
                &SECONDS.to_string(),
                "strace",
                "-e",
                "trace=futex",
            ]);
            for thread in &watched {
                command.args(["-p", &thread.to_string()]);
            }
            let output = command.stdin(Stdio::null()).output().ok()?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            (!watched.is_empty() && text.contains("attached"))
                .then(|| text.matches("futex(").count() as f64 / SECONDS as f64)
        });
        figure(got.flatten(), 1, "/s")
    });
    if cells[0].is_none() {
        page.skip("futex calls", "strace may not attach here");
    }
    let [ours, theirs] = cells;
    page.row(
        "futex calls of the audio thread (baresip: all threads)",
        "0",
        [ours, theirs],
    );
}

/// On what it was measured, without its name.
fn machine() -> String {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = text("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")
                .and_then(|rest| rest.split_once(": "))
                .map(|(_, name)| name.to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.into());
    let load = text("/proc/loadavg")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let day = Command::new("date")
        .arg("+%F")
        .output()
        .map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned());
    format!(
        "Measured {} on {cores} cores of {model}; load average at the end {load} (above {cores}: \
         other work disturbed the figures).",
        day.unwrap_or_default()
    )
}
