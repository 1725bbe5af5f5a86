//! Completion of `kubectl weir` inside kubectl: kubectl calls the program `kubectl_complete-weir` with the
//! words so far and expects what may come next, one in each line, then a line with a directive.
//!
//! The same binary answers under that name: `ln -s kubectl-weir kubectl_complete-weir`, both on the PATH.

use clap::Command;

/// kubectl's word for "complete nothing else, no file names either".
const NO_FILES: &str = ":4";

/// The answer to kubectl for the words after `kubectl weir`; the last is the one being typed.
pub(crate) fn answer(root: &Command, words: &[String]) -> String {
    let (typed, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = root;
    for word in before {
        if let Some(next) = command.find_subcommand(word) {
            command = next;
        }
    }
    let described = |name: String, about: Option<String>| match about {
        Some(about) => format!("{name}\t{about}"),
        None => name,
    };
    let mut lines: Vec<String> = if typed.starts_with('-') {
        let options = command.get_arguments().filter_map(|option| Some((option.get_long()?, option.get_help())));
        let options = options.map(|(long, help)| (format!("--{long}"), help.map(ToString::to_string)));
        options.filter(|(name, _)| name.starts_with(typed)).map(|(name, help)| described(name, help)).collect()
    } else {
        let names = command.get_subcommands().filter(|command| !command.is_hide_set());
        let names = names.map(|command| (command.get_name().to_owned(), command.get_about().map(ToString::to_string)));
        names.filter(|(name, _)| name.starts_with(typed)).map(|(name, about)| described(name, about)).collect()
    };
    lines.push(NO_FILES.to_owned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn told(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        answer(&crate::Cli::command(), &words).lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn kubectl_is_told_commands_and_options_and_that_there_are_no_files() {
        assert_eq!(told(&["po"]), ["pools", ":4"]);
        assert_eq!(told(&["queue", "--fi"]), ["--first", ":4"]);
        assert_eq!(told(&["nonsense", "x"]), [":4"]);
        assert!(told(&[""]).contains(&"break-glass".to_owned()));
    }
}
