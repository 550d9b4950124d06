//! How a card lays its samples out, and mono i16 in between.
//!
//! ```text
//! card bytes (S16 | S24 | S24_3 | S32, 1–8 channels) ─to_mono─▶ i16 ─▶ engine ─▶ i16 ─write_mono─▶ card bytes
//! ```

use types::MicrophoneChannel;

/// A little-endian sample of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// 16 bits.
    S16,
    /// 24 bits in the low three of four bytes.
    S24,
    /// 24 bits in three bytes.
    S24In3,
    /// 32 bits.
    S32,
}

/// Sample format and channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) sample: Sample,
    pub(super) channels: usize,
    /// Captured: the channel that is the microphone.
    pub(super) microphone: MicrophoneChannel,
}

impl Layout {
    /// Bytes of one sample of one channel.
    fn width(self) -> usize {
        match self.sample {
            Sample::S16 => 2,
            Sample::S24In3 => 3,
            Sample::S24 | Sample::S32 => 4,
        }
    }

    /// Bytes of one frame.
    pub(super) fn frame(self) -> usize {
        self.width() * self.channels
    }

    fn get(self, bytes: &[u8]) -> i32 {
        let high = match self.sample {
            Sample::S16 => [bytes[0], bytes[1]],
            Sample::S24 | Sample::S24In3 => [bytes[1], bytes[2]],
            Sample::S32 => [bytes[2], bytes[3]],
        };
        i32::from(i16::from_le_bytes(high))
    }

    fn put(self, sample: i16, bytes: &mut [u8]) {
        let [low, high] = sample.to_le_bytes();
        match self.sample {
            Sample::S16 => bytes.copy_from_slice(&[low, high]),
            Sample::S24In3 => bytes.copy_from_slice(&[0, low, high]),
            // The fourth byte carries the sign: some cards read it.
            Sample::S24 => {
                bytes.copy_from_slice(&[0, low, high, if sample < 0 { 0xff } else { 0 }]);
            }
            Sample::S32 => bytes.copy_from_slice(&[0, 0, low, high]),
        }
    }

    /// The microphone's channel, or all of them (their mean, so nothing clips).
    pub(super) fn to_mono(self, bytes: &[u8], mono: &mut [i16]) {
        let low_high = |sample: &[u8]| i16::from_le_bytes([sample[0], sample[1]]);
        let chosen = match self.microphone {
            MicrophoneChannel::Mix => None,
            MicrophoneChannel::Left => Some(0),
            MicrophoneChannel::Right => Some(1),
        };
        if let Some(chosen) = chosen.filter(|_| self.channels > 1) {
            let from = chosen * self.width();
            for (to, frame) in mono.iter_mut().zip(bytes.chunks_exact(self.frame())) {
                *to = self.get(&frame[from..]) as i16;
            }
            return;
        }
        match (self.sample, self.channels) {
            // What most cards have goes without a choice and a division for each sample.
            (Sample::S16, 1) => mono
                .iter_mut()
                .zip(bytes.chunks_exact(2))
                .for_each(|(to, frame)| *to = low_high(frame)),
            (Sample::S16, 2) => mono
                .iter_mut()
                .zip(bytes.chunks_exact(4))
                .for_each(|(to, frame)| *to = low_high(frame).midpoint(low_high(&frame[2..]))),
            (Sample::S16 | Sample::S24 | Sample::S24In3 | Sample::S32, _) => {
                for (to, frame) in mono.iter_mut().zip(bytes.chunks_exact(self.frame())) {
                    let sum: i32 = frame
                        .chunks_exact(self.width())
                        .map(|sample| self.get(sample))
                        .sum();
                    *to = (sum / self.channels as i32) as i16;
                }
            }
        }
    }

    /// The same on every channel.
    pub(super) fn write_mono(self, mono: &[i16], bytes: &mut [u8]) {
        match (self.sample, self.channels) {
            (Sample::S16, 1) => mono
                .iter()
                .zip(bytes.chunks_exact_mut(2))
                .for_each(|(sample, frame)| frame.copy_from_slice(&sample.to_le_bytes())),
            (Sample::S16 | Sample::S24 | Sample::S24In3 | Sample::S32, _) => {
                for (&sample, frame) in mono.iter().zip(bytes.chunks_exact_mut(self.frame())) {
                    for to in frame.chunks_exact_mut(self.width()) {
                        self.put(sample, to);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sample: Sample, channels: usize) -> Layout {
        Layout {
            sample,
            channels,
            microphone: MicrophoneChannel::Mix,
        }
    }

    #[test]
    fn one_channel_is_the_microphone_and_the_other_is_not_heard() {
        for sample in [Sample::S16, Sample::S24, Sample::S24In3, Sample::S32] {
            for channels in 1..=4 {
                // Each channel holds another voice: the frame's number times its own.
                let all = layout(sample, channels);
                let mut bytes = vec![0; 5 * all.frame()];
                for (index, to) in bytes.chunks_exact_mut(all.width()).enumerate() {
                    all.put(
                        ((index / channels) * (index % channels + 1)) as i16 * 100,
                        to,
                    );
                }
                for (microphone, voice) in
                    [(MicrophoneChannel::Left, 1), (MicrophoneChannel::Right, 2)]
                {
                    let mut mono = [0; 5];
                    Layout { microphone, ..all }.to_mono(&bytes, &mut mono);
                    let voice = if channels == 1 { 1 } else { voice };
                    let wanted: Vec<i16> = (0..5).map(|frame| frame * voice * 100).collect();
                    assert_eq!(mono.as_slice(), wanted, "{all:?} {microphone:?}");
                }
            }
        }
    }

    #[test]
    fn every_layout_converts_both_ways_unchanged() {
        let mono: Vec<i16> = [0, 1, -1, 255, -256, 12_345, -12_345, i16::MAX, i16::MIN].to_vec();
        for sample in [Sample::S16, Sample::S24, Sample::S24In3, Sample::S32] {
            for channels in 1..=8 {
                let layout = layout(sample, channels);
                let mut bytes = vec![0xaa; mono.len() * layout.frame()];
                layout.write_mono(&mono, &mut bytes);
                let mut back = vec![0; mono.len()];
                layout.to_mono(&bytes, &mut back);
                assert_eq!(back, mono, "{layout:?}");
            }
        }
    }

    #[test]
    fn bytes_follow_the_alsa_sample_formats() {
        let bytes = |sample, value: i16| {
            let layout = layout(sample, 1);
            let mut bytes = vec![0xaa; layout.frame()];
            layout.write_mono(&[value], &mut bytes);
            bytes
        };
        assert_eq!(bytes(Sample::S16, 0x1234), [0x34, 0x12]);
        assert_eq!(bytes(Sample::S24In3, 0x1234), [0, 0x34, 0x12]);
        assert_eq!(bytes(Sample::S24, -2), [0, 0xfe, 0xff, 0xff]);
        assert_eq!(bytes(Sample::S32, -2), [0, 0, 0xfe, 0xff]);
    }

    #[test]
    fn loud_channels_do_not_clip() {
        let layout = layout(Sample::S16, 2);
        let mut mono = [0];
        layout.to_mono(&[0xff, 0x7f, 0xff, 0x7f], &mut mono);
        assert_eq!(mono, [i16::MAX]);
        layout.to_mono(&[0xff, 0x7f, 0, 0x80], &mut mono);
        assert_eq!(mono, [0]);
    }
}
