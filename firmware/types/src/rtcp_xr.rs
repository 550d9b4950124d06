//! Which extended RTCP reports an end asks for.

use std::fmt;

/// Extended RTCP reports that one end wants from the other (RFC 3611 section 5.1, `a=rtcp-xr`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RtcpXr {
    /// `voip-metrics`: how the sound is received.
    pub voip_metrics: bool,
    /// Receiver reference time and its answer, so that who only receives knows the round trip, too.
    pub round_trip: bool,
}

impl RtcpXr {
    /// Both.
    pub const ALL: Self = Self {
        voip_metrics: true,
        round_trip: true,
    };

    /// What the value of an `a=rtcp-xr` attribute asks for; the names it does not know are left
    /// out.
    pub fn from_attribute(value: &str) -> Self {
        let has = |name: &str| {
            value.split_ascii_whitespace().any(|format| {
                let end = format.find(['=', ':']).unwrap_or(format.len());
                format
                    .get(..end)
                    .is_some_and(|given| given.eq_ignore_ascii_case(name))
            })
        };
        Self {
            voip_metrics: has("voip-metrics"),
            round_trip: has("rcvr-rtt"),
        }
    }

    /// Nothing is wanted.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The value of the attribute.
impl fmt::Display for RtcpXr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.round_trip, self.voip_metrics) {
            (true, true) => "rcvr-rtt=all voip-metrics",
            (true, false) => "rcvr-rtt=all",
            (false, true) => "voip-metrics",
            (false, false) => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_others_are_read() {
        for (value, voip_metrics, round_trip) in [
            (
                "rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics",
                true,
                true,
            ),
            ("rcvr-rtt=all", false, true),
            ("VoIP-Metrics", true, false),
            ("pkt-loss-rle=voip-metrics stat-summary", false, false),
            ("", false, false),
        ] {
            let wanted = RtcpXr {
                voip_metrics,
                round_trip,
            };
            assert_eq!(RtcpXr::from_attribute(value), wanted, "{value}");
            assert_eq!(RtcpXr::from_attribute(&wanted.to_string()), wanted);
        }
    }
}
