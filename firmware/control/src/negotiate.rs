//! From signalling to sound: what SDP agreed on becomes the configuration of a stream.
//!
//! ```text
//! config + media sockets        ─▶ local_media ─▶ sip::LocalMedia      (what we offer)
//! sip::Negotiated + StreamIdentity ─▶ stream_config ─▶ media::StreamConfig (what we send and play)
//! ```
//!
//! `sip` and `media` know nothing of each other; they meet here and nowhere else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{SignallingHosts, StreamConfig, StreamId};
use sip::media_security::{Fingerprint, MediaSecurity, Protection};
use sip::offer_answer::{LocalMedia, Negotiated};
use sip::sdes::SdesKey;
use types::{EncryptionPolicy, OpusBand, OpusFormat};

/// What a stream gets that no negotiation decides.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamIdentity {
    /// Its number.
    pub id: StreamId,
    /// Our SSRC.
    pub ssrc: u32,
    /// First sequence number.
    pub first_sequence: u16,
    /// First RTP timestamp.
    pub first_timestamp: u32,
    /// RTCP CNAME.
    pub cname: String,
    /// How long sound is sent without a sign of life from the far end.
    pub media_timeout: Duration,
    /// The hosts the far end's signalling came from.
    pub signalling: SignallingHosts,
    /// The card's rate in Hz and period in frames.
    pub card: (u32, usize),
    /// The wall-clock time of some instant, as NTP 32.32.
    pub ntp: (Instant, u64),
    /// How Opus is sent.
    pub opus: OpusSending,
    /// How long digits last and lie apart.
    pub dtmf: media::dtmf::Timing,
}

/// What this phone offers, or may answer with, from the sockets `rtp` and `rtcp`.
pub fn local_media(
    config: &config::Config,
    account: Option<&config::schema::Account>,
    rtp: SocketAddr,
    rtcp: SocketAddr,
) -> LocalMedia {
    let codecs = &config.codecs;
    LocalMedia {
        rtp,
        rtcp,
        codecs: codecs.order.clone(),
        ptime_ms: codecs.ptime_ms,
        dtmf: account
            .and_then(|account| account.dtmf)
            .unwrap_or(config.call.dtmf)
            .offers_events(),
        opus: opus_format(config, account),
        comfort_noise: pauses(config, account),
        rtcp_xr: config.quality.rtcp_xr,
        media_security: media_security(config, account, None),
        ice: None,
        owner_moves: false,
    }
}

/// Whether nothing but comfort noise is sent in silence.
fn pauses(config: &config::Config, account: Option<&config::schema::Account>) -> bool {
    account
        .and_then(|account| account.dtx)
        .unwrap_or(config.codecs.dtx)
}

/// What is said of the Opus this phone receives: what it is to send, too, where that was set.
fn opus_format(config: &config::Config, account: Option<&config::schema::Account>) -> OpusFormat {
    let (bitrate, band) = opus_wish(config, account);
    OpusFormat {
        fec: true,
        dtx: pauses(config, account),
        max_average_bitrate: bitrate,
        max_playback_rate: band.map(OpusBand::rate_hz),
    }
}

/// Bitrate and band of Opus, where they are set.
fn opus_wish(
    config: &config::Config,
    account: Option<&config::schema::Account>,
) -> (Option<u32>, Option<OpusBand>) {
    let codecs = &config.codecs;
    (
        account
            .and_then(|account| account.opus_bitrate)
            .or(codecs.opus_bitrate),
        account
            .and_then(|account| account.opus_band)
            .or(codecs.opus_band),
    )
}

/// How Opus is sent: as is set here, and no more than the far end wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpusSending {
    /// In bit/s; `None`: what suits band and redundancy.
    pub bitrate: Option<u32>,
    /// The widest band.
    pub band: OpusBand,
}

impl OpusSending {
    /// What is set for an account, or (`None`) for direct calls.
    pub fn new(config: &config::Config, account: Option<&config::schema::Account>) -> Self {
        let (bitrate, band) = opus_wish(config, account);
        Self {
            bitrate,
            band: band.unwrap_or_default(),
        }
    }

    /// The same within what the far end receives.
    fn within(self, far: &OpusFormat) -> Self {
        let least = |ours: Option<u32>, theirs: Option<u32>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (one, other) => one.or(other),
        };
        Self {
            bitrate: least(self.bitrate, far.max_average_bitrate),
            band: far
                .max_playback_rate
                .map_or(self.band, |rate| self.band.min(OpusBand::of_rate(rate))),
        }
    }
}

/// What is wanted of a call's encryption, by an account or (`None`) directly.
pub fn media_security(
    config: &config::Config,
    account: Option<&config::schema::Account>,
    fingerprint: Option<&Fingerprint>,
) -> MediaSecurity {
    let wanted = &config.encryption;
    let mode = account
        .and_then(|account| account.encryption)
        .or(wanted.mode);
    let (over_tls, over_clear) = match mode {
        Some(mode) => (mode, mode),
        // Without a setting, encrypted signalling is the wish for encrypted sound.
        None => (EncryptionPolicy::Preferred, EncryptionPolicy::Off),
    };
    MediaSecurity {
        policy: over_tls,
        policy_over_clear: over_clear,
        keying: wanted.keying.clone(),
        suites: wanted.suites.clone(),
        sdes_over_clear: wanted.sdes_over_clear,
        hmac_32: wanted.hmac_32,
        fingerprint: fingerprint.cloned(),
    }
}

/// How the engine protects what was agreed. The one place where a stream in clear is made: never
/// for a call that is not to be in clear, whatever the agreement says; such a stream waits for keys
/// and lets nothing out.
fn protection(agreed: &Negotiated) -> media::Protection {
    match &agreed.protection {
        Protection::Clear if !agreed.required => media::Protection::Clear,
        // The keys of a handshake come later, from the handshake.
        Protection::Clear | Protection::Dtls { .. } => media::Protection::Waiting,
        Protection::Sdes { send, receive } => match (master_key(send), master_key(receive)) {
            (Ok(send), Ok(receive)) if send.suite() == receive.suite() => {
                media::Protection::Srtp { send, receive }
            }
            (Ok(_) | Err(_), _) => media::Protection::Waiting,
        },
    }
}

fn master_key(key: &SdesKey) -> Result<media::MasterKey, media::KeyError> {
    media::MasterKey::new(key.suite(), key.key(), key.salt(), key.mki())
}

/// What the engine needs for a stream that both sides agreed on.
pub fn stream_config(agreed: &Negotiated, identity: StreamIdentity) -> StreamConfig {
    let opus = identity.opus.within(&agreed.opus);
    let mut recv_payloads = agreed.recv_payloads.clone();
    // The far end may send what it answered with, even where the list was cut short.
    if !recv_payloads
        .iter()
        .any(|(payload, _)| *payload == agreed.recv_payload)
    {
        recv_payloads.push((agreed.recv_payload, agreed.codec));
    }
    StreamConfig {
        id: identity.id,
        codec: agreed.codec,
        send_payload: agreed.send_payload,
        recv_payloads,
        send_dtmf: agreed.send_dtmf,
        recv_dtmf: agreed.recv_dtmf,
        dtmf: identity.dtmf,
        ptime_ms: agreed.ptime_ms,
        opus_fec: agreed.opus.fec,
        opus_dtx: agreed.opus.dtx,
        opus_bitrate: opus.bitrate,
        opus_band: opus.band,
        comfort_noise: agreed.comfort_noise,
        rtcp_xr: agreed.rtcp_xr,
        remote_rtp: agreed.remote_rtp,
        remote_rtcp: if agreed.rtcp_mux {
            agreed.remote_rtp
        } else {
            agreed.remote_rtcp
        },
        relays: media::Relays::default(),
        latching: true,
        signalling: identity.signalling,
        media_timeout: identity.media_timeout,
        protection: protection(agreed),
        direction: agreed.direction,
        ear_only: false,
        ssrc: identity.ssrc,
        first_sequence: identity.first_sequence,
        first_timestamp: identity.first_timestamp,
        cname: identity.cname,
        card_rate_hz: identity.card.0,
        period_frames: identity.card.1,
        ntp: Some(identity.ntp),
    }
}

/// Whether a running stream can follow a new agreement by a change of address and direction alone.
pub fn same_stream(before: &Negotiated, after: &Negotiated) -> bool {
    let Negotiated {
        remote_rtp: _,
        remote_rtcp: _,
        direction: _,
        rtcp_mux,
        codec,
        send_payload,
        recv_payload,
        recv_payloads,
        send_dtmf,
        recv_dtmf,
        ptime_ms,
        opus,
        comfort_noise,
        rtcp_xr,
        protection,
        required,
        missing: _,
        ice: _,
    } = before;
    *rtcp_mux == after.rtcp_mux
        && *codec == after.codec
        && *send_payload == after.send_payload
        && *recv_payload == after.recv_payload
        && *recv_payloads == after.recv_payloads
        && *send_dtmf == after.send_dtmf
        && *recv_dtmf == after.recv_dtmf
        && *ptime_ms == after.ptime_ms
        && *opus == after.opus
        && *comfort_noise == after.comfort_noise
        && *rtcp_xr == after.rtcp_xr
        && *protection == after.protection
        && *required == after.required
}

#[cfg(test)]
mod tests;
