//! The command line of a whole run. The arguments of `stage` and `raw`, which nobody types, are
//! read where they are used.

use std::path::PathBuf;

use crate::workload::{BondMode, Candidate};

pub(crate) const USAGE: &str = "\
vdsm-bench [OPTION...]            as root, in a sandbox with bonds, VLANs and bridges
  --n 1,10,100,1000               how many networks, several runs
  --max N                         leave out what is larger
  --reps 3                        repetitions of each; more while they are short
  --candidates ours,raw,ip-batch
  --mode active-backup|802.3ad    the bond's mode
  --json FILE                     every sample
vdsm-bench live [OPTION...]       as root: the live picture beside bare dumps and `ip`
  --n 10,100,1000,4000            how many networks, several runs
  --reps 5                        repetitions of cold starts; reports are asked for more often
  --workload bond|nics            VLANs of one bond, or a nic for each network where the kernel has
                                  no bonds; what it can do without this
  --json FILE                     every sample
vdsm-bench storm [OPTION...]      as root: memory, and others' answers, in storms of events
  --n 1000                        how many networks
  --changes 100000                changes of links in each storm
  --connects 1000                 subscribers that come and go
  --workload bond|nics
  --json FILE                     every figure
vdsm-bench journal [OPTION...]    as root: changes with the journal beside the same without
  --n 1,10,100,1000               how many networks, several runs
  --reps 5                        repetitions of each; more while they are short
  --workload bond|nics
  --dir DIR                       where the disk is that is written to; beside this program without it
  --json FILE                     every figure
vdsm-bench load [OPTION...]       as root: how long reads take while all networks are made or removed
  --n 1000                        how many networks
  --reps 5                        how often they are
  --clients 3                     how many read
  --workload bond|nics
  --json FILE                     every figure
vdsm-bench dhcp [OPTION...]       as root: one process with all DHCP clients beside one client for each
                                  network, of those of udhcpc, dhclient and dhcpcd that are installed
  --n 200                         how many networks
The environment: VDSM_BIN_DIR is where vdsm-netd is; beside this program without it.
Exit: 0 all steps were done and no goal was missed; 1 a step failed or a goal was missed; 2 usage.";

/// What a run was asked for.
pub(crate) struct Options {
    /// Network counts, ascending.
    pub(crate) counts: Vec<usize>,
    pub(crate) reps: usize,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) mode: BondMode,
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options {
            counts: vec![1, 10, 100, 1000],
            reps: 3,
            candidates: Candidate::ALL.to_vec(),
            mode: BondMode::ActiveBackup,
            json: None,
        };
        let mut max = usize::MAX;
        let mut args = args.iter();
        while let Some(key) = args.next() {
            let value = args.next().ok_or_else(|| format!("{key} needs a value"))?;
            match key.as_str() {
                "--n" => options.counts = list(value, count)?,
                "--max" => max = count(value)?,
                "--reps" => options.reps = count(value)?,
                "--candidates" => options.candidates = list(value, Candidate::named)?,
                "--mode" => options.mode = BondMode::named(value)?,
                "--json" => options.json = Some(value.into()),
                _ => return Err(format!("{key}: unknown option")),
            }
        }
        options.counts.retain(|n| *n <= max);
        options.counts.sort_unstable();
        options.counts.dedup();
        match options.counts.is_empty() {
            true => Err(format!("--max {max} leaves no number of networks")),
            false => Ok(options),
        }
    }
}

pub(crate) fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|word| one(word.trim())).collect()
}

/// A count of networks or repetitions; one more network than the largest must still find a tag.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=4000).contains(n)).ok_or_else(|| format!("{text}: not a number from 1 to 4000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn counts_ascend_and_stop_at_the_maximum() {
        assert_eq!(parsed("--n 100,1,10,1000,10 --max 100").unwrap().counts, [1, 10, 100]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("--n 0", "0:"),
            ("--n 4001", "4001:"),
            ("--reps", "--reps"),
            ("--quick 1", "--quick"),
            ("--candidates raw,nmstate", "nmstate"),
            ("--n 100 --max 10", "--max 10"),
        ] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
