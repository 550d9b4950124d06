//! The echo canceller of libspeexdsp, found at run time: what ours is compared with.
#![expect(
    unsafe_code,
    reason = "libspeexdsp is reached by dlopen, in tests and benches only"
)]

use std::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Init = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Control = unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int;
type Cancel = unsafe extern "C" fn(*mut c_void, *const i16, *const i16, *mut i16);
type Destroy = unsafe extern "C" fn(*mut c_void);

/// `SPEEX_ECHO_SET_SAMPLING_RATE`
const SET_SAMPLING_RATE: c_int = 24;

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
        // SAFETY: dlopen and dlsym take C strings; the signatures are those of
        // speex/speex_echo.h of speexdsp 1.2.
        unsafe {
            let library = dlopen(c"libspeexdsp.so.1".as_ptr(), 2);
            if library.is_null() {
                crate::skipped("comparison with speexdsp", "no libspeexdsp.so.1");
                return None;
            }
            let find = |name: &std::ffi::CStr| {
                let found = dlsym(library, name.as_ptr());
                assert!(!found.is_null(), "{name:?} is not in libspeexdsp");
                found
            };
            let init: Init = std::mem::transmute(find(c"speex_echo_state_init"));
            let control: Control = std::mem::transmute(find(c"speex_echo_ctl"));
            let state = init(frame as c_int, filter as c_int);
            assert!(!state.is_null());
            let mut rate = rate_hz as c_int;
            control(state, SET_SAMPLING_RATE, (&raw mut rate).cast());
            Some(Self {
                state,
                frame,
                cancel: std::mem::transmute::<*mut c_void, Cancel>(find(
                    c"speex_echo_cancellation",
                )),
                destroy: std::mem::transmute::<*mut c_void, Destroy>(find(
                    c"speex_echo_state_destroy",
                )),
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
