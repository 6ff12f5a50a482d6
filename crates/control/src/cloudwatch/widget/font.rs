//! The font that graphs are lettered in.

use plotters::style::{FontStyle, register_font};

/// The font of all text in graphs; its licence is beside it.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// Has `plotters` know the font. Whoever draws text calls it first, in a program that this crate is part of: without it, `plotters`
/// refuses to measure text, for SVG too.
pub fn use_font() {
    // It fails for a file that is no font, and this one is drawn with in tests.
    let _ = register_font("sans-serif", FontStyle::Normal, FONT);
}
