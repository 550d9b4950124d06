//! Values with nothing in them yet: `load` fills every field from the table of settings.

use std::net::IpAddr;
use std::path::PathBuf;

use types::{Country, DtmfMethod, Transport};

use super::{
    Account, Actions, Audio, AudioSettings, BlockAction, Board, Call, Codecs, Config, Control,
    Dial, DigestPolicy, Encryption, Flash, Hardware, KeepaliveMode, Listen, MessageWaiting, Mqtt,
    Network, Paging, Phone, Pin, Quality, RingSound, Secret, Security, SessionTimer, Tls, Update,
};
use crate::codes::Codes;

/// A configuration with nothing in it yet: `load` fills every field from the table of settings.
pub(crate) fn blank() -> Config {
    Config {
        phone: Phone {
            country: Country::Us,
            language: None,
            speech: true,
            name: String::new(),
            user: String::new(),
            user_agent: None,
            log: String::new(),
        },
        network: Network {
            bind: IpAddr::from([0; 16]),
            sip_port: 0,
            rtp_ports: (0, 0),
            rtp_dscp: 0,
            sip_dscp: 0,
            external_address: None,
            stun: None,
            turn: None,
            ice: None,
            mdns: false,
        },
        accounts: Vec::new(),
        dial: Dial {
            digit_map: String::new(),
            service_codes: false,
            long_timer_ms: 0,
            short_timer_ms: 0,
            emergency: Vec::new(),
            emergency_route: None,
            voicemail: None,
            echo_test: None,
            park: None,
            pick_up: None,
            watch: Vec::new(),
            feature_keys: Vec::new(),
            contacts: Vec::new(),
            phone_book: None,
            speed_dial: Vec::new(),
            hotline: None,
        },
        call: Call {
            auto_answer_ms: None,
            direct: None,
            direct_from: Vec::new(),
            watched_by: Vec::new(),
            no_answer_s: 0,
            session_timer: SessionTimer::Offer,
            session_timer_s: 0,
            session_timer_min_s: 0,
            early_media: false,
            media_timeout_s: 0,
            flash: Flash::Off,
            waiting: false,
            block: Vec::new(),
            allow: Vec::new(),
            block_action: BlockAction::Reject,
            screen: Vec::new(),
            quiet_hours: None,
            quiet_except: Vec::new(),
            intercom: Vec::new(),
            intercom_microphone: false,
            ring: Vec::new(),
            flash_menu: None,
            forward_after_s: 0,
            hold_reminder_s: 0,
            transfer_on_hangup: false,
            key_tones: false,
            dtmf: DtmfMethod::Auto,
            dtmf_ms: None,
            dtmf_gap_ms: 0,
            howler_after_s: 0,
            howler_s: 0,
        },
        codecs: Codecs {
            order: Vec::new(),
            ptime_ms: 0,
            opus_bitrate: None,
            opus_band: None,
            dtx: false,
        },
        quality: Quality {
            rtcp_xr: false,
            collector: None,
            interval_s: None,
        },
        encryption: Encryption {
            mode: None,
            keying: Vec::new(),
            suites: Vec::new(),
            sdes_over_clear: false,
            hmac_32: false,
            emergency_clear: true,
        },
        tls: Tls {
            ca: None,
            certificate: None,
            key: None,
            verify: true,
            sip_port_tls: 0,
            listen: Listen::Pinned,
            pins: Vec::new(),
        },
        security: Security {
            move_secrets: false,
        },
        audio: AudioSettings {
            card: None,
            microphone_channel: None,
            microphone_db: 0,
            earpiece_db: 0,
            speaker_db: 0,
            ringer_db: 0,
            sidetone_db: None,
            ring_sound: RingSound::default(),
            ring_sounds: Vec::new(),
            ring_rising: false,
        },
        board: Board {
            profile: String::new(),
            profile_dir: PathBuf::new(),
            ringer: None,
            audio: Audio::default(),
        },
        hardware: Hardware::default(),
        control: Control {
            socket: PathBuf::new(),
            state_dir: PathBuf::new(),
        },
        link: super::system::blank_link(),
        wifi: super::system::blank_wifi(),
        system: super::system::blank_system(),
        provision: super::system::blank_provision(),
        update: Update { url: None },
        codes: Codes::default(),
        actions: Actions::default(),
        paging: Paging::blank(),
        mqtt: Mqtt::blank(),
    }
}

/// A pin with nothing in it yet.
pub(crate) fn blank_pin() -> Pin {
    Pin {
        name: String::new(),
        address: String::new(),
        fingerprint: [0; 32],
    }
}

/// An account with nothing in it yet.
pub(crate) fn blank_account() -> Account {
    Account {
        name: String::new(),
        user: String::new(),
        domain: String::new(),
        auth_user: None,
        password: Secret::default(),
        digest: DigestPolicy::Any,
        forward_by_transfer: false,
        display_name: None,
        transport: Transport::Udp,
        registrar: None,
        outbound_proxy: None,
        backup_servers: Vec::new(),
        keepalive: KeepaliveMode::Auto,
        gruu: false,
        external_address: None,
        stun: None,
        turn: None,
        ice: None,
        expires_s: 0,
        register: false,
        messages: MessageWaiting::Accept,
        watch_registration: false,
        remote_control: false,
        prefix: None,
        ring: None,
        anonymous: false,
        digit_map: None,
        encryption: None,
        dtmf: None,
        opus_bitrate: None,
        opus_band: None,
        dtx: None,
    }
}
