//! What a service answers, and the line that becomes of it.
//!
//! A report of megabytes is turned into text by its maker, once for all who ask
//! for it; here it is only put between what makes it an answer. Not here: when
//! the line is sent (`writer`), and what a call is (`dispatch`).

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::rpc::{Id, Response, RpcError};

/// The result of a call.
#[derive(Debug)]
pub enum Reply {
    /// A value, which the server turns into text.
    Value(Value),
    /// The text itself.
    Raw(RawJson),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        Reply::Value(value)
    }
}

impl From<RawJson> for Reply {
    fn from(text: RawJson) -> Reply {
        Reply::Raw(text)
    }
}

/// A JSON document as text, shared by all who send it.
///
/// Whoever makes one promises that it is one complete document in UTF-8 and on
/// one line, as `serde_json::to_vec` writes it: it is sent as it is, and a line
/// feed in it would end the answer there. A debug build looks and panics.
#[derive(Clone)]
pub struct RawJson(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl RawJson {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }

    fn promised(text: Arc<dyn AsRef<[u8]> + Send + Sync>) -> RawJson {
        let raw = RawJson(text);
        debug_assert!(is_one_line(raw.as_bytes()), "a raw reply is one JSON document on one line");
        raw
    }
}

fn is_one_line(text: &[u8]) -> bool {
    !text.contains(&b'\n')
        && std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

impl From<Vec<u8>> for RawJson {
    /// Takes the text over, without a copy.
    fn from(text: Vec<u8>) -> RawJson {
        RawJson::promised(Arc::new(text))
    }
}

impl From<String> for RawJson {
    /// Takes the text over, without a copy.
    fn from(text: String) -> RawJson {
        RawJson::promised(Arc::new(text))
    }
}

impl From<Arc<[u8]>> for RawJson {
    /// Shares the text, without a copy.
    fn from(text: Arc<[u8]>) -> RawJson {
        RawJson::promised(Arc::new(text))
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.as_bytes().len())
    }
}

/// Text on its way to a client; what others share with us is not copied into it.
#[derive(Default)]
pub(super) struct Text {
    own: Vec<u8>,
    /// What stands before this byte of `own`, in the order of the bytes.
    spliced: Vec<(usize, RawJson)>,
}

/// A call's outcome, and the id its caller knows it by.
pub(super) struct Answered {
    pub(super) id: Id,
    pub(super) outcome: Result<Reply, RpcError>,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Answered {
        Answered { id: response.id, outcome: response.outcome.map(Reply::Value) }
    }
}

impl Text {
    /// The line that says no to what was no request.
    pub(super) fn refusal(error: RpcError) -> Text {
        Text::single(Answered { id: Id::Null, outcome: Err(error) })
    }

    /// The line with one answer.
    pub(super) fn single(answered: Answered) -> Text {
        let mut text = Text::default();
        text.answer(answered);
        text.own.push(b'\n');
        text
    }

    /// The line with an array of answers; none without any.
    pub(super) fn batch(answers: impl Iterator<Item = Answered>) -> Option<Text> {
        let mut text = Text::default();
        for answered in answers {
            text.own.push(if text.own.is_empty() { b'[' } else { b',' });
            text.answer(answered);
        }
        text.own.extend_from_slice(b"]\n");
        (text.own.len() > 2).then_some(text)
    }

    fn answer(&mut self, Answered { id, outcome }: Answered) {
        match outcome {
            Ok(Reply::Value(value)) => self.json(&Response { id, outcome: Ok(value) }),
            Err(error) => self.json(&Response::error(id, error)),
            Ok(Reply::Raw(raw)) => {
                // As `Response` is written.
                self.own.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
                self.json(&id);
                self.own.extend_from_slice(br#","result":"#);
                self.spliced.push((self.own.len(), raw));
                self.own.push(b'}');
            }
        }
    }

    fn json<T: Serialize>(&mut self, what: &T) {
        serde_json::to_writer(&mut self.own, what)
            .expect("ids and responses have only text for keys and are written to memory, so nothing can fail");
    }

    /// The text in its pieces.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.spliced.len() + 1);
        let mut start = 0;
        for (end, raw) in &self.spliced {
            slices.push(IoSlice::new(&self.own[start..*end]));
            slices.push(IoSlice::new(raw.as_bytes()));
            start = *end;
        }
        slices.push(IoSlice::new(&self.own[start..]));
        slices
    }

    /// Sends all of it.
    pub(super) async fn write_to(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut slices = self.slices();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match to.write_vectored(left).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                sent => IoSlice::advance_slices(&mut left, sent),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What a client reads that takes a few bytes at a time.
    fn sent(text: &Text) -> String {
        let (mut to, mut from) = tokio::io::duplex(7);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.build().unwrap().block_on(async {
            let mut heard = String::new();
            let write = async {
                text.write_to(&mut to).await.unwrap();
                drop(to);
            };
            let (_, read) = tokio::join!(write, from.read_to_string(&mut heard));
            read.unwrap();
            heard
        })
    }

    fn ok(id: Id, reply: impl Into<Reply>) -> Answered {
        Answered { id, outcome: Ok(reply.into()) }
    }

    fn raw(value: &Value) -> RawJson {
        RawJson::from(value.to_string())
    }

    #[test]
    fn a_raw_answer_reads_as_the_same_value_would() {
        let values = [Value::Null, json!({"z": ["ü\n\"", 1, -0.5], "a": {}}), json!("")];
        let ids = [Id::from(7), Id::Text("\"\n".into()), Id::Null];
        for (value, id) in values.iter().flat_map(|value| ids.iter().map(move |id| (value, id))) {
            let expected = sent(&Text::single(ok(id.clone(), value.clone())));
            assert_eq!(sent(&Text::single(ok(id.clone(), raw(value)))), expected);
            assert!(expected.ends_with("}\n") && expected.matches('\n').count() == 1, "{expected}");
        }
    }

    #[test]
    fn raw_answers_stand_in_a_batch_among_others() {
        let value = json!({"a": 1});
        let no = || Answered::from(Response::error(Id::Null, RpcError::new(40, "no")));
        let id = Id::from;
        let plain = [ok(id(1), value.clone()), no(), ok(id(2), value.clone()), ok(id(3), value.clone())];
        let mixed = [ok(id(1), raw(&value)), no(), ok(id(2), raw(&value)), ok(id(3), value.clone())];
        let expected = sent(&Text::batch(plain.into_iter()).unwrap());
        assert_eq!(sent(&Text::batch(mixed.into_iter()).unwrap()), expected);
        assert!(serde_json::from_str::<Value>(&expected).unwrap().is_array());
        assert!(Text::batch(std::iter::empty()).is_none());
    }

    #[test]
    fn a_raw_text_is_kept_as_it_was_written() {
        // Not what we would write: the spaces stay, and so do two equal keys.
        let raw = r#"{ "a" : 1.00, "a" : "\u0041" }"#;
        let text = Text::single(ok(1.into(), RawJson::from(raw.to_owned())));
        assert_eq!(sent(&text), format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{raw}}}\n"));
    }

    #[test]
    fn shared_text_is_sent_from_where_it_is() {
        let shared: Arc<[u8]> = b"[1,2]".as_slice().into();
        for _client in 0..2 {
            let text = Text::single(ok(1.into(), RawJson::from(shared.clone())));
            assert_eq!(text.slices()[1].as_ptr(), shared.as_ptr());
        }
        let ours = b"[1,2]".to_vec();
        let place = ours.as_ptr();
        assert_eq!(RawJson::from(ours).as_bytes().as_ptr(), place);
        let raw = RawJson::from("[1,2]".to_owned());
        assert_eq!(raw.clone().as_bytes().as_ptr(), raw.as_bytes().as_ptr());
    }

    #[test]
    fn what_would_break_a_line_is_no_raw_text() {
        for text in ["", "{", "1 2", "[1,\n2]", "1\n", "\"\n\""] {
            assert!(!is_one_line(text.as_bytes()), "{text:?}");
        }
        assert!(!is_one_line(b"\"\xff\""));
        for text in ["null", "[1, 2]", r#""\n""#] {
            assert!(is_one_line(text.as_bytes()), "{text:?}");
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic = "on one line"]
    fn a_broken_promise_shows_in_a_debug_build() {
        let _ = RawJson::from("[1,\n2]".to_owned());
    }
}
