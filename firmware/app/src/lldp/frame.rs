//! Frames of LLDP (IEEE 802.1AB) with the parts of LLDP-MED (ANSI/TIA-1057) that a phone needs.

use std::ops::RangeInclusive;

/// A hardware address.
pub(crate) type MacAddress = [u8; 6];

/// To all bridges next to the sender: switches do not pass it on (802.1AB section 7.1).
pub(super) const NEAREST_BRIDGE: MacAddress = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
/// Its `EtherType`.
pub(super) const ETHERTYPE: u16 = 0x88cc;
/// Ethernet's head: to, from, type.
const HEAD: usize = 14;
/// Kinds of TLV.
const END: u8 = 0;
const CHASSIS_ID: u8 = 1;
const PORT_ID: u8 = 2;
const TIME_TO_LIVE: u8 = 3;
const SYSTEM_NAME: u8 = 5;
const SYSTEM_DESCRIPTION: u8 = 6;
const SYSTEM_CAPABILITIES: u8 = 7;
const ORGANISATION: u8 = 127;
/// Subtype of chassis and port: a hardware address (chassis 4, port 3).
const CHASSIS_BY_MAC: u8 = 4;
const PORT_BY_MAC: u8 = 3;
/// System capability "telephone".
const TELEPHONE: u16 = 1 << 5;
/// The TIA's prefix of its own TLVs.
const TIA: [u8; 3] = [0x00, 0x12, 0xbb];
const MED_CAPABILITIES: u8 = 1;
const MED_NETWORK_POLICY: u8 = 2;
/// TIA-1057 table 10: capabilities and network policies are spoken of.
const CAPABLE_OF: u16 = 0b11;
/// TIA-1057 table 11.
const ENDPOINT_CLASS_3: u8 = 3;
const NETWORK_CONNECTIVITY: u8 = 4;
/// TIA-1057 table 12.
const VOICE: u8 = 1;
/// Longest text of a TLV.
const MAX_TEXT: usize = 255;

/// The VLAN for voice and its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoicePolicy {
    /// IEEE 802.1Q: 1 to 4094.
    pub(crate) vlan: u16,
    /// IEEE 802.1p: 0 to 7.
    pub(crate) priority: u8,
}

impl VoicePolicy {
    /// Numbers that there are; everything else is no policy.
    pub(crate) fn new(vlan: u16, priority: u8) -> Option<Self> {
        const VLANS: RangeInclusive<u16> = 1..=4094;
        (VLANS.contains(&vlan) && priority <= 7).then_some(Self { vlan, priority })
    }
}

/// What a neighbour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) from: MacAddress,
    /// Seconds that it counts; 0: it goes away.
    pub(super) ttl: u16,
    /// The VLAN on which voice is to be sent with a tag.
    pub(super) voice: Option<VoicePolicy>,
    /// Its kind by LLDP-MED, if it says one.
    device_type: Option<u8>,
}

impl Neighbour {
    /// It is a switch that knows LLDP-MED, not another phone.
    pub(super) fn is_switch(&self) -> bool {
        self.device_type == Some(NETWORK_CONNECTIVITY)
    }

    /// Reads a whole Ethernet frame. Chassis, port and time to live come first, in this order
    /// (802.1AB section 8.2); a frame that is cut short says nothing at all.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(HEAD)?;
        if head[12..] != ETHERTYPE.to_be_bytes() {
            return None;
        }
        let from = head[6..12].try_into().ok()?;
        let mut read = |wanted: Option<u8>| {
            let (kind, value, after) = tlv(rest)?;
            rest = after;
            wanted
                .is_none_or(|wanted| wanted == kind)
                .then_some((kind, value))
        };
        read(Some(CHASSIS_ID))?;
        read(Some(PORT_ID))?;
        let (_, ttl) = read(Some(TIME_TO_LIVE))?;
        let mut found = Self {
            from,
            ttl: u16::from_be_bytes(ttl.get(..2)?.try_into().ok()?),
            voice: None,
            device_type: None,
        };
        loop {
            match read(None)? {
                (END, _) => return Some(found),
                (ORGANISATION, value) => found.handle_organisation(value),
                (_, _) => {}
            }
        }
    }

    fn handle_organisation(&mut self, value: &[u8]) {
        match value.strip_prefix(&TIA) {
            Some([MED_CAPABILITIES, _, _, device_type, ..]) => {
                self.device_type = Some(*device_type);
            }
            Some([MED_NETWORK_POLICY, VOICE, one, two, three]) => {
                // U T X, 12 bits of VLAN, 3 of priority, 6 of DSCP (TIA-1057 section 10.2.3.2).
                let bits = u32::from_be_bytes([0, *one, *two, *three]);
                let (unknown, tagged) = (bits >> 23 & 1 == 1, bits >> 22 & 1 == 1);
                let policy = VoicePolicy::new((bits >> 9 & 0xfff) as u16, (bits >> 6 & 7) as u8);
                self.voice = policy.filter(|_| tagged && !unknown);
            }
            Some(_) | None => {}
        }
    }
}

/// The first TLV: its kind, its value, what follows.
fn tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(2)?;
    let head = u16::from_be_bytes([head[0], head[1]]);
    let (value, after) = rest.split_at_checked(usize::from(head & 0x1ff))?;
    Some(((head >> 9) as u8, value, after))
}

fn put(frame: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    frame.extend((u16::from(kind) << 9 | length as u16).to_be_bytes());
    for part in parts {
        frame.extend(*part);
    }
}

/// What a phone says of itself: a telephone of class III that asks for a policy.
pub(super) fn announcement(mac: MacAddress, name: &str, version: &str, ttl: u16) -> Vec<u8> {
    let cut = |text: &str| text.bytes().take(MAX_TEXT).collect::<Vec<u8>>();
    let mut frame = Vec::with_capacity(128);
    frame.extend(NEAREST_BRIDGE);
    frame.extend(mac);
    frame.extend(ETHERTYPE.to_be_bytes());
    put(&mut frame, CHASSIS_ID, &[&[CHASSIS_BY_MAC], &mac]);
    put(&mut frame, PORT_ID, &[&[PORT_BY_MAC], &mac]);
    put(&mut frame, TIME_TO_LIVE, &[&ttl.to_be_bytes()]);
    put(&mut frame, SYSTEM_NAME, &[&cut(name)]);
    let description = cut(&format!("Offhook {version}"));
    put(&mut frame, SYSTEM_DESCRIPTION, &[&description]);
    let telephone = TELEPHONE.to_be_bytes();
    put(&mut frame, SYSTEM_CAPABILITIES, &[&telephone, &telephone]);
    let capable = CAPABLE_OF.to_be_bytes();
    put(
        &mut frame,
        ORGANISATION,
        &[&TIA, &[MED_CAPABILITIES], &capable, &[ENDPOINT_CLASS_3]],
    );
    // "Unknown": the switch is asked (TIA-1057 section 10.2.3.2).
    put(
        &mut frame,
        ORGANISATION,
        &[&TIA, &[MED_NETWORK_POLICY, VOICE, 0x80, 0, 0]],
    );
    put(&mut frame, END, &[]);
    frame
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A switch's frame, as a test wants it.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Switch {
        pub(in super::super) from: MacAddress,
        pub(in super::super) ttl: u16,
        pub(in super::super) device_type: u8,
        pub(in super::super) application: u8,
        pub(in super::super) tagged: bool,
        pub(in super::super) vlan: u16,
    }

    impl Default for Switch {
        fn default() -> Self {
            Self {
                from: [2, 0, 0, 0, 0, 1],
                ttl: 120,
                device_type: NETWORK_CONNECTIVITY,
                application: VOICE,
                tagged: true,
                vlan: 20,
            }
        }
    }

    pub(in super::super) fn switch_frame(switch: &Switch) -> Vec<u8> {
        let mut frame = [&NEAREST_BRIDGE[..], &switch.from, &ETHERTYPE.to_be_bytes()].concat();
        put(&mut frame, CHASSIS_ID, &[&[CHASSIS_BY_MAC], &switch.from]);
        put(&mut frame, PORT_ID, &[&[5], b"ge-0/0/7"]);
        put(&mut frame, TIME_TO_LIVE, &[&switch.ttl.to_be_bytes()]);
        put(
            &mut frame,
            ORGANISATION,
            &[&TIA, &[MED_CAPABILITIES, 0, 3, switch.device_type]],
        );
        let bits = u32::from(switch.tagged) << 22 | u32::from(switch.vlan) << 9 | 5 << 6 | 0x2e;
        put(
            &mut frame,
            ORGANISATION,
            &[
                &TIA,
                &[MED_NETWORK_POLICY, switch.application],
                &bits.to_be_bytes()[1..],
            ],
        );
        put(&mut frame, END, &[]);
        frame
    }

    #[test]
    fn an_announcement_is_a_telephone_of_class_three() {
        let mac = [0x52, 0x54, 0, 1, 2, 3];
        let frame = announcement(mac, "kitchen", "1.2.3", 120);
        // Written down by hand after IEEE 802.1AB and TIA-1057.
        let mut wanted = vec![
            0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xcc,
        ];
        wanted.extend([0x02, 7, 4, 0x52, 0x54, 0, 1, 2, 3]);
        wanted.extend([0x04, 7, 3, 0x52, 0x54, 0, 1, 2, 3]);
        wanted.extend([0x06, 2, 0, 120]);
        wanted.extend([0x0a, 7]);
        wanted.extend(b"kitchen");
        wanted.extend([0x0c, 13]);
        wanted.extend(b"Offhook 1.2.3");
        wanted.extend([0x0e, 4, 0, 0x20, 0, 0x20]);
        wanted.extend([0xfe, 7, 0x00, 0x12, 0xbb, 1, 0, 3, 3]);
        wanted.extend([0xfe, 8, 0x00, 0x12, 0xbb, 2, 1, 0x80, 0, 0]);
        wanted.extend([0, 0]);
        assert_eq!(frame, wanted);
        let long = announcement(mac, &"x".repeat(600), &"y".repeat(600), 120);
        let read = Neighbour::parse(&long);
        assert_eq!(read.map(|read| read.is_switch()), Some(false), "{long:?}");
    }

    #[test]
    fn a_switchs_policy_is_read_bit_by_bit() {
        let read = Neighbour::parse(&switch_frame(&Switch::default())).unwrap();
        assert_eq!(read.voice, VoicePolicy::new(20, 5));
        assert_eq!((read.ttl, read.is_switch()), (120, true));
        for vlan in [1, 4094] {
            let switch = Switch {
                vlan,
                ..Switch::default()
            };
            let read = Neighbour::parse(&switch_frame(&switch)).unwrap();
            assert_eq!(read.voice, VoicePolicy::new(vlan, 5));
        }
        for vlan in [0, 4095] {
            let switch = Switch {
                vlan,
                ..Switch::default()
            };
            let read = Neighbour::parse(&switch_frame(&switch)).unwrap();
            assert_eq!(read.voice, None, "{vlan} is no VLAN");
        }
    }

    #[test]
    fn damaged_frames_say_nothing_and_end_nothing() {
        let whole = switch_frame(&Switch::default());
        for length in 0..whole.len() {
            assert_eq!(Neighbour::parse(&whole[..length]), None, "{length} bytes");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut other = whole.clone();
                other[at] ^= 1 << bit;
                // Whatever it says, a policy is one that there can be.
                if let Some(Neighbour {
                    voice: Some(policy),
                    ..
                }) = Neighbour::parse(&other)
                {
                    assert_eq!(VoicePolicy::new(policy.vlan, policy.priority), Some(policy));
                }
            }
        }
        let mut order = whole.clone();
        order[14] = 0x04;
        assert_eq!(Neighbour::parse(&order), None, "the port comes second");
    }
}
