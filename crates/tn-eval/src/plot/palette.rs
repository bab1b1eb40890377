//! Colors that stay distinct under the common forms of color blindness.

/// An sRGB color as red, green and blue.
pub type Rgb = [u8; 3];

/// Fifteen colors for classes: seven of the eight of Okabe and Ito (black is left to text), and eight more.
///
/// The eight were chosen by search such that any two of all fifteen differ by at least 0.075 in Oklab, also as they are seen
/// without the cones for red, for green or for blue (severity 1 of Machado), while no color comes close to white or to pale grey.
///
/// Okabe and Ito, "Color Universal Design" (2008); Machado, Oliveira and Fernandes, IEEE Transactions on Visualization and
/// Computer Graphics 15, 1291 (2009); Ottosson, "A perceptual color space for image processing" (2020).
pub const CLASSES: [Rgb; 15] = [
    [0x00, 0x72, 0xB2], // blue
    [0xE6, 0x9F, 0x00], // orange
    [0x00, 0x9E, 0x73], // bluish green
    [0xCC, 0x79, 0xA7], // reddish purple
    [0x56, 0xB4, 0xE9], // sky blue
    [0xD5, 0x5E, 0x00], // vermilion
    [0xF0, 0xE4, 0x42], // yellow
    [0x77, 0x66, 0x66], // warm grey
    [0x44, 0x00, 0xBB], // indigo
    [0x88, 0x00, 0x77], // wine
    [0x93, 0xB4, 0x7D], // sage
    [0x4F, 0xE1, 0x7E], // bright green
    [0x44, 0x55, 0x00], // dark olive
    [0xD5, 0xB0, 0xBA], // dusty pink
    [0x55, 0x11, 0x11], // brown
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

/// The relative luminance of a color, from 0 for black to 1 for white.
///
/// W3C, "Web Content Accessibility Guidelines 2.2" (2023).
pub(super) fn luminance(color: Rgb) -> f64 {
    let [red, green, blue] = linear(color);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// The amounts of light that a color stands for.
fn linear(color: Rgb) -> [f64; 3] {
    color.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    /// How linear light looks with all cones and, at severity 1, without those for red, green or blue: Machado et al., table 1.
    const VISIONS: [(&str, Matrix); 4] = [
        ("trichromacy", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
        ("deuteranopia", [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
        ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
    ];

    fn product(matrix: &Matrix, vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2])
    }

    /// Lightness and two axes of color, in which distances are about as large as they look.
    fn oklab(color: Rgb, vision: &Matrix) -> [f64; 3] {
        const CONES: Matrix = [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ];
        const LAB: Matrix = [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ];
        let seen = product(vision, linear(color)).map(|light| light.clamp(0.0, 1.0));
        product(&LAB, product(&CONES, seen).map(f64::cbrt))
    }

    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn oklab_has_the_published_values() {
        let [lightness, a, b] = oklab([0xFF, 0x00, 0x00], &VISIONS[0].1);
        assert!((lightness - 0.62796).abs() < 1e-4 && (a - 0.22486).abs() < 1e-4 && (b - 0.12585).abs() < 1e-4);
        assert!(distance(oklab([0xFF; 3], &VISIONS[0].1), [1.0, 0.0, 0.0]) < 1e-4);
    }

    #[test]
    fn class_colors_are_told_apart_by_everyone() {
        for (name, vision) in &VISIONS {
            for (index, &color) in CLASSES.iter().enumerate() {
                for &other in &CLASSES[..index] {
                    let apart = distance(oklab(color, vision), oklab(other, vision));
                    assert!(apart >= 0.075, "{color:X?} and {other:X?} under {name}: {apart}");
                }
                for ground in [[0xFF; 3], [0xE9; 3]] {
                    let apart = distance(oklab(color, vision), oklab(ground, vision));
                    assert!(apart >= 0.055, "{color:X?} on {ground:X?} under {name}: {apart}");
                }
            }
        }
    }

    #[test]
    fn larger_values_are_brighter_to_everyone() {
        for (name, vision) in &VISIONS {
            let lightness: Vec<f64> = (0..=64).map(|step| oklab(value_color(f64::from(step) / 64.0), vision)[0]).collect();
            assert!(lightness.windows(2).all(|pair| pair[1] > pair[0]), "{name}: {lightness:?}");
            assert!(lightness[64] - lightness[0] > 0.55, "{name}: {lightness:?}");
        }
    }

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
