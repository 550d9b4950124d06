//! The vectors of RFC 3711, 6188, 7714 and of libsrtp's own tests, read from the test data.

use types::SrtpSuite;

use super::keys::MasterKey;
use crate::test_data::{read, skipped};

/// Bytes of hexadecimal digits; blanks are stepped over.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| d as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()
}

/// One of `srtp/vectors.json`, or a word on why not.
pub(super) fn vector(test: &str, id: &str) -> Option<serde_json::Value> {
    let all: serde_json::Value = serde_json::from_slice(&read(test, "srtp/vectors.json")?).unwrap();
    let found = all["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["id"] == id)
        .cloned();
    if found.is_none() {
        skipped(test, &format!("srtp/vectors.json has no {id}"));
    }
    found
}

/// A packet as libsrtp's tests publish it, in clear and protected.
pub(super) struct Published {
    pub(super) id: &'static str,
    pub(super) master: MasterKey,
    pub(super) clear: Vec<u8>,
    pub(super) protected: Vec<u8>,
}

/// The published packets whose two forms have these names; `None`: the test was skipped,
/// and said why.
pub(super) fn published(test: &str, clear: &str, protected: &str) -> Option<Vec<Published>> {
    let each = |(id, suite)| {
        let v = vector(test, id)?;
        let bytes = |name: &str| hex(v[name].as_str().unwrap());
        Some(Published {
            id,
            master: MasterKey::new(suite, &bytes("master_key"), &bytes("master_salt"), &[])
                .unwrap(),
            clear: bytes(clear),
            protected: bytes(protected),
        })
    };
    [
        (
            "libsrtp-AES_CM_128_HMAC_SHA1_80",
            SrtpSuite::AesCm128HmacSha1_80,
        ),
        ("libsrtp-AEAD_AES_128_GCM", SrtpSuite::AeadAes128Gcm),
    ]
    .map(each)
    .into_iter()
    .collect()
}

/// All packets that follow this heading in RFC 7714's RTP vectors.
pub(super) fn rfc7714(test: &str, heading: &str) -> Vec<Vec<u8>> {
    let text = read(test, "srtp/rfc7714/rtp-vectors.txt").unwrap_or_default();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    let mut packets = Vec::new();
    while lines.by_ref().any(|line| line.trim() == heading) {
        let packet: Vec<u8> = lines
            .by_ref()
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| !line.trim().is_empty())
            .flat_map(hex)
            .collect();
        packets.push(packet);
    }
    packets
}
