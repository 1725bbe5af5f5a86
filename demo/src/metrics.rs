//! What the scheduler's metrics say, read from Prometheus' text format as far as a run needs it.

use std::collections::BTreeMap;

use crate::run_state::event::PluginFigures;

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What a run wants to know of a scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerFigures {
    /// The plugins in force, by name; calls of all points together, remembered verdicts included.
    pub plugins: Vec<PluginFigures>,
    /// Pods that the scheduler will look at without anything happening: those in its active and its back-off
    /// queue.
    pub to_be_tried: u64,
}

impl SchedulerFigures {
    /// Reads `/metrics`; what is not understood is left out.
    ///
    /// ```
    /// use weir_demo::metrics::SchedulerFigures;
    /// let text = r#"
    /// weir_plugin_info{digest="sha256:ab",mode="Active",plugin="GPUFilter"} 1
    /// weir_plugin_calls_total{digest="sha256:ab",plugin="GPUFilter",point="filter",result="Success"} 40
    /// weir_plugin_calls_total{digest="sha256:ab",plugin="GPUFilter",point="filter",result="Unschedulable"} 2
    /// scheduler_pending_pods{queue="active"} 3
    /// scheduler_pending_pods{queue="unschedulable"} 7
    /// "#;
    /// let figures = SchedulerFigures::read(text);
    /// assert_eq!((figures.plugins[0].calls, figures.to_be_tried), (42, 3));
    /// ```
    #[must_use]
    pub fn read(text: &str) -> Self {
        let samples: Vec<Sample> = text.lines().filter_map(sample).collect();
        let named = |name: &'static str| samples.iter().filter(move |sample| sample.name == name);
        let label = |sample: &Sample, key: &str| sample.labels.get(key).cloned().unwrap_or_default();
        let mut plugins: BTreeMap<String, PluginFigures> = BTreeMap::new();
        for info in named("weir_plugin_info").filter(|info| info.value > 0.0 && label(info, "mode") != "Shadow") {
            let (name, digest) = (label(info, "plugin"), label(info, "digest"));
            plugins.insert(name.clone(), PluginFigures { name, digest, calls: 0 });
        }
        // Calls of a module that was swapped out since are calls of the plugin all the same.
        for calls in named("weir_plugin_calls_total") {
            if let Some(plugin) = plugins.get_mut(&label(calls, "plugin")) {
                plugin.calls += count(calls.value);
            }
        }
        let waiting = named("scheduler_pending_pods")
            .filter(|pods| ["active", "backoff"].contains(&label(pods, "queue").as_str()))
            .map(|pods| count(pods.value));
        Self { plugins: plugins.into_values().collect(), to_be_tried: waiting.sum() }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter; `as` saturates")]
fn count(value: f64) -> u64 {
    value as u64
}

/// `name{key="value",…} 1.5`, with or without labels; comments and empty lines are none.
fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, read_labels(labels.strip_suffix('}')?)?),
        None => (series, BTreeMap::new()),
    };
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// `key="value",…`; in a value a backslash quotes the next character.
fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    quoted => quoted,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.trim_start_matches(',').trim().to_owned(), value);
        text = &rest[end + 1..];
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_characters_in_a_label_are_read() {
        let read = sample(r#"x{a="say \"hi\", \\o/",b="{}"} 2"#).unwrap();
        assert_eq!((read.labels["a"].as_str(), read.labels["b"].as_str(), read.value), (r#"say "hi", \o/"#, "{}", 2.0));
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let text = "# HELP x y\n\nx{a=\"open} 1\nweir_plugin_info{plugin=\"P\"} NotANumber\nscheduler_pending_pods 4";
        assert_eq!(SchedulerFigures::read(text), SchedulerFigures::default());
    }

    #[test]
    fn a_candidate_in_the_shadow_is_not_in_force() {
        let text = "weir_plugin_info{plugin=\"P\",digest=\"sha256:a\",mode=\"Active\"} 1\n\
                    weir_plugin_info{plugin=\"P\",digest=\"sha256:b\",mode=\"Shadow\"} 1\n\
                    weir_plugin_info{plugin=\"P\",digest=\"sha256:c\",mode=\"Active\"} 0\n\
                    scheduler_pending_pods{queue=\"backoff\"} 2\nscheduler_pending_pods{queue=\"active\"} 1";
        let figures = SchedulerFigures::read(text);
        assert_eq!(figures.plugins, [PluginFigures { name: "P".into(), digest: "sha256:a".into(), calls: 0 }]);
        assert_eq!(figures.to_be_tried, 3);
    }
}
