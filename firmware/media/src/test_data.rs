//! What several unit tests of this crate need: test data, spectra, and libspandsp as oracle.
#![expect(unsafe_code, reason = "libspandsp is reached by dlopen, in tests only")]

pub(crate) use testkit::data::{directory, read, read_all};
pub(crate) use testkit::pcap::datagrams;
pub(crate) use testkit::{Rng, skipped, start_instant};

/// A sine of a peak amplitude.
pub(crate) fn sine(hz: f64, rate_hz: u32, amplitude: f64, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            (amplitude * (std::f64::consts::TAU * hz * n as f64 / f64::from(rate_hz)).sin()).round()
                as i16
        })
        .collect()
}

/// Peak amplitude of one frequency in samples (a Hann-windowed single bin).
pub(crate) fn amplitude_at(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let n = samples.len() as f64;
    let (mut re, mut im, mut weight) = (0.0, 0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * (i as f64 + 0.5) / n).cos();
        let (sin, cos) = (std::f64::consts::TAU * hz * i as f64 / f64::from(rate_hz)).sin_cos();
        re += window * f64::from(sample) * cos;
        im += window * f64::from(sample) * sin;
        weight += window;
    }
    2.0 * re.hypot(im) / weight
}

/// libspandsp's G.722, found at run time.
pub(crate) mod spandsp {
    use std::ffi::{CStr, c_char, c_int, c_void};

    unsafe extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    type Init = unsafe extern "C" fn(*mut c_void, c_int, c_int) -> *mut c_void;
    type Free = unsafe extern "C" fn(*mut c_void) -> c_int;
    type Encode = unsafe extern "C" fn(*mut c_void, *mut u8, *const i16, c_int) -> c_int;
    type Decode = unsafe extern "C" fn(*mut c_void, *mut i16, *const u8, c_int) -> c_int;

    pub(crate) struct G722 {
        encode: (Init, Encode, Free),
        decode: (Init, Decode, Free),
    }

    const RATE: c_int = 64_000;

    impl G722 {
        /// Says that the test is skipped where the library is not installed.
        pub(crate) fn open() -> Option<Self> {
            // SAFETY: dlopen and dlsym take C strings; the signatures are those of spandsp/g722.h,
            // unchanged since 0.0.6.
            unsafe {
                let library = [c"libspandsp.so.2", c"libspandsp.so.3"]
                    .into_iter()
                    .map(|name| dlopen(name.as_ptr(), 2))
                    .find(|it| !it.is_null());
                let Some(library) = library else {
                    super::skipped(
                        "g722::bit_for_bit_what_libspandsp_makes",
                        "libspandsp.so.2 is not installed (apt install libspandsp2)",
                    );
                    return None;
                };
                let symbol = |name: &CStr| {
                    let found = dlsym(library, name.as_ptr());
                    assert!(!found.is_null(), "{name:?} missing in libspandsp");
                    found
                };
                Some(Self {
                    encode: (
                        std::mem::transmute::<*mut c_void, Init>(symbol(c"g722_encode_init")),
                        std::mem::transmute::<*mut c_void, Encode>(symbol(c"g722_encode")),
                        std::mem::transmute::<*mut c_void, Free>(symbol(c"g722_encode_free")),
                    ),
                    decode: (
                        std::mem::transmute::<*mut c_void, Init>(symbol(c"g722_decode_init")),
                        std::mem::transmute::<*mut c_void, Decode>(symbol(c"g722_decode")),
                        std::mem::transmute::<*mut c_void, Free>(symbol(c"g722_decode_free")),
                    ),
                })
            }
        }

        pub(crate) fn encode(&self, sound: &[i16]) -> Vec<u8> {
            let (init, run, free) = self.encode;
            let mut out = vec![0; sound.len() / 2];
            // SAFETY: the buffer holds a byte for each two samples, which is what 64 kbit/s makes.
            unsafe {
                let state = init(std::ptr::null_mut(), RATE, 0);
                let length = run(
                    state,
                    out.as_mut_ptr(),
                    sound.as_ptr(),
                    sound.len() as c_int,
                );
                assert_eq!(length as usize, out.len());
                free(state);
            }
            out
        }

        pub(crate) fn decode(&self, bytes: &[u8]) -> Vec<i16> {
            let (init, run, free) = self.decode;
            let mut out = vec![0; bytes.len() * 2];
            // SAFETY: the buffer holds two samples for each byte.
            unsafe {
                let state = init(std::ptr::null_mut(), RATE, 0);
                let length = run(
                    state,
                    out.as_mut_ptr(),
                    bytes.as_ptr(),
                    bytes.len() as c_int,
                );
                assert_eq!(length as usize, out.len());
                free(state);
            }
            out
        }
    }
}
