//! A request line, read. Pure: bytes in, order or error out.

use std::path::PathBuf;

use serde::Deserialize;

use control::Request;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Something a finger does.
    Do(Request),
    /// The whole phone as one object.
    Status,
    /// Every figure of every stream.
    Stats,
    /// Event lines until the connection closes.
    Events,
    /// Look again at what DHCP, the image and the provisioning server say.
    Refresh,
    /// Write the support bundle to this file.
    Bundle(PathBuf),
    /// Orderly shutdown.
    Quit,
}

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not JSON, or not an object with `cmd`.
    #[error("not a request: {0}; send one object a line, like {{\"cmd\":\"status\"}}")]
    Malformed(String),
    /// A command this phone does not know.
    #[error(
        "unknown command {0:?}; known are lift, hang-up, press, flash, rotary, verify, status, stats, events, refresh, bundle, quit"
    )]
    Unknown(String),
    /// A command without what it needs.
    #[error("{command} needs {missing:?}, like {example}")]
    Missing {
        /// Which command.
        command: &'static str,
        /// Which key.
        missing: &'static str,
        /// A line that works.
        example: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    cmd: String,
    keys: Option<String>,
    digits: Option<String>,
    call: Option<u32>,
    file: Option<PathBuf>,
}

/// Reads one line.
pub fn parse(line: &[u8]) -> Result<Order, ProtocolError> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    match line.cmd.as_str() {
        "lift" => Ok(Order::Do(Request::Lift)),
        "hang-up" => Ok(Order::Do(Request::HangUp)),
        "flash" => Ok(Order::Do(Request::Flash)),
        "press" => {
            line.keys
                .map(|keys| Order::Do(Request::Press(keys)))
                .ok_or(ProtocolError::Missing {
                    command: "press",
                    missing: "keys",
                    example: r#"{"cmd":"press","keys":"123#"}"#,
                })
        }
        "rotary" => line
            .digits
            .map(|digits| Order::Do(Request::Rotary(digits)))
            .ok_or(ProtocolError::Missing {
                command: "rotary",
                missing: "digits",
                example: r#"{"cmd":"rotary","digits":"112"}"#,
            }),
        "verify" => line
            .call
            .map(|call| Order::Do(Request::Verify(call)))
            .ok_or(ProtocolError::Missing {
                command: "verify",
                missing: "call",
                example: r#"{"cmd":"verify","call":1}"#,
            }),
        "bundle" => line
            .file
            .filter(|file| file.is_absolute())
            .map(Order::Bundle)
            .ok_or(ProtocolError::Missing {
                command: "bundle",
                missing: "file",
                example: r#"{"cmd":"bundle","file":"/tmp/offhook-support.tar.gz"}"#,
            }),
        "status" => Ok(Order::Status),
        "stats" => Ok(Order::Stats),
        "events" => Ok(Order::Events),
        "refresh" => Ok(Order::Refresh),
        "quit" => Ok(Order::Quit),
        _ => Err(ProtocolError::Unknown(line.cmd)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_understood() {
        let table: [(&str, Order); 12] = [
            (r#"{"cmd":"lift"}"#, Order::Do(Request::Lift)),
            (r#"{"cmd":"hang-up"}"#, Order::Do(Request::HangUp)),
            (r#"{"cmd":"flash"}"#, Order::Do(Request::Flash)),
            (
                r#"{"cmd":"press","keys":"12,#"}"#,
                Order::Do(Request::Press("12,#".into())),
            ),
            (
                r#"{"cmd":"rotary","digits":"90"}"#,
                Order::Do(Request::Rotary("90".into())),
            ),
            (
                r#"{"cmd":"verify","call":3}"#,
                Order::Do(Request::Verify(3)),
            ),
            (r#"{"cmd":"status"}"#, Order::Status),
            (r#"{"cmd":"stats"}"#, Order::Stats),
            (r#" { "cmd" : "events" } "#, Order::Events),
            (r#"{"cmd":"refresh"}"#, Order::Refresh),
            (
                r#"{"cmd":"bundle","file":"/tmp/b"}"#,
                Order::Bundle("/tmp/b".into()),
            ),
            (r#"{"cmd":"quit"}"#, Order::Quit),
        ];
        for (line, order) in table {
            assert_eq!(parse(line.as_bytes()), Ok(order), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |line: &str| parse(line.as_bytes()).unwrap_err().to_string();
        assert!(said(r#"{"cmd":"lfit"}"#).contains("lfit"));
        assert!(said(r#"{"cmd":"press"}"#).contains("keys"));
        assert!(said(r#"{"cmd":"rotary"}"#).contains("digits"));
        assert!(said("lift").contains("one object a line"));
        assert!(said(r#"{"cmd":"lift","speed":9}"#).contains("speed"));
        assert!(parse(&[0xff, 0xfe]).is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"[[[[[[[[").is_err());
    }
}
