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
pub(crate) struct Door {
    strangers: RefCell<BTreeMap<u64, AbortHandle>>,
    last: Cell<u64>,
}

impl Door {
    /// A connection has come; `start` starts its task.
    pub(crate) fn enter(self: &Rc<Self>, start: impl FnOnce(Rc<Guest>) -> AbortHandle) {
        let guest = Rc::new(Guest {
            door: Rc::clone(self),
            number: Cell::new(0),
            channels: Cell::new(0),
            task: OnceCell::new(),
        });
        let task = start(Rc::clone(&guest));
        let _ = guest.task.set(task);
        guest.waits();
    }
}

/// One connection.
pub(crate) struct Guest {
    door: Rc<Door>,
    /// Where it is among the strangers, if it is one.
    number: Cell<u64>,
    channels: Cell<usize>,
    task: OnceCell<AbortHandle>,
}

impl Guest {
    /// It is without a channel from now on: the newest of those.
    fn waits(&self) {
        let Some(task) = self.task.get() else {
            return;
        };
        let number = self.door.last.get() + 1;
        self.door.last.set(number);
        self.number.set(number);
        let mut strangers = self.door.strangers.borrow_mut();
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
    pub(crate) fn stands(self: &Rc<Self>) -> Standing {
        self.channels.set(self.channels.get() + 1);
        self.door.strangers.borrow_mut().remove(&self.number.get());
        Standing(Rc::clone(self))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.door.strangers.borrow_mut().remove(&self.number.get());
    }
}

/// A channel of a connection.
pub(crate) struct Standing(Rc<Guest>);

impl Drop for Standing {
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
    fn comes(door: &Rc<Door>) -> (Rc<Guest>, JoinHandle<()>) {
        let mut come = None;
        door.enter(|guest| {
            let task = spawn_local(std::future::pending());
            let handle = task.abort_handle();
            come = Some((guest, task));
            handle
        });
        come.unwrap()
    }

    /// 1,024 connections that said nothing kept all others out until their five seconds were over.
    #[tokio::test(flavor = "local")]
    async fn the_longest_without_a_channel_goes() {
        let door = Rc::new(Door::default());
        let (first, first_task) = comes(&door);
        let standing = first.stands();
        let (second, second_task) = comes(&door);
        let others: Vec<_> = (0..STRANGERS).map(|_| comes(&door)).collect();
        assert!(second_task.await.unwrap_err().is_cancelled());
        drop(second);
        assert!(!first_task.is_finished(), "it has a channel");
        // Without its channel it is the newest of the others.
        drop(standing);
        let (_, oldest) = others.into_iter().next().unwrap();
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert!(!first_task.is_finished());
        assert_eq!(door.strangers.borrow().len(), 1, "who left is forgotten");
    }
}
