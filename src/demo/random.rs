use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A stream of numbers for one thing, the same whatever else is generated before it.
pub fn stream(seed: u64, subject: &str) -> ChaCha8Rng {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(subject.as_bytes());
    ChaCha8Rng::from_seed(hasher.finalize().into())
}

/// Roughly normal around zero with the given spread: the mean of six uniforms.
pub fn noise(random: &mut ChaCha8Rng, spread: f64) -> f64 {
    let sum: f64 = (0..6).map(|_| random.random::<f64>() - 0.5).sum();
    sum * spread * std::f64::consts::SQRT_2
}

/// A 40-digit commit hash.
pub fn sha(random: &mut ChaCha8Rng) -> String {
    hex::encode((0..20).map(|_| random.random::<u8>()).collect::<Vec<_>>())
}

/// One of several.
pub fn pick<'a, T>(random: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}
