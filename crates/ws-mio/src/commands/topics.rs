//! Who is subscribed to what.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use crate::{commands::topic_sizes::TopicSizes, slots::arena::Arena};

/// The topics of one loop, and its subscribers by their keys.
///
/// Whoever subscribes to a thousand topics, and leaves, costs the others no
/// more than a thousand steps.
#[derive(Debug)]
pub(crate) struct Topics {
    by_name: HashMap<Arc<str>, u32>,
    topics: Arena<Topic>,
    /// The topics of each subscriber.
    by_subscriber: HashMap<u32, Vec<u32>>,
    /// Where each subscriber stands among those of each of its topics.
    places: HashMap<(u32, u32), u32>,
    /// Where all loops tell how many subscribers their topics have.
    sizes: Arc<TopicSizes>,
    /// Which of the loops this is.
    index: usize,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    subscribers: Vec<u32>,
}

impl Topics {
    pub(crate) fn new(sizes: Arc<TopicSizes>, index: u16) -> Self {
        Self {
            by_name: HashMap::new(),
            topics: Arena::new(),
            by_subscriber: HashMap::new(),
            places: HashMap::new(),
            sizes,
            index: index.into(),
        }
    }

    /// Subscribes; does nothing if `key` is subscribed already.
    pub(crate) fn subscribe(&mut self, key: u32, name: &Arc<str>) {
        let number = match self.by_name.get(name) {
            Some(&number) => number,
            None => self.add(name),
        };
        let subscribers = &mut self.topics[number as usize].subscribers;
        if let Entry::Vacant(place) = self.places.entry((key, number)) {
            place.insert(subscribers.len() as u32);
            subscribers.push(key);
            self.by_subscriber.entry(key).or_default().push(number);
            self.sizes.set(self.index, name, subscribers.len());
        }
    }

    fn add(&mut self, name: &Arc<str>) -> u32 {
        let topic = Topic {
            name: Arc::clone(name),
            subscribers: Vec::new(),
        };
        let number = self.topics.insert(topic) as u32;
        self.by_name.insert(Arc::clone(name), number);
        number
    }

    /// Unsubscribes; does nothing if `key` is not subscribed.
    pub(crate) fn unsubscribe(&mut self, key: u32, name: &str) {
        let Some(&number) = self.by_name.get(name) else {
            return;
        };
        let Some(topics) = self.by_subscriber.get_mut(&key) else {
            return;
        };
        let Some(index) = topics.iter().position(|other| *other == number) else {
            return;
        };
        topics.swap_remove(index);
        if topics.is_empty() {
            self.by_subscriber.remove(&key);
        }
        self.take_out(key, number);
    }

    /// Unsubscribes from everything.
    pub(crate) fn remove(&mut self, key: u32) {
        for number in self.by_subscriber.remove(&key).unwrap_or_default() {
            self.take_out(key, number);
        }
    }

    /// Returns the subscribers of a topic.
    pub(crate) fn subscribers(&self, name: &str) -> &[u32] {
        let number = self.by_name.get(name);
        number.map_or(&[], |number| &self.topics[*number as usize].subscribers)
    }

    /// Returns how many subscribers a topic has in all loops.
    pub(crate) fn subscriber_count(&self, name: &str) -> usize {
        self.sizes.sum(name)
    }

    /// Returns the topics of a subscriber.
    pub(crate) fn topics_of(&self, key: u32) -> impl Iterator<Item = &str> {
        let numbers = self.by_subscriber.get(&key).into_iter().flatten();
        numbers.map(|number| &*self.topics[*number as usize].name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_subscriber.is_empty()
    }

    /// Takes a subscriber out of a topic; the last one takes its place.
    fn take_out(&mut self, key: u32, number: u32) {
        let Some(place) = self.places.remove(&(key, number)) else {
            return;
        };
        let topic = &mut self.topics[number as usize];
        topic.subscribers.swap_remove(place as usize);
        self.sizes
            .set(self.index, &topic.name, topic.subscribers.len());
        if let Some(moved) = topic.subscribers.get(place as usize) {
            self.places.insert((*moved, number), place);
        } else if topic.subscribers.is_empty()
            && let Some(topic) = self.topics.remove(number as usize)
        {
            self.by_name.remove(&topic.name);
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
        let sizes = Arc::new(TopicSizes::new(2));
        let mut topics = Topics::new(Arc::clone(&sizes), 1);
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
                assert_eq!(topics.subscriber_count(name), expected.len());
            }
            let mut of_key: Vec<&str> = topics.topics_of(key).collect();
            of_key.sort_unstable();
            let expected = model.iter().filter(|(_, other)| *other == key);
            assert_eq!(
                of_key,
                expected.map(|(n, _)| &*names[*n]).collect::<Vec<_>>()
            );
            assert_eq!(topics.is_empty(), model.is_empty());
            assert_eq!(topics.places.len(), model.len());
        }
    }
}
