//! A plugin's settings: JSON in the scheduler's configuration, a type in the plugin.
//!
//! Decides how the text becomes the type and how a mistake is reported. serde names an unknown key by
//! itself, but for a value of the wrong type it only gives line and column, which nobody can count in a
//! string that stands inside YAML. So the path to the place is found in the text and put in front.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The settings of a plugin that has none. Anything but nothing or `{}` is refused, so that somebody who
/// sets something learns that it has no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings from text; no text at all means all defaults.
///
/// # Errors
/// A sentence that names the field, such as
/// `settings.gpuResources[1]: invalid type: integer 5, expected a string`.
///
/// ```
/// use kube_scheduler_guest::settings;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// #[serde(rename_all = "camelCase", deny_unknown_fields)]
/// struct Settings {
///     gpu_resources: Vec<String>,
/// }
///
/// let error = settings::parse::<Settings>(r#"{"gpuResources": ["nvidia.com/gpu", 5]}"#).unwrap_err();
/// assert_eq!(error, "settings.gpuResources[1]: invalid type: integer `5`, expected a string");
/// ```
pub fn parse<S: DeserializeOwned>(text: &str) -> Result<S, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| describe(text, &error))
}

fn describe(text: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let (line, column) = (error.line(), error.column());
    if line == 0 {
        return format!("settings: {message}");
    }
    let place = format!(" at line {line} column {column}");
    let what = message.strip_suffix(&place).unwrap_or(&message);
    if error.is_data() {
        format!("settings{}: {what}", path_to(text, line, column))
    } else {
        // Not JSON: no path leads there.
        format!("settings: {what}{place}")
    }
}

/// The path to the value at this line and column, both counted from 1, such as `.gpuResources[1]`.
fn path_to(text: &str, line: usize, column: usize) -> String {
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let mut walk = Walk::default();
    for &byte in &text.as_bytes()[..text.len().min(start + column)] {
        walk.step(byte);
    }
    walk.path()
}

/// Follows JSON byte by byte. The text has parsed up to the place of the error, so nothing is checked.
#[derive(Default)]
struct Walk {
    open: Vec<Open>,
    in_string: bool,
    escaped: bool,
    text: Vec<u8>,
}

/// An object or a list that has begun and not ended.
enum Open {
    Object { key: String, in_value: bool },
    List { index: usize },
}

impl Walk {
    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.step_in_string(byte);
            return;
        }
        match (byte, self.open.last_mut()) {
            (b'"', _) => {
                self.in_string = true;
                self.text.clear();
            }
            (b'{', _) => self.open.push(Open::Object { key: String::new(), in_value: false }),
            (b'[', _) => self.open.push(Open::List { index: 0 }),
            // The error of a whole object or list is found at its end; keep it open for its own path.
            (b'}' | b']', _) => drop(self.open.pop()),
            (b':', Some(Open::Object { key, in_value })) => {
                *key = String::from_utf8_lossy(&self.text).into_owned();
                *in_value = true;
            }
            (b',', Some(Open::Object { in_value, .. })) => *in_value = false,
            (b',', Some(Open::List { index })) => *index += 1,
            _ => {}
        }
    }

    fn step_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
        if self.in_string {
            self.text.push(byte);
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Object { key, in_value: true } => path += &format!(".{key}"),
                Open::Object { in_value: false, .. } => {}
                Open::List { index } => path += &format!("[{index}]"),
            }
        }
        path
    }
}
