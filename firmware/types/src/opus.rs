//! What the two ends of a call say about Opus.

use std::fmt;

/// The band of frequencies that Opus carries (RFC 6716 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum OpusBand {
    /// To 4 kHz.
    Narrow,
    /// To 8 kHz.
    #[default]
    Wide,
    /// To 12 kHz.
    SuperWide,
    /// To 20 kHz.
    Full,
}

impl OpusBand {
    /// All of them, narrowest first.
    pub const ALL: [Self; 4] = [Self::Narrow, Self::Wide, Self::SuperWide, Self::Full];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
            Self::SuperWide => "super-wide",
            Self::Full => "full",
        }
    }

    /// The band of this name in `offhook.toml`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|band| band.as_str() == name)
    }

    /// The sampling rate that carries it, in Hz (`maxplaybackrate`, RFC 7587 section 6.1).
    pub const fn rate_hz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
            Self::SuperWide => 24_000,
            Self::Full => 48_000,
        }
    }

    /// The widest band that a sampling rate carries; the narrowest for a rate too low for any.
    pub fn of_rate(rate_hz: u32) -> Self {
        let fits = |band: &Self| band.rate_hz() <= rate_hz;
        Self::ALL.into_iter().rfind(fits).unwrap_or(Self::Narrow)
    }
}

/// What one end says of the Opus it receives (`a=fmtp`, RFC 7587 section 6.1). Without any of it:
/// anything will do, without redundancy and without pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpusFormat {
    /// `useinbandfec=1`: it takes advantage of in-band FEC.
    pub fec: bool,
    /// `usedtx=1`: it prefers that nothing is sent in silence.
    pub dtx: bool,
    /// `maxaveragebitrate`, in bit/s.
    pub max_average_bitrate: Option<u32>,
    /// `maxplaybackrate`, in Hz.
    pub max_playback_rate: Option<u32>,
}

/// The parameters as they stand in `a=fmtp`.
impl fmt::Display for OpusFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |on: bool| on.then_some(1);
        let parameters = [
            ("useinbandfec", flag(self.fec)),
            ("usedtx", flag(self.dtx)),
            ("maxaveragebitrate", self.max_average_bitrate),
            ("maxplaybackrate", self.max_playback_rate),
        ];
        let mut separator = "";
        for (name, value) in parameters {
            if let Some(value) = value {
                write!(f, "{separator}{name}={value}")?;
                separator = ";";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_band_and_a_rate_too() {
        for band in OpusBand::ALL {
            assert_eq!(OpusBand::from_name(band.as_str()), Some(band));
            assert_eq!(OpusBand::of_rate(band.rate_hz()), band);
        }
        assert_eq!(OpusBand::of_rate(12_000), OpusBand::Narrow);
        assert_eq!(OpusBand::of_rate(0), OpusBand::Narrow);
    }

    #[test]
    fn parameters_are_written_as_rfc_7587_does() {
        let all = OpusFormat {
            fec: true,
            dtx: true,
            max_average_bitrate: Some(20_000),
            max_playback_rate: Some(16_000),
        };
        assert_eq!(
            all.to_string(),
            "useinbandfec=1;usedtx=1;maxaveragebitrate=20000;maxplaybackrate=16000"
        );
        assert_eq!(OpusFormat::default().to_string(), "");
    }
}
