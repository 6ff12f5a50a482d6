//! Traces that span processes: the client's trace context (W3C Trace Context) and whether its requests are recorded.

use forebay_units::digits::hexadecimal;

/// Length of a `traceparent` of version 00, and the least of any later version, in bytes.
const TRACEPARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;
/// The flags with a meaning: sampled, and random trace id (level 2). Others are sent as zero (W3C Trace Context,
/// section 3.2.2.5).
const KNOWN_FLAGS: u8 = 3;

/// A client's `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace's id; not 0.
    pub trace: u128,
    /// The client's span; not 0.
    pub span: u64,
    /// The flags that are known here.
    pub flags: u8,
}

impl TraceParent {
    /// Parses a header's value; `None` if it is malformed (W3C Trace Context, sections 3.2 and 4.3).
    pub fn parse(value: &[u8]) -> Option<TraceParent> {
        let fits = match (value.len(), value.get(..2)?) {
            (_, b"ff") => false,
            (TRACEPARENT_BYTES, _) => true,
            // A later version may continue after another dash.
            (length, version) => length > TRACEPARENT_BYTES && version != b"00" && value[55] == b'-',
        };
        if !fits || [2, 35, 52].iter().any(|&at| value[at] != b'-') {
            return None;
        }
        number(&value[..2])?;
        let parent = TraceParent {
            trace: number(&value[3..35])?,
            span: u64::try_from(number(&value[36..52])?).ok()?,
            flags: u8::try_from(number(&value[53..55])?).ok()? & KNOWN_FLAGS,
        };
        (parent.trace != 0 && parent.span != 0).then_some(parent)
    }

    /// Whether the client records its span.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Reads up to 32 lower-case hexadecimal digits.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Decides which requests are recorded: those of a client that records its own span, none of a client that says it does
/// not, and this share of the requests without a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    share: f64,
}

impl Sampling {
    /// `share` ranges from 0.0 (none) to 1.0 (all).
    pub fn new(share: f64) -> Sampling {
        Sampling {
            share: share.clamp(0.0, 1.0),
        }
    }

    /// Decides by the trace's id, so that all who sample at the same share take the same traces (OpenTelemetry's
    /// TraceIdRatioBased).
    fn takes(self, trace: u128) -> bool {
        let low = (trace as u64) >> 1;
        self.share >= 1.0 || (low as f64) < self.share * (1_u64 << 63) as f64
    }

    /// Begins a request's span. `parent` is the client's, if it sent a well-formed one. `None` if the client's trace is
    /// not recorded: then its headers are passed on unchanged.
    pub fn begin(self, parent: Option<TraceParent>, mut draw: impl FnMut() -> u64) -> Option<SpanContext> {
        // Zero is not a valid id (W3C Trace Context, section 3.2.2).
        let mut id = || draw().max(1);
        if parent.is_some_and(|parent| !parent.is_sampled()) {
            return None;
        }
        let trace = match parent {
            Some(parent) => parent.trace,
            None => u128::from(id()) << 64 | u128::from(id()),
        };
        let flags = match parent {
            Some(parent) => parent.flags,
            None => u8::from(self.takes(trace)),
        };
        Some(SpanContext {
            trace,
            parent: parent.map(|parent| parent.span),
            span: id(),
            target: id(),
            flags,
        })
    }
}

/// A request's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace's id.
    pub trace: u128,
    /// The client's span; `None` if the trace begins here.
    pub parent: Option<u64>,
    /// The request's own span.
    pub span: u64,
    /// The span of its time at the target; the target sees it as its parent.
    pub target: u64,
    /// The last field of `traceparent`.
    pub flags: u8,
}

impl SpanContext {
    /// Whether the request is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Appends the value of the target's `traceparent`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"00-");
        hexadecimal(out, (self.trace >> 64) as u64, 16);
        hexadecimal(out, self.trace as u64, 16);
        out.push(b'-');
        hexadecimal(out, self.target, 16);
        out.push(b'-');
        hexadecimal(out, u64::from(self.flags), 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<TraceParent> {
        TraceParent::parse(text.as_bytes())
    }

    /// W3C Trace Context, sections 3.2.2 and 4.3.
    #[test]
    fn what_is_malformed_is_none() {
        assert!(parse(GOOD).is_some_and(|parent| parent.is_sampled()));
        assert_eq!(parse(&GOOD.replace("-01", "-ff")).unwrap().flags, 3);
        assert!(!parse(&GOOD.replace("-01", "-02")).unwrap().is_sampled());
        for later in ["cc", "01", "fe"] {
            let later = GOOD.replacen("00", later, 1);
            assert_eq!(parse(&later), parse(GOOD));
            assert_eq!(parse(&format!("{later}-what comes")), parse(GOOD));
            assert_eq!(parse(&format!("{later}.what comes")), None);
        }
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = GOOD.replace("b7ad6b7169203331", "0000000000000000");
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-"),
            &format!("{GOOD}0"),
            &format!(" {GOOD}"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0x", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace("af", "é"),
            &zero_trace,
            &zero_span,
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_client_that_does_not_record_is_left_alone() {
        let all = Sampling::new(1.0);
        assert_eq!(all.begin(parse(&GOOD.replace("-01", "-00")), || 7), None);
        // A trace that is recorded is joined, whatever the share.
        let none = Sampling::new(0.0);
        let joined = none.begin(parse(GOOD), || 7).unwrap();
        assert!(joined.is_sampled());
        assert_eq!(Some(joined.trace), parse(GOOD).map(|parent| parent.trace));
        assert_eq!(joined.parent, Some(0xb7ad_6b71_6920_3331));
        // A trace that begins here and is not recorded tells the target so.
        let begun = none.begin(None, || 0).unwrap();
        assert!(!begun.is_sampled() && begun.span != 0 && begun.trace != 0);
    }

    #[test]
    fn the_share_is_kept() {
        for share in [0.0, 0.1, 0.5, 1.0] {
            let mut rng = forebay_units::Rng::named(1, "trace");
            let sampling = Sampling::new(share);
            let taken = (0..20_000)
                .filter(|_| sampling.begin(None, || rng.next_u64()).unwrap().is_sampled())
                .count() as f64;
            assert!((taken / 20_000.0 - share).abs() < 0.02, "{taken} of {share}");
        }
    }

    proptest! {
        #[test]
        fn bytes_never_panic_and_what_is_written_is_read(bytes: Vec<u8>, trace in 1_u128.., target in 1_u64.., flags in 0_u8..4) {
            let _ = TraceParent::parse(&bytes);
            let context = SpanContext { trace, parent: None, span: 1, target, flags };
            let mut out = Vec::new();
            context.write(&mut out);
            prop_assert_eq!(TraceParent::parse(&out), Some(TraceParent { trace, span: target, flags }));
        }
    }
}
