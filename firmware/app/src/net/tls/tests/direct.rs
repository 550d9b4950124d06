//! Calls over TLS without a server: two phones that pinned each other, and whoever pretends.

use super::*;

fn pin(name: &str, fingerprint: Fingerprint) -> Pin {
    Pin {
        name: name.into(),
        host: "192.0.2.9".into(),
        port: None,
        fingerprint,
    }
}

fn pinned(pins: Vec<Pin>) -> Settings {
    Settings {
        pins,
        ..Settings::default()
    }
}

/// A phone calls another over TLS without any server; who each has pinned is said.
fn direct(
    caller: Settings,
    own: &Credentials,
    called: Settings,
    called_own: &Credentials,
) -> Result<Vec<String>, String> {
    let mut caller = Tls::new(caller, Some(own.clone()));
    let called = Tls::new(called, Some(called_own.clone()));
    // Nothing but a pin can make these two believe each other.
    caller.anchors = Some(Arc::new(Anchors {
        roots: RootCertStore::empty(),
        provisioned: Vec::new(),
    }));
    let side = caller
        .client(&["192.0.2.9".to_owned()], remote())
        .map_err(|error| error.to_string())?;
    let mut client = ClientConnection::new(side.config, side.server).unwrap();
    let mut server = ServerConnection::new(called.server().unwrap()).unwrap();
    shake(&mut client, &mut server, &side.about)?;
    let shown = server
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(fingerprint);
    let known = called
        .pins()
        .iter()
        .find(|pin| Some(pin.fingerprint) == shown);
    Ok(known.map(Pin::names).unwrap_or_default())
}

#[test]
fn two_phones_that_pinned_each_other_trust_no_one_else() {
    let (a, b, eve) = (
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
    );
    let of = |whom: &Credentials| pinned(vec![pin("kitchen", whom.fingerprint())]);
    assert_eq!(
        direct(of(&b), &a, of(&a), &b).unwrap(),
        ["192.0.2.9", "kitchen"]
    );
    // Somebody else answers at b's address: the caller says whose fingerprint it should have been.
    let refused = direct(of(&b), &a, of(&a), &eve).unwrap_err();
    let expected = control::credentials::colons(&b.fingerprint());
    assert!(
        refused.contains("[[tls.pin]] kitchen") && refused.contains(&expected),
        "{refused}"
    );
    // Somebody else calls: he is not let in.
    let refused = direct(of(&b), &eve, of(&a), &b).unwrap_err();
    assert!(refused.contains("server:"), "{refused}");
    // Without a pin the caller believes no certificate a phone made for itself.
    let refused = direct(Settings::default(), &a, of(&a), &b).unwrap_err();
    assert!(
        refused.contains("not signed by a CA this phone trusts"),
        "{refused}"
    );
}

/// Shows a certificate, and signs with another's key.
#[derive(Debug)]
struct Thief(Arc<rustls::sign::CertifiedKey>);

impl Thief {
    fn of(shown: &Credentials, key: &Credentials) -> Self {
        let chain = own_of(shown).chain;
        let key = rustls::crypto::ring::sign::any_supported_type(&own_of(key).key).unwrap();
        Self(Arc::new(rustls::sign::CertifiedKey::new(chain, key)))
    }
}

impl rustls::server::ResolvesServerCert for Thief {
    fn resolve(
        &self,
        _hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl rustls::client::ResolvesClientCert for Thief {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn who_shows_a_certificate_without_its_key_is_refused_on_either_side() {
    let (a, b, eve) = (
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
    );
    let unverified = Settings {
        unverified: true,
        ..Settings::default()
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        // Eve copied b's certificate off the wire. She answers with it: pinned or not verified at
        // all, that is not enough.
        let thief = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap();
        let thief = Arc::new(
            thief
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Thief::of(&b, &eve))),
        );
        for settings in [
            pinned(vec![pin("kitchen", b.fingerprint())]),
            unverified.clone(),
        ] {
            let refused = visit(
                &mut Tls::new(settings, Some(a.clone())),
                &["192.0.2.9"],
                &thief,
            )
            .unwrap_err();
            assert!(refused.contains("another key signed it"), "{refused}");
        }
        // She calls with it.
        let mut called = Tls::new(
            pinned(vec![pin("kitchen", b.fingerprint())]),
            Some(a.clone()),
        );
        let caller = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap();
        let caller = caller
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(dangerous::NoVerification {
                signatures: Signatures(provider()),
            }))
            .with_client_cert_resolver(Arc::new(Thief::of(&b, &eve)));
        let mut client = ClientConnection::new(
            Arc::new(caller),
            ServerName::IpAddress(remote().ip().into()),
        )
        .unwrap();
        let mut server = ServerConnection::new(called.server().unwrap()).unwrap();
        let about = called
            .client(&["192.0.2.9".to_owned()], remote())
            .unwrap()
            .about;
        let refused = shake(&mut client, &mut server, &about).unwrap_err();
        assert!(
            refused.starts_with("server:") && refused.contains("BadSignature"),
            "{refused}"
        );
    }
}
