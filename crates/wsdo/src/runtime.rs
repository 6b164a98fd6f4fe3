//! The parts of smol that this program uses: the whole brings files, which
//! nothing here reads while others wait.

pub(crate) use async_channel as channel;
pub(crate) use async_executor::LocalExecutor;
pub(crate) use async_io::{Timer, block_on};
pub(crate) use async_net as net;
pub(crate) use async_process as process;
pub(crate) use blocking::Unblock;
pub(crate) use futures_lite::{future, io, stream};
