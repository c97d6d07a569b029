//! Where shares are: the storage index of a file and the number of a share of it.

use std::fmt;
use std::path::PathBuf;

use guifi_tahoe::base32;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// Storage index.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Index(pub [u8; 16]);

impl Index {
    /// Reads 26 characters of base 32.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base32::decode_array(text).map(Self)
    }

    /// The directory of its shares, below that of all shares: `AB/ABCD…`.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        let text = self.to_string();
        let prefix = text.get(..2).unwrap_or_default().to_owned();
        PathBuf::from(prefix).join(text)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0))
    }
}

impl ToSql for Index {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Index {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// One share.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Of which file.
    pub index: Index,
    /// Which of its shares.
    pub number: u8,
}

impl Place {
    /// Its file, below the directory of all shares.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.index.directory().join(self.number.to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_index_is_26_characters_and_names_a_directory() {
        let text = "a7u7nte5ywgm6puqf6ozv2vvme";
        let index = Index::parse(text).unwrap();
        assert_eq!(index.to_string(), text);
        assert_eq!(index.directory(), PathBuf::from("a7").join(text));
        for bad in [
            "",
            "..",
            "a7u7nte5ywgm6puqf6ozv2vvm",
            "A7U7NTE5YWGM6PUQF6OZV2VVME",
            "a7u7nte5ywgm6puqf6ozv2vvm/",
            "a7u7nte5ywgm6puqf6ozv2vvmf",
        ] {
            assert_eq!(Index::parse(bad), None, "{bad}");
        }
    }
}
