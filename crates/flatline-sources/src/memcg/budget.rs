//! How many descriptors may be held open.

/// Counts held descriptors against a bound that shrinks when the host runs out of them.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    held: usize,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, held: 0 }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) const fn is_over(&self) -> bool {
        self.held > self.limit
    }

    pub(super) const fn is_unused(&self) -> bool {
        self.held == 0
    }

    /// Takes one descriptor if the budget has one left.
    pub(super) const fn take(&mut self) -> bool {
        let free = self.held < self.limit;
        if free {
            self.held += 1;
        }
        free
    }

    /// Gives one back.
    pub(super) const fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// The host has run out: leave an eighth of what is held, and at least 16, to others.
    pub(super) fn shrink(&mut self) {
        self.limit = self.held.saturating_sub((self.held / 8).max(16));
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn shrinks_below_what_is_held_until_nothing_is() {
        let mut budget = Budget::new(100);
        assert_eq!((0..200).filter(|_| budget.take()).count(), 100);
        budget.shrink();
        assert!(budget.is_over() && budget.limit() == 84);
        for _ in 0..90 {
            budget.give_back();
        }
        budget.shrink();
        assert_eq!(budget.limit(), 0);
        assert!(!budget.take());
    }
}
