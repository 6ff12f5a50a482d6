//! Who may stay connected to the control port. Anybody who reaches it can connect and say nothing, so those without a channel
//! are few: when one more comes, the one that has been without for longest goes. So nobody who speaks waits for who does not.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::task::AbortHandle;

/// Connections without a channel. One that means it has its channel after two exchanges and a signature.
pub(crate) const STRANGERS: usize = 128;

/// All connections without a channel, the oldest first.
#[derive(Default)]
pub(crate) struct Connections {
    strangers: RefCell<BTreeMap<u64, AbortHandle>>,
    last: Cell<u64>,
}

impl Connections {
    /// A connection has come; `start` starts its task.
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
    /// Where it is among the strangers, if it is one.
    number: Cell<u64>,
    channels: Cell<usize>,
    task: OnceCell<AbortHandle>,
}

impl NodeConnection {
    /// It is without a channel from now on: the newest of those.
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

    /// A channel stands on it until what is returned is dropped.
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

    /// 1,024 connections that said nothing kept all others out until their five seconds were over.
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
