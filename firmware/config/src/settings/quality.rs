//! What is measured of a call's sound: `[quality]`.

use super::{Section, Setting, WhenUnset, setting};
use crate::value::ValueKind;

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Quality, "rtcp_xr", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.quality.rtcp_xr = v.bool(),
        "Both ends of a call show each other how they receive it, where both know how to (VoIP \
         metrics of RTCP XR, RFC 3611). `offhook ctl stats` shows the far end's figures."),
    setting(Section::Quality, "collector", ValueKind::Target, WhenUnset::Means("no one"),
        "\"sip:quality@pbx.example\"",
        |c, v| c.quality.collector = Some(v.text()),
        "Who gets the figures of each call when it ends: a SIP address (or a number) to which they \
         are published through the call's account, `application/vq-rtcpxr` of RFC 6035. They say \
         who called whom, when, for how long, and from which addresses."),
    setting(Section::Quality, "interval_s", ValueKind::Number(10, 3600),
        WhenUnset::Means("only at the end of a call"), "60",
        |c, v| c.quality.interval_s = Some(v.number() as u32),
        "Seconds between reports to the collector while a call lasts."),
];
