//! Reduces the capabilities of this thread, for good. A phone keeps three: real-time priority,
//! locked memory, and a SIP port below 1024. Its broker keeps what writing files, changing their
//! owners and remounting the card take.

use std::io;

use super::user::User;

/// `CAP_NET_BIND_SERVICE`, `CAP_IPC_LOCK`, `CAP_SYS_NICE`
const PHONE: u64 = 1 << 10 | 1 << 14 | 1 << 23;
/// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_FOWNER`, `CAP_SYS_ADMIN` (remount)
const BROKER: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 21;
/// `CAP_SETPCAP`
const SETPCAP: u64 = 1 << 8;
/// `_LINUX_CAPABILITY_VERSION_3`
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// For a phone: changes to `user`, where there is one, and gives up all capabilities but
/// [`PHONE`].
pub(super) fn keep_of_phone(user: Option<User>) -> io::Result<()> {
    keep(PHONE, user)
}

/// For a broker, which stays root: gives up all capabilities but [`BROKER`].
pub(super) fn keep_of_broker() -> io::Result<()> {
    keep(BROKER, None)
}

/// Gives up all capabilities but the needed ones, and `no_new_privs`: a program that is executed
/// gets none either.
fn keep(needed: u64, user: Option<User>) -> io::Result<()> {
    no_new_privileges()?;
    let have = permitted()?;
    if have & SETPCAP != 0 {
        // The bounding set limits even a program file that has capabilities of its own.
        for capability in (0..64).filter(|capability| needed & (1 << capability) == 0) {
            // SAFETY: prctl(2) with numbers only.
            #[expect(unsafe_code, reason = "see SAFETY above")]
            let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
            if dropped != 0 {
                // Past the last capability that the kernel knows.
                break;
            }
        }
    }
    if let Some(user) = user {
        user.become_user()?;
    }
    set(have & needed)
}

fn no_new_privileges() -> io::Result<()> {
    // SAFETY: prctl(2) with numbers only.
    #[expect(unsafe_code, reason = "see SAFETY above")]
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn header() -> Header {
    Header {
        version: VERSION,
        pid: 0,
    }
}

fn permitted() -> io::Result<u64> {
    let mut header = header();
    let mut data = [Data {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: both outlive the call, and the kernel writes two entries in this version.
    #[expect(unsafe_code, reason = "see SAFETY above")]
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

fn set(kept: u64) -> io::Result<()> {
    let mut header = header();
    let half = |shift: u32| Data {
        effective: (kept >> shift) as u32,
        permitted: (kept >> shift) as u32,
        inheritable: 0,
    };
    let data = [half(0), half(32)];
    // SAFETY: both outlive the call; the kernel reads two entries in this version.
    #[expect(unsafe_code, reason = "see SAFETY above")]
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
