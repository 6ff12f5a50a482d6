//! Decides which connections may stay on the control port. Anyone who reaches the port can connect and say nothing, so
//! connections without a channel are limited: when there is one too many, the one that has been without a channel longest
//! is closed. Nodes that speak therefore never wait for strangers that do not.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::task::AbortHandle;

/// Most connections without a channel. A node needs two exchanges and a signature to get its channel.
pub(crate) const STRANGERS: usize = 128;

/// All connections without a channel, the oldest first.
#[derive(Default)]
pub(crate) struct Connections {
    strangers: RefCell<BTreeMap<u64, AbortHandle>>,
    last: Cell<u64>,
}

impl Connections {
    /// Adds a connection; `start` starts its task.
    pub(crate) fn enter(self: &Rc<Self>, start: impl FnOnce(Rc<NodeConnection>) -> AbortHandle) {
        let node = Rc::new(NodeConnection {
            connections: Rc::clone(self),
            number: Cell::new(0),
            channels: Cell::new(0),
            task: OnceCell::new(),
        });
        let task = start(Rc::clone(&node));
        let _ = node.task.set(task);
        node.waits();
    }
}

/// One connection.
pub(crate) struct NodeConnection {
    connections: Rc<Connections>,
    /// Its place among the connections without a channel, if it is one.
    number: Cell<u64>,
    channels: Cell<usize>,
    task: OnceCell<AbortHandle>,
}

impl NodeConnection {
    /// Makes it the newest connection without a channel.
    fn waits(&self) {
        let Some(task) = self.task.get() else {
            return;
        };
        let number = self.connections.last.get() + 1;
        self.connections.last.set(number);
        self.number.set(number);
        let mut strangers = self.connections.strangers.borrow_mut();
        strangers.insert(number, task.clone());
        let oldest = if strangers.len() > STRANGERS {
            strangers.pop_first()
        } else {
            None
        };
        drop(strangers);
        if let Some((_, oldest)) = oldest {
            oldest.abort();
        }
    }

    /// Counts a channel on this connection until the returned value is dropped.
    pub(crate) fn stands(self: &Rc<Self>) -> Established {
        self.channels.set(self.channels.get() + 1);
        self.connections.strangers.borrow_mut().remove(&self.number.get());
        Established(Rc::clone(self))
    }
}

impl Drop for NodeConnection {
    fn drop(&mut self) {
        self.connections.strangers.borrow_mut().remove(&self.number.get());
    }
}

/// A channel of a connection.
pub(crate) struct Established(Rc<NodeConnection>);

impl Drop for Established {
    fn drop(&mut self) {
        let channels = self.0.channels.get() - 1;
        self.0.channels.set(channels);
        if channels == 0 {
            self.0.waits();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinHandle, spawn_local};

    /// A connection that says nothing.
    fn comes(connections: &Rc<Connections>) -> (Rc<NodeConnection>, JoinHandle<()>) {
        let mut come = None;
        connections.enter(|node| {
            let task = spawn_local(std::future::pending());
            let handle = task.abort_handle();
            come = Some((node, task));
            handle
        });
        come.unwrap()
    }

    /// A regression: 1,024 silent connections kept everyone else out until their five seconds were over.
    #[tokio::test(flavor = "local")]
    async fn the_longest_without_a_channel_goes() {
        let connections = Rc::new(Connections::default());
        let (first, first_task) = comes(&connections);
        let standing = first.stands();
        let (second, second_task) = comes(&connections);
        let others: Vec<_> = (0..STRANGERS).map(|_| comes(&connections)).collect();
        assert!(second_task.await.unwrap_err().is_cancelled());
        drop(second);
        assert!(!first_task.is_finished(), "it has a channel");
        // Without its channel it is the newest of the others.
        drop(standing);
        let (_, oldest) = others.into_iter().next().unwrap();
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert!(!first_task.is_finished());
        assert_eq!(connections.strangers.borrow().len(), 1, "who left is forgotten");
    }
}
