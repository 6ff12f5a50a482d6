//! Entry points for `fuzz/`: each function takes any bytes and panics when an invariant is broken. The corpora run through
//! them as ordinary tests.

use crate::proto::{FromAgent, FromNode, from_agent, from_node};
use crate::wire::{decode, encode, ids_in, ids_out};
use bytes::BytesMut;
use prost::Message;

/// A target's name and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate, named as their corpora.
pub const TARGETS: &[Target] = &[("channel", channel)];

/// The bytes of a channel, in pieces whose length the first byte gives: the pieces make no difference, and what was decoded
/// means the same when it is encoded again.
pub fn channel(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else {
        return;
    };
    let piece = usize::from(piece) + 1;
    let from_node = all::<FromNode>(bytes, piece);
    assert_eq!(from_node, all::<FromNode>(bytes, usize::MAX), "pieces matter");
    for message in &from_node {
        if let Some(from_node::Message::Return(returned)) = &message.message {
            same_ids(&returned.ids);
        }
    }
    for message in all::<FromAgent>(bytes, piece) {
        if let Some(from_agent::Message::Grant(grant)) = &message.message {
            same_ids(&grant.ids);
        }
    }
}

fn all<M: Message + Default + PartialEq>(bytes: &[u8], piece: usize) -> Vec<M> {
    let mut read = BytesMut::new();
    let mut messages = Vec::new();
    for part in bytes.chunks(piece.min(bytes.len().max(1))) {
        read.extend_from_slice(part);
        loop {
            match decode::<M>(&mut read) {
                Ok(Some(message)) => {
                    let mut again = BytesMut::from(&encode(&message)[..]);
                    let decoded = decode::<M>(&mut again);
                    assert!(decoded.is_ok_and(|decoded| decoded.as_ref() == Some(&message)));
                    assert!(again.is_empty());
                    messages.push(message);
                }
                Ok(None) => break,
                // The call ends here.
                Err(_) => return messages,
            }
        }
    }
    messages
}

fn same_ids(raw: &[bytes::Bytes]) {
    match ids_in(raw) {
        Ok(ids) => assert_eq!(ids_out(&ids), raw),
        Err(_) => assert!(raw.iter().any(|id| id.len() != 16)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpora_hold() {
        for (name, target) in super::TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
            let mut count = 0;
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }
}
