//! How much of the program stays in memory: what is locked cannot be taken back by the kernel, so
//! what only the start runs is given back once it is over.
//!
//! ```text
//! start ─▶ every page touched is locked (`realtime::lock_memory`) ─▶ once it rests:
//!   code and constants, but the cards' library's ── MADV_DONTNEED_LOCKED ─▶ not mapped
//!   what runs from then on comes back from the page cache, locked again page by page
//!   the first thread's stack below what it uses ─▶ not mapped
//! ```
//! The heap stays: the audio thread writes into what others allocate, and must not wait for a page.
#![expect(
    unsafe_code,
    reason = "the list of what is loaded, and two settings nix does not have"
)]

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;

/// Keeps all threads' allocations in one heap. Each heap of its own would keep what it once had,
/// and the one thread that must not wait allocates nothing. To be called before any other thread
/// begins.
pub fn keep_one_heap() {
    // Other C libraries have one heap to begin with.
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator's.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The library whose code runs at a lift, in the thread that must not wait.
const CARDS: &str = "libasound";

/// What a function and the system calls it makes may use of the stack.
const STACK_KEPT: usize = 64 * 1024;

/// Gives back the stack that the calling thread used before and does not use now: what the start
/// put there is far more than the loop needs.
#[inline(never)]
pub(crate) fn release_stack() {
    let here = 0_u8;
    let used_from = (&raw const here) as usize;
    let Some(stack) = mapping(|range, _| range.contains(&used_from)) else {
        return;
    };
    let page = page_size();
    let end = (used_from & !(page - 1)).saturating_sub(STACK_KEPT);
    if end > stack.start {
        // SAFETY: a stack grows down, and below it is a mapping of its own that guards it: nothing
        // that is used lies below this function's frame.
        unsafe {
            libc::madvise(
                stack.start as *mut c_void,
                end - stack.start,
                libc::MADV_DONTNEED_LOCKED,
            )
        };
    }
}

/// The first mapping of this process that is wanted, by its range and its line of
/// `/proc/self/maps`.
fn mapping(wanted: impl Fn(&Range<usize>, &str) -> bool) -> Option<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let range = |line: &str| {
        let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
        let address = |hex: &str| usize::from_str_radix(hex, 16).ok();
        Some(address(begin)?..address(end)?)
    };
    maps.lines()
        .find_map(|line| range(line).filter(|range| wanted(range, line)))
}

/// Gives back the code and constants of the program and its libraries: clean pages of files, which
/// are read again when they are next used. The cards' library keeps its code. Returns how many
/// bytes were mapped; 0 where the kernel cannot (before Linux 5.18).
pub(crate) fn release_code() -> usize {
    let mut released = 0_usize;
    // SAFETY: `release` keeps to what it may do; the pointer is to a number that outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(release), (&raw mut released).cast()) };
    released
}

/// For one loaded object: its segments that are never written. The loader keeps the list, and with
/// it the segments, as they are until this returns.
unsafe extern "C" fn release(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    released: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a whole entry, the headers it counts, a name or none, and what
    // `release_code` gave.
    let (object, headers, name, released) = unsafe {
        let object = &*object;
        if object.dlpi_name.is_null() {
            return 0;
        }
        (
            object,
            std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()),
            CStr::from_ptr(object.dlpi_name).to_string_lossy(),
            &mut *released.cast::<usize>(),
        )
    };
    // The kernel's own object is no file.
    if name.contains(CARDS) || name.contains("vdso") {
        return 0;
    }
    let page = page_size();
    for header in headers {
        let access = header.p_flags & (libc::PF_W | libc::PF_R);
        if header.p_type != libc::PT_LOAD || access != libc::PF_R {
            continue;
        }
        let begin = (object.dlpi_addr + header.p_vaddr) as usize & !(page - 1);
        let end = (object.dlpi_addr + header.p_vaddr + header.p_memsz) as usize;
        let length = (end - begin).next_multiple_of(page);
        // SAFETY: a private mapping of a file, never written to: the file has all that is in it.
        let done =
            unsafe { libc::madvise(begin as *mut c_void, length, libc::MADV_DONTNEED_LOCKED) };
        if done == 0 {
            *released += length;
        }
    }
    0
}

fn page_size() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's own code: where it is mapped, and how many kB of it are in memory.
    fn code() -> (Range<usize>, u64) {
        let program = std::env::current_exe().unwrap();
        resident(|line| line.contains(" r-xp ") && line.ends_with(program.to_str().unwrap()))
    }

    /// The first such mapping, and how many kB of it are in memory.
    fn resident(wanted: impl Fn(&str) -> bool) -> (Range<usize>, u64) {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let head = smaps.lines().find(|line| wanted(line)).unwrap();
        let rest = &smaps[smaps.find(head).unwrap()..];
        let (begin, end) = head.split_once(' ').unwrap().0.split_once('-').unwrap();
        let address = |hex: &str| usize::from_str_radix(hex, 16).unwrap();
        let kb = rest.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kb = kb.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        (address(begin)..address(end), kb)
    }

    #[test]
    fn code_is_given_back_and_comes_again_when_it_runs() {
        let (range, _) = code();
        // SAFETY: reads pages that are there to be read.
        let all = unsafe {
            libc::madvise(
                range.start as *mut c_void,
                range.len(),
                libc::MADV_POPULATE_READ,
            )
        };
        assert_eq!(all, 0, "all of the code is in memory");
        let before = code().1;
        let released = release_code();
        if released == 0 {
            return testkit::skip::skipped("resident", "this kernel gives no locked memory back");
        }
        let after = code().1;
        assert!(
            released > range.len(),
            "the kernel gives back {released} bytes"
        );
        assert!(
            after < before / 2,
            "{before} kB of code before, {after} kB after"
        );
        // What was given back runs as before.
        assert_eq!(format!("{:.3}", 1.0_f64.exp()), "2.718");
    }

    /// Uses so many kB of the stack, as the start of a phone does.
    #[inline(never)]
    fn use_stack(kb: usize) -> u8 {
        let here = std::hint::black_box([1_u8; 1024]);
        let deeper = if kb == 0 { 0 } else { use_stack(kb - 1) };
        here[kb % 1024].wrapping_add(deeper)
    }

    #[test]
    fn the_stack_that_the_start_used_is_given_back() {
        let here = 0_u8;
        let own = mapping(|range, _| range.contains(&((&raw const here) as usize))).unwrap();
        let begin = format!("{:x}-", own.start);
        let stack = || resident(|line| line.starts_with(&begin)).1;
        std::hint::black_box(use_stack(1024));
        let before = stack();
        release_stack();
        let after = stack();
        assert!(after + 900 < before, "{before} kB before, {after} kB after");
        // It can be used again.
        assert_eq!(use_stack(1024), 1);
    }
}
