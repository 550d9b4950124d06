//! What came of the checks.

use media::PacketKind;

use super::{Agent, Pair, index_of};

impl Agent {
    /// The pair a component uses for good, where this end leads the checks.
    pub(in crate::ice) fn nominated(&self, component: PacketKind) -> Option<&Pair> {
        let path = self.paths[index_of(component)].as_ref()?;
        let pair = self.list.pairs().get(path.pair)?;
        (self.controlling && pair.is_nominated).then_some(pair)
    }
}
