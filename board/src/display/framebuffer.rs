//! A framebuffer of Linux (Documentation/fb/api.rst): written row by row, only rows that changed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Light, Panel, Picture, Rotation};
use crate::BoardError;

/// Size and form of a framebuffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Pixels across, as its maker meant it.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Bytes of a row.
    pub stride: u32,
    /// Bits of a pixel: 1 (lowest bit first), 16 (RGB 565), 24 or 32.
    pub bits: u32,
}

/// Largest width and height; a larger one is a mistake.
const MAX_SIDE: u32 = 4096;

/// `struct fb_var_screeninfo` of `<linux/fb.h>`, as far as it matters; 160 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct Variable {
    width: u32,
    height: u32,
    virtual_size: [u32; 2],
    offset: [u32; 2],
    bits: u32,
    rest: [u32; 33],
}

/// `struct fb_fix_screeninfo`, as far as it matters.
#[repr(C)]
#[derive(Clone, Copy)]
struct Fixed {
    id: [u8; 16],
    memory: libc::c_ulong,
    length: u32,
    kind: [u32; 3],
    steps: [u16; 3],
    stride: u32,
    registers: libc::c_ulong,
    rest: [u32; 4],
}

mod ioctl {
    nix::ioctl_read_bad!(variable, 0x4600, super::Variable);
    nix::ioctl_read_bad!(fixed, 0x4602, super::Fixed);
}

/// A framebuffer.
#[derive(Debug)]
pub struct Framebuffer {
    file: File,
    name: String,
    geometry: Geometry,
    rotation: Rotation,
    /// The bytes of what is shown; empty: unknown.
    shown: Vec<u8>,
}

impl Framebuffer {
    /// Opens a device of the kernel.
    ///
    /// # Errors
    /// There is none, or its pixels have a form this phone does not write.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self, BoardError> {
        let failed = |problem: String, help: &str| BoardError::Device {
            device: format!("[display] {}", path.display()),
            problem,
            help: help.to_owned(),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| {
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "load the display's driver, or name another device",
                    _ => "the phone needs the right to open it (group video)",
                };
                failed(error.to_string(), help)
            })?;
        let geometry = geometry(&file).map_err(|error| {
            failed(
                error.to_string(),
                "this is no framebuffer; name one (/dev/fb0)",
            )
        })?;
        Self::with_geometry(file, &path.display().to_string(), geometry, rotation)
    }

    /// A file of this form.
    ///
    /// # Errors
    /// The form is none this phone writes.
    pub fn with_geometry(
        file: File,
        name: &str,
        geometry: Geometry,
        rotation: Rotation,
    ) -> Result<Self, BoardError> {
        let Geometry {
            width,
            height,
            stride,
            bits,
        } = geometry;
        let sides = 1..=MAX_SIDE;
        let fits = sides.contains(&width)
            && sides.contains(&height)
            && matches!(bits, 1 | 16 | 24 | 32)
            && stride >= (width * bits).div_ceil(8)
            && stride <= MAX_SIDE * 8;
        if !fits {
            return Err(BoardError::Device {
                device: format!("[display] {name}"),
                problem: format!(
                    "{width} × {height} pixels of {bits} bits, rows of {stride} bytes"
                ),
                help: "set the driver to 1, 16, 24 or 32 bits a pixel".to_owned(),
            });
        }
        Ok(Self {
            file,
            name: name.to_owned(),
            geometry,
            rotation,
            shown: Vec::new(),
        })
    }

    /// Which pixel of the picture is at a place of the device.
    fn source(&self, x: u32, y: u32) -> (u32, u32) {
        let Geometry { width, height, .. } = self.geometry;
        match self.rotation {
            Rotation::None => (x, y),
            Rotation::Quarter => (y, width - 1 - x),
            Rotation::Half => (width - 1 - x, height - 1 - y),
            Rotation::ThreeQuarters => (height - 1 - y, x),
        }
    }

    fn row(&self, y: u32, picture: &Picture<'_>, light: Light, row: &mut [u8]) {
        let (full, dim): (&[u8], &[u8]) = match self.geometry.bits {
            16 => (&[0xff, 0xff], &[0x08, 0x42]),
            24 => (&[0xff; 3], &[0x40; 3]),
            _ => (&[0xff, 0xff, 0xff, 0], &[0x40, 0x40, 0x40, 0]),
        };
        let pixel = match light {
            Light::Full => full,
            Light::Dim => dim,
            Light::Off => return,
        };
        for x in 0..self.geometry.width {
            let (from_x, from_y) = self.source(x, y);
            if !picture.is_lit(from_x, from_y) {
                continue;
            }
            if self.geometry.bits == 1 {
                row[x as usize / 8] |= 1 << (x % 8);
            } else {
                let at = x as usize * pixel.len();
                row[at..at + pixel.len()].copy_from_slice(pixel);
            }
        }
    }
}

impl Panel for Framebuffer {
    fn size(&self) -> (u32, u32) {
        let Geometry { width, height, .. } = self.geometry;
        if self.rotation.is_upright() {
            (height, width)
        } else {
            (width, height)
        }
    }

    fn show(&mut self, picture: &Picture<'_>, light: Light) -> Result<(), BoardError> {
        let stride = self.geometry.stride as usize;
        let before = std::mem::take(&mut self.shown);
        let mut all = vec![0; stride * self.geometry.height as usize];
        for (y, row) in all.chunks_exact_mut(stride).enumerate() {
            self.row(y as u32, picture, light, row);
            let at = y * stride;
            if before.get(at..at + stride) == Some(&*row) {
                continue;
            }
            self.file
                .write_all_at(row, at as u64)
                .map_err(|error| BoardError::Gone {
                    device: format!("[display] {}", self.name),
                    problem: error.to_string(),
                })?;
        }
        self.shown = all;
        Ok(())
    }
}

fn geometry(file: &File) -> io::Result<Geometry> {
    let mut variable = Variable {
        width: 0,
        height: 0,
        virtual_size: [0; 2],
        offset: [0; 2],
        bits: 0,
        rest: [0; 33],
    };
    let mut fixed = Fixed {
        id: [0; 16],
        memory: 0,
        length: 0,
        kind: [0; 3],
        steps: [0; 3],
        stride: 0,
        registers: 0,
        rest: [0; 4],
    };
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open, and both structures live through their calls and have the
    // sizes that the kernel writes.
    #[expect(unsafe_code, reason = "see SAFETY above")]
    unsafe {
        ioctl::variable(fd, &raw mut variable)?;
        ioctl::fixed(fd, &raw mut fixed)?;
    }
    Ok(Geometry {
        width: variable.width,
        height: variable.height,
        stride: fixed.stride,
        bits: variable.bits,
    })
}

/// What the kernel writes.
const _: () = {
    assert!(size_of::<Variable>() == 160);
    assert!(
        size_of::<Fixed>()
            == if cfg!(target_pointer_width = "64") {
                80
            } else {
                68
            }
    );
};
