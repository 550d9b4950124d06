//! Which provisioning server DHCP names. No I/O.
//!
//! ```text
//! option 160 ─┐ a URL, or the name of a server
//! option 66  ─┼─▶ the first of them that is there ─▶ URL
//! option 43  ─┘ the same, alone or encapsulated (RFC 2132 section 8.4)
//! ```

/// Encapsulated options that name the server, the most wanted first.
const SUB_OPTIONS: [u8; 3] = [160, 66, 1];
/// Codes without a length: padding, and the end.
const PAD: u8 = 0;
const END: u8 = 255;

/// The URL that an offer names (`option66=…`, `option160=…` as text, `option43=…` in hexadecimal,
/// one a line); a name alone stands for the server's first folder.
pub(crate) fn url(offer: &str) -> Option<String> {
    let option = |name: &str| {
        let value = offer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?
            .trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    if let Some(url) = option("option160") {
        return Some(url);
    }
    let vendor = || encapsulated(&bytes(&option("option43")?)?);
    let server = option("option66").or_else(vendor)?;
    Some(if server.contains("://") {
        server
    } else {
        format!("https://{server}/")
    })
}

/// Hexadecimal digits as bytes.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect())
}

/// What vendor-specific information says: options in it, or else all of it.
fn encapsulated(information: &[u8]) -> Option<String> {
    let named = sub_options(information).and_then(|options| {
        SUB_OPTIONS
            .iter()
            .find_map(|wanted| options.iter().find(|(code, _)| code == wanted))
            .map(|(_, value)| *value)
    });
    let text = std::str::from_utf8(named.unwrap_or(information)).ok()?;
    // Some servers end a text with a zero.
    let text = text.trim_end_matches('\0').trim();
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())).then(|| text.to_owned())
}

/// Code and value of each option; nothing where the lengths do not fit.
fn sub_options(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut options = Vec::new();
    loop {
        rest = match rest {
            [] | [END, ..] => return Some(options),
            [PAD, after @ ..] => after,
            [code, length, after @ ..] => {
                let (value, after) = after.split_at_checked(usize::from(*length))?;
                options.push((*code, value));
                after
            }
            [_] => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        format!("option43={}\n", digits.collect::<String>())
    }

    fn sub(code: u8, text: &str) -> Vec<u8> {
        [&[code, text.len() as u8], text.as_bytes()].concat()
    }

    #[test]
    fn a_url_or_a_name_in_either_option() {
        for (offer, wanted) in [
            ("option66=p.example\n", "https://p.example/"),
            ("option66=http://p.example/x\n", "http://p.example/x"),
            (
                "option66=p.example\noption160=https://q.example/a\n",
                "https://q.example/a",
            ),
        ] {
            assert_eq!(url(offer).as_deref(), Some(wanted), "{offer}");
        }
        assert_eq!(url("option66=\noption160= \n"), None);
    }

    #[test]
    fn vendor_information_alone_or_encapsulated() {
        let plain = b"https://p.example/\0";
        assert_eq!(url(&hex(plain)).as_deref(), Some("https://p.example/"));
        let several = [
            vec![PAD],
            sub(1, "https://one.example/"),
            sub(2, "x"),
            sub(66, "p.example"),
            vec![END, 7],
        ];
        assert_eq!(
            url(&hex(&several.concat())).as_deref(),
            Some("https://p.example/"),
            "the most wanted"
        );
        let one = [sub(1, "https://one.example/a"), sub(9, "x")].concat();
        assert_eq!(url(&hex(&one)).as_deref(), Some("https://one.example/a"));
        let both = format!("option66=p.example\n{}", hex(plain));
        assert_eq!(
            url(&both).as_deref(),
            Some("https://p.example/"),
            "a standard option goes first"
        );
    }

    #[test]
    fn vendor_information_of_others_names_no_server() {
        for bytes in [
            &b"\x01\x04\x00\x00\x00\x02"[..],
            b"\x02\x03abc",
            b"\x01\xffabc",
            b"\x01\x05a\nb c",
            b"\xff",
            b"\x01",
            b"",
        ] {
            assert_eq!(url(&hex(bytes)), None, "{bytes:?}");
        }
        assert_eq!(url("option43=6"), None);
        assert_eq!(url("option43=xyz-"), None);
    }
}
