//! The header matrix: one header a row, and the rules that each kind of endpoint finds broken.

use super::{
    Receiver,
    agreed::Deflate,
    proto::{Config, Endpoint},
    role::Role,
    sent::Fault,
};
use crate::Failure;

/// The header of one row with what one column expects of it.
#[derive(Debug)]
pub(super) struct Cell {
    /// `server_strict/8180`
    pub(super) name: String,
    column: &'static Column,
    header: Vec<u8>,
    /// The rules that the header breaks; none for a good one.
    kinds: Vec<String>,
}

/// A column, and the endpoint that it speaks of.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    role: Role,
    accept_unmasked_frame: bool,
    is_deflate_agreed: bool,
}

const COLUMNS: &[Column] = &[
    Column {
        name: "server_strict",
        role: Role::Server,
        accept_unmasked_frame: false,
        is_deflate_agreed: false,
    },
    Column {
        name: "server_lax",
        role: Role::Server,
        accept_unmasked_frame: true,
        is_deflate_agreed: false,
    },
    Column {
        name: "client",
        role: Role::Client,
        accept_unmasked_frame: false,
        is_deflate_agreed: false,
    },
    Column {
        name: "server_deflate",
        role: Role::Server,
        accept_unmasked_frame: false,
        is_deflate_agreed: true,
    },
    Column {
        name: "client_deflate",
        role: Role::Client,
        accept_unmasked_frame: false,
        is_deflate_agreed: true,
    },
];

/// Reads the cells of the whole table.
pub(super) fn parse(text: &str) -> Result<Vec<Cell>, Failure> {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    if heads.first() != Some(&"header_hex") {
        return Err(Failure::new("header_matrix.csv: no column header_hex"));
    }
    // The columns before these describe the header; the rest name endpoints.
    let described = [
        "header_hex",
        "opcode",
        "fin",
        "rsv",
        "mask",
        "length_form",
        "length",
    ];
    let mut cells = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields.len() != heads.len() {
            return Err(Failure::new(format!(
                "header_matrix.csv: a row of other length: {line}"
            )));
        }
        let header = super::bytes::decode(fields[0])?;
        for (&head, &field) in heads.iter().zip(&fields) {
            if described.contains(&head) {
                continue;
            }
            let Some(column) = COLUMNS.iter().find(|column| column.name == head) else {
                return Err(Failure::new(format!(
                    "header_matrix.csv: no endpoint is called {head}"
                )));
            };
            cells.push(Cell {
                name: format!("{head}/{}", fields[0]),
                column,
                header: header.clone(),
                kinds: if field == "ok" {
                    Vec::new()
                } else {
                    field.split('|').map(str::to_owned).collect()
                },
            });
        }
    }
    Ok(cells)
}

impl Cell {
    pub(super) fn column(&self) -> &'static str {
        self.column.name
    }

    fn breaks(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == kind)
    }

    pub(super) fn into_input(self) -> (Receiver, Vec<u8>) {
        let receiver = match (self.column.role, self.column.accept_unmasked_frame) {
            (Role::Server, false) => Receiver::StrictServer,
            (Role::Server, true) => Receiver::AcceptingServer,
            (Role::Client, _) => Receiver::Client,
        };
        (receiver, self.header)
    }

    /// Feeds the header whole, cut in two at every place, and byte by byte.
    pub(super) fn check(&self) -> Result<(), String> {
        let end = self.header.len();
        self.run(&[end]).map_err(|why| format!("whole: {why}"))?;
        for cut in 0..end {
            self.run(&[cut, end])
                .map_err(|why| format!("cut after {cut} bytes: {why}"))?;
        }
        let single: Vec<usize> = (1..=end).collect();
        self.run(&single)
            .map_err(|why| format!("byte by byte: {why}"))
    }

    fn run(&self, ends: &[usize]) -> Result<(), String> {
        let mut endpoint = Endpoint::new(&Config {
            role: self.column.role,
            accept_unmasked_frame: self.column.accept_unmasked_frame,
            max_frame: None,
            max_message: None,
            deflate: self.column.is_deflate_agreed.then(Deflate::default),
            close_sent: false,
        });
        let mut fed = 0;
        let mut result = Ok(());
        for &end in ends {
            let mut piece = self.header[fed..end].to_vec();
            fed = end;
            let fed = endpoint.feed(&mut piece, &mut |_| Ok(()));
            result = result.and(fed);
        }
        // A receiver may wait for the one byte of body that a Close must not have.
        if result.is_ok() && self.breaks("close_payload_short") {
            result = endpoint.feed(&mut [0], &mut |_| Ok(()));
        }
        match result {
            Ok(()) if self.kinds.is_empty() => Ok(()),
            Ok(()) => Err(format!("accepted; it breaks {:?}", self.kinds)),
            Err(Fault::Check(why)) => Err(why),
            // The header is good, and the message without a byte is not (decision D15).
            Err(Fault::Protocol { kind, .. })
                if kind == "deflate_data" && self.kinds.is_empty() =>
            {
                Ok(())
            }
            Err(Fault::Protocol { kind, code }) => {
                if !self.breaks(kind) {
                    Err(format!("error {kind}, not one of {:?}", self.kinds))
                } else if code != Some(1002) {
                    Err(format!("error {kind} has Close code {code:?}, not 1002"))
                } else {
                    Ok(())
                }
            }
        }
    }
}
