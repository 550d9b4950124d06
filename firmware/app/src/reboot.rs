//! Restarts the board with an argument for its boot firmware, which busybox's `reboot` cannot pass
//! on.
//!
//! ```text
//! offhook reboot --once ─▶ sync ─▶ reboot(2), "0 tryboot" ─▶ Raspberry Pi: [tryboot] of autoboot.txt, once
//! ```
//!
//! `nix` knows `reboot(2)` without its argument only; the call below takes one string and does not
//! return.
#![expect(
    unsafe_code,
    reason = "one call into the kernel that nix does not have"
)]

use std::ffi::CStr;
use std::io;

/// Restarts at once; `once` asks the firmware for the other slot, for this one start. Comes back
/// only with the reason why it could not.
pub(crate) fn reboot(once: bool) -> io::Error {
    let word: &CStr = if once { c"0 tryboot" } else { c"0" };
    nix::unistd::sync();
    // SAFETY: the string is static and ends with a zero; the kernel copies it.
    unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            word.as_ptr(),
        );
    }
    io::Error::last_os_error()
}
