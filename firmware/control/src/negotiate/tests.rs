//! What reaches the engine of what was agreed and set.

use types::{Codec, Direction, Keying, SrtpSuite};

use super::*;

fn agreed() -> Negotiated {
    Negotiated {
        remote_rtp: "192.0.2.1:4000".parse().unwrap(),
        remote_rtcp: "192.0.2.1:4001".parse().unwrap(),
        rtcp_mux: false,
        codec: Codec::Pcmu,
        send_payload: 0,
        recv_payload: 0,
        recv_payloads: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        send_dtmf: Some((101, 8000)),
        recv_dtmf: Some(96),
        ptime_ms: 20,
        opus: OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: types::RtcpXr::ALL,
        direction: Direction::SendRecv,
        protection: Protection::Clear,
        required: false,
        missing: None,
        ice: None,
    }
}

fn identity() -> StreamIdentity {
    StreamIdentity {
        id: StreamId(7),
        ssrc: 1,
        first_sequence: 2,
        first_timestamp: 3,
        cname: "c".into(),
        media_timeout: Duration::from_secs(60),
        signalling: std::iter::once("192.0.2.9".parse().unwrap()).collect(),
        card: (48_000, 240),
        ntp: (crate::test_origin(), 9),
        opus: OpusSending::default(),
        dtmf: media::dtmf::Timing {
            shortest_ms: Some(120),
            gap_ms: 70,
        },
    }
}

#[test]
fn every_agreed_value_reaches_the_engine() {
    let given = identity();
    let config = stream_config(&agreed(), given.clone());
    let wanted = StreamConfig {
        id: StreamId(7),
        codec: Codec::Pcmu,
        send_payload: 0,
        recv_payloads: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        send_dtmf: Some((101, 8000)),
        recv_dtmf: Some(96),
        dtmf: given.dtmf,
        ptime_ms: 20,
        opus_fec: false,
        opus_dtx: false,
        opus_bitrate: None,
        opus_band: OpusBand::Wide,
        comfort_noise: false,
        rtcp_xr: types::RtcpXr::ALL,
        remote_rtp: "192.0.2.1:4000".parse().unwrap(),
        remote_rtcp: "192.0.2.1:4001".parse().unwrap(),
        relays: media::Relays::default(),
        latching: true,
        signalling: given.signalling,
        media_timeout: Duration::from_secs(60),
        protection: media::Protection::Clear,
        direction: Direction::SendRecv,
        ear_only: false,
        ssrc: 1,
        first_sequence: 2,
        first_timestamp: 3,
        cname: "c".into(),
        card_rate_hz: 48_000,
        period_frames: 240,
        ntp: Some(given.ntp),
    };
    assert_eq!(config, wanted);
}

#[test]
fn opus_is_sent_within_what_both_ends_want() {
    let rates = [None, Some(20_000), Some(64_000)];
    for (ours, theirs) in rates.iter().flat_map(|o| rates.map(|t| (*o, t))) {
        for (band, rate_hz, sent_as) in [
            (OpusBand::Full, Some(8_000), OpusBand::Narrow),
            (OpusBand::Full, Some(24_000), OpusBand::SuperWide),
            (OpusBand::Full, None, OpusBand::Full),
            (OpusBand::Narrow, Some(48_000), OpusBand::Narrow),
            (OpusBand::Wide, None, OpusBand::Wide),
        ] {
            let far = Negotiated {
                codec: Codec::Opus,
                opus: OpusFormat {
                    fec: true,
                    dtx: false,
                    max_average_bitrate: theirs,
                    max_playback_rate: rate_hz,
                },
                ..agreed()
            };
            let near = StreamIdentity {
                opus: OpusSending {
                    bitrate: ours,
                    band,
                },
                ..identity()
            };
            let config = stream_config(&far, near);
            let least = [ours, theirs].into_iter().flatten().min();
            let case = format!("{ours:?} {theirs:?} {band:?} {rate_hz:?}");
            assert_eq!(config.opus_bitrate, least, "{case}");
            assert_eq!(config.opus_band, sent_as, "{case}");
            assert!(config.opus_fec && !config.opus_dtx, "{case}");
        }
    }
}

#[test]
fn agreed_pauses_reach_the_engine() {
    for (dtx, comfort_noise) in [(true, false), (false, true)] {
        let far = Negotiated {
            opus: OpusFormat {
                dtx,
                ..OpusFormat::default()
            },
            comfort_noise,
            ..agreed()
        };
        let config = stream_config(&far, identity());
        assert_eq!(
            (config.opus_dtx, config.comfort_noise, config.opus_fec),
            (dtx, comfort_noise, false)
        );
    }
}

/// What is set for an account goes before what is set for all.
#[test]
fn sound_settings_are_those_of_the_account() {
    let text = "[codecs]\nopus_bitrate = 20000\nopus_band = \"narrow\"\ndtx = true\n\
                [call]\ndtmf = \"info\"\n\
                [[account]]\nuser = \"a\"\ndomain = \"example.net\"\n\
                opus_bitrate = 40000\nopus_band = \"full\"\ndtx = false\n\
                dtmf = \"rfc4733\"\n\
                [[account]]\nuser = \"b\"\ndomain = \"example.net\"\n";
    let config = config::load(text, "t.toml").unwrap();
    let sending = |bitrate, band| OpusSending {
        bitrate: Some(bitrate),
        band,
    };
    let [own, common] = config.accounts.as_slice() else {
        panic!("{:?}", config.accounts);
    };
    for (account, bitrate, band, dtx, events) in [
        (Some(own), 40_000, OpusBand::Full, false, true),
        (Some(common), 20_000, OpusBand::Narrow, true, false),
        (None, 20_000, OpusBand::Narrow, true, false),
    ] {
        assert_eq!(OpusSending::new(&config, account), sending(bitrate, band));
        let [rtp, rtcp] = [4_000, 4_001].map(|port| SocketAddr::from(([192, 0, 2, 5], port)));
        let offered = local_media(&config, account, rtp, rtcp);
        let wanted = OpusFormat {
            fec: true,
            dtx,
            max_average_bitrate: Some(bitrate),
            max_playback_rate: Some(band.rate_hz()),
        };
        assert_eq!(offered.opus, wanted);
        assert_eq!((offered.comfort_noise, offered.dtmf), (dtx, events));
    }
}

fn keyed(suite: SrtpSuite) -> Negotiated {
    let secret = |byte| vec![byte; suite.key_len() + suite.salt_len()];
    Negotiated {
        protection: Protection::Sdes {
            send: SdesKey::new(suite, &secret(1), &[], None).unwrap(),
            receive: SdesKey::new(suite, &secret(2), &[9], None).unwrap(),
        },
        ..agreed()
    }
}

#[test]
fn keys_reach_the_engine_the_right_way_round() {
    for suite in SrtpSuite::ALL {
        let key = |byte, mki: &[u8]| {
            media::MasterKey::new(
                suite,
                &vec![byte; suite.key_len()],
                &vec![byte; suite.salt_len()],
                mki,
            )
            .unwrap()
        };
        let wanted = media::Protection::Srtp {
            send: key(1, &[]),
            receive: key(2, &[9]),
        };
        assert_eq!(stream_config(&keyed(suite), identity()).protection, wanted);
    }
    assert!(!same_stream(&agreed(), &keyed(SrtpSuite::AeadAes128Gcm)));
}

#[test]
fn required_encryption_has_no_clear_stream() {
    let required = Negotiated {
        required: true,
        ..agreed()
    };
    assert_eq!(
        stream_config(&agreed(), identity()).protection,
        media::Protection::Clear
    );
    assert_eq!(
        stream_config(&required, identity()).protection,
        media::Protection::Waiting
    );
    for required in [true, false] {
        let handshake = Negotiated {
            required,
            protection: Protection::Dtls {
                setup: sip::media_security::Setup::Active,
                fingerprints: Vec::new(),
            },
            ..agreed()
        };
        assert_eq!(
            stream_config(&handshake, identity()).protection,
            media::Protection::Waiting
        );
        // Keys that do not belong together are no keys.
        let (Protection::Sdes { send, .. }, Protection::Sdes { receive, .. }) = (
            keyed(SrtpSuite::AeadAes128Gcm).protection,
            keyed(SrtpSuite::AesCm128HmacSha1_80).protection,
        ) else {
            unreachable!()
        };
        let mixed = Negotiated {
            required,
            protection: Protection::Sdes { send, receive },
            ..agreed()
        };
        assert_eq!(
            stream_config(&mixed, identity()).protection,
            media::Protection::Waiting
        );
    }
}

#[test]
fn policy_follows_account_and_signalling() {
    let mut config = config::Config::default();
    let of = |config: &config::Config, account| {
        let media_security = media_security(config, account, None);
        (media_security.policy, media_security.policy_over_clear)
    };
    assert_eq!(
        of(&config, None),
        (EncryptionPolicy::Preferred, EncryptionPolicy::Off)
    );
    assert_eq!(
        media_security(&config, None, None),
        MediaSecurity::default()
    );
    config.encryption.mode = Some(EncryptionPolicy::Off);
    assert_eq!(
        of(&config, None),
        (EncryptionPolicy::Off, EncryptionPolicy::Off)
    );
    config.encryption.mode = Some(EncryptionPolicy::Required);
    assert_eq!(
        of(&config, None),
        (EncryptionPolicy::Required, EncryptionPolicy::Required)
    );
    let text = "[encryption]\nmode = \"required\"\nhmac_32 = true\n\
                suites = [\"AES_CM_128_HMAC_SHA1_80\"]\nkeying = [\"dtls\"]\n\
                [[account]]\nuser = \"a\"\ndomain = \"example.net\"\n\
                encryption = \"preferred\"\n";
    let config = config::load(text, "t.toml").unwrap();
    assert_eq!(
        of(&config, config.accounts.first()),
        (EncryptionPolicy::Preferred, EncryptionPolicy::Preferred)
    );
    assert_eq!(
        of(&config, None),
        (EncryptionPolicy::Required, EncryptionPolicy::Required)
    );
    let all = media_security(&config, None, None);
    assert!(all.hmac_32 && !all.sdes_over_clear);
    assert_eq!(
        (all.suites, all.keying),
        (vec![SrtpSuite::AesCm128HmacSha1_80], vec![Keying::Dtls])
    );
}

#[test]
fn the_payload_type_answered_is_received() {
    for codec in Codec::ALL {
        let negotiated = Negotiated {
            codec,
            recv_payload: 97,
            recv_payloads: Vec::new(),
            ..agreed()
        };
        let config = stream_config(&negotiated, identity());
        assert_eq!(
            (config.codec, config.recv_payloads),
            (codec, vec![(97, codec)])
        );
    }
}

#[test]
fn rtcp_goes_to_the_rtp_port_with_mux() {
    let muxed = Negotiated {
        rtcp_mux: true,
        ..agreed()
    };
    assert_eq!(
        stream_config(&muxed, identity()).remote_rtcp,
        muxed.remote_rtp
    );
}

#[test]
fn only_address_and_direction_keep_a_stream() {
    let held = Negotiated {
        direction: Direction::SendOnly,
        remote_rtp: "192.0.2.9:6".parse().unwrap(),
        remote_rtcp: "192.0.2.9:7".parse().unwrap(),
        ..agreed()
    };
    assert!(same_stream(&agreed(), &held));
    let changes: [fn(&mut Negotiated); 11] = [
        |n| n.rtcp_mux = true,
        |n| n.codec = Codec::Pcma,
        |n| n.send_payload = 9,
        |n| n.recv_payload = 9,
        |n| n.recv_payloads.clear(),
        |n| n.send_dtmf = None,
        |n| n.recv_dtmf = None,
        |n| n.ptime_ms = 10,
        |n| n.opus.fec = true,
        |n| n.opus.dtx = true,
        |n| n.comfort_noise = true,
    ];
    for change in changes {
        let mut other = agreed();
        change(&mut other);
        assert!(!same_stream(&agreed(), &other));
    }
}
