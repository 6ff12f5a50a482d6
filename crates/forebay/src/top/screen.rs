//! The terminal in full-screen mode: its alternate page, without echo. It is restored when this is dropped.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Read as _, Write as _, stdin, stdout};
use tokio::sync::mpsc;

/// ECMA-48, and xterm's private modes, which today's terminals all know.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

pub(super) struct Screen {
    before: Termios,
    keys: mpsc::UnboundedReceiver<u8>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn take() -> anyhow::Result<Screen> {
        let before = tcgetattr(stdin())?;
        let mut modes = before.clone();
        // Ctrl-C stays a signal, so that it works even if this program hangs.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        let (sender, keys) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || {
                let mut key = [0];
                while stdin().read_exact(&mut key).is_ok() && sender.send(key[0]).is_ok() {}
            })?;
        let screen = Screen { before, keys };
        write(ENTER)?;
        Ok(screen)
    }

    /// The next key; none at the end of the input.
    pub(super) async fn key(&mut self) -> Option<u8> {
        self.keys.recv().await
    }

    /// Shows these lines, cut to the page, the first two highlighted.
    pub(super) fn show(&self, lines: &[String]) -> anyhow::Result<()> {
        let size = tcgetwinsize(stdout()).ok();
        let (rows, columns) = size.map_or((24, 80), |size| (size.ws_row.max(2), size.ws_col.max(20)));
        write(&page(lines, usize::from(rows), usize::from(columns)))
    }
}

fn page(lines: &[String], rows: usize, columns: usize) -> String {
    let mut page = HOME.to_owned();
    for (index, line) in lines.iter().take(rows).enumerate() {
        let cut: String = line.chars().take(columns).collect();
        let (begin, end) = if index < 2 { (BOLD, PLAIN) } else { ("", "") };
        let next = if index + 1 == rows { "" } else { "\r\n" };
        page.push_str(&format!("{begin}{cut}{end}{CLEAR_LINE}{next}"));
    }
    page + CLEAR_BELOW
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_cut_to_the_terminal() {
        let lines: Vec<String> = (0..5).map(|n| format!("line {n} is long")).collect();
        let page = page(&lines, 3, 6);
        assert!(page.contains("line 2") && !page.contains("line 3") && !page.contains("is long"));
        assert_eq!(page.matches("\r\n").count(), 2, "the last row must not scroll");
    }
}
