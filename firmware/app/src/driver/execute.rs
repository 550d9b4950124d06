//! Carries out what `Control` wants done.

use std::time::Instant;

use control::{Event, Output};
use phone::Maintenance;
use types::{Lamp, LampState};

use super::Driver;
use crate::appliance::Ending;

impl Driver {
    /// Carries out everything that waits.
    pub(super) fn execute(&mut self) {
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sip(message) => self.network.send(message, &mut self.control),
                Output::Connect {
                    connection,
                    remote,
                    transport,
                    names,
                } => self
                    .network
                    .connect(connection, remote, transport, &names, &mut self.control),
                Output::Disconnect(connection) => self.network.disconnect(connection),
                Output::Lookup(lookup) => self.network.look_up(lookup, &mut self.control),
                Output::TurnLink(link) => self.network.link_turn(link, &mut self.control),
                Output::OpenMedia(stream) => self.sound.open_media(stream, &mut self.control),
                Output::OpenGroup { stream, group } => {
                    self.sound.open_group(stream, group, &mut self.control);
                }
                Output::CloseMedia(stream) => self.sound.close_media(stream),
                Output::Media(command) => self.sound.command(command),
                Output::Datagram(datagram) => self.sound.send_datagram(&datagram),
                Output::Keep { file, text } => self.housekeeping.store(file, text),
                Output::WriteSettings(text) => self.housekeeping.write_settings(text),
                Output::Maintenance(what) => self.maintain(what),
                Output::SetUpServer(url) => {
                    self.housekeeping.set_up_server(&url, Instant::now());
                }
                Output::Fetch(url) => self.actions.fetch(url),
                Output::Publish(publication) => self.network.publish(publication),
                Output::LookUpConfiguration => self.housekeeping.refresh(Instant::now()),
                Output::Ring(cadence) => {
                    if let Some(board) = self.board.as_mut() {
                        board.ring(cadence.as_deref(), Instant::now());
                    }
                }
                Output::Lamp(lamp, state) => self.light(lamp, state),
                Output::Event(event) => self.service.publish(&event),
            }
        }
        while let Some(what) = self.sound.poll_notice() {
            self.service.publish(&Event::Audio { what });
        }
    }

    /// Carries out what keys ordered.
    pub(super) fn maintain(&mut self, what: Maintenance) {
        match what {
            Maintenance::SelfTest => self.end_by_keys(Ending::SelfTest),
            Maintenance::Reboot => self.end_by_keys(Ending::Reboot),
            Maintenance::FactoryReset => self.housekeeping.factory_reset(),
            Maintenance::HistoryToCard => {
                let csv = self.control.history_csv();
                self.housekeeping.history_to_card(csv);
            }
            Maintenance::Bundle => {
                let parts = self.bundle();
                self.housekeeping.bundle_to_card(parts);
            }
        }
    }

    fn light(&mut self, lamp: Lamp, state: LampState) {
        // Lamps of a phone without a board are seen by whoever listens to events.
        self.service.publish(&Event::Lamp { lamp, state });
        if let Some(board) = self.board.as_mut() {
            board.lamp(lamp, state, Instant::now());
        }
    }
}
