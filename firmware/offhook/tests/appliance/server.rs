//! A provisioning server: one answer for each path, over TLS or not, and what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a server answers, as bytes on the wire.
pub(crate) type Answers = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server on a port of its own; its threads end with the test's process.
pub(crate) struct Server {
    pub(crate) port: u16,
    answers: Answers,
    /// Heads of the requests, in their order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    secure: bool,
}

/// An authority, and the file its certificate lies in.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// A certificate for this name and its key, as PEM.
    pub(crate) fn certificate(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server's configuration with a certificate for this name.
    fn vouch(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

impl Server {
    /// With a certificate for `name`, or without any encryption.
    pub(crate) fn start(vouched: Option<(&Authority, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            answers: Answers::default(),
            asked: Arc::default(),
            secure: vouched.is_some(),
        };
        let config = vouched.map(|(authority, name)| authority.vouch(name));
        let (answers, asked) = (Arc::clone(&server.answers), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), answers, asked, config) = (
                    stream,
                    Arc::clone(&answers),
                    Arc::clone(&asked),
                    config.clone(),
                ) else {
                    return;
                };
                std::thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(config) = config {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(&mut StreamOwned::new(connection, stream), &answers, &asked);
                    } else {
                        serve(&mut stream, &answers, &asked);
                    }
                });
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// Raw bytes for a path.
    pub(crate) fn answer(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, _)| known != path);
        answers.push((path.to_owned(), bytes.into()));
    }

    /// A whole body with a version (`ETag`).
    pub(crate) fn body(&self, path: &str, body: &str) {
        let etag = body.len();
        let length = body.len();
        self.answer(
            path,
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"v{etag}\"\r\n\r\n{body}"
            ),
        );
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: &mut (impl Read + Write), answers: &Answers, asked: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut *stream);
    while !head.ends_with("\r\n\r\n") {
        // A client that does not believe us hangs up.
        if reader.read_line(&mut head).map_or(true, |bytes| bytes == 0) {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
    let answer = answers
        .lock()
        .unwrap()
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, bytes)| bytes.clone());
    let mut answer =
        answer.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    let etag = String::from_utf8_lossy(&answer)
        .lines()
        .find_map(|line| line.strip_prefix("ETag: ").map(str::to_owned));
    if etag.is_some_and(|etag| {
        head.to_lowercase()
            .contains(&format!("if-none-match: {etag}"))
    }) {
        answer = b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec();
    }
    asked.lock().unwrap().push(head);
    let endless = answer.ends_with(b"<endless>");
    let _ = stream.write_all(answer.strip_suffix(b"<endless>").unwrap_or(&answer));
    let chunk = vec![b'#'; if endless { 65536 } else { 0 }];
    while !chunk.is_empty() {
        let sent = write!(stream, "{:x}\r\n", chunk.len())
            .and_then(|()| stream.write_all(&chunk))
            .and_then(|()| stream.write_all(b"\r\n"));
        if sent.is_err() {
            return;
        }
    }
    let _ = stream.flush();
}
