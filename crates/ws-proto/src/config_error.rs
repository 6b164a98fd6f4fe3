//! What is wrong with a configuration.

use alloc::string::{String, ToString};
use core::{fmt, time::Duration};

use crate::MAX_CONTROL_FRAME;

/// A field of a configuration has a value that is not allowed.
///
/// ```
/// use ws_proto::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_message = 0;
/// let error = limits.check().unwrap_err();
/// assert_eq!(error.to_string(), "limits.max_message = 0; allowed is at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field, with the names of the fields that it lies in:
    /// `limits.max_message`.
    pub field: &'static str,
    /// The value that it has.
    pub value: String,
    /// What it may be instead.
    pub allowed: &'static str,
}

impl ConfigError {
    /// Makes the error of a value that is not allowed.
    #[must_use]
    pub fn new(field: &'static str, value: &dyn fmt::Display, allowed: &'static str) -> Self {
        Self {
            field,
            value: value.to_string(),
            allowed,
        }
    }

    /// Refuses zero as a size, a number or a limit.
    ///
    /// # Errors
    ///
    /// The field and its value, if that is 0.
    pub fn check_number(field: &'static str, value: u64) -> Result<(), Self> {
        match value {
            0 => Err(Self::new(field, &value, "at least 1")),
            _ => Ok(()),
        }
    }

    /// Refuses a longest frame to send that has no room for a control frame,
    /// which cannot be split (RFC 6455 section 5.5).
    ///
    /// # Errors
    ///
    /// The field and its value, if that is below
    /// [`MAX_CONTROL_FRAME`], 131 bytes.
    pub fn check_frame_sent(field: &'static str, value: usize) -> Result<(), Self> {
        match value {
            MAX_CONTROL_FRAME.. => Ok(()),
            _ => Err(Self::new(field, &value, "at least 131")),
        }
    }

    /// Refuses permessage-deflate in a build without the feature `deflate`;
    /// `is_asked` tells whether the field asks for it.
    ///
    /// # Errors
    ///
    /// The field, if it asks for what this build does not have.
    pub fn check_deflate(field: &'static str, is_asked: bool) -> Result<(), Self> {
        if is_asked && !cfg!(feature = "deflate") {
            let allowed = "none without the feature `deflate`";
            return Err(Self::new(field, &"permessage-deflate", allowed));
        }
        Ok(())
    }

    /// Refuses zero as a time; `None` is no limit.
    ///
    /// # Errors
    ///
    /// The field and its value, if that is a time of 0.
    pub fn check_time(field: &'static str, value: Option<Duration>) -> Result<(), Self> {
        match value {
            Some(Duration::ZERO) => Err(Self::new(field, &"0 s", "more than 0 s")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            allowed,
        } = self;
        write!(f, "{field} = {value}; allowed is {allowed}")
    }
}

impl core::error::Error for ConfigError {}

/// An error of the kind [`InvalidInput`](std::io::ErrorKind::InvalidInput), which holds this one.
#[cfg(feature = "std")]
impl From<ConfigError> for std::io::Error {
    fn from(error: ConfigError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}
