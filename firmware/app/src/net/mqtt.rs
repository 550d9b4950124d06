//! The connection to the MQTT broker: a thread of its own makes it, keeps it, and makes it again.
//! What is sent and what an order means is [`control`]'s.
//!
//! ```text
//! Control ─ Publication ─▶ Outgoing (newest state a topic, few events) ─┐
//!                                                                      ├─▶ thread ◀─▶ TCP or TLS ◀─▶ broker
//! driver ◀─ NetworkEvent::Mqtt (connected, disconnected, message) ◀─────┘
//!
//! connect ─▶ CONNECT (last will "offline") ─▶ SUBSCRIBE, where orders are listed ─▶ serve ─┬─ lost ─▶ wait 1, 2, 4 … 60 s ─▶ connect
//!                                                                                          └─ closed ─▶ "offline", DISCONNECT
//! ```
//!
//! The protocol is `rust_mqtt`'s (docs/decisions/0023), whose client cannot move between threads;
//! and so nothing a broker sends costs the control thread time. One that floods waits: it is read
//! no faster than [`PACE`] allows.

mod error;
mod link;
mod outgoing;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use control::mqtt::OFFLINE;
use control::{MqttEvent, MqttTopics, Publication};
use rust_mqtt::Bytes;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, DisconnectOptions, PublicationOptions, RetainHandling, SubscriptionOptions,
    TopicReference, WillOptions,
};
use rust_mqtt::config::KeepAlive;
use rust_mqtt::types::{MqttBinary, MqttString, TopicFilter, TopicName};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::NetworkEvent;
use super::fetch::Trust;
use error::MqttError;
use link::{Buffers, Link, Security};
use outgoing::Outgoing;
pub(crate) use outgoing::Sender;

/// How long the broker may take to answer CONNECT, and to take what is written.
const ANSWER: Duration = Duration::from_secs(10);
/// The broker hears of the phone at least this often, and gives it up for dead after one and a half
/// such times.
const KEEP_ALIVE_S: u16 = 60;
/// A ping goes out when this long nothing came; nothing for as long again: the connection is dead.
const SILENCE: Duration = Duration::from_secs(30);
/// Shortest and longest wait before the next attempt.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A connection that stood so long begins with the shortest wait again.
const STOOD: Duration = Duration::from_secs(60);
/// Time between two messages read.
const PACE: Duration = Duration::from_millis(20);
/// Largest packet that is taken.
const MAX_PACKET: u32 = 4096;

/// What the connection needs to know.
pub(crate) struct Settings {
    host: String,
    port: u16,
    security: Security,
    user: String,
    password: config::schema::Secret,
    topics: MqttTopics,
    /// Any order is listed.
    takes_orders: bool,
}

impl Settings {
    /// Of this configuration; none: MQTT is off. `trust`: where the configuration names no
    /// certificates of its own.
    pub(crate) fn of(config: &config::Config, trust: &Trust) -> Option<Self> {
        let mqtt = &config.mqtt;
        let broker = mqtt.broker.as_ref()?;
        let (host, port) = host_and_port(broker, if mqtt.tls { 8883 } else { 1883 });
        Some(Self {
            host,
            port,
            security: Security::of(mqtt, trust),
            user: mqtt.user.clone(),
            password: mqtt.password.clone(),
            topics: MqttTopics::of(config),
            takes_orders: !mqtt.orders.is_empty(),
        })
    }
}

/// `host`, `host:port`, `[v6]:port`.
fn host_and_port(broker: &str, default: u16) -> (String, u16) {
    let (host, port) = match broker.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(default)),
        Some(_) | None => (broker, default),
    };
    (host.trim_matches(['[', ']']).to_owned(), port)
}

/// Stack of the thread, in bytes.
const STACK: usize = 256 * 1024;

/// Begins; the thread ends when the sender is dropped.
pub(crate) fn start(settings: Settings, events: mpsc::Sender<NetworkEvent>) -> Sender {
    let (sender, outgoing) = outgoing::channel();
    let started = std::thread::Builder::new()
        .name("offhook-mqtt".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(1)
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(run(settings, outgoing, events)),
                Err(error) => tracing::error!("MQTT does not start: {error}"),
            }
        });
    if let Err(error) = started {
        tracing::error!("MQTT does not start: {error}");
    }
    sender
}

/// Why a connection that stood is over.
enum Ended {
    /// The phone ends.
    Closed,
    /// It broke, after it stood so long.
    Lost(MqttError, Duration),
}

async fn run(settings: Settings, outgoing: Arc<Outgoing>, events: mpsc::Sender<NetworkEvent>) {
    let mut wait = WAIT.0;
    loop {
        let error = match serve(&settings, &outgoing, &events).await {
            Ok(Ended::Closed) => return,
            Ok(Ended::Lost(error, stood)) => {
                if stood >= STOOD {
                    wait = WAIT.0;
                }
                error
            }
            Err(error) => error,
        };
        if error.is_final_for_a_while() {
            wait = WAIT.1;
        }
        let event = NetworkEvent::Mqtt(MqttEvent::Disconnected(error.to_string()));
        if events.send(event).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(jittered(wait)) => {}
            () = outgoing.closed() => return,
        }
        wait = (wait * 2).min(WAIT.1);
    }
}

/// A quarter more or less, so that a hundred phones do not come back to a broker at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    wait.mul_f64(0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// No more than one subscription, one message on its way each way, one identifier and one property
/// of others.
type Broker<'a> = Client<'a, 'a, Link, Buffers, 1, 1, 1, 1, 1, 0, 0>;

async fn serve(
    settings: &Settings,
    outgoing: &Outgoing,
    events: &mpsc::Sender<NetworkEvent>,
) -> Result<Ended, MqttError> {
    let broker = format!("{}:{}", settings.host, settings.port);
    let at = |error: error::Failure| MqttError::new(&broker, error);
    let link = tokio::select! {
        link = settings.security.open(&settings.host, settings.port) => link.map_err(at)?,
        () = outgoing.closed() => return Ok(Ended::Closed),
    };
    let mut buffers = Buffers;
    let mut client: Broker<'_> = Client::new(&mut buffers);
    connect(&mut client, link, settings).await.map_err(at)?;
    if settings.takes_orders {
        subscribe(&mut client, &settings.topics).await.map_err(at)?;
    }
    // What was to be said to the broker before is old; all of it comes again.
    outgoing.clear();
    if events
        .send(NetworkEvent::Mqtt(MqttEvent::Connected))
        .await
        .is_err()
    {
        return Ok(Ended::Closed);
    }
    let since = Instant::now();
    match exchange(&mut client, settings, outgoing, events).await {
        Ok(()) => Ok(Ended::Closed),
        Err(failure) => Ok(Ended::Lost(at(failure), since.elapsed())),
    }
}

async fn connect(
    client: &mut Broker<'_>,
    link: Link,
    settings: &Settings,
) -> Result<(), error::Failure> {
    let topic = settings.topics.availability();
    let will = WillOptions::new(topic_name(&topic)?, binary(OFFLINE.as_bytes())?)
        .at_least_once()
        .retain();
    let mut options = ConnectOptions::new().clean_start().will(will);
    if let Some(limit) = NonZero::new(MAX_PACKET) {
        options = options.maximum_packet_size(limit);
    }
    if let Some(seconds) = NonZero::new(KEEP_ALIVE_S) {
        options = options.keep_alive(KeepAlive::Seconds(seconds));
    }
    if !settings.user.is_empty() {
        options = options.user_name(text(&settings.user)?);
    }
    if !settings.password.0.is_empty() {
        options = options.password(binary(settings.password.0.as_bytes())?);
    }
    let client_id = text(&settings.topics.client)?;
    let answer = timeout(ANSWER, client.connect(link, &options, Some(client_id))).await;
    match answer
        .map_err(|_| error::Failure::Silent)?
        .map_err(error::Failure::from)
    {
        Err(error::Failure::Lost) => Err(error::Failure::Unanswered),
        Err(other) => Err(other),
        Ok(_) => Ok(()),
    }
}

/// Messages the broker kept are not sent for this, and one that is to be kept is known as such.
async fn subscribe(client: &mut Broker<'_>, topics: &MqttTopics) -> Result<(), error::Failure> {
    let filter = topics.orders();
    let filter = TopicFilter::new(text(&filter)?).ok_or(error::Failure::Name)?;
    let options = SubscriptionOptions::new()
        .retain_handling(RetainHandling::NeverSend)
        .retain_as_published()
        .no_local();
    timeout(ANSWER, client.subscribe(filter, &options))
        .await
        .map_err(|_| error::Failure::Silent)??;
    Ok(())
}

/// Until the phone ends; an error: the connection is of no use any more.
async fn exchange(
    client: &mut Broker<'_>,
    settings: &Settings,
    outgoing: &Outgoing,
    events: &mpsc::Sender<NetworkEvent>,
) -> Result<(), error::Failure> {
    let mut heard = Instant::now();
    let mut pinged = false;
    loop {
        let due = heard + if pinged { SILENCE * 2 } else { SILENCE };
        tokio::select! {
            publication = outgoing.next() => match publication {
                Some(publication) => publish(client, &publication).await?,
                None => return disconnect(client, settings).await,
            },
            header = client.poll_header() => {
                let body = timeout(ANSWER, client.poll_body(header?));
                let event = body.await.map_err(|_| error::Failure::Silent)??;
                heard = Instant::now();
                pinged = false;
                if let Some(message) = message(event)? {
                    if events.send(NetworkEvent::Mqtt(message)).await.is_err() {
                        return Ok(());
                    }
                    sleep(PACE).await;
                }
            }
            () = sleep_until(due) => {
                if pinged {
                    return Err(error::Failure::Silent);
                }
                timeout(ANSWER, client.ping()).await.map_err(|_| error::Failure::Silent)??;
                pinged = true;
            }
        }
    }
}

async fn publish(client: &mut Broker<'_>, what: &Publication) -> Result<(), error::Failure> {
    let mut options = PublicationOptions::new(TopicReference::Name(topic_name(&what.topic)?));
    if what.retain {
        options = options.retain();
    }
    let sent = client.publish(&options, Bytes::from(what.payload.as_bytes()));
    timeout(ANSWER, sent)
        .await
        .map_err(|_| error::Failure::Silent)??;
    Ok(())
}

/// An orderly end: the broker says "offline" at once, and its last will is not needed.
async fn disconnect(client: &mut Broker<'_>, settings: &Settings) -> Result<(), error::Failure> {
    let gone = Publication {
        topic: settings.topics.availability(),
        payload: OFFLINE.to_owned(),
        retain: true,
    };
    publish(client, &gone).await?;
    let options = DisconnectOptions::new();
    timeout(ANSWER, client.disconnect(&options))
        .await
        .map_err(|_| error::Failure::Silent)??;
    Ok(())
}

/// What of the broker's packets the phone is to know.
fn message(event: Event<'_, 1, 1>) -> Result<Option<MqttEvent>, error::Failure> {
    match event {
        Event::Publish(published) => {
            let Some(topic) = published.topic.name() else {
                return Ok(None);
            };
            Ok(Some(MqttEvent::Message {
                topic: topic.as_ref().as_str().to_owned(),
                payload: published.message.as_bytes().to_vec(),
                retained: published.retain,
            }))
        }
        Event::Suback(answer) if answer.reason_code.is_erroneous() => {
            Err(error::Failure::NoSubscription)
        }
        _ => Ok(None),
    }
}

fn text(text: &str) -> Result<MqttString<'_>, error::Failure> {
    MqttString::from_str(text).map_err(|_| error::Failure::Name)
}

fn binary(bytes: &[u8]) -> Result<MqttBinary<'_>, error::Failure> {
    MqttBinary::from_slice(bytes).map_err(|_| error::Failure::Name)
}

fn topic_name(topic: &str) -> Result<TopicName<'_>, error::Failure> {
    TopicName::new(text(topic)?).ok_or(error::Failure::Name)
}
