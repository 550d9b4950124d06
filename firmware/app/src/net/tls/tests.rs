//! Whole handshakes without sockets: two rustls sessions that pass each other their bytes. Promise
//! 1 stands here: take a check out of `verify` or `names`, and one of these lets somebody in.

use std::io;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, ServerConnection};

use rustls::RootCertStore;
use testkit::process::TestDir;

use super::clock::Trust;
use super::*;

mod direct;

const DOMAIN: &str = "pbx.example.org";

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn issue(&self, names: &[SanType], years: (i32, i32)) -> Own {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, years).signed_by(&key, &self.issuer).unwrap();
        Own {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

fn params(names: &[SanType], years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 12, 31);
    params
}

fn dns(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// A server that shows this certificate.
fn server(own: Own) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(
        builder
            .with_no_client_auth()
            .with_single_cert(own.chain, own.key)
            .unwrap(),
    )
}

/// A phone that trusts this authority.
fn phone(authority: &Authority, settings: Settings) -> Tls {
    let mut tls = Tls::new(settings, Some(Credentials::make().unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provisioned = vec![authority.issuer.der().clone()];
    tls.anchors = Some(Arc::new(Anchors { roots, provisioned }));
    tls
}

fn remote() -> SocketAddr {
    "192.0.2.9:5061".parse().unwrap()
}

/// Lets the two talk until both are content or one is not; the error is that one's, with what the
/// owner reads.
fn shake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
    about: &About,
) -> Result<(), String> {
    let text =
        |error: rustls::Error| about.complaint(&io::Error::new(io::ErrorKind::InvalidData, error));
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut read = wire.as_slice();
        while !read.is_empty() {
            server.read_tls(&mut read).unwrap();
            if let Err(error) = server.process_new_packets() {
                return Err(format!("server: {error}"));
            }
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut read = wire.as_slice();
        while !read.is_empty() {
            client.read_tls(&mut read).unwrap();
            client.process_new_packets().map_err(text)?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

fn visit(
    tls: &mut Tls,
    names: &[&str],
    server: &Arc<ServerConfig>,
) -> Result<ClientConnection, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let side = tls
        .client(&names, remote())
        .map_err(|error| error.to_string())?;
    let mut client = ClientConnection::new(side.config, side.server).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    shake(&mut client, &mut server, &side.about)?;
    Ok(client)
}

#[test]
fn a_good_certificate_is_taken_by_name_by_sip_uri_and_by_address() {
    let authority = Authority::new();
    let uri = SanType::URI(format!("sip:{DOMAIN}").as_str().try_into().unwrap());
    let address = SanType::IpAddress("192.0.2.9".parse().unwrap());
    for (names, expected) in [
        (dns(DOMAIN), vec![DOMAIN]),
        (vec![uri], vec![DOMAIN]),
        (vec![address], vec!["192.0.2.9"]),
        (dns("sbc.example.net"), vec![DOMAIN, "sbc.example.net"]),
    ] {
        let server = server(authority.issue(&names, (2001, 2098)));
        let client = visit(
            &mut phone(&authority, Settings::default()),
            &expected,
            &server,
        )
        .unwrap();
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn every_other_certificate_is_refused_with_a_reason() {
    let authority = Authority::new();
    let good = (2001, 2098);
    let self_signed = || {
        let key = KeyPair::generate().unwrap();
        let certificate = params(&dns(DOMAIN), good).self_signed(&key).unwrap();
        Own {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    };
    let cn_only = || {
        let (key, mut params) = (KeyPair::generate().unwrap(), params(&[], good));
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, DOMAIN);
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        Own {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    };
    let cases: Vec<(Own, &str)> = vec![
        (
            authority.issue(&dns("other.example.org"), good),
            "is for other.example.org, not for",
        ),
        (
            authority.issue(&dns("*.example.org"), good),
            "is for *.example.org, not for",
        ),
        (
            authority.issue(&dns("example.org"), good),
            "is for example.org, not for",
        ),
        (
            authority.issue(&dns("pbx.example.org.evil.example"), good),
            "not for pbx.example.org",
        ),
        (cn_only(), "no name at all"),
        (
            authority.issue(&dns(DOMAIN), (2001, 2019)),
            "expired on 2019-12-31",
        ),
        (
            authority.issue(&dns(DOMAIN), (2090, 2098)),
            "not valid before 2090-01-01",
        ),
        (
            Authority::new().issue(&dns(DOMAIN), good),
            "not signed by a CA this phone trusts",
        ),
        (self_signed(), "not signed by a CA this phone trusts"),
    ];
    for (own, text) in cases {
        let refused = visit(
            &mut phone(&authority, Settings::default()),
            &[DOMAIN],
            &server(own),
        )
        .unwrap_err();
        assert!(
            refused.contains(text) && refused.contains(';'),
            "{text:?} is missing in {refused:?}"
        );
    }
}

#[test]
fn a_provisioned_pbx_certificate_is_trusted_for_its_name_only() {
    let key = KeyPair::generate().unwrap();
    let mut own = params(&dns(DOMAIN), (2001, 2098));
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = own.self_signed(&key).unwrap();
    let shown = || -> Own {
        Own {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    };
    let mut tls = phone(&Authority::new(), Settings::default());
    tls.anchors = Some(Arc::new(Anchors {
        roots: RootCertStore::empty(),
        provisioned: vec![certificate.der().clone()],
    }));
    visit(&mut tls, &[DOMAIN], &server(shown())).unwrap();
    assert!(
        visit(&mut tls, &["other.example"], &server(shown()))
            .unwrap_err()
            .contains("not for other.example")
    );
    // It has its time, too, though no one else vouches for it.
    for (years, text) in [
        ((2001, 2019), "expired on 2019-12-31"),
        ((2090, 2098), "not valid before 2090-01-01"),
    ] {
        let certificate = params(&dns(DOMAIN), years).self_signed(&key).unwrap();
        let mut tls = phone(&Authority::new(), Settings::default());
        tls.anchors = Some(Arc::new(Anchors {
            roots: RootCertStore::empty(),
            provisioned: vec![certificate.der().clone()],
        }));
        let own = Own {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        };
        let refused = visit(&mut tls, &[DOMAIN], &server(own)).unwrap_err();
        assert!(refused.contains(text), "{refused}");
    }
}

#[test]
fn verify_false_accepts_any_certificate() {
    let stranger = server(Authority::new().issue(&dns("evil.example"), (2001, 2019)));
    let authority = Authority::new();
    assert!(
        visit(
            &mut phone(&authority, Settings::default()),
            &[DOMAIN],
            &stranger
        )
        .is_err()
    );
    let unverified = Settings {
        unverified: true,
        ..Settings::default()
    };
    visit(&mut phone(&authority, unverified), &[DOMAIN], &stranger).unwrap();
}

#[test]
fn sessions_are_resumed_for_the_same_domain_and_no_other() {
    let authority = Authority::new();
    let names = [dns(DOMAIN), dns("b.example")].concat();
    let server = server(authority.issue(&names, (2001, 2098)));
    let mut tls = phone(&authority, Settings::default());
    let kinds: Vec<_> = [DOMAIN, DOMAIN, "b.example"]
        .into_iter()
        .map(|domain| {
            visit(&mut tls, &[domain], &server)
                .unwrap()
                .handshake_kind()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            Some(HandshakeKind::Full),
            Some(HandshakeKind::Resumed),
            Some(HandshakeKind::Full)
        ]
    );
}

#[test]
fn tls_1_2_is_spoken_and_nothing_older_is_known() {
    let authority = Authority::new();
    let own = authority.issue(&dns(DOMAIN), (2001, 2098));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap();
    let old = Arc::new(
        builder
            .with_no_client_auth()
            .with_single_cert(own.chain, own.key)
            .unwrap(),
    );
    let client = visit(&mut phone(&authority, Settings::default()), &[DOMAIN], &old).unwrap();
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(rustls::ALL_VERSIONS.iter().all(|version| matches!(
        version.version,
        ProtocolVersion::TLSv1_2 | ProtocolVersion::TLSv1_3
    )));
}

#[test]
fn a_wrong_clock_is_named_where_a_date_fails() {
    let about = |trust| About {
        remote: remote(),
        names: vec![DOMAIN.into()],
        pin: None,
        clock: (std::time::Duration::from_secs(120), trust),
    };
    let expired = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::InvalidCertificate(rustls::CertificateError::Expired),
        )
    };
    assert!(
        about(Trust::Set)
            .complaint(&expired())
            .contains("must renew it")
    );
    let unset = about(Trust::Unset).complaint(&expired());
    assert!(unset.contains("no time server has set it"), "{unset}");
    let impossible = about(Trust::Impossible).complaint(&expired());
    assert!(
        impossible.contains("it says 1970-01-01") && impossible.contains("it needs a time server"),
        "{impossible}"
    );
}

#[test]
fn a_provisioned_certificate_is_shown_to_servers_that_ask() {
    let folder = TestDir::new("tls");
    let key = KeyPair::generate().unwrap();
    let certificate = params(&dns("phone.example"), (2001, 2098))
        .self_signed(&key)
        .unwrap();
    let (chain, private) = (folder.join("phone.pem"), folder.join("phone.key"));
    std::fs::write(&chain, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = Clients {
        pinned: vec![fingerprint(certificate.der())],
        signatures: Signatures(Arc::clone(&provider)),
    };
    let own = authority.issue(&dns(DOMAIN), (2001, 2098));
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let strict = Arc::new(
        builder
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(own.chain, own.key)
            .unwrap(),
    );
    let settings = |own| Settings {
        own,
        ..Settings::default()
    };
    visit(
        &mut phone(&authority, settings(Some((chain.clone(), private)))),
        &[DOMAIN],
        &strict,
    )
    .unwrap();
    assert!(
        visit(
            &mut phone(&authority, Settings::default()),
            &[DOMAIN],
            &strict
        )
        .is_err()
    );
    let text = visit(
        &mut phone(&authority, settings(Some((chain, folder.join("none"))))),
        &[DOMAIN],
        &strict,
    )
    .unwrap_err();
    assert!(
        text.contains("none") && text.contains("; put the file there"),
        "{text}"
    );
}
