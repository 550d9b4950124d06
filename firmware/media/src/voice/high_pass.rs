//! Takes out rumble, hum of half the mains and the weight of a hand on the table: a Butterworth
//! filter of the second order.

/// Where it is 3 dB down, in Hz.
const CUTOFF_HZ: f32 = 100.0;

/// The filter (transposed direct form II) and its memory.
pub(super) struct HighPass {
    b: [f32; 3],
    a: [f32; 2],
    memory: [f32; 2],
}

impl HighPass {
    pub(super) fn new(rate_hz: u32) -> Self {
        let k = (std::f32::consts::PI * CUTOFF_HZ / rate_hz as f32).tan();
        let norm = 1.0 / (1.0 + std::f32::consts::SQRT_2 * k + k * k);
        Self {
            b: [norm, -2.0 * norm, norm],
            a: [
                2.0 * (k * k - 1.0) * norm,
                (1.0 - std::f32::consts::SQRT_2 * k + k * k) * norm,
            ],
            memory: [0.0; 2],
        }
    }

    pub(super) fn process(&mut self, sound: &mut [i16]) {
        let ([b0, b1, b2], [a1, a2]) = (self.b, self.a);
        let [mut first, mut second] = self.memory;
        for sample in sound {
            let x = f32::from(*sample);
            let y = b0 * x + first;
            first = b1 * x - a1 * y + second;
            second = b2 * x - a2 * y;
            // `as` saturates.
            *sample = y.round() as i16;
        }
        self.memory = [first, second];
    }
}
