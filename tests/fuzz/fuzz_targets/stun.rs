//! What comes to a media port as STUN and TURN: no panic, few answers, and no way is believed, as
//! no one here knows a password. Datagrams are the data's own, or answers to what the phone sent
//! (with its transaction) that the data fills.
#![no_main]

use std::time::Duration;

use control::ice::fuzz::Endpoint;
use libfuzzer_sys::fuzz_target;

/// Datagrams of one run.
const MOST: usize = 32;
/// Most datagrams that leave for one that comes: an answer, a check, requests to a server.
const FLIGHT: usize = 16;

/// A message with a right header, where the data wants one: the kind and the transaction are those
/// of `sent`, as an answer has them.
fn answer(sent: &[u8], octets: &[u8], class: u8) -> Vec<u8> {
    let mut message = octets.to_vec();
    message.truncate(octets.len() / 4 * 4);
    let length = (message.len() as u16).to_be_bytes();
    let mut answer = sent.get(..20).map_or(vec![0; 20], <[u8]>::to_vec);
    answer[0] |= class & 1;
    answer[1] |= (class << 3) & 0x10;
    answer[2..4].copy_from_slice(&length);
    answer.extend(message);
    answer
}

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let mut now = testkit::start_instant();
    let mut phone = Endpoint::new(now);
    let mut sent = phone.handle_timeout(now);
    for _ in 0..MOST {
        let Some((&[kind, length], rest)) = data.split_first_chunk() else {
            break;
        };
        let (octets, rest) = rest.split_at(usize::from(length).min(rest.len()));
        data = rest;
        let datagram = match sent.get(usize::from(kind >> 4) % sent.len().max(1)) {
            Some(request) if kind & 1 == 1 => answer(request, octets, kind >> 2),
            _ => octets.to_vec(),
        };
        let left = phone.handle_datagram(kind & 2 == 2, &datagram, now);
        assert!(left.len() <= FLIGHT, "{} datagrams for one", left.len());
        sent.extend(left);
        if kind & 8 == 8 {
            now += Duration::from_millis(120);
            sent.extend(phone.handle_timeout(now));
        }
        let more = sent.len().saturating_sub(64);
        sent.drain(..more);
    }
    assert!(!phone.has_path(), "a way was believed that no one proved");
});
