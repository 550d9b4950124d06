//! Whether a certificate is for the SIP domain that was meant (RFC 5922 section 7).
//!
//! ```text
//! subjectAltName ─┬─ URI sip:domain (no user part) ─▶ identity
//!                 ├─ dNSName ───────────────────────▶ identity, where there is no sip: URI
//!                 └─ iPAddress ─────────────────────▶ identity for an address that was dialled or configured
//! identity = one of the names expected? letter by letter, without case: no wildcard, no suffix, no common name
//! ```

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

/// Most identities looked at; a certificate with more is none of a SIP server.
const MOST: usize = 256;

/// What a certificate says it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identities {
    domains: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Identities {
    /// Reads them (section 7.1).
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let names = match certificate.subject_alternative_name() {
            Ok(Some(found)) => found.value.general_names.as_slice(),
            Ok(None) | Err(_) => &[],
        };
        Self::of_names(names)
    }

    fn of_names(names: &[GeneralName<'_>]) -> Self {
        let names = || names.iter().take(MOST);
        let uris: Vec<String> = names()
            .filter_map(|name| {
                if let GeneralName::URI(uri) = name {
                    domain_of(uri)
                } else {
                    None
                }
            })
            .collect();
        let dns = names().filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(plain(name))
            } else {
                None
            }
        });
        let addresses = names().filter_map(|name| {
            if let GeneralName::IPAddress(bytes) = name {
                address_of(bytes)
            } else {
                None
            }
        });
        Self {
            addresses: addresses.collect(),
            domains: if uris.is_empty() { dns.collect() } else { uris },
        }
    }

    /// Whether one of these names, as they were configured or dialled, is one it is for (section
    /// 7.2).
    pub(crate) fn cover(&self, expected: &[String]) -> bool {
        expected.iter().any(|name| match name.parse::<IpAddr>() {
            Ok(ip) => self.addresses.contains(&ip.to_canonical()),
            Err(_) => self.domains.contains(&plain(name)),
        })
    }

    /// For people.
    pub(crate) fn listed(&self) -> String {
        let all: Vec<String> = self
            .domains
            .iter()
            .cloned()
            .chain(self.addresses.iter().map(ToString::to_string))
            .take(4)
            .map(|name| {
                control::readable::displayable(&name)
                    .chars()
                    .take(80)
                    .collect()
            })
            .collect();
        if all.is_empty() {
            "no name at all (subjectAltName)".to_owned()
        } else {
            all.join(", ")
        }
    }
}

/// The domain of `sip:domain`; a URI with a user part is a person's, one of another scheme no SIP
/// domain's.
fn domain_of(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    let host = rest.split([';', '?']).next().unwrap_or(rest);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty()).then(|| plain(host))
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|v6| IpAddr::from(v6).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(names: &[GeneralName<'_>], expected: &str) -> bool {
        Identities::of_names(names).cover(&[expected.to_owned()])
    }

    #[test]
    fn names_match_letter_by_letter_and_no_other_way() {
        let dns = [GeneralName::DNSName("pbx.Example.org")];
        assert!(covers(&dns, "pbx.example.org"));
        assert!(covers(&dns, "PBX.example.org."));
        for wrong in [
            "example.org",
            "a.pbx.example.org",
            "pbx.example.com",
            "bx.example.org",
            "",
        ] {
            assert!(!covers(&dns, wrong), "{wrong}");
        }
        // RFC 5922 section 7.2: no wildcards, wherever the star stands.
        for star in ["*.example.org", "*.org", "*", "pb*.example.org"] {
            assert!(
                !covers(&[GeneralName::DNSName(star)], "pbx.example.org"),
                "{star}"
            );
        }
    }

    #[test]
    fn a_sip_uri_names_the_domain_and_then_dns_names_do_not_count() {
        let uri = |text| {
            [
                GeneralName::DNSName("host.example.org"),
                GeneralName::URI(text),
            ]
        };
        assert!(covers(&uri("sip:example.org"), "example.org"));
        assert!(covers(&uri("SIP:Example.org;transport=tls"), "example.org"));
        assert!(covers(&uri("sip:example.org:5061"), "example.org"));
        assert!(!covers(&uri("sip:example.org"), "host.example.org"));
        // A user's certificate, a `sips:` or web address: not a SIP domain, so the dNSName counts.
        for other in [
            "sip:alice@example.org",
            "sips:example.org",
            "https://example.org",
            "sip:",
        ] {
            assert!(!covers(&uri(other), "example.org"), "{other}");
            assert!(covers(&uri(other), "host.example.org"), "{other}");
        }
    }

    #[test]
    fn addresses_match_addresses_only() {
        let v4 = [GeneralName::IPAddress(&[192, 0, 2, 7])];
        assert!(covers(&v4, "192.0.2.7"));
        assert!(!covers(&v4, "192.0.2.8"));
        assert!(!covers(&[GeneralName::DNSName("192.0.2.7")], "192.0.2.7"));
        assert!(!covers(
            &[GeneralName::IPAddress(&[192, 0, 2])],
            "192.0.2.0"
        ));
        assert!(covers(
            &[GeneralName::IPAddress(&[
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
            ])],
            "::1"
        ));
    }

    #[test]
    fn without_alternative_names_it_is_for_no_one() {
        assert!(!covers(&[], "example.org"));
        assert!(Identities::default().listed().contains("no name"));
    }
}
