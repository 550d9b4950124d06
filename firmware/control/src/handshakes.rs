//! Calls keyed by DTLS: signalling's agreement goes to the handshakes, their keys go to the sound.
//!
//! ```text
//! agree ─▶ shake_hands ─▶ dtls::Room ─▶ Secured ─▶ stream anew, with keys ─▶ Command::Start
//!                                   └─▶ Failed  ─▶ the call ends, and says why
//! ```
//!
//! Until there are keys the stream waits (`media::Protection::Waiting`): it neither sends nor
//! plays. There is no other way out.

use std::net::SocketAddr;
use std::time::Instant;

use media::{PacketKind, StreamConfig, StreamId};
use serde_json::json;
use sip::offer_answer::{LocalMedia, Negotiated};
use sip::privacy::Protection;
use types::{EncryptionPolicy, Keying};

use super::call::Proof;
use super::{Control, Output, Stage};
use crate::dtls::{Event, Terms};
use crate::trust::{self, Trust};

/// Nowhere: nothing is sent there.
const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Control {
    /// A DTLS datagram came on a stream's socket.
    pub fn handle_dtls(
        &mut self,
        stream: StreamId,
        socket: PacketKind,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) {
        self.dtls.handle_datagram(stream, socket, from, bytes, now);
        self.settle(now);
    }

    /// Completes what will be offered, and lets the far end speak DTLS before its answer is known.
    pub(super) fn expect_handshake(&mut self, stream: StreamId, media: &mut LocalMedia) {
        let privacy = &mut media.privacy;
        privacy.fingerprint = self.dtls.fingerprint();
        let wanted = (privacy.policy, privacy.policy_over_clear)
            != (EncryptionPolicy::Off, EncryptionPolicy::Off);
        if wanted && privacy.keying.contains(&Keying::Dtls) {
            self.dtls.open(stream);
        }
    }

    /// Tells the handshakes of a call what signalling agreed on.
    pub(super) fn shake_hands(&mut self, place: usize, now: Instant) {
        let record = &self.calls[place];
        let (Some(stream), Some(agreed)) = (record.stream, record.media.as_ref()) else {
            return;
        };
        let settled = match record.stage {
            Stage::Calling | Stage::Ringback | Stage::EarlyMedia | Stage::Ringing => false,
            Stage::Answering | Stage::Talking | Stage::OnHold | Stage::Ended => true,
        };
        match &agreed.protection {
            Protection::Dtls {
                setup,
                fingerprints,
            } => {
                let terms = Terms {
                    setup: *setup,
                    fingerprints: fingerprints.clone(),
                    rtp: agreed.remote_rtp,
                    rtcp: (!agreed.rtcp_mux).then_some(agreed.remote_rtcp),
                    settled,
                };
                self.dtls.agree(stream, &terms, now);
                if self.dtls.secured(stream).is_none() {
                    self.calls[place].proof = None;
                }
            }
            // Another answer may still come, from another fork.
            Protection::Clear | Protection::Sdes { .. } if !settled => {}
            Protection::Clear | Protection::Sdes { .. } => self.dtls.close(stream),
        }
    }

    /// Where a stream's packets go: with DTLS to the address the handshake was with, and to nobody
    /// before.
    pub(super) fn addresses(
        &self,
        stream: StreamId,
        agreed: &Negotiated,
    ) -> (SocketAddr, SocketAddr) {
        let rtcp = if agreed.rtcp_mux {
            agreed.remote_rtp
        } else {
            agreed.remote_rtcp
        };
        match &agreed.protection {
            Protection::Clear | Protection::Sdes { .. } => (agreed.remote_rtp, rtcp),
            // The old way to hold: an address that is none.
            Protection::Dtls { .. } if agreed.remote_rtp.ip().is_unspecified() => {
                (agreed.remote_rtp, NOWHERE)
            }
            Protection::Dtls { .. } => {
                let rtp = self
                    .dtls
                    .secured(stream)
                    .map_or(agreed.remote_rtp, |secured| secured.peer);
                // RTCP on a port of its own would need keys of its own; without it the call only
                // lacks the far end's reports.
                (rtp, if agreed.rtcp_mux { rtp } else { NOWHERE })
            }
        }
    }

    /// Puts the keys of a finished handshake into what the engine gets. Without them it stays as
    /// the bridge made it: waiting.
    pub(super) fn protect(&self, config: &mut StreamConfig, agreed: &Negotiated) {
        if !matches!(agreed.protection, Protection::Dtls { .. }) {
            return;
        }
        (config.remote_rtp, config.remote_rtcp) = self.addresses(config.id, agreed);
        config.latching = false;
        config.protection = match self.dtls.secured(config.id) {
            Some(secured) => media::Protection::Srtp {
                send: secured.secrets.send.clone(),
                receive: secured.secrets.receive.clone(),
            },
            None => media::Protection::Waiting,
        };
    }

    /// A handshake proved who the far end is: is it who it was before?
    fn prove(&mut self, place: usize, stream: StreamId) {
        let Some(secured) = self.dtls.secured(stream) else {
            return;
        };
        let (fingerprint, words, suite) = (
            secured.fingerprint,
            secured.secrets.words,
            secured.secrets.send.suite().as_str(),
        );
        let record = &mut self.calls[place];
        let call = record.id.0;
        tracing::info!("call {call}: DTLS with {} done, {suite}", secured.peer);
        let (trust, news) = self.known.meet(&record.peer, &fingerprint);
        let peer = record.peer.clone();
        record.proof = Some(Proof {
            fingerprint,
            words,
            trust,
        });
        if news {
            self.keep_known();
        }
        let event = json!({
            "event": "secured", "call": call, "suite": suite, "words": words.to_string(), "digits": words.digits(), "trust": trust.word(),
        });
        self.tell(&event);
        match trust {
            Trust::New | Trust::Known | Trust::Verified => {}
            Trust::Changed => {
                tracing::warn!("call {call}: {peer} has another certificate than before");
                self.note(&format!(
                    "call {call}: {peer} has another certificate than before; compare key words ({words}) before you trust it"
                ));
            }
        }
    }

    /// Key words were compared and are the same.
    pub(super) fn verify_peer(&mut self, call: u32) -> Result<(), String> {
        let record = self
            .calls
            .iter_mut()
            .find(|record| record.id.0 == call && record.stage != Stage::Ended);
        let Some(record) = record else {
            return Err(format!("there is no call {call}; see `offhook ctl status`"));
        };
        let Some(proof) = record.proof.as_mut() else {
            return Err(format!(
                "call {call} is not keyed by DTLS: there are no key words to compare"
            ));
        };
        proof.trust = Trust::Verified;
        let (peer, fingerprint) = (record.peer.clone(), proof.fingerprint);
        self.known.verify(&peer, &fingerprint);
        self.keep_known();
        self.note(&format!("call {call}: {peer} is verified"));
        Ok(())
    }

    fn keep_known(&mut self) {
        let text = self.known.text();
        self.outputs.push_back(Output::Keep {
            file: trust::FILE,
            text,
        });
    }

    /// A handshake came to its end.
    pub(super) fn shaken(&mut self, event: Event, now: Instant) {
        match event {
            Event::Secured(stream) => {
                let Some(place) = self.place_of_stream(stream) else {
                    return;
                };
                let record = &self.calls[place];
                let (Some(agreed), false) = (record.media.clone(), record.stage == Stage::Ended)
                else {
                    return;
                };
                self.prove(place, stream);
                self.start_stream(place, stream, &agreed, now);
            }
            Event::Failed(stream, failure) => {
                let Some(place) = self.place_of_stream(stream) else {
                    return;
                };
                let record = &mut self.calls[place];
                record.why = Some(failure.to_string());
                let (id, sip) = (record.id.0, record.sip);
                self.note(&format!("call {id}: no keys, so no call: {failure}"));
                self.agent.end(sip, now);
            }
        }
    }
}
