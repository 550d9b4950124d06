//! What several tests need: data files, a deterministic noise, spectra, and libspandsp as oracle.
#![allow(unsafe_code, reason = "libspandsp is reached by dlopen, in tests only")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

/// The folder of test data: `OFFHOOK_DATA`, else beside the workspace.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("OFFHOOK_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

/// Says that a test is skipped: on the real standard error, which the test harness does not swallow
/// as it does `eprintln`. Once: a property is tried many times.
pub(crate) fn skipped(test: &str, why: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD
        .lock()
        .is_ok_and(|mut told| !told.insert(test.to_owned()))
    {
        return;
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// Reads a file of test data, or says that `test` is skipped.
pub(crate) fn read(test: &str, name: &str) -> Option<Vec<u8>> {
    let path = folder().join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            skipped(test, &format!("{}: {error}", path.display()));
            None
        }
    }
}

/// All files below a folder of test data, or says that `test` is skipped.
pub(crate) fn read_all(test: &str, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder().join(name)];
    while let Some(path) = open.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            open.extend(entries.flatten().map(|entry| entry.path()));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    if found.is_empty() {
        skipped(
            test,
            &format!("nothing in {}", folder().join(name).display()),
        );
    }
    found
}

/// The payloads of all UDP datagrams in a capture (pcap of either byte order, Ethernet or Linux
/// cooked), in order.
pub(crate) fn datagrams(capture: &[u8]) -> Vec<&[u8]> {
    let little = capture.starts_with(&[0xD4, 0xC3, 0xB2, 0xA1]);
    if !little && !capture.starts_with(&[0xA1, 0xB2, 0xC3, 0xD4]) {
        return Vec::new();
    }
    let u32_at = |at: usize| -> Option<usize> {
        let bytes = *capture.get(at..)?.first_chunk::<4>()?;
        Some(if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        } as usize)
    };
    let link = match u32_at(20) {
        Some(1) => 12,
        Some(113) => 14,
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    let mut at = 24;
    while let Some(length) = u32_at(at + 8) {
        let Some(frame) = capture.get(at + 16..at + 16 + length) else {
            break;
        };
        at += 16 + length;
        found.extend(datagram(frame, link));
    }
    found
}

/// The UDP payload of a frame whose ethertype lies at `link`.
fn datagram(frame: &[u8], mut link: usize) -> Option<&[u8]> {
    while frame.get(link..link + 2)? == [0x81, 0] {
        link += 4; // VLAN
    }
    let packet = frame.get(link + 2..)?;
    let udp = match (frame.get(link..link + 2)?, packet.first()? >> 4) {
        ([8, 0], 4) if *packet.get(9)? == 17 => packet.get(usize::from(packet[0] & 15) * 4..)?,
        ([0x86, 0xDD], 6) if *packet.get(6)? == 17 => packet.get(40..)?,
        _ => return None,
    };
    udp.get(8..usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?])))
}

/// Some instant to count virtual time from.
#[allow(
    clippy::disallowed_methods,
    reason = "an `Instant` can only be had from the clock; every other one in a test is counted from this"
)]
pub(crate) fn start() -> std::time::Instant {
    std::time::Instant::now()
}

/// A xorshift generator.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// −1 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

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
