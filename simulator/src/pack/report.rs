//! Means and deviations over the seeds.

use serde::Serialize;

use super::policy::Policy;
use super::replay::Outcome;

/// The results of all policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// One result for each policy, in the order of the experiment.
    #[serde(serialize_with = "as_map")]
    pub policies: Vec<(Policy, PolicyFigures)>,
}

/// The result of one policy. Percentages are 0 to 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyFigures {
    /// The GPUs in use when the pods had asked for as many as there are, in percent.
    pub gpu_allocation_at_100: Statistic,
    /// The GPUs in use at the end, in percent.
    pub gpu_allocation_at_load: Statistic,
    /// The pods with 8 GPUs that were not placed, in percent.
    pub refused_8gpu_share: Statistic,
    /// The hosts with 8 idle GPUs when the pods had asked for half of the GPUs.
    pub empty_8gpu_nodes_at_50: Statistic,
    /// The idle GPUs that typical pods could not use when the pods had asked for as many as there are, in percent.
    pub fragmentation_ratio_at_100: Statistic,
}

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// The mean; `None` if no run had the figure (no pod with 8 GPUs arrived).
    pub mean: Option<f64>,
    /// The standard deviation of a sample (n − 1); 0 for a single run.
    pub sd: Option<f64>,
    /// The number of runs that had the figure.
    pub n: usize,
}

impl Statistic {
    /// The mean and deviation of some figures.
    ///
    /// ```
    /// use weir_simulator::pack::Statistic;
    /// let statistic = Statistic::of([2.0, 4.0, 6.0]);
    /// assert_eq!((statistic.mean, statistic.sd, statistic.n), (Some(4.0), Some(2.0), 3));
    /// ```
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let figures: Vec<f64> = figures.into_iter().collect();
        let count = f64::from(u32::try_from(figures.len()).unwrap_or(u32::MAX));
        if figures.is_empty() {
            return Self { mean: None, sd: None, n: 0 };
        }
        let mean = figures.iter().sum::<f64>() / count;
        let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
        let sd = (squares / (count - 1.0).max(1.0)).sqrt();
        Self { mean: Some(mean), sd: Some(sd), n: figures.len() }
    }
}

/// Sums up runs that are ordered by policy and then by seed.
pub(super) fn sum_up(policies: &[Policy], outcomes: &[Outcome], seeds: usize) -> Report {
    let figures = outcomes.chunks(seeds).map(|runs| {
        let all = |figure: fn(&Outcome) -> f64| Statistic::of(runs.iter().map(figure));
        let some = |figure: fn(&Outcome) -> Option<f64>| Statistic::of(runs.iter().filter_map(figure));
        PolicyFigures {
            gpu_allocation_at_100: all(|run| run.allocation_at_100),
            gpu_allocation_at_load: all(|run| run.allocation_at_load),
            refused_8gpu_share: some(|run| run.refused_8gpu),
            empty_8gpu_nodes_at_50: all(|run| run.empty_8gpu_nodes_at_50),
            fragmentation_ratio_at_100: some(|run| run.fragmentation_at_100),
        }
    });
    Report { policies: policies.iter().copied().zip(figures).collect() }
}

fn as_map<S: serde::Serializer>(policies: &[(Policy, PolicyFigures)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(policies.iter().map(|(policy, figures)| (policy.name(), figures)))
}
