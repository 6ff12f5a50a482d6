use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<(usize, Option<Origin>), Refused> {
    HeaderReader::default().take(bytes)
}

fn told(client: &str, reached: &str) -> Origin {
    let [client, reached] = [client, reached].map(|address| address.parse().unwrap());
    Origin::Client(Ends { client, reached })
}

fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 9, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_of_version_1() {
    for (line, origin) in [
        (
            "PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n",
            told("192.0.2.9:56324", "198.51.100.1:443"),
        ),
        (
            "PROXY TCP6 2001:db8::9 2001:db8::1 0 65535\r\n",
            told("[2001:db8::9]:0", "[2001:db8::1]:65535"),
        ),
        // The longest possible: 104 bytes.
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            told(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
        ),
        // Rules for IPv4 match a mapped address.
        (
            "PROXY TCP6 ::ffff:192.0.2.9 ::ffff:198.51.100.1 1 2\r\n",
            told("192.0.2.9:1", "198.51.100.1:2"),
        ),
        ("PROXY UNKNOWN\r\n", Origin::Peer),
        ("PROXY UNKNOWN ffff::1 anything \r at all\r\n", Origin::Peer),
    ] {
        let with_more = [line.as_bytes(), b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(read(&with_more), Ok((line.len(), Some(origin))), "{line}");
        let part = &line.as_bytes()[..line.len() - 1];
        assert_eq!(read(part), Ok((part.len(), None)), "{line}");
        judge(&with_more);
    }
}

#[test]
fn lines_that_are_none() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 15));
    for line in [
        "GET / HTTP/1.1\r\n",
        "PROX\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.9 198.51.100.1 1 2\r\n",
        "PROXY TCP5 192.0.2.9 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4  192.0.2.9 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.09 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
        "PROXY TCP6 192.0.2.9 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.9 198.51.100.1 1 2\n",
        too_long.as_str(),
    ] {
        assert_eq!(read(line.as_bytes()), Err(Refused), "{line}");
        judge(line.as_bytes());
    }
    // A line of the greatest length is valid.
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
    assert_eq!(longest.len(), LONGEST_LINE);
    assert_eq!(read(longest.as_bytes()), Ok((LONGEST_LINE, Some(Origin::Peer))));
}

#[test]
fn blocks_of_version_2() {
    let origin = told("192.0.2.9:56324", "198.51.100.1:443");
    let with_fields = [&V4[..], &[0x04, 0, 2, 7, 7], &[0xea, 0, 0]].concat();
    let six = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]; 2].concat();
    let six = [&six[..], &[0, 1, 0, 2]].concat();
    for (bytes, origin) in [
        (block(0x21, 0x11, &V4), origin),
        (block(0x21, 0x11, &with_fields), origin),
        (
            block(0x21, 0x21, &six),
            told("[2001:db8::9]:1", "[2001:db8::9]:2"),
        ),
        (block(0x20, 0x00, &[]), Origin::Peer),
        // LOCAL counts, whatever accompanies it.
        (block(0x20, 0xff, &[1, 2, 3]), Origin::Peer),
        (block(0x20, 0x11, &V4), Origin::Peer),
        (block(0x21, 0x00, &[]), Origin::Peer),
        (block(0x21, 0x31, &[0; 216]), Origin::Peer),
        (block(0x21, 0x12, &V4), Origin::Peer),
        (block(0x20, 0x00, &[0; LONGEST_REST]), Origin::Peer),
    ] {
        let with_more = [&bytes[..], b"\x16\x03\x01"].concat();
        assert_eq!(read(&with_more), Ok((bytes.len(), Some(origin))), "{bytes:?}");
        judge(&with_more);
    }
    assert_eq!(header(Origin::Peer), block(0x20, 0, &[]));
    assert_eq!(header(origin), block(0x21, 0x11, &V4));
}

#[test]
fn blocks_that_are_none() {
    let mut other = block(0x21, 0x11, &V4);
    other[11] = b'\r';
    for bytes in [
        other,
        // Version 1 in binary, and unknown commands.
        block(0x11, 0x11, &V4),
        block(0x22, 0x11, &V4),
        block(0x21, 0x41, &V4),
        block(0x21, 0x13, &V4),
        block(0x21, 0x11, &V4[..11]),
        block(0x21, 0x21, &[0; 35]),
        block(0x20, 0x00, &[0; LONGEST_REST + 1]),
        // A field that is longer than the rest, and an incomplete one.
        block(0x21, 0x11, &[&V4[..], &[4, 0, 2, 7]].concat()),
        block(0x21, 0x11, &[&V4[..], &[4, 0]].concat()),
    ] {
        assert_eq!(read(&bytes), Err(Refused), "{bytes:?}");
        judge(&bytes);
    }
}

#[test]
fn checksums_are_checked() {
    // RFC 3720, section B.4: 32 zeros, and 32 ones.
    for (byte, crc) in [(0, 0x8a91_36aa_u32), (0xff, 0x62a8_ab43)] {
        assert_eq!(!(0..32).fold(u32::MAX, |crc, _| crc32c(crc, byte)), crc);
    }
    let field = |crc: u32| [&[CRC32C, 0, 4][..], &crc.to_be_bytes(), &[4, 0, 1, 0]].concat();
    let with = |crc| block(0x21, 0x11, &[&V4[..], &field(crc)].concat());
    let crc = !with(0).iter().fold(u32::MAX, |crc, &byte| crc32c(crc, byte));
    assert!(matches!(read(&with(crc)), Ok((_, Some(Origin::Client(_))))));
    judge(&with(crc));
    for wrong in [0, crc ^ 1, crc.swap_bytes()] {
        assert_eq!(read(&with(wrong)), Err(Refused));
    }
    let short = block(0x21, 0x11, &[&V4[..], &[CRC32C, 0, 1, 0]].concat());
    assert_eq!(read(&short), Err(Refused));
}

#[test]
fn who_may_not_send_one_is_known() {
    for head in ["PROXY TCP4 1.2.3.4", "PROXY UNKNOWN\r\n", "\0\r\nQUIT\nx"] {
        assert!(is_attempt(head.as_bytes()), "{head:?}");
    }
    for head in ["PROXY / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", "\0", ""] {
        assert!(!is_attempt(head.as_bytes()), "{head:?}");
    }
}

/// Bytes that resemble a header.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let starts = prop_oneof![
        Just(LINE.to_vec()),
        Just(b"PROXY TCP4 1.2.3.4 ".to_vec()),
        Just(b"PROXY UNKNOWN".to_vec()),
        Just(SIGNATURE.to_vec()),
        Just([&SIGNATURE[..], &[0x21, 0x11, 0]].concat()),
        Just([&SIGNATURE[..], &[0x21, 0x11, 0, 20], &V4].concat()),
        Just(Vec::new()),
    ];
    (starts, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn anything_is_a_header_a_part_of_one_or_refused(bytes in nearly()) {
        judge(&bytes);
    }

    #[test]
    fn what_is_written_is_read(client: (IpAddr, u16), reached: (IpAddr, u16)) {
        let [client, reached] = [client, reached].map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port));
        let origin = Origin::Client(Ends { client, reached });
        let bytes = header(origin);
        prop_assert_eq!(read(&bytes), Ok((bytes.len(), Some(origin))));
        judge(&bytes);
    }

    #[test]
    fn lines_that_are_written_are_read(from: Ipv6Addr, to: Ipv6Addr, ports: (u16, u16)) {
        let line = format!("PROXY TCP6 {from} {to} {} {}\r\n", ports.0, ports.1);
        let [client, reached] = [(from, ports.0), (to, ports.1)]
            .map(|(ip, port)| SocketAddr::new(IpAddr::V6(ip).to_canonical(), port));
        prop_assert_eq!(read(line.as_bytes()), Ok((line.len(), Some(Origin::Client(Ends { client, reached })))));
        judge(line.as_bytes());
    }
}
