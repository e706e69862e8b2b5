use super::*;

fn check_time(text: &str, expected: Result<u64, TimestampError>) {
    assert_eq!(
        Timestamp::parse(text).map(Timestamp::as_nanos),
        expected,
        "{text}"
    );
}

#[test]
fn times_are_read_as_rfc_3339() {
    check_time("1970-01-01T00:00:00Z", Ok(0));
    check_time("1970-01-01T00:00:00.000000001Z", Ok(1));
    check_time("2026-01-31T08:00:00Z", Ok(1_769_846_400_000_000_000));
    check_time("2026-01-31t08:00:00z", Ok(1_769_846_400_000_000_000));
    check_time("2026-01-31 08:00:00Z", Ok(1_769_846_400_000_000_000));
    check_time("2026-01-31T10:30:00+02:30", Ok(1_769_846_400_000_000_000));
    check_time("2026-01-30T23:00:00-09:00", Ok(1_769_846_400_000_000_000));
    check_time("2026-01-31T08:00:00.5Z", Ok(1_769_846_400_500_000_000));
    check_time(
        "2026-01-31T08:00:00.1234567891Z",
        Ok(1_769_846_400_123_456_789),
    );
    check_time("2024-02-29T00:00:00Z", Ok(1_709_164_800_000_000_000));
    check_time("2000-02-29T00:00:00Z", Ok(951_782_400_000_000_000));
    check_time("2554-07-21T23:34:33.709551615Z", Ok(u64::MAX));
}

#[test]
fn a_text_that_is_no_time_is_refused() {
    for text in [
        "",
        "2026-01-31",
        "2026-01-31T08:00:00",
        "2026-01-31T08:00Z",
        "2026-1-31T08:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:00:60Z",
        "2026-01-31T08:00:00.Z",
        "2026-01-31T08:00:00Z ",
        "2026-01-31T08:00:00+0200",
        "2026-01-31T08:00:00+24:00",
        "+026-01-31T08:00:00Z",
        "2026-01-31T08:00:00é",
    ] {
        check_time(text, Err(TimestampError::Malformed));
    }
}

#[test]
fn a_time_outside_64_bits_of_nanoseconds_is_refused() {
    check_time(
        "1969-12-31T23:59:59.999999999Z",
        Err(TimestampError::OutOfRange),
    );
    check_time("0001-01-01T00:00:00Z", Err(TimestampError::OutOfRange));
    check_time("1970-01-01T00:00:00+00:01", Err(TimestampError::OutOfRange));
    check_time(
        "2554-07-21T23:34:33.709551616Z",
        Err(TimestampError::OutOfRange),
    );
    check_time("9999-12-31T23:59:59Z", Err(TimestampError::OutOfRange));
}

#[test]
fn times_are_written_as_go_writes_them() {
    for (nanos, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_769_846_400_500_000_000, "2026-01-31T08:00:00.5Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"),
        (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
    ] {
        assert_eq!(Timestamp::from_nanos(nanos).to_string(), expected);
    }
}

#[test]
fn every_day_that_is_written_is_read_back() {
    const DAYS: u64 = u64::MAX / (86_400 * NANOS_PER_SECOND);
    for day in 0..=DAYS {
        let time = Timestamp::from_nanos(day * 86_400 * NANOS_PER_SECOND);
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
    }
}

#[test]
fn arithmetic_stops_at_both_ends() {
    let time = Timestamp::from_nanos(5);
    assert_eq!(
        time.checked_add(Duration::from_nanos(2)),
        Some(Timestamp::from_nanos(7))
    );
    assert_eq!(time.checked_sub(Duration::from_nanos(6)), None);
    assert_eq!(Timestamp::MAX.checked_add(Duration::from_nanos(1)), None);
    assert_eq!(time.checked_add(Duration::MAX), None);
    assert_eq!(time.saturating_add(Duration::MAX), Timestamp::MAX);
    assert_eq!(time.saturating_sub(Duration::MAX), Timestamp::UNIX_EPOCH);
    assert_eq!(
        time.saturating_duration_since(Timestamp::MAX),
        Duration::ZERO
    );
    assert_eq!(
        Timestamp::MAX.saturating_duration_since(time),
        Duration::from_nanos(u64::MAX - 5)
    );
}

#[test]
fn a_time_is_a_json_string() {
    let time = Timestamp::from_nanos(1_769_846_400_500_000_000);
    let json = serde_json::to_string(&time).unwrap();
    assert_eq!(json, "\"2026-01-31T08:00:00.5Z\"");
    assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
    assert!(serde_json::from_str::<Timestamp>("5").is_err());
}

fn check_duration(text: &str, expected: Result<u64, DurationError>) {
    assert_eq!(
        parse_duration(text),
        expected.map(Duration::from_nanos),
        "{text}"
    );
}

#[test]
fn durations_are_numbers_with_units() {
    check_duration("0", Ok(0));
    check_duration("0s", Ok(0));
    check_duration("1ns", Ok(1));
    check_duration("2us", Ok(2_000));
    check_duration("2µs", Ok(2_000));
    check_duration("250ms", Ok(250_000_000));
    check_duration("5s", Ok(5_000_000_000));
    check_duration("2m", Ok(120_000_000_000));
    check_duration("1h", Ok(3_600_000_000_000));
    check_duration("1d", Ok(86_400_000_000_000));
    check_duration("1m30s", Ok(90_000_000_000));
    check_duration("1.5h", Ok(5_400_000_000_000));
    check_duration(".5s", Ok(500_000_000));
    check_duration("0.0000000019s", Ok(1));
    check_duration("9223372036854775807ns", Ok(i64::MAX.unsigned_abs()));
}

#[test]
fn what_is_wrong_with_a_duration_is_told() {
    let malformed = |text: &str| DurationError::Malformed {
        text: text.to_owned(),
    };
    check_duration("", Err(DurationError::Empty));
    check_duration(
        "30",
        Err(DurationError::MissingUnit {
            number: "30".to_owned(),
        }),
    );
    check_duration(
        "1m30",
        Err(DurationError::MissingUnit {
            number: "30".to_owned(),
        }),
    );
    check_duration(
        "5w",
        Err(DurationError::UnknownUnit {
            unit: "w".to_owned(),
        }),
    );
    check_duration(
        "5 s",
        Err(DurationError::UnknownUnit {
            unit: " s".to_owned(),
        }),
    );
    check_duration(
        "5S",
        Err(DurationError::UnknownUnit {
            unit: "S".to_owned(),
        }),
    );
    check_duration("s", Err(malformed("s")));
    check_duration("-5s", Err(malformed("-5s")));
    check_duration(".s", Err(malformed(".s")));
    check_duration("1.2.3s", Err(malformed("1.2.3s")));
    check_duration("9223372036854775808ns", Err(DurationError::TooLong));
    check_duration(
        "99999999999999999999999999999999999999999999d",
        Err(DurationError::TooLong),
    );
    assert_eq!(
        DurationError::MissingUnit {
            number: "30".to_owned()
        }
        .to_string(),
        "duration '30' has no unit; write 30ms, 30s, 30m, 30h or 30d"
    );
}

#[test]
fn a_written_duration_is_read_back() {
    for (nanos, expected) in [
        (0, "0s"),
        (250_000_000, "250ms"),
        (30_000_000_000, "30s"),
        (90_000_000_000, "1m30s"),
        (86_400_000_000_000, "1d"),
        (1_500_000, "1ms500us"),
        (7, "7ns"),
    ] {
        let duration = Duration::from_nanos(nanos);
        assert_eq!(format_duration(duration), expected);
        assert_eq!(parse_duration(expected), Ok(duration));
    }
    assert_eq!(
        parse_duration(&format_duration(MAX_DURATION)),
        Ok(MAX_DURATION)
    );
}
