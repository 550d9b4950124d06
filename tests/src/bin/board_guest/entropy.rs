//! A user-mode kernel has no source of randomness of its own, and whoever asks it waits for ever:
//! it is given the machine's.

use std::fs::File;
use std::os::fd::AsRawFd;

#[repr(C)]
struct Pool {
    /// Bits of entropy in `bytes`.
    entropy: libc::c_int,
    size: libc::c_int,
    bytes: [u8; 64],
}

/// Credits the kernel with the seed of the guest's command line (hex digits in `OFFHOOK_SEED`, 64
/// bytes).
#[expect(unsafe_code, reason = "ioctl(2) RNDADDENTROPY, see random(4)")]
pub(crate) fn seed() {
    let hex = std::env::var("OFFHOOK_SEED").unwrap();
    let mut bytes = [0; 64];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    }
    let pool = Pool {
        entropy: 512,
        size: 64,
        bytes,
    };
    let device = File::options().write(true).open("/dev/random").unwrap();
    // SAFETY: the kernel reads `size` bytes behind the two numbers; the structure has them.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), 0x4008_5203, &raw const pool) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
