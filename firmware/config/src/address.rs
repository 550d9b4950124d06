//! The grammar of addresses in a configuration: hosts, ports, SIP users and SIP addresses (RFC 3261
//! section 25.1).
//!
//! ```text
//! "10.0.0.1:5070"  ─▶ host_port ─┐
//! "sip:101@pbx"    ─▶ sip_uri  ──┴─▶ Ok, or what is wrong with it in words
//! ```
//!
//! Only the shape is looked at, so that a typing mistake is found where it is; the meaning is
//! what the `sip` crate judges.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Checks `host` or `host:port`; IPv6 in brackets.
pub(crate) fn host_port(text: &str) -> Result<(), String> {
    if text
        .get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"))
    {
        return Err("a host is written without `sip:`".to_owned());
    }
    if text.contains('@') {
        return Err("a host is only what follows the `@`".to_owned());
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((inside, after)) = rest.split_once(']') else {
            return Err("the closing `]` of the IPv6 address is missing".to_owned());
        };
        if inside.parse::<Ipv6Addr>().is_err() {
            return Err("there is no IPv6 address between `[` and `]`".to_owned());
        }
        match after.strip_prefix(':') {
            Some(port) => return check_port(port),
            None if after.is_empty() => return Ok(()),
            None => return Err("after `]` only `:port` may follow".to_owned()),
        }
    } else if text.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address is written in brackets, like `[2001:db8::1]`".to_owned());
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    host_name(host)?;
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> Result<(), String> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        Ok(_) | Err(_) => Err("the port is not a number from 1 to 65535".to_owned()),
    }
}

fn host_name(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host name is missing".to_owned());
    }
    if host.len() > 253 {
        return Err("the host name is longer than 253 characters".to_owned());
    }
    // What looks like numbers and dots is an IPv4 address or a mistake, never a name.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return host
            .parse::<Ipv4Addr>()
            .map(|_| ())
            .map_err(|_| "this is not an IPv4 address".to_owned());
    }
    for label in host.strip_suffix('.').unwrap_or(host).split('.') {
        let inside = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if label.is_empty()
            || label.len() > 63
            || !inside
            || label.starts_with('-')
            || label.ends_with('-')
        {
            return Err("a host name is letters, digits, `-` and dots".to_owned());
        }
    }
    Ok(())
}

/// Checks the user part of a SIP address as it is written in a configuration (`%` escapes allowed).
pub(crate) fn sip_user(user: &str) -> Result<(), String> {
    if user.is_empty() {
        return Err("the user part is empty".to_owned());
    }
    let mut bytes = user.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/#".contains(&byte);
        if byte == b'%' {
            let (high, low) = (bytes.next(), bytes.next());
            if ![high, low]
                .iter()
                .all(|b| b.is_some_and(|b| b.is_ascii_hexdigit()))
            {
                return Err("`%` is followed by two hexadecimal digits".to_owned());
            }
        } else if !allowed {
            return Err(format!(
                "`{}` is not allowed in a SIP user name",
                char::from(byte).escape_debug()
            ));
        }
    }
    Ok(())
}

/// Checks a SIP address: `sip:` or `sips:`, then `[user@]host[:port][;parameters]`.
pub(crate) fn sip_uri(text: &str) -> Result<(), String> {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let rest = match (begins("sip:"), begins("sips:")) {
        (true, _) => &text[4..],
        (_, true) => &text[5..],
        (false, false) => return Err("a SIP address begins with `sip:` or `sips:`".to_owned()),
    };
    if let Some(bad) = rest.chars().find(|c| {
        c.is_control() || c.is_whitespace() || !c.is_ascii() || "<>\"\\^`{}|".contains(*c)
    }) {
        return Err(format!(
            "`{}` is not allowed in a SIP address",
            bad.escape_debug()
        ));
    }
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    if let Some(user) = user {
        sip_user(user.split(':').next().unwrap_or(user))?;
    }
    let end = host.find([';', '?']).unwrap_or(host.len());
    host_port(&host[..end])
}

/// Checks `http://host[:port]/path` or `https://…`; `{mac}` may be anywhere in the path.
pub(crate) fn url(text: &str) -> Result<(), String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or("it begins with neither `https://` nor `http://`")?;
    if text.len() > 1024 {
        return Err("it is longer than 1024 characters".to_owned());
    }
    if !text.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
        return Err("a character of it must be written as %XX".to_owned());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("a user name and password in it would be shown wherever the URL is".to_owned());
    }
    if path.contains('#') {
        return Err("the part from `#` on is never sent".to_owned());
    }
    host_port(authority)
}

/// True for what can be dialled on keys: digits, `*`, `#`, A–D, at least one, with a leading `+`
/// allowed.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    !digits.is_empty()
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b"*#ABCD".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "pbx",
            "pbx.example.net",
            "10.0.0.1",
            "10.0.0.1:5070",
            "[::1]",
            "[2001:db8::1]:5060",
            "phone.local",
            "a_b.example.",
        ] {
            assert_eq!(host_port(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":5060",
            "10.0.0",
            "10.0.0.256",
            "a b",
            "::1",
            "[::1",
            "[::1]5060",
            "[x]",
            "host:0",
            "host:65536",
            "host:+5",
            "host:",
            "a..b",
            "-a",
            "ho$t",
        ] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sip_addresses() {
        for good in [
            "sip:echo@127.0.0.1:5072",
            "sip:phone.local",
            "SIP:a%20b@[::1];transport=tcp",
            "sip:*31#@pbx",
            "sip:a:pw@host",
            "sips:kitchen@10.0.0.7:5063",
        ] {
            assert_eq!(sip_uri(good), Ok(()), "{good}");
        }
        for bad in [
            "echo@host",
            "sip:",
            "sip:@host",
            "sip:a b@host",
            "sip:a@host:99999",
            "sip:a@host\r\nX: y",
            "sip:ä@host",
            "tel:112",
            "sip:a%2@host",
        ] {
            assert!(sip_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers() {
        assert!(is_number("112") && is_number("*31#") && is_number("+4930123") && is_number("A"));
        assert!(!is_number("") && !is_number("+") && !is_number("12a") && !is_number("1 2"));
    }
}
