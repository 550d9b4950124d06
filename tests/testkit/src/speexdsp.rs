//! The echo canceller and the preprocessor (noise suppression) of libspeexdsp, found at run time:
//! what ours are compared with.
#![expect(
    unsafe_code,
    reason = "libspeexdsp is reached by dlopen, in tests and benches only"
)]

use std::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Init = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Control = unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int;
type Cancel = unsafe extern "C" fn(*mut c_void, *const i16, *const i16, *mut i16);
type Run = unsafe extern "C" fn(*mut c_void, *mut i16) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);

/// `SPEEX_ECHO_SET_SAMPLING_RATE`
const SET_SAMPLING_RATE: c_int = 24;

/// The library, loaded.
struct Library(*mut c_void);

impl Library {
    fn open() -> Option<Self> {
        // SAFETY: dlopen takes a C string.
        let library = unsafe { dlopen(c"libspeexdsp.so.1".as_ptr(), 2) };
        if library.is_null() {
            crate::skipped("comparison with speexdsp", "no libspeexdsp.so.1");
            return None;
        }
        Some(Self(library))
    }

    fn find(&self, name: &CStr) -> *mut c_void {
        // SAFETY: dlsym takes a library of dlopen and a C string.
        let found = unsafe { dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?} is not in libspeexdsp");
        found
    }
}

/// Its filter: a linear one, without a search for the delay.
pub struct Canceller {
    state: *mut c_void,
    frame: usize,
    cancel: Cancel,
    destroy: Destroy,
}

impl Canceller {
    /// For frames of so many samples and a filter of so many; `None`, and a report that it is
    /// skipped, where the library is not installed.
    pub fn new(rate_hz: u32, frame: usize, filter: usize) -> Option<Self> {
        let library = Library::open()?;
        // SAFETY: the signatures are those of speex/speex_echo.h of speexdsp 1.2.
        unsafe {
            let init: Init = std::mem::transmute(library.find(c"speex_echo_state_init"));
            let control: Control = std::mem::transmute(library.find(c"speex_echo_ctl"));
            let cancel: Cancel = std::mem::transmute(library.find(c"speex_echo_cancellation"));
            let destroy: Destroy = std::mem::transmute(library.find(c"speex_echo_state_destroy"));
            let state = init(frame as c_int, filter as c_int);
            assert!(!state.is_null());
            let mut rate = rate_hz as c_int;
            control(state, SET_SAMPLING_RATE, (&raw mut rate).cast());
            Some(Self {
                state,
                frame,
                cancel,
                destroy,
            })
        }
    }

    /// One frame of the microphone without the echo of the far end's.
    pub fn process(&mut self, microphone: &[i16], far: &[i16]) -> Vec<i16> {
        assert_eq!((microphone.len(), far.len()), (self.frame, self.frame));
        let mut out = vec![0; self.frame];
        // SAFETY: all three are as long as the frame it was made for.
        unsafe {
            (self.cancel)(
                self.state,
                microphone.as_ptr(),
                far.as_ptr(),
                out.as_mut_ptr(),
            );
        }
        out
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        // SAFETY: made by `speex_echo_state_init`, and used no more.
        unsafe { (self.destroy)(self.state) };
    }
}

/// Its preprocessor as it is by default: noise is suppressed by at most 15 dB, and nothing else is
/// done.
pub struct Preprocessor {
    state: *mut c_void,
    frame: usize,
    run: Run,
    destroy: Destroy,
}

impl Preprocessor {
    /// For frames of so many samples; `None`, and a report that it is skipped, where the library is
    /// not installed.
    pub fn new(rate_hz: u32, frame: usize) -> Option<Self> {
        let library = Library::open()?;
        // SAFETY: the signatures are those of speex/speex_preprocess.h of speexdsp 1.2.
        unsafe {
            let init: Init = std::mem::transmute(library.find(c"speex_preprocess_state_init"));
            let run: Run = std::mem::transmute(library.find(c"speex_preprocess_run"));
            let destroy: Destroy =
                std::mem::transmute(library.find(c"speex_preprocess_state_destroy"));
            let state = init(frame as c_int, rate_hz as c_int);
            assert!(!state.is_null());
            Some(Self {
                state,
                frame,
                run,
                destroy,
            })
        }
    }

    /// One frame, in place.
    pub fn process(&mut self, sound: &mut [i16]) {
        assert_eq!(sound.len(), self.frame);
        // SAFETY: the sound is as long as the frame it was made for.
        unsafe { (self.run)(self.state, sound.as_mut_ptr()) };
    }
}

impl Drop for Preprocessor {
    fn drop(&mut self) {
        // SAFETY: made by `speex_preprocess_state_init`, and used no more.
        unsafe { (self.destroy)(self.state) };
    }
}
