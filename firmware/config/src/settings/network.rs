//! Addresses and ports: `[network]`.

use types::Transport;

use super::account::TRANSPORTS;
use super::{Section, Setting, WhenUnset, path, setting};
use crate::schema::{EapMethod, Ipv4Config, Ipv6Config, Secret};
use crate::value::{TextFormat, Value, ValueKind};

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Network, "bind", ValueKind::Ip, WhenUnset::Default("\"::\""),
        "\"192.168.1.20\"",
        |c, v| if let Value::Ip(ip) = v { c.network.bind = ip },
        "Address the SIP and RTP sockets are bound to; `::` for all, `0.0.0.0` for all of IPv4."),
    setting(Section::Network, "sip_port", ValueKind::Number(1, 65535), WhenUnset::Default("5060"),
        "5062",
        |c, v| c.network.sip_port = v.number() as u16,
        "SIP port, for UDP and TCP."),
    setting(Section::Network, "rtp_ports", ValueKind::PortRange,
        WhenUnset::Default("[20000, 20099]"), "[30000, 30019]",
        |c, v| if let Value::Ports(first, last) = v { c.network.rtp_ports = (first, last) },
        "First and last port for sound. Each call takes two: RTP the even one, RTCP the odd one \
         above it."),
    setting(Section::Network, "rtp_dscp", ValueKind::Number(0, 63), WhenUnset::Default("46"), "34",
        |c, v| c.network.rtp_dscp = v.number() as u8,
        "DSCP mark of sound packets (RFC 2474); 46 is expedited forwarding."),
    setting(Section::Network, "sip_dscp", ValueKind::Number(0, 63), WhenUnset::Default("24"), "26",
        |c, v| c.network.sip_dscp = v.number() as u8,
        "DSCP mark of SIP packets; 24 is class selector 3."),
    setting(Section::Network, "external_address", ValueKind::Ip, WhenUnset::Means("none"),
        "\"203.0.113.20\"",
        |c, v| if let Value::Ip(ip) = v { c.network.external_address = Some(ip) },
        "Address of the router's outer side, where it forwards the SIP and RTP ports to this phone \
         (static NAT): far ends outside the own network are given it."),
    setting(Section::Network, "stun", ValueKind::Host, WhenUnset::Means("none"),
        "\"stun.example.net:3478\"",
        |c, v| c.network.stun = Some(v.text()),
        "STUN server; without a port the name's SRV records (`_stun._udp`) say where it is, else \
         it is 3478. Calls ask it which address and port the router gives their sound, and name \
         these to far ends outside the own network."),
    setting(Section::Network, "turn", ValueKind::Host, WhenUnset::Means("none"),
        "\"turn.example.net:3478\"",
        |c, v| c.network.turn.get_or_insert_default().server = v.text(),
        "TURN server: sound of calls with ICE goes through it where no direct way is found. \
         Without a port the name's SRV records (`_turn._udp`, `_turn._tcp`, `_turns._tcp`) say \
         where it is, else it is 3478, or 5349 over TLS."),
    setting(Section::Network, "turn_transport", ValueKind::Choice(TRANSPORTS),
        WhenUnset::Means("`udp`"), "\"tls\"",
        |c, v| c.network.turn.get_or_insert_default().transport =
            Transport::from_name(&v.text()).unwrap_or_default(),
        "How the phone speaks to the TURN server. `tcp` and `tls` are for networks that let no UDP \
         out; sound that is lost on the way then comes late."),
    setting(Section::Network, "turn_user", ValueKind::Text(128, false), WhenUnset::Means("none"),
        "\"phone-12\"",
        |c, v| c.network.turn.get_or_insert_default().user = v.text(),
        "User name at the TURN server."),
    setting(Section::Network, "turn_password", ValueKind::Secret, WhenUnset::Means("none"),
        "\"correct horse\"",
        |c, v| c.network.turn.get_or_insert_default().password = Secret(v.text()),
        "Password at the TURN server. Never shown in log or status."),
    setting(Section::Network, "ice", ValueKind::Bool,
        WhenUnset::Means("answered where the far end offers it"), "true",
        |c, v| c.network.ice = Some(v.bool()),
        "ICE (RFC 8445): both ends try all addresses and use the best way that works. `true`: \
         calls offer it; `false`: it is not even answered."),
    setting(Section::Network, "mdns", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.network.mdns = v.bool(),
        "Whether other phones of this network find this one as `host_name.local` (mDNS, RFC \
         6762)."),
    setting(Section::Network, "host_name", ValueKind::Formatted(TextFormat::HostName),
        WhenUnset::Default("\"offhook\""), "\"kitchen-phone\"",
        |c, v| c.link.host_name = v.text(),
        "Name of the machine, sent to the DHCP server. The image applies this key and those \
         below."),
    setting(Section::Network, "interface", ValueKind::Formatted(TextFormat::Interface),
        WhenUnset::Default("\"auto\""), "\"eth0\"",
        |c, v| c.link.interface = v.text(),
        "Network interface: `auto` is Wi-Fi where `[wifi]` has an `ssid` and no `vlan` is set, \
         else the first cable."),
    setting(Section::Network, "address", ValueKind::Formatted(TextFormat::Ipv4Config),
        WhenUnset::Default("\"dhcp\""), "\"192.168.1.20/24\"",
        |c, v| if let Some(way) = Ipv4Config::from_text(&v.text()) { c.link.ipv4 = way },
        "IPv4: from DHCP, a fixed address, or off."),
    setting(Section::Network, "gateway", ValueKind::Formatted(TextFormat::Ipv4),
        WhenUnset::Means("the one DHCP provides"), "\"192.168.1.1\"",
        |c, v| c.link.gateway = v.text().parse().ok(),
        "IPv4 router."),
    setting(Section::Network, "dns", ValueKind::FormattedList(TextFormat::Ip, 3),
        WhenUnset::Default("[]"), "[\"192.168.1.1\", \"2001:db8::53\"]",
        |c, v| c.link.dns = v.texts().iter().filter_map(|ip| ip.parse().ok()).collect(),
        "Name servers; with none, those DHCP provides."),
    setting(Section::Network, "ipv6", ValueKind::Formatted(TextFormat::Ipv6Config),
        WhenUnset::Default("\"auto\""), "\"2001:db8::20/64\"",
        |c, v| if let Some(way) = Ipv6Config::from_text(&v.text()) { c.link.ipv6 = way },
        "IPv6: from router advertisements, a fixed address, or off."),
    setting(Section::Network, "ipv6_gateway", ValueKind::Formatted(TextFormat::Ipv6),
        WhenUnset::Means("the one advertised"), "\"fe80::1\"",
        |c, v| c.link.ipv6_gateway = v.text().parse().ok(),
        "IPv6 router."),
    setting(Section::Network, "vlan", ValueKind::Number(1, 4094), WhenUnset::Means("none"), "20",
        |c, v| c.link.vlan = Some(v.number() as u16),
        "VLAN (IEEE 802.1Q) on which everything is sent and received."),
    setting(Section::Network, "vlan_priority", ValueKind::Number(0, 7), WhenUnset::Default("5"),
        "6",
        |c, v| c.link.vlan_priority = v.number() as u8,
        "Priority (IEEE 802.1p) on that VLAN; 5 is voice."),
    setting(Section::Network, "lldp", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.link.lldp = v.bool(),
        "Without `vlan`, a switch that names a VLAN for voice (LLDP-MED) has the phone use it, \
         with its priority."),
    setting(Section::Network, "eap", ValueKind::Choice(EapMethod::NAMES),
        WhenUnset::Means("the cable asks for none"), "\"peap\"",
        |c, v| c.link.eap.method = EapMethod::from_name(&v.text()),
        "How the phone proves itself to a switch that asks for it (IEEE 802.1X): `tls` by a \
         certificate, `peap` and `ttls` by user and password (MSCHAPv2)."),
    setting(Section::Network, "eap_user", ValueKind::Text(128, false), WhenUnset::Means("none"),
        "\"phone-12\"",
        |c, v| c.link.eap.user = v.text(),
        "User name for that."),
    setting(Section::Network, "eap_password", ValueKind::Secret, WhenUnset::Means("none"),
        "\"correct horse\"",
        |c, v| c.link.eap.password = Secret(v.text()),
        "Password for that. Never shown in log or status."),
    setting(Section::Network, "eap_ca", ValueKind::File, WhenUnset::Means("none"),
        "\"radius.pem\"",
        |c, v| c.link.eap.ca = Some(path(v)),
        "File with the certificates (PEM) of the authority that signed the RADIUS server's; a \
         relative path starts at the directory of this file."),
    setting(Section::Network, "eap_certificate", ValueKind::File, WhenUnset::Means("none"),
        "\"phone.pem\"",
        |c, v| c.link.eap.certificate = Some(path(v)),
        "File with this phone's certificate (PEM), for `tls`."),
    setting(Section::Network, "eap_key", ValueKind::File, WhenUnset::Means("none"),
        "\"phone.key\"",
        |c, v| c.link.eap.key = Some(path(v)),
        "File with its private key (PEM), for `tls`."),
];
