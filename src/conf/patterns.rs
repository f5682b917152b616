//! Shell patterns as fnmatch(3) knows them. What they select is not known here.

use std::ops::RangeInclusive;

/// Shell patterns, as Python's `fnmatch` understands them: `*`, `?`, `[a-z]`, `[!a-z]`. Case counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Vec<Token>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Just(char),
    Among(Vec<RangeInclusive<char>>),
    NotAmong(Vec<RangeInclusive<char>>),
}

impl From<&str> for Patterns {
    /// From a comma-separated list; what is empty between commas is nothing.
    fn from(list: &str) -> Patterns {
        Patterns(list.split(',').map(str::trim).filter(|p| !p.is_empty()).map(tokens).collect())
    }
}

impl Patterns {
    /// Whether one of the patterns matches the whole name. At worst the time is the product of
    /// the lengths of pattern and name, never more.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.0.iter().any(|pattern| matches_whole(pattern, &name))
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut rest = chars.as_slice();
    let mut tokens = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        tokens.push(match first {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => match set(after) {
                Some((token, after)) => {
                    rest = after;
                    token
                }
                None => Token::Just('['),
            },
            other => Token::Just(*other),
        });
    }
    tokens
}

/// What follows a `[`. None if nothing closes it: then it is a letter like any other.
fn set(text: &[char]) -> Option<(Token, &[char])> {
    let negated = text.first() == Some(&'!');
    let text = &text[usize::from(negated)..];
    // A `]` in the first place does not close the set but belongs to it.
    let end = 1 + text.iter().skip(1).position(|c| *c == ']')?;
    let (mut inside, after) = (&text[..end], &text[end + 1..]);
    let mut ranges = Vec::new();
    loop {
        inside = match inside {
            [low, '-', high, rest @ ..] => {
                ranges.push(*low..=*high);
                rest
            }
            [one, rest @ ..] => {
                ranges.push(*one..=*one);
                rest
            }
            [] => break,
        };
    }
    Some((if negated { Token::NotAmong(ranges) } else { Token::Among(ranges) }, after))
}

/// Only the last `*` is ever tried again: what an earlier one could take, the last can, too.
fn matches_whole(pattern: &[Token], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(token) if token.takes(name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match last_star {
                Some((star, taken)) => {
                    last_star = Some((star, taken + 1));
                    (p, n) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Any | Token::One => true,
            Token::Just(just) => c == *just,
            Token::Among(ranges) => ranges.iter().any(|range| range.contains(&c)),
            Token::NotAmong(ranges) => !ranges.iter().any(|range| range.contains(&c)),
        }
    }
}
