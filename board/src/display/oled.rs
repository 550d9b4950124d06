//! OLEDs of 128 × 64 pixels with an SSD1306 or SH1106 (their data sheets; both are written to page
//! by page, a page is eight rows and a byte is a column of it, the upper pixel in the lowest bit).
//!
//! ```text
//! first, and after an error: switched off, set up ─▶ pages that changed, each from its first to its last changed column ─▶ on
//! ```

use embedded_hal::i2c::I2c;

use super::{Light, Panel, Picture, Rotation};
use crate::BoardError;
use crate::profile::{Controller, Display};

/// Pixels across.
pub(super) const WIDTH: usize = 128;
/// Pages of eight rows.
pub(super) const PAGES: usize = 8;
/// What follows are commands.
const COMMANDS: u8 = 0x00;
/// What follows are pixels.
const DATA: u8 = 0x40;
/// The SH1106 has 132 columns; those that are seen begin here.
const SH1106_OFFSET: u8 = 2;
/// Brightness that can be read in the dark.
const DIM: u8 = 0x01;

const DISPLAY_OFF: u8 = 0xae;
const DISPLAY_ON: u8 = 0xaf;
const CONTRAST: u8 = 0x81;

type Pages = [[u8; WIDTH]; PAGES];

/// An OLED on a bus.
#[derive(Debug)]
pub struct Oled<B> {
    bus: B,
    controller: Controller,
    address: u8,
    upside_down: bool,
    contrast: u8,
    /// What it shows and how bright; `None`: unknown, it is to be set up.
    shown: Option<(Pages, Light)>,
}

impl<B: I2c> Oled<B> {
    /// The display that a profile describes. Nothing is sent yet.
    pub fn new(bus: B, display: &Display) -> Self {
        Self {
            bus,
            controller: display.controller,
            address: display.address,
            upside_down: display.rotation() == Rotation::Half,
            contrast: display.contrast,
            shown: None,
        }
    }

    fn commands(&mut self, commands: &[u8]) -> Result<(), B::Error> {
        let mut bytes = vec![COMMANDS];
        bytes.extend_from_slice(commands);
        self.bus.write(self.address, &bytes)
    }

    fn set_up(&mut self) -> Result<(), B::Error> {
        let (columns, rows) = if self.upside_down {
            (0xa0, 0xc0)
        } else {
            (0xa1, 0xc8)
        };
        // Both: clock, 64 rows, no offset, first row 0, direction, how the rows are wired,
        // precharge, deselect level, pixels from memory, lit is lit.
        let common = [
            DISPLAY_OFF,
            0xd5,
            0x80,
            0xa8,
            0x3f,
            0xd3,
            0x00,
            0x40,
            columns,
            rows,
            0xda,
            0x12,
            0xd9,
            0xf1,
            0xdb,
            0x40,
            0xa4,
            0xa6,
        ];
        self.commands(&common)?;
        match self.controller {
            // Charge pump on, addressed by page, no scrolling.
            Controller::Ssd1306 => self.commands(&[0x8d, 0x14, 0x20, 0x02, 0x2e]),
            // Converter on.
            Controller::Sh1106 => self.commands(&[0xad, 0x8b]),
            Controller::Framebuffer => Ok(()),
        }
    }

    fn update(&mut self, pages: &Pages, light: Light) -> Result<(), B::Error> {
        let before = self.shown.take();
        if before.is_none() {
            self.set_up()?;
        }
        for (number, page) in pages.iter().enumerate() {
            let known = before.as_ref().map(|(pages, _)| &pages[number]);
            self.update_page(number, known, page)?;
        }
        let light_before = before.map(|(_, light)| light);
        if light_before != Some(light) {
            self.set_light(light)?;
        }
        self.shown = Some((*pages, light));
        Ok(())
    }

    fn update_page(
        &mut self,
        number: usize,
        known: Option<&[u8; WIDTH]>,
        page: &[u8; WIDTH],
    ) -> Result<(), B::Error> {
        let differs = |column: &usize| known.is_none_or(|known| known[*column] != page[*column]);
        let (Some(first), Some(last)) = ((0..WIDTH).find(differs), (0..WIDTH).rev().find(differs))
        else {
            return Ok(());
        };
        let offset = match self.controller {
            Controller::Sh1106 => SH1106_OFFSET,
            Controller::Ssd1306 | Controller::Framebuffer => 0,
        };
        let column = first as u8 + offset;
        self.commands(&[0xb0 | number as u8, column & 0x0f, 0x10 | column >> 4])?;
        let mut bytes = vec![DATA];
        bytes.extend_from_slice(&page[first..=last]);
        self.bus.write(self.address, &bytes)
    }

    fn set_light(&mut self, light: Light) -> Result<(), B::Error> {
        match light {
            Light::Full => self.commands(&[CONTRAST, self.contrast, DISPLAY_ON]),
            Light::Dim => self.commands(&[CONTRAST, DIM.min(self.contrast), DISPLAY_ON]),
            Light::Off => self.commands(&[DISPLAY_OFF]),
        }
    }
}

impl<B: I2c<Error: std::fmt::Display> + Send> Panel for Oled<B> {
    fn size(&self) -> (u32, u32) {
        (WIDTH as u32, PAGES as u32 * 8)
    }

    fn show(&mut self, picture: &Picture<'_>, light: Light) -> Result<(), BoardError> {
        let mut pages = [[0; WIDTH]; PAGES];
        for (number, page) in pages.iter_mut().enumerate() {
            for (x, byte) in page.iter_mut().enumerate() {
                for bit in 0..8 {
                    let y = number as u32 * 8 + bit;
                    *byte |= u8::from(picture.is_lit(x as u32, y)) << bit;
                }
            }
        }
        self.update(&pages, light)
            .map_err(|error| BoardError::Gone {
                device: format!(
                    "[display] {} at address {:#04x}",
                    self.controller.as_str(),
                    self.address
                ),
                problem: error.to_string(),
            })
    }
}
