//! Waits for processes that are not children of this one: their ends are seen at once, however many there are.

use crate::errors::Tried as _;
use crate::launcher::Poke;
use forebay_units::lock::lock;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A thread that waits; it ends when this is dropped.
pub(crate) struct Ends {
    new: Sender<OwnedFd>,
    wake: PipeWriter,
    poke: Arc<Mutex<Option<Poke>>>,
}

impl Ends {
    pub(crate) fn start() -> Result<Ends, String> {
        let (new, taken) = channel();
        let (woken, wake) = std::io::pipe().tried(|| "make a pipe".to_owned())?;
        let poke = Arc::new(Mutex::new(None));
        let told = Arc::clone(&poke);
        std::thread::Builder::new()
            .name("instance-ends".to_owned())
            .spawn(move || wait(&taken, woken, &told))
            .tried(|| "start a thread".to_owned())?;
        Ok(Ends { new, wake, poke })
    }

    /// Sets the function to call.
    pub(crate) fn tell(&self, poke: Poke) {
        *lock(&self.poke) = Some(poke);
    }

    /// Waits for this process, too.
    pub(crate) fn watch(&self, process: OwnedFd) {
        if self.new.send(process).is_ok() {
            let _ = (&self.wake).write_all(&[0]);
        }
    }
}

fn wait(new: &Receiver<OwnedFd>, mut woken: PipeReader, poke: &Mutex<Option<Poke>>) {
    let mut watched: Vec<OwnedFd> = Vec::new();
    loop {
        let (has_ended, is_woken) = {
            let mut all = vec![PollFd::new(&woken, PollFlags::IN)];
            all.extend(watched.iter().map(|process| PollFd::new(process, PollFlags::IN)));
            let _ = poll(&mut all, None);
            let ready: Vec<bool> = all.iter().map(|one| !one.revents().is_empty()).collect();
            (ready[1..].to_vec(), ready[0])
        };
        // All writers are closed once everything is dropped.
        if is_woken && matches!(woken.read(&mut [0; 64]), Ok(0) | Err(_)) {
            return;
        }
        let any = has_ended.contains(&true);
        let mut ended = has_ended.into_iter();
        watched.retain(|_| !ended.next().unwrap_or(false));
        watched.extend(new.try_iter());
        let told = lock(poke).clone();
        if let (true, Some(told)) = (any, told) {
            told();
        }
    }
}
