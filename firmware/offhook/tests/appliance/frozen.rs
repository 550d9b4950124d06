//! A phone that is still there and no longer works: one of its two threads frozen, the other going
//! on. No one may feed the watchdog then.
//!
//! ```text
//! test ─ptrace─▶ one thread stops ─▶ the watchdog's file grows no more ─▶ it goes on ─▶ the file grows again
//! ```

use std::fs;
use std::time::Duration;

use crate::machine::{Machine, Phone, until};

/// Longer than the phone takes to give a thread up for lost (2 s), and than the time between two
/// meals.
const HUNGRY: Duration = Duration::from_secs(4);

/// One thread of a phone, stopped by ptrace: the kernel lets the others run on.
struct Frozen(i32);

impl Frozen {
    fn new(thread: i32) -> Self {
        ptrace(libc::PTRACE_SEIZE, thread);
        ptrace(libc::PTRACE_INTERRUPT, thread);
        // The stop is there once it is reported.
        let mut status = 0;
        // SAFETY: `status` lives through the call.
        #[expect(
            unsafe_code,
            reason = "ptrace and waitpid, which nix does not have for threads"
        )]
        let reported = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
        assert_eq!(reported, thread, "{}", std::io::Error::last_os_error());
        Self(thread)
    }
}

impl Drop for Frozen {
    /// Whatever the test found: a traced thread that no one lets go keeps its process from ending.
    fn drop(&mut self) {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the request reads and writes no memory of ours.
        #[expect(
            unsafe_code,
            reason = "ptrace and waitpid, which nix does not have for threads"
        )]
        let _ = unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, nothing, nothing) };
    }
}

fn ptrace(request: libc::c_uint, thread: i32) {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: none of these requests reads or writes memory of ours.
    #[expect(
        unsafe_code,
        reason = "ptrace and waitpid, which nix does not have for threads"
    )]
    let done = unsafe { libc::ptrace(request, thread, nothing, nothing) };
    assert_eq!(
        done,
        0,
        "ptrace of a child of ours: {}",
        std::io::Error::last_os_error()
    );
}

/// The number of the phone's thread of this name; "" for its first one, which is the control
/// thread.
fn thread(phone: &Phone, name: &str) -> i32 {
    let process = phone.child.id();
    if name.is_empty() {
        return i32::try_from(process).unwrap();
    }
    let mut threads = fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let found = threads
        .find(|path| {
            fs::read_to_string(path.join("comm"))
                .unwrap_or_default()
                .trim()
                == name
        })
        .unwrap_or_else(|| panic!("no thread {name}"));
    found
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn starves_without(which: &str, name: &str) {
    let machine = Machine::new(which);
    let device = machine.path("run/dog");
    fs::write(&device, "").unwrap();
    machine.hardware(&format!("[watchdog]\ndevice = \"{}\"\n", device.display()));
    machine.card("");
    let meals = || fs::metadata(&device).unwrap().len();
    let phone = machine.start();
    until("meals", || meals() > 4);
    let frozen = Frozen::new(thread(&phone, name));
    std::thread::sleep(HUNGRY);
    let before = meals();
    std::thread::sleep(HUNGRY);
    assert_eq!(
        meals(),
        before,
        "fed, although the {which} thread stands still"
    );
    // It was the thread, and nothing else: when it goes on, so do the meals.
    drop(frozen);
    until("meals again", || meals() > before);
}

#[test]
fn a_frozen_audio_thread_starves_the_watchdog() {
    starves_without("audio", "offhook-audio");
}

#[test]
fn a_frozen_control_thread_starves_the_watchdog() {
    starves_without("control", "");
}
