//! As much of Python's pickle as state dicts need.
//!
//! Owns the machine that runs a pickle and the values it makes; does not own the container the tensors'
//! bytes lie in. Invariants: only the globals in [`Global`] are known, any other is refused by name; a
//! pickle builds values and runs nothing.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{PthError, malformed};

/// Most values on the machine's stack.
const MAX_STACK: usize = 1 << 20;

/// Everything a pickle of tensors may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

impl Global {
    fn find(module: &str, name: &str) -> Result<Self, PthError> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Kind::F32),
            ("torch", "DoubleStorage") => Self::Storage(Kind::F64),
            ("torch", "HalfStorage") => Self::Storage(Kind::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Kind::Bf16),
            ("torch", "LongStorage") => Self::Storage(Kind::I64),
            _ => return Err(PthError::Forbidden(format!("{module}.{name}"))),
        })
    }
}

/// Type of a storage's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    F32,
    F64,
    F16,
    Bf16,
    I64,
}

#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) kind: Kind,
    pub(super) key: String,
}

#[derive(Clone, Debug)]
pub(super) struct TensorReference {
    pub(super) storage: Storage,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Self>),
    List(Rc<RefCell<Vec<Self>>>),
    Dict(Rc<RefCell<Vec<(Self, Self)>>>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorReference),
    Mark,
}

/// Runs a pickle and returns what it builds.
pub(super) fn run(pickle: &[u8]) -> Result<Value, PthError> {
    Machine::default().run(pickle)
}

/// The machine: a stack and a memo.
#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl Machine {
    fn run(mut self, pickle: &[u8]) -> Result<Value, PthError> {
        let mut code = Code { bytes: pickle };
        loop {
            let opcode = code.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode, &mut code)?;
            if self.stack.len() > MAX_STACK {
                return Err(malformed("it is too deep"));
            }
        }
    }

    /// Carries out one opcode; see `pickletools` in Python's library for what each means.
    fn step(&mut self, opcode: u8, code: &mut Code<'_>) -> Result<(), PthError> {
        match opcode {
            0x80 => drop(code.byte()?),
            0x95 => drop(code.take(8)?),
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::Nothing),
            0x88 | 0x89 => self.stack.push(Value::Bool),
            b'K' => self.push_int(code.unsigned(1)?),
            b'M' => self.push_int(code.unsigned(2)?),
            b'J' => self.stack.push(Value::Int(i64::from(code.unsigned(4)? as u32 as i32))),
            0x8a => self.push_long(code)?,
            b'X' => self.push_text(code, 4)?,
            0x8c => self.push_text(code, 1)?,
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b']' => self.stack.push(Value::List(Rc::default())),
            b')' => self.stack.push(Value::Tuple(Vec::new())),
            b't' => {
                let values = self.pop_to_mark()?;
                self.stack.push(Value::Tuple(values));
            }
            0x85..=0x87 => {
                let values = self.pop_many(usize::from(opcode - 0x84))?;
                self.stack.push(Value::Tuple(values));
            }
            b'q' => self.store(code.unsigned(1)? as u32)?,
            b'r' => self.store(code.unsigned(4)? as u32)?,
            0x94 => self.store(self.memo.len() as u32)?,
            b'h' => self.load(code.unsigned(1)? as u32)?,
            b'j' => self.load(code.unsigned(4)? as u32)?,
            b'c' => {
                let (module, name) = (code.line()?, code.line()?);
                self.stack.push(Value::Global(Global::find(&module, &name)?));
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let [Value::Text(module), Value::Text(name)] = names.as_slice() else {
                    return Err(malformed("a global has no name"));
                };
                self.stack.push(Value::Global(Global::find(module, name)?));
            }
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b's' => {
                let pair = self.pop_many(2)?;
                self.set_items(pair)?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                self.set_items(pairs)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' => {
                let values = self.pop_to_mark()?;
                self.append(values)?;
            }
            // Attributes of the dict, such as `_metadata`, are of no interest.
            b'b' => drop(self.pop()?),
            other => {
                return Err(malformed(&format!("pickle opcode 0x{other:02x} is none that tensors need")));
            }
        }
        Ok(())
    }

    fn push_int(&mut self, value: u64) {
        self.stack.push(Value::Int(value as i64));
    }

    fn push_long(&mut self, code: &mut Code<'_>) -> Result<(), PthError> {
        let length = code.byte()?;
        let bytes = code.take(usize::from(length))?;
        if bytes.len() > 8 {
            return Err(malformed("a number has more than 64 bits"));
        }
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [sign; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(number)));
        Ok(())
    }

    fn push_text(&mut self, code: &mut Code<'_>, width: usize) -> Result<(), PthError> {
        let length = code.unsigned(width)? as usize;
        let text = std::str::from_utf8(code.take(length)?).map_err(|_| malformed("a text is no UTF-8"))?;
        self.stack.push(Value::Text(text.to_owned()));
        Ok(())
    }

    fn store(&mut self, index: u32) -> Result<(), PthError> {
        let value = self.stack.last().cloned().ok_or_else(|| malformed("its stack is empty"))?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn load(&mut self, index: u32) -> Result<(), PthError> {
        let value =
            self.memo.get(&index).cloned().ok_or_else(|| malformed("it recalls what it never stored"))?;
        self.stack.push(value);
        Ok(())
    }

    /// `('storage', kind, key, location, elements)` names a storage of the archive.
    fn persistent(&mut self) -> Result<(), PthError> {
        let Value::Tuple(parts) = self.pop()? else { return Err(malformed("a storage has no description")) };
        let [Value::Text(tag), Value::Global(Global::Storage(kind)), Value::Text(key), ..] = parts.as_slice()
        else {
            return Err(malformed("a storage has no description"));
        };
        if tag != "storage" || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("a storage has no usable name"));
        }
        self.stack.push(Value::Storage(Storage { kind: *kind, key: key.clone() }));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), PthError> {
        let call = self.pop_many(2)?;
        let [Value::Global(global), Value::Tuple(arguments)] = call.as_slice() else {
            return Err(malformed("a call has no function or arguments"));
        };
        let value = match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => Value::Dict(Rc::default()),
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            (
                Global::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..],
            ) => Value::Tensor(TensorReference {
                storage: storage.clone(),
                offset: *offset,
                size: integers(size)?,
                stride: integers(stride)?,
            }),
            _ => return Err(malformed(&format!("{global:?} is called with other arguments"))),
        };
        self.stack.push(value);
        Ok(())
    }

    fn set_items(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        let Some(Value::Dict(entries)) = self.stack.last() else {
            return Err(malformed("it sets items of no dict"));
        };
        let mut values = values.into_iter();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            entries.borrow_mut().push((key, value));
        }
        Ok(())
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        let Some(Value::List(list)) = self.stack.last() else {
            return Err(malformed("it appends to no list"));
        };
        list.borrow_mut().extend(values);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, PthError> {
        self.stack.pop().ok_or_else(|| malformed("its stack is empty"))
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, PthError> {
        let at = self.stack.len().checked_sub(count).ok_or_else(|| malformed("its stack is empty"))?;
        Ok(self.stack.split_off(at))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, PthError> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let values = self.stack.split_off(mark.ok_or_else(|| malformed("a mark is missing"))? + 1);
        self.stack.pop();
        Ok(values)
    }
}

fn integers(values: &[Value]) -> Result<Vec<i64>, PthError> {
    let integer = |value: &Value| match value {
        Value::Int(number) => Ok(*number),
        _ => Err(malformed("a shape holds something else than numbers")),
    };
    values.iter().map(integer).collect()
}

/// The pickle's bytes still to read.
struct Code<'a> {
    bytes: &'a [u8],
}

impl<'a> Code<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PthError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| malformed("its pickle ends early"))?;
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
            .ok_or_else(|| malformed("its pickle ends early"))?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_pickle_is_refused_by_name() {
        let error = run(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").unwrap_err();
        assert!(matches!(&error, PthError::Forbidden(name) if name == "os.system"), "{error}");
        let error = run(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.").unwrap_err();
        assert!(matches!(&error, PthError::Forbidden(name) if name == "builtins.eval"), "{error}");
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        for pickle in [
            &b""[..],
            b".",
            b"\x80",
            b"R.",
            b"u.",
            b"t.",
            b"h\x07.",
            b"X\xff\xff\xff\xff.",
            b"(s.",
            b"Q.",
            b"\x8a\xff.",
        ] {
            assert!(run(pickle).is_err(), "{pickle:?}");
        }
    }
}
