//! Lines of a terminal whose explanations begin in one column, and their colours.
//!
//! Colour adds escape sequences and nothing else: whatever it says, the words say too.

/// A page under construction.
#[derive(Default)]
pub(super) struct Page {
    lines: Vec<Line>,
}

struct Line {
    lead: String,
    name: Part,
    parts: Vec<Part>,
    /// Stands in no column.
    heading: bool,
}

/// Words of one colour. Empty ones are left out.
#[derive(Clone, Debug)]
pub(super) struct Part {
    text: String,
    paint: Paint,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Paint {
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Part {
    pub(super) fn new(text: impl Into<String>, paint: Paint) -> Part {
        Part { text: text.into(), paint }
    }

    pub(super) fn plain(text: impl Into<String>) -> Part {
        Part::new(text, Paint::Plain)
    }

    fn print(&self, colour: bool, out: &mut String) {
        let code = match self.paint {
            Paint::Plain => "",
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Bad => "31",
            Paint::Good => "32",
            Paint::Warning => "33",
        };
        match colour && !code.is_empty() && !self.text.is_empty() {
            true => out.extend(["\x1b[", code, "m", &self.text, "\x1b[0m"]),
            false => out.push_str(&self.text),
        }
    }
}

impl Page {
    /// A longer name pushes its own explanation away, and nobody else's.
    const WIDEST: usize = 28;

    pub(super) fn line(&mut self, lead: &str, name: Part, parts: Vec<Part>) {
        self.lines.push(Line { lead: lead.to_owned(), name, parts, heading: false });
    }

    /// Below a line, in its column of explanations.
    pub(super) fn remarks(&mut self, lead: &str, sentences: &[String], paint: Paint) {
        for sentence in sentences {
            self.line(lead, Part::plain(""), vec![Part::new(format!("  {sentence}"), paint)]);
        }
    }

    pub(super) fn heading(&mut self, text: impl Into<String>, paint: Paint) {
        self.lines.push(Line { lead: String::new(), name: Part::new(text, paint), parts: Vec::new(), heading: true });
    }

    /// Between what was and what will be.
    pub(super) fn blank(&mut self) {
        if !self.is_empty() {
            self.heading("", Paint::Plain);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Below a heading of its own, if there is anything.
    pub(super) fn section(&mut self, heading: &str, mut page: Page) {
        if !page.is_empty() {
            self.blank();
            self.heading(heading, Paint::Plain);
            self.lines.append(&mut page.lines);
        }
    }

    pub(super) fn print(&self, colour: bool) -> String {
        let width = |line: &Line| line.lead.chars().count() + line.name.text.chars().count();
        let columns = self.lines.iter().filter(|line| !line.heading).map(width);
        let column = columns.filter(|width| *width <= Page::WIDEST).max().unwrap_or(0);
        let mut out = String::new();
        for line in &self.lines {
            Part::new(line.lead.as_str(), Paint::Faint).print(colour, &mut out);
            line.name.print(colour, &mut out);
            let told = || line.parts.iter().filter(|part| !part.text.is_empty());
            for (at, part) in told().enumerate() {
                let gap = if at == 0 { " ".repeat(column.saturating_sub(width(line)) + 2) } else { ", ".to_owned() };
                out.push_str(&gap);
                part.print(colour, &mut out);
            }
            // A lead without words would leave blanks at the end.
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }
}
