//! Files over the network, by rules that do not bend: an origin that is proven, a size that is
//! bounded, and all of it or nothing.
//!
//! ```text
//! Asked (url, CA, ETag, most) ─▶ GET ─┬─ 200 ─▶ length told? ─▶ sink, counted ─▶ Fetched::New(ETag)
//!                                     ├─ 304 ─▶ Fetched::NotModified
//!                                     ├─ 30x ─▶ again, never from https to http, at most 4 times
//!                                     └─ else ─▶ FetchError
//! ```
//!
//! `https` is judged by the certificates given, or the system's; `http` is refused unless it was
//! allowed by name. A body whose end cannot be told from a broken connection is refused, and so is
//! a compressed one: what it unpacks to has no bound.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HOST, IF_NONE_MATCH, LOCATION, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server may take for one step.
const PATIENCE: Duration = Duration::from_secs(20);
/// Redirects followed.
const MOST_HOPS: usize = 4;
/// Longest version (`ETag`) kept.
const MOST_ETAG: usize = 256;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) url: String,
    /// PEM file with the certificates the server is judged by; `None`: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// `http` without encryption was allowed by name.
    pub(crate) allow_http: bool,
    /// What was got last time.
    pub(crate) etag: Option<String>,
    /// Most bytes taken.
    pub(crate) most: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The sink has it, whole.
    New { etag: Option<String> },
    /// It is what was got last time.
    NotModified,
}

/// Why it was not got.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0} is no URL of http or https")]
    Url(String),
    #[error("{0} is not encrypted and http is not allowed; use https, or set provision.allow_http")]
    Plain(String),
    #[error("{from} sends on to {to}, which is not encrypted: refused; mend the server's redirect")]
    Downgrade { from: String, to: String },
    #[error("{0} sends on and on; mend the server's redirects")]
    Loop(String),
    #[error("{path}: {what}; put the CA's certificate there (PEM)")]
    Authority { path: PathBuf, what: String },
    #[error("{host}: {what}; is the server there, and its name right?")]
    Connect { host: String, what: String },
    #[error(
        "{host}: {what}; the certificate must be for this name and signed by an authority that is trusted (provision.ca)"
    )]
    Trust { host: String, what: String },
    #[error("{url}: the server says {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url}: {what}; nothing was taken")]
    Body { url: String, what: String },
    #[error("it could not be written: {0}")]
    Sink(std::io::Error),
}

/// A URL in parts.
struct Place {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Place {
    fn of(url: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong());
        }
        Ok(Self {
            uri,
            secure,
            host,
            port,
        })
    }

    /// Where this place sends on to.
    fn onward(&self, location: &str) -> Result<Self, FetchError> {
        let to = if location.starts_with('/') && !location.starts_with("//") {
            let scheme = if self.secure { "https" } else { "http" };
            Self::of(&format!(
                "{scheme}://{}{location}",
                self.uri
                    .authority()
                    .map_or("", |authority| authority.as_str())
            ))?
        } else {
            Self::of(location)?
        };
        if self.secure && !to.secure {
            return Err(FetchError::Downgrade {
                from: self.uri.to_string(),
                to: location.to_owned(),
            });
        }
        Ok(to)
    }
}

/// Fetches into a sink. On an error the sink may hold a part: whoever owns it throws that away.
pub(crate) async fn fetch(
    asked: &Asked,
    sink: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    let mut place = Place::of(&asked.url)?;
    for _ in 0..=MOST_HOPS {
        if !place.secure && !asked.allow_http {
            return Err(FetchError::Plain(place.uri.to_string()));
        }
        let response = get(&place, asked).await?;
        match response.status() {
            StatusCode::OK => return take(&place, response, asked.most, sink).await,
            StatusCode::NOT_MODIFIED if asked.etag.is_some() => return Ok(Fetched::NotModified),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let location = response
                    .headers()
                    .get(LOCATION)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("");
                place = place.onward(location)?;
            }
            status => {
                return Err(FetchError::Status {
                    url: place.uri.to_string(),
                    status,
                });
            }
        }
    }
    Err(FetchError::Loop(asked.url.clone()))
}

async fn get(place: &Place, asked: &Asked) -> Result<Response<Incoming>, FetchError> {
    let host = || place.host.clone();
    let connect = |what: String| FetchError::Connect { host: host(), what };
    let bare = place.host.trim_start_matches('[').trim_end_matches(']');
    let tcp = timeout(PATIENCE, TcpStream::connect((bare, place.port)))
        .await
        .map_err(|_| connect("no answer".to_owned()))?
        .map_err(|error| connect(error.to_string()))?;
    if place.secure {
        let config = trust(asked)?;
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|error| connect(error.to_string()))?;
        let tls = timeout(
            PATIENCE,
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp),
        )
        .await
        .map_err(|_| connect("no answer to TLS".to_owned()))?
        .map_err(|error| FetchError::Trust {
            host: host(),
            what: error.to_string(),
        })?;
        ask(TokioIo::new(tls), place, asked).await
    } else {
        ask(TokioIo::new(tcp), place, asked).await
    }
}

/// One request over a connection that is then given up.
async fn ask<S>(stream: S, place: &Place, asked: &Asked) -> Result<Response<Incoming>, FetchError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let connect = |what: String| FetchError::Connect {
        host: place.host.clone(),
        what,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(|error| connect(error.to_string()))?;
    // It ends when the body was read or given up.
    tokio::spawn(connection);
    let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(
            HOST,
            place
                .uri
                .authority()
                .map_or("", |authority| authority.as_str()),
        )
        .header(USER_AGENT, concat!("Offhook/", env!("CARGO_PKG_VERSION")));
    if let Some(etag) = &asked.etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| connect(error.to_string()))?;
    timeout(PATIENCE, sender.send_request(request))
        .await
        .map_err(|_| connect("no answer".to_owned()))?
        .map_err(|error| connect(error.to_string()))
}

async fn take(
    place: &Place,
    response: Response<Incoming>,
    most: u64,
    sink: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    let body = |what: String| FetchError::Body {
        url: place.uri.to_string(),
        what,
    };
    let headers = response.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let chunked = response.version() == Version::HTTP_11 && headers.contains_key(TRANSFER_ENCODING);
    if length.is_none() && !chunked {
        return Err(body(
            "the server does not tell how long it is, so that a part of it would look like all"
                .to_owned(),
        ));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(body("it is compressed, which was not asked for".to_owned()));
    }
    let too_long = || body(format!("it is longer than {most} bytes"));
    if length.is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let etag = headers
        .get(ETAG)
        .and_then(|value| value.to_str().ok())
        .filter(|etag| etag.len() <= MOST_ETAG)
        .map(str::to_owned);
    let mut left = most;
    let mut incoming = response.into_body();
    loop {
        let frame = timeout(PATIENCE, incoming.frame())
            .await
            .map_err(|_| body("the server stopped in the middle".to_owned()))?;
        match frame {
            None => return Ok(Fetched::New { etag }),
            Some(Err(error)) => return Err(body(format!("it broke off in the middle ({error})"))),
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                left = left.checked_sub(data.len() as u64).ok_or_else(too_long)?;
                sink(data).map_err(FetchError::Sink)?;
            }
        }
    }
}

/// Whom to believe.
fn trust(asked: &Asked) -> Result<rustls::ClientConfig, FetchError> {
    let mut roots = rustls::RootCertStore::empty();
    match &asked.ca {
        Some(path) => {
            let wrong = |what: String| FetchError::Authority {
                path: path.clone(),
                what,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        None => {
            // A system's certificate that cannot be read is one authority less, not a reason to
            // stop.
            for certificate in rustls_native_certs::load_native_certs().certs {
                let _ = roots.add(certificate);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Connect {
            host: asked.url.clone(),
            what: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_redirect_leads_out_of_the_encryption() {
        let from = Place::of("https://a.example:8443/x").unwrap();
        assert!(matches!(
            from.onward("http://a.example/x"),
            Err(FetchError::Downgrade { .. })
        ));
        assert!(matches!(
            from.onward("ftp://a.example/x"),
            Err(FetchError::Url(_))
        ));
        assert!(matches!(from.onward(""), Err(FetchError::Url(_))));
        assert_eq!(
            from.onward("/y?z").unwrap().uri.to_string(),
            "https://a.example:8443/y?z"
        );
        assert_eq!(from.onward("https://b.example/y").unwrap().port, 443);
        assert!(
            Place::of("http://a.example/")
                .unwrap()
                .onward("https://a.example/")
                .unwrap()
                .secure
        );
        assert!(Place::of("https://user:password@a.example/").is_err());
    }
}
