//! What is to be done by the owner of sockets, engine and board, in order; and what was emitted
//! last, so that each change is emitted once.

use std::collections::VecDeque;

use media::{Command, StreamId};
use types::{Lamp, LampState};

use crate::event::Event;
use crate::note::Note;
use crate::output::Output;
use crate::readable::displayable;

/// This many outputs unread means that no one reads them: an idle phone has none, a call a few.
const MAX_OUTPUTS: usize = 4096;

/// The queue of outputs.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    last_state: Option<phone::State>,
    last_tone: Option<phone::Tone>,
}

impl Outbox {
    /// Nothing to do; listeners know that the phone is in this state and silent.
    pub(crate) fn new(state: phone::State) -> Self {
        Self {
            last_state: Some(state),
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(crate) fn media(&mut self, command: Command) {
        self.push(Output::Media(command));
    }

    pub(crate) fn connect(&mut self, id: StreamId, connected: bool) {
        self.media(Command::Connect { id, connected });
    }

    pub(crate) fn lamp(&mut self, lamp: Lamp, state: LampState) {
        self.push(Output::Lamp(lamp, state));
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Something happened: in the log as it is, to listeners without what moves a cursor.
    pub(crate) fn note(&mut self, note: &Note) {
        let text = note.to_string();
        tracing::info!("{text}");
        self.emit(Event::Note {
            kind: note.kind(),
            text: displayable(&text),
        });
    }

    /// State and tone, where they are not what listeners know.
    pub(crate) fn emit_changes(&mut self, state: phone::State, tone: Option<phone::Tone>) {
        if self.last_state.replace(state) != Some(state) {
            tracing::debug!("state {}", state.as_str());
            self.emit(Event::State { state });
        }
        if std::mem::replace(&mut self.last_tone, tone) != tone {
            self.emit(Event::Tone {
                tone: tone.map(crate::tones::tone_name),
            });
        }
        if self.queue.len() > MAX_OUTPUTS {
            // Events are the only outputs that may be lost.
            self.queue
                .retain(|output| !matches!(output, Output::Event(_)));
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }
}
