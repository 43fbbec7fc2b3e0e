//! Measures the sweep through the tasks of this host. Usage: `measure_tasks [READS] [MILLISECONDS]`; the second is
//! how long one read may take (200).

use flatline_sources::Roots;
use flatline_sources::tasks::{Options, Reader, Reading};
use std::time::{Duration, Instant};

fn main() {
    let argument = |index, default| std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let max_duration = Duration::from_millis(argument(2, 200));
    let options = Options { max_duration, ..Options::default() };
    let Some(mut reader) = Reader::probe(&Roots::default(), &options).present() else {
        println!("no procfs");
        return;
    };
    let mut reading = Reading::default();
    for _ in 0..argument(1, 10) {
        let start = Instant::now();
        let result = reader.read(&mut reading, &mut |fault| println!("fault: {fault}"));
        let took = start.elapsed().as_secs_f64() * 1e3;
        let blocked: u64 = reading.channels.iter().map(|channel| channel.tasks).sum();
        let (scanned, age) = (reading.scanned, reading.age);
        println!("{took:7.1} ms: {scanned} tasks, {blocked} blocked, sweep {age:?}, {result:?}");
    }
}
