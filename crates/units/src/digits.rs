//! Numbers as text, on the path of every request: `core::fmt` costs several times as much.

use std::net::Ipv4Addr;

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    // The usual case: statuses and short lengths.
    if number < 1000 {
        let (digits, length) = short(number as u16);
        out.extend_from_slice(&digits[..length]);
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

/// The digits of a number below 1000, and how many there are.
fn short(number: u16) -> ([u8; 3], usize) {
    let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
    match number {
        100.. => (digits, 3),
        10.. => ([digits[1], digits[2], 0], 2),
        _ => ([digits[2], 0, 0], 1),
    }
}

/// Appends an address in dotted decimal.
pub fn address(out: &mut Vec<u8>, address: Ipv4Addr) {
    let mut text = [0; 16];
    let mut at = 0;
    for part in address.octets() {
        let (digits, length) = short(u16::from(part));
        text[at..at + 3].copy_from_slice(&digits);
        at += length;
        text[at] = b'.';
        at += 1;
    }
    out.extend_from_slice(&text[..at - 1]);
}

/// Appends the low `width` hexadecimal digits of a number, at most 16.
pub fn hexadecimal(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&eight((number >> 32) as u32));
    digits[8..].copy_from_slice(&eight(number as u32));
    out.extend_from_slice(&digits[16 - width.min(16)..]);
}

/// Eight hexadecimal digits at once: each nibble is moved to a byte of its own and turned into its digit there.
fn eight(number: u32) -> [u8; 8] {
    let mut wide = u64::from(number);
    wide = (wide << 16 | wide) & 0x0000_ffff_0000_ffff;
    wide = (wide << 8 | wide) & 0x00ff_00ff_00ff_00ff;
    wide = (wide << 4 | wide) & 0x0f0f_0f0f_0f0f_0f0f;
    // One in each byte that holds ten or more.
    let letters = (wide + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (wide + 0x3030_3030_3030_3030 + letters * 0x27).to_be_bytes()
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
            out.push(b' ');
            decimal(&mut out, number % 1000);
            out.push(b' ');
            let peer = Ipv4Addr::from(number as u32);
            address(&mut out, peer);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{number} {number:016x} {} {peer}", number % 1000));
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
