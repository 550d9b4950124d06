//! libsrtp2, reached by dlopen: no header, no link, and a test that says so where it is not
//! installed.
#![expect(
    unsafe_code,
    reason = "a C library is reached by dlopen, in tests only"
)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use types::SrtpSuite;

use crate::packet::PacketKind;
use crate::srtp::keys::MasterKey;
use crate::test_data::skipped;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `srtp_crypto_policy_t` of srtp2/srtp.h, unchanged since 2.0.
#[repr(C)]
#[derive(Clone, Copy)]
struct CryptoPolicy {
    cipher_type: u32,
    cipher_key_len: c_int,
    auth_type: u32,
    auth_key_len: c_int,
    auth_tag_len: c_int,
    sec_serv: c_int,
}

/// `srtp_master_key_t`.
#[repr(C)]
struct KeyAndIdentifier {
    key: *const u8,
    mki_id: *const u8,
    mki_size: c_uint,
}

/// `srtp_policy_t`.
#[repr(C)]
struct Policy {
    ssrc_type: c_int,
    ssrc_value: c_uint,
    rtp: CryptoPolicy,
    rtcp: CryptoPolicy,
    key: *const u8,
    keys: *const *const KeyAndIdentifier,
    num_master_keys: c_ulong,
    deprecated_ekt: *const c_void,
    window_size: c_ulong,
    allow_repeat_tx: c_int,
    enc_xtn_hdr: *const c_int,
    enc_xtn_hdr_count: c_int,
    next: *const Policy,
}

type Protect = unsafe extern "C" fn(*mut c_void, *mut u8, *mut c_int, c_uint, c_uint) -> c_int;
type Unprotect = unsafe extern "C" fn(*mut c_void, *mut u8, *mut c_int, c_uint) -> c_int;

struct Library {
    create: unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_int,
    dealloc: unsafe extern "C" fn(*mut c_void) -> c_int,
    protect: [Protect; 2],
    unprotect: [Unprotect; 2],
}

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            // SAFETY: dlopen and dlsym take C strings; the signatures are those of srtp2/srtp.h,
            // the same in all of 2.x.
            unsafe {
                let library = dlopen(c"libsrtp2.so.1".as_ptr(), 2);
                if library.is_null() {
                    return None;
                }
                let symbol = |name: &CStr| {
                    let found = dlsym(library, name.as_ptr());
                    assert!(!found.is_null(), "{name:?} missing in libsrtp2");
                    found
                };
                let init = std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(
                    symbol(c"srtp_init"),
                );
                assert_eq!(init(), 0, "srtp_init");
                let protect = |name| std::mem::transmute::<*mut c_void, Protect>(symbol(name));
                let unprotect = |name| std::mem::transmute::<*mut c_void, Unprotect>(symbol(name));
                Some(Library {
                    create: std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_int,
                    >(symbol(c"srtp_create")),
                    dealloc: std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut c_void) -> c_int,
                    >(symbol(c"srtp_dealloc")),
                    protect: [
                        protect(c"srtp_protect_mki"),
                        protect(c"srtp_protect_rtcp_mki"),
                    ],
                    unprotect: [
                        unprotect(c"srtp_unprotect_mki"),
                        unprotect(c"srtp_unprotect_rtcp_mki"),
                    ],
                })
            }
        })
        .as_ref()
}

/// Whether the library is installed; says that `test` is skipped where it is not.
pub(super) fn is_here(test: &str) -> bool {
    if library().is_none() {
        skipped(
            test,
            "libsrtp2.so.1 is not installed (apt install libsrtp2-1)",
        );
    }
    library().is_some()
}

/// One session of the library: whatever SSRC, protecting or unprotecting, by what is called first.
pub(super) struct Peer {
    library: &'static Library,
    /// Two sessions, because the library knows an SSRC in one direction only: what is sent, what is
    /// received.
    sessions: [*mut c_void; 2],
    uses_mki: c_uint,
}

impl Peer {
    pub(super) fn new(master: &MasterKey) -> Self {
        let suite = master.suite();
        let key = [master.key(), &master.salt()[..suite.salt_len()]].concat();
        let (cipher_type, auth_type, auth_key_len) = match suite {
            SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => (1, 3, 20),
            SrtpSuite::AesCm256HmacSha1_80 | SrtpSuite::AesCm256HmacSha1_32 => (5, 3, 20),
            SrtpSuite::AeadAes128Gcm => (6, 0, 0),
            SrtpSuite::AeadAes256Gcm => (7, 0, 0),
        };
        let crypto = |tag: usize| CryptoPolicy {
            cipher_type,
            cipher_key_len: key.len() as c_int,
            auth_type,
            auth_key_len,
            auth_tag_len: tag as c_int,
            sec_serv: 3,
        };
        let identified = KeyAndIdentifier {
            key: key.as_ptr(),
            mki_id: master.mki().as_ptr(),
            mki_size: master.mki().len() as c_uint,
        };
        let keys = [&raw const identified];
        let uses_mki = c_uint::from(!master.mki().is_empty());
        let policy = |ssrc_type| Policy {
            ssrc_type,
            ssrc_value: 0,
            rtp: crypto(suite.rtp_tag_len()),
            rtcp: crypto(suite.rtcp_tag_len()),
            key: if uses_mki == 0 { key.as_ptr() } else { null() },
            keys: if uses_mki == 0 { null() } else { keys.as_ptr() },
            num_master_keys: c_ulong::from(uses_mki),
            deprecated_ekt: null(),
            window_size: crate::srtp::replay::WINDOW as c_ulong,
            allow_repeat_tx: 0,
            enc_xtn_hdr: null(),
            enc_xtn_hdr_count: 0,
            next: null(),
        };
        let library = library().expect("asked for before");
        // SSRC_ANY_OUTBOUND and SSRC_ANY_INBOUND.
        let sessions = [3, 2].map(|ssrc_type| {
            let (mut session, policy) = (null_mut(), policy(ssrc_type));
            // SAFETY: the policy and all it points to live until srtp_create has copied them.
            let status = unsafe { (library.create)(&raw mut session, &raw const policy) };
            assert_eq!(status, 0, "srtp_create for {suite:?}");
            session
        });
        Self {
            library,
            sessions,
            uses_mki,
        }
    }

    pub(super) fn protect(&mut self, kind: PacketKind, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = aligned(packet);
        let mut length = packet.len() as c_int;
        let bytes = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: the buffer has room for any trailer beyond `length`; it is aligned as the
        // library's word accesses want it.
        let status = unsafe {
            self.library.protect[index(kind)](
                self.sessions[0],
                bytes,
                &raw mut length,
                self.uses_mki,
                0,
            )
        };
        (status == 0).then(|| taken(&buffer, length))
    }

    pub(super) fn unprotect(&mut self, kind: PacketKind, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = aligned(packet);
        let mut length = packet.len() as c_int;
        let bytes = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: as above.
        let status = unsafe {
            self.library.unprotect[index(kind)](
                self.sessions[1],
                bytes,
                &raw mut length,
                self.uses_mki,
            )
        };
        (status == 0).then(|| taken(&buffer, length))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for session in self.sessions {
            // SAFETY: made by srtp_create, freed once.
            unsafe { (self.library.dealloc)(session) };
        }
    }
}

fn index(kind: PacketKind) -> usize {
    match kind {
        PacketKind::Rtp => 0,
        PacketKind::Rtcp => 1,
    }
}

/// A copy at a word's boundary with room for the trailer.
fn aligned(packet: &[u8]) -> Vec<u64> {
    let mut bytes = packet.to_vec();
    bytes.resize((packet.len() + 160).next_multiple_of(8), 0);
    bytes
        .chunks_exact(8)
        .map(|eight| u64::from_ne_bytes(eight.try_into().unwrap()))
        .collect()
}

fn taken(buffer: &[u64], length: c_int) -> Vec<u8> {
    let mut bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.truncate(length as usize);
    bytes
}
