//! The few calls into the kernel that make a thread a real-time thread, the limit that stops one
//! that never sleeps, and the poll it sleeps in.
//!
//! `nix` has no `sched_setscheduler` and no `MCL_ONFAULT`, and its `poll` wants borrowed
//! descriptors where a sound card only gives numbers; all are plain calls with no memory of ours at
//! risk.
#![expect(
    unsafe_code,
    reason = "plain calls into the kernel that nix does not have"
)]

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Priority of the audio thread: below the kernel's interrupt threads (50 is their default, sound
/// cards get more), above all else.
pub const AUDIO_PRIORITY: i32 = 60;
/// CPU time that a real-time thread may take without sleeping once, in µs: a hundred periods. Then
/// it loses its priority; where even that does not help, the kernel ends the process after the
/// longer one.
const LONGEST_RUN_US: u64 = 500_000;
const LAST_RESORT_US: u64 = 5_000_000;
/// The thread that loses its priority, 0: none; and that it has lost it.
static WATCHED: AtomicI32 = AtomicI32::new(0);
static DEMOTED: AtomicBool = AtomicBool::new(false);
/// Stack touched in advance, so that no page of it is missing when it matters.
const STACK_TOUCHED: usize = 64 * 1024;

/// Makes alsa-lib guard its calls by no mutex: each card belongs to one thread at a time, and
/// the audio thread must take no lock. Drivers and sound servers keep the locks they need. To be
/// called before any other thread begins.
pub fn let_alsa_go_unlocked() {
    // SAFETY: no one else reads or writes the environment yet.
    unsafe { std::env::set_var("LIBASOUND_THREAD_SAFE", "0") };
}

/// Makes the calling thread `SCHED_FIFO` at this priority, and an ordinary one again should it ever
/// run for half a second without sleeping: a real-time thread that spins stops everything else on
/// its core. The limit is one for the process (`RLIMIT_RTTIME`), the thread that is demoted the
/// last one that called this.
pub fn become_realtime(priority: i32) -> io::Result<()> {
    limit_run()?;
    let wanted = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameter outlives the call; pid 0 is the calling thread.
    match unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const wanted,
        )
    } {
        0 => {
            WATCHED.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the real-time thread ran for so long that it lost its priority.
pub fn was_demoted() -> bool {
    DEMOTED.load(Ordering::Relaxed)
}

fn limit_run() -> io::Result<()> {
    let action = SigAction::new(
        SigHandler::Handler(demote),
        SaFlags::SA_RESTART | SaFlags::SA_ONSTACK,
        SigSet::empty(),
    );
    // SAFETY: `demote` calls nothing but what a signal handler may call.
    unsafe { sigaction(Signal::SIGXCPU, &action) }?;
    // A lower limit that someone else has set stays.
    let (soft, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let hard = hard.min(LAST_RESORT_US);
    setrlimit(
        Resource::RLIMIT_RTTIME,
        soft.min(LONGEST_RUN_US).min(hard),
        hard,
    )?;
    Ok(())
}

/// On SIGXCPU, in whichever thread it arrives.
extern "C" fn demote(_signal: libc::c_int) {
    let errno = Errno::last();
    let ordinary = libc::sched_param { sched_priority: 0 };
    let thread = WATCHED.load(Ordering::Relaxed);
    // SAFETY: the parameter outlives the call, which is a mere system call.
    if thread != 0
        && unsafe { libc::sched_setscheduler(thread, libc::SCHED_OTHER, &raw const ordinary) } == 0
    {
        DEMOTED.store(true, Ordering::Relaxed);
    }
    errno.set();
}

/// Locks the process's memory, where the kernel lets us: each page from its first use on
/// (`MCL_ONFAULT`), so that code no phone runs takes no room. What comes later is locked too only
/// where no limit could turn that into failing allocations.
pub fn lock_memory() -> io::Result<()> {
    let unlimited =
        getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == libc::RLIM_INFINITY);
    // SAFETY: asks for a number, touches nothing.
    let root = unsafe { libc::geteuid() } == 0;
    let flags = libc::MCL_CURRENT
        | libc::MCL_ONFAULT
        | if unlimited || root {
            libc::MCL_FUTURE
        } else {
            0
        };
    // SAFETY: changes how pages are kept, not what is in them.
    match unsafe { libc::mlockall(flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Touches the stack the calling thread will use.
#[inline(never)]
pub fn touch_stack() {
    #[expect(
        clippy::large_stack_arrays,
        reason = "to touch the stack is what this is for"
    )]
    let mut stack = [0_u8; STACK_TOUCHED];
    std::hint::black_box(&mut stack);
}

/// Writes to each page of a value's memory, what is there already: memory that was only reserved
/// is there from now on, whichever thread uses it first.
pub fn touch<T: ?Sized>(value: &mut T) {
    /// The smallest page of the processors this runs on.
    const PAGE: usize = 4096;
    let size = size_of_val(value);
    let bytes = std::ptr::from_mut(value).cast::<MaybeUninit<u8>>();
    for offset in (0..size).step_by(PAGE).chain(size.checked_sub(1)) {
        // SAFETY: the offset is below the size of a value that is borrowed for writing; a byte of
        // any kind, padding too, is a `MaybeUninit<u8>`, and is left as it is.
        unsafe {
            let byte = bytes.add(offset);
            byte.write_volatile(byte.read_volatile());
        }
    }
}

/// Sleeps until a descriptor is ready or the time is over; descriptors below zero are passed over.
pub fn poll(fds: &mut [libc::pollfd], longest: Duration) -> io::Result<usize> {
    let milliseconds = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the slice is ours and its length is given.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, milliseconds) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{UsageWho, getrusage};

    use super::*;

    fn page_faults() -> i64 {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        usage.minor_page_faults()
    }

    #[test]
    fn memory_that_was_touched_is_written_without_a_page_fault() {
        const SIZE: usize = 1 << 20;
        // So large that it comes new from the kernel, and no page of it was used before.
        let mut memory: Box<[MaybeUninit<u8>]> = Box::new_uninit_slice(SIZE);
        let untouched = page_faults();
        touch(&mut *memory);
        let touched = page_faults();
        memory.fill(MaybeUninit::new(7));
        std::hint::black_box(&memory);
        assert!(touched > untouched, "the memory was there before");
        assert_eq!(page_faults(), touched);
    }
}
