//! What every object of the agent may use: settings, random numbers, our own address. It decides
//! nothing.

#[cfg(test)]
pub(crate) mod tests;

use std::net::{IpAddr, SocketAddr};

use crate::api::{AccountConfig, AgentConfig};
use crate::flow::{Target, Transport};
use crate::ids::RequestId;
use crate::local_addresses::LocalAddresses;
use crate::media_security::offer_memory::OfferMemory;
use crate::message::{NameAddr, SipUri, Uri};
use crate::reachability::Reachability;
use crate::token::Tokens;

/// What the objects share.
pub(crate) struct Env {
    pub(crate) config: AgentConfig,
    pub(crate) tokens: Tokens,
    /// Our SIP addresses as they are now.
    pub(crate) addresses: LocalAddresses,
    /// Why there is no network, while there is none.
    pub(crate) offline: Option<String>,
    /// Which servers did not answer lately.
    pub(crate) reachability: Reachability,
    /// Which encrypted offers far ends took.
    pub(crate) offers: OfferMemory,
    next_request: RequestId,
}

impl Env {
    pub(crate) fn new(config: AgentConfig) -> Self {
        Self {
            tokens: Tokens::new(config.seed),
            addresses: config.local.clone(),
            config,
            offline: None,
            reachability: Reachability::default(),
            offers: OfferMemory::default(),
            next_request: 1,
        }
    }

    /// There is a network again, or another one.
    pub(crate) fn handle_network_back(&mut self) {
        self.offline = None;
        self.reachability.forget();
    }

    /// A number for a request that is about to be sent.
    pub(crate) fn request_id(&mut self) -> RequestId {
        let id = self.next_request;
        self.next_request += 1;
        id
    }

    /// The settings of an account.
    pub(crate) fn account(&self, account: usize) -> Option<&AccountConfig> {
        self.config.accounts.get(account)
    }

    /// The transport of an account.
    pub(crate) fn transport_of(&self, account: usize) -> Transport {
        self.account(account)
            .map_or(Transport::Udp, |account| account.transport)
    }

    /// The address of record of an account.
    pub(crate) fn address_of_record(&self, account: usize) -> Option<NameAddr> {
        let account = self.account(account)?;
        Some(NameAddr::new(
            server_uri(&account.domain)?.with_user(&account.user),
        ))
    }

    /// Who sends a direct request.
    pub(crate) fn direct_address(&self) -> NameAddr {
        NameAddr::new(SipUri::at(self.addresses.primary()).with_user(&self.config.user))
    }

    /// Our own address as the Contact of this transport names it, where the far end is not known.
    pub(crate) fn address_for(&self, transport: Transport) -> SocketAddr {
        self.with_port(self.addresses.primary(), transport)
    }

    /// The same for an account.
    pub(crate) fn account_address(&self, account: usize, transport: Transport) -> SocketAddr {
        self.external(account, self.address_for(transport))
    }

    /// What this address of ours is outside, where the account says so.
    pub(crate) fn external(&self, account: usize, address: SocketAddr) -> SocketAddr {
        self.account(account)
            .and_then(|account| account.external_address)
            .map_or(address, |ip| SocketAddr::new(ip, address.port()))
    }

    /// Our own address as the Via to this far end names it.
    pub(crate) fn address_toward(&self, remote: IpAddr, transport: Transport) -> SocketAddr {
        self.with_port(self.addresses.toward(remote), transport)
    }

    /// The same to a server, where that is known.
    pub(crate) fn address_toward_server(
        &self,
        server: Option<Target>,
        transport: Transport,
    ) -> SocketAddr {
        match server {
            Some(server) => self.address_toward(server.address.ip(), transport),
            None => self.address_for(transport),
        }
    }

    fn with_port(&self, address: SocketAddr, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Udp | Transport::Tcp => address,
            Transport::Tls => SocketAddr::new(address.ip(), self.config.tls_port),
        }
    }
}

/// A Contact that says its transport; UDP is the default and not written.
pub(crate) fn with_transport(uri: SipUri, transport: Transport) -> SipUri {
    match transport {
        Transport::Udp => uri,
        Transport::Tcp => uri.with_param("transport", Some("tcp")),
        Transport::Tls => uri.with_param("transport", Some("tls")),
    }
}

/// `sip:host[:port]` of a configured `host[:port]`.
pub(crate) fn server_uri(text: &str) -> Option<SipUri> {
    let text = text.strip_prefix("sip:").unwrap_or(text);
    match Uri::parse(&format!("sip:{text}")).ok()? {
        Uri::Sip(uri) => Some(uri),
        Uri::Tel(_) | Uri::Other(_) => None,
    }
}
