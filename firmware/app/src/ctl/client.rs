//! The other end: `offhook ctl`, and whoever else asks a running phone.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A connection to a running phone.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

/// Why a phone could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No phone answers at the socket.
    #[error(
        "no phone answers at {path}: {source}; is `offhook run` or `offhook sim` running, with \
         this control.socket?"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The phone went away in the middle.
    #[error("the phone at {path} closed the connection: {source}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The phone said no.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// Connects.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            stream: BufReader::new(stream),
            path: path.to_owned(),
        })
    }

    /// Asks, and reads the one line that answers.
    pub fn ask(&mut self, request: &serde_json::Value) -> Result<serde_json::Value, ClientError> {
        self.send(request)?;
        let line = self
            .line()?
            .ok_or_else(|| self.broken(io::ErrorKind::UnexpectedEof.into()))?;
        let answer: serde_json::Value = serde_json::from_str(&line)
            .map_err(|error| self.broken(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if answer.get("ok") == Some(&serde_json::Value::Bool(false)) {
            let reason = answer
                .get("error")
                .and_then(|error| error.as_str())
                .unwrap_or("refused");
            return Err(ClientError::Refused(reason.to_owned()));
        }
        Ok(answer)
    }

    /// The handset is down and no one is talking.
    pub fn is_idle(&mut self) -> Result<bool, ClientError> {
        let status = self.ask(&serde_json::json!({"cmd": "status"}))?;
        Ok(status["state"] == "idle")
    }

    /// Sends a request without waiting.
    pub fn send(&mut self, request: &serde_json::Value) -> Result<(), ClientError> {
        let line = format!("{request}\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|source| self.broken(source))
    }

    /// The next line; `None`: the phone closed the connection.
    pub fn line(&mut self) -> Result<Option<String>, ClientError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end().to_owned())),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken {
            path: self.path.clone(),
            source,
        }
    }
}
