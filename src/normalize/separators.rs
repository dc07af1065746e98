use wide::u8x64;

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;

/// The commas, and apart from them the quotes and line ends, of a text: found 64 bytes at a time, because most cells
/// of a bill are so short that a search for each costs more than the look at its bytes.
pub(super) struct Separators<'a> {
    data: &'a [u8],
    /// Where the block starts that both masks are about; one bit a byte, the lowest first.
    pub block: usize,
    commas: u64,
    /// Quotes and line ends.
    others: u64,
}

impl<'a> Separators<'a> {
    pub fn of(data: &'a [u8]) -> Self {
        let (commas, others) = masks(data);
        Self { data, block: 0, commas, others }
    }

    /// The commas of this block up to its next quote or line end, one bit each; they are not given again.
    #[inline]
    pub fn take_commas(&mut self) -> u64 {
        let before = self.others.wrapping_sub(1) & !self.others;
        let commas = self.commas & before;
        self.commas &= !before;
        commas
    }

    /// The place of the next quote or line end of this block.
    #[inline]
    pub fn take_other(&mut self) -> Option<usize> {
        if self.others == 0 {
            return None;
        }
        let place = self.block + self.others.trailing_zeros() as usize;
        self.others &= self.others - 1;
        Some(place)
    }

    /// The place of the next quote or line end, whatever the block.
    #[inline]
    pub fn next_other(&mut self) -> Option<usize> {
        loop {
            if let Some(place) = self.take_other() {
                return Some(place);
            }
            if !self.advance() {
                return None;
            }
        }
    }

    /// Passes over the commas of this block that stand before a place.
    #[inline]
    pub fn drop_commas_before(&mut self, place: usize) {
        let bit = place.saturating_sub(self.block);
        self.commas &= if bit < BLOCK { u64::MAX << bit } else { 0 };
    }

    /// Goes on to the next block; false behind the last.
    #[inline]
    pub fn advance(&mut self) -> bool {
        self.block += BLOCK;
        let Some(rest) = self.data.get(self.block..) else {
            self.commas = 0;
            return false;
        };
        (self.commas, self.others) = masks(rest);
        !rest.is_empty()
    }
}

#[inline]
fn masks(data: &[u8]) -> (u64, u64) {
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
    (is(b',').to_bitmask(), (is(b'"') | is(b'\n') | is(b'\r')).to_bitmask())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_separator_is_found_once(text in "[a,\"\n\ré]{0,300}") {
            let expected: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| b",\"\n\r".contains(byte))
                .map(|(place, _)| place).collect();
            let mut separators = Separators::of(text.as_bytes());
            let mut found = Vec::new();
            loop {
                let mut commas = separators.take_commas();
                while commas != 0 {
                    found.push(separators.block + commas.trailing_zeros() as usize);
                    commas &= commas - 1;
                }
                match separators.take_other() {
                    Some(place) => found.push(place),
                    None if !separators.advance() => break,
                    None => {}
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
