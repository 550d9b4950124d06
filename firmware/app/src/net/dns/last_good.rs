//! The addresses that DNS gave last, kept over restarts for the time DNS is gone.
//!
//! One line each: host, port or `-`, transport or `-`, then the targets as `transport/address`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sip::{Target, Transport};

/// The file in the state directory.
pub(crate) const FILE: &str = "last-addresses";
/// Names kept; the oldest goes.
const MAX_NAMES: usize = 32;
/// Targets kept of each.
const MAX_TARGETS: usize = 8;
/// Longest file that is read, in bytes.
pub(crate) const MAX_BYTES: u64 = 32 * 1024;

/// What was looked up: host (behind `stun:` or `turn:` where its server is for that), port,
/// transport.
pub(super) type Key = (String, Option<u16>, Option<Transport>);

/// The addresses, the one used last at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LastGood {
    names: Vec<(Key, Vec<Target>)>,
}

impl LastGood {
    /// Reads the file; a line that is damaged is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let names = text.lines().take(MAX_NAMES).filter_map(line);
        Self {
            names: names.collect(),
        }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for ((host, port, transport), targets) in &self.names {
            let port = port.map_or_else(|| "-".to_owned(), |port| port.to_string());
            let transport = transport.map_or("-", name);
            let _ = write!(text, "{host} {port} {transport}");
            for target in targets {
                let _ = write!(text, " {}/{}", name(target.transport), target.address);
            }
            text.push('\n');
        }
        text
    }

    pub(super) fn get(&self, key: &Key) -> Option<&[Target]> {
        let found = self.names.iter().find(|(name, _)| name == key);
        found.map(|(_, targets)| targets.as_slice())
    }

    /// DNS gave these. Returns whether the file must be written: not for another order, which SRV
    /// weights give with each lookup.
    pub(super) fn keep(&mut self, key: &Key, targets: &[Target]) -> bool {
        let targets: Vec<Target> = targets.iter().take(MAX_TARGETS).copied().collect();
        let same = |kept: &[Target]| {
            kept.len() == targets.len() && kept.iter().all(|target| targets.contains(target))
        };
        let changed = !self.get(key).is_some_and(same);
        self.names.retain(|(name, _)| name != key);
        if self.names.len() >= MAX_NAMES {
            self.names.remove(0);
        }
        self.names.push((key.clone(), targets));
        changed
    }
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

fn transport(name: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|transport| self::name(*transport) == name)
}

fn line(text: &str) -> Option<(Key, Vec<Target>)> {
    let mut words = text.split(' ');
    let host = words.next().filter(|host| !host.is_empty())?.to_owned();
    let port = match words.next()? {
        "-" => None,
        port => Some(port.parse().ok()?),
    };
    let wanted = match words.next()? {
        "-" => None,
        name => Some(transport(name)?),
    };
    let target = |word: &str| {
        let (name, address) = word.split_once('/')?;
        Some(Target {
            transport: transport(name)?,
            address: address.parse::<SocketAddr>().ok()?,
        })
    };
    let targets: Vec<Target> = words.take(MAX_TARGETS).map(target).collect::<Option<_>>()?;
    (!targets.is_empty()).then_some(((host, port, wanted), targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(transport: Transport, address: &str) -> Target {
        Target {
            transport,
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let mut kept = LastGood::default();
        let pbx = ("pbx.example".to_owned(), None, None);
        let tls = ("pbx.example".to_owned(), Some(5061), Some(Transport::Tls));
        let targets = [
            target(Transport::Udp, "192.0.2.1:5060"),
            target(Transport::Tcp, "[2001:db8::1]:5070"),
        ];
        assert!(kept.keep(&pbx, &targets));
        assert!(!kept.keep(&pbx, &[targets[1], targets[0]]), "another order");
        assert!(kept.keep(&tls, &[target(Transport::Tls, "192.0.2.1:5061")]));
        assert!(kept.keep(&pbx, &targets[..1]));
        let read = LastGood::parse(&kept.text());
        assert_eq!(read, kept);
        assert_eq!(read.get(&pbx), Some(&targets[..1]));
        assert_eq!(read.get(&("other".into(), None, None)), None);
    }

    #[test]
    fn damage_costs_its_line_and_the_table_is_bounded() {
        let text = "pbx - - udp/192.0.2.1:5060\nx\n a b\npbx2 70000 - udp/192.0.2.1:5060\n\
                    pbx3 - - udp/nonsense\npbx4 - tls tls/192.0.2.1:5061\n";
        assert_eq!(
            LastGood::parse(text).text(),
            "pbx - - udp/192.0.2.1:5060\npbx4 - tls tls/192.0.2.1:5061\n"
        );
        let mut kept = LastGood::default();
        for index in 0..100 {
            kept.keep(
                &(format!("host{index}"), None, None),
                &[target(Transport::Udp, "192.0.2.1:5060")],
            );
        }
        assert_eq!(kept.text().lines().count(), MAX_NAMES);
        assert!((kept.text().len() as u64) < MAX_BYTES);
    }
}
