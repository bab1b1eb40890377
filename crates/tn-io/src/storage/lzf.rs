//! The LZF compression of h5py (`compression="lzf"`), HDF5 filter 32000.

/// Number of the filter in HDF5 files.
pub(crate) const FILTER: u16 = 32_000;

/// Decompresses one chunk. Returns nothing if the data are damaged or grow beyond `limit` bytes.
///
/// The stream is a row of tokens (liblzf, Marc Lehmann). A first byte `c` below 32 announces `c + 1` literal bytes. Any
/// other announces a copy of `(c >> 5) + 2` earlier bytes (where the three bits are 7, the next byte is added) at
/// distance `((c & 31) << 8 | next byte) + 1`.
pub(crate) fn decompress(input: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut output: Vec<u8> = Vec::with_capacity((input.len() * 3).min(limit));
    let mut rest = input;
    while let Some((&control, tail)) = rest.split_first() {
        rest = tail;
        let control = usize::from(control);
        if control < 32 {
            let (literals, tail) = rest.split_at_checked(control + 1)?;
            output.extend_from_slice(literals);
            rest = tail;
        } else {
            let mut length = control >> 5;
            if length == 7 {
                let (&more, tail) = rest.split_first()?;
                length += usize::from(more);
                rest = tail;
            }
            let (&low, tail) = rest.split_first()?;
            rest = tail;
            let distance = ((control & 31) << 8 | usize::from(low)) + 1;
            let start = output.len().checked_sub(distance)?;
            // A copy may overlap what it writes: byte by byte.
            for position in start..start + length + 2 {
                output.push(output[position]);
            }
        }
        if output.len() > limit {
            return None;
        }
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: Option<&[u8]>) {
        assert_eq!(decompress(input, 1_000).as_deref(), expected);
    }

    #[test]
    fn literals_and_overlapping_copies_are_expanded() {
        check(&[2, b'a', b'b', b'c'], Some(b"abc"));
        check(&[0, b'a', 0x40, 0], Some(b"aaaaa"));
        check(&[1, b'a', b'b', 0xE0, 1, 1], Some(b"abababababab"));
    }

    #[test]
    fn damaged_input_is_refused() {
        check(&[5, b'a'], None);
        check(&[0x20, 0], None);
        check(&[0, b'a', 0xE0], None);
    }

    #[test]
    fn output_is_limited() {
        let input: Vec<u8> = [vec![0, b'a'], [0xE0, 255, 0].repeat(50)].concat();
        assert_eq!(decompress(&input, 1_000), None);
    }
}
