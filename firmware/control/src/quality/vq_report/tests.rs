//! The report against the grammar of RFC 6035 section 4.6.1, and the call of its example.

use super::*;

fn dialog() -> DialogIdentity {
    DialogIdentity {
        call_id: "1890463548@alice.example.org".into(),
        local: "\"Alice\" <sip:alice@example.org>".into(),
        local_domain: "example.org".into(),
        local_tag: "9123dh311".into(),
        remote: "<sip:bill@example.net>".into(),
        remote_domain: "example.net".into(),
        remote_tag: "8472761".into(),
    }
}

/// The figures of the example in section 4.7.1.
fn example() -> VoipMetrics {
    VoipMetrics {
        source: 0x2468_ABCD,
        loss: 0.05,
        discarded: 0.02,
        burst_density: 0.0,
        gap_density: 0.02,
        burst_ms: 0,
        gap_ms: 500,
        round_trip_ms: 200,
        end_system_ms: 140,
        signal_dbm0: Some(-18),
        noise_dbm0: Some(-50),
        echo_return_loss_db: Some(55),
        gmin: 16,
        r: Some(85),
        external_r: Some(90),
        mos_lq: Some(4.2),
        mos_cq: Some(4.3),
        concealment: Concealment::Standard,
        adaptive: Some(true),
        adjustment_rate: 2,
        buffer_nominal_ms: 40,
        buffer_most_ms: 80,
        buffer_absolute_ms: 120,
    }
}

fn report<'a>(
    dialog: &'a DialogIdentity,
    metrics: &'a VoipMetrics,
    far_metrics: Option<&'a VoipMetrics>,
) -> VqReport<'a> {
    VqReport {
        occasion: Occasion::CallEnd,
        dialog,
        is_caller: true,
        local: ("10.10.1.100:5000".parse().unwrap(), 0x1A3B_5C7D),
        remote: ("[2001:db8::9]:5002".parse().unwrap(), 0x2468_ABCD),
        start: "2004-10-10T18:23:43Z",
        stop: "2004-10-10T18:26:02Z",
        sound: SoundDescription {
            codec: Codec::Pcmu,
            payload_type: 0,
            packet_ms: 20,
            silence_suppression: false,
        },
        metrics,
        jitter_ms: (2.2, 9.8),
        far_metrics,
    }
}

#[test]
fn the_example_call_of_the_rfc() {
    let (dialog, metrics) = (dialog(), example());
    assert_eq!(
        report(&dialog, &metrics, None).to_string(),
        "VQSessionReport: CallTerm\r\n\
         CallID: 1890463548@alice.example.org\r\n\
         LocalID: \"Alice\" <sip:alice@example.org>\r\n\
         RemoteID: <sip:bill@example.net>\r\n\
         OrigID: \"Alice\" <sip:alice@example.org>\r\n\
         LocalGroup: example.org\r\n\
         RemoteGroup: example.net\r\n\
         LocalAddr: IP=10.10.1.100 PORT=5000 SSRC=0x1a3b5c7d\r\n\
         RemoteAddr: IP=2001:db8::9 PORT=5002 SSRC=0x2468abcd\r\n\
         LocalMetrics:\r\n\
         Timestamps: START=2004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z\r\n\
         SessionDesc: PT=0 PD=PCMU SR=8000 FD=20 FPP=1 PPS=50 PLC=3 SSUP=off\r\n\
         JitterBuffer: JBA=3 JBR=2 JBN=40 JBM=80 JBX=120\r\n\
         PacketLoss: NLR=5.00 JDR=2.00\r\n\
         BurstGapLoss: BLD=0.00 BD=0 GLD=2.00 GD=500 GMIN=16\r\n\
         Delay: RTD=200 ESD=140 IAJ=2 MAJ=10\r\n\
         Signal: SL=-18 NL=-50 RERL=55\r\n\
         QualityEst: RCQ=85 EXTRI=90 MOSLQ=4.2 MOSCQ=4.3 QoEEstAlg=G.107\r\n\
         DialogID: 1890463548@alice.example.org;to-tag=8472761;from-tag=9123dh311\r\n"
    );
}

#[test]
fn who_was_called_has_the_tags_the_other_way_round() {
    let (dialog, metrics) = (dialog(), example());
    let report = VqReport {
        is_caller: false,
        ..report(&dialog, &metrics, None)
    };
    let text = report.to_string();
    assert!(text.contains("OrigID: <sip:bill@example.net>\r\n"));
    assert!(text.ends_with(";to-tag=9123dh311;from-tag=8472761\r\n"));
}

/// Digits, with up to two behind a point.
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    digits(whole.strip_prefix('-').unwrap_or(whole), 6) && digits(fraction, 2)
}

fn is_token(text: &str) -> bool {
    let mark = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    !text.is_empty() && text.bytes().all(mark)
}

/// A field, and what it may be.
type Field = (&'static str, fn(&str) -> bool);

/// The fields each line may have, in their order.
const LINES: &[(&str, &[Field])] = &[
    ("Timestamps", &[("START", is_time), ("STOP", is_time)]),
    (
        "SessionDesc",
        &[
            ("PT", is_number),
            ("PD", is_token),
            ("SR", is_number),
            ("FD", is_number),
            ("FO", is_number),
            ("FPP", is_number),
            ("PPS", is_number),
            ("PLC", |text| matches!(text, "0" | "1" | "2" | "3")),
            ("SSUP", |text| matches!(text, "on" | "off")),
        ],
    ),
    (
        "JitterBuffer",
        &[
            ("JBA", |text| matches!(text, "0" | "1" | "2" | "3")),
            ("JBR", is_number),
            ("JBN", is_number),
            ("JBM", is_number),
            ("JBX", is_number),
        ],
    ),
    ("PacketLoss", &[("NLR", is_number), ("JDR", is_number)]),
    (
        "BurstGapLoss",
        &[
            ("BLD", is_number),
            ("BD", is_number),
            ("GLD", is_number),
            ("GD", is_number),
            ("GMIN", is_number),
        ],
    ),
    (
        "Delay",
        &[
            ("RTD", is_number),
            ("ESD", is_number),
            ("OWD", is_number),
            ("SOWD", is_number),
            ("IAJ", is_number),
            ("MAJ", is_number),
        ],
    ),
    (
        "Signal",
        &[("SL", is_number), ("NL", is_number), ("RERL", is_number)],
    ),
    (
        "QualityEst",
        &[
            ("RLQ", is_number),
            ("RCQ", is_number),
            ("EXTRI", is_number),
            ("EXTRO", is_number),
            ("MOSLQ", is_number),
            ("MOSCQ", is_number),
            ("QoEEstAlg", is_token),
        ],
    ),
];

fn is_time(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

/// Checks a block of metrics; returns the lines behind it.
fn check_metrics<'a>(mut lines: &'a [&'a str]) -> &'a [&'a str] {
    for (at, (name, fields)) in LINES.iter().enumerate() {
        let Some(rest) = lines
            .first()
            .and_then(|line| line.strip_prefix(name)?.strip_prefix(": "))
        else {
            assert!(at > 0, "Timestamps are not optional: {lines:?}");
            continue;
        };
        let mut fields = fields.iter();
        for field in rest.split(' ') {
            let (key, value) = field.split_once('=').unwrap();
            let (_, is_valid) = fields
                .find(|(known, _)| *known == key)
                .unwrap_or_else(|| panic!("{key} is unknown or out of turn in {rest:?}"));
            assert!(is_valid(value), "{field}");
        }
        lines = &lines[1..];
    }
    lines
}

fn check(body: &str) {
    assert!(body.ends_with("\r\n") && !body.replace("\r\n", "").contains(['\r', '\n']));
    let lines: Vec<&str> = body.trim_end().split("\r\n").collect();
    assert!(matches!(
        lines[0],
        "VQSessionReport: CallTerm" | "VQIntervalReport"
    ));
    let heads = [
        "CallID",
        "LocalID",
        "RemoteID",
        "OrigID",
        "LocalGroup",
        "RemoteGroup",
        "LocalAddr",
        "RemoteAddr",
    ];
    for (line, head) in lines[1..].iter().zip(heads) {
        let rest = line.strip_prefix(head).and_then(|l| l.strip_prefix(": "));
        let rest = rest.unwrap_or_else(|| panic!("{line} is not {head}"));
        assert!(!rest.is_empty(), "{line}");
        if let Some(ip) = head.ends_with("Addr").then_some(rest) {
            let parts: Vec<&str> = ip.split(' ').collect();
            let [ip, port, ssrc] = parts[..] else {
                panic!("{line}")
            };
            assert!(
                ip.strip_prefix("IP=")
                    .unwrap()
                    .parse::<std::net::IpAddr>()
                    .is_ok()
            );
            assert!(is_number(port.strip_prefix("PORT=").unwrap()));
            assert!(u32::from_str_radix(ssrc.strip_prefix("SSRC=0x").unwrap(), 16).is_ok());
        }
    }
    assert_eq!(lines[9], "LocalMetrics:");
    let mut rest = check_metrics(&lines[10..]);
    if rest[0] == "RemoteMetrics:" {
        rest = check_metrics(&rest[1..]);
    }
    let [dialog] = rest else {
        panic!("left over: {rest:?}")
    };
    assert!(dialog.starts_with("DialogID: ") && dialog.contains(";to-tag="));
}

#[test]
fn every_report_keeps_to_the_grammar() {
    let unknown = VoipMetrics {
        loss: f32::NAN,
        discarded: 7.0,
        ..VoipMetrics::default()
    };
    let known = example();
    for is_caller in [false, true] {
        let dialog = dialog();
        for metrics in [&known, &unknown] {
            for far in [None, Some(&known), Some(&unknown)] {
                for occasion in [Occasion::Interval, Occasion::CallEnd] {
                    let report = VqReport {
                        occasion,
                        is_caller,
                        ..report(&dialog, metrics, far)
                    };
                    check(&report.to_string());
                }
            }
        }
    }
}

/// RTD 200, and 140 at either end: (200 + 140 + 140) / 2.
#[test]
fn one_way_delay_needs_both_ends() {
    let (dialog, metrics) = (dialog(), example());
    let text = report(&dialog, &metrics, Some(&metrics)).to_string();
    assert_eq!(text.matches("SOWD=240").count(), 2, "{text}");
    assert!(!report(&dialog, &metrics, None).to_string().contains("SOWD"));
}
