use wide::u8x64;

const BLOCK: usize = 64;

/// The places of commas, quotes and line ends in a text, in their order: found 64 bytes at a time, because most cells
/// of a bill are so short that a search for each costs more than the look at its bytes.
pub(super) struct Separators<'a> {
    data: &'a [u8],
    /// Where the block starts that `marks` is about; one bit a byte, the lowest first.
    block: usize,
    marks: u64,
}

impl<'a> Separators<'a> {
    pub fn of(data: &'a [u8]) -> Self {
        Self { data, block: 0, marks: marks(data) }
    }
}

impl Iterator for Separators<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.marks == 0 {
            self.block += BLOCK;
            self.marks = marks(self.data.get(self.block..)?);
        }
        let place = self.block + self.marks.trailing_zeros() as usize;
        self.marks &= self.marks - 1;
        Some(place)
    }
}

#[inline]
fn marks(data: &[u8]) -> u64 {
    let bytes = match data.first_chunk::<BLOCK>() {
        Some(block) => u8x64::new(*block),
        None => {
            // Zeros are no separators.
            let mut block = [0; BLOCK];
            block[..data.len()].copy_from_slice(data);
            u8x64::new(block)
        }
    };
    let is = |byte: u8| bytes.simd_eq(u8x64::splat(byte));
    (is(b',') | is(b'"') | is(b'\n') | is(b'\r')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::Separators;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_separator_is_found_once(text in "[a,\"\n\ré]{0,300}") {
            let expected: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| b",\"\n\r".contains(byte))
                .map(|(place, _)| place).collect();
            prop_assert_eq!(Separators::of(text.as_bytes()).collect::<Vec<_>>(), expected);
        }
    }
}
