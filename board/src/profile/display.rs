//! `[display]`: what shows time, caller and menu.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::GpioLine;
use crate::gpio::LineName;

/// The chip of its header.
const RASPBERRY_PI: &str = "pinctrl-bcm2835";

/// How a display is mounted: the upper edge of what it shows is this far from where its maker meant
/// it to be, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// As made.
    #[default]
    None,
    /// A quarter turn.
    Quarter,
    /// Upside down.
    Half,
    /// Three quarters.
    ThreeQuarters,
}

impl Rotation {
    /// By degrees.
    pub fn from_degrees(degrees: u16) -> Option<Self> {
        match degrees {
            0 => Some(Self::None),
            90 => Some(Self::Quarter),
            180 => Some(Self::Half),
            270 => Some(Self::ThreeQuarters),
            _ => None,
        }
    }

    /// It stands on its side.
    pub fn is_upright(self) -> bool {
        matches!(self, Self::Quarter | Self::ThreeQuarters)
    }
}

/// What drives the display's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// An OLED of 128 × 64 pixels on an I2C bus.
    Ssd1306,
    /// The same with the other usual controller: 1.3 inches across.
    Sh1106,
    /// A driver of the kernel.
    Framebuffer,
}

impl Controller {
    /// Its name in `hardware.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssd1306 => "ssd1306",
            Self::Sh1106 => "sh1106",
            Self::Framebuffer => "framebuffer",
        }
    }
}

/// `[display]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// What it is.
    pub controller: Controller,
    /// The bus, or the framebuffer; `None`: the usual one.
    device: Option<PathBuf>,
    /// Its address on the bus.
    #[serde(default = "address")]
    pub address: u8,
    /// Degrees, clockwise.
    #[serde(default)]
    rotation: u16,
    /// Brightness of an OLED.
    #[serde(default = "contrast")]
    pub contrast: u8,
    /// Seconds without use until it is dim; 0: never.
    #[serde(default = "dim_after")]
    dim_after_s: u32,
    /// Seconds without use until it is dark; 0: never.
    #[serde(default = "off_after")]
    off_after_s: u32,
}

impl Display {
    /// The bus, or the framebuffer.
    pub fn device(&self) -> PathBuf {
        let usual = match self.controller {
            Controller::Ssd1306 | Controller::Sh1106 => "/dev/i2c-1",
            Controller::Framebuffer => "/dev/fb0",
        };
        self.device.clone().unwrap_or_else(|| usual.into())
    }

    /// How it is mounted.
    pub fn rotation(&self) -> Rotation {
        Rotation::from_degrees(self.rotation).unwrap_or_default()
    }

    /// How long without use until it is dim, if ever.
    pub fn dim_after(&self) -> Option<Duration> {
        some_seconds(self.dim_after_s)
    }

    /// How long without use until it is dark, if ever.
    pub fn off_after(&self) -> Option<Duration> {
        some_seconds(self.off_after_s)
    }

    /// What is wrong with it, and what would be right.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let rotation = Rotation::from_degrees(self.rotation);
        let (fits, known) = match self.controller {
            Controller::Ssd1306 | Controller::Sh1106 => (
                rotation.is_some_and(|rotation| !rotation.is_upright()),
                "an OLED is mounted at 0 or 180",
            ),
            Controller::Framebuffer => (rotation.is_some(), "it is 0, 90, 180 or 270"),
        };
        if !fits {
            let problem = format!("[display] rotation = {}", self.rotation);
            return Some((problem, known.to_owned()));
        }
        // The others are reserved (UM10204 section 3.1.12).
        if !(0x08..=0x77).contains(&self.address) {
            let problem = format!("[display] address = {:#04x}", self.address);
            let help = "that of a display is 0x3c or 0x3d, any on the bus 0x08 to 0x77";
            return Some((problem, help.to_owned()));
        }
        None
    }

    /// It is on the bus whose wires are the lines 2 and 3 of a Raspberry Pi.
    fn uses_lines_2_and_3(&self) -> bool {
        self.controller != Controller::Framebuffer && self.device() == Path::new("/dev/i2c-1")
    }
}

/// A line of a Raspberry Pi that is a wire of the display's bus, too.
pub(super) fn line_of_bus<'a>(
    display: Option<&Display>,
    chip: &str,
    lines: impl Iterator<Item = (&'static str, &'a GpioLine)>,
) -> Option<(&'static str, &'a GpioLine)> {
    let on_bus = chip == RASPBERRY_PI && display.is_some_and(Display::uses_lines_2_and_3);
    let mut lines = lines.filter(|_| on_bus);
    lines.find(|(_, line)| match &line.name {
        LineName::Number(number) => matches!(number, 2 | 3),
        LineName::Name(name) => matches!(name.as_str(), "GPIO2" | "GPIO3" | "SDA1" | "SCL1"),
    })
}

fn some_seconds(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}
fn address() -> u8 {
    0x3c
}
fn contrast() -> u8 {
    0xcf
}
fn dim_after() -> u32 {
    30
}
fn off_after() -> u32 {
    600
}
