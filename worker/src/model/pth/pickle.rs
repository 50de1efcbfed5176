//! As much of Python's pickle as state dicts need.
//!
//! Owns the machine that runs a pickle and the values it makes; does not own the container the tensors'
//! bytes lie in. Invariants: only the globals in [`Global`] are known, any other is refused by name; a
//! pickle builds values and runs nothing; a value is small whatever a pickle nests, repeats or ties into a
//! loop, so time and memory are proportional to the pickle.

use std::{collections::HashMap, rc::Rc};

use super::{PthError, malformed};

/// Most values on the machine's stack.
const MAX_STACK: usize = 1 << 20;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 16;

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
    pub(super) storage: Rc<Storage>,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

/// A value. What it consists of lies in the [`Heap`].
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Bool,
    Int(i64),
    Text(Rc<str>),
    Tuple(Place),
    List(Place),
    Dict(Place),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorReference>),
    Mark,
}

/// Where the parts of a tuple, a list or a dict lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(usize);

/// The parts of all tuples, lists and dicts of a pickle; a dict's are keys and values in turn.
#[derive(Default)]
pub(super) struct Heap(Vec<Vec<Value>>);

impl Heap {
    fn put(&mut self, parts: Vec<Value>) -> Place {
        self.0.push(parts);
        Place(self.0.len() - 1)
    }

    fn parts(&self, place: Place) -> &[Value] {
        &self.0[place.0]
    }

    /// Returns the keys and values of a dict.
    pub(super) fn entries(&self, dict: Place) -> impl Iterator<Item = (&Value, &Value)> {
        self.parts(dict).as_chunks().0.iter().map(|[key, value]| (key, value))
    }
}

/// Runs a pickle and returns what it builds.
pub(super) fn run(pickle: &[u8]) -> Result<(Value, Heap), PthError> {
    Machine::default().run(pickle)
}

/// The machine: a stack, a memo and what the values on them consist of.
#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    heap: Heap,
}

impl Machine {
    fn run(mut self, pickle: &[u8]) -> Result<(Value, Heap), PthError> {
        let mut code = Code { bytes: pickle };
        loop {
            let opcode = code.byte()?;
            if opcode == b'.' {
                return Ok((self.pop()?, self.heap));
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
            b'}' => self.build(Value::Dict, Vec::new()),
            b']' => self.build(Value::List, Vec::new()),
            b')' => self.build(Value::Tuple, Vec::new()),
            b't' => {
                let values = self.pop_to_mark()?;
                self.build(Value::Tuple, values);
            }
            0x85..=0x87 => {
                let values = self.pop_many(usize::from(opcode - 0x84))?;
                self.build(Value::Tuple, values);
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

    fn build(&mut self, kind: fn(Place) -> Value, parts: Vec<Value>) {
        let place = self.heap.put(parts);
        self.stack.push(kind(place));
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
        self.stack.push(Value::Text(text.into()));
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
        let [Value::Text(tag), Value::Global(Global::Storage(kind)), Value::Text(key), ..] =
            self.heap.parts(parts)
        else {
            return Err(malformed("a storage has no description"));
        };
        if &**tag != "storage" || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("a storage has no usable name"));
        }
        self.stack.push(Value::Storage(Rc::new(Storage { kind: *kind, key: key.to_string() })));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), PthError> {
        let call = self.pop_many(2)?;
        let [Value::Global(global), Value::Tuple(arguments)] = call.as_slice() else {
            return Err(malformed("a call has no function or arguments"));
        };
        let value = match (global, self.heap.parts(*arguments)) {
            (Global::OrderedDict, []) => Value::Dict(self.heap.put(Vec::new())),
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            (
                Global::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..],
            ) => Value::Tensor(Rc::new(TensorReference {
                storage: storage.clone(),
                offset: *offset,
                size: integers(self.heap.parts(*size))?,
                stride: integers(self.heap.parts(*stride))?,
            })),
            _ => return Err(malformed(&format!("{global:?} is called with other arguments"))),
        };
        self.stack.push(value);
        Ok(())
    }

    fn set_items(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err(malformed("it sets items of no dict"));
        };
        if values.len() % 2 == 1 {
            return Err(malformed("an item has no value"));
        }
        self.heap.0[dict.0].extend(values);
        Ok(())
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        let Some(Value::List(list)) = self.stack.last() else {
            return Err(malformed("it appends to no list"));
        };
        self.heap.0[list.0].extend(values);
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
    if values.len() > MAX_DIMENSIONS {
        return Err(malformed("a tensor has too many dimensions"));
    }
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

    fn refusal(pickle: &[u8]) -> PthError {
        run(pickle).err().expect("it is refused")
    }

    #[test]
    fn code_in_a_pickle_is_refused_by_name() {
        let error = refusal(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
        assert!(matches!(&error, PthError::Forbidden(name) if name == "os.system"), "{error}");
        let error = refusal(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.");
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

    #[test]
    fn nests_loops_and_repeats_cost_no_more_than_their_bytes() {
        // Each opcode wraps the tuple before; each `a` puts a list into the one below.
        let nested = [&b")"[..], &[0x85; 1 << 20], b"."].concat();
        assert!(matches!(run(&nested), Ok((Value::Tuple(_), _))));
        let lists = [&[b']'; 1 << 19][..], &[b'a'; (1 << 19) - 1], b"."].concat();
        assert!(matches!(run(&lists), Ok((Value::List(_), _))));
        // A tuple of itself twice, a hundred times over; a list that holds itself.
        let doubled = [&b")q\x00"[..], &b"h\x00\x86q\x00".repeat(100), b"."].concat();
        assert!(matches!(run(&doubled), Ok((Value::Tuple(_), _))));
        assert!(matches!(run(b"]q\x00h\x00a."), Ok((Value::List(_), _))));
        // A megabyte of text, recalled a hundred thousand times.
        let text =
            [&b"X\x00\x00\x10\x00"[..], &[b'x'; 1 << 20], b"q\x00", &b"h\x00".repeat(100_000), b"."].concat();
        assert!(matches!(run(&text), Ok((Value::Text(_), _))));
    }

    #[test]
    fn tensors_have_few_dimensions_and_dicts_whole_items() {
        let many = vec![Value::Int(1); MAX_DIMENSIONS + 1];
        assert!(integers(&many).is_err() && integers(&many[1..]).is_ok());
        assert!(refusal(b"}(K\x01u.").to_string().contains("an item has no value"));
    }
}
