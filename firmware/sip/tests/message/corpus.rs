//! Messages others wrote: RFC 3665 flows, PROTOS, fuzz seeds, single requests.

use std::process::Command;

use sip::message::{Message, Uri};
use testkit::data;

use crate::reader::exercise;

/// The messages of a YAML list of literal blocks.
fn blocks(yaml: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in yaml.lines() {
        if line.starts_with("- |") {
            found.push(String::new());
        } else if let Some(block) = found.last_mut() {
            block.push_str(line.strip_prefix("  ").unwrap_or(line));
            block.push_str("\r\n");
        }
    }
    found
}

#[test]
fn rfc3665_flows_survive_writing_and_reading() {
    let Some(folder) = data::find(
        "corpus::rfc3665_flows_survive_writing_and_reading",
        "sip-flows/rfc3665",
    ) else {
        return;
    };
    let mut messages = 0;
    for file in data::files(&folder) {
        for block in blocks(&std::fs::read_to_string(&file).unwrap()) {
            let message = exercise(block.as_bytes())
                .unwrap_or_else(|e| panic!("{}: {e}\n{block}", file.display()));
            let again = Message::parse(&message.to_bytes()).unwrap();
            assert_eq!(again, message);
            messages += 1;
        }
    }
    assert!(messages >= 190, "only {messages} messages found");
}

/// `<length> <message>` chunks, one behind the other.
fn chunks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(space) = bytes.iter().position(|b| *b == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space])
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let (chunk, rest) = bytes[space + 1..].split_at(length);
        found.push(chunk);
        bytes = rest;
    }
    found
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|w| w == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn protos_never_panics() {
    let Some(archive) = data::find(
        "corpus::protos_never_panics",
        "sip-corpus/protos-hand.tar.xz",
    ) else {
        return;
    };
    let unpacked = match Command::new("tar").arg("-xJOf").arg(&archive).output() {
        Ok(output) if output.status.success() => output.stdout,
        other => {
            return eprintln!(
                "SKIPPED: corpus::protos_never_panics: tar cannot unpack {}: {other:?}",
                archive.display()
            );
        }
    };
    let (mut read, mut refused, mut answered) = (0, 0, 0);
    for chunk in chunks(&unpacked) {
        let mut bytes = chunk.to_vec();
        for (placeholder, value) in [
            ("<To>", "me@192.0.2.1"),
            ("<From>", "you@192.0.2.2"),
            ("<From-Address>", "192.0.2.2"),
            ("<From-IP>", "192.0.2.2"),
            ("<Local-Port>", "5060"),
            ("<Call-ID>", "1"),
            ("<CSeq>", "1"),
            ("<Branch-ID>", "1"),
            ("<Teardown-Method>", "CANCEL"),
        ] {
            bytes = replace(&bytes, placeholder.as_bytes(), value.as_bytes());
        }
        let body = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(0, |at| bytes.len() - at - 4);
        bytes = replace(&bytes, b"<Content-Length>", body.to_string().as_bytes());
        match exercise(&bytes) {
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                answered += usize::from(error.salvage.is_some());
            }
        }
    }
    eprintln!("PROTOS: {read} read, {refused} refused, {answered} of them answered");
    assert!(
        read > 1000 && refused > 100 && answered > 100,
        "{read} {refused} {answered}: the corpus is not what it was"
    );
}

#[test]
fn seeds_never_panic() {
    let Some(folder) = data::find("corpus::seeds_never_panic", "sip-corpus") else {
        return;
    };
    let mut read = 0;
    for file in data::files(&folder)
        .into_iter()
        .filter(|f| f.extension().is_none_or(|e| e != "xz"))
    {
        let bytes = std::fs::read(&file).unwrap();
        let with_crlf = data::crlf(&String::from_utf8_lossy(&bytes));
        let readings = [exercise(&bytes), exercise(&with_crlf)];
        read += readings.iter().filter(|r| r.is_ok()).count();
        for line in String::from_utf8_lossy(&bytes).lines() {
            if let Ok(uri) = Uri::parse(line) {
                assert_eq!(uri.to_string().parse(), Ok(uri));
            }
        }
    }
    assert!(read >= 20, "only {read} seeds are messages");
}

/// The single requests a UAS is tried with are all read, but for one whose body is missing.
#[test]
fn uas_cases_are_read() {
    let Some(file) = data::find(
        "corpus::uas_cases_are_read",
        "sip-cases/uas-request-cases.json",
    ) else {
        return;
    };
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut refused = Vec::new();
    let mut seen = 0;
    for case in cases["cases"].as_array().unwrap() {
        let text = case["complete_msg"].as_str().unwrap();
        if text.is_empty() {
            continue;
        }
        seen += 1;
        let text = text
            .replace("$FROM_TAG", ";tag=1")
            .replace("$LOCAL_PORT", "5060")
            .replace("$LOCAL_IP", "127.0.0.1")
            .replace("$TARGET_URI", "sip:127.0.0.1");
        if let Err(error) = exercise(&data::crlf(&text)) {
            refused.push(format!("{}: {error}", case["id"].as_str().unwrap()));
        }
    }
    assert!(seen >= 5, "only {seen} whole messages");
    assert_eq!(refused, [""; 0]);
}
