//! An I2C bus of Linux, for writing (`/dev/i2c-N`, Documentation/i2c/dev-interface.rst).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use crate::BoardError;

/// Who is spoken to from now on; refused where a driver of the kernel has that address.
const I2C_SLAVE: u16 = 0x0703;

mod ioctl {
    nix::ioctl_write_int_bad!(set_address, super::I2C_SLAVE);
}

/// A bus.
#[derive(Debug)]
pub struct LinuxI2c {
    bus: File,
    /// Who is spoken to.
    address: Option<u8>,
}

/// What the kernel said.
#[derive(Debug)]
pub struct I2cError(io::Error);

impl std::fmt::Display for I2cError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.raw_os_error() {
            Some(libc::EREMOTEIO | libc::ENXIO) => f.write_str("nothing answers at its address"),
            Some(libc::EBUSY) => f.write_str("a driver of the kernel has its address"),
            _ => self.0.fmt(f),
        }
    }
}

impl embedded_hal::i2c::Error for I2cError {
    fn kind(&self) -> ErrorKind {
        match self.0.raw_os_error() {
            Some(libc::EREMOTEIO | libc::ENXIO) => {
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
            }
            Some(libc::EAGAIN) => ErrorKind::ArbitrationLoss,
            _ => ErrorKind::Other,
        }
    }
}

impl LinuxI2c {
    /// Opens a bus.
    ///
    /// # Errors
    /// There is none, or it may not be used.
    pub fn open(path: &Path) -> Result<Self, BoardError> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        match opened {
            Ok(bus) => Ok(Self { bus, address: None }),
            Err(error) => Err(BoardError::Device {
                device: format!("[display] {}", path.display()),
                problem: error.to_string(),
                help: match error.kind() {
                    io::ErrorKind::NotFound => {
                        "switch the bus on (dtparam=i2c_arm=on in config.txt, module i2c-dev), or \
                         name another device"
                    }
                    _ => "the phone needs the right to open it (group i2c)",
                }
                .to_owned(),
            }),
        }
    }

    fn select(&mut self, address: u8) -> Result<(), I2cError> {
        if self.address == Some(address) {
            return Ok(());
        }
        // SAFETY: the descriptor is open; the argument is a number.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let done = unsafe { ioctl::set_address(self.bus.as_raw_fd(), i32::from(address)) };
        done.map_err(|error| I2cError(error.into()))?;
        self.address = Some(address);
        Ok(())
    }
}

impl ErrorType for LinuxI2c {
    type Error = I2cError;
}

impl I2c for LinuxI2c {
    /// Each operation is a transfer of its own: displays are only written to.
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), I2cError> {
        self.select(address)?;
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    let written = self.bus.write(bytes).map_err(I2cError)?;
                    if written != bytes.len() {
                        return Err(I2cError(io::ErrorKind::WriteZero.into()));
                    }
                }
                Operation::Read(_) => return Err(I2cError(io::ErrorKind::Unsupported.into())),
            }
        }
        Ok(())
    }
}
