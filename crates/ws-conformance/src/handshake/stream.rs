//! Bytes that come in any pieces.

use crate::{Failure, bytes, json::Object};

/// The input of a vector.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) input: Vec<u8>,
    /// Where the vector's own chunks end.
    ends: Vec<usize>,
}

impl Stream {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let mut stream = Self {
            input: Vec::new(),
            ends: Vec::new(),
        };
        for chunk in vector.texts("chunks")? {
            stream.input.extend(bytes::latin1(chunk)?);
            stream.ends.push(stream.input.len());
        }
        Ok(stream)
    }

    /// Runs in the vector's chunks, whole, cut in two everywhere, and byte by byte.
    pub(super) fn check(
        &self,
        cuts: impl Iterator<Item = usize>,
        run: impl Fn(&[usize]) -> Result<(), String>,
    ) -> Result<(), String> {
        let end = self.input.len();
        run(&self.ends).map_err(|why| format!("in the vector's chunks: {why}"))?;
        run(&[end]).map_err(|why| format!("whole: {why}"))?;
        for cut in cuts {
            run(&[cut, end]).map_err(|why| format!("cut after {cut} bytes: {why}"))?;
        }
        let single: Vec<usize> = (1..=end).collect();
        run(&single).map_err(|why| format!("byte by byte: {why}"))
    }

    /// The pieces that end at `ends`, and where each begins.
    pub(super) fn pieces<'s>(
        &'s self,
        ends: &'s [usize],
    ) -> impl Iterator<Item = (usize, &'s [u8])> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(ends)
            .map(|(start, &end)| (start, &self.input[start..end]))
    }

    /// The bytes behind a head of which `consumed` bytes lie in the piece that begins at `start`.
    pub(super) fn check_leftover(
        &self,
        start: usize,
        consumed: usize,
        leftover: &[u8],
    ) -> Result<(), String> {
        let found = self.input.get(start + consumed..).unwrap_or_default();
        if found == leftover {
            Ok(())
        } else {
            Err(format!(
                "leaves {} for the frames, not {}",
                bytes::show(found),
                bytes::show(leftover)
            ))
        }
    }
}
