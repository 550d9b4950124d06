//! `type pulse`: a PulseAudio daemon of the test's own, one null sink, the phone plays into it and
//! hears its monitor, while another program plays silence into it with little latency: then the
//! server gives fragments much shorter than a period, and its plugin calls each of them ready.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use board::audio::{Period, open};
use testkit::measure::{Clip, align_parts, median};
use testkit::process::{ChildProcess, TestDir};

use crate::bench::{chirps, hurry, request, run_again, wait};

const NAME: &str = "pulseaudio_carries_sound_both_ways";
const CHILD: &str = "OFFHOOK_CARD_PULSE";
/// Waits that may end for each period, on average, and without it.
const WAKE_UPS_A_PERIOD: u32 = 4;

pub(crate) fn test() {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let missing = [
        "/usr/bin/pulseaudio",
        "/usr/lib/x86_64-linux-gnu/alsa-lib/libasound_module_pcm_pulse.so",
    ];
    let found = |path: &&str| {
        Path::new(path).exists()
            || Path::new(&path.replace("x86_64", std::env::consts::ARCH)).exists()
    };
    if let Some(path) = missing.iter().find(|path| !found(path)) {
        testkit::skipped(
            NAME,
            &format!("no {path} (packages pulseaudio, libasound2-plugins)"),
        );
        return;
    }
    let dir = TestDir::new("pulse");
    let socket = dir.join("native");
    std::fs::write(
        dir.join("bench.pa"),
        format!(
            "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
             load-module module-null-sink sink_name=ear rate=48000 channels=1\n",
            socket.display()
        ),
    )
    .unwrap();
    let server = format!("unix:{}", socket.display());
    std::fs::write(
        dir.join("asound.conf"),
        format!(
            "pcm.ear {{ type pulse server \"{server}\" device \"ear\" }}\n\
             pcm.mouth {{ type pulse server \"{server}\" device \"ear.monitor\" }}\n"
        ),
    )
    .unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let mut daemon = Command::new("pulseaudio")
        .args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "-F",
        ])
        .arg(dir.join("bench.pa"))
        .env("HOME", dir.path())
        .env("XDG_RUNTIME_DIR", dir.path())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let ready = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        socket.exists()
    });
    let done = std::panic::catch_unwind(|| {
        assert!(
            ready,
            "pulseaudio does not start: {}",
            std::fs::read_to_string(dir.join("log")).unwrap_or_default()
        );
        let mut other = Command::new("pacat");
        other
            .args(["--playback", "--raw", "--device=ear", "--latency-msec=2"])
            .arg("/dev/zero")
            .env("PULSE_SERVER", &server)
            .env("HOME", dir.path())
            .env("XDG_RUNTIME_DIR", dir.path());
        let _other = ChildProcess::start(&mut other, &dir.join("other"));
        run_again(
            NAME,
            Command::new(std::env::current_exe().unwrap())
                .env("ALSA_CONFIG_PATH", dir.join("asound.conf"))
                .env("HOME", dir.path())
                .env(CHILD, "1"),
        );
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

fn body() {
    hurry();
    let mut card = open(&request("mouth", "ear")).unwrap();
    let format = card.format();
    println!("{format:?}");
    let said = chirps(48_000, 6.0);
    let mut heard = Vec::new();
    let (mut spoken, mut xruns, mut waits) = (0, 0, 0);
    let mut period = vec![0; format.period_frames];
    let end = Instant::now() + Duration::from_secs(20);
    while heard.len() < 48_000 * 8 && Instant::now() < end {
        let done = match card.read(&mut period).unwrap() {
            Period::Ready => {
                heard.extend_from_slice(&period);
                let left = &said[spoken..];
                let count = left.len().min(period.len());
                period[..count].copy_from_slice(&left[..count]);
                period[count..].fill(0);
                spoken += count;
                card.write(&period).unwrap()
            }
            Period::NotYet => {
                wait(&*card);
                waits += 1;
                continue;
            }
            xrun @ Period::Xrun { .. } => xrun,
        };
        xruns += u32::from(matches!(done, Period::Xrun { .. }));
    }
    let periods = (heard.len() / format.period_frames) as u32;
    println!("{waits} waits ended in {periods} periods");
    assert!(
        waits <= WAKE_UPS_A_PERIOD * periods,
        "woken {waits} times for {periods} periods: it spins"
    );
    // A server that the machine leaves waiting loses sound, and its delay moves: each part of what
    // was said is looked for by itself, and most must have come through whole.
    let parts = align_parts(
        &Clip {
            rate_hz: 48_000,
            samples: said,
        },
        &Clip {
            rate_hz: 48_000,
            samples: heard,
        },
        0.4,
        1.5,
    );
    let whole = parts
        .iter()
        .filter(|part| part.correlation > 0.95 && part.gain_db.abs() < 1.0)
        .count();
    let delay = median(parts.iter().map(|part| part.delay_s * 1000.0));
    println!(
        "{whole} of {} parts came whole, {delay:.0} ms later; {xruns} xruns",
        parts.len()
    );
    assert!(
        whole * 2 > parts.len(),
        "{whole} of {} parts came whole: {parts:?}",
        parts.len()
    );
}
