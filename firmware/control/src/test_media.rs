//! What a call of the tests has agreed on.

use sip::media_security::Protection;
use sip::offer_answer::Negotiated;

/// PCMU both ways with 192.0.2.1, protected like this.
pub(crate) fn agreed(protection: Protection, required: bool) -> Negotiated {
    Negotiated {
        remote_rtp: "192.0.2.1:4000".parse().unwrap(),
        remote_rtcp: "192.0.2.1:4001".parse().unwrap(),
        rtcp_mux: false,
        codec: types::Codec::Pcmu,
        send_payload: 0,
        recv_payload: 0,
        recv_payloads: Vec::new(),
        send_dtmf: None,
        recv_dtmf: None,
        ptime_ms: 20,
        opus: types::OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: types::RtcpXr::default(),
        direction: types::Direction::SendRecv,
        protection,
        required,
        missing: None,
        ice: None,
    }
}
