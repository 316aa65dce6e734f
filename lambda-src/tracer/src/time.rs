//! Points in time, written so that their text sorts as they do.
//!
//! In: RFC 3339 with any offset, or the clock. Out: UTC with six decimals, which is what the indexes sort by. What is
//! finer than a microsecond is cut off. What can go wrong: text that is no time, or one outside 1970 to 9998.

use std::fmt;

use jiff::{Timestamp, Unit};

/// The first point in time, as text: no lower bound.
pub(crate) const FIRST: &str = "1970-01-01T00:00:00.000000Z";
/// After every point in time, as text: no upper bound.
pub(crate) const LAST: &str = "9999-12-31T23:59:59.999999Z";

/// A point in time between 1970 and 9998, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(Timestamp);

impl Time {
    /// Returns the present time.
    pub(crate) fn now() -> Self {
        Self::cut(Timestamp::now())
    }

    /// Parses RFC 3339; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "is no time: RFC 3339 with an offset is expected, such as 2026-11-22T10:00:00Z (in a URL, + is %2B)";
        // jiff reads more than RFC 3339, such as a space for the `T`.
        let has_its_shape =
            text.is_ascii() && text.as_bytes().get(10).is_some_and(|at| matches!(at, b'T' | b't'));
        let time =
            text.parse::<Timestamp>().ok().filter(|_| has_its_shape && text.len() <= 40).ok_or(SHAPE)?;
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        if (1970..9999).contains(&year) {
            Ok(Self::cut(time))
        } else {
            Err("is not between the years 1970 and 9998")
        }
    }

    /// Returns the seconds since 1970.
    pub(crate) fn seconds(self) -> u64 {
        u64::try_from(self.0.as_second()).unwrap_or_default()
    }

    /// Returns the milliseconds from `start` to this.
    pub(crate) fn milliseconds_since(self, start: Self) -> f64 {
        // Exact: microseconds of 8,000 years are below 2^53.
        let micros = (self.0.as_microsecond() - start.0.as_microsecond()) as f64;
        micros / 1000.0
    }

    fn cut(time: Timestamp) -> Self {
        let down = jiff::TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Floor);
        Self(time.round(down).unwrap_or(time))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.6}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LAST, Time};

    #[test]
    fn writes_all_times_at_the_same_width_in_utc() {
        for (text, expected) in [
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000Z"),
            ("2026-11-22T10:00:00.5+02:00", "2026-11-22T08:00:00.500000Z"),
            ("2026-11-22T10:00:00.123456999Z", "2026-11-22T10:00:00.123456Z"),
            ("1970-01-01T00:00:00Z", FIRST),
        ] {
            assert_eq!(Time::parse(text).expect(text).to_string(), expected);
        }
        let now = Time::now();
        assert_eq!(Time::parse(&now.to_string()), Ok(now));
        assert!(now.to_string().as_str() > FIRST && now.to_string().as_str() < LAST);
    }

    #[test]
    fn refuses_other_texts_and_far_times() {
        for wrong in
            ["", "yesterday", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22 10:00:00Z", "1700000000"]
        {
            assert!(Time::parse(wrong).is_err_and(|why| why.contains("RFC 3339")), "{wrong}");
        }
        for far in ["1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "-000044-03-15T00:00:00Z"] {
            assert!(Time::parse(far).is_err(), "{far}");
        }
    }

    #[test]
    fn measures_in_milliseconds() {
        let time = |text| Time::parse(text).expect(text);
        let (start, end) = (time("2026-11-22T10:00:00Z"), time("2026-11-22T10:00:01.0025Z"));
        assert!((end.milliseconds_since(start) - 1002.5).abs() < f64::EPSILON);
    }
}
