//! From an address to a connection that is ready: INFO, CONNECT, PING, PONG.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use relevo_protocol::encode;
use relevo_protocol::info::ServerInfo;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ServerOp;
use relevo_protocol::parse::{Parsed, parse_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::error::ConnectErrorKind;
use crate::options::ConnectOptions;

/// A connection that the server has taken.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) server: Arc<str>,
    pub(super) info: ServerInfo,
    pub(super) read: OwnedReadHalf,
    pub(super) write: OwnedWriteHalf,
    /// What came behind the PONG.
    pub(super) unread: BytesMut,
}

pub(super) async fn dial(
    options: &ConnectOptions,
    server: &Arc<str>,
) -> Result<Dialled, ConnectErrorKind> {
    timeout(options.connect_timeout, shake_hands(options, server))
        .await
        .map_err(|_| ConnectErrorKind::TimedOut)?
}

async fn shake_hands(
    options: &ConnectOptions,
    server: &Arc<str>,
) -> Result<Dialled, ConnectErrorKind> {
    if server.is_empty() {
        return Err(ConnectErrorKind::BadAddress);
    }
    let mut stream = TcpStream::connect(&**server)
        .await
        .map_err(ConnectErrorKind::Io)?;
    stream.set_nodelay(true).map_err(ConnectErrorKind::Io)?;
    let mut unread = BytesMut::new();

    let info = read_info(&mut stream, &mut unread).await?;
    if info.tls_required {
        return Err(ConnectErrorKind::TlsRequired);
    }
    let mut hello = BytesMut::new();
    encode::connect(&mut hello, &options.to_wire().to_json());
    encode::ping(&mut hello);
    stream
        .write_all(&hello)
        .await
        .map_err(ConnectErrorKind::Io)?;
    let later = read_pong(&mut stream, &mut unread).await?;

    let (read, write) = stream.into_split();
    Ok(Dialled {
        server: Arc::clone(server),
        info: later.unwrap_or(info),
        read,
        write,
        unread,
    })
}

async fn read_info(
    stream: &mut TcpStream,
    unread: &mut BytesMut,
) -> Result<ServerInfo, ConnectErrorKind> {
    read_op(stream, unread, |op| match op {
        ServerOp::Info(json) => Some(ServerInfo::parse(json).map_err(ConnectErrorKind::BadInfo)),
        ServerOp::Err(text) => Some(Err(refusal(text))),
        ServerOp::Msg { .. }
        | ServerOp::Ping
        | ServerOp::Pong
        | ServerOp::Ok
        | ServerOp::Answer(_) => None,
    })
    .await
}

/// Waits for the PONG; gives the INFO that came before it, if one did.
async fn read_pong(
    stream: &mut TcpStream,
    unread: &mut BytesMut,
) -> Result<Option<ServerInfo>, ConnectErrorKind> {
    let mut info = None;
    read_op(stream, unread, |op| match op {
        ServerOp::Pong => Some(Ok(())),
        ServerOp::Err(text) => Some(Err(refusal(text))),
        ServerOp::Info(json) => {
            info = ServerInfo::parse(json).ok().or(info.take());
            None
        }
        ServerOp::Msg { .. } | ServerOp::Ping | ServerOp::Ok | ServerOp::Answer(_) => None,
    })
    .await?;
    Ok(info)
}

/// Reads operations until one of them decides.
async fn read_op<T>(
    stream: &mut TcpStream,
    unread: &mut BytesMut,
    mut decide: impl FnMut(ServerOp<'_>) -> Option<Result<T, ConnectErrorKind>>,
) -> Result<T, ConnectErrorKind> {
    let limits = Limits::of_client();
    loop {
        match parse_server(unread, &limits).map_err(ConnectErrorKind::Protocol)? {
            Parsed::Op { op, consumed } => {
                let decided = decide(op);
                unread.advance(consumed);
                if let Some(decided) = decided {
                    return decided;
                }
            }
            Parsed::Incomplete { .. } => {
                let read = stream
                    .read_buf(unread)
                    .await
                    .map_err(ConnectErrorKind::Io)?;
                if read == 0 {
                    return Err(ConnectErrorKind::HungUp);
                }
            }
        }
    }
}

fn refusal(text: &str) -> ConnectErrorKind {
    let login = ["authorization", "authentication"]
        .iter()
        .any(|word| text.to_ascii_lowercase().contains(word));
    if login {
        ConnectErrorKind::Unauthorized(text.to_owned())
    } else {
        ConnectErrorKind::Refused(text.to_owned())
    }
}
