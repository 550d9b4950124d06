//! The bench: a process with a virtual card, and loops that drive cards as the audio thread does.

use std::process::Command;
use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, AudioRequest, Period};
use offhook_tests::vcard::{Side, VirtualCard};
use testkit::process::TestDir;

/// Shows a process that it is a child, and where its card lies.
const PLACE: &str = "OFFHOOK_CARD_PLACE";

/// What a test has to work with.
pub(crate) struct Bench {
    pub(crate) card: VirtualCard,
}

/// Runs a test's body in a process of its own whose alsa-lib knows the virtual card (alsa-lib reads
/// its configuration once). `more` is added to that configuration. `name` is the test's own.
pub(crate) fn in_child(name: &str, more: &str, body: impl FnOnce(&Bench)) {
    if let Some(dir) = std::env::var_os(PLACE) {
        hurry();
        return body(&Bench {
            card: VirtualCard::at(dir.as_ref()).unwrap(),
        });
    }
    let dir = TestDir::new(&format!("card-{name}"));
    match VirtualCard::new(&dir, more) {
        Err(why) => testkit::skipped(name, &why),
        Ok(card) => run_again(
            name,
            Command::new(std::env::current_exe().unwrap())
                .env("ALSA_CONFIG_PATH", card.alsa_config())
                .env(PLACE, dir.path()),
        ),
    }
}

/// Runs this test program again for one test, and fails as it fails.
pub(crate) fn run_again(name: &str, command: &mut Command) {
    let done = command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let output = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    print!("{output}");
    assert!(done.status.success(), "{name} failed in its own process");
    assert!(
        output.contains("1 passed"),
        "{name}: no such test in the child"
    );
}

/// Asks for a place before the machine's other work, where that is allowed: sound waits for no one.
#[expect(unsafe_code, reason = "setpriority(2), which takes numbers only")]
pub(crate) fn hurry() {
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}

impl Bench {
    /// Runs it again while the machine made xruns of its own; they are not what is tested.
    pub(crate) fn undisturbed<T>(&self, run: impl Fn() -> T) -> T {
        let own =
            || self.card.own_xruns(Side::Phone).unwrap() + self.card.own_xruns(Side::Far).unwrap();
        for attempt in 0..8 {
            let before = own();
            let got = run();
            let made = own() - before;
            if made == 0 {
                return got;
            }
            println!("attempt {attempt}: {made} xruns made by the machine, once more");
        }
        panic!("the machine is too busy for sound: 8 runs, each with xruns of its own");
    }
}

/// 10 ms periods, four ahead: a busy machine must not spoil what is asserted.
pub(crate) fn request(capture: &str, playback: &str) -> AudioRequest {
    AudioRequest {
        capture: capture.to_owned(),
        playback: playback.to_owned(),
        rate_hz: 48_000,
        codec_rate_hz: 48_000,
        period_ms: 10,
        periods: 4,
        microphone_channel: types::MicrophoneChannel::Mix,
    }
}

/// What both ends heard.
#[derive(Default)]
pub(crate) struct BothEars {
    pub(crate) by_phone: Vec<i16>,
    pub(crate) by_far: Vec<i16>,
    pub(crate) phone_xruns: u32,
    wakes: Vec<Duration>,
}

impl BothEars {
    /// How regularly the phone's periods came: reported, not asserted.
    pub(crate) fn report(&self) {
        let mut ms: Vec<f64> = self
            .wakes
            .iter()
            .map(|d| d.as_secs_f64() * 1000.0)
            .collect();
        ms.sort_by(f64::total_cmp);
        let at = |share: f64| {
            ms.get(((ms.len() - 1) as f64 * share) as usize)
                .copied()
                .unwrap_or_default()
        };
        println!(
            "periods: {} wakes, p1 {:.2} p50 {:.2} p99 {:.2} max {:.2} ms",
            ms.len(),
            at(0.01),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// The far end says something for `seconds` (then silence) and listens; the phone sends back what
/// it hears.
pub(crate) fn talk(
    phone: &mut dyn AudioDevice,
    far: &mut dyn AudioDevice,
    said: &[i16],
    seconds: f64,
) -> BothEars {
    let mut heard = BothEars::default();
    let mut period = vec![0i16; phone.format().period_frames.max(far.format().period_frames)];
    let far_period = far.format().period_frames;
    let wanted = (seconds * f64::from(far.format().rate_hz)) as usize;
    // The recordings begin when the far end begins to speak: what lay in its microphone before that
    // is thrown away.
    heard.phone_xruns += flush(phone);
    flush(far);
    let (mut spoken, mut last) = (0, Instant::now());
    while heard.by_far.len() < wanted {
        wait_any(&[&*phone, &*far]);
        loop {
            let frames = phone.format().period_frames;
            match phone.read(&mut period[..frames]).unwrap() {
                Period::Ready => {
                    heard.wakes.push(last.elapsed());
                    last = Instant::now();
                    heard.by_phone.extend_from_slice(&period[..frames]);
                    if let Period::Xrun { .. } = phone.write(&period[..frames]).unwrap() {
                        heard.phone_xruns += 1;
                    }
                }
                Period::NotYet => break,
                Period::Xrun { .. } => heard.phone_xruns += 1,
            }
        }
        while far.read(&mut period[..far_period]).unwrap() == Period::Ready {
            heard.by_far.extend_from_slice(&period[..far_period]);
            let left = said.get(spoken..).unwrap_or(&[]);
            let count = left.len().min(far_period);
            let mut out = vec![0; far_period];
            out[..count].copy_from_slice(&left[..count]);
            spoken += count;
            far.write(&out).unwrap();
        }
    }
    heard
}

/// Answers what lies in the microphone with silence; returns the xruns.
fn flush(card: &mut dyn AudioDevice) -> u32 {
    let mut period = vec![0; card.format().period_frames];
    let mut xruns = 0;
    loop {
        let done = match card.read(&mut period).unwrap() {
            Period::NotYet => return xruns,
            Period::Ready => {
                period.fill(0);
                card.write(&period).unwrap()
            }
            xrun @ Period::Xrun { .. } => xrun,
        };
        xruns += u32::from(matches!(done, Period::Xrun { .. }));
    }
}

/// Sends back what is heard for a while; returns the xruns.
pub(crate) fn idle(card: &mut dyn AudioDevice, seconds: f64) -> Result<u32, AudioError> {
    let mut period = vec![0; card.format().period_frames];
    let (end, mut xruns) = (Instant::now() + Duration::from_secs_f64(seconds), 0);
    while Instant::now() < end {
        let done = match card.read(&mut period)? {
            Period::Ready => card.write(&period)?,
            Period::NotYet => {
                wait(card);
                continue;
            }
            xrun @ Period::Xrun { .. } => xrun,
        };
        if let Period::Xrun { .. } = done {
            xruns += 1;
        }
    }
    Ok(xruns)
}

/// Waits until a period may be there, half a second at most.
pub(crate) fn wait(card: &dyn AudioDevice) {
    wait_any(&[card]);
}

#[expect(
    unsafe_code,
    reason = "poll(2) on as many descriptors as the cards have, without allocating"
)]
fn wait_any(cards: &[&dyn AudioDevice]) {
    let mut fds: [libc::pollfd; 8] = [libc::pollfd {
        fd: -1,
        events: libc::POLLIN,
        revents: 0,
    }; 8];
    for (poll, &fd) in fds
        .iter_mut()
        .zip(cards.iter().flat_map(|card| card.poll_fds()))
    {
        poll.fd = fd;
    }
    // SAFETY: the array lives through the call; a negative descriptor is passed over by the kernel.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, 500) };
    assert!(
        ready >= 0 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    );
}

/// Sweeps of a fifth of a second, each over other frequencies between 300 and 3000 Hz: they align
/// in one place only.
pub(crate) fn chirps(rate_hz: u32, seconds: f64) -> Vec<i16> {
    let length = f64::from(rate_hz) * 0.2;
    let mut phase = 0.0f64;
    (0..(seconds * f64::from(rate_hz)) as usize)
        .map(|n| {
            let (nth, within) = ((n as f64 / length) as u32, (n as f64 % length) / length);
            let (from, to) = (
                300.0 + f64::from(nth * 97 % 700),
                3000.0 - f64::from(nth * 131 % 1100),
            );
            phase += std::f64::consts::TAU * (from + (to - from) * within) / f64::from(rate_hz);
            let level = 4000.0 + 1000.0 * f64::from(nth % 5);
            (phase.sin() * level * (std::f64::consts::PI * within).sin()) as i16
        })
        .collect()
}
