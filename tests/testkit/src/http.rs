//! A small HTTP server on the loopback that answers as it should, or as no server should.
//!
//! ```text
//! GET /path ─▶ answers ─▶ a text, a redirection, 300 MB, a stream without end, a byte now and then, or nothing at all
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a path is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with this text.
    Text(String),
    /// 302 to this address.
    Redirect(String),
    /// 200 and so many bytes, as announced.
    Bytes(u64),
    /// 200 and chunks for ever.
    Endless,
    /// 200, and a byte each 50 ms for ever.
    Trickle,
    /// The request is taken and nothing comes.
    Silence,
    /// Something that is no HTTP.
    Garbage,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    seen: Mutex<Vec<String>>,
    sent: AtomicU64,
}

/// The server; it ends with the test.
#[derive(Debug)]
pub struct HttpServer {
    at: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpServer {
    /// A server with these answers; other paths are 404.
    ///
    /// # Panics
    /// Where the loopback has no free port.
    pub fn start(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback");
        let at = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        for (path, answer) in answers {
            lock(&shared.answers).insert((*path).to_owned(), answer.clone());
        }
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || serve(&served, stream));
            }
        });
        Self { at, shared }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// The paths that were asked for, in order.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.shared.seen).clone()
    }

    /// Bytes of bodies that were taken off its hands.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(first) = head.next() else { return };
    for line in head {
        if line.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    lock(&shared.seen).push(path.clone());
    let answer = lock(&shared.answers).get(&path).cloned();
    // Whoever asked may be gone at any time: that is what is tested.
    let _ = write_answer(shared, &mut stream, answer);
}

fn write_answer(
    shared: &Shared,
    stream: &mut TcpStream,
    answer: Option<Answer>,
) -> std::io::Result<()> {
    const CHUNK: [u8; 16 * 1024] = [b'x'; 16 * 1024];
    let count = |bytes: usize| shared.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    match answer {
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        Some(Answer::Text(text)) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(text.as_bytes())
        }
        Some(Answer::Redirect(to)) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes())
        }
        Some(Answer::Bytes(mut left)) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            while left > 0 {
                let now = left.min(CHUNK.len() as u64) as usize;
                stream.write_all(&CHUNK[..now])?;
                count(now);
                left -= now as u64;
            }
            Ok(())
        }
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(format!("{:x}\r\n", CHUNK.len()).as_bytes())?;
                stream.write_all(&CHUNK)?;
                stream.write_all(b"\r\n")?;
                count(CHUNK.len());
            }
        }
        Some(Answer::Trickle) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"1\r\nx\r\n")?;
                count(1);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Some(Answer::Silence) => {
            // Until whoever asked hangs up.
            let mut rest = Vec::new();
            std::io::Read::read_to_end(stream, &mut rest).map(|_| ())
        }
        Some(Answer::Garbage) => stream.write_all(b"220 mail.example ESMTP\r\n"),
    }
}
