//! What `offhook.toml` says about the appliance around the phone: cable, radio, clock,
//! provisioning, updates.
//!
//! The phone itself uses little of it; `offhook provision --emit` writes it out for the system.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::Secret;

/// How the phone gets its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Config {
    /// From a DHCP server.
    Dhcp,
    /// Not at all.
    Off,
    /// This address, with the length of its network's prefix.
    Fixed(Ipv4Addr, u8),
}

impl Ipv4Config {
    /// `dhcp`, `off` or `192.168.1.20/24`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "dhcp" => Some(Self::Dhcp),
            "off" => Some(Self::Off),
            _ => {
                let (address, length) = text.split_once('/')?;
                let address: Ipv4Addr = address.parse().ok()?;
                let length = length
                    .parse()
                    .ok()
                    .filter(|length| (1..=32).contains(length))?;
                let usable = !address.is_unspecified()
                    && !address.is_loopback()
                    && !address.is_multicast()
                    && !address.is_broadcast();
                usable.then_some(Self::Fixed(address, length))
            }
        }
    }

    /// Whether a gateway can be reached from here without one.
    pub fn reaches(self, gateway: Ipv4Addr) -> bool {
        match self {
            Self::Dhcp => true,
            Self::Off => false,
            Self::Fixed(own, length) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                u32::from(own) & mask == u32::from(gateway) & mask && own != gateway
            }
        }
    }
}

/// How the phone gets its IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Config {
    /// From router advertisements (RFC 4862).
    Auto,
    /// Not at all.
    Off,
    /// This address, with the length of its network's prefix.
    Fixed(Ipv6Addr, u8),
}

impl Ipv6Config {
    /// `auto`, `off` or `2001:db8::20/64`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "off" => Some(Self::Off),
            _ => {
                let (address, length) = text.split_once('/')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let length = length
                    .parse()
                    .ok()
                    .filter(|length| (1..=128).contains(length))?;
                let usable =
                    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
                usable.then_some(Self::Fixed(address, length))
            }
        }
    }
}

/// The part of `[network]` that is the system's: addresses and cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Name of the machine.
    pub host_name: String,
    /// `auto` (Wi-Fi where `[wifi]` is set, else the first cable) or the kernel's name.
    pub interface: String,
    /// IPv4.
    pub ipv4: Ipv4Config,
    /// IPv4 router; with DHCP its own.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers; with DHCP its own.
    pub dns: Vec<IpAddr>,
    /// IPv6.
    pub ipv6: Ipv6Config,
    /// IPv6 router, where router advertisements do not give it.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// IEEE 802.1Q tag of everything sent.
    pub vlan: Option<u16>,
    /// IEEE 802.1p priority on that VLAN.
    pub vlan_priority: u8,
    /// Without `vlan`: the one that a switch names (LLDP-MED).
    pub lldp: bool,
    /// IEEE 802.1X on the cable.
    pub eap: Eap,
}

/// How the phone proves itself to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EapMethod {
    /// User and password by `MSCHAPv2`, inside of TLS (PEAP).
    Peap,
    /// The same inside of EAP-TTLS (RFC 5281).
    Ttls,
    /// A certificate of its own (RFC 5216).
    Tls,
}

impl EapMethod {
    /// As they stand in the configuration.
    pub(crate) const NAMES: &[&str] = &["peap", "ttls", "tls"];

    /// By its name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "peap" => Some(Self::Peap),
            "ttls" => Some(Self::Ttls),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }
}

/// `network.eap…`: IEEE 802.1X.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Eap {
    /// `None`: the switch asks for nothing.
    pub method: Option<EapMethod>,
    /// Who the phone says it is.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// PEM file of the authority that vouches for the RADIUS server.
    pub ca: Option<PathBuf>,
    /// PEM file of the phone's certificate.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
}

/// How a Wi-Fi network is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WifiSecurity {
    /// WPA2 or WPA3, whatever the network can.
    Any,
    /// WPA2-PSK only.
    Wpa2,
    /// WPA3-SAE only.
    Wpa3,
    /// Nothing at all.
    Open,
}

/// `[wifi]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Name of the network; `None`: no Wi-Fi.
    pub ssid: Option<String>,
    /// Its password.
    pub password: Secret,
    /// How it is protected.
    pub security: WifiSecurity,
    /// Country whose radio regulations apply, two letters; `None`: that of `[phone] country`.
    pub region: Option<String>,
    /// The network does not broadcast its name.
    pub hidden: bool,
}

/// `[system]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// POSIX rule of the local time.
    pub time_zone: String,
    /// Time servers; empty: none is asked.
    pub ntp: Vec<String>,
    /// Where log lines go besides; `host` or `host:port`.
    pub syslog: Option<String>,
    /// Public keys that may log in by SSH; empty: no SSH at all.
    pub ssh_keys: Vec<String>,
}

/// `[provision]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    /// Where the configuration is fetched from, with `{mac}`.
    pub url: Option<String>,
    /// Without `url`: take it from DHCP options 160 and 66.
    pub dhcp: bool,
    /// Without `url` and where DHCP names none: look for `_offhook._tcp` on the link (RFC 6763).
    pub mdns: bool,
    /// Plain `http` is allowed.
    pub allow_http: bool,
    /// Hours between two checks; 0: only at start.
    pub every_h: u32,
    /// PEM file with the certificates the server is judged by; `None`: those of `[tls]`, or the
    /// system's.
    pub ca: Option<PathBuf>,
}

/// `[update]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Where the phone looks for signed updates; `None`: only on the card.
    pub url: Option<String>,
}

pub(crate) fn blank_link() -> Link {
    Link {
        host_name: String::new(),
        interface: String::new(),
        ipv4: Ipv4Config::Dhcp,
        gateway: None,
        dns: Vec::new(),
        ipv6: Ipv6Config::Auto,
        ipv6_gateway: None,
        vlan: None,
        vlan_priority: 0,
        lldp: false,
        eap: Eap::default(),
    }
}

pub(crate) fn blank_wifi() -> Wifi {
    Wifi {
        ssid: None,
        password: Secret::default(),
        security: WifiSecurity::Any,
        region: None,
        hidden: false,
    }
}

pub(crate) fn blank_system() -> System {
    System {
        time_zone: String::new(),
        ntp: Vec::new(),
        syslog: None,
        ssh_keys: Vec::new(),
    }
}

pub(crate) fn blank_provision() -> Provision {
    Provision {
        url: None,
        dhcp: false,
        mdns: false,
        allow_http: false,
        every_h: 0,
        ca: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_must_lie_in_the_network() {
        let own = Ipv4Config::from_text("192.168.1.20/24").unwrap();
        assert!(own.reaches(Ipv4Addr::new(192, 168, 1, 1)));
        assert!(!own.reaches(Ipv4Addr::new(192, 168, 2, 1)));
        assert!(!own.reaches(Ipv4Addr::new(192, 168, 1, 20)));
        assert!(Ipv4Config::Dhcp.reaches(Ipv4Addr::new(10, 0, 0, 1)));
        assert!(
            Ipv4Config::from_text("10.0.0.2/32")
                .is_some_and(|own| !own.reaches(Ipv4Addr::new(10, 0, 0, 1)))
        );
    }

    #[test]
    fn only_addresses_a_phone_can_have() {
        for wrong in [
            "",
            "10.0.0.1",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "127.0.0.1/8",
            "255.255.255.255/24",
            "224.0.0.1/24",
            "DHCP",
        ] {
            assert_eq!(Ipv4Config::from_text(wrong), None, "{wrong}");
        }
        for wrong in [
            "::1/64",
            "2001:db8::1",
            "2001:db8::1/129",
            "10.0.0.1/24",
            "ff02::1/64",
        ] {
            assert_eq!(Ipv6Config::from_text(wrong), None, "{wrong}");
        }
        assert_eq!(
            Ipv6Config::from_text("2001:db8::20/64"),
            Some(Ipv6Config::Fixed("2001:db8::20".parse().unwrap(), 64))
        );
    }
}
