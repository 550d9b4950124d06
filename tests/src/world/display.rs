//! A phone's display, and what its settings lack.

use super::{PhoneId, World, secs};

impl World {
    /// Something is wrong with this phone's settings.
    pub fn set_config_fault(&mut self, id: PhoneId, code: u8) {
        self.phones[id.0].control.set_config_fault(Some(code));
    }

    /// This phone has no settings, and keys can make some.
    pub fn offer_set_up(&mut self, id: PhoneId) {
        self.phones[id.0].control.offer_set_up(true);
    }

    /// This phone has a display, which is dim after a minute and dark after ten.
    pub fn add_display(&mut self, id: PhoneId) {
        let now = self.base + self.now;
        let settings = control::DisplaySettings {
            dim_after: Some(secs(60)),
            off_after: Some(secs(600)),
        };
        self.phones[id.0].control.set_display(settings, now);
    }

    /// What it shows, and how bright it is.
    pub fn screen(&mut self, id: PhoneId) -> (display::Screen, control::Brightness) {
        let now = self.base + self.now;
        let shown = self.phones[id.0].control.screen(now);
        shown.unwrap_or_else(|| panic!("this phone has no display"))
    }
}
