//! QR codes of contact cards: on a terminal, into pictures, and out of them.
//!
//! A picture may come from anybody: its size is bounded before anything of it is unpacked, and what
//! is found in it is text that is read like text that was typed.

use std::fmt;
use std::io::Cursor;

use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};

/// Points of a module in a picture.
const MODULE: u32 = 8;
/// Light modules around a code.
const QUIET: u32 = 4;
/// Most points of a picture that is read.
const POINTS: u64 = 16_000_000;

/// Why a picture gives no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QrFault {
    /// It cannot be unpacked.
    NotAPicture,
    /// It is too large.
    TooLarge,
    /// There is no code in it, or it cannot be read.
    NoCode,
}

impl fmt::Display for QrFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAPicture => "it is not a sound PNG picture",
            Self::TooLarge => "it is too large to be a picture of a card",
            Self::NoCode => "there is no QR code in it that can be read",
        })
    }
}

impl std::error::Error for QrFault {}

fn code(text: &str) -> Option<QrCode> {
    // Capital letters and digits take fewer modules.
    QrCode::with_error_correction_level(text.to_uppercase(), EcLevel::L).ok()
}

/// The code for a terminal; none if it is wider than the terminal.
pub(crate) fn terminal(text: &str, columns: usize) -> Option<String> {
    let code = code(text)?;
    if code.width() + 8 > columns {
        return None;
    }
    let colours = (unicode::Dense1x2::Light, unicode::Dense1x2::Dark);
    Some(code.render().dark_color(colours.0).light_color(colours.1).build())
}

/// The code as an SVG picture.
pub(crate) fn svg(text: &str) -> Option<String> {
    Some(code(text)?.render::<svg::Color<'_>>().module_dimensions(MODULE, MODULE).build())
}

/// The code as a PNG picture.
pub(crate) fn png(text: &str) -> Option<Vec<u8>> {
    let code = code(text)?;
    let width = u32::try_from(code.width()).ok()?;
    let side = (width + 2 * QUIET) * MODULE;
    let colours = code.to_colors();
    let mut points = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let module = |at: u32| (at / MODULE).checked_sub(QUIET).filter(|at| *at < width);
            let dark = module(x).zip(module(y)).is_some_and(|(x, y)| {
                let at = usize::try_from(y * width + x).unwrap_or(usize::MAX);
                colours.get(at) == Some(&qrcode::Color::Dark)
            });
            points.push(if dark { 0 } else { 255 });
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&points).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

/// The text of the code in a PNG picture.
pub(crate) fn read_png(bytes: &[u8]) -> Result<String, QrFault> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|_| QrFault::NotAPicture)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > POINTS {
        return Err(QrFault::TooLarge);
    }
    let size = reader.output_buffer_size().ok_or(QrFault::TooLarge)?;
    let mut points = vec![0; size];
    let frame = reader.next_frame(&mut points).map_err(|_| QrFault::NotAPicture)?;
    let samples = frame.color_type.samples();
    let (width, height, line) = (frame.width as usize, frame.height as usize, frame.line_size);
    let light = |x: usize, y: usize| {
        let at = y * line + x * samples;
        let point = points.get(at..at + samples).unwrap_or(&[255]);
        match point {
            [grey] => *grey,
            // What is transparent is light.
            [grey, alpha] => 255 - (255 - *grey).min(*alpha),
            [red, green, blue, ..] => {
                let sum = u16::from(*red) + u16::from(*green) + u16::from(*blue);
                u8::try_from(sum / 3).unwrap_or(255)
            }
            [] => 255,
        }
    };
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, light);
    let grids = picture.detect_grids();
    let texts = grids.iter().filter_map(|grid| grid.decode().ok());
    texts.map(|(_, text)| text).next().ok_or(QrFault::NoCode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_reads_back() {
        for length in [60, 150, 290] {
            let text = format!("THISTLE:CARD1{}", "QPZRY9X8".repeat(length / 8));
            assert_eq!(read_png(&png(&text).unwrap()), Ok(text.clone()));
            assert!(svg(&text).unwrap().contains("<svg"));
            assert!(terminal(&text, 120).is_some() && terminal(&text, 20).is_none());
        }
    }

    #[test]
    fn other_pictures_are_refused() {
        assert_eq!(read_png(b"not a picture"), Err(QrFault::NotAPicture));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 40, 40);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[255; 1_600]).unwrap();
        assert_eq!(read_png(&bytes), Err(QrFault::NoCode));
        let mut large = bytes.clone();
        // The width and height of the header, whose checksum then is wrong as well.
        large[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(read_png(&large).is_err());
    }
}
