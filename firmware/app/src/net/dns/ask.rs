//! One question to the name servers, over UDP and, where the answer is too long, TCP.
//!
//! Each datagram goes out of a socket of its own, so that its port cannot be guessed (RFC 5452),
//! and is repeated to the next server when no answer comes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::message::{self, Reply};
use super::question::{Answer, AskError, Question};
use super::search::LIMIT;

/// How long after the first datagram the others follow, as long as no answer is there.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(1200),
    Duration::from_millis(2800),
];
/// How long TCP is waited for where a part of the answer came by UDP: firewalls drop it.
const REST: Duration = Duration::from_millis(700);
/// Largest answer.
const MAX_ANSWER: usize = 65_535;
/// Wrong answers read before a socket is given up: somebody is guessing.
const MAX_FOREIGN: usize = 100;

/// Asks until one server answers, all have refused, or [`LIMIT`] has passed.
pub(crate) async fn ask(question: Question, servers: Vec<SocketAddr>) -> Result<Answer, AskError> {
    if servers.is_empty() {
        return Err(AskError::NoServer(question));
    }
    let started = Instant::now();
    let deadline = started + LIMIT;
    let mut attempts: Vec<SocketAddr> = servers
        .iter()
        .copied()
        .cycle()
        .take(AGAIN.len() + 1)
        .collect();
    attempts.reverse();
    let mut last_fault = None;
    let mut refused = 0;
    let mut running = JoinSet::new();
    let mut sent = 0;
    loop {
        let next = match sent {
            0 => started,
            sent => started + AGAIN.get(sent - 1).copied().unwrap_or(LIMIT),
        };
        tokio::select! {
            () = sleep_until(next), if !attempts.is_empty() => {
                if let Some(server) = attempts.pop() {
                    running.spawn(exchange(question.clone(), server, deadline));
                    sent += 1;
                }
            }
            Some(done) = running.join_next() => match done {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(AskError::BadName(name))) => return Err(AskError::BadName(name)),
                Ok(Err(fault)) => {
                    if !fault.is_silence() {
                        refused += 1;
                        last_fault = Some(fault);
                    }
                    // Each server had its turn and none will say more.
                    if refused >= servers.len() {
                        break;
                    }
                    if let Some(server) = attempts.pop() {
                        running.spawn(exchange(question.clone(), server, deadline));
                        sent += 1;
                    }
                }
                Err(_) => {}
            },
            () = sleep_until(deadline) => break,
            else => break,
        }
    }
    Err(last_fault.unwrap_or(AskError::Silent { question, servers }))
}

/// One datagram and its answer.
async fn exchange(
    question: Question,
    server: SocketAddr,
    deadline: Instant,
) -> Result<Answer, AskError> {
    let id = getrandom::u32().unwrap_or(0) as u16;
    let Some(bytes) = message::write(&question, id) else {
        return Err(AskError::BadName(question.name));
    };
    let unreachable = |error: io::Error| AskError::Unreachable {
        question: question.clone(),
        server,
        reason: error.to_string(),
    };
    let reply = timeout_at(deadline, by_udp(&question, id, &bytes, server)).await;
    let reply = match reply {
        Ok(Ok(Reply::Truncated(part))) => {
            let until = if part.records.is_empty() {
                deadline
            } else {
                deadline.min(Instant::now() + REST)
            };
            let rest = timeout_at(until, by_tcp(&question, id, &bytes, server)).await;
            match rest.unwrap_or(Err(io::ErrorKind::TimedOut.into())) {
                Err(_) if !part.records.is_empty() => Ok(Reply::Answer(part)),
                rest => rest,
            }
        }
        Ok(reply) => reply,
        Err(_) => {
            return Err(AskError::Silent {
                question,
                servers: vec![server],
            });
        }
    };
    match reply.map_err(unreachable)? {
        Reply::Answer(answer) => Ok(answer),
        Reply::Refused(code) => Err(AskError::Refused {
            question,
            server,
            code,
        }),
        Reply::Unrelated | Reply::Truncated(_) => Err(AskError::Refused {
            question,
            server,
            code: "nothing that can be read".to_owned(),
        }),
    }
}

async fn by_udp(
    question: &Question,
    id: u16,
    bytes: &[u8],
    server: SocketAddr,
) -> io::Result<Reply> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected: the kernel drops what comes from others, and reports what ICMP says.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut answer = vec![0; 4096];
    for _ in 0..MAX_FOREIGN {
        let length = socket.recv(&mut answer).await?;
        match message::read(question, id, &answer[..length]) {
            Reply::Unrelated => {}
            reply => return Ok(reply),
        }
    }
    Ok(Reply::Unrelated)
}

async fn by_tcp(
    question: &Question,
    id: u16,
    bytes: &[u8],
    server: SocketAddr,
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = u16::try_from(bytes.len())
        .map_err(|_| io::ErrorKind::InvalidInput)?
        .to_be_bytes()
        .to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = usize::from(stream.read_u16().await?);
    let mut answer = vec![0; length.min(MAX_ANSWER)];
    stream.read_exact(&mut answer).await?;
    Ok(message::read(question, id, &answer))
}

#[cfg(test)]
mod tests;
