//! The masking policy: who masks with which key, and what is accepted
//! (RFC 6455 sections 5.1 and 5.3, [MS-WSPE] section 3).

use crate::{KeySource, MaskKey, NoEntropy, SeededKeys, ThreadEntropy};

/// Which frames an endpoint accepts, as to the MASK bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A server by RFC 6455: an unmasked frame fails the connection.
    RequireMasked,
    /// A server with `accept_unmasked_frame`: both forms, frame by frame. It
    /// does not exist on wasm.
    //= MSWS-1.6-1, MSWS-5.1-1
    #[cfg(not(target_family = "wasm"))]
    AcceptUnmasked,
    /// A client: a masked frame fails the connection.
    RequireUnmasked,
}

/// Decides what is sent and what is accepted, as to masking.
///
/// At the level of frames, client and server differ in masking alone. So the
/// policy *is* the role, and both flags of [MS-WSPE] are settings of it:
///
/// | policy | sends | accepts |
/// |---|---|---|
/// | [`ServerMasking::new`] | no mask | masked frames |
/// | [`ServerMasking::with_accept_unmasked_frame`]`(true)` | no mask | masked and unmasked frames, frame by frame |
/// | [`ClientMasking::new`] | MASK bit, fresh random key | unmasked frames |
/// | [`ClientMasking::with_set_mask_to_zero`]`(true)` | MASK bit, key `00 00 00 00` | unmasked frames |
///
/// # What the flags give up
///
/// Masking keeps a script in a browser from choosing the bytes that a client
/// puts on the wire, and so from making a careless HTTP intermediary take a
/// message for a request or a response of its own and poison its cache
/// (RFC 6455 section 10.3). With a key that is always zero the sender of a
/// message chooses those bytes again. Use the flags where the application may
/// open TCP connections anyway and knows what stands between the two ends: an
/// intranet, a data centre, under TLS;
/// [`ControlledNetwork`](crate::ControlledNetwork) is a list of such networks.
/// Neither flag exists on
/// `target_family = "wasm"`, where code runs in a sandbox that has web access
/// only ([MS-WSPE] section 5.1).
///
/// # Chosen once
///
/// The trait is sealed: [`ServerMasking`], [`ClientMasking`] and [`Masking`]
/// are all there is. A policy is moved into a connection when that is built,
/// and is only ever lent as `&P` afterwards, so that what was chosen at
/// initialization never changes ([MS-WSPE] sections 3.1.3 and 3.2.3):
///
/// ```compile_fail,E0594
/// # use ws_proto::{Connection, Limits, ServerMasking};
/// let mut connection = Connection::new(ServerMasking::new(), Limits::default());
/// // There is no `masking_mut`, no setter, and the fields are private.
/// *connection.masking() = ServerMasking::with_accept_unmasked_frame(true);
/// ```
///
/// ```compile_fail,E0599
/// # use ws_proto::{Sender, ServerMasking};
/// let mut tx = Sender::new(ServerMasking::new());
/// tx.masking_mut(); // does not exist, for a `Sender` neither
/// ```
///
/// The flag within a policy cannot be set either, before or after:
///
/// ```compile_fail,E0616
/// # use ws_proto::ServerMasking;
/// let mut masking = ServerMasking::new();
/// masking.accept_unmasked_frame = true;
/// ```
///
/// ```compile_fail,E0615
/// # use ws_proto::ClientMasking;
/// let mut masking = ClientMasking::new();
/// masking.set_mask_to_zero = true;
/// ```
///
/// Nor can the keys of a client be chosen one by one: they come from a
/// [`KeySource`], which is sealed too. A caller may bring the seed of a
/// generator, and that decides all keys of the connection.
///
/// ```compile_fail,E0277
/// # use ws_proto::{KeySource, MaskKey, NoEntropy};
/// struct AllZero;
///
/// impl KeySource for AllZero {
///     fn draw(&mut self) -> Result<MaskKey, NoEntropy> {
///         Ok(MaskKey::new([0; 4]))
///     }
/// }
/// ```
///
/// And nobody else can write a policy that changes its mind:
///
/// ```compile_fail,E0277
/// # use ws_proto::{Inbound, MaskKey, MaskingPolicy, NoEntropy};
/// struct Moody;
///
/// impl MaskingPolicy for Moody {
///     fn inbound(&self) -> Inbound {
///         Inbound::AcceptUnmasked
///     }
///     fn next_key(&mut self) -> Result<Option<MaskKey>, NoEntropy> {
///         Ok(None)
///     }
/// }
/// ```
pub trait MaskingPolicy: sealed::Sealed {
    /// Returns what is accepted. Read once, when a connection is built.
    fn inbound(&self) -> Inbound;

    /// Returns the key of the next frame to send, or `None` where the MASK
    /// bit is clear and no key is on the wire.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] if a fresh key is needed and there is none.
    fn next_key(&mut self) -> Result<Option<MaskKey>, NoEntropy>;
}

mod sealed {
    #[expect(
        unnameable_types,
        reason = "sealed: outside this crate nobody implements it"
    )]
    pub trait Sealed {}
}

/// The policy of a server: never masks what it sends.
//= MSWS-3.2.4-1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ServerMasking {
    //= MSWS-3.2.1-1, MSWS-3.2.1-2, MSWS-3.2.1-3, MSWS-3.2.3-1, MSWS-3.2.3-2
    accept_unmasked_frame: bool,
}

impl ServerMasking {
    /// Makes the policy of RFC 6455: an unmasked frame fails the connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            accept_unmasked_frame: false,
        }
    }

    /// Makes a policy with the flag `accept-unmasked-frame` of [MS-WSPE]
    /// section 3.2.1.
    ///
    /// With `true`, frames are accepted whether masked or not, frame by frame,
    /// also within one message. With `false` this is [`new`](Self::new).
    ///
    /// For a [controlled network](MaskingPolicy#what-the-flags-give-up) only:
    /// a server that accepts unmasked frames lends itself to clients that do
    /// not protect intermediaries.
    //= MSWS-1.5-1, MSWS-1.6-3, MSWS-4-1, MSWS-5.1-2, MSWS-5.2-1
    //= MSWS-1.6-1, MSWS-5.1-1
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub const fn with_accept_unmasked_frame(accept_unmasked_frame: bool) -> Self {
        Self {
            accept_unmasked_frame,
        }
    }

    /// Returns the flag as it was given at initialization.
    #[must_use]
    pub const fn accept_unmasked_frame(&self) -> bool {
        self.accept_unmasked_frame
    }
}

impl sealed::Sealed for ServerMasking {}

impl MaskingPolicy for ServerMasking {
    #[inline]
    fn inbound(&self) -> Inbound {
        match self.accept_unmasked_frame {
            #[cfg(not(target_family = "wasm"))]
            true => Inbound::AcceptUnmasked,
            _ => Inbound::RequireMasked,
        }
    }

    #[inline]
    fn next_key(&mut self) -> Result<Option<MaskKey>, NoEntropy> {
        //= RFC6455-5.1-2
        Ok(None)
    }
}

/// The policy of a client: masks every frame it sends.
///
/// Where the keys come from is `K`: [`ThreadEntropy`] by default, and
/// [`SeededKeys`] with a seed of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientMasking<K = ThreadEntropy> {
    keys: Keys<K>,
}

//= MSWS-3.1.1-1, MSWS-3.1.1-2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys<K> {
    Fresh(K),
    #[cfg(not(target_family = "wasm"))]
    Zero,
}

#[cfg(feature = "std")]
impl ClientMasking {
    /// Makes the policy of RFC 6455: a fresh key for every frame, from the
    /// thread's cryptographically secure generator.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Keys::Fresh(ThreadEntropy::new()),
        }
    }

    /// Makes a policy with the flag `set-mask-to-zero` of [MS-WSPE] section
    /// 3.1.1.
    ///
    /// With `true`, the MASK bit stays set and the masking key of every frame
    /// is `00 00 00 00`, so that payloads go out as they are: neither a random
    /// key nor an XOR is paid for. With `false` this is [`new`](Self::new).
    ///
    /// For a [controlled network](MaskingPolicy#what-the-flags-give-up) only:
    /// the sender of a message chooses the bytes on the wire, which is what
    /// masking is there to prevent.
    //= MSWS-3.1.3-1, MSWS-1.5-1, MSWS-1.6-3, MSWS-4-2, MSWS-5.1-2, MSWS-5.2-1
    //= MSWS-1.6-1, MSWS-5.1-1
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn with_set_mask_to_zero(set_mask_to_zero: bool) -> Self {
        Self {
            keys: if set_mask_to_zero {
                Keys::Zero
            } else {
                Keys::Fresh(ThreadEntropy::new())
            },
        }
    }
}

#[cfg(feature = "std")]
impl Default for ClientMasking {
    //= MSWS-1.6-2
    fn default() -> Self {
        Self::new()
    }
}

impl ClientMasking<SeededKeys> {
    /// Makes the policy of RFC 6455 with keys from a generator of its own,
    /// ChaCha with 12 rounds, which is started with `seed`.
    ///
    /// For targets without `std`, and for tests: the same seed gives the same
    /// keys. It must be fresh for every connection, and unpredictable to
    /// whoever chooses the payload (section 10.3).
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            keys: Keys::Fresh(SeededKeys::new(seed)),
        }
    }

    /// Makes a policy with the flag `set-mask-to-zero`, which takes its keys
    /// from `seed` while the flag is false. See
    /// [`with_set_mask_to_zero`](ClientMasking::with_set_mask_to_zero).
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn with_set_mask_to_zero_or_seed(set_mask_to_zero: bool, seed: [u8; 32]) -> Self {
        Self {
            keys: if set_mask_to_zero {
                Keys::Zero
            } else {
                Keys::Fresh(SeededKeys::new(seed))
            },
        }
    }
}

impl<K> ClientMasking<K> {
    /// Returns the flag `set-mask-to-zero` as it was given at initialization.
    #[must_use]
    pub const fn set_mask_to_zero(&self) -> bool {
        match self.keys {
            Keys::Fresh(_) => false,
            #[cfg(not(target_family = "wasm"))]
            Keys::Zero => true,
        }
    }
}

impl<K> sealed::Sealed for ClientMasking<K> {}

impl<K: KeySource> MaskingPolicy for ClientMasking<K> {
    #[inline]
    fn inbound(&self) -> Inbound {
        //= MSWS-3.1.5-1
        Inbound::RequireUnmasked
    }

    #[inline]
    fn next_key(&mut self) -> Result<Option<MaskKey>, NoEntropy> {
        //= RFC6455-5.1-1, RFC6455-5.5.1-5, RFC6455-6.1-6, MSWS-3.1.4-5
        match &mut self.keys {
            //= RFC6455-5.3-2, RFC6455-5.3-3, RFC6455-5.3-4, RFC6455-10.3-1
            //= MSWS-3.1.4-2
            Keys::Fresh(_) if fault!("key-always-zero") => Ok(Some(MaskKey::ZERO)),
            Keys::Fresh(_) if fault!("key-reused") => Ok(Some(MaskKey::new([1; 4]))),
            Keys::Fresh(source) => source.draw().map(Some),
            //= MSWS-3.1.4-3
            #[cfg(not(target_family = "wasm"))]
            Keys::Zero if fault!("zero-key-ignored") => Ok(Some(MaskKey::new([1; 4]))),
            #[cfg(not(target_family = "wasm"))]
            Keys::Zero => Ok(Some(MaskKey::ZERO)),
        }
    }
}

/// The policy of an endpoint whose role is known at run time only, such as a
/// connection in an event loop that both accepts and connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking<K = ThreadEntropy> {
    /// The endpoint is a server.
    Server(ServerMasking),
    /// The endpoint is a client.
    Client(ClientMasking<K>),
}

impl<K> From<ServerMasking> for Masking<K> {
    fn from(masking: ServerMasking) -> Self {
        Self::Server(masking)
    }
}

impl<K> From<ClientMasking<K>> for Masking<K> {
    fn from(masking: ClientMasking<K>) -> Self {
        Self::Client(masking)
    }
}

impl<K> sealed::Sealed for Masking<K> {}

impl<K: KeySource> MaskingPolicy for Masking<K> {
    #[inline]
    fn inbound(&self) -> Inbound {
        match self {
            Self::Server(masking) => masking.inbound(),
            Self::Client(masking) => masking.inbound(),
        }
    }

    #[inline]
    fn next_key(&mut self) -> Result<Option<MaskKey>, NoEntropy> {
        match self {
            Self::Server(masking) => masking.next_key(),
            Self::Client(masking) => masking.next_key(),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;

    #[test]
    fn server_never_masks_whatever_the_flag() {
        //= RFC6455-5.1-2, MSWS-3.2.4-1, MSWS-3.2.3-1
        for flag in [false, true] {
            let mut masking = ServerMasking::with_accept_unmasked_frame(flag);
            assert_eq!(masking.next_key(), Ok(None));
            assert_eq!(masking.accept_unmasked_frame(), flag);
        }
    }

    #[test]
    fn both_flags_are_false_by_default() {
        //= MSWS-1.5-1, MSWS-1.6-2, MSWS-1.6-3, MSWS-5.1-2, MSWS-5.2-1
        assert!(!ServerMasking::default().accept_unmasked_frame());
        assert_eq!(ServerMasking::new().inbound(), Inbound::RequireMasked);
        assert!(!ClientMasking::default().set_mask_to_zero());
        assert_eq!(
            ClientMasking::with_set_mask_to_zero(false),
            ClientMasking::new()
        );
        assert_eq!(
            ServerMasking::with_accept_unmasked_frame(false),
            ServerMasking::new()
        );
    }

    #[test]
    fn zero_key_is_sent_for_every_frame_when_the_flag_is_set() {
        //= MSWS-3.1.1-1, MSWS-3.1.3-1, MSWS-3.1.3-2, MSWS-3.1.4-3, MSWS-3.1.4-5
        //= MSWS-4-2
        let mut masking = ClientMasking::with_set_mask_to_zero(true);
        for _ in 0..100 {
            assert_eq!(masking.next_key(), Ok(Some(MaskKey::new([0; 4]))));
            assert!(masking.set_mask_to_zero());
        }
    }

    #[test]
    fn client_accepts_unmasked_frames_alone_whatever_the_flag() {
        //= MSWS-3.1.5-1
        for flag in [false, true] {
            let masking = ClientMasking::with_set_mask_to_zero(flag);
            assert_eq!(masking.inbound(), Inbound::RequireUnmasked);
            assert_eq!(Masking::from(masking).inbound(), Inbound::RequireUnmasked);
        }
    }

    #[test]
    fn fresh_keys_differ_and_use_all_bits() {
        //= RFC6455-5.3-2, RFC6455-5.3-3, RFC6455-5.3-4, RFC6455-10.3-1, MSWS-3.1.4-2
        // Miri takes a thousand times as long.
        const COUNT: usize = if cfg!(miri) { 512 } else { 4096 };
        let mut masking = ClientMasking::new();
        let keys: alloc::vec::Vec<u32> = (0..COUNT)
            .map(|_| u32::from_le_bytes(masking.next_key().unwrap().unwrap().bytes()))
            .collect();
        let mut distinct = keys.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(
            distinct.len() > COUNT - 6,
            "{} distinct keys of {COUNT}",
            distinct.len()
        );
        for bit in 0..32 {
            let ones = keys.iter().filter(|k| *k >> bit & 1 == 1).count();
            assert!(
                (COUNT * 1700 / 4096..COUNT * 2400 / 4096).contains(&ones),
                "bit {bit} is set in {ones} of {COUNT} keys"
            );
        }
    }

    #[test]
    fn keys_follow_from_the_seed_that_was_given() {
        //= RFC6455-5.3-3
        let keys = |seed| {
            let mut masking = ClientMasking::from_seed(seed);
            assert!(!masking.set_mask_to_zero());
            core::array::from_fn::<_, 10, _>(|_| masking.next_key().unwrap())
        };
        assert_eq!(keys([7; 32]), keys([7; 32]));
        assert_ne!(keys([7; 32]), keys([8; 32]));
        // A seed that looks like it does not make the zero key.
        assert!(keys([0; 32]).iter().all(|key| !key.unwrap().is_zero()));
    }

    #[test]
    fn default_key_source_holds_nothing() {
        assert_eq!(size_of::<ClientMasking>(), 1);
    }

    #[test]
    fn key_is_shown_as_on_the_wire_and_only_zero_is_zero() {
        let key = MaskKey::new([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(alloc::format!("{key:?}"), "MaskKey(37 fa 21 3d)");
        assert!(MaskKey::new([0; 4]).is_zero());
        for at in 0..4 {
            let mut bytes = [0; 4];
            bytes[at] = 1;
            assert!(!MaskKey::new(bytes).is_zero());
        }
    }

    #[test]
    fn rotation_follows_the_payload() {
        let key = MaskKey::new([1, 2, 3, 4]);
        assert_eq!(key.rotated(0), key);
        assert_eq!(key.rotated(1).bytes(), [2, 3, 4, 1]);
        assert_eq!(key.rotated(7).bytes(), [4, 1, 2, 3]);
        assert_eq!(key.rotated(8), key);
    }
}
