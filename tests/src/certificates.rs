//! Certificates for servers of a test, good and bad, made again for each: nothing that could be
//! trusted elsewhere lies in the repository.
//!
//! ```text
//! Authority ─▶ issue(Wish) ─▶ chain.pem, key.pem in the test's folder          ca.pem: what a phone is set to trust
//! ```

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: String,
}

/// What a certificate is to say.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Common name; proves nothing.
    pub common_name: Option<String>,
    /// dNSName entries.
    pub dns: Vec<String>,
    /// URI entries.
    pub uris: Vec<String>,
    /// iPAddress entries.
    pub addresses: Vec<String>,
    /// First and last year it is valid; `None`: this century.
    pub years: Option<(i32, i32)>,
    /// It calls itself a CA, as `openssl req -x509` makes it.
    pub is_ca: bool,
}

impl Wish {
    /// For one DNS name.
    pub fn dns(name: &str) -> Self {
        Self {
            dns: vec![name.to_owned()],
            ..Self::default()
        }
    }

    /// Valid from the first day of one year to the last of another.
    pub fn years(mut self, first: i32, last: i32) -> Self {
        self.years = Some((first, last));
        self
    }
}

/// A certificate with its key, as files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// SHA-256 of it.
    pub fingerprint: String,
}

impl Authority {
    /// A new one, whose certificate lies in the folder as `NAME-ca.pem`.
    pub fn new(folder: &Path, name: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{name} test authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}-ca.pem")), issuer.pem()).unwrap();
        Self {
            issuer,
            folder: folder.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The file that makes a phone trust it.
    pub fn file(&self) -> PathBuf {
        self.folder.join(format!("{}-ca.pem", self.name))
    }

    /// A certificate by it; its files are named for it.
    pub fn issue(&self, name: &str, wish: &Wish) -> Issued {
        let (params, key) = (params(wish), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        keep(&self.folder, name, &certificate, &key)
    }
}

/// A certificate that no one signed but itself.
pub fn self_signed(folder: &Path, name: &str, wish: &Wish) -> Issued {
    std::fs::create_dir_all(folder).unwrap();
    let (params, key) = (params(wish), KeyPair::generate().unwrap());
    let certificate = params.self_signed(&key).unwrap();
    keep(folder, name, &certificate, &key)
}

fn params(wish: &Wish) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    if let Some(name) = &wish.common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let dns = wish
        .dns
        .iter()
        .map(|name| SanType::DnsName(name.as_str().try_into().unwrap()));
    let uris = wish
        .uris
        .iter()
        .map(|uri| SanType::URI(uri.as_str().try_into().unwrap()));
    let addresses = wish
        .addresses
        .iter()
        .map(|ip| SanType::IpAddress(ip.parse().unwrap()));
    params.subject_alt_names = dns.chain(uris).chain(addresses).collect();
    let (first, last) = wish.years.unwrap_or((2001, 2098));
    if wish.is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.not_before = date_time_ymd(first, 1, 1);
    params.not_after = date_time_ymd(last, 12, 31);
    params
}

fn keep(folder: &Path, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
    use sha2::Digest as _;
    let issued = Issued {
        chain: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        fingerprint: sha2::Sha256::digest(certificate.der())
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":"),
    };
    std::fs::write(&issued.chain, certificate.pem()).unwrap();
    std::fs::write(&issued.key, key.serialize_pem()).unwrap();
    issued
}
