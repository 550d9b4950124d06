//! Offers and answers as RFC 3264 wants them, line by line.

use types::Codec;

use super::*;
use crate::media_security::MediaSecurity;
use crate::media_security::table::Profile;

mod alternatives;
mod ice;
mod media_security;

fn local(codecs: &[Codec]) -> LocalMedia {
    LocalMedia {
        rtp: "0.0.0.0:20000".parse().unwrap(),
        rtcp: "0.0.0.0:20001".parse().unwrap(),
        codecs: codecs.to_vec(),
        ptime_ms: 20,
        dtmf: true,
        opus: OpusFormat {
            fec: true,
            ..OpusFormat::default()
        },
        comfort_noise: false,
        rtcp_xr: false,
        media_security: MediaSecurity::default(),
        ice: None,
        owner_moves: false,
    }
}

fn tokens() -> Tokens {
    Tokens::new([3; 32])
}

fn session(codecs: &[Codec]) -> OfferAnswer {
    OfferAnswer::new(local(codecs), "192.0.2.9".parse().unwrap(), 7)
}

fn sdp(media: &str) -> Vec<u8> {
    format!("v=0\r\no=- 5 5 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}")
        .into_bytes()
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

const ALL: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

#[test]
fn two_of_ours_agree_on_the_first_codec() {
    let mut a = session(&ALL);
    let mut b = OfferAnswer::new(
        local(&[Codec::Pcma, Codec::G722]),
        "192.0.2.8".parse().unwrap(),
        9,
    );
    let offer = a.offer(&mut tokens()).unwrap();
    assert_eq!(
        text(&offer),
        "v=0\r\no=- 7 7 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 107 9 0 8 101 102\r\n\
         a=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-16\r\n\
         a=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n"
    );
    let (answer, at_b) = b.answer(&offer, &mut tokens()).unwrap();
    let at_a = a.accept(&answer).unwrap();
    assert_eq!((at_a.codec, at_b.codec), (Codec::G722, Codec::G722));
    assert_eq!(at_a.remote_rtp, "192.0.2.8:20000".parse().unwrap());
    assert_eq!(at_b.remote_rtp, "192.0.2.9:20000".parse().unwrap());
    assert_eq!(at_b.remote_rtcp, "192.0.2.9:20001".parse().unwrap());
    assert_eq!(
        (at_a.send_dtmf, at_a.recv_dtmf),
        (Some((101, 8000)), Some(101))
    );
    assert_eq!(
        (at_b.send_dtmf, at_b.recv_dtmf),
        (Some((101, 8000)), Some(101))
    );
    assert_eq!(
        at_a.recv_payloads,
        [
            (107, Codec::Opus),
            (9, Codec::G722),
            (0, Codec::Pcmu),
            (8, Codec::Pcma)
        ]
    );
}

#[test]
fn dynamic_numbers_are_mirrored_and_kept() {
    let mut phone = session(&ALL);
    let offer = sdp(
        "m=audio 4000 RTP/AVP 97 96 100\r\na=rtpmap:97 OPUS/48000/2\r\n\
         a=fmtp:97 useinbandfec=1;usedtx=1\r\na=rtpmap:96 PCMA/8000\r\n\
         a=rtpmap:100 telephone-event/48000\r\n",
    );
    let (answer, negotiated) = phone.answer(&offer, &mut tokens()).unwrap();
    assert!(
        text(&answer).contains("m=audio 20000 RTP/AVP 97 100\r\na=rtpmap:97 opus/48000/2\r\n"),
        "{}",
        text(&answer)
    );
    assert_eq!((negotiated.send_payload, negotiated.recv_payload), (97, 97));
    assert_eq!(
        (negotiated.send_dtmf, negotiated.recv_dtmf),
        (Some((100, 48_000)), Some(100))
    );
    assert!(negotiated.opus.fec && negotiated.opus.dtx);
    // Our own later offer gives no number a second meaning.
    let offer = phone.offer(&mut tokens()).unwrap();
    let offer = text(&offer);
    assert!(
        offer.contains("m=audio 20000 RTP/AVP 97 9 0 96 100 101\r\n"),
        "{offer}"
    );
    assert!(offer.contains("a=rtpmap:96 PCMA/8000\r\n"));
}

#[test]
fn what_is_wanted_of_opus_is_said_and_heard() {
    let limits = OpusFormat {
        fec: true,
        dtx: true,
        max_average_bitrate: Some(20_000),
        max_playback_rate: Some(16_000),
    };
    let modest = LocalMedia {
        opus: limits,
        ..local(&[Codec::Opus])
    };
    let mut a = OfferAnswer::new(modest, "192.0.2.9".parse().unwrap(), 7);
    let mut b = session(&[Codec::Opus]);
    let offer = a.offer(&mut tokens()).unwrap();
    assert!(text(&offer).contains(
        "a=fmtp:107 useinbandfec=1;usedtx=1;maxaveragebitrate=20000;maxplaybackrate=16000\r\n"
    ));
    let (answer, at_b) = b.answer(&offer, &mut tokens()).unwrap();
    assert_eq!(at_b.opus, limits);
    assert_eq!(a.accept(&answer).unwrap().opus, local(&[]).opus);
}

#[test]
fn comfort_noise_is_agreed_on_where_both_know_it() {
    let quiet = |codecs: &[Codec]| {
        let media = LocalMedia {
            comfort_noise: true,
            ..local(codecs)
        };
        OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7)
    };
    let (mut a, mut b) = (quiet(&ALL), quiet(&[Codec::Pcma]));
    let offer = a.offer(&mut tokens()).unwrap();
    assert!(
        text(&offer).contains("m=audio 20000 RTP/AVP 107 9 0 8 13 101 102\r\n"),
        "{}",
        text(&offer)
    );
    assert!(text(&offer).contains("a=rtpmap:13 CN/8000\r\n"));
    let (answer, at_b) = b.answer(&offer, &mut tokens()).unwrap();
    assert!(text(&answer).contains("m=audio 20000 RTP/AVP 8 13 101\r\n"));
    assert!(at_b.comfort_noise && a.accept(&answer).unwrap().comfort_noise);
    // Not with Opus, whose clock is another.
    let (_, at_b) = quiet(&[Codec::Opus]).answer(&offer, &mut tokens()).unwrap();
    assert!(!at_b.comfort_noise);
    // Not where the far end does not say it.
    let offer = session(&ALL).offer(&mut tokens()).unwrap();
    let (answer, at_b) = quiet(&[Codec::Pcmu]).answer(&offer, &mut tokens()).unwrap();
    assert!(!at_b.comfort_noise && !text(&answer).contains("13"));
}

#[test]
fn matching_event_clock_wins() {
    let mut phone = session(&ALL);
    let offer = |codec: &str| {
        sdp(&format!(
            "m=audio 4000 RTP/AVP {codec} 101 102\r\na=rtpmap:96 opus/48000/2\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=rtpmap:102 telephone-event/48000\r\n"
        ))
    };
    assert_eq!(
        phone
            .answer(&offer("96"), &mut tokens())
            .unwrap()
            .1
            .send_dtmf,
        Some((102, 48_000))
    );
    assert_eq!(
        phone
            .answer(&offer("0"), &mut tokens())
            .unwrap()
            .1
            .send_dtmf,
        Some((101, 8_000))
    );
}

#[test]
fn every_other_line_is_refused_in_its_place() {
    let mut phone = session(&[Codec::Pcmu]);
    let offer = sdp(
        "m=video 4000 RTP/AVP 100\r\na=rtpmap:100 myvideo/96000\r\nm=audio 4002 UNKNOWN 0\r\n\
         m=audio 4004 RTP/AVP 80\r\n\
         m=audio 4006 RTP/AVP 0\r\nm=audio 4008 RTP/AVP 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    );
    let (answer, negotiated) = phone.answer(&offer, &mut tokens()).unwrap();
    let lines: Vec<&str> = text(&answer)
        .lines()
        .filter(|l| l.starts_with("m="))
        .collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 100",
            "m=audio 0 UNKNOWN 0",
            "m=audio 0 RTP/AVP 80",
            "m=audio 20000 RTP/AVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ]
    );
    assert_eq!(negotiated.remote_rtp.port(), 4006);
    // The count stays in our own re-offer.
    let reoffer = phone.offer(&mut tokens()).unwrap();
    assert_eq!(
        text(&reoffer)
            .lines()
            .filter(|l| l.starts_with("m="))
            .count(),
        6
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let mut phone = session(&[Codec::Pcmu]);
    for (media, status, word) in [
        ("m=audio 4000 RTP/AVP 18\r\n", 488, "PCMU"),
        ("m=audio 0 RTP/AVP 0\r\n", 488, "no audio"),
        ("m=video 4000 RTP/AVP 0\r\n", 488, "no audio"),
        ("m=audio 4000 RTP/SAVP 0\r\n", 488, "RTP/SAVP"),
        (
            "m=audio 4000 RTP/AVP 0\r\nc=IN IP7 127.0.0.1\r\n",
            400,
            "IP7",
        ),
        (
            "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 224.2.17.12\r\n",
            488,
            "224.2.17.12",
        ),
        ("", 400, "no m="),
    ] {
        let error = phone.answer(&sdp(media), &mut tokens()).unwrap_err();
        assert_eq!(error.status(), status, "{media}");
        assert!(error.to_string().contains(word), "{error} ⊉ {word}");
    }
}

#[test]
fn an_answer_with_more_lines_is_refused() {
    let mut phone = session(&ALL);
    phone.offer(&mut tokens()).unwrap();
    let one = "m=audio 4000 RTP/AVP 0\r\n";
    let two = format!("{one}m=audio 0 RTP/AVP 0\r\n");
    assert!(phone.accept(&sdp(&two)).is_err());
    assert!(phone.accept(&sdp(one)).is_ok());
}

#[test]
fn directions_are_answered_by_rule() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (theirs, wish, answer) in [
        ("sendrecv", SendRecv, SendRecv),
        ("sendonly", SendRecv, RecvOnly),
        ("recvonly", SendRecv, SendOnly),
        ("inactive", SendRecv, Inactive),
        ("sendrecv", SendOnly, SendOnly),
        ("sendonly", SendOnly, Inactive),
        ("recvonly", SendOnly, SendOnly),
        ("sendrecv", Inactive, Inactive),
    ] {
        let mut phone = session(&[Codec::Pcmu]);
        phone.set_wish(wish);
        let (body, negotiated) = phone
            .answer(
                &sdp(&format!("a={theirs}\r\nm=audio 4000 RTP/AVP 0\r\n")),
                &mut tokens(),
            )
            .unwrap();
        assert_eq!(negotiated.direction, answer, "{theirs} {wish:?}");
        assert!(text(&body).ends_with(&format!("a={}\r\n", answer.as_str())));
    }
    let mut phone = session(&[Codec::Pcmu]);
    let (_, held) = phone
        .answer(
            &sdp("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"),
            &mut tokens(),
        )
        .unwrap();
    assert_eq!(held.direction, RecvOnly);
    assert!(held.remote_rtp.ip().is_unspecified());
}

#[test]
fn the_version_rises_only_with_a_change() {
    let mut phone = session(&[Codec::Pcmu]);
    let version = |body: &[u8]| {
        text(body)
            .lines()
            .nth(1)
            .unwrap()
            .split(' ')
            .nth(2)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let first = version(&phone.offer(&mut tokens()).unwrap());
    assert_eq!(version(&phone.offer(&mut tokens()).unwrap()), first);
    phone.set_wish(Direction::SendOnly);
    assert_eq!(version(&phone.offer(&mut tokens()).unwrap()), first + 1);
    phone.set_wish(Direction::SendRecv);
    assert_eq!(version(&phone.offer(&mut tokens()).unwrap()), first + 2);
    phone.set_address("192.0.2.77".parse().unwrap());
    assert_eq!(version(&phone.offer(&mut tokens()).unwrap()), first + 3);
}

#[test]
fn an_answer_is_held_against_the_offer() {
    let mut phone = session(&[Codec::Opus, Codec::Pcmu]);
    phone.offer(&mut tokens()).unwrap();
    // Other numbers than ours for what we send, ours for what we receive.
    let answer = phone
        .accept(&sdp(
            "m=audio 4000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n",
        ))
        .unwrap();
    assert_eq!((answer.send_payload, answer.recv_payload), (111, 107));
    assert_eq!(answer.send_dtmf, None);
    for bad in [
        "m=audio 4000 RTP/AVP 8\r\n",
        "m=audio 0 RTP/AVP 0\r\n",
        "m=audio 4000 RTP/SAVP 0\r\n",
        "m=image 4000 udptl t38\r\n",
    ] {
        let error = phone.accept(&sdp(bad)).unwrap_err();
        assert!(error.is_refusal(), "{bad}: {error}");
        let has_audio = !bad.contains(" 0 RTP") && bad.starts_with("m=audio");
        assert_eq!(error != SdpError::LineRefused, has_audio, "{bad}");
    }
    // An answer cannot widen what the offer said.
    phone.set_wish(Direction::SendOnly);
    phone.offer(&mut tokens()).unwrap();
    assert_eq!(
        phone
            .accept(&sdp("m=audio 4000 RTP/AVP 0\r\n"))
            .unwrap()
            .direction,
        Direction::SendOnly
    );
}

#[test]
fn packet_length_follows_the_far_end() {
    for (codec, attributes, ptime) in [
        ("0", "a=ptime:30\r\n", 30),
        ("0", "a=ptime:35\r\n", 30),
        ("0", "a=ptime:5\r\n", 10),
        ("0", "a=ptime:200\r\n", 60),
        ("0", "a=maxptime:10\r\n", 10),
        ("0", "a=ptime:40\r\na=maxptime:20\r\n", 20),
        ("96", "a=rtpmap:96 opus/48000/2\r\na=ptime:30\r\n", 20),
        ("0", "a=ptime:x\r\n", 20),
    ] {
        let mut phone = session(&ALL);
        let (_, negotiated) = phone
            .answer(
                &sdp(&format!("m=audio 4000 RTP/AVP {codec}\r\n{attributes}")),
                &mut tokens(),
            )
            .unwrap();
        assert_eq!(negotiated.ptime_ms, ptime, "{attributes}");
    }
}

#[test]
fn rtcp_goes_where_the_far_end_says() {
    let mut phone = session(&ALL);
    let rtcp = |phone: &mut OfferAnswer, attributes: &str| {
        let (body, negotiated) = phone
            .answer(
                &sdp(&format!("m=audio 4000 RTP/AVP 0\r\n{attributes}")),
                &mut tokens(),
            )
            .unwrap();
        (
            negotiated.remote_rtcp.to_string(),
            negotiated.rtcp_mux,
            text(&body).contains("a=rtcp-mux\r\n"),
        )
    };
    assert_eq!(
        rtcp(&mut phone, ""),
        ("192.0.2.1:4001".into(), false, false)
    );
    assert_eq!(
        rtcp(&mut phone, "a=rtcp:4005\r\n"),
        ("192.0.2.1:4005".into(), false, false)
    );
    assert_eq!(
        rtcp(&mut phone, "a=rtcp:4005 IN IP4 192.0.2.2\r\n"),
        ("192.0.2.2:4005".into(), false, false)
    );
    assert_eq!(
        rtcp(&mut phone, "a=rtcp:4005\r\na=rtcp-mux\r\n"),
        ("192.0.2.1:4000".into(), true, true)
    );
}

#[test]
fn ipv6_is_written_as_ipv6() {
    let mut media = local(&[Codec::Pcmu]);
    media.rtp = "[::]:20000".parse().unwrap();
    media.rtcp = "[::]:20009".parse().unwrap();
    let mut phone = OfferAnswer::new(media, "2001:db8::9".parse().unwrap(), 1);
    let offer = phone.offer(&mut tokens()).unwrap();
    assert!(text(&offer).contains("c=IN IP6 2001:db8::9\r\n"));
    assert!(text(&offer).contains("a=rtcp:20009\r\n"));
}

/// Everything an answer owes its offer, whatever the offer is.
fn check_answer(offer: &[u8], answer: &[u8]) {
    let offered = Description::parse(offer).unwrap();
    let answered = Description::parse(answer).unwrap_or_else(|e| panic!("{e}: {}", text(answer)));
    assert_eq!(offered.lines.len(), answered.lines.len());
    let live: Vec<usize> = (0..answered.lines.len())
        .filter(|i| answered.lines[*i].port != 0)
        .collect();
    assert_eq!(live.len(), 1, "one line lives");
    for (theirs, ours) in offered.lines.iter().zip(&answered.lines) {
        assert_eq!(
            (&theirs.media.to_ascii_lowercase(), &theirs.proto),
            (&ours.media.to_ascii_lowercase(), &ours.proto)
        );
        if ours.port != 0 {
            assert_ne!(theirs.port, 0, "a refused line stays refused");
            // Every format of the answer was offered and means the same there.
            for format in &ours.formats {
                assert!(
                    theirs.formats.contains(format),
                    "{format:?} was not offered in {theirs:?}"
                );
            }
        }
    }
}

#[test]
fn recorded_exchanges_are_answered_by_rule() {
    let Some(file) = testkit::data::find(
        "recorded_exchanges_are_answered_by_rule",
        "sdp-corpus/offer-answer.json",
    ) else {
        return;
    };
    let tests: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut judged = 0;
    for test in tests["tests"].as_array().unwrap() {
        for exchange in test["exchanges"].as_array().unwrap() {
            // Host names stand for addresses there.
            let field = |name: &str| {
                let body = exchange[name].as_str()?;
                let lines = body.split_inclusive("\r\n").map(|line| {
                    if line.starts_with("c=IN IP4 host") {
                        "c=IN IP4 192.0.2.1\r\n".to_owned()
                    } else {
                        line.to_owned()
                    }
                });
                Some(lines.collect::<String>())
            };
            if let Some(offer) = field("remote_offer") {
                let (answer, _) = session(&ALL)
                    .answer(offer.as_bytes(), &mut tokens())
                    .unwrap();
                check_answer(offer.as_bytes(), &answer);
                judged += 1;
            }
            if let Some(answer) = field("remote_answer") {
                // Their answers were given to offers with PCMU first, some with more lines: ours
                // takes them where they chose what we have, and nothing that was not offered.
                let mut phone = session(&ALL);
                phone.offer(&mut tokens()).unwrap();
                let description = Description::parse(answer.as_bytes()).unwrap();
                let usable = description.lines.first().is_some_and(|line| {
                    line.is_live_audio()
                        && line.profile() == Profile::Plain
                        && line
                            .formats
                            .iter()
                            .any(|(_, f)| matches!(f, Format::Codec(_)))
                });
                let usable = usable && description.lines.len() == 1;
                assert_eq!(phone.accept(answer.as_bytes()).is_ok(), usable, "{answer}");
                judged += 1;
            }
        }
    }
    assert!(judged >= 12, "{judged}");
}

#[test]
fn mutated_descriptions_do_not_panic() {
    let Some(root) = testkit::data::find("mutated_descriptions_do_not_panic", "sdp-corpus") else {
        return;
    };
    let mut folders = vec![root];
    let (mut read, mut answered) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let body = std::fs::read(&path).unwrap();
            read += 1;
            let name = path.display().to_string();
            let mut phone = session(&ALL);
            phone.offer(&mut tokens()).unwrap();
            let _ = phone.accept(&body);
            if let Ok((answer, _)) = session(&ALL).answer(&body, &mut tokens()) {
                answered += 1;
                check_answer(&body, &answer);
                assert!(!name.contains("_err") || name.contains("gortc"), "{name}");
            }
            // And every prefix and every spoilt byte of it.
            for at in (0..body.len().min(1500)).step_by(7) {
                let _ = session(&ALL).answer(&body[..at], &mut tokens());
                let mut spoilt = body.clone();
                spoilt[at] ^= 0x15;
                if let Ok((answer, _)) = session(&ALL).answer(&spoilt, &mut tokens()) {
                    check_answer(&spoilt, &answer);
                }
            }
        }
    }
    assert!(
        read > 60 && answered >= 3,
        "{read} read, {answered} answered"
    );
}

#[test]
fn extended_reports_are_asked_for_and_answered_where_both_want_them() {
    let wanting = |wants: bool| {
        let media = LocalMedia {
            rtcp_xr: wants,
            ..local(&[Codec::Pcmu])
        };
        OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7)
    };
    for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut a, mut b) = (wanting(ours), wanting(theirs));
        let offer = a.offer(&mut tokens()).unwrap();
        let line = "a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n";
        assert_eq!(text(&offer).contains(line), ours);
        let (answer, at_b) = b.answer(&offer, &mut tokens()).unwrap();
        assert_eq!(text(&answer).contains(line), ours && theirs);
        let both = if ours && theirs {
            RtcpXr::ALL
        } else {
            RtcpXr::default()
        };
        assert_eq!(at_b.rtcp_xr, both);
        assert_eq!(a.accept(&answer).unwrap().rtcp_xr, both);
    }
    // As Linphone writes it, for the whole session.
    let mut offer = sdp("m=audio 4000 RTP/AVP 0\r\n");
    let at = text(&offer).find("m=audio").unwrap();
    let line = *b"a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n";
    offer.splice(at..at, line);
    let (_, agreed) = wanting(true).answer(&offer, &mut tokens()).unwrap();
    assert_eq!(agreed.rtcp_xr, RtcpXr::ALL);
}
