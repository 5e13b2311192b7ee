//! The stack machine of pickles, as far as plain data need it.
//!
//! Instructions are those of Python's
//! [`pickletools`](https://github.com/python/cpython/blob/3.13/Lib/pickletools.py).

use std::collections::HashMap;

use super::{PickleError, text};

/// Most values, marks and remembered places at once; one byte can ask for another of them.
const MAX_PARTS: usize = 1 << 25;
/// The last protocol that is known.
const LAST_PROTOCOL: u8 = 5;

/// The place of a value among all values of a pickle.
pub(super) type NodeId = u32;

/// A value. Lists and tuples are not told apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    List(Vec<NodeId>),
    Dict(Vec<(NodeId, NodeId)>),
}

/// Runs one pickle.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    /// Bytes that have been read.
    read: usize,
    /// Where the instruction that is followed is.
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<NodeId>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, NodeId>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            read: 0,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Follows the instructions to the end; all values, and which one is the result.
    pub(super) fn run(mut self) -> Result<(Vec<Node>, NodeId), PickleError> {
        loop {
            self.at = self.read;
            let [opcode] = self.array::<1>()?;
            if opcode == b'.' {
                let root = self.pop()?;
                return Ok((self.nodes, root));
            }
            self.follow(opcode)?;
            let values = self.nodes.len() + self.stack.len();
            if values + self.marks.len() + self.memo.len() > MAX_PARTS {
                return Err(PickleError::TooLarge("it holds too many values"));
            }
        }
    }

    fn follow(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            // Protocol and frames.
            0x80 => match self.array::<1>()? {
                [known] if known <= LAST_PROTOCOL => Ok(()),
                [protocol] => Err(PickleError::Protocol(protocol)),
            },
            0x95 => self.take(8).map(|_| ()),

            // Nothing, truth and numbers.
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'I' => {
                let node = match self.line()? {
                    b"00" => Node::Bool(false),
                    b"01" => Node::Bool(true),
                    line => Node::Int(self.whole(line)?),
                };
                self.push(node)
            }
            b'L' => {
                let line = self.line()?;
                let number = self.whole(line.strip_suffix(b"L").unwrap_or(line))?;
                self.push(Node::Int(number))
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(number.into()))
            }
            b'K' => {
                let [number] = self.array::<1>()?;
                self.push(Node::Int(number.into()))
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(number.into()))
            }
            0x8a | 0x8b => {
                let count = if opcode == 0x8a {
                    self.length::<1>()?
                } else {
                    self.length::<4>()?
                };
                let bytes = self.take(count)?;
                let number = self.long(bytes)?;
                self.push(Node::Int(number))
            }
            b'F' => {
                let line = std::str::from_utf8(self.line()?).ok();
                let number = line.and_then(|line| line.parse().ok());
                let number = number.ok_or(self.broken("it is no number"))?;
                self.push(Node::Float(number))
            }
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(number))
            }

            // Texts.
            b'S' => {
                let text = text::of_quoted(self.line()?);
                self.push_text(text)
            }
            b'V' => {
                let text = text::of_escaped(self.line()?);
                self.push_text(text)
            }
            b'U' | b'C' => {
                let count = self.length::<1>()?;
                self.push_bytes(count)
            }
            b'T' | b'B' => {
                let count = self.length::<4>()?;
                self.push_bytes(count)
            }
            0x8e | 0x96 => {
                let count = self.length::<8>()?;
                self.push_bytes(count)
            }
            0x8c => {
                let count = self.length::<1>()?;
                self.push_unicode(count)
            }
            b'X' => {
                let count = self.length::<4>()?;
                self.push_unicode(count)
            }
            0x8d => {
                let count = self.length::<8>()?;
                self.push_unicode(count)
            }

            // Lists, tuples and dictionaries.
            b']' | b')' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' | b't' => {
                let elements = self.pop_to_mark()?;
                self.push(Node::List(elements))
            }
            0x85..=0x87 => {
                let mut elements = Vec::new();
                for _ in 0x84..opcode {
                    elements.push(self.pop()?);
                }
                elements.reverse();
                self.push(Node::List(elements))
            }
            b'a' => {
                let element = self.pop()?;
                self.append(&[element])
            }
            b'e' => {
                let elements = self.pop_to_mark()?;
                self.append(&elements)
            }
            b'd' => {
                let entries = self.pop_to_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.set(&entries)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            b'u' => {
                let entries = self.pop_to_mark()?;
                self.set(&entries)
            }

            // The stack and the memo.
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_to_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let key = self.memo_key(opcode)?;
                let top = self.top()?;
                self.memo.insert(key, top);
                Ok(())
            }
            b'g' | b'h' | b'j' => {
                let key = self.memo_key(opcode)?;
                let known = self.memo.get(&key).copied();
                let known = known.ok_or(self.broken("it recalls what it has not remembered"))?;
                self.stack.push(known);
                Ok(())
            }

            _ => Err(self.refused(opcode)),
        }
    }

    /// Says why an instruction is not followed.
    fn refused(&mut self, opcode: u8) -> PickleError {
        let name = match opcode {
            b'c' => "GLOBAL",
            b'R' => "REDUCE",
            b'b' => "BUILD",
            b'i' => "INST",
            b'o' => "OBJ",
            0x81 => "NEWOBJ",
            0x92 => "NEWOBJ_EX",
            0x93 => "STACK_GLOBAL",
            0x82 => "EXT1",
            0x83 => "EXT2",
            0x84 => "EXT4",
            b'P' => "PERSID",
            b'Q' => "BINPERSID",
            0x8f => "EMPTY_SET",
            0x90 => "ADDITEMS",
            0x91 => "FROZENSET",
            0x97 => "NEXT_BUFFER",
            0x98 => "READONLY_BUFFER",
            _ => {
                return PickleError::Opcode {
                    opcode,
                    at: self.at,
                };
            }
        };
        let words = match opcode {
            b'c' | b'i' => {
                let lines = [self.line(), self.line()];
                Vec::from(lines.map(|line| line.map(text::of_bytes).unwrap_or_default()))
            }
            0x93 => {
                let names = self.stack.iter().rev().take(2).rev();
                let texts = names.filter_map(|&id| match &self.nodes[id as usize] {
                    Node::Text(text) => Some(text.clone().into_string()),
                    _ => None,
                });
                texts.collect()
            }
            _ => Vec::new(),
        };
        PickleError::Code {
            opcode: name,
            name: if words.is_empty() {
                "something".to_owned()
            } else {
                words.join(".")
            },
            at: self.at,
        }
    }

    fn broken(&self, message: &'static str) -> PickleError {
        PickleError::Broken {
            at: self.at,
            message,
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (taken, _) = self.bytes[self.read..]
            .split_at_checked(count)
            .ok_or(PickleError::Ends(self.bytes.len()))?;
        self.read += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A length of N bytes, the lowest first.
    fn length<const N: usize>(&mut self) -> Result<usize, PickleError> {
        let bytes: [u8; N] = self.array()?;
        let length = bytes
            .iter()
            .rev()
            .fold(0u64, |length, byte| (length << 8) | u64::from(*byte));
        // What is too long to count is too long for the file as well.
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.read..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.unwrap_or(rest.len()))?;
        self.take(1)?;
        Ok(line)
    }

    fn whole(&self, digits: &[u8]) -> Result<i64, PickleError> {
        let digits = std::str::from_utf8(digits).ok();
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or(self.broken("it is no whole number of at most 64 bits"))
    }

    /// A whole number as two's complement, the lowest byte first.
    fn long(&self, bytes: &[u8]) -> Result<i64, PickleError> {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        let fits = whole.get_mut(..bytes.len());
        let fits = fits.ok_or(self.broken("it is no whole number of at most 64 bits"))?;
        fits.copy_from_slice(bytes);
        Ok(i64::from_le_bytes(whole))
    }

    /// Adds a value; it never fails, and is a result because following an instruction is one.
    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        self.stack.push(self.nodes.len() as NodeId);
        self.nodes.push(node);
        Ok(())
    }

    fn push_text(&mut self, text: Option<String>) -> Result<(), PickleError> {
        let text = text.ok_or(self.broken("it is no text"))?;
        self.push(Node::Text(text.into_boxed_str()))
    }

    fn push_bytes(&mut self, count: usize) -> Result<(), PickleError> {
        let text = text::of_bytes(self.take(count)?);
        self.push_text(Some(text))
    }

    fn push_unicode(&mut self, count: usize) -> Result<(), PickleError> {
        let text = std::str::from_utf8(self.take(count)?).ok();
        self.push_text(text.map(str::to_owned))
    }

    /// The value on top of the stack, above the last mark.
    fn top(&self) -> Result<NodeId, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&top) if self.stack.len() > floor => Ok(top),
            _ => Err(self.broken("there is no value on the stack")),
        }
    }

    fn pop(&mut self) -> Result<NodeId, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<NodeId>, PickleError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or(self.broken("there is no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, new: &[NodeId]) -> Result<(), PickleError> {
        let top = self.top()?;
        match &mut self.nodes[top as usize] {
            Node::List(elements) => {
                elements.extend_from_slice(new);
                Ok(())
            }
            _ => Err(self.broken("there is no list to add to")),
        }
    }

    /// Adds keys and values, which take turns, to the dictionary on the stack.
    fn set(&mut self, new: &[NodeId]) -> Result<(), PickleError> {
        let top = self.top()?;
        let (pairs, odd) = new.as_chunks::<2>();
        match &mut self.nodes[top as usize] {
            Node::Dict(entries) if odd.is_empty() => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self.broken("there is no dictionary to add to, or a value is missing")),
        }
    }

    /// Where an instruction remembers something or recalls it from.
    fn memo_key(&mut self, opcode: u8) -> Result<u64, PickleError> {
        match opcode {
            b'p' | b'g' => {
                let line = self.line()?;
                u64::try_from(self.whole(line)?).map_err(|_| self.broken("a place below nought"))
            }
            b'q' | b'h' => self.array::<1>().map(|[key]| key.into()),
            b'r' | b'j' => self.array().map(|key| u32::from_le_bytes(key).into()),
            _ => Ok(self.memo.len() as u64),
        }
    }
}
