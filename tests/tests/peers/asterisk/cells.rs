//! Every cell of our encryption policy against Asterisk's: what is agreed where the phone calls and
//! where it is called, measured by the engine. The table in `docs/interop.md` is written by this
//! run.
//!
//! Wall clock: a real server.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use offhook_tests::asterisk::Asterisk;
use offhook_tests::desk_phone::DeskPhone;
use offhook_tests::pages::with_table;
use offhook_tests::speech::{Speaker, speech};
use serde_json::Value;
use testkit::process::TestDir;
use types::EncryptionPolicy;

use super::connect;
use super::encryption::phone;

/// How an endpoint of Asterisk is set up: its user, what its configuration says, and what of it
/// counts here.
const ENDPOINTS: [(&str, &str, Far); 7] = [
    ("101", "`no`", Far::Clear),
    ("133", "`no`, `use_avpf=yes`", Far::ClearFeedback),
    (
        "134",
        "`sdes`, `media_encryption_optimistic=yes`",
        Far::Optimistic,
    ),
    ("111", "`sdes`", Far::Sdes),
    ("132", "`sdes`, `use_avpf=yes`", Far::Sdes),
    ("121", "`dtls`", Far::Dtls),
    ("131", "`dtls`, `use_avpf=yes`", Far::Dtls),
];

#[derive(Debug, Clone, Copy)]
enum Far {
    Clear,
    /// In clear, and by RTP/AVPF only, which this phone offers last.
    ClearFeedback,
    /// Keys in RTP/AVP, or in clear.
    Optimistic,
    Sdes,
    Dtls,
}

/// What came of a call: the words of the page.
const CLEAR: &str = "in clear";
const SAID: &str = "in clear, said and heard";
const BY_SDES: &str = "encrypted, SDES";
const BY_DTLS: &str = "encrypted, DTLS-SRTP";
const REFUSED: &str = "no call";

/// What must come of it: where we call, and where it calls.
fn expected(policy: EncryptionPolicy, far: Far) -> [&'static str; 2] {
    use EncryptionPolicy::{Off, Preferred, Required};
    match (policy, far) {
        (Off, Far::Clear | Far::ClearFeedback | Far::Optimistic) => [CLEAR; 2],
        (Preferred, Far::Clear | Far::ClearFeedback) => [SAID; 2],
        (Off, Far::Sdes | Far::Dtls) | (Required, Far::Clear | Far::ClearFeedback) => [REFUSED; 2],
        // RTP/AVP with keys is not what is required: it may go in clear.
        (Required, Far::Optimistic) => [BY_SDES, REFUSED],
        (Preferred | Required, Far::Sdes) | (Preferred, Far::Optimistic) => [BY_SDES; 2],
        (Preferred | Required, Far::Dtls) => [BY_DTLS; 2],
    }
}

/// What the engine measured of the one call, once packets came and its encryption is known.
fn measured(phone: &DeskPhone) -> String {
    let known = |status: &Value| {
        let call = &status["calls"][0];
        let encryption = call["encryption"].as_str().unwrap_or("waiting");
        call["rtp"]["received"].as_u64() > Some(50) && !matches!(encryption, "waiting" | "partial")
    };
    let status = phone.wait("sound, and its encryption", Duration::from_secs(10), known);
    let call = &status["calls"][0];
    let said = call["encryption_missing"].is_string();
    match call["encryption"].as_str().unwrap_or_default() {
        "none" if said => SAID.into(),
        "none" => CLEAR.into(),
        _ if call["identity"].is_object() => BY_DTLS.into(),
        suite if suite.starts_with("AE") => BY_SDES.into(),
        other => other.into(),
    }
}

fn we_call(phone: &DeskPhone) -> String {
    phone.lift();
    phone.wait_state("dial_tone");
    phone.press("600#");
    let status = phone.wait("what comes of it", Duration::from_secs(15), |status| {
        matches!(status["state"].as_str(), Some("talking" | "congestion"))
    });
    let came = if status["state"] == "talking" {
        measured(phone)
    } else {
        REFUSED.into()
    };
    phone.assert_usable();
    came
}

fn it_calls(asterisk: &Asterisk<'_>, user: &str, phone: &DeskPhone) -> String {
    let before = asterisk.refusals_by(user).len();
    asterisk.ask(&format!(
        "channel originate PJSIP/{user} extension 600@phones"
    ));
    // Asterisk has one or the other of the phone, however slow the machine is.
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if phone.state() == "ringing" {
            phone.lift();
            phone.wait_state("talking");
            let came = measured(phone);
            phone.assert_usable();
            return came;
        }
        let refusals = asterisk.refusals_by(user);
        if let [code, ..] = refusals[before..] {
            phone.assert_usable();
            return if matches!(code, 406 | 488) {
                REFUSED.into()
            } else {
                format!("no call: {code}")
            };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    "neither ringing nor refused".into()
}

#[test]
fn every_policy_meets_every_encryption_of_asterisk() {
    let test = "every_policy_meets_every_encryption_of_asterisk";
    let dir = TestDir::new("asterisk-cells");
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    asterisk.record_signalling();
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let mut table = format!(
        "Asterisk {}, signalling by TLS; `[encryption] keying` as delivered.\n\n\
         | our policy | their `media_encryption` | we call | it calls |\n|---|---|---|---|\n",
        asterisk.version()
    );
    let mut wrong = Vec::new();
    for (policy, name) in [
        (EncryptionPolicy::Off, "off"),
        (EncryptionPolicy::Preferred, "preferred"),
        (EncryptionPolicy::Required, "required"),
    ] {
        let lines = format!("[encryption]\nmode = {name:?}\n");
        let phones = ENDPOINTS.map(|(user, ..)| phone(&dir, &asterisk, user, &says, &lines));
        let cells = std::thread::scope(|threads| {
            let calls = std::array::from_fn::<_, { ENDPOINTS.len() }, _>(|n| {
                let (asterisk, user, phone) = (&asterisk, ENDPOINTS[n].0, &phones[n]);
                threads.spawn(move || [we_call(phone), it_calls(asterisk, user, phone)])
            });
            calls.map(|cell| {
                cell.join()
                    .unwrap_or_else(|_| ["FAILS", "FAILS"].map(Into::into))
            })
        });
        for ((user, configuration, far), came) in ENDPOINTS.into_iter().zip(cells) {
            let _ = writeln!(
                table,
                "| `{name}` | {configuration} | {} | {} |",
                came[0], came[1]
            );
            if came != expected(policy, far) {
                wrong.push(format!("{name} {user} {far:?}: {came:?}"));
            }
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interop.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let wanted = with_table(&page, "asterisk", &table);
    if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        wanted,
        "docs/interop.md is out of date: run this test with OFFHOOK_WRITE_PAGES=1"
    );
}

/// Endpoints whose media may go from phone to phone, and is encrypted: Asterisk keeps that between
/// them, each leg by keys of its own, and nothing goes in clear.
#[test]
fn direct_media_takes_no_encryption_away() {
    let test = "direct_media_takes_no_encryption_away";
    let dir = TestDir::new("asterisk-direct-encrypted");
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let [a, b, c] = ["151", "152", "153"].map(|user| phone(&dir, &asterisk, user, &says, ""));
    for (from, keys, to, ways) in [
        (&a, "152#", &b, [BY_SDES, BY_SDES]),
        (&a, "153#", &c, [BY_SDES, BY_DTLS]),
        (&c, "151#", &a, [BY_DTLS, BY_SDES]),
    ] {
        connect(from, keys, to);
        // It would have changed the session of both by now.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!([measured(from), measured(to)], ways, "{keys}");
        from.hang_up();
        to.wait_state("congestion");
        from.assert_usable();
        to.assert_usable();
    }
}
