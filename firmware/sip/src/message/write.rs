//! Message to bytes. Nothing is checked or escaped here: every part was when it was made.
//!
//! ```text
//! start line, headers in order, Content-Length from the body, empty line, body
//! ```

use std::fmt::{Display, Write};

use super::{Headers, Message, Request, Response};

impl Message {
    /// The message as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// The request as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(
            format_args!("{} {} SIP/2.0", self.method, self.uri),
            &self.headers,
            &self.body,
        )
    }
}

impl Response {
    /// The response as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(
            format_args!("SIP/2.0 {} {}", self.code(), self.reason()),
            &self.headers,
            &self.body,
        )
    }
}

fn write(start: impl Display, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut head = format!("{start}\r\n");
    for (name, value) in headers.iter() {
        for part in [name, ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
