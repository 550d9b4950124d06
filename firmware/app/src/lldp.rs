//! The voice VLAN that a switch names (LLDP-MED: ANSI/TIA-1057 over IEEE 802.1AB), so that a phone
//! in a managed network needs no `network.vlan`.
//!
//! ```text
//! frames of the link ─▶ Agent (announces the phone, reads network policies; no I/O, no clock) ─▶ frames
//!                         └─▶ the policy changed ─▶ FILE for the script `network`, which starts again by it
//! ```
//!
//! A process of its own with root's rights (`offhook lldp`), beside the phone, which may open no
//! packet socket. Only network connectivity devices are believed; who can speak to the phone's port
//! without a switch between can name any VLAN, as they could answer its DHCP.

mod frame;
mod link;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use frame::Neighbour;
pub(crate) use frame::{MacAddress, VoicePolicy};
pub(crate) use link::{LinkError, run};

/// Between two announcements (IEEE 802.1AB msgTxInterval).
const EVERY: Duration = Duration::from_secs(30);
/// Between the first ones (TIA-1057 section 11.2.1): the switch answers the first it sees.
const FAST: Duration = Duration::from_secs(1);
/// How many of those (medFastStartRepeatCount).
const FAST_COUNT: u8 = 4;
/// How long what a frame says counts for those who hear it, in seconds.
const TTL: u16 = 120;

/// What the phone says of itself, and what it heard.
#[derive(Debug)]
pub(crate) struct Agent {
    frame: Vec<u8>,
    due: Instant,
    /// Announcements that still follow each other quickly.
    fast: u8,
    heard: Option<LearntPolicy>,
}

/// The policy in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LearntPolicy {
    policy: Option<VoicePolicy>,
    /// From whom; unknown where an earlier run heard it.
    switch: Option<MacAddress>,
    until: Instant,
}

impl Agent {
    /// Announces at once. `known`: the policy that an earlier run left, which counts until the
    /// switch has had the time to say it again.
    pub(crate) fn new(
        mac: MacAddress,
        (name, version): (&str, &str),
        known: Option<VoicePolicy>,
        now: Instant,
    ) -> Self {
        let heard = known.map(|policy| LearntPolicy {
            policy: Some(policy),
            switch: None,
            until: now + Duration::from_secs(TTL.into()),
        });
        Self {
            frame: frame::announcement(mac, name, version, TTL),
            due: now,
            fast: FAST_COUNT,
            heard,
        }
    }

    /// The policy that counts.
    pub(crate) fn policy(&self) -> Option<VoicePolicy> {
        self.heard.and_then(|heard| heard.policy)
    }

    /// A frame of the link; what is none of LLDP, or damaged, changes nothing.
    pub(crate) fn handle_frame(&mut self, bytes: &[u8], now: Instant) {
        let Some(neighbour) = Neighbour::parse(bytes).filter(Neighbour::is_switch) else {
            return;
        };
        let of_another = self.heard.is_some_and(|heard| {
            heard.until > now && heard.switch.is_some_and(|switch| switch != neighbour.from)
        });
        if of_another {
            return;
        }
        if neighbour.ttl == 0 {
            // IEEE 802.1AB section 9.2.7.7.1: it goes away.
            self.heard = None;
            return;
        }
        if self.heard.is_none() {
            // A new neighbour: it may not know the phone yet.
            self.fast = FAST_COUNT;
            self.due = self.due.min(now + FAST);
        }
        self.heard = Some(LearntPolicy {
            policy: neighbour.voice,
            switch: Some(neighbour.from),
            until: now + Duration::from_secs(neighbour.ttl.into()),
        });
    }

    /// Time went by: what was said long ago does not count any more.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.heard = self.heard.filter(|heard| heard.until > now);
    }

    /// A frame that is due.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<&[u8]> {
        if self.due > now {
            return None;
        }
        self.fast = self.fast.saturating_sub(1);
        self.due = now + if self.fast > 0 { FAST } else { EVERY };
        Some(&self.frame)
    }

    /// When to come back at the latest.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.heard
            .map_or(self.due, |heard| self.due.min(heard.until))
    }
}

impl VoicePolicy {
    /// As the script reads it (docs/image.md); without a VLAN the lines are there and empty.
    pub(crate) fn text(policy: Option<Self>) -> String {
        let mut text = String::new();
        let (vlan, priority) = policy.map_or((String::new(), String::new()), |policy| {
            (policy.vlan.to_string(), policy.priority.to_string())
        });
        // Writing to a String cannot fail.
        let _ = writeln!(text, "LLDP_VLAN='{vlan}'\nLLDP_PRIORITY='{priority}'");
        text
    }

    /// What an earlier run wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_matches('\'').parse::<u16>().ok()
        };
        Self::new(value("LLDP_VLAN=")?, value("LLDP_PRIORITY=")? as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::frame::tests::{Switch, switch_frame};
    use super::*;

    const PHONE: MacAddress = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const SECOND: Duration = Duration::from_secs(1);

    fn agent(known: Option<VoicePolicy>) -> (Agent, Instant) {
        let t0 = Instant::now();
        (Agent::new(PHONE, ("offhook", "1.2.3"), known, t0), t0)
    }

    fn sent(agent: &mut Agent, t0: Instant, seconds: u32) -> Vec<u32> {
        (0..seconds)
            .filter(|second| agent.poll_transmit(t0 + *second * SECOND).is_some())
            .collect()
    }

    #[test]
    fn it_announces_quickly_then_each_half_minute() {
        let (mut agent, t0) = agent(None);
        assert_eq!(sent(&mut agent, t0, 100), [0, 1, 2, 3, 33, 63, 93]);
    }

    #[test]
    fn a_switch_names_the_voice_vlan() {
        let (mut agent, t0) = agent(None);
        agent.handle_frame(&switch_frame(&Switch::default()), t0);
        assert_eq!(agent.policy(), VoicePolicy::new(20, 5));
        assert_eq!(
            VoicePolicy::text(agent.policy()),
            "LLDP_VLAN='20'\nLLDP_PRIORITY='5'\n"
        );
        // It is said again; then not any more.
        agent.handle_timeout(t0 + 119 * SECOND);
        assert!(agent.policy().is_some());
        agent.handle_timeout(t0 + 120 * SECOND);
        assert_eq!(agent.policy(), None);
        assert_eq!(VoicePolicy::text(None), "LLDP_VLAN=''\nLLDP_PRIORITY=''\n");
    }

    #[test]
    fn only_switches_are_believed_and_the_first_one_is_kept() {
        let (mut agent, t0) = agent(None);
        for device_type in [1, 2, 3] {
            let phone = Switch {
                device_type,
                ..Switch::default()
            };
            agent.handle_frame(&switch_frame(&phone), t0);
            assert_eq!(agent.policy(), None, "an endpoint of class {device_type}");
        }
        agent.handle_frame(&switch_frame(&Switch::default()), t0);
        let other = Switch {
            from: [2, 0, 0, 0, 0, 9],
            vlan: 66,
            ..Switch::default()
        };
        agent.handle_frame(&switch_frame(&other), t0 + SECOND);
        assert_eq!(agent.policy(), VoicePolicy::new(20, 5), "the first");
        agent.handle_frame(&switch_frame(&other), t0 + 121 * SECOND);
        assert_eq!(agent.policy(), VoicePolicy::new(66, 5), "it is gone");
    }

    #[test]
    fn a_switch_that_goes_away_or_names_none_ends_it() {
        let goes = Switch {
            ttl: 0,
            ..Switch::default()
        };
        let untagged = Switch {
            tagged: false,
            ..Switch::default()
        };
        let silent = Switch {
            application: 2,
            ..Switch::default()
        };
        for end in [goes, untagged, silent] {
            let (mut agent, t0) = agent(None);
            agent.handle_frame(&switch_frame(&Switch::default()), t0);
            agent.handle_frame(&switch_frame(&end), t0 + SECOND);
            assert_eq!(agent.policy(), None, "{end:?}");
        }
    }

    #[test]
    fn what_an_earlier_run_heard_counts_until_the_switch_could_say_it_again() {
        let known = VoicePolicy::read("LLDP_VLAN='20'\nLLDP_PRIORITY='6'\n");
        assert_eq!(known, VoicePolicy::new(20, 6));
        let (mut agent, t0) = agent(known);
        assert_eq!(agent.policy(), known);
        agent.handle_timeout(t0 + 119 * SECOND);
        assert_eq!(agent.policy(), known);
        agent.handle_timeout(t0 + 120 * SECOND);
        assert_eq!(agent.policy(), None);
        assert_eq!(VoicePolicy::read(&VoicePolicy::text(None)), None);
        assert_eq!(
            VoicePolicy::read("LLDP_VLAN='9999'\nLLDP_PRIORITY='6'\n"),
            None
        );
    }
}
