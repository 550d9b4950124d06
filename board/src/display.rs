//! The display: a small OLED on an I2C bus, or a framebuffer of the kernel.
//!
//! ```text
//! Picture, Light ─▶ Panel ─┬▶ Oled         only what changed, as pages ─▶ embedded-hal I2C ─▶ /dev/i2c-N
//!                          └▶ Framebuffer  only rows that changed ─▶ /dev/fbN
//! ```
//!
//! What is seen is not known here: a picture is lit and dark pixels. A panel may take many
//! milliseconds (64 × 128 pixels at 100 kHz: 100 ms), so its owner has a thread for it.

mod framebuffer;
mod i2c;
mod oled;
#[cfg(test)]
mod tests;

pub use framebuffer::{Framebuffer, Geometry};
pub use i2c::LinuxI2c;
pub use oled::Oled;

use crate::BoardError;
pub use crate::profile::Rotation;
use crate::profile::{Controller, Display};

/// Lit and dark pixels: rows from the top, each of whole bytes, the leftmost pixel in the highest
/// bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture<'a> {
    width: u32,
    height: u32,
    bits: &'a [u8],
}

impl<'a> Picture<'a> {
    /// A picture of this size; pixels that `bits` does not have are dark.
    pub fn new(width: u32, height: u32, bits: &'a [u8]) -> Self {
        Self {
            width,
            height,
            bits,
        }
    }

    /// Whether a pixel is lit; outside nothing is.
    pub fn is_lit(&self, x: u32, y: u32) -> bool {
        let stride = (self.width as usize).div_ceil(8);
        let byte = self.bits.get(y as usize * stride + x as usize / 8);
        x < self.width && y < self.height && byte.is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
    }
}

/// How bright a panel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Light {
    /// As its owner set it.
    Full,
    /// Can be read in the dark.
    Dim,
    /// Nothing is seen.
    Off,
}

/// A display.
pub trait Panel: Send {
    /// Pixels across and down, as a person sees it.
    fn size(&self) -> (u32, u32);
    /// Shows a picture at this brightness; sends only what is not shown already. After an error all
    /// is sent again, the set-up of the panel included: it may have been unplugged.
    fn show(&mut self, picture: &Picture<'_>, light: Light) -> Result<(), BoardError>;
}

/// Opens the display of a profile.
///
/// # Errors
/// The bus or framebuffer cannot be had. A display that is not on its bus is an error of the first
/// [`Panel::show`].
pub fn open(display: &Display) -> Result<Box<dyn Panel>, BoardError> {
    let device = display.device();
    match display.controller {
        Controller::Ssd1306 | Controller::Sh1106 => {
            let bus = LinuxI2c::open(&device)?;
            Ok(Box::new(Oled::new(bus, display)))
        }
        Controller::Framebuffer => Ok(Box::new(Framebuffer::open(&device, display.rotation())?)),
    }
}
