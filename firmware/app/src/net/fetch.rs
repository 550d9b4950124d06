//! Files over the network: an origin that is proven, a size that is bounded, and all of the file or
//! nothing.
//!
//! ```text
//! FetchRequest, Trust ─▶ GET ─┬─ 200 ─▶ length known? ─▶ sink, counted ─▶ Fetched::New(ETag)
//!                        ├─ 304 ─▶ Fetched::NotModified
//!                        ├─ 30x ─▶ again, never from https to http, at most 4 times
//!                        └─ else ─▶ FetchError
//! ```
//!
//! `https` is checked against the certificates given, or the system's; `http` is refused unless
//! the configuration allows it. A body whose end cannot be distinguished from a broken connection
//! is refused, and so is a compressed one: what it unpacks to has no bound.

mod trust;

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HOST, IF_NONE_MATCH, LOCATION, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::{Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::dns::is_link_local;
use super::dns::question::{Kind, Question, Record};
use super::mdns;
pub(crate) use trust::{AuthorityError, FirstUse, Trust};

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// For one step.
    step: Duration,
    /// In each such time a body must bring at least `least` bytes, or end: fewer are a server that
    /// only holds the connection.
    window: Duration,
    least: u64,
    /// A whole fetch takes no longer than this and the slowest allowed transfer of its largest
    /// size.
    overall: Duration,
}

const LIMITS: Limits = Limits {
    step: Duration::from_secs(20),
    window: Duration::from_secs(30),
    least: 30 * 1024,
    overall: Duration::from_secs(120),
};

impl Limits {
    /// The most time a fetch may take.
    fn deadline(&self, max_bytes: u64) -> Duration {
        let windows = max_bytes.div_ceil(self.least).min(100_000);
        self.overall + self.window * windows as u32
    }
}

/// How long one address of a server may take to answer; another is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// Addresses of a server that are tried.
const MAX_ADDRESSES: usize = 4;
/// Redirects followed.
const MAX_REDIRECTS: usize = 4;
/// Longest version (`ETag`) kept.
const MAX_ETAG: usize = 256;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchRequest {
    pub(crate) url: String,
    /// `http` without encryption is allowed by the configuration.
    pub(crate) allow_http: bool,
    /// The version that was fetched last time.
    pub(crate) etag: Option<String>,
    /// Most bytes accepted.
    pub(crate) max_bytes: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The sink has the whole file.
    New { etag: Option<String> },
    /// The server has nothing newer.
    NotModified,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0} is not a URL of http or https")]
    Url(String),
    #[error("{0} is not encrypted and http is not allowed; use https, or set provision.allow_http")]
    Plain(String),
    #[error(
        "{from} redirects to {to}, which is not encrypted: refused; correct the server's redirect"
    )]
    Downgrade { from: String, to: String },
    #[error("{0} redirects too often; correct the server's redirects")]
    Loop(String),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("{host}: {what}; check the server's name and that it is running")]
    Connect { host: String, what: String },
    #[error(
        "{host}: {what}; the certificate must be for this name and signed by an authority that is \
         trusted (provision.ca)"
    )]
    Trust { host: String, what: String },
    #[error(
        "{host}: {what}, which is not the one it is known by since its first use; if the server \
         has a new one, key its address again"
    )]
    Changed { host: String, what: String },
    #[error("{url}: the server says {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url}: it takes longer than {} s; nothing was taken", .limit.as_secs())]
    Deadline { url: String, limit: Duration },
    #[error("{url}: {what}; nothing was taken")]
    Body { url: String, what: String },
    #[error("the file could not be written: {0}")]
    Sink(io::Error),
}

/// A URL in parts.
struct Url {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Url {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Url(shown(url));
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

    /// As it may be shown.
    fn shown(&self) -> String {
        shown(&self.uri.to_string())
    }

    /// Where this server redirects to.
    fn redirected(&self, location: &str) -> Result<Self, FetchError> {
        let to = if location.starts_with('/') && !location.starts_with("//") {
            let scheme = if self.secure { "https" } else { "http" };
            Self::parse(&format!(
                "{scheme}://{}{location}",
                self.uri
                    .authority()
                    .map_or("", |authority| authority.as_str())
            ))?
        } else {
            Self::parse(location)?
        };
        if self.secure && !to.secure {
            return Err(FetchError::Downgrade {
                from: self.shown(),
                to: shown(location),
            });
        }
        Ok(to)
    }
}

/// A URL as it may be shown: whose server, and nothing of path and query, where a token may stand.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "a URL without a scheme".to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let more = if path.len() > 1 { "/…" } else { "" };
    control::readable::displayable(&format!("{scheme}://{host}{more}"))
        .chars()
        .take(200)
        .collect()
}

/// Fetches into a sink. On an error the sink may hold a part: whoever owns it throws that away.
pub(crate) async fn fetch(
    request: &FetchRequest,
    trust: &Trust,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    fetch_within(&LIMITS, request, trust, sink).await
}

async fn fetch_within(
    limits: &Limits,
    request: &FetchRequest,
    trust: &Trust,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    let limit = limits.deadline(request.max_bytes);
    timeout(limit, follow(limits, request, trust, sink))
        .await
        .unwrap_or_else(|_| {
            Err(FetchError::Deadline {
                url: shown(&request.url),
                limit,
            })
        })
}

/// Asks the server, and those it redirects to.
async fn follow(
    limits: &Limits,
    request: &FetchRequest,
    trust: &Trust,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    let mut url = Url::parse(&request.url)?;
    for _ in 0..=MAX_REDIRECTS {
        if !url.secure && !request.allow_http {
            return Err(FetchError::Plain(url.shown()));
        }
        let response = get(limits, &url, request, trust).await?;
        match response.status() {
            StatusCode::OK => return take(limits, &url, response, request.max_bytes, sink).await,
            StatusCode::NOT_MODIFIED if request.etag.is_some() => return Ok(Fetched::NotModified),
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
                url = url.redirected(location)?;
            }
            status => {
                return Err(FetchError::Status {
                    url: url.shown(),
                    status,
                });
            }
        }
    }
    Err(FetchError::Loop(shown(&request.url)))
}

async fn get(
    limits: &Limits,
    url: &Url,
    request: &FetchRequest,
    trust: &Trust,
) -> Result<Response<Incoming>, FetchError> {
    let host = || url.host.clone();
    let connect = |what: String| FetchError::Connect { host: host(), what };
    let bare = url.host.trim_start_matches('[').trim_end_matches(']');
    let tcp = timeout(limits.step, open(bare, url.port))
        .await
        .map_err(|_| connect("no answer".to_owned()))?
        .map_err(|error| connect(error.to_string()))?;
    if url.secure {
        let config = trust.config().await?;
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|error| connect(error.to_string()))?;
        let tls = timeout(
            limits.step,
            tokio_rustls::TlsConnector::from(config).connect(name, tcp),
        )
        .await
        .map_err(|_| connect("no answer to TLS".to_owned()))?
        .map_err(|error| match refusal(&error) {
            Some(what) => FetchError::Changed { host: host(), what },
            None => FetchError::Trust {
                host: host(),
                what: error.to_string(),
            },
        })?;
        ask(limits, TokioIo::new(tls), url, request).await
    } else {
        ask(limits, TokioIo::new(tcp), url, request).await
    }
}

/// What is wrong with a certificate beyond what rustls has words for: it is another one than the
/// server is known by.
fn refusal(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            Some(other.0.to_string())
        }
        _ => None,
    }
}

/// The addresses of a name, as the machine resolves it, on a thread of its own: a dead resolver
/// holds nothing else.
async fn addresses_of(host: &str) -> io::Result<Vec<IpAddr>> {
    let question = Question::new(host, Kind::A);
    if is_link_local(&question.name) {
        // A name of this link (RFC 6762): what the machine resolves names by may not know them.
        let answer = mdns::ask(question).await.map_err(io::Error::other)?;
        let addresses = answer
            .records
            .into_iter()
            .filter_map(|record| match record {
                Record::Address(address) => Some(address),
                _ => None,
            });
        return Ok(addresses.collect());
    }
    let (reply, found) = oneshot::channel();
    let name = host.to_owned();
    std::thread::Builder::new()
        .name("offhook-names".into())
        .stack_size(256 * 1024)
        .spawn(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            // No one may be waiting any more.
            let _ = reply.send(found.map(|found| found.map(|to| to.ip()).collect()));
        })?;
    let lost = |_| io::Error::other("the name was not looked up");
    found.await.map_err(lost)?
}

/// A connection to the first address of a host that takes one.
pub(crate) async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => addresses_of(host).await?,
    };
    let mut last = io::Error::other("the name has no address");
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::other(format!("{address} does not answer")),
        }
    }
    Err(last)
}

/// One request over a connection that is then given up.
async fn ask<S>(
    limits: &Limits,
    stream: S,
    url: &Url,
    wanted: &FetchRequest,
) -> Result<Response<Incoming>, FetchError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let connect = |what: String| FetchError::Connect {
        host: url.host.clone(),
        what,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(|error| connect(error.to_string()))?;
    // It ends when the body was read or given up.
    tokio::spawn(connection);
    let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = hyper::Request::get(path)
        .header(
            HOST,
            url.uri
                .authority()
                .map_or("", |authority| authority.as_str()),
        )
        .header(USER_AGENT, concat!("Offhook/", env!("CARGO_PKG_VERSION")));
    if let Some(etag) = &wanted.etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| connect(error.to_string()))?;
    timeout(limits.step, sender.send_request(request))
        .await
        .map_err(|_| connect("no answer".to_owned()))?
        .map_err(|error| connect(error.to_string()))
}

async fn take(
    limits: &Limits,
    url: &Url,
    response: Response<Incoming>,
    most: u64,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<Fetched, FetchError> {
    let body = |what: String| FetchError::Body {
        url: url.shown(),
        what,
    };
    let headers = response.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let chunked = response.version() == Version::HTTP_11 && headers.contains_key(TRANSFER_ENCODING);
    if length.is_none() && !chunked {
        return Err(body(
            "the server does not say how long it is, so a part could not be distinguished from the \
             whole"
                .to_owned(),
        ));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(body(
            "it is compressed, which the phone did not ask for".to_owned(),
        ));
    }
    let too_long = || body(format!("it is longer than {most} bytes"));
    if length.is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let etag = headers
        .get(ETAG)
        .and_then(|value| value.to_str().ok())
        .filter(|etag| etag.len() <= MAX_ETAG)
        .map(str::to_owned);
    let mut left = most;
    let mut incoming = response.into_body();
    let mut rate = Rate::new(*limits, Instant::now());
    loop {
        let frame = timeout(limits.step, incoming.frame())
            .await
            .map_err(|_| body("the server stopped in the middle".to_owned()))?;
        match frame {
            None => return Ok(Fetched::New { etag }),
            Some(Err(error)) => {
                return Err(body(format!(
                    "the connection ended in the middle ({error})"
                )));
            }
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                left = left.checked_sub(data.len() as u64).ok_or_else(too_long)?;
                if !rate.handle(data.len() as u64, Instant::now()) {
                    return Err(body(format!(
                        "the server sends less than {} bytes in {} s",
                        limits.least,
                        limits.window.as_secs()
                    )));
                }
                sink(data).map_err(FetchError::Sink)?;
            }
        }
    }
}

/// Whether a body comes fast enough; no clock of its own.
#[derive(Debug)]
struct Rate {
    limits: Limits,
    since: Instant,
    bytes: u64,
}

impl Rate {
    fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            since: now,
            bytes: 0,
        }
    }

    /// So many bytes came; `false`: fewer than allowed in the window that ends.
    fn handle(&mut self, bytes: u64, now: Instant) -> bool {
        self.bytes += bytes;
        if now.saturating_duration_since(self.since) < self.limits.window {
            return true;
        }
        let enough = self.bytes >= self.limits.least;
        *self = Self::new(self.limits, now);
        enough
    }
}

#[cfg(test)]
mod tests;
