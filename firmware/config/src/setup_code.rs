//! The provisioning server that a person keys: an IPv4 address with stars for its dots, and a port
//! after one more star where it is not 443.
//!
//! ```text
//! 192*168*1*5        ─▶ https://192.168.1.5/
//! 192*168*1*5*8443   ─▶ https://192.168.1.5:8443/
//! ```

use std::net::Ipv4Addr;

/// The URL of a server's first folder; `None`: these keys are no address that a server can have.
pub fn server(keys: &str) -> Option<String> {
    let mut parts = keys.split('*');
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = number(parts.next()?)?;
    }
    let port = parts.next().map(number::<u16>);
    if parts.next().is_some() {
        return None;
    }
    let address = Ipv4Addr::from(octets);
    let can_be = !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast();
    match port {
        _ if !can_be => None,
        None => Some(format!("https://{address}/")),
        Some(port) => Some(format!(
            "https://{address}:{}/",
            port.filter(|port| *port > 0)?
        )),
    }
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let only_digits = !digits.is_empty() && digits.bytes().all(|key| key.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_dots_and_before_a_port() {
        for (keys, url) in [
            ("192*168*1*5", "https://192.168.1.5/"),
            ("10*0*0*5*8443", "https://10.0.0.5:8443/"),
            ("192*168*001*005", "https://192.168.1.5/"),
        ] {
            assert_eq!(server(keys).as_deref(), Some(url), "{keys}");
        }
    }

    #[test]
    fn what_is_no_servers_address_is_none() {
        for keys in [
            "",
            "101",
            "10*0*0",
            "10*0*0*",
            "10*0*0*256",
            "10*0*0*5*0",
            "10*0*0*5*65536",
            "10*0*0*5*443*1",
            "10*0*0*5*",
            "0*0*0*0",
            "224*0*0*1",
            "255*255*255*255",
            "10.0.0.5",
            "10*0*+1*5",
            "10*0*0*5#",
        ] {
            assert_eq!(server(keys), None, "{keys}");
        }
    }
}
