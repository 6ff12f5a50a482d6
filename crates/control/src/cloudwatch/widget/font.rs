//! The font of texts in graphs.

use plotters::style::{FontStyle, register_font};

/// The font file; its licence is beside it.
const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// Registers the font with `plotters`. A program that contains this crate must call it before drawing text: otherwise
/// `plotters` refuses to measure text, even for SVG.
pub fn use_font() {
    // This fails only for an invalid font file, and tests draw with this one.
    let _ = register_font("sans-serif", FontStyle::Normal, FONT);
}
