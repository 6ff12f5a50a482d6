//! The connection between a running Forebay and its successor: messages and file descriptors.

use super::messages::Message;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A longer message is not one of this protocol.
const LONGEST: usize = 1 << 30;
/// Descriptors sent together; the kernel accepts at most 253.
pub(super) const TOGETHER: usize = 200;

/// One end of the connection.
pub(super) struct Link(UnixStream);

impl Link {
    pub(super) fn new(stream: UnixStream) -> Link {
        Link(stream)
    }

    /// Sets the time after which waiting for the other end fails; none for no limit.
    pub(super) fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(time)?;
        self.0.set_write_timeout(time)
    }

    /// The process id of the other end, as the kernel knows it.
    pub(super) fn peer(&self) -> io::Result<u32> {
        let peer = rustix::net::sockopt::socket_peercred(self.0.as_fd())?;
        Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Another handle on the same connection, for another thread.
    pub(super) fn again(&self) -> io::Result<Link> {
        Ok(Link(self.0.try_clone()?))
    }

    pub(super) fn send(&mut self, message: &Message) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(4 + body.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&body);
        self.0.write_all(&bytes)
    }

    /// The next message.
    ///
    /// # Errors
    /// `UnexpectedEof` once the other end is gone.
    pub(super) fn receive(&mut self) -> io::Result<Message> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Sends bytes that a message has announced.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Receives `length` bytes that a message has announced.
    pub(super) fn receive_bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The buffer grows as they come, so a wrong number costs no memory.
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Sends descriptors, at most [`TOGETHER`].
    pub(super) fn send_descriptors(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // Descriptors travel with at least one byte.
        let sent = sendmsg(
            self.0.as_fd(),
            &[IoSlice::new(&[0])],
            &mut ancillary,
            SendFlags::empty(),
        )?;
        if sent == 1 {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Receives the descriptors that were sent together.
    pub(super) fn receive_descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(
            self.0.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(descriptors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn descriptors_and_messages_keep_their_order() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Link::new(one), Link::new(other));
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        // A connection waits in the socket's queue while the socket is passed on.
        let waits = TcpStream::connect(address).unwrap();
        one.send(&Message::Freeze).unwrap();
        one.send_descriptors(&[socket.as_fd(); TOGETHER]).unwrap();
        one.send(&Message::Ready).unwrap();
        drop(socket);
        assert!(matches!(other.receive().unwrap(), Message::Freeze));
        let mut descriptors = other.receive_descriptors().unwrap();
        assert_eq!(descriptors.len(), TOGETHER);
        assert!(matches!(other.receive().unwrap(), Message::Ready));
        let socket = TcpListener::from(descriptors.swap_remove(0));
        assert_eq!(socket.accept().unwrap().1, waits.local_addr().unwrap());
        drop(one);
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (mut one, other) = UnixStream::pair().unwrap();
        let mut other = Link::new(other);
        one.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        one.write_all(&[0, 0, 0, 2, b'{', b'{']).unwrap();
        assert!(other.receive().is_err());
    }
}
