//! How values stand in copies, and among the arguments of scripts: as text.

use std::str::FromStr;

use chrono::TimeDelta;

use crate::domain::{Role, SessionKind, Timestamp, UserStatus};

pub(super) trait Value: Sized {
    fn write(self) -> Vec<u8>;
    /// `None`: that is none of its values.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! words {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn write(self) -> Vec<u8> {
                self.as_str().into()
            }
            fn read(bytes: &[u8]) -> Option<Self> {
                parse(bytes)
            }
        }
    )+};
}
words!(SessionKind, Role, UserStatus);

impl Value for i64 {
    fn write(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        parse(bytes)
    }
}

impl Value for bool {
    fn write(self) -> Vec<u8> {
        i64::from(self).write()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        i64::read(bytes).map(|number| number == 1)
    }
}

impl Value for TimeDelta {
    fn write(self) -> Vec<u8> {
        self.num_milliseconds().write()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        i64::read(bytes).and_then(Self::try_milliseconds)
    }
}

impl Value for Timestamp {
    fn write(self) -> Vec<u8> {
        self.timestamp_millis().write()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        i64::read(bytes).map(Self::from_millis)
    }
}

fn parse<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
