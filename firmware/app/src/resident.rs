//! How much of the program stays in memory: what is locked cannot be taken back by the kernel, so
//! what only the start runs is given back once it is over.
//!
//! ```text
//! start ─▶ every page touched is locked (`realtime::lock_memory`) ─▶ once it rests:
//!   code and constants, but the cards' library's ── MADV_DONTNEED_LOCKED ─▶ not mapped
//!   what runs from then on comes back from the page cache, locked again page by page
//! ```
#![expect(
    unsafe_code,
    reason = "the list of what is loaded, and two settings nix does not have"
)]

use std::ffi::{CStr, c_int, c_void};

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

/// Gives back the code and constants of the program and its libraries: clean pages of files, which
/// are read again when they are next used. Also what the heap has no use for. The cards' library
/// keeps its code. Returns how many bytes were mapped; 0 where the kernel cannot (before Linux
/// 5.18).
pub(crate) fn release_code() -> usize {
    #[cfg(target_env = "gnu")]
    // SAFETY: gives back what no allocation is in.
    unsafe {
        libc::malloc_trim(0);
    }
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
    fn code() -> (std::ops::Range<usize>, u64) {
        let program = std::env::current_exe().unwrap();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let head = smaps
            .lines()
            .find(|line| line.contains(" r-xp ") && line.ends_with(program.to_str().unwrap()));
        let head = head.unwrap();
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
}
