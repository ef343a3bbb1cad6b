//! A strict reader of canonical JSON that builds nothing.
//!
//! One pass checks the grammar and the canonical form together and remembers where an event and
//! its `type` stand; events are parsed into types later, once, and only by who needs them. This is
//! what lets verification run at the speed of a bare parse.

use super::error::RecordError;

/// Boxed, because every string read returns one of these: a result of two words stays in registers.
pub(super) type Scan<T> = Result<T, Box<RecordError>>;

/// Deepest nesting of one event: a spec has ten levels or so.
const MAX_DEPTH: u32 = 64;

/// Where one event stands, as offsets in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    kind_start: usize,
    kind_end: usize,
}

/// The `type` of the event at `span`.
pub(super) fn event_kind(text: &str, span: EventSpan) -> &str {
    &text[span.kind_start..span.kind_end]
}

/// Reads `text` from the front.
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A string's content, without its quotes.
#[derive(Clone, Copy)]
struct StringSpan {
    start: usize,
    end: usize,
    escaped: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self::at(text, 0)
    }

    pub(super) fn at(text: &'a str, at: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at }
    }

    /// Takes exactly these bytes.
    pub(super) fn literal(&mut self, literal: &'static str) -> Scan<()> {
        if self.bytes[self.at..].starts_with(literal.as_bytes()) {
            self.at += literal.len();
            return Ok(());
        }
        // Point at the first byte that differs, not at the start of what was tried.
        let same = literal
            .bytes()
            .zip(&self.bytes[self.at..])
            .take_while(|(wanted, found)| wanted == *found)
            .count();
        Err(self.error_at(self.at + same, literal))
    }

    /// Takes this byte if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let taken = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(taken);
        taken
    }

    /// The next `len` bytes, where only ASCII may stand.
    pub(super) fn fixed(&mut self, len: usize, expected: &'static str) -> Scan<&'a str> {
        let text = self.text.get(self.at..self.at + len).ok_or_else(|| self.error(expected))?;
        self.at += len;
        Ok(text)
    }

    /// An unsigned integer without sign or leading zeros.
    pub(super) fn unsigned(&mut self) -> Scan<u64> {
        let start = self.at;
        self.number()?;
        self.text[start..self.at]
            .parse()
            .map_err(|_| self.error_at(start, "an integer from 0 to 18446744073709551615"))
    }

    /// A string; its content, borrowed if it has no escapes.
    pub(super) fn text_value(&mut self) -> Scan<std::borrow::Cow<'a, str>> {
        if !self.take(b'"') {
            return Err(self.error("a string"));
        }
        let span = self.string_rest()?;
        Ok(self.unescaped(span))
    }

    /// Nothing but the end may be next.
    pub(super) fn end(&self) -> Scan<()> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.error("the end")) }
    }

    /// One event: an object with a `type` that is a plain string.
    pub(super) fn event(&mut self) -> Scan<EventSpan> {
        let start = self.at;
        if !self.take(b'{') {
            return Err(self.error("an event, which is an object"));
        }
        let kind = self.object_rest(MAX_DEPTH)?;
        match kind {
            Some(kind) if !kind.escaped => {
                Ok(EventSpan { start, end: self.at, kind_start: kind.start, kind_end: kind.end })
            }
            _ => Err(self.error_at(start, "an event with a plain string `type`")),
        }
    }

    /// The rest of an object behind its `{`; returns the value of key `type` if it is a string.
    fn object_rest(&mut self, depth: u32) -> Scan<Option<StringSpan>> {
        let mut kind = None;
        if self.take(b'}') {
            return Ok(kind);
        }
        let mut previous: Option<StringSpan> = None;
        loop {
            let key_at = self.at;
            if !self.take(b'"') {
                return Err(self.error("a key"));
            }
            let key = self.string_rest()?;
            if let Some(previous) = previous
                && !self.sorted(previous, key)
            {
                return Err(self.error_at(key_at, "a key that sorts after the one before it"));
            }
            previous = Some(key);
            if !self.take(b':') {
                return Err(self.error("`:`"));
            }
            if self.take(b'"') {
                let value = self.string_rest()?;
                if &self.bytes[key.start..key.end] == b"type" {
                    kind = Some(value);
                }
            } else {
                self.value(depth)?;
            }
            if self.take(b',') {
                continue;
            }
            if self.take(b'}') {
                return Ok(kind);
            }
            return Err(self.error("`,` or `}`"));
        }
    }

    fn value(&mut self, depth: u32) -> Scan<()> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return Err(self.error("a value"));
        };
        match byte {
            b'"' => {
                self.at += 1;
                self.string_rest().map(|_| ())
            }
            b'{' | b'[' if depth == 0 => Err(self.error("at most 64 levels of nesting")),
            b'{' => {
                self.at += 1;
                self.object_rest(depth - 1).map(|_| ())
            }
            b'[' => {
                self.at += 1;
                self.array_rest(depth - 1)
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.error("a value")),
        }
    }

    fn array_rest(&mut self, depth: u32) -> Scan<()> {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if self.take(b',') {
                continue;
            }
            if self.take(b']') {
                return Ok(());
            }
            return Err(self.error("`,` or `]`"));
        }
    }

    /// An integer of 64 bits in its shortest form; the format has no fractions.
    fn number(&mut self) -> Scan<()> {
        const WHAT: &str = "an integer of at most 64 bits in its shortest form";
        let start = self.at;
        let negative = self.take(b'-');
        let digits_at = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let digits = &self.text[digits_at..self.at];
        let shortest = match digits.as_bytes() {
            [] => false,
            [b'0'] => !negative,
            [first, ..] => *first != b'0',
        };
        // 18 digits always fit; beyond that the exact range decides.
        let fits = digits.len() <= 18
            || if negative {
                self.text[start..self.at].parse::<i64>().is_ok()
            } else {
                digits.parse::<u64>().is_ok()
            };
        let more = matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        if shortest && fits && !more { Ok(()) } else { Err(self.error_at(start, WHAT)) }
    }

    /// The rest of a string behind its opening quote, which is taken.
    #[inline]
    fn string_rest(&mut self) -> Scan<StringSpan> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(StringSpan { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.error("no control character in a string")),
                None => return Err(self.error("the end of a string")),
            }
        }
    }

    /// One escape, which must be the shortest one for its character.
    fn escape(&mut self) -> Scan<()> {
        match &self.bytes[self.at + 1..] {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                self.at += 2;
                Ok(())
            }
            [b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..]
                if matches!(low, b'0'..=b'9' | b'a'..=b'f')
                    && !(*high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd')) =>
            {
                self.at += 6;
                Ok(())
            }
            _ => Err(self.error("the shortest escape of a character that needs one")),
        }
    }

    /// Moves to the next quote, backslash or control character, eight bytes at a time.
    #[inline]
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes[self.at..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            // A byte is zero exactly where subtracting one borrows into a clear high bit. A borrow
            // can only disturb bytes after a hit, and the first hit is all that counts.
            let quote = word ^ (ONES * 0x22);
            let backslash = word ^ (ONES * 0x5c);
            let hits = (quote.wrapping_sub(ONES) & !quote)
                | (backslash.wrapping_sub(ONES) & !backslash)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            if hits & HIGH != 0 {
                self.at += (hits & HIGH).trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == b'"' || byte == b'\\' || byte < 0x20 {
                return;
            }
            self.at += 1;
        }
    }

    /// Whether key `a` sorts before key `b`; keys sort by what they say, not by their escapes.
    #[inline]
    fn sorted(&self, a: StringSpan, b: StringSpan) -> bool {
        if a.escaped || b.escaped {
            return self.unescaped(a) < self.unescaped(b);
        }
        let (a, b) = (&self.bytes[a.start..a.end], &self.bytes[b.start..b.end]);
        match (a.first(), b.first()) {
            // Mostly the first byte tells; it costs no call.
            (Some(first), Some(second)) if first != second => first < second,
            _ => a < b,
        }
    }

    fn unescaped(&self, span: StringSpan) -> std::borrow::Cow<'a, str> {
        let inner = &self.text[span.start..span.end];
        if !span.escaped {
            return inner.into();
        }
        let quoted = &self.text[span.start - 1..=span.end];
        serde_json::from_str::<String>(quoted).expect("the string was checked").into()
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn error(&self, expected: &'static str) -> Box<RecordError> {
        self.error_at(self.at, expected)
    }

    #[cold]
    pub(super) fn error_at(&self, at: usize, expected: &'static str) -> Box<RecordError> {
        Box::new(RecordError::Form { at, expected, found: excerpt(self.bytes, at) })
    }
}

/// What stands at an offset, for an error message.
#[cold]
pub(super) fn excerpt(bytes: &[u8], at: usize) -> String {
    const MAX: usize = 24;
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return "the end".to_owned();
    }
    let shown = String::from_utf8_lossy(&rest[..rest.len().min(MAX)]);
    if rest.len() > MAX { format!("{shown:?}…") } else { format!("{shown:?}") }
}
