//! The pickle instructions that state dicts use. Python's `pickletools` documents them.

use super::{
    error::{PthError, malformed},
    value::{Global, Value},
};

pub(super) enum Opcode {
    Stop,
    /// Metadata without effect: protocol version and frames.
    Ignored,
    /// Pushes a value without elements.
    Push(Value),
    EmptyTuple,
    EmptyDict,
    /// Makes a tuple of the top values.
    Tuple(usize),
    /// Makes a tuple of the values above the mark.
    TupleToMark,
    /// Stores the top value in the memo at this index.
    Store(u32),
    /// Stores the top value at the next index.
    StoreNext,
    Load(u32),
    /// Pushes the global named by the two texts on the stack.
    Global,
    /// Pushes a storage of the archive.
    PersistentId,
    /// Calls a function or a constructor.
    Reduce,
    SetItem,
    SetItemsToMark,
    /// Adds to a list.
    Append,
    /// Adds to a list or set.
    AppendToMark,
    /// Makes a set of the values above the mark.
    FrozenSet,
    Drop,
    DropToMark,
    Duplicate,
    /// Sets attributes.
    Build,
}

/// The unread rest of a pickle.
pub(super) struct Code<'a> {
    bytes: &'a [u8],
}

impl<'a> Code<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn next(&mut self) -> Result<Opcode, PthError> {
        Ok(match self.byte()? {
            b'.' => Opcode::Stop,
            0x80 => self.ignore(1)?,
            0x95 => self.ignore(8)?,
            b'(' => Opcode::Push(Value::Mark),
            // None, booleans, empty lists and sets.
            b'N' | 0x88 | 0x89 | b']' | 0x8f => Opcode::Push(Value::Other),
            b'G' => self.other(8)?,
            b'K' => Opcode::Push(Value::Int(self.unsigned(1)? as i64)),
            b'M' => Opcode::Push(Value::Int(self.unsigned(2)? as i64)),
            b'J' => Opcode::Push(Value::Int(i64::from(self.unsigned(4)? as u32 as i32))),
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'X' => Opcode::Push(self.text(4)?),
            0x8c => Opcode::Push(self.text(1)?),
            0x8d => Opcode::Push(self.text(8)?),
            b'C' | b'U' => self.bytes(1)?,
            b'B' | b'T' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            b'}' => Opcode::EmptyDict,
            b')' => Opcode::EmptyTuple,
            b't' => Opcode::TupleToMark,
            opcode @ 0x85..=0x87 => Opcode::Tuple(usize::from(opcode - 0x84)),
            b'q' => Opcode::Store(self.unsigned(1)? as u32),
            b'r' => Opcode::Store(self.unsigned(4)? as u32),
            0x94 => Opcode::StoreNext,
            b'h' => Opcode::Load(self.unsigned(1)? as u32),
            b'j' => Opcode::Load(self.unsigned(4)? as u32),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Opcode::Push(Value::Global(Global::find(&module, &name)?))
            }
            0x93 => Opcode::Global,
            b'Q' => Opcode::PersistentId,
            b'R' | 0x81 => Opcode::Reduce,
            b's' => Opcode::SetItem,
            b'u' => Opcode::SetItemsToMark,
            b'a' => Opcode::Append,
            b'e' | 0x90 => Opcode::AppendToMark,
            0x91 => Opcode::FrozenSet,
            b'0' => Opcode::Drop,
            b'1' => Opcode::DropToMark,
            b'2' => Opcode::Duplicate,
            b'b' => Opcode::Build,
            other => {
                return Err(malformed(&format!("unsupported pickle opcode 0x{other:02x}")));
            }
        })
    }

    fn ignore(&mut self, count: usize) -> Result<Opcode, PthError> {
        self.take(count).map(|_| Opcode::Ignored)
    }

    fn other(&mut self, count: usize) -> Result<Opcode, PthError> {
        self.take(count).map(|_| Opcode::Push(Value::Other))
    }

    /// Bytes after their length, a number of `width` bytes.
    fn bytes(&mut self, width: usize) -> Result<Opcode, PthError> {
        let length = self.unsigned(width)? as usize;
        self.other(length)
    }

    /// An integer after its length. One of more than 64 bits, such as the state of a random generator, is not a size.
    fn long(&mut self, width: usize) -> Result<Opcode, PthError> {
        let length = self.unsigned(width)? as usize;
        let bytes = self.take(length)?;
        if bytes.len() > 8 {
            return Ok(Opcode::Push(Value::Other));
        }
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [sign; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        Ok(Opcode::Push(Value::Int(i64::from_le_bytes(number))))
    }

    fn text(&mut self, width: usize) -> Result<Value, PthError> {
        let length = self.unsigned(width)? as usize;
        // Python writes file names that are not UTF-8 as lone surrogates.
        Ok(Value::Text(String::from_utf8_lossy(self.take(length)?).into()))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PthError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| malformed("the pickle is truncated"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, PthError> {
        Ok(self.take(1)?[0])
    }

    fn unsigned(&mut self, width: usize) -> Result<u64, PthError> {
        let mut number = [0; 8];
        number[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(number))
    }

    fn line(&mut self) -> Result<String, PthError> {
        let end = self
            .bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| malformed("the pickle is truncated"))?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}
