//! Requests of the shared data: the torture messages of RFC 4475, and single requests with the code
//! that each must get.

use serde_json::Value;

use crate::world::{Ask, World};
use crate::{PEER, judge};

#[test]
fn torture_messages_get_an_acceptable_answer() {
    let Some(manifest) = testkit::data::read(
        "torture_messages_get_an_acceptable_answer",
        "sip-torture/manifest.json",
    ) else {
        return;
    };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut judged = 0;
    let mut wrong = Vec::new();
    for case in manifest["cases"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        let Some(bytes) = testkit::data::read("torture", &format!("sip-torture/{file}")) else {
            continue;
        };
        let mut world = World::alone();
        let (codes, _, rang) = judge(&mut world, PEER, &bytes);
        let accept: Vec<&str> = case["phone_accept"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let fail: Vec<&str> = case["phone_fail"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let code = codes
            .iter()
            .find(|c| **c >= 200)
            .map_or("drop".to_owned(), ToString::to_string);
        let finals = codes.iter().filter(|c| **c >= 200).count();
        let bad_ring = rang && fail.contains(&"rings");
        if !accept.contains(&code.as_str()) || bad_ring || finals > 1 {
            wrong.push(format!(
                "{file}: {code} (rang: {rang}, finals: {finals}), accepted are {accept:?}"
            ));
        }
        judged += 1;
    }
    assert!(judged >= 30, "{judged}");
    assert!(
        wrong.is_empty(),
        "{} of {judged}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn single_request_cases_get_their_code() {
    let Some(cases) = testkit::data::read(
        "single_request_cases_get_their_code",
        "sip-cases/uas-request-cases.json",
    ) else {
        return;
    };
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    // Encryption is judged by `offer_answer::tests::media_security`, ICE by its `ice`; and 174
    // wants a smallest session interval of the owner's.
    let elsewhere = [
        "174_", "200_ice", "201_ice", "300_", "311_", "320_", "321_", "323_", "330_",
    ];
    let mut judged = 0;
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let text = |name: &str| {
            case[name]
                .as_str()
                .unwrap_or_default()
                .replace("\r\n", "\n")
        };
        let id = text("id");
        if elsewhere.iter().any(|prefix| id.starts_with(prefix))
            || case["relevant_to_desk_phone"] == Value::Bool(false) && !id.starts_with("12")
        {
            continue;
        }
        let whole = text("complete_msg");
        let message = if whole.is_empty() {
            let (sdp, extra, body) = (text("sdp"), text("extra_headers"), text("body"));
            let body = if sdp.is_empty() {
                body
            } else {
                sdp.trim_start().to_owned()
            };
            let kind = if extra.contains("Content-Type") {
                ""
            } else {
                "Content-Type: application/sdp\n"
            };
            let extra = format!("{}\n{kind}", extra.trim_end())
                .trim_start()
                .replace('\n', "\r\n");
            Ask {
                extra,
                body: body.replace('\n', "\r\n"),
                ..Ask::invite()
            }
            .text()
        } else {
            let (head, body) = whole.split_once("\n\n").unwrap_or((whole.trim_end(), ""));
            let head: Vec<&str> = head
                .lines()
                .filter(|l| !l.to_ascii_lowercase().starts_with("content-length"))
                .collect();
            let body = body.replace('\n', "\r\n").replace("X.X.X.X", "192.0.2.9");
            let text = format!(
                "{}\r\nContent-Length: {}\r\n\r\n{body}",
                head.join("\r\n"),
                body.len()
            );
            text.replace("$LOCAL_IP", "192.0.2.9")
                .replace("$LOCAL_PORT", "5060")
                .replace("$FROM_TAG", ";tag=f")
                .replace("tag=;tag=", "tag=")
        };
        let mut world = World::alone();
        let (codes, last, _) = judge(&mut world, PEER, message.as_bytes());
        let accepted: Vec<u64> = case["accept_codes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let code = last.as_ref().map_or(0, |r| u64::from(r.code()));
        let answer = last
            .map(|r| String::from_utf8_lossy(&r.to_bytes()).into_owned())
            .unwrap_or_default();
        let plain = |pattern: &Value| {
            // The few patterns there are, as substrings in order.
            let pattern = pattern
                .as_str()
                .unwrap_or_default()
                .replace("ua[cs]", "ua")
                .replace(".*", "[\\s\\S]+")
                .replace("[1-9]+[0-9]*", "\u{1}")
                .replace("\\d+", "\u{1}");
            pattern
                .split("[\\s\\S]+")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let matches = |pattern: &Value| {
            let mut rest = answer.as_str();
            plain(pattern).iter().all(|part| {
                let words: Vec<&str> = part.split('\u{1}').collect();
                match words[..] {
                    [before, after] => rest.match_indices(before).any(|(at, _)| {
                        let tail = &rest[at + before.len()..];
                        let digits = tail.len()
                            - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                        let fits = digits > 0
                            && !tail.starts_with('0')
                            && tail[digits..].starts_with(after);
                        if fits {
                            rest = &tail[digits..];
                        }
                        fits
                    }),
                    _ => match rest.find(part.as_str()) {
                        Some(at) => {
                            rest = &rest[at + part.len()..];
                            true
                        }
                        None => false,
                    },
                }
            })
        };
        let all = |name: &str| case[name].as_array().is_none_or(|a| a.iter().all(&matches));
        let none = case["must_not_match"]
            .as_array()
            .is_none_or(|a| !a.iter().any(&matches));
        if !accepted.contains(&code) || !all("must_match") || !none {
            wrong.push(format!(
                "{id}: {code} ({codes:?}), accepted are {accepted:?}, patterns {}\n{answer}",
                case["must_match"]
            ));
        }
        judged += 1;
    }
    assert!(judged >= 20, "{judged}");
    assert!(
        wrong.is_empty(),
        "{} of {judged}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
