//! The path data of SVG (SVG 2, section 9.3), read into closed lines and written from them.

use std::f64::consts::{PI, TAU};
use std::fmt::Write;

use super::MaskError;

/// Straight pieces that stand for a curve.
const PIECES: u32 = 24;
/// More points than any drawing of a region has.
const MAX_POINTS: usize = 1 << 20;

type Point = (f64, f64);

/// Reads path data. Each subpath becomes a closed line, `x0, y0, x1, y1, ..`; curves and arcs
/// become straight pieces. Subpaths of fewer than three points are left out.
///
/// # Errors
/// If it is no path data, or has too many points.
pub fn read_path(path: &str) -> Result<Vec<Vec<f64>>, MaskError> {
    let mut reader = Reader {
        bytes: path.as_bytes(),
        at: 0,
    };
    let mut pen = Pen::default();
    let mut command = None;
    while let Some(byte) = reader.peek() {
        let next = if byte.is_ascii_alphabetic() {
            reader.at += 1;
            byte
        } else {
            match command {
                // Further pairs behind a move are lines.
                Some(b'M') => b'L',
                Some(b'm') => b'l',
                Some(b'Z' | b'z') | None => return Err(bad(reader.at)),
                Some(command) => command,
            }
        };
        if command.is_none() && !matches!(next, b'M' | b'm') {
            return Err(bad(reader.at));
        }
        command = Some(next);
        step(next, &mut reader, &mut pen)?;
        if pen.count > MAX_POINTS {
            return Err(MaskError::PolygonTooLarge {
                index: pen.rings.len(),
            });
        }
    }
    pen.close();
    Ok(pen.rings)
}

/// Writes closed lines as path data.
pub fn write_path(rings: &[Vec<(f32, f32)>]) -> String {
    let mut path = String::new();
    for ring in rings {
        for (index, (x, y)) in ring.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{x} {y}");
        }
        path.push('Z');
    }
    path
}

fn bad(position: usize) -> MaskError {
    MaskError::BadPath { position }
}

fn step(command: u8, reader: &mut Reader<'_>, pen: &mut Pen) -> Result<(), MaskError> {
    let origin = if command.is_ascii_lowercase() {
        pen.at
    } else {
        (0.0, 0.0)
    };
    let (mut cubic, mut quadratic) = (None, None);
    match command.to_ascii_uppercase() {
        b'M' => {
            let to = reader.point(origin)?;
            pen.close();
            pen.start = to;
            pen.line(to);
        }
        b'L' => pen.line(reader.point(origin)?),
        b'H' => pen.line((origin.0 + reader.number()?, pen.at.1)),
        b'V' => pen.line((pen.at.0, origin.1 + reader.number()?)),
        b'C' | b'S' => {
            let first = match command.to_ascii_uppercase() {
                b'C' => reader.point(origin)?,
                _ => pen.mirrored(pen.cubic),
            };
            let second = reader.point(origin)?;
            let to = reader.point(origin)?;
            pen.curve([first, second, to]);
            cubic = Some(second);
        }
        b'Q' | b'T' => {
            let middle = match command.to_ascii_uppercase() {
                b'Q' => reader.point(origin)?,
                _ => pen.mirrored(pen.quadratic),
            };
            let to = reader.point(origin)?;
            let part = |end: Point| {
                (
                    end.0 + (middle.0 - end.0) * 2.0 / 3.0,
                    end.1 + (middle.1 - end.1) * 2.0 / 3.0,
                )
            };
            pen.curve([part(pen.at), part(to), to]);
            quadratic = Some(middle);
        }
        b'A' => {
            let radii = (reader.number()?.abs(), reader.number()?.abs());
            let rotation = reader.number()?.to_radians();
            let (large, sweep) = (reader.flag()?, reader.flag()?);
            let to = reader.point(origin)?;
            pen.arc(radii, rotation, large, sweep, to);
        }
        b'Z' => {
            let start = pen.start;
            pen.close();
            pen.at = start;
        }
        _ => return Err(bad(reader.at.saturating_sub(1))),
    }
    pen.cubic = cubic;
    pen.quadratic = quadratic;
    Ok(())
}

#[derive(Debug, Default)]
struct Pen {
    at: Point,
    start: Point,
    // The last control points, which the next curve may mirror.
    cubic: Option<Point>,
    quadratic: Option<Point>,
    ring: Vec<f64>,
    rings: Vec<Vec<f64>>,
    count: usize,
}

impl Pen {
    fn line(&mut self, to: Point) {
        if self.ring.is_empty() && to != self.start {
            self.ring.extend([self.start.0, self.start.1]);
        }
        self.ring.extend([to.0, to.1]);
        self.at = to;
        self.count += 1;
    }

    fn close(&mut self) {
        let ring = std::mem::take(&mut self.ring);
        if ring.len() >= 6 {
            self.rings.push(ring);
        }
    }

    fn mirrored(&self, control: Option<Point>) -> Point {
        control.map_or(self.at, |(x, y)| (2.0 * self.at.0 - x, 2.0 * self.at.1 - y))
    }

    fn curve(&mut self, [a, b, to]: [Point; 3]) {
        let from = self.at;
        for piece in 1..=PIECES {
            let t = f64::from(piece) / f64::from(PIECES);
            let u = 1.0 - t;
            let blend = |p: f64, q: f64, r: f64, s: f64| {
                u * u * u * p + 3.0 * u * u * t * q + 3.0 * u * t * t * r + t * t * t * s
            };
            self.line((blend(from.0, a.0, b.0, to.0), blend(from.1, a.1, b.1, to.1)));
        }
        self.at = to;
    }

    /// An elliptical arc by its centre, as SVG 2, appendix B.2.4 computes it.
    fn arc(&mut self, radii: Point, rotation: f64, large: bool, sweep: bool, to: Point) {
        let from = self.at;
        if radii.0 == 0.0 || radii.1 == 0.0 || from == to {
            self.line(to);
            return;
        }
        let (sin, cos) = rotation.sin_cos();
        let (dx, dy) = ((from.0 - to.0) / 2.0, (from.1 - to.1) / 2.0);
        let (x, y) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let grow = ((x / radii.0).powi(2) + (y / radii.1).powi(2))
            .sqrt()
            .max(1.0);
        let (rx, ry) = (radii.0 * grow, radii.1 * grow);
        let off = (rx * y).powi(2) + (ry * x).powi(2);
        let factor = (((rx * ry).powi(2) - off) / off).max(0.0).sqrt();
        let factor = if large == sweep { -factor } else { factor };
        let (cx, cy) = (factor * rx * y / ry, -factor * ry * x / rx);
        let centre = (
            cos * cx - sin * cy + (from.0 + to.0) / 2.0,
            sin * cx + cos * cy + (from.1 + to.1) / 2.0,
        );
        let start = ((y - cy) / ry).atan2((x - cx) / rx);
        let end = ((-y - cy) / ry).atan2((-x - cx) / rx);
        let turn = match (sweep, end - start) {
            (true, turn) if turn < 0.0 => turn + TAU,
            (false, turn) if turn > 0.0 => turn - TAU,
            (_, turn) => turn,
        };
        let pieces = ((turn.abs() / PI * f64::from(PIECES)).ceil()).max(1.0) as u32;
        for piece in 1..pieces {
            let angle = start + turn * f64::from(piece) / f64::from(pieces);
            let (along, across) = (rx * angle.cos(), ry * angle.sin());
            self.line((
                centre.0 + cos * along - sin * across,
                centre.1 + sin * along + cos * across,
            ));
        }
        self.line(to);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no space and no comma.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !byte.is_ascii_whitespace() && byte != b',' {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn point(&mut self, origin: Point) -> Result<Point, MaskError> {
        Ok((origin.0 + self.number()?, origin.1 + self.number()?))
    }

    /// A flag is one digit, and the next number may follow it at once.
    fn flag(&mut self) -> Result<bool, MaskError> {
        let flag = self.peek();
        let position = self.at;
        self.at += 1;
        match flag {
            Some(b'0') => Ok(false),
            Some(b'1') => Ok(true),
            _ => Err(bad(position)),
        }
    }

    fn number(&mut self) -> Result<f64, MaskError> {
        self.peek();
        let start = self.at;
        let (mut has_point, mut has_exponent) = (false, false);
        while let Some(&byte) = self.bytes.get(self.at) {
            let after_exponent = self.at > start && matches!(self.bytes[self.at - 1], b'e' | b'E');
            match byte {
                b'0'..=b'9' => {}
                b'+' | b'-' if self.at == start || after_exponent => {}
                b'.' if !has_point && !has_exponent => has_point = true,
                b'e' | b'E' if !has_exponent && self.at > start => has_exponent = true,
                _ => break,
            }
            self.at += 1;
        }
        std::str::from_utf8(&self.bytes[start..self.at])
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| number.is_finite())
            .ok_or_else(|| bad(start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_all_kinds_are_read() {
        let square = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0];
        for path in [
            "M1 1L5 1L5 4L1 4Z",
            "M1,1 5,1 5,4 1,4",
            "m1 1h4v3h-4z",
            "M 1 1 H 5 V 4 H 1 Z",
            "M1 1l4-0 0 3-4 0z",
            "M1 1L5 1,5 4 1.0.4e1",
        ] {
            assert_eq!(read_path(path), Ok(vec![square.to_vec()]), "{path}");
        }
        let two = read_path("M0 0h2v2zm5 5h1v1z").unwrap();
        assert_eq!(
            two,
            [
                [0.0, 0.0, 2.0, 0.0, 2.0, 2.0],
                [5.0, 5.0, 6.0, 5.0, 6.0, 6.0]
            ]
        );
    }

    #[test]
    fn lines_are_written_closed() {
        let lines = [vec![(0.5, 0.0), (1.0, 0.5), (0.5, 1.0)]];
        assert_eq!(write_path(&lines), "M0.5 0L1 0.5L0.5 1Z");
    }

    #[test]
    fn curves_end_where_they_should_and_bulge() {
        for path in [
            "M0 0C0 10 10 10 10 0Z",
            "M0 0Q5 10 10 0Z",
            "M0 0A5 5 0 0 0 10 0Z",
            "M0 0a5 5 0 0010 0z",
        ] {
            let rings = read_path(path).unwrap();
            let ring = &rings[0];
            assert_eq!(ring[ring.len() - 2..], [10.0, 0.0], "{path}");
            let highest = ring
                .iter()
                .skip(1)
                .step_by(2)
                .fold(0.0, |a: f64, &b| a.max(b));
            assert!((4.9..7.6).contains(&highest), "{path}: {highest}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (path, position) in [
            ("L1 1", 1),
            ("M1", 2),
            ("M1 1X", 4),
            ("M1 1Z 2 2", 6),
            ("é", 0),
        ] {
            assert_eq!(read_path(path), Err(bad(position)), "{path}");
        }
        assert_eq!(read_path(""), Ok(Vec::new()));
        assert_eq!(read_path("M1 1L2 2Z"), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            quarters in prop::collection::vec((-2000i16..2000, -2000i16..2000), 3..20),
        ) {
            let points: Vec<(f32, f32)> = quarters
                .iter()
                .map(|&(x, y)| (f32::from(x) / 4.0, f32::from(y) / 4.0))
                .collect();
            let path = write_path(std::slice::from_ref(&points));
            prop_assert_eq!(read_path(&path), Ok(vec![crate::mask::contour::flat(&points)]));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[MLHVCSQTAZmlhvcsqtaz0-9 .,eE+-]{0,60}") {
            let _ = read_path(&text);
        }
    }
}
