//! Keeping connections alive, and learning when they are not (RFC 5626 sections 3.5.1 and 4.4.1): a
//! registration is worth nothing over a connection that a firewall forgot.
//!
//! ```text
//! a line registers over a connection ─▶ every 95 to 120 s: CRLF CRLF ─┬ CRLF comes back: it is alive, and answers pings
//!                                                                     └ silence of one that used to answer: closed, registered anew
//! ```
//!
//! A server that never answered a ping may not know them; its silence proves nothing.

use std::time::{Duration, Instant};

use crate::agent::{UserAgent, Waiter};
use crate::ids::ConnectionId;
use crate::stream::PING;
use crate::timer::{earliest, fire};

/// Between two pings: section 4.4.1 draws from 80 to 100 % of 120 s.
const SHORTEST: Duration = Duration::from_secs(95);
const LONGEST: Duration = Duration::from_secs(120);
/// How long a pong may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a connection's life.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    ping_at: Option<Instant>,
    pong_by: Option<Instant>,
    /// It answered a ping once.
    answers: bool,
}

impl UserAgent {
    /// A line registered over this connection: from now on it is kept alive.
    pub(crate) fn keep_alive(&mut self, id: ConnectionId, now: Instant) {
        let wait = self.tokens.between(SHORTEST, LONGEST);
        if let Some(connection) = self.wire.connections.get_mut(id)
            && connection.pulse.ping_at.is_none()
        {
            connection.pulse.ping_at = Some(now + wait);
            self.schedule_pulse(id);
        }
    }

    /// A pong came in.
    pub(crate) fn ponged(&mut self, id: ConnectionId) {
        if let Some(connection) = self.wire.connections.get_mut(id) {
            // A line end of no meaning is a pong only where a ping went before.
            connection.pulse.answers |= connection.pulse.ping_at.is_some();
            connection.pulse.pong_by = None;
            self.schedule_pulse(id);
        }
    }

    /// A connection's time has come.
    pub(crate) fn pulse_timeout(&mut self, id: ConnectionId, now: Instant) {
        let wait = self.tokens.between(SHORTEST, LONGEST);
        let used = self.lines.iter().any(|line| line.connection() == Some(id));
        let Some(connection) = self.wire.connections.get_mut(id) else {
            return;
        };
        let (flow, pulse) = (connection.flow(id), &mut connection.pulse);
        if fire(&mut pulse.pong_by, now) {
            self.close_connection(id, "the connection is dead: no answer to a keepalive", now);
            return;
        }
        if fire(&mut pulse.ping_at, now) && used {
            pulse.ping_at = Some(now + wait);
            pulse.pong_by = pulse.answers.then(|| now + PATIENCE);
            self.wire.send(flow, PING.to_vec(), now);
        }
        self.schedule_pulse(id);
    }

    fn schedule_pulse(&mut self, id: ConnectionId) {
        let pulse = self
            .wire
            .connections
            .get(id)
            .map(|connection| &connection.pulse);
        let next = pulse.and_then(|pulse| earliest([pulse.ping_at, pulse.pong_by]));
        self.deadlines.set(Waiter::Connection(id), next);
    }
}
