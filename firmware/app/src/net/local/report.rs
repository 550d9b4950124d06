//! When it is said what is wrong with the network: at once, but not that DHCP is silent while
//! it is still being asked. No clock.

use std::time::{Duration, Instant};

use super::LinkFault;

/// DHCP's client asks three times, two seconds apart; a switch lets nothing through for the first
/// seconds of a link.
const DHCP_TIME: Duration = Duration::from_secs(10);

/// What is said of the network.
#[derive(Debug, Default)]
pub(crate) struct FaultReport {
    fault: Option<LinkFault>,
    /// It is not said yet; since when it is there.
    waits_since: Option<Instant>,
}

impl FaultReport {
    /// The network was looked at. Whether something else is to be said now.
    pub(crate) fn handle_fault(&mut self, fault: Option<&LinkFault>, now: Instant) -> bool {
        if self.fault.as_ref() == fault {
            return self.handle_timeout(now);
        }
        let was_silent = self.fault.is_none() || self.waits_since.is_some();
        self.fault = fault.cloned();
        self.waits_since = matches!(fault, Some(LinkFault::NoAddress(_))).then_some(now);
        // What was said before does not hold any more; of nothing said nothing is taken back.
        match (was_silent, self.said()) {
            (true, None) => false,
            (true, Some(_)) | (false, _) => true,
        }
    }

    /// Time went by. Whether something else is to be said now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        let over = self
            .waits_since
            .is_some_and(|since| now.saturating_duration_since(since) >= DHCP_TIME);
        if over {
            self.waits_since = None;
        }
        over
    }

    /// What is to be said; `None`: nothing is wrong, as far as is known yet.
    pub(crate) fn said(&self) -> Option<&LinkFault> {
        self.fault.as_ref().filter(|_| self.waits_since.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn no_address() -> LinkFault {
        LinkFault::NoAddress("eth0".into())
    }

    fn cable_out() -> LinkFault {
        LinkFault::CableOut("eth0".into())
    }

    #[test]
    fn dhcp_has_ten_seconds_before_it_is_called_silent() {
        let (mut report, t0) = (FaultReport::default(), Instant::now());
        assert!(!report.handle_fault(Some(&no_address()), t0));
        assert_eq!(report.said(), None);
        assert!(!report.handle_timeout(t0 + 9 * SECOND));
        assert!(report.handle_timeout(t0 + 10 * SECOND));
        assert_eq!(report.said(), Some(&no_address()));
        assert!(!report.handle_timeout(t0 + 11 * SECOND), "once");
        assert!(report.handle_fault(None, t0 + 12 * SECOND), "it is over");
        assert_eq!(report.said(), None);
    }

    #[test]
    fn an_address_within_that_time_says_nothing_at_all() {
        let (mut report, t0) = (FaultReport::default(), Instant::now());
        assert!(!report.handle_fault(Some(&no_address()), t0));
        assert!(!report.handle_fault(None, t0 + SECOND));
        assert!(!report.handle_timeout(t0 + 20 * SECOND));
    }

    #[test]
    fn a_cable_that_is_out_is_said_at_once_and_taken_back_when_it_is_in() {
        let (mut report, t0) = (FaultReport::default(), Instant::now());
        assert!(report.handle_fault(Some(&cable_out()), t0));
        assert!(report.handle_fault(Some(&no_address()), t0 + SECOND));
        assert_eq!(report.said(), None, "the cable is in");
        assert!(report.handle_fault(Some(&cable_out()), t0 + 2 * SECOND));
        assert_eq!(report.said(), Some(&cable_out()));
    }
}
