//! The cards this host is known to have, over reboots.

use flatline_sources::gpu::{Card, MAX_CARDS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// PCI vendor and device by the address of every card that has worked here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    cards: BTreeMap<String, String>,
}

impl Memory {
    /// Enters the cards that work and forgets those it is told to forget.
    ///
    /// Addresses change when something else is plugged in: a card that is new here, while one of the same model has
    /// left the bus, is that one. So the number of cards that should be there stays right.
    pub(super) fn update(&mut self, cards: &[Card], forget: &[String]) {
        self.cards.retain(|address, _| !forget.contains(address));
        for card in cards.iter().filter(|card| card.works() && !forget.contains(&card.address)) {
            if !self.cards.contains_key(&card.address) {
                let on_the_bus = |address: &String| cards.iter().any(|card| card.address == *address);
                let moved = self.cards.iter().find(|(address, ids)| **ids == card.ids && !on_the_bus(address));
                if let Some(moved) = moved.map(|(address, _)| address.clone()) {
                    tracing::info!(
                        from = moved,
                        to = card.address,
                        "a GPU of the same model is at another address now"
                    );
                    self.cards.remove(&moved);
                }
            }
            if self.cards.len() < MAX_CARDS || self.cards.contains_key(&card.address) {
                self.cards.insert(card.address.clone(), card.ids.clone());
            }
        }
    }

    pub(super) fn expects(&self, address: &str) -> bool {
        self.cards.contains_key(address)
    }

    /// The cards that should be there, and what they are.
    pub(super) fn cards(&self) -> impl Iterator<Item = (&String, &String)> {
        self.cards.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use flatline_sources::gpu::{Card, Vendor};

    fn card(address: &str, ids: &str, driver: &str) -> Card {
        Card {
            address: address.to_owned(),
            vendor: Vendor::Amd,
            ids: ids.to_owned(),
            driver: driver.to_owned(),
            driver_version: String::new(),
        }
    }

    fn known(memory: &Memory) -> Vec<&str> {
        memory.cards().map(|(address, _)| address.as_str()).collect()
    }

    const A: &str = "0000:03:00.0";
    const B: &str = "0000:04:00.0";

    #[test]
    fn a_card_that_worked_is_expected_whatever_becomes_of_it() {
        let mut memory = Memory::default();
        memory.update(&[card(A, "1002:7551", "amdgpu"), card(B, "1002:7551", "")], &[]);
        assert_eq!(known(&memory), [A], "the other has never worked");
        memory.update(&[card(A, "1002:7551", "")], &[]);
        memory.update(&[], &[]);
        assert!(memory.expects(A) && !memory.expects(B));
    }

    #[test]
    fn one_that_moved_is_not_missed_and_one_that_stayed_behind_is() {
        let mut memory = Memory::default();
        memory.update(&[card(A, "1002:7551", "amdgpu")], &[]);
        memory.update(&[card(B, "1002:7551", "amdgpu")], &[]);
        assert_eq!(known(&memory), [B]);
        memory.update(&[card(A, "1002:744c", "amdgpu")], &[]);
        assert_eq!(known(&memory), [A, B], "another model is another card");
        let mut pair = Memory::default();
        pair.update(&[card(A, "1002:7551", "amdgpu"), card(B, "1002:7551", "amdgpu")], &[]);
        pair.update(&[card("0000:05:00.0", "1002:7551", "amdgpu")], &[]);
        assert_eq!(known(&pair).len(), 2, "two are expected, wherever they are");
    }

    #[test]
    fn one_whose_driver_failed_is_not_taken_for_moved() {
        let mut memory = Memory::default();
        memory.update(&[card(A, "1002:7551", "amdgpu")], &[]);
        memory.update(&[card(A, "1002:7551", ""), card(B, "1002:7551", "amdgpu")], &[]);
        assert_eq!(known(&memory), [A, B]);
    }

    #[test]
    fn what_is_to_be_forgotten_is_not_learnt_again() {
        let mut memory = Memory::default();
        memory.update(&[card(A, "1002:7551", "amdgpu")], &[]);
        for _ in 0..2 {
            memory.update(&[card(A, "1002:7551", "amdgpu")], &[A.to_owned()]);
            assert_eq!(known(&memory), [""; 0]);
        }
    }
}
