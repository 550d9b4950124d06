//! What the tests of the checks look at.

use super::*;

impl Agent {
    /// Whether we lead.
    pub(in crate::ice) fn is_controlling(&self) -> bool {
        self.controlling
    }

    /// Whether the way of RTP is nominated.
    pub(in crate::ice) fn is_settled(&self) -> bool {
        let path = self.paths[0].as_ref();
        path.and_then(|path| self.list.pairs().get(path.pair))
            .is_some_and(|pair| pair.is_nominated)
    }

    /// How many pairs there are.
    pub(in crate::ice) fn pairs(&self) -> usize {
        self.list.pairs().len()
    }
}
