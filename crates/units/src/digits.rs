//! Numbers as text, on the path of every request: the formatting machinery costs several times as much.

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    // Parts of addresses, statuses, short lengths.
    if number < 1000 {
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
        let skip = if number >= 100 {
            0
        } else {
            2 - usize::from(number >= 10)
        };
        out.extend_from_slice(&digits[skip..]);
        return;
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends the low `width` hexadecimal digits of a number, 16 at most.
pub fn hexadecimal(out: &mut Vec<u8>, number: u64, width: u32) {
    for place in (0..width.min(16)).rev() {
        out.push(b"0123456789abcdef"[(number >> (4 * place) & 0xf) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_standard_library_writes_them(number: u64) {
            let mut out = Vec::new();
            decimal(&mut out, number);
            out.push(b' ');
            hexadecimal(&mut out, number, 16);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{number} {number:016x}"));
        }
    }

    #[test]
    fn ends_of_the_range() {
        let mut out = Vec::new();
        decimal(&mut out, 0);
        hexadecimal(&mut out, 0xabc_1234, 4);
        assert_eq!(out, b"01234");
    }
}
