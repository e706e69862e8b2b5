//! Frames off a lane's socket, one at a time.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use relevo_protocol::frame::{FRAME_LEN_MAX, Frame};
use relevo_protocol::wire::DecodeError;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

/// How long the other broker may be silent before it counts as gone.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(1500);
/// Room that each read is given, in bytes.
const READ_LEN: usize = 128 * 1024;
/// Longest frame of a broker that has not said Hello, in bytes.
const HELLO_LEN_MAX: usize = 16 * 1024;
/// Bytes of the length before each frame.
const LEN_LEN: usize = 4;

/// Why no more frames come.
#[derive(Debug)]
pub(crate) enum LaneError {
    /// The other broker closed the connection.
    Closed,
    /// Nothing came for [`SILENCE_MAX`].
    Silent,
    /// The socket broke.
    Io(io::Error),
    /// A frame claims to be longer than frames are.
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Bytes that are no frame.
    Malformed(DecodeError),
    /// A frame that does not belong on this lane.
    OutOfPlace,
    /// The task of a lane panicked, which is a bug.
    Panicked,
}

/// The reading end of a lane.
#[derive(Debug)]
pub(crate) struct FrameReader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    len_max: usize,
}

impl FrameReader {
    /// For a connection on which nothing but Hello may come.
    pub(crate) fn new(socket: OwnedReadHalf) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            len_max: HELLO_LEN_MAX,
        }
    }

    /// The other end has said Hello: frames of every length may come.
    pub(crate) const fn set_greeted(&mut self) {
        self.len_max = FRAME_LEN_MAX;
    }

    /// The next frame. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Frame, LaneError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.buffer.reserve(READ_LEN);
            let read = timeout(SILENCE_MAX, self.socket.read_buf(&mut self.buffer));
            match read.await {
                Ok(Ok(0)) => return Err(LaneError::Closed),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(LaneError::Io(error)),
                Err(_) => return Err(LaneError::Silent),
            }
        }
    }

    /// A frame that was read already, if a whole one was.
    pub(crate) fn buffered(&mut self) -> Result<Option<Frame>, LaneError> {
        let Some(len) = self.buffer.first_chunk::<LEN_LEN>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if len > self.len_max {
            return Err(LaneError::TooLong {
                len,
                max: self.len_max,
            });
        }
        if self.buffer.len() < LEN_LEN + len {
            self.buffer.reserve(LEN_LEN + len - self.buffer.len());
            return Ok(None);
        }
        let body = self
            .buffer
            .split_to(LEN_LEN + len)
            .freeze()
            .slice(LEN_LEN..);
        Frame::decode(body).map(Some).map_err(LaneError::Malformed)
    }
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other broker closed the connection"),
            Self::Silent => write!(f, "the other broker was silent for {SILENCE_MAX:?}"),
            Self::Io(error) => error.fmt(f),
            Self::TooLong { len, max } => {
                write!(f, "a frame of {len} bytes is above the limit of {max}")
            }
            Self::Malformed(error) => write!(f, "frame: {error}"),
            Self::Panicked => f.write_str("its task panicked, which is a bug"),
            Self::OutOfPlace => f.write_str("a frame came on the wrong lane or at the wrong time"),
        }
    }
}

impl std::error::Error for LaneError {}
