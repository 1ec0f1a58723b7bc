//! What little of Thrift's compact protocol it takes to write footers and page headers.

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A struct that is being written. Fields ascend.
#[derive(Default)]
pub(crate) struct Struct {
    bytes: Vec<u8>,
    last_id: u8,
}

impl Struct {
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last_id) << 4 | kind);
        self.last_id = id;
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 & 0x7f | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint((value << 1 ^ value >> 63) as u64);
    }

    fn list_of(&mut self, id: u8, kind: u8, count: usize) {
        self.field(id, LIST);
        // A short list has its length in its first byte.
        assert!(count < 15, "{count} elements");
        self.bytes.push((count as u8) << 4 | kind);
    }

    pub(crate) fn i32(mut self, id: u8, value: i32) -> Self {
        self.field(id, I32);
        self.zigzag(value.into());
        self
    }

    pub(crate) fn i64(mut self, id: u8, value: i64) -> Self {
        self.field(id, I64);
        self.zigzag(value);
        self
    }

    pub(crate) fn bool(mut self, id: u8, value: bool) -> Self {
        self.field(id, if value { 1 } else { 2 });
        self
    }

    pub(crate) fn text(mut self, id: u8, value: &str) -> Self {
        self.field(id, BINARY);
        self.varint(value.len() as u64);
        self.bytes.extend(value.as_bytes());
        self
    }

    pub(crate) fn texts(mut self, id: u8, values: &[&str]) -> Self {
        self.list_of(id, BINARY, values.len());
        for value in values {
            self.varint(value.len() as u64);
            self.bytes.extend(value.as_bytes());
        }
        self
    }

    pub(crate) fn i32s(mut self, id: u8, values: &[i32]) -> Self {
        self.list_of(id, I32, values.len());
        for value in values {
            self.zigzag((*value).into());
        }
        self
    }

    pub(crate) fn inner(mut self, id: u8, value: Struct) -> Self {
        self.field(id, STRUCT);
        self.bytes.extend(value.end());
        self
    }

    pub(crate) fn structs(mut self, id: u8, values: Vec<Struct>) -> Self {
        self.list_of(id, STRUCT, values.len());
        for value in values {
            self.bytes.extend(value.end());
        }
        self
    }

    /// The bytes of the struct.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}
