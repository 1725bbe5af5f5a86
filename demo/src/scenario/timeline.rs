//! When each pod of a trace comes and how long it runs: 149 days made into a minute.
//!
//! Three things are done to the trace's time, each said in the plan's summary. *Quiet stretches* are cut: the
//! first three quarters of the trace hold a twentieth of its pods. What is left is *compressed* by one factor.
//! And lifetimes are *stretched*: as recorded the median pod lives twelve minutes of five months, so at no
//! moment did more than 56 of the 8152 pods run, and no viewer would see a cluster fill. The longest lives are
//! cut to the length of the replay: nothing ends sooner by that while pods come, and afterwards the pods end one
//! after the other and give their room to those that still wait. The order of arrivals is the trace's, and which of two pods lives longer too. Nothing
//! here reads a clock.

use std::time::Duration;

use weir_simulator::openb::TracePod;

use super::members::{Arriving, Member, members};

/// How a trace's time is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Seconds of the trace in one second; `None` chooses so that [`ARRIVALS_PER_SECOND`] pods come on average.
    pub(crate) speed: Option<f64>,
}

/// A pod and its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// Since the replay began.
    pub(crate) at: Duration,
    /// How long it runs once it is bound; `None` runs past the end.
    pub(crate) runs_for: Option<Duration>,
    /// The pod.
    pub(crate) pod: TracePod,
    /// Its pool and gang.
    pub(crate) member: Member,
}

/// A trace with its times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    /// In the order of their times.
    pub(crate) arrivals: Vec<Arrival>,
    /// Seconds of the trace in one second.
    pub(crate) speed: f64,
    /// By how much lifetimes are stretched against that.
    pub(crate) stretch: f64,
}

/// Pods that come in a second on average by default: what two cores can create, bind, run
/// and finish beside everything else.
const ARRIVALS_PER_SECOND: f64 = 50.0;
/// A pause between two arrivals that is longer than this many median ones is cut to it.
const LONGEST_PAUSE: f64 = 10.0;
/// The median pod lives this part of the replay.
const MEDIAN_LIFE: f64 = 0.5;

impl Timeline {
    /// Gives every pod its time and, by the seed, its pool. Pods without a creation time come first, those
    /// without an end stay.
    #[must_use]
    pub(crate) fn new(mut pods: Vec<TracePod>, pace: Pace, seed: u64) -> Self {
        pods.sort_by_key(|pod| pod.created);
        let last_end = pods.iter().filter_map(|pod| pod.deleted).max();
        let comes = without_pauses(&pods);
        let length = comes.last().copied().unwrap_or_default();
        let own = length / (count(&pods) / ARRIVALS_PER_SECOND).max(1.0);
        let speed = pace.speed.filter(|speed| speed.is_finite() && *speed > 0.0).unwrap_or(own).max(f64::MIN_POSITIVE);
        let lives: Vec<Option<f64>> = pods.iter().map(|pod| lifetime(pod, last_end)).collect();
        let stretch = stretch(&lives, length);
        let coming: Vec<Arriving<'_>> =
            pods.iter().zip(comes).map(|(pod, at)| Arriving { at: seconds(at / speed), pod }).collect();
        let members = members(&coming, seed);
        let arrivals = pods.into_iter().zip(members).zip(lives).map(|((pod, member), life)| Arrival {
            at: member.at,
            runs_for: life.map(|life| seconds((life * stretch).min(length) / speed)),
            pod,
            member,
        });
        let mut arrivals: Vec<Arrival> = arrivals.collect();
        arrivals.sort_by_key(|arrival| arrival.at);
        Self { arrivals, speed, stretch }
    }

    /// What was done to the trace's time, in one sentence.
    pub(crate) fn told(&self) -> String {
        let Self { arrivals: _, speed, stretch } = self;
        let second = match speed {
            ..120.0 => format!("{speed:.1} s"),
            ..7200.0 => format!("{:.1} min", speed / 60.0),
            _ => format!("{:.1} h", speed / 3600.0),
        };
        format!("1 s is {second} of the trace without its quiet stretches; pods live {stretch:.0} times as long")
    }
}

/// The arrivals in seconds since the first, in the trace's time, long pauses cut.
fn without_pauses(pods: &[TracePod]) -> Vec<f64> {
    let times: Vec<f64> = pods.iter().map(|pod| whole(pod.created.unwrap_or_default())).collect();
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Pods that come together leave no pause; with them in, the median of a bursty trace would be nothing.
    let longest = median(pauses.iter().copied().filter(|pause| *pause > 0.0)) * LONGEST_PAUSE;
    let later = pauses.iter().scan(0.0, |at, pause| {
        *at += pause.min(longest);
        Some(*at)
    });
    times.first().map(|_| 0.0).into_iter().chain(later).collect()
}

/// What it lived in the trace; a pod that was there at the trace's end did not end with it.
fn lifetime(pod: &TracePod, last_end: Option<i64>) -> Option<f64> {
    let end = pod.deleted.filter(|end| Some(*end) != last_end)?;
    Some(whole(end - pod.created?))
}

fn stretch(lives: &[Option<f64>], length: f64) -> f64 {
    let median = median(lives.iter().copied().flatten());
    if median > 0.0 && length > 0.0 { (length * MEDIAN_LIFE / median).max(1.0) } else { 1.0 }
}

/// The middle one, 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a trace is shorter than 2⁵³ seconds")]
fn whole(seconds: i64) -> f64 {
    seconds as f64
}

#[expect(clippy::cast_precision_loss, reason = "a trace has fewer than 2⁵³ pods")]
fn count(pods: &[TracePod]) -> f64 {
    pods.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(created: i64, deleted: i64) -> TracePod {
        let name = format!("pod-{created}");
        let (created, deleted) = (Some(created), Some(deleted));
        TracePod { name, cpu_milli: 1, memory_mib: 1, gpus: 0, gpu_milli: 0, models: vec![], created, deleted }
    }

    fn at_speed(speed: f64, pods: &[TracePod]) -> Vec<(f64, Option<f64>)> {
        let timeline = Timeline::new(pods.to_vec(), Pace { speed: Some(speed) }, 42);
        let times = timeline.arrivals.iter();
        times.map(|arrival| (arrival.at.as_secs_f64(), arrival.runs_for.map(|life| life.as_secs_f64()))).collect()
    }

    #[test]
    fn pods_come_in_the_order_of_the_trace_whatever_the_file_says() {
        let comes: Vec<f64> =
            at_speed(10.0, &[pod(30, 900), pod(10, 900), pod(20, 900)]).iter().map(|it| it.0).collect();
        assert_eq!(comes, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_quiet_stretch_is_cut_to_ten_usual_pauses() {
        let pods = [pod(0, 9), pod(1_000_000, 1_000_009), pod(1_000_010, 1_000_019), pod(1_000_020, 1_000_029)];
        let comes: Vec<f64> = at_speed(1.0, &pods).iter().map(|it| it.0).collect();
        assert_eq!(comes, [0.0, 100.0, 110.0, 120.0]);
    }

    #[test]
    fn the_median_pod_lives_half_the_replay_and_the_others_in_proportion() {
        let pods = [pod(0, 2), pod(100, 104), pod(200, 201), pod(300, 302), pod(350, 365), pod(400, 9000)];
        let lives: Vec<Option<f64>> = at_speed(1.0, &pods).iter().map(|it| it.1).collect();
        // 2 of 400 seconds becomes 200, and 15 would become 1500, which is cut to the whole of it; the last pod was
        // there at the end of the trace and stays
        assert_eq!(lives, [Some(200.0), Some(400.0), Some(100.0), Some(200.0), Some(400.0), None]);
    }

    fn last_arrival(timeline: &Timeline) -> Duration {
        timeline.arrivals.last().unwrap().at
    }

    #[test]
    fn without_a_speed_fifty_pods_come_in_a_second() {
        let pods: Vec<TracePod> = (0..400).map(|i| pod(i * 1000, i * 1000 + 5)).collect();
        assert_eq!(last_arrival(&Timeline::new(pods, Pace { speed: None }, 42)), Duration::from_secs(8));
    }

    #[test]
    fn what_was_done_to_time_is_said() {
        let pods: Vec<TracePod> = (0..400).map(|i| pod(i * 1000, i * 1000 + 100)).collect();
        let said = "1 s is 13.9 h of the trace without its quiet stretches; pods live 1995 times as long";
        assert_eq!(Timeline::new(pods, Pace { speed: None }, 42).told(), said);
    }

    #[test]
    fn no_pods_and_pods_without_times_are_no_error() {
        assert_eq!(Timeline::new(vec![], Pace { speed: None }, 42).arrivals, []);
        let timeless = TracePod { created: None, deleted: None, ..pod(0, 0) };
        let timeline = Timeline::new(vec![timeless.clone(), timeless], Pace { speed: None }, 42);
        assert_eq!(
            timeline.arrivals.iter().map(|it| (it.at, it.runs_for)).collect::<Vec<_>>(),
            [(Duration::ZERO, None); 2]
        );
    }
}
