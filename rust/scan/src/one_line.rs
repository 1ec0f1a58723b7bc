//! Text of a file in a message: a name may have line breaks, above all in a damaged file, and a message is one line.

use std::fmt::{self, Display, Formatter, Write};

/// Displays a text with its control characters escaped.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(to), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())
            } else {
                self.0.write_char(character)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(OneLine("a\nb\r\u{7}\u{85}").to_string(), r"a\nb\r\u{7}\u{85}");
        assert_eq!(OneLine("phot_g 'mag' \"µ\" \\").to_string(), "phot_g 'mag' \"µ\" \\");
    }
}
