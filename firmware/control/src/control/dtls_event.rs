//! Calls keyed by DTLS: signalling's agreement goes to the handshakes, their keys go to the
//! streams.
//!
//! ```text
//! agree ─▶ agree_dtls ─▶ dtls::DtlsEndpoints ─▶ Secured ─▶ the stream again, with keys ─▶ Command::Start
//!                                           └─▶ Failed  ─▶ the call ends, and says why
//! ```
//!
//! Until there are keys the stream waits (`media::Protection::Waiting`): it neither sends nor
//! plays. There is no other way out.

use std::net::SocketAddr;
use std::time::Instant;

use media::{StreamConfig, StreamId};
use phone::CallId;
use sip::media_security::Protection;
use sip::offer_answer::{LocalMedia, Negotiated};
use types::{EncryptionPolicy, Keying};

use super::ice_event::CHECKED_PEER;
use super::{Control, Output, call_span};
use crate::api::VerifyError;
use crate::call::Proof;
use crate::dtls::{self, DtlsAgreement};
use crate::event::{CallDirection, Event};
use crate::known_peers::{self, Trust};
use crate::note::Note;

/// Not an address: nothing is sent there.
const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Control {
    /// Completes what will be offered, and lets the far end speak DTLS before its answer is known.
    pub(super) fn prepare_dtls(&mut self, stream: StreamId, media: &mut LocalMedia) {
        let media_security = &mut media.media_security;
        media_security.fingerprint = self.dtls.fingerprint();
        let wanted = (media_security.policy, media_security.policy_over_clear)
            != (EncryptionPolicy::Off, EncryptionPolicy::Off);
        if wanted && media_security.keying.contains(&Keying::Dtls) {
            self.dtls.open(stream);
        }
    }

    /// Gives the handshakes of a call what signalling agreed on.
    pub(super) fn agree_dtls(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (Some(stream), Some(agreed)) = (record.stream, record.media.as_ref()) else {
            return;
        };
        let established = !record.may_be_forked();
        match &agreed.protection {
            Protection::Dtls {
                setup,
                fingerprints,
            } => {
                let checked = agreed.ice.is_some() && !record.ice_failed;
                if checked && self.ice.path(stream).rtp.is_none() {
                    // The handshake begins when there is a way.
                    return;
                }
                let rtp = if checked {
                    CHECKED_PEER
                } else {
                    agreed.remote_rtp
                };
                let agreement = DtlsAgreement {
                    setup: *setup,
                    fingerprints: fingerprints.clone(),
                    rtp,
                    rtcp: (!agreed.rtcp_mux && !checked).then_some(agreed.remote_rtcp),
                    established,
                };
                self.dtls.agree(stream, &agreement, now);
                if self.dtls.secured(stream).is_none() {
                    record.proof = None;
                }
            }
            // Another answer may still come, from another fork.
            Protection::Clear | Protection::Sdes { .. } if !established => {}
            Protection::Clear | Protection::Sdes { .. } => self.dtls.close(stream),
        }
    }

    /// Another branch of a call described its media: where that is keyed by DTLS, its keys are
    /// agreed on beside those of the branch that is heard. With ICE only the chosen branch has a
    /// way.
    pub(super) fn expect_dtls(&mut self, call: CallId, branch: &Negotiated, now: Instant) {
        let stream = self.calls.get(call).and_then(|record| record.stream);
        let (
            Some(stream),
            None,
            Protection::Dtls {
                setup,
                fingerprints,
            },
        ) = (stream, &branch.ice, &branch.protection)
        else {
            return;
        };
        let agreement = DtlsAgreement {
            setup: *setup,
            fingerprints: fingerprints.clone(),
            rtp: branch.remote_rtp,
            rtcp: None,
            established: false,
        };
        self.dtls.expect(stream, &agreement, now);
    }

    /// Where a stream's packets go: with DTLS to the address the handshake was with, and to no one
    /// before.
    pub(super) fn remote_addresses(
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
    /// [`crate::negotiate`] made it: waiting for keys.
    pub(super) fn apply_dtls_keys(&self, config: &mut StreamConfig, agreed: &Negotiated) {
        if !matches!(agreed.protection, Protection::Dtls { .. }) {
            return;
        }
        config.protection = match self.dtls.secured(config.id) {
            Some(secured) => media::Protection::Srtp {
                send: secured.secrets.send.clone(),
                receive: secured.secrets.receive.clone(),
            },
            None => media::Protection::Waiting,
        };
    }

    /// The call is answered by whom a handshake proved before.
    pub(super) fn check_early_peer(&mut self, call: CallId) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let early = record.direction == CallDirection::Out && record.proof.is_some();
        if let Some(stream) = record.stream.filter(|_| early) {
            self.check_peer(call, stream);
        }
    }

    /// A handshake proved who the far end is: is it who it was before? Before the answer it may be
    /// one of several, of whom only the one that answers is remembered.
    fn check_peer(&mut self, call: CallId, stream: StreamId) {
        let (Some(secured), Some(record)) = (self.dtls.secured(stream), self.calls.get(call))
        else {
            return;
        };
        let (fingerprint, sas) = (secured.fingerprint, secured.secrets.sas);
        let suite = secured.secrets.send.suite().as_str();
        tracing::info!("call {}: DTLS with {} done, {suite}", call.0, secured.peer);
        let (trust, is_new) = if record.may_be_forked() {
            (Trust::New, false)
        } else {
            self.known.check(&record.peer, &fingerprint)
        };
        record.proof = Some(Proof {
            fingerprint,
            sas,
            trust,
        });
        let peer = record.peer.clone();
        if is_new {
            self.keep_known();
        }
        self.outbox.emit(Event::Secured {
            call: call.0,
            suite,
            words: sas.to_string(),
            digits: sas.digits(),
            trust,
        });
        match trust {
            Trust::New | Trust::Known | Trust::Verified => {}
            Trust::Changed => {
                tracing::warn!(
                    "call {}: {peer} has another certificate than before",
                    call.0
                );
                self.outbox.note(&Note::PeerChanged {
                    call: call.0,
                    peer: peer.clone(),
                    sas: sas.to_string(),
                });
            }
        }
    }

    /// The short authentication strings were compared and are the same.
    pub(super) fn verify_peer(&mut self, call: CallId) -> Result<(), VerifyError> {
        let Some(record) = self.calls.alive(call) else {
            return Err(VerifyError::NoCall(call.0));
        };
        let Some(proof) = record.proof.as_mut() else {
            return Err(VerifyError::NoDtls(call.0));
        };
        proof.trust = Trust::Verified;
        self.known.verify(&record.peer, &proof.fingerprint);
        self.outbox.note(&Note::PeerVerified {
            call: call.0,
            peer: record.peer.clone(),
        });
        self.keep_known();
        Ok(())
    }

    fn keep_known(&mut self) {
        self.outbox.push(Output::Keep {
            file: known_peers::FILE,
            text: self.known.text(),
        });
    }

    /// A handshake ended.
    pub(super) fn on_dtls_event(&mut self, event: dtls::Event, now: Instant) {
        let (dtls::Event::Secured(stream) | dtls::Event::Failed(stream, _)) = event;
        let Some(record) = self.calls.by_stream(stream) else {
            return;
        };
        let (call, sip) = (record.id, record.sip);
        let _span = call_span(call);
        match event {
            dtls::Event::Secured(_) => {
                if let (Some(agreed), false) = (record.media.clone(), record.is_ended()) {
                    self.check_peer(call, stream);
                    self.start_stream(call, stream, &agreed, now);
                }
            }
            dtls::Event::Failed(_, failure) => {
                record.end_reason = Some(failure.to_string());
                self.outbox.note(&Note::NoKeys {
                    call: call.0,
                    failure: failure.to_string(),
                });
                self.agent.end(sip, now);
            }
        }
    }
}
