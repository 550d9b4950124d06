/// `[quality]`: what is measured of a call's sound, and who gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// RTCP XR (RFC 3611) is asked for and sent.
    pub rtcp_xr: bool,
    /// Who gets a report at the end of each call (RFC 6035): a SIP address.
    pub collector: Option<String>,
    /// Seconds between reports during a call; `None`: only at its end.
    pub interval_s: Option<u32>,
}
