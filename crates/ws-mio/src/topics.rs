//! Who is subscribed to what.

use std::{collections::HashMap, sync::Arc};

/// The topics of one loop, and its subscribers by their keys.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, Vec<u32>>,
    /// The topics of each subscriber, and where it stands among the
    /// subscribers of each.
    by_subscriber: HashMap<u32, Vec<Subscription>>,
}

#[derive(Debug)]
struct Subscription {
    topic: Arc<str>,
    position: usize,
}

impl Topics {
    /// Subscribes; does nothing if `key` is subscribed already.
    pub(crate) fn subscribe(&mut self, key: u32, topic: &Arc<str>) {
        let subscriptions = self.by_subscriber.entry(key).or_default();
        if subscriptions
            .iter()
            .any(|subscription| subscription.topic == *topic)
        {
            return;
        }
        let subscribers = self.by_name.entry(Arc::clone(topic)).or_default();
        subscriptions.push(Subscription {
            topic: Arc::clone(topic),
            position: subscribers.len(),
        });
        subscribers.push(key);
    }

    /// Unsubscribes; does nothing if `key` is not subscribed.
    pub(crate) fn unsubscribe(&mut self, key: u32, topic: &str) {
        let Some(subscriptions) = self.by_subscriber.get_mut(&key) else {
            return;
        };
        let is_it = |subscription: &Subscription| &*subscription.topic == topic;
        let Some(index) = subscriptions.iter().position(is_it) else {
            return;
        };
        let subscription = subscriptions.swap_remove(index);
        if subscriptions.is_empty() {
            self.by_subscriber.remove(&key);
        }
        self.take_out(&subscription);
    }

    /// Unsubscribes from everything.
    pub(crate) fn remove(&mut self, key: u32) {
        for subscription in self.by_subscriber.remove(&key).unwrap_or_default() {
            self.take_out(&subscription);
        }
    }

    /// Returns the subscribers of a topic.
    pub(crate) fn subscribers(&self, topic: &str) -> &[u32] {
        self.by_name.get(topic).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_subscriber.is_empty()
    }

    /// Takes a subscriber out of a topic; the last one takes its place.
    fn take_out(&mut self, subscription: &Subscription) {
        let Some(subscribers) = self.by_name.get_mut(&subscription.topic) else {
            return;
        };
        subscribers.swap_remove(subscription.position);
        if let Some(moved) = subscribers.get(subscription.position) {
            let subscriptions = self.by_subscriber.get_mut(moved).into_iter().flatten();
            for other in subscriptions.filter(|other| other.topic == subscription.topic) {
                other.position = subscription.position;
            }
        } else if subscribers.is_empty() {
            self.by_name.remove(&subscription.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn topics_agree_with_a_plain_set_over_a_long_random_history() {
        let names: Vec<Arc<str>> = (0..5).map(|n| Arc::from(format!("topic {n}"))).collect();
        let mut topics = Topics::default();
        let mut model: BTreeSet<(usize, u32)> = BTreeSet::new();
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..20_000 {
            let (name, key) = (random(5) as usize, random(40) as u32);
            match random(10) {
                0..=4 => {
                    topics.subscribe(key, &names[name]);
                    model.insert((name, key));
                }
                5..=8 => {
                    topics.unsubscribe(key, &names[name]);
                    model.remove(&(name, key));
                }
                _ => {
                    topics.remove(key);
                    model.retain(|(_, other)| *other != key);
                }
            }
            for (index, name) in names.iter().enumerate() {
                let mut subscribers = topics.subscribers(name).to_vec();
                subscribers.sort_unstable();
                let expected: Vec<u32> = model
                    .iter()
                    .filter(|(n, _)| *n == index)
                    .map(|(_, key)| *key)
                    .collect();
                assert_eq!(subscribers, expected);
            }
            assert_eq!(topics.is_empty(), model.is_empty());
        }
    }
}
