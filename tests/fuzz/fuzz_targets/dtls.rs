//! What comes to a media port as DTLS (RFC 5764) before anything is proved: no panic, few answers,
//! and no one is believed. Two endpoints speak to each other; the data changes what they say and
//! adds datagrams of its own. Neither expects the other's certificate.
#![no_main]

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use control::Credentials;
use control::dtls::fuzz::Endpoint;
use libfuzzer_sys::fuzz_target;

/// Most datagrams that leave for one that comes: the flight of a handshake.
const FLIGHT: usize = 16;
/// Datagrams of one run.
const MOST: usize = 40;

/// One datagram as the data wants it: itself, some octets of it changed, or another one.
fn tampered(mut datagram: Vec<u8>, data: &mut &[u8]) -> Vec<u8> {
    let Some((&[kind, length], rest)) = data.split_first_chunk() else {
        return datagram;
    };
    *data = rest;
    let (octets, rest) = data.split_at(usize::from(length).min(data.len()));
    match kind % 4 {
        0 => {}
        1 | 2 => {
            *data = rest;
            for change in octets.chunks_exact(3) {
                let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
                let length = datagram.len().max(1);
                if let Some(octet) = datagram.get_mut(at % length) {
                    *octet ^= change[2];
                }
            }
        }
        _ => {
            *data = rest;
            datagram = octets.to_vec();
        }
    }
    datagram
}

fuzz_target!(|data: &[u8]| {
    static OWN: OnceLock<Credentials> = OnceLock::new();
    let own = OWN.get_or_init(|| Credentials::make().expect("a key can be made"));
    let mut data = data;
    let mut now = testkit::start_instant();
    let mut ends = [true, false].map(|active| Endpoint::new(own, active, now));
    let mut network: VecDeque<(usize, Vec<u8>)> = VecDeque::new();
    for number in 0..MOST {
        let Some((to, datagram)) = network.pop_front() else {
            now += Duration::from_millis(600);
            for (from, end) in ends.iter_mut().enumerate() {
                let left = end.handle_timeout(now).into_iter();
                network.extend(left.map(|datagram| (1 - from, datagram)));
            }
            if network.is_empty() && number > 0 {
                break;
            }
            continue;
        };
        let datagram = tampered(datagram, &mut data);
        let left = ends[to].handle_datagram(&datagram, now);
        assert!(left.len() <= FLIGHT, "{} datagrams for one", left.len());
        network.extend(left.into_iter().map(|datagram| (1 - to, datagram)));
    }
    assert!(
        ends.iter().all(|end| !end.is_secured()),
        "a certificate that no one announced was believed"
    );
});
