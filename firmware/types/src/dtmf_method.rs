//! How the digits of a call are sent.

/// How a digit travels to the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DtmfMethod {
    /// As RFC 4733 says where it was agreed on, by INFO where not, and as a tone where INFO is
    /// refused.
    #[default]
    Auto,
    /// As telephone-event (RFC 4733), and as a tone where that was not agreed on.
    Rfc4733,
    /// By INFO, and as a tone where that is refused.
    Info,
    /// As a tone in the sound.
    Inband,
}

impl DtmfMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Rfc4733, Self::Info, Self::Inband];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rfc4733 => "rfc4733",
            Self::Info => "info",
            Self::Inband => "inband",
        }
    }

    /// The method of this name in `offhook.toml`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// Whether telephone-event is offered and answered with.
    pub const fn offers_events(self) -> bool {
        matches!(self, Self::Auto | Self::Rfc4733)
    }

    /// Whether INFO may be used.
    pub const fn may_use_info(self) -> bool {
        matches!(self, Self::Auto | Self::Info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_method() {
        for method in DtmfMethod::ALL {
            assert_eq!(DtmfMethod::from_name(method.as_str()), Some(method));
        }
        assert_eq!(DtmfMethod::from_name("rfc2833"), None);
    }
}
