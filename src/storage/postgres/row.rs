//! What tokio-postgres sends and receives, as Diesel writes and reads it: bytes of the binary format, with type OIDs.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;

use diesel::pg::{Pg, PgTypeMetadata, PgValue};
use diesel::row::{Field, PartialRow, Row as DieselRow, RowIndex, RowSealed};
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

type Failed = Box<dyn Error + Sync + Send>;

/// A value that Diesel has serialized. The driver prints the values of a statement at `log_level=debug`: they may be
/// secrets, so that only their length is shown.
pub struct Bind(pub Option<Vec<u8>>);

impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(bytes) => write!(f, "{} bytes", bytes.len()),
            None => f.write_str("NULL"),
        }
    }
}

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        self.to_sql(ty, out)
    }
}

/// The types of values; all are PostgreSQL's own, whose OIDs never change.
pub fn types(metadata: &[PgTypeMetadata]) -> Result<Vec<Type>, Failed> {
    let known = |metadata: &PgTypeMetadata| {
        let oid = metadata.oid()?;
        Type::from_oid(oid).ok_or_else(|| format!("{oid} is no type of PostgreSQL's own").into())
    };
    metadata.iter().map(known).collect()
}

/// The rows of one answer.
pub fn rows(rows: Vec<Row>) -> Vec<PgRow> {
    let oid = |ty: &Type| NonZeroU32::new(ty.oid()).unwrap_or(NonZeroU32::MIN);
    let oids: Arc<[_]> = match rows.first() {
        Some(row) => row.columns().iter().map(|column| oid(column.type_())).collect(),
        None => return Vec::new(),
    };
    rows.into_iter().map(|row| PgRow { row, oids: oids.clone() }).collect()
}

pub struct PgRow {
    row: Row,
    oids: Arc<[NonZeroU32]>,
}

impl RowSealed for PgRow {}

impl<'a> DieselRow<'a, Pg> for PgRow {
    type InnerPartialRow = Self;
    type Field<'b>
        = PgField<'b>
    where
        Self: 'b,
        'a: 'b;

    fn field_count(&self) -> usize {
        self.row.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<PgField<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        Some(PgField { row: self, index: self.idx(index)? })
    }

    fn partial_row(&self, range: std::ops::Range<usize>) -> PartialRow<'_, Self> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for PgRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.row.len()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for PgRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        self.row.columns().iter().position(|column| column.name() == name)
    }
}

pub struct PgField<'a> {
    row: &'a PgRow,
    index: usize,
}

impl<'a> Field<'a, Pg> for PgField<'a> {
    fn field_name(&self) -> Option<&str> {
        self.row.row.columns().get(self.index).map(|column| column.name())
    }

    fn value(&self) -> Option<PgValue<'_>> {
        let bytes = self.row.row.try_get::<_, Option<Bytes<'_>>>(self.index).ok().flatten()?;
        Some(PgValue::new(bytes.0, self.row.oids.get(self.index)?))
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
