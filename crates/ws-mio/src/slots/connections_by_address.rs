//! How many connections come from where.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ws_proto::PeerAddr;

/// Counts the connections of all loops by address.
#[derive(Debug, Default)]
pub(crate) struct AddressCounts(Mutex<HashMap<IpAddr, usize>>);

/// Those of one loop.
#[derive(Debug)]
pub(crate) struct ConnectionsByAddress {
    address_counts: Arc<AddressCounts>,
    /// How many connections one address may have; `usize::MAX` if nothing is
    /// counted.
    max: usize,
    taken: HashMap<u32, IpAddr>,
}

impl AddressCounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionsByAddress {
    pub(crate) fn new(address_counts: Arc<AddressCounts>, max: usize) -> Self {
        Self {
            address_counts,
            max,
            taken: HashMap::new(),
        }
    }

    /// Counts a connection, unless it was; `false` if that is one too many.
    /// One whose address is not known yet is counted later.
    pub(crate) fn take(&mut self, key: usize, peer: impl FnOnce() -> PeerAddr) -> bool {
        let key = key as u32;
        if self.max == usize::MAX || self.taken.contains_key(&key) {
            return true;
        }
        let Some(place) = peer().counted_ip() else {
            return true;
        };
        let mut address_counts = self.address_counts.lock();
        let count = address_counts.entry(place).or_default();
        if *count >= self.max && !fault!("address-unlimited") {
            return false;
        }
        *count += 1;
        drop(address_counts);
        self.taken.insert(key, place);
        true
    }

    /// Counts a connection no longer.
    pub(crate) fn leave(&mut self, key: u32) {
        if self.taken.is_empty() {
            return;
        }
        let Some(place) = self.taken.remove(&key) else {
            return;
        };
        let mut address_counts = self.address_counts.lock();
        if let Some(count) = address_counts.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                address_counts.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> impl FnOnce() -> PeerAddr + Copy {
        let address: IpAddr = address.parse().unwrap();
        move || PeerAddr::Socket((address, 1).into())
    }

    #[test]
    fn addresses_are_counted_over_all_loops_and_given_back() {
        let address_counts = Arc::new(AddressCounts::default());
        let mut loops = [
            ConnectionsByAddress::new(Arc::clone(&address_counts), 2),
            ConnectionsByAddress::new(Arc::clone(&address_counts), 2),
        ];
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(at);
        assert!(loops[0].take(0, a) && loops[1].take(0, a));
        assert!(!loops[0].take(1, a));
        assert!(loops[0].take(0, a), "it is counted once");
        assert!(loops[0].take(2, b));
        loops[1].leave(0);
        loops[1].leave(0);
        assert!(loops[0].take(1, a) && !loops[0].take(3, a));
        for key in 0..3 {
            loops[0].leave(key);
        }
        assert!(address_counts.lock().is_empty());
    }

    #[test]
    fn network_of_one_customer_counts_as_one() {
        let mut by_address = ConnectionsByAddress::new(Arc::default(), 1);
        assert!(by_address.take(0, at("2001:db8::1")));
        assert!(!by_address.take(1, at("2001:db8::2:0:0:1")));
        assert!(by_address.take(2, at("2001:db8:0:1::1")));
        assert!(by_address.take(3, at("192.0.2.1")));
        assert!(!by_address.take(4, at("::ffff:192.0.2.1")));
    }
}
