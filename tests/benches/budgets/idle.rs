//! On hook and silent: how often a phone wakes and what that costs, and how soon it is there when
//! the handset is lifted out of that rest.
//!
//! ```text
//! 6 s after its start ─▶ context switches and time of all its threads, 10 s long
//! "lift" on the control socket ─▶ first sound at the far end of the card's cable
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use media::Codec;
use serde_json::json;

use crate::far::Far;
use crate::figures::{WINDOW, phone_options, runs};
use crate::process::{cpu_time, wake_ups};
use crate::subject::{Kind, Subject};
use crate::table::{Page, mean};

/// A card is stopped after two seconds of silence; the rest is for what a start leaves behind.
const SETTLING: Duration = Duration::from_secs(6);

/// The rows.
pub(crate) fn rows(folder: &Path, far: &mut Far, page: &mut Page) {
    let mut woken = Kind::ALL.map(|_| None);
    let mut shares = Kind::ALL.map(|_| None);
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        if kind.missing().is_some() {
            continue;
        }
        let Some(subject) = Subject::start(folder, &phone_options(kind, Codec::Pcmu)) else {
            continue;
        };
        subject.ready();
        std::thread::sleep(SETTLING);
        let pid = subject.process.pid();
        let second = || {
            let (began, woke, worked) = (Instant::now(), wake_ups(pid), cpu_time(pid));
            std::thread::sleep(Duration::from_secs(1));
            let seconds = began.elapsed().as_secs_f64();
            let work = cpu_time(pid).saturating_sub(worked).as_secs_f64();
            let woken = (wake_ups(pid) - woke) as f64;
            (woken / seconds, 100.0 * work / seconds)
        };
        let (woke, worked): (Vec<f64>, Vec<f64>) = (0..WINDOW.as_secs()).map(|_| second()).unzip();
        woken[n] = mean(&woke, 1, "/s");
        shares[n] = mean(&worked, 3, "%");
    }
    page.row(
        "wake-ups of all threads, on hook and silent",
        "≤ 20 /s",
        woken,
    );
    page.row("CPU of one core, on hook and silent", "≤ 0.05 %", shares);
    let tone = runs(|| {
        let subject = Subject::start(folder, &phone_options(Kind::Offhook, Codec::Pcmu))?;
        subject.ready();
        std::thread::sleep(SETTLING);
        far.is_silent().then_some(())?;
        let lifted = Instant::now();
        subject.ctl(&json!({"cmd": "lift"}))?;
        far.heard_by(lifted + Duration::from_secs(2))
            .map(|at| (at - lifted).as_secs_f64() * 1000.0)
    });
    page.row(
        "lift out of that rest to dial tone in the ear",
        "≤ 100 ms",
        [tone],
    );
}
