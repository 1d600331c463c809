//! What is drawn by lot: the same row of numbers for the same seed, for ever and on every machine.

/// Numbers from a seed (SplitMix64: it is part of what a seed means, so it stays as it is).
#[derive(Clone, Debug)]
pub struct Lots(u64);

impl Lots {
    /// The numbers of `seed`.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Other numbers that follow from these: for somebody who draws independently.
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Whether something happens that happens `times` times in a thousand.
    pub fn in_thousand(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// A number between two, both included; more often a small one.
    pub fn skewed(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from) + 1;
        let narrow = self.below(span) + 1;
        from + self.below(narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_means_the_same() {
        let mut lots = Lots::of(1);
        assert_eq!((lots.next(), lots.below(100)), (0x910A_2DEC_8902_5CC1, 19));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut lots = Lots::of(2);
        for _ in 0..1_000 {
            assert!((3..=9).contains(&lots.skewed(3, 9)));
            assert!(lots.below(4) < 4);
        }
    }
}
