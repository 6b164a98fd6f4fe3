//! Reading fields of a vector, with failures that name what is missing.

use serde_json::Value;

use super::bytes;
use crate::Failure;

/// A JSON object in a vector and the name to blame when it is not as it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'j> {
    value: &'j Value,
    of: &'j str,
}

impl<'j> Object<'j> {
    pub(super) fn new(value: &'j Value, of: &'j str) -> Self {
        Self { value, of }
    }

    /// The field, where null and absence are the same.
    pub(super) fn get(self, field: &str) -> Option<&'j Value> {
        self.value.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn object(self, field: &str) -> Result<Self, Failure> {
        self.get(field)
            .filter(|value| value.is_object())
            .map(|value| Self::new(value, self.of))
            .ok_or_else(|| self.wrong(field, "an object"))
    }

    pub(super) fn list(self, field: &str) -> Result<&'j [Value], Failure> {
        self.get(field)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .ok_or_else(|| self.wrong(field, "a list"))
    }

    /// A list, empty where the field is absent.
    pub(super) fn list_or_empty(self, field: &str) -> Result<&'j [Value], Failure> {
        self.get(field).map_or(Ok(&[]), |_| self.list(field))
    }

    pub(super) fn objects(self, field: &str) -> Result<Vec<Self>, Failure> {
        let list = self.list(field)?;
        Ok(list.iter().map(|value| Self::new(value, self.of)).collect())
    }

    pub(super) fn texts(self, field: &str) -> Result<Vec<&'j str>, Failure> {
        self.list_or_empty(field)?
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .ok_or_else(|| self.wrong(field, "a list of strings"))
            })
            .collect()
    }

    /// A list of strings, empty where the field is absent.
    pub(super) fn strings(self, field: &str) -> Result<Vec<String>, Failure> {
        Ok(self.texts(field)?.into_iter().map(str::to_owned).collect())
    }

    /// The names and values of an object of strings.
    pub(super) fn pairs(self, field: &str) -> Result<Vec<(String, String)>, Failure> {
        let object = self.object(field)?.value.as_object();
        object
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .ok_or_else(|| self.wrong(field, "an object of strings"))?;
                Ok((name.clone(), value.to_owned()))
            })
            .collect()
    }

    pub(super) fn text(self, field: &str) -> Result<&'j str, Failure> {
        self.get(field)
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(field, "a string"))
    }

    pub(super) fn text_or_none(self, field: &str) -> Result<Option<&'j str>, Failure> {
        self.get(field).map(|_| self.text(field)).transpose()
    }

    pub(super) fn number(self, field: &str) -> Result<u64, Failure> {
        self.get(field)
            .and_then(Value::as_u64)
            .ok_or_else(|| self.wrong(field, "a number"))
    }

    pub(super) fn number_or_none(self, field: &str) -> Result<Option<u64>, Failure> {
        self.get(field).map(|_| self.number(field)).transpose()
    }

    pub(super) fn code(self, field: &str) -> Result<Option<u16>, Failure> {
        self.number_or_none(field)?
            .map(|code| u16::try_from(code).map_err(|_| self.wrong(field, "a Close code")))
            .transpose()
    }

    pub(super) fn size(self, field: &str) -> Result<usize, Failure> {
        usize::try_from(self.number(field)?).map_err(|_| self.wrong(field, "a size"))
    }

    /// The largest number there is where the field is absent.
    pub(super) fn size_or_unlimited(self, field: &str) -> Result<usize, Failure> {
        self.get(field).map_or(Ok(usize::MAX), |_| self.size(field))
    }

    /// False where the field is absent.
    pub(super) fn flag(self, field: &str) -> Result<bool, Failure> {
        self.get(field).map_or(Ok(false), |value| {
            value.as_bool().ok_or_else(|| self.wrong(field, "a flag"))
        })
    }

    /// Bytes in the compact notation; none where the field is absent.
    pub(super) fn bytes(self, field: &str) -> Result<Vec<u8>, Failure> {
        self.text_or_none(field)?
            .map_or(Ok(Vec::new()), bytes::decode)
    }

    pub(super) fn wrong(self, field: &str, wanted: &str) -> Failure {
        Failure::new(format!("{}: {field} should be {wanted}", self.of))
    }
}
