//! The process, as Linux tells of it in `/proc/self`; elsewhere nothing is told. The names are those that every
//! Prometheus client gives them.

use std::fs;

use super::family::Described;

/// What Linux calls `USER_HZ`: the ticks of a second in `/proc`, on every architecture that Coxswain is built for.
const TICKS: f64 = 100.0;

const MEMORY: Described = Described {
    name: "process_resident_memory_bytes",
    kind: "gauge",
    labels: &[],
    help: "Resident memory",
};
const FILES: Described = Described {
    name: "process_open_fds",
    kind: "gauge",
    labels: &[],
    help: "Open file descriptors",
};
const PROCESSOR: Described = Described {
    name: "process_cpu_seconds_total",
    kind: "counter",
    labels: &[],
    help: "Processor time, of user and system",
};

pub(super) fn described() -> Vec<Described> {
    vec![MEMORY, FILES, PROCESSOR]
}

/// What can be read now.
pub(super) fn readings() -> Vec<(Described, f64)> {
    let mut readings = Vec::new();
    let status = fs::read_to_string("/proc/self/status").ok();
    readings.extend(
        status
            .and_then(|text| resident(&text))
            .map(|bytes| (MEMORY, bytes)),
    );
    // The directory's own descriptor is among them while it is read.
    let open = fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    let open = open.and_then(|n| u32::try_from(n.saturating_sub(1)).ok());
    readings.extend(open.map(|n| (FILES, f64::from(n))));
    let stat = fs::read_to_string("/proc/self/stat").ok();
    readings.extend(
        stat.and_then(|text| processor(&text))
            .map(|seconds| (PROCESSOR, seconds)),
    );
    readings
}

/// `VmRSS`, in bytes.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// `utime` and `stime`, in seconds. The second field, the program's name, may hold blanks and parentheses.
fn processor(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_proc_5_describes_it() {
        let status = "Name:\tcox\nVmHWM:\t   9000 kB\nVmRSS:\t   7168 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(7_340_032.0));
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 500 0 0 0 250 150 0 0 20 0 3 0 100 1 2";
        assert_eq!(processor(stat), Some(4.0));
        assert_eq!((resident("Name: cox"), processor("42 (cox")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn everything_is_read_here() {
        let names: Vec<_> = readings().into_iter().map(|(of, _)| of).collect();
        assert_eq!(names, described());
        assert!(
            readings()[0].1 > 1_000_000.0,
            "a process has more than a megabyte"
        );
    }
}
