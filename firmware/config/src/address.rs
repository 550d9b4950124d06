//! The grammar of addresses in a configuration: hosts, ports, SIP users and SIP addresses (RFC 3261
//! section 25.1).
//!
//! ```text
//! "10.0.0.1:5070"  ─▶ host_port ─┐
//! "sip:101@pbx"    ─▶ sip_uri  ──┴─▶ Ok, or AddressError: what is wrong with it
//! ```
//!
//! Only the shape is looked at, so that a typing mistake is found where it is; the meaning is
//! what the `sip` crate judges.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("a host is written without `sip:`")]
    Scheme,
    #[error("a host is written without `http://` or the like, and without a path")]
    Web,
    #[error("there is a space in it")]
    Space,
    #[error("a host is only what follows the `@`")]
    User,
    #[error("the closing `]` of the IPv6 address is missing")]
    OpenBracket,
    #[error("there is no IPv6 address between `[` and `]`")]
    NoIpv6,
    #[error("after `]` only `:port` may follow")]
    AfterBracket,
    #[error("an IPv6 address is written in brackets, like `[2001:db8::1]`")]
    BareIpv6,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the host name is missing")]
    NoHost,
    #[error("the host name is longer than 253 characters")]
    LongHost,
    #[error("this is not an IPv4 address")]
    NoIpv4,
    #[error("a host name is letters, digits, `-` and dots")]
    HostName,
    #[error("the user part is empty")]
    NoUser,
    #[error("`%` is followed by two hexadecimal digits")]
    UserEscape,
    #[error("a SIP address begins with `sip:` or `sips:`")]
    NoSipScheme,
    #[error("it is longer than 1024 characters")]
    LongUrl,
    #[error("a character of it must be written as %XX")]
    UrlCharacter,
    #[error("a user name and password in it would be shown wherever the URL is")]
    UrlUser,
    #[error("the part from `#` on is never sent")]
    UrlFragment,
    #[error("it begins with neither `https://` nor `http://`")]
    NoHttpScheme,
    #[error("`{}` is not allowed in a SIP user name", .0.escape_debug())]
    UserCharacter(char),
    #[error("`{}` is not allowed in a SIP address", .0.escape_debug())]
    UriCharacter(char),
}

/// Checks `host` or `host:port`; IPv6 in brackets.
pub(crate) fn host_port(text: &str) -> Result<(), AddressError> {
    if text
        .get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"))
    {
        return Err(AddressError::Scheme);
    }
    if text.contains("://") {
        return Err(AddressError::Web);
    }
    if text.contains(char::is_whitespace) {
        return Err(AddressError::Space);
    }
    if text.contains('@') {
        return Err(AddressError::User);
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((inside, after)) = rest.split_once(']') else {
            return Err(AddressError::OpenBracket);
        };
        if inside.parse::<Ipv6Addr>().is_err() {
            return Err(AddressError::NoIpv6);
        }
        match after.strip_prefix(':') {
            Some(port) => return check_port(port),
            None if after.is_empty() => return Ok(()),
            None => return Err(AddressError::AfterBracket),
        }
    } else if text.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::BareIpv6);
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    host_name(host)?;
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> Result<(), AddressError> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        Ok(_) | Err(_) => Err(AddressError::Port),
    }
}

fn host_name(host: &str) -> Result<(), AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    if host.len() > 253 {
        return Err(AddressError::LongHost);
    }
    // What looks like numbers and dots is an IPv4 address or a mistake, never a name.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return host
            .parse::<Ipv4Addr>()
            .map(|_| ())
            .map_err(|_| AddressError::NoIpv4);
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
            return Err(AddressError::HostName);
        }
    }
    Ok(())
}

/// Checks the user part of a SIP address as it is written in a configuration (`%` escapes allowed).
pub(crate) fn sip_user(user: &str) -> Result<(), AddressError> {
    if user.is_empty() {
        return Err(AddressError::NoUser);
    }
    let mut chars = user.chars();
    while let Some(c) = chars.next() {
        let allowed = c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/#".contains(c);
        if c == '%' {
            let (high, low) = (chars.next(), chars.next());
            if ![high, low]
                .iter()
                .all(|c| c.is_some_and(|c| c.is_ascii_hexdigit()))
            {
                return Err(AddressError::UserEscape);
            }
        } else if !allowed {
            return Err(AddressError::UserCharacter(c));
        }
    }
    Ok(())
}

/// Checks a SIP address: `sip:` or `sips:`, then `[user@]host[:port][;parameters]`.
pub(crate) fn sip_uri(text: &str) -> Result<(), AddressError> {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let rest = match (begins("sip:"), begins("sips:")) {
        (true, _) => &text[4..],
        (_, true) => &text[5..],
        (false, false) => return Err(AddressError::NoSipScheme),
    };
    if let Some(bad) = rest.chars().find(|c| {
        c.is_control() || c.is_whitespace() || !c.is_ascii() || "<>\"\\^`{}|".contains(*c)
    }) {
        return Err(AddressError::UriCharacter(bad));
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
pub(crate) fn url(text: &str) -> Result<(), AddressError> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(AddressError::NoHttpScheme)?;
    if text.len() > 1024 {
        return Err(AddressError::LongUrl);
    }
    if !text.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
        return Err(AddressError::UrlCharacter);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(AddressError::UrlUser);
    }
    if path.contains('#') {
        return Err(AddressError::UrlFragment);
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
