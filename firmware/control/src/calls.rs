//! The calls of this phone, found by the number each of its parts has for them.

use media::StreamId;
use phone::CallId;

use crate::call::CallRecord;

/// Every call that is not over, and those whose stream the engine has not returned.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    list: Vec<CallRecord>,
}

impl Calls {
    pub(crate) fn push(&mut self, record: CallRecord) {
        self.list.push(record);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CallRecord> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut CallRecord> {
        self.list.iter_mut()
    }

    /// The call with the phone's number, over or not.
    pub(crate) fn get(&mut self, id: CallId) -> Option<&mut CallRecord> {
        self.list.iter_mut().find(|call| call.id == id)
    }

    /// The call with the phone's number, if it is not over.
    pub(crate) fn alive(&mut self, id: CallId) -> Option<&mut CallRecord> {
        self.get(id).filter(|call| !call.is_ended())
    }

    /// The call with the agent's number, if it is not over.
    pub(crate) fn by_sip(&mut self, sip: sip::CallHandle) -> Option<&mut CallRecord> {
        self.list
            .iter_mut()
            .find(|call| call.sip == sip && !call.is_ended())
    }

    /// The call with this stream, over or not.
    pub(crate) fn by_stream(&mut self, stream: StreamId) -> Option<&mut CallRecord> {
        self.list
            .iter_mut()
            .find(|call| call.stream == Some(stream))
    }

    pub(crate) fn remove(&mut self, id: CallId) -> Option<CallRecord> {
        let index = self.list.iter().position(|call| call.id == id)?;
        Some(self.list.remove(index))
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
