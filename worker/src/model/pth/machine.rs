//! The machine that runs a pickle: a stack, a memo, and the parts of what is on them.
//!
//! Invariants: it builds values and runs nothing; time and memory are proportional to the pickle.

use std::{collections::HashMap, rc::Rc};

use super::{
    error::{PthError, malformed},
    opcode::{Code, Opcode},
    tensor::{Storage, TensorReference},
    value::{Global, Heap, Place, Value},
};

/// Most values on the machine's stack.
const MAX_STACK: usize = 1 << 20;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 16;

/// Runs a pickle and returns what it builds.
pub(super) fn run(pickle: &[u8]) -> Result<(Value, Heap), PthError> {
    Machine::default().run(pickle)
}

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    heap: Heap,
}

impl Machine {
    fn run(mut self, pickle: &[u8]) -> Result<(Value, Heap), PthError> {
        let mut code = Code::new(pickle);
        loop {
            match code.next()? {
                Opcode::Stop => return Ok((self.pop()?, self.heap)),
                opcode => self.step(opcode)?,
            }
            if self.stack.len() > MAX_STACK {
                return Err(malformed("it is too deep"));
            }
        }
    }

    fn step(&mut self, opcode: Opcode) -> Result<(), PthError> {
        match opcode {
            Opcode::Stop | Opcode::Ignored => {}
            Opcode::Push(value) => self.stack.push(value),
            Opcode::EmptyTuple => self.build(Value::Tuple, Vec::new()),
            Opcode::EmptyList => self.build(Value::List, Vec::new()),
            Opcode::EmptyDict => self.build(Value::Dict, Vec::new()),
            Opcode::Tuple(count) => {
                let values = self.pop_many(count)?;
                self.build(Value::Tuple, values);
            }
            Opcode::TupleToMark => {
                let values = self.pop_to_mark()?;
                self.build(Value::Tuple, values);
            }
            Opcode::Store(index) => self.store(index)?,
            Opcode::StoreNext => self.store(self.memo.len() as u32)?,
            Opcode::Load(index) => self.load(index)?,
            Opcode::Global => {
                let names = self.pop_many(2)?;
                let [Value::Text(module), Value::Text(name)] = names.as_slice() else {
                    return Err(malformed("a global has no name"));
                };
                self.stack.push(Value::Global(Global::find(module, name)?));
            }
            Opcode::PersistentId => self.persistent()?,
            Opcode::Reduce => self.reduce()?,
            Opcode::SetItem => {
                let pair = self.pop_many(2)?;
                self.set_items(pair)?;
            }
            Opcode::SetItemsToMark => {
                let pairs = self.pop_to_mark()?;
                self.set_items(pairs)?;
            }
            Opcode::Append => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            Opcode::AppendToMark => {
                let values = self.pop_to_mark()?;
                self.append(values)?;
            }
            // Attributes of the dict, such as `_metadata`, are of no interest.
            Opcode::Build => drop(self.pop()?),
        }
        Ok(())
    }

    fn build(&mut self, kind: fn(Place) -> Value, parts: Vec<Value>) {
        let place = self.heap.put(parts);
        self.stack.push(kind(place));
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
        let [Value::Text(tag), Value::Global(Global::Storage(elements)), Value::Text(key), ..] =
            self.heap.parts(parts)
        else {
            return Err(malformed("a storage has no description"));
        };
        if &**tag != "storage" || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("a storage has no usable name"));
        }
        self.stack.push(Value::Storage(Rc::new(Storage { elements: *elements, key: key.to_string() })));
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
        self.heap.extend(*dict, values);
        Ok(())
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        let Some(Value::List(list)) = self.stack.last() else {
            return Err(malformed("it appends to no list"));
        };
        self.heap.extend(*list, values);
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
