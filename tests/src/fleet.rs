//! Many phones in one process, each with a socket of its own, at one registrar.
//!
//! Wall clock: the registrar is a real one, and so is the time it is away.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sip::{AccountConfig, AgentConfig, Event, Flow, UserAgent};

/// The longest it sleeps.
const NAP: Duration = Duration::from_millis(100);

/// One phone: its signalling, without sound.
struct Phone {
    agent: UserAgent,
    socket: UdpSocket,
    /// When the registrar last granted its registration.
    granted: Option<Instant>,
}

/// The phones.
pub struct Fleet {
    phones: Vec<Phone>,
    started: Instant,
    /// Messages sent, by second since the start.
    sent: BTreeMap<u64, usize>,
}

/// How a fleet came back.
#[derive(Debug, Clone, Copy)]
pub struct Return {
    /// Until the last phone was registered again.
    pub all_back: Duration,
    /// Most messages to the server in one second, of all phones together, once it was back.
    pub peak_per_second: usize,
}

impl Fleet {
    /// Phones with the users `u1`, `u2` … whose passwords are `secretu1` …, at the registrar of
    /// this `address:port`. They register at once.
    pub fn new(count: usize, server: &str) -> Self {
        let started = Instant::now();
        Self {
            phones: (1..=count)
                .map(|number| Phone::new(number, server, started))
                .collect(),
            started,
            sent: BTreeMap::new(),
        }
    }

    /// How many phones the registrar granted their registration since then.
    pub fn registered_since(&self, since: Instant) -> usize {
        let granted = |phone: &&Phone| phone.granted.is_some_and(|at| at >= since);
        self.phones.iter().filter(granted).count()
    }

    /// Lets time pass, until all are registered since `since`, for `limit` at most. Whether they
    /// are.
    pub fn run_until_registered(&mut self, since: Instant, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.registered_since(since) < self.phones.len() {
            if Instant::now() >= end {
                return false;
            }
            self.turn();
        }
        true
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn();
        }
    }

    /// The server is back since now and has forgotten every phone: how they come back; none where
    /// one of them is not there after `limit`.
    pub fn come_back(&mut self, limit: Duration) -> Option<Return> {
        let back = Instant::now();
        // From the first whole second: what was sent into the one before met no server.
        let second = back.duration_since(self.started).as_secs() + 1;
        self.run_until_registered(back, limit).then(|| Return {
            all_back: back.elapsed(),
            peak_per_second: self
                .sent
                .range(second..)
                .map(|(_, sent)| *sent)
                .max()
                .unwrap_or_default(),
        })
    }

    /// Waits for a datagram or a timer, and does what follows.
    fn turn(&mut self) {
        let now = Instant::now();
        let timers = self.phones.iter().filter_map(|p| p.agent.poll_timeout());
        let next = timers.min().unwrap_or(now + NAP);
        let wait = next.saturating_duration_since(now).min(NAP);
        let mut sockets: Vec<PollFd<'_>> = self
            .phones
            .iter()
            .map(|phone| PollFd::new(phone.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(wait.as_millis() as i32).unwrap();
        poll(&mut sockets, timeout).unwrap();
        let second = self.started.elapsed().as_secs();
        let sent = self.sent.entry(second).or_default();
        for phone in &mut self.phones {
            *sent += phone.turn();
        }
    }
}

impl Phone {
    fn new(number: usize, server: &str, now: Instant) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let local = socket.local_addr().unwrap();
        Self {
            agent: UserAgent::new(config(number, server, local), now),
            socket,
            granted: None,
        }
    }

    /// What is there to be done now; how many messages that sent.
    fn turn(&mut self) -> usize {
        let now = Instant::now();
        let mut datagram = [0; 4096];
        loop {
            match self.socket.recv_from(&mut datagram) {
                Ok((length, from)) => self.agent.handle_datagram(from, &datagram[..length], now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // No one listens there, says the kernel: the server is away.
                Err(_) => {}
            }
        }
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
        let mut sent = 0;
        while let Some(transmit) = self.agent.poll_transmit() {
            if let Flow::Udp { remote } = transmit.flow {
                sent += 1;
                self.socket.send_to(&transmit.bytes, remote).ok();
            }
        }
        while let Some(event) = self.agent.poll_event() {
            if let Event::Registration { until: Some(_), .. } = event {
                self.granted = Some(now);
            }
        }
        sent
    }
}

/// A phone as delivered.
fn config(number: usize, server: &str, local: SocketAddr) -> AgentConfig {
    let user = format!("u{number}");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let account = AccountConfig::new(&user, server, &format!("secret{user}"));
    AgentConfig {
        accounts: vec![account],
        user,
        user_agent: "Offhook".into(),
        tls_port: 0,
        ..AgentConfig::new(local.into(), seed)
    }
}
