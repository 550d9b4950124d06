//! Secrets of a SIP message, redacted in place: the length stays, so that Content-Length stays
//! true.
//!
//! ```text
//! Authorization: Digest username="101", realm="pbx", response="6629…"  ─▶  …, response="xxxx…"
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0Rm…                      ─▶  a=crypto:1 … inline:xxxx…
//! ```
//!
//! Of a challenge or its answer only what is known to be harmless stays; whatever a server invents
//! is redacted.

/// Headers about credentials (RFC 3261 section 22, RFC 8760).
const HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
];
/// Parameters of theirs that give nothing away.
const HARMLESS: [&str; 9] = [
    "username",
    "realm",
    "uri",
    "algorithm",
    "qop",
    "nc",
    "stale",
    "charset",
    "domain",
];
/// Lines of a session description that hold keys (RFC 4568, RFC 4567, RFC 8866 section 5.12), and
/// where the secret begins.
const KEY_LINES: [(&str, &str); 3] = [("a=crypto:", "inline:"), ("a=key-mgmt:", " "), ("k=", ":")];

/// Longest line of a stream that is waited for.
const MOST_LINE: usize = 8192;

/// What a header line, and those that go on with it, may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Credentials {
    /// None.
    #[default]
    No,
    /// Parameters of Digest, harmless ones among them.
    Parameters,
    /// One secret (Basic, Bearer) or something unknown.
    Opaque,
}

/// Redacts every secret of a whole message.
pub(crate) fn redact(message: &mut [u8]) {
    redact_lines(message, &mut Credentials::No);
}

/// The same for a stream, whose pieces begin and end anywhere: only whole lines come out.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    /// The header under way is about credentials; the next line may go on with it.
    credentials: Credentials,
    rest: Vec<u8>,
    /// The line under way is longer than any: nothing of it is shown.
    endless: bool,
}

impl Redactor {
    /// The lines that are whole now, redacted.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(piece);
        let whole = self
            .rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let mut lines: Vec<u8> = self.rest.drain(..whole).collect();
        if self.endless && whole > 0 {
            let first = lines
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(whole, |last| last + 1);
            fill(&mut lines[..first]);
            self.endless = false;
        }
        redact_lines(&mut lines, &mut self.credentials);
        if self.rest.len() > MOST_LINE {
            self.endless = true;
            self.rest.clear();
        }
        lines
    }
}

fn redact_lines(message: &mut [u8], credentials: &mut Credentials) {
    let mut at = 0;
    while at < message.len() {
        let end = message[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(message.len(), |line| at + line + 1);
        let line = &mut message[at..end];
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        let mut start = 0;
        if !folded {
            (*credentials, start) = credentials_of(line);
        }
        match credentials {
            Credentials::No => redact_keys(line),
            Credentials::Parameters => {
                redact_parameters(line);
                redact_stray_words(&mut line[start..]);
            }
            Credentials::Opaque => fill(&mut line[start..]),
        }
        at = end;
    }
}

/// What a header holds, and where that begins: behind the name and the scheme.
fn credentials_of(line: &[u8]) -> (Credentials, usize) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return (Credentials::No, 0);
    };
    let name = String::from_utf8_lossy(&line[..colon])
        .trim()
        .to_ascii_lowercase();
    if !HEADERS.contains(&name.as_str()) {
        return (Credentials::No, 0);
    }
    // Authentication-Info names no scheme.
    if name == HEADERS[4] {
        return (Credentials::Parameters, colon + 1);
    }
    let rest = &line[colon + 1..];
    let scheme = rest.iter().position(|byte| !byte.is_ascii_whitespace());
    let scheme = scheme.unwrap_or(rest.len());
    let end = rest[scheme..].iter().position(u8::is_ascii_whitespace);
    let end = scheme + end.unwrap_or(rest.len() - scheme);
    let start = colon + 1 + end;
    if rest[scheme..end].eq_ignore_ascii_case(b"digest") {
        (Credentials::Parameters, start)
    } else if rest[scheme..end].iter().all(u8::is_ascii_alphanumeric) {
        (Credentials::Opaque, start)
    } else {
        (Credentials::Opaque, colon + 1)
    }
}

/// Whatever stands between commas and is no `name=value`: another scheme's secret.
fn redact_stray_words(line: &mut [u8]) {
    let (mut start, mut quoted) = (0, false);
    for at in 0..=line.len() {
        match line.get(at) {
            Some(b'"') => quoted = !quoted,
            Some(b',') if !quoted => {}
            Some(_) => continue,
            None => {}
        }
        if line.get(at).is_none_or(|byte| *byte == b',') {
            let piece = &mut line[start..at];
            let text = piece.trim_ascii();
            let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
            let is_parameter = name.len() < text.len()
                && !name.trim_ascii_end().contains(&b' ')
                && !name.trim_ascii_end().contains(&b'\t');
            if !text.is_empty() && !is_parameter {
                fill(piece);
            }
            start = at + 1;
        }
    }
}

/// `name=value` and `name="value"`, wherever they stand in the line.
fn redact_parameters(line: &mut [u8]) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._!%*+`'~".contains(&byte);
    let mut at = 0;
    while let Some(equals) = line[at..]
        .iter()
        .position(|byte| *byte == b'=')
        .map(|found| at + found)
    {
        let before = line[..equals]
            .iter()
            .rposition(|byte| !byte.is_ascii_whitespace())
            .map_or(0, |last| last + 1);
        let start = line[..before]
            .iter()
            .rposition(|byte| !word(*byte))
            .map_or(0, |last| last + 1);
        let name = String::from_utf8_lossy(&line[start..before]).to_ascii_lowercase();
        let mut value = equals + 1;
        while line.get(value).is_some_and(u8::is_ascii_whitespace) {
            value += 1;
        }
        let (from, to) = if line.get(value) == Some(&b'"') {
            let mut close = value + 1;
            while close < line.len() && line[close] != b'"' {
                // An escaped quote is part of the text.
                close += if line[close] == b'\\' { 2 } else { 1 };
            }
            (value + 1, close.min(line.len()))
        } else {
            let close = line[value..]
                .iter()
                .position(|byte| *byte == b',' || byte.is_ascii_whitespace())
                .map_or(line.len(), |found| value + found);
            (value, close)
        };
        if !HARMLESS.contains(&name.as_str()) {
            fill(&mut line[from..to]);
        }
        at = to.max(equals + 1);
    }
}

fn redact_keys(line: &mut [u8]) {
    let lower = String::from_utf8_lossy(line).to_ascii_lowercase();
    for (begin, secret) in KEY_LINES {
        if lower.starts_with(begin)
            && let Some(found) = lower[begin.len() - 1..].find(secret)
        {
            // Every key from the first on: a line may hold several.
            fill(&mut line[begin.len() - 1 + found + secret.len()..]);
        }
    }
}

fn fill(bytes: &mut [u8]) {
    for byte in bytes {
        if !matches!(byte, b'\r' | b'\n') {
            *byte = b'x';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        redact(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn credentials_lose_what_could_be_used() {
        let text = redacted(
            "REGISTER sip:pbx SIP/2.0\r\nAuthorization: Digest username=\"101\", realm=\"pbx\", \
             nonce=\"abc\\\"def\", uri=\"sip:pbx\",\r\n response=\"6629fae4\", cnonce = \
             \"0a4f113b\", nc=00000001, qop=auth, opaque=5ccc\r\n\
             proxy-AUTHENTICATE : Digest realm=\"x\",nonce=\"n1\",novel=z9\r\n\
             Contact: <sip:a@b>;tag=kept\r\n\r\n",
        );
        for secret in ["abc", "def", "6629fae4", "0a4f113b", "5ccc", "n1", "z9"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for kept in [
            "username=\"101\"",
            "realm=\"pbx\"",
            "uri=\"sip:pbx\"",
            "nc=00000001",
            "qop=auth",
            "tag=kept",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn other_schemes_lose_all_they_have() {
        let text = redacted(
            "Authorization: Basic MTAxOmh1bnRlcjI=\r\n\
             Proxy-Authorization:  bearer eyJ0.eyJz.c2ln\r\n \
             more-of-it\r\nauthorization : Token\tabc=def, realm=\"pbx\"\r\n\
             Authorization: MTAxOmg=\r\n\
             Authorization: Digest realm=\"p b,x\", Bearer eyJ0.eyJz, Basic MTAxOmg=, \
             response=\"5ec4e7\"\r\n\
             Contact: <sip:kept>\r\n",
        );
        for secret in ["MTAx", "eyJ0", "c2ln", "more", "abc", "def", "5ec4e7"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for kept in ["Basic", "bearer", "Token", "realm=\"p b,x\"", "sip:kept"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn keys_of_a_session_description_are_gone() {
        let text = redacted(
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 \
             inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20\r\n\
             A=CRYPTO:2 F8 INLINE:aaaa;inline:bbbb\r\nk=base64:c2VjcmV0\r\n\
             a=key-mgmt:mikey AQAF\r\na=fingerprint:sha-256 AA:BB\r\n",
        );
        for secret in ["d0Rm", "2^20", "aaaa", "bbbb", "c2Vj", "AQAF"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(
            text.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxx")
                && text.contains("sha-256 AA:BB"),
            "{text}"
        );
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let text = b"SIP/2.0 401 No\r\nWWW-Authenticate: Digest realm=\"pbx\",\r\n \
                     nonce=\"5ec4e7\"\r\n\r\na=crypto:1 X inline:5ec4e7\r\n";
        for size in 1..40 {
            let mut redactor = Redactor::default();
            let seen: Vec<u8> = text
                .chunks(size)
                .flat_map(|piece| redactor.feed(piece))
                .collect();
            assert_eq!(seen.len(), text.len());
            let seen = String::from_utf8(seen).unwrap();
            assert!(
                !seen.contains("5ec4e7") && seen.contains("realm=\"pbx\""),
                "{size}: {seen}"
            );
        }
        let mut redactor = Redactor::default();
        assert!(redactor.feed(&vec![b'a'; 3 * MOST_LINE]).is_empty());
        assert_eq!(redactor.feed(b"5ec4e7\nnext\n"), b"xxxxxx\nnext\n");
    }

    #[test]
    fn no_bytes_make_it_stumble() {
        for bytes in [
            &b"Authorization: x=\""[..],
            b"Authorization: =\\",
            b"=\n=\"\\",
            b"k=",
            b"a=crypto:",
            b"\xff\xfe=\x00",
            b"",
        ] {
            let mut bytes = bytes.to_vec();
            redact(&mut bytes);
        }
    }
}
