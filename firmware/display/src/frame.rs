//! Pixels of two kinds, lit and dark.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::BinaryColor;

/// A picture: rows from the top, each of whole bytes, the leftmost pixel in the highest bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    bits: Vec<u8>,
}

impl Frame {
    /// All dark.
    pub fn new(width: u32, height: u32) -> Self {
        let bits = vec![0; Self::stride_of(width) * height as usize];
        Self {
            width,
            height,
            bits,
        }
    }

    fn stride_of(width: u32) -> usize {
        (width as usize).div_ceil(8)
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All rows.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// How many pixels are lit.
    pub fn lit(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether a pixel is lit; outside nothing is.
    pub fn is_lit(&self, x: u32, y: u32) -> bool {
        x < self.width && y < self.height && {
            let byte = self.bits[self.index_of(x, y)];
            byte & (0x80 >> (x % 8)) != 0
        }
    }

    fn index_of(&self, x: u32, y: u32) -> usize {
        y as usize * Self::stride_of(self.width) + x as usize / 8
    }

    pub(crate) fn set(&mut self, x: u32, y: u32, lit: bool) {
        if x < self.width && y < self.height {
            let index = self.index_of(x, y);
            let bit = 0x80 >> (x % 8);
            if lit {
                self.bits[index] |= bit;
            } else {
                self.bits[index] &= !bit;
            }
        }
    }

    /// Each pixel `scale` times as large, in the middle of a frame of this size.
    pub(crate) fn enlarged(&self, scale: u32, width: u32, height: u32) -> Self {
        let mut large = Self::new(width, height);
        let left = width.saturating_sub(self.width * scale) / 2;
        let top = height.saturating_sub(self.height * scale) / 2;
        for y in 0..self.height * scale {
            for x in 0..self.width * scale {
                if self.is_lit(x / scale, y / scale) {
                    large.set(left + x, top + y, true);
                }
            }
        }
        large
    }
}

impl OriginDimensions for Frame {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Frame {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<BinaryColor>>,
    {
        for Pixel(point, color) in pixels {
            // What reaches over an edge is cut off.
            if let (Ok(x), Ok(y)) = (u32::try_from(point.x), u32::try_from(point.y)) {
                self.set(x, y, color.is_on());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_where_they_were_set() {
        let mut frame = Frame::new(10, 3);
        frame.set(0, 0, true);
        frame.set(9, 2, true);
        frame.set(10, 2, true);
        assert_eq!(frame.bits(), [0x80, 0, 0, 0, 0, 0x40]);
        assert!(frame.is_lit(9, 2) && !frame.is_lit(10, 2) && !frame.is_lit(8, 2));
        frame.set(9, 2, false);
        assert_eq!(frame.lit(), 1);
    }

    #[test]
    fn an_enlarged_frame_is_in_the_middle() {
        let mut frame = Frame::new(2, 1);
        frame.set(1, 0, true);
        let large = frame.enlarged(2, 6, 4);
        let lit: Vec<(u32, u32)> = (0..4)
            .flat_map(|y| (0..6).map(move |x| (x, y)))
            .filter(|(x, y)| large.is_lit(*x, *y))
            .collect();
        assert_eq!(lit, [(3, 1), (4, 1), (3, 2), (4, 2)]);
    }
}
