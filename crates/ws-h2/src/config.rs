//! The limits of a connection.

use ws_smol::ConfigError;

use crate::meter::Rates;

/// How much a peer may do in one HTTP/2 connection. All limits are finite.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How many streams the peer may have open (`SETTINGS_MAX_CONCURRENT_STREAMS`),
    /// accepted or not; 256. More are refused with `REFUSED_STREAM`.
    pub max_streams: u32,
    /// How many bytes the peer may send to a stream before they are read; 64 KiB,
    /// at most 2 GiB. The connection's window is as many for each of `max_streams`,
    /// up to 2 GiB, so that a stream which is not read stops no other.
    pub stream_window: u32,
    /// How many bytes of a stream may wait for the connection; 64 KiB. A write
    /// waits beyond it.
    pub send_buffer: usize,
    /// How long a frame of the peer's may be (`SETTINGS_MAX_FRAME_SIZE`); 16 KiB,
    /// which is the least, at most 16 MiB less one byte.
    pub max_frame: u32,
    /// How long the fields of a request or reply may be together, as HTTP/2 counts
    /// (`SETTINGS_MAX_HEADER_LIST_SIZE`, RFC 9113 section 6.5.2); 32 KiB.
    pub max_header_list: u32,
    /// How many RST_STREAM frames the peer may send in a second; 500.
    pub max_reset_rate: u32,
    /// How many SETTINGS, PING and PRIORITY frames together the peer may send in
    /// a second, acknowledgements left out; 1,000.
    pub max_control_rate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 256,
            stream_window: 64 * 1024,
            send_buffer: 64 * 1024,
            max_frame: MIN_FRAME,
            max_header_list: 32 * 1024,
            max_reset_rate: 500,
            max_control_rate: 1000,
        }
    }
}

impl Config {
    /// Checks the values, as every handshake does before it begins.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("max_streams", u64::from(self.max_streams)),
            ("stream_window", self.stream_window.into()),
            ("send_buffer", self.send_buffer as u64),
            ("max_header_list", self.max_header_list.into()),
            ("max_reset_rate", self.max_reset_rate.into()),
            ("max_control_rate", self.max_control_rate.into()),
        ] {
            ConfigError::check_number(field, value)?;
        }
        if self.stream_window > MAX_WINDOW {
            let window = self.stream_window;
            return Err(ConfigError::new(
                "stream_window",
                &window,
                "at most 2147483647",
            ));
        }
        if !(MIN_FRAME..=MAX_FRAME).contains(&self.max_frame) {
            let wanted = "from 16384 to 16777215";
            return Err(ConfigError::new("max_frame", &self.max_frame, wanted));
        }
        if u32::try_from(self.send_buffer).is_err() {
            let wanted = "at most 4294967295";
            return Err(ConfigError::new("send_buffer", &self.send_buffer, wanted));
        }
        Ok(())
    }

    /// The connection's window: enough for all streams of which none is read.
    pub(crate) fn connection_window(&self) -> u32 {
        self.stream_window
            .saturating_mul(self.max_streams)
            .clamp(DEFAULT_WINDOW, MAX_WINDOW)
    }

    pub(crate) const fn rates(&self) -> Rates {
        Rates {
            resets: self.max_reset_rate,
            control: self.max_control_rate,
        }
    }
}

/// The bounds of SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 6.5.2).
const MIN_FRAME: u32 = 16 * 1024;
const MAX_FRAME: u32 = (1 << 24) - 1;

/// The largest window, and the one that a connection begins with (RFC 9113 section 6.9).
const MAX_WINDOW: u32 = (1 << 31) - 1;
const DEFAULT_WINDOW: u32 = (1 << 16) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_http_2_does_not_have_are_named() {
        assert_eq!(Config::default().check(), Ok(()));
        type Change = fn(&mut Config);
        let wrong: [(&str, Change); 9] = [
            ("max_streams", |config| config.max_streams = 0),
            ("stream_window", |config| config.stream_window = 0),
            ("stream_window", |config| config.stream_window = 1 << 31),
            ("send_buffer", |config| config.send_buffer = 0),
            ("max_frame", |config| config.max_frame = MIN_FRAME - 1),
            ("max_frame", |config| config.max_frame = MAX_FRAME + 1),
            ("max_header_list", |config| config.max_header_list = 0),
            ("max_reset_rate", |config| config.max_reset_rate = 0),
            ("max_control_rate", |config| config.max_control_rate = 0),
        ];
        for (field, change) in wrong {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.check().map_err(|error| error.field), Err(field));
        }
    }

    #[test]
    fn the_window_of_a_connection_has_room_for_all_its_streams() {
        let mut config = Config::default();
        assert_eq!(config.connection_window(), 256 * 64 * 1024);
        config.stream_window = MAX_WINDOW;
        assert_eq!(config.connection_window(), MAX_WINDOW);
        (config.stream_window, config.max_streams) = (1, 1);
        assert_eq!(config.connection_window(), DEFAULT_WINDOW);
    }
}
