//! Messages out of a byte stream: TCP framing (RFC 3261 18.3) and its keepalives (RFC 5626 3.5.1).
//!
//! A stream has no second chance: once its framing is lost every later byte is guesswork, so
//! anything that is not plainly SIP ends it. What is kept is at most one unfinished message.
//!
//! ```text
//! bytes ─▶ push ─▶ buffer ─▶ poll ─┬▶ Frame::Message (whole head and body) ─▶ Message::parse
//!                                  ├▶ Frame::Ping (CRLF CRLF: answer CRLF), Frame::Pong (CRLF)
//!                                  └▶ StreamError ─▶ close the connection
//! ```

use crate::message::{Framing, MAX_LINE, MAX_MESSAGE, framing, head_end, scan};

/// Most bytes that may wait unpolled.
const MAX_BUFFER: usize = 4 * MAX_MESSAGE;

/// One thing a stream carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message's bytes, head and body.
    Message(Vec<u8>),
    /// A keepalive that asks for [`PONG`].
    Ping,
    /// The answer to our [`PING`], or a line end of no meaning.
    Pong,
}

/// What we send to keep a flow alive and to learn whether it is.
pub const PING: &[u8] = b"\r\n\r\n";
/// What we answer to a ping.
pub const PONG: &[u8] = b"\r\n";

/// Why a stream cannot be read on; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// What came is not SIP.
    #[error("the stream does not carry SIP; the connection is closed")]
    NotSip,
    /// A message has no Content-Length.
    #[error("a message on the stream has no Content-Length; the connection is closed")]
    NoContentLength,
    /// A message has more than one Content-Length, or one that is no number.
    #[error("a message on the stream has a bad Content-Length; the connection is closed")]
    BadContentLength,
    /// A message is longer than [`MAX_MESSAGE`].
    #[error("a message on the stream is longer than {MAX_MESSAGE} bytes; the connection is closed")]
    TooLong,
    /// More came than was polled.
    #[error("more than {MAX_BUFFER} bytes wait on the stream; the connection is closed")]
    Overflow,
}

/// What is known of the message at the front of the buffer.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing; its first line is looked for from this offset on.
    FirstLine { searched: usize },
    /// Its first line is SIP's; the head's end is looked for from this offset on.
    Head { searched: usize },
    /// Its whole length.
    Whole { length: usize },
    /// The stream is lost.
    Failed(StreamError),
}

/// Cuts one direction of a connection into frames.
#[derive(Debug)]
pub struct StreamReader {
    buffer: Vec<u8>,
    /// How much of the buffer is used up; taken away when it outweighs the rest, so that the work
    /// stays linear.
    used: usize,
    stage: Stage,
    /// The head of the message at which the stream was lost, if it is one.
    lost: Option<Vec<u8>>,
}

impl Default for StreamReader {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            used: 0,
            stage: Stage::FirstLine { searched: 0 },
            lost: None,
        }
    }
}

impl StreamReader {
    /// Bytes came in. Call [`StreamReader::poll`] until `None` afterwards.
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.stage, Stage::Failed(_)) {
            return;
        }
        if self.used > self.buffer.len() / 2 {
            scan::work(self.waiting());
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        if self.buffer.len() - self.used + bytes.len() > MAX_BUFFER {
            self.fail(StreamError::Overflow);
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame. After an error the stream is lost and each call says so again.
    pub fn poll(&mut self) -> Option<Result<Frame, StreamError>> {
        loop {
            let waiting = self.buffer.get(self.used..).unwrap_or_default();
            match self.stage {
                Stage::Failed(error) => return Some(Err(error)),
                Stage::FirstLine { searched: 0 } if waiting.starts_with(b"\r") => {
                    let (frame, length) = keepalive(waiting)?;
                    self.used += length;
                    match frame {
                        Ok(frame) => return Some(Ok(frame)),
                        Err(error) => self.fail(error),
                    }
                }
                Stage::FirstLine { searched } => match first_line(waiting, searched) {
                    Ok(true) => self.stage = Stage::Head { searched: 0 },
                    Ok(false) => {
                        self.stage = Stage::FirstLine {
                            searched: waiting.len(),
                        };
                        return None;
                    }
                    Err(error) => self.fail(error),
                },
                Stage::Head { searched } => match head_end(waiting, searched) {
                    Some(end) => match framing(waiting.get(..end).unwrap_or_default()) {
                        Framing::Body(body) if end.saturating_add(body) <= MAX_MESSAGE => {
                            self.stage = Stage::Whole { length: end + body };
                        }
                        Framing::Body(_) => self.fail(StreamError::TooLong),
                        unframed @ (Framing::Missing | Framing::Bad) => {
                            self.lost = waiting.get(..end).map(<[u8]>::to_vec);
                            self.fail(match unframed {
                                Framing::Bad => StreamError::BadContentLength,
                                Framing::Missing | Framing::Body(_) => StreamError::NoContentLength,
                            });
                        }
                    },
                    None if waiting.len() > MAX_MESSAGE => self.fail(StreamError::TooLong),
                    None => {
                        // The end may have begun in the last two bytes.
                        self.stage = Stage::Head {
                            searched: waiting.len().saturating_sub(2),
                        };
                        return None;
                    }
                },
                Stage::Whole { length } => {
                    let message = waiting.get(..length)?.to_vec();
                    self.used += length;
                    self.stage = Stage::FirstLine { searched: 0 };
                    return Some(Ok(Frame::Message(message)));
                }
            }
        }
    }

    /// The head of a message without a usable Content-Length, once: it can still be refused before
    /// the connection closes.
    pub fn take_lost(&mut self) -> Option<Vec<u8>> {
        self.lost.take()
    }

    /// Bytes that wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.used
    }

    fn fail(&mut self, error: StreamError) {
        self.stage = Stage::Failed(error);
        self.buffer = Vec::new();
        self.used = 0;
    }
}

/// Between messages: CRLF CRLF is a ping, a lone CRLF a pong. `None`: more bytes must show. A ping
/// cut in two by the network right behind its first CRLF reads as two pongs; that one goes
/// unanswered and the far end asks again.
fn keepalive(waiting: &[u8]) -> Option<(Result<Frame, StreamError>, usize)> {
    match waiting {
        [b'\r', b'\n', b'\r', b'\n', ..] => Some((Ok(Frame::Ping), 4)),
        b"\r" | b"\r\n\r" => None,
        [b'\r', b'\n', ..] => Some((Ok(Frame::Pong), 2)),
        _ => Some((Err(StreamError::NotSip), 0)),
    }
}

/// Whether the first line is whole and looks like SIP's. The stricter judgement is the parser's;
/// this one keeps other protocols, and lines without end, from being collected.
fn first_line(waiting: &[u8], searched: usize) -> Result<bool, StreamError> {
    let fresh = waiting.get(searched..).unwrap_or_default();
    let newline = fresh
        .iter()
        .position(|b| *b == b'\n')
        .map(|at| searched + at);
    let line = waiting
        .get(..newline.unwrap_or(waiting.len()))
        .unwrap_or_default();
    scan::work(line.len().saturating_sub(searched));
    if line.len() > MAX_LINE
        || fresh
            .iter()
            .take(line.len().saturating_sub(searched))
            .any(|b| b.is_ascii_control() && !b"\r\t".contains(b))
    {
        return Err(StreamError::NotSip);
    }
    if newline.is_none() {
        return Ok(false);
    }
    let line = line.trim_ascii_end();
    let version = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    let is_sip = |text: &[u8]| {
        text.get(..4)
            .is_some_and(|t| t.eq_ignore_ascii_case(b"SIP/"))
    };
    if is_sip(line) || is_sip(version) {
        Ok(true)
    } else {
        Err(StreamError::NotSip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\nl : 3\r\n\r\nabc";

    fn all(reader: &mut StreamReader) -> Vec<Result<Frame, StreamError>> {
        let mut frames = Vec::new();
        while let Some(frame) = reader.poll() {
            let lost = frame.is_err();
            frames.push(frame);
            if lost {
                break;
            }
        }
        frames
    }

    fn read(bytes: &[u8]) -> Vec<Result<Frame, StreamError>> {
        let mut reader = StreamReader::default();
        reader.push(bytes);
        all(&mut reader)
    }

    #[test]
    fn cuts_messages_however_the_bytes_arrive() {
        let wire = [OPTIONS, OPTIONS, PING, OPTIONS].concat();
        let message = || Ok(Frame::Message(OPTIONS.to_vec()));
        assert_eq!(
            read(&wire),
            [message(), message(), Ok(Frame::Ping), message()]
        );
        for size in [1, 2, 7, 64] {
            let mut reader = StreamReader::default();
            let mut messages = 0;
            for chunk in wire.chunks(size) {
                reader.push(chunk);
                messages += all(&mut reader).iter().filter(|f| **f == message()).count();
            }
            assert_eq!((messages, reader.waiting()), (3, 0), "in chunks of {size}");
        }
    }

    #[test]
    fn keepalives() {
        assert_eq!(read(PING), [Ok(Frame::Ping)]);
        assert_eq!(read(PONG), [Ok(Frame::Pong)]);
        assert_eq!(read(b"\r\n\r\n\r\n"), [Ok(Frame::Ping), Ok(Frame::Pong)]);
        assert_eq!(read(b"\r\n\r"), []);
        assert_eq!(read(b"\rx"), [Err(StreamError::NotSip)]);
    }

    #[test]
    fn bytes_that_are_not_sip_end_the_stream() {
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02",
            b"hello\n",
            b"\0",
            &[b'a'; MAX_LINE + 1],
        ] {
            assert_eq!(read(garbage), [Err(StreamError::NotSip)]);
        }
    }

    #[test]
    fn content_length_is_required_once() {
        let with = |lines: &str| read(format!("OPTIONS sip:a@b SIP/2.0\r\n{lines}\r\n").as_bytes());
        assert_eq!(with("A: b\r\n"), [Err(StreamError::NoContentLength)]);
        assert_eq!(
            with("Content-Length: -1\r\n"),
            [Err(StreamError::BadContentLength)]
        );
        assert_eq!(
            with("Content-Length: 1\r\nl: 1\r\n"),
            [Err(StreamError::BadContentLength)]
        );
        assert_eq!(
            with("Content-Length: 65536\r\n"),
            [Err(StreamError::TooLong)]
        );
        assert_eq!(
            with("Content-Length: 18446744073709551615\r\n"),
            [Err(StreamError::TooLong)]
        );
        // RFC 4475 3.1.2.2 on a stream: wait for the rest.
        assert_eq!(with("Content-Length: 9999\r\n"), []);
    }

    #[test]
    fn memory_is_bounded() {
        let mut reader = StreamReader::default();
        reader.push(b"OPTIONS sip:a@b SIP/2.0\r\n");
        let mut pushed = 0;
        while reader.poll().is_none() {
            reader.push(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
            pushed += 1;
            assert!(pushed < 10_000, "an endless head is never refused");
        }
        assert_eq!(reader.poll(), Some(Err(StreamError::TooLong)));
        reader.push(OPTIONS);
        assert_eq!(
            (reader.waiting(), reader.poll()),
            (0, Some(Err(StreamError::TooLong)))
        );

        let mut reader = StreamReader::default();
        for _ in 0..MAX_BUFFER / OPTIONS.len() + 2 {
            reader.push(OPTIONS);
        }
        assert_eq!(reader.poll(), Some(Err(StreamError::Overflow)));
    }

    #[test]
    fn used_bytes_are_freed() {
        let mut reader = StreamReader::default();
        for _ in 0..10_000 {
            reader.push(OPTIONS);
            assert!(reader.poll().is_some());
        }
        assert!(
            reader.buffer.capacity() < 4096,
            "{} bytes kept",
            reader.buffer.capacity()
        );
    }
}
