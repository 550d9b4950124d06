//! SIPp's stock scenarios: its caller (`-sn uac`, with its RTP echo, `-sn uac_pcap`) and its callee
//! (`-sn uas`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::{ChildProcess, TestDir, port_block};

fn sipp(dir: &Path, port: u16, arguments: &[&str]) -> ChildProcess {
    let mut command = Command::new("sipp");
    command
        .args([
            "-i",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-mp",
            &(port + 10).to_string(),
            "-timeout",
            "30s",
            "-trace_err",
            "-nostdin",
        ])
        .args(arguments)
        .current_dir(dir);
    ChildProcess::start(&mut command, &dir.join("sipp.log"))
}

#[test]
fn stock_uac_calls_an_answering_phone() {
    let dir = TestDir::new("sipp-uac");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            auto_answer: true,
            ..Setup::default()
        },
    );
    let mut sipp = sipp(
        dir.path(),
        port_block(),
        &[
            "-sn",
            "uac",
            "-m",
            "5",
            "-l",
            "1",
            "-d",
            "300",
            "-s",
            "phone",
            &format!("127.0.0.1:{}", desk.sip_port),
        ],
    );
    let code = sipp.wait(Duration::from_secs(30));
    assert_eq!(
        code,
        Some(0),
        "{}",
        std::fs::read_to_string(dir.join("sipp.log")).unwrap()
    );
    desk.wait("no call left", Duration::from_secs(5), |status| {
        status["calls"].as_array().is_some_and(Vec::is_empty)
    });
    desk.assert_usable();
}

#[test]
fn stock_uac_hears_us_and_echoes_our_speech() {
    let dir = TestDir::new("sipp-uac-echo");
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            auto_answer: true,
            microphone: Some(alice.clone()),
            ..Setup::default()
        },
    );
    let to = format!("127.0.0.1:{}", desk.sip_port);
    let mut sipp = sipp(
        dir.path(),
        port_block(),
        &[
            "-sn",
            "uac",
            "-rtp_echo",
            "-m",
            "1",
            "-d",
            "7000",
            "-s",
            "phone",
            &to,
        ],
    );
    desk.wait_state("talking");
    std::thread::sleep(Duration::from_secs(6));
    let ear = desk.ear_now();
    assert_eq!(
        sipp.wait(Duration::from_secs(10)),
        Some(0),
        "{}",
        std::fs::read_to_string(dir.join("sipp.log")).unwrap()
    );
    assert_heard(&dir, "our speech, echoed by the caller", &alice, &ear);
    desk.assert_usable();
}

/// SIPp's `uac_pcap` plays a recorded packet stream (A-law) and presses a key; the file comes with
/// its package.
#[test]
fn a_caller_that_plays_recorded_packets_is_heard() {
    const RECORDED: &str = "/usr/share/sip-tester/g711a.pcap";
    let dir = TestDir::new("sipp-pcap");
    let Ok(capture) = std::fs::read(RECORDED) else {
        return testkit::skipped(
            "a_caller_that_plays_recorded_packets_is_heard",
            &format!("no {RECORDED} (package sip-tester)"),
        );
    };
    let said = dir.join("said.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&said, spec).unwrap();
    for sample in a_law_of(&capture) {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            codecs: "\"pcma\"",
            auto_answer: true,
            ..Setup::default()
        },
    );
    // Its scenario names the files by a relative path.
    std::fs::create_dir_all(dir.join("pcap")).unwrap();
    for file in ["g711a.pcap", "dtmf_2833_1.pcap"] {
        std::fs::copy(
            Path::new("/usr/share/sip-tester").join(file),
            dir.join("pcap").join(file),
        )
        .unwrap();
    }
    let to = format!("127.0.0.1:{}", desk.sip_port);
    let mut sipp = sipp(
        dir.path(),
        port_block(),
        &["-sn", "uac_pcap", "-m", "1", "-s", "phone", &to],
    );
    desk.wait_state("talking");
    std::thread::sleep(Duration::from_millis(6500));
    let ear = desk.ear_now();
    assert_eq!(
        sipp.wait(Duration::from_secs(15)),
        Some(0),
        "{}",
        std::fs::read_to_string(dir.join("sipp.log")).unwrap()
    );
    assert_heard(&dir, "recorded packets", &said, &ear);
    desk.assert_usable();
}

/// The sound of the RTP packets in a capture file (RFC 3551 payload type 8), in order.
fn a_law_of(capture: &[u8]) -> Vec<i16> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(0), 0xA1B2_C3D4, "a little-endian capture file");
    let (mut at, mut sound) = (24, Vec::new());
    while at + 16 <= capture.len() {
        let length = word(at + 8);
        let frame = &capture[at + 16..at + 16 + length];
        at += 16 + length;
        // Ethernet, IPv4 without options, UDP, RTP without extensions.
        if frame.len() > 54 && frame[42] == 0x80 && frame[43] & 0x7F == 8 {
            sound.extend(frame[54..].iter().map(|&byte| from_a_law(byte)));
        }
    }
    assert!(sound.len() > 8000, "{} samples in the capture", sound.len());
    sound
}

/// ITU-T G.711 A-law to linear, by the book.
fn from_a_law(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let (exponent, mantissa) = (u32::from(code >> 4 & 7), i16::from(code & 15));
    let magnitude = match exponent {
        0 => mantissa << 4 | 8,
        _ => (mantissa << 4 | 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[test]
fn stock_uas_is_called_and_echoes_our_speech() {
    let dir = TestDir::new("sipp-uas");
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let port = port_block();
    // SIPp echoes only to its own media port, which its stock answer names.
    let mut sipp = sipp(dir.path(), port, &["-sn", "uas", "-rtp_echo", "-m", "1"]);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            microphone: Some(alice.clone()),
            speed: vec![("1".into(), format!("sip:service@127.0.0.1:{port}"))],
            ..Setup::default()
        },
    );
    sipp.wait_listening(port, Duration::from_secs(10));
    desk.call("1#");
    std::thread::sleep(Duration::from_secs(5));
    let ear = desk.ear_now();
    desk.hang_up();
    assert_eq!(
        sipp.wait(Duration::from_secs(10)),
        Some(0),
        "SIPp saw INVITE, ACK and BYE: {}",
        std::fs::read_to_string(dir.join("sipp.log")).unwrap()
    );
    desk.wait_state("idle");
    assert_heard(&dir, "our speech, echoed", &alice, &ear);
    desk.assert_usable();
}

/// Both ends of a call report it to a collector that checks header fields and body.
#[test]
fn a_collector_can_read_what_is_published() {
    let dir = TestDir::new("sipp-collector");
    let port = port_block();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp/uas_publish.xml");
    let mut collector = sipp(
        dir.path(),
        port,
        &["-sf", scenario.to_str().unwrap(), "-m", "2"],
    );
    let more = format!("[quality]\ncollector = \"sip:quality@127.0.0.1:{port}\"\n");
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let far = DeskPhone::start(
        &dir,
        "far",
        Setup {
            auto_answer: true,
            microphone: Some(alice.clone()),
            more: more.clone(),
            ..Setup::default()
        },
    );
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            microphone: Some(alice),
            more,
            ..Setup::default()
        },
    );
    let to = format!("sip:phone@127.0.0.1:{}", far.sip_port);
    desk.ctl(&serde_json::json!({"cmd": "dial", "to": to}));
    desk.wait_state("talking");
    std::thread::sleep(Duration::from_secs(4));
    desk.ctl(&serde_json::json!({"cmd": "hang-up"}));
    let code = collector.wait(Duration::from_secs(20));
    let log = std::fs::read_to_string(dir.join("sipp.log")).unwrap();
    assert_eq!(code, Some(0), "{log}\n{}", desk.log());
}

/// Headers of RTP and RTCP and nothing else, in a file that tcpdump reads.
#[test]
fn captured_headers_are_read_by_tcpdump() {
    let dir = TestDir::new("header-capture");
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let phone = |name: &str, auto_answer: bool| {
        let setup = Setup {
            auto_answer,
            microphone: Some(alice.clone()),
            ..Setup::default()
        };
        DeskPhone::start(&dir, name, setup)
    };
    let (far, desk) = (phone("far", true), phone("desk", false));
    let to = format!("sip:phone@127.0.0.1:{}", far.sip_port);
    desk.ctl(&serde_json::json!({"cmd": "dial", "to": to}));
    desk.wait_state("talking");
    let file = dir.join("rtp.pcap");
    let reply = desk.ctl(&serde_json::json!({"cmd": "capture", "file": file, "seconds": 2}));
    assert_eq!(reply["ok"], true, "{reply}");
    desk.ctl(&serde_json::json!({"cmd": "hang-up"}));
    let bytes = std::fs::read(&file).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101));
    let (mut at, mut sent, mut received) = (24, 0, 0);
    let media = desk.status();
    while at < bytes.len() {
        let (kept, whole) = (word(at + 8) as usize, word(at + 12) as usize);
        let packet = &bytes[at + 16..at + 16 + kept];
        // IPv4, UDP, and of 172 bytes of RTP the 12 of its header.
        let rtp = &packet[28..];
        let payload_type = rtp[1] & 0x7F;
        if payload_type == 0 {
            assert_eq!((kept, whole), (28 + 12, 28 + 172), "{media}");
            let port = u16::from_be_bytes([packet[20], packet[21]]);
            let to = u16::from_be_bytes([packet[22], packet[23]]);
            assert_ne!(port, to);
            if received == 0 && sent == 0 || port == first_port(&bytes) {
                sent += 1;
            } else {
                received += 1;
            }
        }
        at += 16 + kept;
    }
    assert!(
        sent > 80 && received > 80,
        "{sent} one way, {received} the other"
    );
    let Ok(read) = Command::new("tcpdump").args(["-nr"]).arg(&file).output() else {
        println!("tcpdump is not installed; scripts/need lists it");
        return;
    };
    let lines = String::from_utf8_lossy(&read.stdout).lines().count();
    assert!(read.status.success() && lines >= sent + received, "{lines}");
}

/// Source port of the first packet.
fn first_port(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[24 + 16 + 20], bytes[24 + 16 + 21]])
}
