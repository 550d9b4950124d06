//! Allocations counted per thread: a test arms a thread, runs what must not allocate, and reads the
//! counts. Two sources feed the same counters; a test binary installs one of them.
//!
//! ```text
//! Rust code ─▶ CountingAllocator (#[global_allocator]) ──┐
//! Rust and C code ─▶ count_malloc!() (defines malloc) ───┴─▶ counts of the armed thread
//! ```
#![expect(
    unsafe_code,
    reason = "a global allocator is unsafe by its trait; this one forwards to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What threads did with the heap while they were armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls that may return new memory: malloc, calloc, realloc and the like.
    pub allocations: u64,
    /// Calls that return memory.
    pub frees: u64,
}

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static OF_THREAD: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, frees: 0 }) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

/// RealtimeSanitizer's own entrances (compiler-rt, `rtsan_interface.h`): in between, every call of
/// the C library that may wait for something ends the program with a trace.
#[cfg(feature = "rtsan")]
mod realtime {
    unsafe extern "C" {
        safe fn __rtsan_realtime_enter();
        safe fn __rtsan_realtime_exit();
    }

    pub(super) fn enter() {
        __rtsan_realtime_enter();
    }

    pub(super) fn exit() {
        __rtsan_realtime_exit();
    }
}

/// Counts what this thread does from now on; under RealtimeSanitizer it is a real-time thread.
pub fn arm() {
    ARMED.set(true);
    #[cfg(feature = "rtsan")]
    realtime::enter();
}

/// Stops counting on this thread.
pub fn disarm() {
    #[cfg(feature = "rtsan")]
    realtime::exit();
    ARMED.set(false);
}

/// What this thread did while armed.
pub fn of_this_thread() -> Counts {
    OF_THREAD.get()
}

/// Bytes this thread allocated while armed, less those it freed. Only [`CountingAllocator`] sees
/// sizes.
pub fn bytes_of_this_thread() -> isize {
    BYTES.get()
}

/// What all threads together did while armed.
pub fn of_all_threads() -> Counts {
    Counts {
        allocations: ALLOCATIONS.load(Ordering::Relaxed),
        frees: FREES.load(Ordering::Relaxed),
    }
}

/// Runs `work` on this thread, armed, and returns what it did with the heap.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    struct Disarm;
    impl Drop for Disarm {
        fn drop(&mut self) {
            disarm();
        }
    }
    let before = of_this_thread();
    arm();
    let guard = Disarm;
    let result = work();
    drop(guard);
    let after = of_this_thread();
    let counts = Counts {
        allocations: after.allocations - before.allocations,
        frees: after.frees - before.frees,
    };
    (result, counts)
}

/// Runs a piece of a program that must neither allocate nor free, and fails if it does.
#[track_caller]
pub fn untouched<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (result, counts) = counted(work);
    assert_eq!(counts, Counts::default(), "{what} used the heap");
    result
}

/// Takes note of an allocation; for the two sources.
pub fn note_allocation() {
    note(|counts| counts.allocations += 1, &ALLOCATIONS);
}

/// Takes note of a free; for the two sources.
pub fn note_free() {
    note(|counts| counts.frees += 1, &FREES);
}

fn note(add: impl FnOnce(&mut Counts), total: &AtomicU64) {
    // `try_with`: a thread that is ending has no thread-locals any more, and no one asks for them.
    if ARMED.try_with(Cell::get).unwrap_or(false) {
        total.fetch_add(1, Ordering::Relaxed);
        let _ = OF_THREAD.try_with(|cell| {
            let mut counts = cell.get();
            add(&mut counts);
            cell.set(counts);
        });
    }
}

fn note_bytes(change: isize) {
    if ARMED.try_with(Cell::get).unwrap_or(false) {
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + change));
    }
}

/// A size as a change of what is held; an allocation is never larger than `isize::MAX`.
fn change(size: usize) -> isize {
    size as isize
}

/// The system's allocator with counting: `#[global_allocator] static HEAP: CountingAllocator =
/// CountingAllocator;`. What C libraries allocate is not seen.
#[derive(Debug)]
pub struct CountingAllocator;

// SAFETY: every call is forwarded to the system's allocator unchanged; counting touches atomics and
// const thread-locals only, which do not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_allocation();
        note_bytes(change(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_free();
        note_bytes(-change(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note_allocation();
        note_bytes(change(size) - change(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note_allocation();
        note_bytes(change(layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }
}

/// Defines `malloc` and its relatives in the test program, forwarding to glibc's: they take the
/// place of the C library's for every library loaded, so what C code allocates is counted, too.
#[macro_export]
macro_rules! count_malloc {
    () => {
        mod counted_malloc {
            use std::ffi::c_void;

            use $crate::heap::{note_allocation, note_free};

            unsafe extern "C" {
                fn __libc_malloc(size: usize) -> *mut c_void;
                fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
                fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
                fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
                fn __libc_free(pointer: *mut c_void);
            }

            // SAFETY (all six): each forwards to the C library's own function with the arguments
            // it got.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
                note_allocation();
                unsafe { __libc_malloc(size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
                note_allocation();
                unsafe { __libc_calloc(number, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
                note_allocation();
                unsafe { __libc_realloc(pointer, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn posix_memalign(
                out: *mut *mut c_void,
                align: usize,
                size: usize,
            ) -> i32 {
                note_allocation();
                unsafe {
                    let pointer = __libc_memalign(align, size);
                    if pointer.is_null() {
                        return 12; // ENOMEM
                    }
                    *out = pointer;
                }
                0
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
                note_allocation();
                unsafe { __libc_memalign(align, size) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free(pointer: *mut c_void) {
                if !pointer.is_null() {
                    note_free();
                }
                unsafe { __libc_free(pointer) }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static HEAP: CountingAllocator = CountingAllocator;

    #[test]
    fn allocations_and_frees_are_counted_while_armed() {
        let vector = vec![1u8; 100];
        let ((), counts) = counted(|| drop(std::hint::black_box(vec![1u8; 100])));
        assert_eq!((counts.allocations, counts.frees), (1, 1));
        drop(std::hint::black_box(vector));
        let before = bytes_of_this_thread();
        let (kept, counts) = counted(|| std::hint::black_box(Box::new(7_u64)));
        assert_eq!((counts.allocations, counts.frees), (1, 0));
        assert_eq!(bytes_of_this_thread() - before, 8);
        drop(kept);
    }

    #[test]
    fn untouched_fails_on_an_allocation() {
        let caught = std::panic::catch_unwind(|| {
            untouched("a vector", || drop(std::hint::black_box(vec![1u8; 100])));
        });
        assert!(caught.is_err());
        untouched("nothing", || ());
    }
}
