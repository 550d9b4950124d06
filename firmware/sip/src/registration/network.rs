//! What a change of the network means for a registration.

use super::{Registration, RegistrationAction};
use crate::env::Env;

impl Registration {
    /// There is a network again, or another one: what was agreed over the old one may be gone.
    pub(crate) fn handle_network_change(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
        self.register(env)
    }

    /// The network is gone, and calls do not come in; why, in words a person can act on.
    pub(crate) fn handle_network_lost(&mut self, reason: &str) -> Vec<RegistrationAction> {
        if !self.wanted || self.flow_lost {
            return Vec::new();
        }
        self.flow_lost = true;
        vec![RegistrationAction::Report {
            until: None,
            error: Some(reason.to_owned()),
        }]
    }

    /// The phone's own address is another one: `env` has it already.
    pub(crate) fn handle_local_address(
        &mut self,
        changed: bool,
        env: &mut Env,
    ) -> Vec<RegistrationAction> {
        let transport = env.transport_of(self.account);
        let here = env.account_address(self.account, transport);
        if changed {
            let bound = self.bound_until.is_some();
            self.contact.handle_local_address(here, transport, bound);
        }
        self.register(env)
    }
}
