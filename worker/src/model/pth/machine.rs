//! The pickle virtual machine: a stack, a memo, and a heap of elements.
//!
//! Invariants: it builds values and executes no code; time and memory are proportional to the pickle's size.

use std::{collections::HashMap, rc::Rc};

use super::{
    error::{PthError, malformed},
    opcode::{Code, Opcode},
    tensor::{Storage, TensorReference},
    value::{Global, Heap, HeapIndex, Value},
};

/// Most values on the stack.
const MAX_STACK: usize = 1 << 20;
/// Longest key of a storage, which is a number. Each use of a key is checked, so a long one would cost time again and
/// again.
const MAX_KEY_BYTES: usize = 64;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 16;

/// Executes a pickle and returns the value that it builds.
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
                return Err(malformed("the stack is too deep"));
            }
        }
    }

    fn step(&mut self, opcode: Opcode) -> Result<(), PthError> {
        match opcode {
            Opcode::Stop | Opcode::Ignored => {}
            Opcode::Push(value) => self.stack.push(value),
            Opcode::EmptyTuple => self.build(Value::Tuple, Vec::new()),
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
                    return Err(malformed("a global's name is not text"));
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
            // Elements of lists and sets are not needed, nor are attributes of a dict, such as `_metadata`.
            Opcode::Append | Opcode::Drop | Opcode::Build => drop(self.pop()?),
            Opcode::AppendToMark | Opcode::DropToMark => drop(self.pop_to_mark()?),
            Opcode::FrozenSet => {
                self.pop_to_mark()?;
                self.stack.push(Value::Other);
            }
            Opcode::Duplicate => self.stack.push(self.top()?.clone()),
        }
        Ok(())
    }

    fn build(&mut self, kind: fn(HeapIndex) -> Value, elements: Vec<Value>) {
        let index = self.heap.allocate(elements);
        self.stack.push(kind(index));
    }

    fn store(&mut self, index: u32) -> Result<(), PthError> {
        let value = self.top()?.clone();
        self.memo.insert(index, value);
        Ok(())
    }

    fn load(&mut self, index: u32) -> Result<(), PthError> {
        let value = self.memo.get(&index).cloned().ok_or_else(|| malformed("the memo has no such index"))?;
        self.stack.push(value);
        Ok(())
    }

    /// `('storage', kind, key, location, elements)` names a storage of the archive.
    fn persistent(&mut self) -> Result<(), PthError> {
        let Value::Tuple(tuple) = self.pop()? else { return Err(malformed("a storage ID is not a tuple")) };
        let [Value::Text(tag), Value::Global(Global::Storage(elements)), Value::Text(key), ..] =
            self.heap.elements(tuple)
        else {
            return Err(malformed("a storage ID has unexpected elements"));
        };
        let has_length = (1..=MAX_KEY_BYTES).contains(&key.len());
        if &**tag != "storage" || !has_length || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed("a storage ID has an invalid key"));
        }
        self.stack.push(Value::Storage(Rc::new(Storage { elements: *elements, key: key.clone() })));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), PthError> {
        let call = self.pop_many(2)?;
        let [Value::Global(global), Value::Tuple(arguments)] = call.as_slice() else {
            return Err(malformed("a call lacks a function or arguments"));
        };
        let value = match (global, self.heap.elements(*arguments)) {
            (Global::OrderedDict, []) => Value::Dict(self.heap.allocate(Vec::new())),
            (Global::RebuildFromType, [Value::Global(inner), _, Value::Tuple(arguments), ..]) => {
                self.rebuild(*inner, *arguments)?
            }
            _ => self.rebuild(*global, *arguments)?,
        };
        self.stack.push(value);
        Ok(())
    }

    fn rebuild(&self, global: Global, arguments: HeapIndex) -> Result<Value, PthError> {
        Ok(match (global, self.heap.elements(arguments)) {
            (Global::Size, [size @ Value::Tuple(_)]) => size.clone(),
            (Global::RebuildParameter, [tensor @ (Value::Tensor(_) | Value::OtherTensor), ..]) => {
                tensor.clone()
            }
            // Metadata: a view whose elements are negated.
            (Global::RebuildTensor, [_, _, _, _, _, _, Value::Dict(metadata), ..])
                if !self.heap.elements(*metadata).is_empty() =>
            {
                Value::OtherTensor
            }
            (
                Global::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..],
            ) => Value::Tensor(Rc::new(TensorReference {
                storage: storage.clone(),
                offset: *offset,
                size: integers(self.heap.elements(*size))?,
                stride: integers(self.heap.elements(*stride))?,
            })),
            (Global::RebuildOther, _) => Value::OtherTensor,
            (Global::Inert, _) => Value::Other,
            _ => return Err(malformed(&format!("{global:?} is called with unexpected arguments"))),
        })
    }

    fn set_items(&mut self, values: Vec<Value>) -> Result<(), PthError> {
        if values.len() % 2 == 1 {
            return Err(malformed("an item has no value"));
        }
        match self.top()? {
            Value::Dict(dict) => self.heap.extend(*dict, values),
            Value::Other => {}
            _ => return Err(malformed("SETITEMS without a dict")),
        }
        Ok(())
    }

    fn top(&self) -> Result<&Value, PthError> {
        self.stack.last().ok_or_else(|| malformed("the stack is empty"))
    }

    fn pop(&mut self) -> Result<Value, PthError> {
        self.stack.pop().ok_or_else(|| malformed("the stack is empty"))
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, PthError> {
        let at = self.stack.len().checked_sub(count).ok_or_else(|| malformed("the stack is empty"))?;
        Ok(self.stack.split_off(at))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, PthError> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let values = self.stack.split_off(mark.ok_or_else(|| malformed("the stack has no mark"))? + 1);
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
        _ => Err(malformed("a shape contains something other than integers")),
    };
    values.iter().map(integer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_error(pickle: &[u8]) -> PthError {
        run(pickle).err().expect("the pickle is invalid")
    }

    #[test]
    fn code_in_a_pickle_is_rejected_by_name() {
        let error = run_error(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
        assert!(matches!(&error, PthError::Forbidden(name) if name == "os.system"), "{error}");
        let error = run_error(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.");
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
            b"\x8b\xff\xff\xff\xff.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            b"2.",
            b"\x91.",
        ] {
            assert!(run(pickle).is_err(), "{pickle:?}");
        }
    }

    #[test]
    fn nesting_cycles_and_repetition_cost_no_more_than_their_bytes() {
        // Each opcode wraps the tuple before; each `a` appends a list to the one below.
        let nested = [&b")"[..], &[0x85; 1 << 20], b"."].concat();
        assert!(matches!(run(&nested), Ok((Value::Tuple(_), _))));
        let lists = [&[b']'; 1 << 19][..], &[b'a'; (1 << 19) - 1], b"."].concat();
        assert!(matches!(run(&lists), Ok((Value::Other, _))));
        // A tuple of twice the previous tuple, a hundred times; a dict that contains itself.
        let doubled = [&b")q\x00"[..], &b"h\x00\x86q\x00".repeat(100), b"."].concat();
        assert!(matches!(run(&doubled), Ok((Value::Tuple(_), _))));
        assert!(matches!(run(b"}q\x00K\x01h\x00s."), Ok((Value::Dict(_), _))));
        // A megabyte of text, loaded from the memo a hundred thousand times.
        let text =
            [&b"X\x00\x00\x10\x00"[..], &[b'x'; 1 << 20], b"q\x00", &b"h\x00".repeat(100_000), b"."].concat();
        assert!(matches!(run(&text), Ok((Value::Text(_), _))));
        // A storage made a hundred thousand times, whose key is as long as possible, or longer.
        let storages = |length: usize| {
            let start = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX";
            let key = [&(length as u32).to_le_bytes()[..], &vec![b'x'; length]].concat();
            run(&[&start[..], &key, b"tq\x00", &b"h\x00Q".repeat(100_000), b"."].concat())
        };
        assert!(matches!(storages(MAX_KEY_BYTES), Ok((Value::Storage(_), _))));
        let error = storages(1 << 20).err().expect("the key is too long");
        assert!(error.to_string().contains("invalid key"), "{error}");
    }

    #[test]
    fn too_many_dimensions_and_incomplete_dict_items_are_rejected() {
        let many = vec![Value::Int(1); MAX_DIMENSIONS + 1];
        assert!(integers(&many).is_err() && integers(&many[1..]).is_ok());
        assert!(run_error(b"}(K\x01u.").to_string().contains("an item has no value"));
    }
}
