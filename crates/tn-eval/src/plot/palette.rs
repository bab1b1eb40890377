//! Colors that stay distinct under the common forms of color blindness.

/// An sRGB color as red, green and blue.
pub type Rgb = [u8; 3];

/// Fifteen colors for classes: seven of the eight of Okabe and Ito (black is left to text), a grey, and seven that differ from
/// them in lightness, several of them from Tol's muted scheme.
///
/// Okabe and Ito, "Color Universal Design" (2008); Tol, "Colour Schemes", SRON technical note (2021).
pub const CLASSES: [Rgb; 15] = [
    [0x00, 0x72, 0xB2], // blue
    [0xE6, 0x9F, 0x00], // orange
    [0x00, 0x9E, 0x73], // bluish green
    [0xCC, 0x79, 0xA7], // reddish purple
    [0x56, 0xB4, 0xE9], // sky blue
    [0xD5, 0x5E, 0x00], // vermilion
    [0xF0, 0xE4, 0x42], // yellow
    [0x7F, 0x7F, 0x7F], // grey
    [0x33, 0x22, 0x88], // indigo
    [0x88, 0x22, 0x55], // wine
    [0x99, 0x99, 0x33], // olive
    [0x99, 0xDD, 0xC8], // pale teal
    [0x11, 0x55, 0x33], // dark green
    [0xF4, 0xB6, 0xC2], // pink
    [0x66, 0x33, 0x11], // brown
];

/// Anchors of viridis, dark to bright.
const VIRIDIS: [Rgb; 9] = [
    [0x44, 0x01, 0x54],
    [0x47, 0x2D, 0x7B],
    [0x3B, 0x52, 0x8B],
    [0x2C, 0x72, 0x8E],
    [0x21, 0x91, 0x8C],
    [0x28, 0xAE, 0x80],
    [0x5E, 0xC9, 0x62],
    [0xAD, 0xDC, 0x30],
    [0xFD, 0xE7, 0x25],
];

/// Returns the color of the class with this index. Beyond the fifteenth the colors repeat.
#[must_use]
pub fn class_color(index: usize) -> Rgb {
    CLASSES[index % CLASSES.len()]
}

/// Returns the color of a value between 0 and 1 on the viridis scale. Values outside are clamped; NaN is grey.
#[must_use]
pub fn value_color(fraction: f64) -> Rgb {
    if fraction.is_nan() {
        return [0x7F, 0x7F, 0x7F];
    }
    let position = fraction.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (position.floor() as usize).min(VIRIDIS.len() - 2);
    let weight = position - below as f64;
    let mix = |channel: usize| {
        let (a, b) = (f64::from(VIRIDIS[below][channel]), f64::from(VIRIDIS[below + 1][channel]));
        (a + (b - a) * weight).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_colors_differ() {
        for (index, color) in CLASSES.iter().enumerate() {
            assert!(!CLASSES[..index].contains(color));
        }
        assert_eq!(class_color(15), class_color(0));
    }

    #[test]
    fn the_value_scale_ends_at_its_anchors() {
        assert_eq!(value_color(-1.0), VIRIDIS[0]);
        assert_eq!(value_color(0.0), VIRIDIS[0]);
        assert_eq!(value_color(0.5), VIRIDIS[4]);
        assert_eq!(value_color(1.0), VIRIDIS[8]);
        assert_eq!(value_color(f64::NAN), [0x7F; 3]);
    }
}
