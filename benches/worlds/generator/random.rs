//! Numbers that the seed and a name give.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::MakeUp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub struct Random(ChaCha8Rng);

impl Random {
    /// A stream of its own for each subject, whatever is drawn for others.
    pub fn of(seed: u64, subject: &str) -> Self {
        let mut bytes = [0_u8; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        for (place, byte) in subject.bytes().enumerate() {
            let slot = &mut bytes[8 + place % 24];
            *slot = slot.wrapping_mul(31).wrapping_add(byte).wrapping_add(place as u8);
        }
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// Between 0 and 1.
    pub fn share(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// Between two numbers.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Whether something happens that happens so often.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.share() < chance
    }

    /// A whole number from `low` on, below `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        if high > low { self.0.random_range(low..high) } else { low }
    }

    /// Normal about 0: the sum of twelve.
    pub fn normal(&mut self, deviation: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.share()).sum();
        (sum - 6.0) * deviation
    }

    /// Shares of a day that are visible at 0, 1 and 2 days. Bills by the hour arrive sooner.
    pub fn visible(&mut self, make_up: MakeUp) -> [f64; 3] {
        let base = if make_up == MakeUp::Hourly { 0.75 } else { 0.3 };
        let first = self.within(base, base + 0.2);
        let second = self.within(0.85, 0.99).max(first);
        [first, second, self.within(0.97, 1.0).max(second)]
    }
}
