//! Files that options name.

use std::fs;

use crate::{exit::Failure, options::Given};

/// Reads the file of an option, if that was given.
pub(crate) fn read_option(given: &Given, option: &str) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = given.path(option) else {
        return Ok(None);
    };
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => Err(Failure::file(path, error)),
    }
}
