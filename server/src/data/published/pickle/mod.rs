//! Reads Python pickles of plain data, such as the references of RefCOCO, without running anything.
//!
//! A pickle is a program for a stack machine, and one that asks for a class or a function can make
//! Python run anything. Here numbers, texts, lists, tuples and dictionaries are all there is, in
//! every protocol that Python has had (0 to 5); whatever asks for more is refused by its name.
//! What was read is given as JSON. Byte strings, which are also what texts of Python 2 are, become
//! texts: UTF-8 where they are that, otherwise one character a byte.

mod machine;
mod text;

use std::{fs::File, io::Read, path::Path};

use serde_json::{Map, Number, Value};

use self::machine::{Machine, Node, NodeId};
use super::ReadError;

/// Largest pickle that is read.
const MAX_BYTES: u64 = 1 << 28;
/// Deepest nesting of what is given.
const MAX_DEPTH: usize = 64;
/// Most bytes of what is given at once; a pickle can name one part many times.
const MAX_SIZE: usize = 1 << 26;
/// Bytes that every value takes beside its text.
const VALUE_SIZE: usize = size_of::<Value>();

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It ends in the middle.
    #[error("the pickle ends too early, at byte {0}")]
    Ends(usize),
    /// It asks for a class or a function.
    #[error("the pickle holds more than plain data: {opcode} of {name} at byte {at} is refused")]
    Code {
        /// The instruction.
        opcode: &'static str,
        /// What it asks for, as far as that can be told.
        name: String,
        /// Where the instruction is.
        at: usize,
    },
    /// It has an instruction that no protocol has.
    #[error("byte {at} is {opcode:#04x}, which is no instruction of a pickle")]
    Opcode {
        /// The byte.
        opcode: u8,
        /// Where it is.
        at: usize,
    },
    /// A protocol that is not known.
    #[error("the pickle has protocol {0}, and only those up to 5 are known")]
    Protocol(u8),
    /// An instruction that cannot be followed.
    #[error("the pickle is broken at byte {at}: {message}")]
    Broken {
        /// Where the instruction is.
        at: usize,
        /// What is wrong.
        message: &'static str,
    },
    /// There is too much in it.
    #[error("the pickle is too large: {0}")]
    TooLarge(&'static str),
    /// It holds something that JSON cannot say.
    #[error("the pickle holds {0}")]
    NoJson(&'static str),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: NodeId,
}

impl Pickle {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read or is no pickle of plain data.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(ReadError::io("open", path))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(ReadError::io("read", path))?;
        let pickle = if bytes.len() as u64 > MAX_BYTES {
            Err(PickleError::TooLarge("it has more than 256 MiB"))
        } else {
            Self::read(&bytes)
        };
        pickle.map_err(ReadError::pickle(path))
    }

    /// Reads a pickle; what follows its end is not looked at.
    ///
    /// # Errors
    /// Where it is no pickle of plain data.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        let (nodes, root) = Machine::new(bytes).run()?;
        Ok(Self { nodes, root })
    }

    /// The elements of the list that the pickle is, one after another.
    ///
    /// # Errors
    /// Where it is no list; each element is an error of its own where it has no JSON.
    pub(super) fn elements(
        &self,
    ) -> Result<impl Iterator<Item = Result<Value, PickleError>>, PickleError> {
        match self.node(self.root) {
            Node::List(elements) => Ok(elements.iter().map(|&element| self.json(element))),
            _ => Err(PickleError::NoJson("no list")),
        }
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn json(&self, id: NodeId) -> Result<Value, PickleError> {
        let mut size = MAX_SIZE;
        self.value(id, MAX_DEPTH, &mut size)
    }

    fn value(&self, id: NodeId, depth: usize, size: &mut usize) -> Result<Value, PickleError> {
        let node = self.node(id);
        let costs = match node {
            Node::Text(text) => VALUE_SIZE + text.len(),
            _ => VALUE_SIZE,
        };
        *size = size
            .checked_sub(costs)
            .ok_or(PickleError::TooLarge("its parts are repeated too often"))?;
        let inner = || {
            depth
                .checked_sub(1)
                .ok_or(PickleError::TooLarge("its parts are nested too deeply"))
        };
        Ok(match node {
            Node::None => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::from(*value),
            Node::Float(value) => Number::from_f64(*value)
                .map(Value::Number)
                .ok_or(PickleError::NoJson("a number that is not finite"))?,
            Node::Text(text) => Value::String(text.clone().into_string()),
            Node::List(elements) => {
                let depth = inner()?;
                let elements = elements.iter().map(|&id| self.value(id, depth, size));
                Value::Array(elements.collect::<Result<_, _>>()?)
            }
            Node::Dict(entries) => {
                let depth = inner()?;
                let mut map = Map::new();
                for &(key, value) in entries {
                    map.insert(self.key(key)?, self.value(value, depth, size)?);
                }
                Value::Object(map)
            }
        })
    }

    /// A dictionary's key as Python's own `json.dumps` writes it.
    fn key(&self, id: NodeId) -> Result<String, PickleError> {
        match self.node(id) {
            Node::Text(text) => Ok(text.clone().into_string()),
            Node::Int(number) => Ok(number.to_string()),
            _ => Err(PickleError::NoJson("a key that is no text or whole number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Value>, PickleError> {
        Pickle::read(bytes)?.elements()?.collect()
    }

    // Written by pickle.dumps of Python 3.11 with protocols 0, 1, 2 and 4.
    #[test]
    fn every_protocol_says_the_same() {
        let expected = [
            json!({"a": [1, -2, 300, 70000, 1_099_511_627_776_i64, -1, true, false, null, 0.5],
                "t": ["x"], "caf\u{e9}": "\u{20ac} \n \\"}),
            json!({"s": [1, 2], "q": [1, 2, 3], "u": [1, 2, 3, 4]}),
        ];
        let pickles: [&[u8]; 4] = [
            b"(lp0\n(dp1\nVa\np2\n(lp3\nI1\naI-2\naI300\naI70000\naL1099511627776L\naI-1\naI01\naI00\n\
              aNaF0.5\nasVt\np4\n(Vx\np5\ntp6\nsVcaf\xe9\np7\nV\\u20ac \\u000a \\u005c\np8\nsa(dp9\n\
              Vs\np10\n(I1\nI2\ntp11\nsVq\np12\n(I1\nI2\nI3\ntp13\nsVu\np14\n(I1\nI2\nI3\nI4\ntp15\nsa.",
            b"]q\x00(}q\x01(X\x01\x00\x00\x00aq\x02]q\x03(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\
              L1099511627776L\nJ\xff\xff\xff\xffI01\nI00\nNG?\xe0\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00\
              tq\x04(X\x01\x00\x00\x00xq\x05tq\x06X\x05\x00\x00\x00caf\xc3\xa9q\x07X\x07\x00\x00\x00\
              \xe2\x82\xac \n \\q\x08u}q\t(X\x01\x00\x00\x00sq\n(K\x01K\x02tq\x0bX\x01\x00\x00\x00qq\x0c(\
              K\x01K\x02K\x03tq\rX\x01\x00\x00\x00uq\x0e(K\x01K\x02K\x03K\x04tq\x0fue.",
            b"\x80\x02]q\x00(}q\x01(X\x01\x00\x00\x00aq\x02]q\x03(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\
              \x8a\x06\x00\x00\x00\x00\x00\x01J\xff\xff\xff\xff\x88\x89NG?\xe0\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00\
              tq\x04X\x01\x00\x00\x00xq\x05\x85q\x06X\x05\x00\x00\x00caf\xc3\xa9q\x07X\x07\x00\x00\x00\
              \xe2\x82\xac \n \\q\x08u}q\t(X\x01\x00\x00\x00sq\nK\x01K\x02\x86q\x0bX\x01\x00\x00\x00qq\x0c\
              K\x01K\x02K\x03\x87q\rX\x01\x00\x00\x00uq\x0e(K\x01K\x02K\x03K\x04tq\x0fue.",
            b"\x80\x04\x95\x7e\x00\x00\x00\x00\x00\x00\x00]\x94(}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xff\
              M,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01J\xff\xff\xff\xff\x88\x89NG?\xe0\x00\x00\x00\x00\x00\x00\
              e\x8c\x01t\x94\x8c\x01x\x94\x85\x94\x8c\x05caf\xc3\xa9\x94\x8c\x07\xe2\x82\xac \n \\\x94u}\x94(\
              \x8c\x01s\x94K\x01K\x02\x86\x94\x8c\x01q\x94K\x01K\x02K\x03\x87\x94\x8c\x01u\x94(K\x01K\x02K\x03K\x04t\x94ue.",
        ];
        for pickle in pickles {
            assert_eq!(read(pickle).unwrap(), expected);
        }
    }

    #[test]
    fn texts_of_python_2_and_byte_strings_become_texts() {
        let expected = [
            json!("it's"),
            json!("caf\u{e9}"),
            json!("caf\u{e9}"),
            json!("12"),
        ];
        let protocol_0 =
            b"(lp1\nS\"it's\"\np2\naS'caf\\xc3\\xa9'\np3\naVcaf\xe9\np4\naS'12'\np5\na.";
        assert_eq!(read(protocol_0).unwrap(), expected);
        let protocol_2 = b"\x80\x02]q\x01(U\x04it'sT\x05\0\0\0caf\xc3\xa9U\x04caf\xe9C\x0212e.";
        assert_eq!(read(protocol_2).unwrap(), expected);
        let protocol_5 = b"\x80\x05](\x8d\x04\0\0\0\0\0\0\0it'sB\x05\0\0\0caf\xc3\xa9\
            \x8e\x04\0\0\0\0\0\0\0caf\xe9\x96\x02\0\0\0\0\0\0\x0012e.";
        assert_eq!(read(protocol_5).unwrap(), expected);
    }

    #[test]
    fn what_was_remembered_is_recalled() {
        let expected = [json!("a"), json!("a"), json!({"7": "a"})];
        for pickle in [
            &b"(lp9\nVa\np0\nag0\na(dI7\ng0\nsa."[..],
            b"](\x8c\x01aq\x00h\x00}K\x07h\x00se.",
            b"](\x8c\x01ar\0\x01\0\0j\0\x01\0\0(K\x07j\0\x01\0\0de.",
        ] {
            assert_eq!(read(pickle).unwrap(), expected);
        }
    }

    #[test]
    fn the_stack_is_kept_in_order() {
        let pickle = b"](K\x012(K\x05K\x061K\x070L-9L\n\x8b\x02\0\0\0\x00\x80e.";
        assert_eq!(
            read(pickle).unwrap(),
            [json!(1), json!(1), json!(-9), json!(-32768)]
        );
    }

    #[test]
    fn code_is_refused_by_its_name() {
        let refused = |pickle: &[u8], what: &str| {
            let error = read(pickle).unwrap_err();
            assert!(matches!(error, PickleError::Code { .. }), "{error:?}");
            assert!(error.to_string().contains(what), "{error}");
        };
        // pickle.dumps(os.system, 0) and 4, and an object of a class.
        refused(b"cposix\nsystem\np0\n.", "GLOBAL of posix.system at byte 0");
        refused(
            b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
            "STACK_GLOBAL of posix.system at byte 19",
        );
        refused(b"(ipdb\nPdb\n.", "INST of pdb.Pdb");
        refused(b"](K\x01)R.", "REDUCE of something at byte 5");
        refused(b"}}b.", "BUILD");
        refused(b"))\x81.", "NEWOBJ");
    }

    #[test]
    fn what_is_no_pickle_is_refused() {
        let refused = |pickle: &[u8], what: &str| {
            let error = read(pickle).unwrap_err().to_string();
            assert!(error.contains(what), "{pickle:?}: {error}");
        };
        refused(b"", "too early, at byte 0");
        refused(b"](K\x01", "too early, at byte 4");
        refused(b"](U\x09abc", "too early, at byte 7");
        refused(b"](\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "too early");
        refused(b"I7", "too early");
        refused(b"[1]", "byte 0 is 0x5b");
        refused(b"\x80\x06.", "protocol 6");
        refused(b".", "broken at byte 0: there is no value");
        refused(b"](0.", "there is no value on the stack");
        refused(b"]e.", "there is no mark");
        refused(b"NNa.", "there is no list");
        refused(b"}(Ne.", "there is no list");
        refused(b"}(NNNu.", "a value is missing");
        refused(b"h\x07.", "not remembered");
        refused(b"p-1\n.", "below nought");
        refused(b"I7x\n.", "whole number");
        refused(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.", "64 bits");
        refused(b"Fx\n.", "it is no number");
        refused(b"X\x01\0\0\0\xff.", "it is no text");
        refused(b"K\x07.", "no list");
        refused(b"](Fnan\ne.", "not finite");
        refused(b"](}NNse.", "no text or whole number");
    }

    #[test]
    fn what_would_not_end_is_refused() {
        let refused = |pickle: &[u8], what: &str| {
            let error = read(pickle).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        // A list that holds itself.
        refused(b"]q\0h\0a.", "nested too deeply");
        // Each list holds the one before ten times, thirty times over.
        let mut doubled = b"]q\0".to_vec();
        for _ in 0..30 {
            doubled.extend_from_slice(b"](h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0eq\0");
        }
        doubled.push(b'.');
        refused(&doubled, "repeated too often");
    }

    #[test]
    fn files_are_named_in_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refs(unc).p");
        std::fs::write(&path, b"](cos\nsystem\n.").unwrap();
        let error = Pickle::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("refs(unc).p: the pickle holds more"),
            "{error}"
        );
        let error = Pickle::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("could not read"), "{error}");
    }
}
