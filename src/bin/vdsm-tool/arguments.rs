//! What one can type.
//!
//! The doc comments are the text of `--help`. What the commands do is in the modules they name.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use vdsm_net::{events, rpc};

/// Asks the network daemon of this host for something.
#[derive(Debug, Parser)]
#[command(name = "vdsm-tool", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Where the daemon's socket is written down [default: /etc/vdsm/vdsm.conf, which may be missing]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The daemon's socket [default: the one of the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print the result, or the error, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  vdsm-tool show
  vdsm-tool check || vdsm-tool check --heal
  vdsm-tool graph --format svg > networks.svg
  vdsm-tool setup-networks --plan networks.yaml
  vdsm-tool setup-networks networks.yaml && vdsm-tool set-safe-config
  vdsm-tool history && vdsm-tool diff 7 && vdsm-tool rollback --to 7 --plan
  vdsm-tool call Host.delNetwork '{\"bridge\": \"storage\"}'

Exit codes:
  0  done, or nothing was to be done
  1  failed
  2  the command line is wrong
  3  refused: the request is wrong, and nothing was touched; of check: not all is as configured
  4  failed, and the networks are as they were before
  5  failed, and so did the way back: the commands left to do are printed
  6  the daemon cannot be reached
  7  not allowed: changes are for root and the group that vdsm.conf names
  8  busy: another change is under way";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up, change and remove networks and bonds
    SetupNetworks(Wish),
    /// Make the running networks those that are restored at boot
    SetSafeConfig,
    /// Bring back the networks that were made safe; once since boot
    RestoreNets {
        /// Also if that was done already
        #[arg(long)]
        force: bool,
    },
    /// Show what was committed: who, when, why, and what it changed
    History {
        /// All of one entry, with its request and its plan
        #[arg(value_name = "NUMBER", conflicts_with = "count")]
        number: Option<u64>,
        /// Only the last ones, so many
        #[arg(long, value_name = "COUNT")]
        count: Option<u64>,
    },
    /// Show how the networks of one entry of the history differ from those of another
    Diff {
        /// The number of the old one
        #[arg(value_name = "A")]
        old: u64,
        /// The number of the new one [default: what runs now]
        #[arg(value_name = "B")]
        new: Option<u64>,
    },
    /// Go back to the networks of an entry of the history, by an ordinary change
    Rollback(Way),
    /// Show the networks of this host, what they stand on, and where they are not as configured
    Show,
    /// Hold the host against its running configuration
    ///
    /// Exits with 0 when all is as configured, else with 3.
    Check {
        /// Bring back what was changed, by an ordinary transaction
        #[arg(long)]
        heal: bool,
    },
    /// Draw what is wired to what
    Graph {
        /// The format of the picture, which goes to standard output
        #[arg(long, value_enum, default_value_t = Format::Svg)]
        format: Format,
    },
    /// Show what happens to links, addresses, routes and networks, as it happens
    Monitor {
        /// Only these kinds of events, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "KIND", value_parser = PossibleValuesParser::new(events::KINDS))]
        events: Vec<String>,
    },
    /// Show the traffic of networks and nics, again and again
    Top {
        /// Seconds from one look to the next
        #[arg(long, default_value_t = 1.0, value_parser = seconds)]
        interval: f64,
        /// End after so many looks
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        frames: Option<u64>,
    },
    /// Print what the engine is told of this host, as JSON
    Caps,
    /// Explain a code of an error: what it means, when it comes, and what to do; needs no daemon
    Explain {
        /// Its number, as in 29, or its name, as in FAILED_IFUP [default: a list of all]
        #[arg(allow_negative_numbers = true)]
        code: Option<String>,
    },
    /// Call a method of the daemon, and print its answer as JSON
    Call {
        /// As in Host.getCapabilities
        method: String,
        /// Its parameters, an object
        #[arg(value_name = "JSON", value_parser = params)]
        params: Option<Value>,
    },
    /// Remove the ifcfg, route and rule files that VDSM has written; needs no daemon
    ///
    /// Files whose first line does not say that VDSM wrote them are left alone,
    /// and so is what is no plain file.
    RemoveNetPersistence {
        /// Where they are
        #[arg(long, value_name = "DIR", default_value = "/etc/sysconfig/network-scripts")]
        dir: PathBuf,
    },
}

/// A picture's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For any browser
    Svg,
    /// For graphviz
    Dot,
    /// For Markdown
    Mermaid,
}

/// A tenth of a second to an hour.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("this is not between 0.1 and 3600".to_owned()),
    }
}

/// What setup-networks is to do.
#[derive(Debug, Args)]
#[command(after_help = SETUP_HELP)]
pub(crate) struct Wish {
    /// A file in YAML or JSON with `networks`, `bondings` and `options`, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only tell what would be done, and which steps would interrupt traffic
    #[arg(long)]
    pub(crate) plan: bool,
    /// Ask you, on the terminal, whether you are still connected; if you do not answer, undo it all
    ///
    /// You have a minute, or `connectivityTimeout` of the file.
    #[arg(long, conflicts_with = "plan")]
    pub(crate) confirm: bool,
    /// Send keys nobody knows to the daemon instead of refusing them
    #[arg(long)]
    pub(crate) allow_unknown: bool,
    /// Why, for those who read the history; goes before `reason` of the file's options
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// What rollback is to do.
#[derive(Debug, Args)]
pub(crate) struct Way {
    /// The number of the entry, see vdsm-tool history
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: u64,
    /// Only tell what would be done, and which steps would interrupt traffic
    #[arg(long)]
    pub(crate) plan: bool,
    /// Ask you, on the terminal, whether you are still connected; if you do not answer, undo it all
    ///
    /// You have so many seconds, or a minute.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", conflicts_with = "plan")]
    pub(crate) confirm: Option<u32>,
    /// Why, for those who read the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

const SETUP_HELP: &str = "\
What is named is set up as described, all of it; what is not named stays as it is:

  networks:
    ovirtmgmt: {bonding: bond0, ipaddr: 192.0.2.7, prefix: 24, gateway: 192.0.2.1, defaultRoute: true}
    tenants:   {bonding: bond0, vlan: 100, mtu: 9000}
    old:       {remove: true}
  bondings:
    bond0:     {nics: [eth0, eth1], options: mode=active-backup miimon=100}
  options:
    commitOnSuccess: true

A file that begins with { is read as JSON unless its name ends in .yaml or .yml.

Unless the file has `connectivityCheck` in its options, or --confirm is given,
nobody has to confirm the change. Interrupting vdsm-tool does not interrupt the
daemon: a change that has begun is brought to its end.";

/// Parameters of a call: an object, and no key in it twice.
fn params(text: &str) -> Result<Value, String> {
    let parsed = rpc::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    match (parsed.duplicate, parsed.value) {
        (Some(twice), _) => Err(twice.to_string()),
        (None, params @ (Value::Object(_) | Value::Array(_))) => Ok(params),
        (None, _) => Err("this is no object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use serde_json::json;

    use super::*;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("vdsm-tool").chain(line.split(' ')))
    }

    #[test]
    fn the_commands_do_not_contradict_themselves() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn general_options_stand_before_and_after_the_command() {
        for line in ["--json --socket /s --config /c caps", "caps --json --socket /s --config /c"] {
            let it = parsed(line).expect("sound");
            assert!(it.json, "{line}");
            assert_eq!(it.socket, Some("/s".into()), "{line}");
            assert_eq!(it.config, Some("/c".into()), "{line}");
        }
    }

    #[test]
    fn a_file_may_be_standard_input() {
        let Command::SetupNetworks(wish) = parsed("setup-networks - --allow-unknown").expect("sound").command else {
            panic!("another command");
        };
        assert_eq!(wish.file, PathBuf::from("-"));
        assert!(wish.allow_unknown && !wish.plan && !wish.confirm);
    }

    #[test]
    fn who_confirms_a_rollback_has_a_minute_unless_he_says_otherwise() {
        for (line, wanted) in [("", None), (" --confirm", Some(60)), (" --confirm 5", Some(5))] {
            let Command::Rollback(way) = parsed(&format!("rollback --to 7{line}")).expect("sound").command else {
                panic!("another command");
            };
            assert_eq!((way.to, way.confirm), (7, wanted), "{line}");
        }
    }

    #[test]
    fn the_files_are_where_initscripts_has_them() {
        let Command::RemoveNetPersistence { dir } = parsed("remove-net-persistence").expect("sound").command else {
            panic!("another command");
        };
        assert_eq!(dir, PathBuf::from("/etc/sysconfig/network-scripts"));
    }

    #[test]
    fn parameters_are_an_object_or_an_array() {
        for (text, value) in [(r#"{"force":true}"#, json!({"force": true})), ("[]", json!([]))] {
            let Command::Call { params, .. } = parsed(&format!("call m {text}")).expect("sound").command else {
                panic!("another command");
            };
            assert_eq!(params, Some(value));
        }
        assert_eq!(params("1"), Err("this is no object".to_owned()));
        assert_eq!(params(r#"{"a":{"b":1,"b":2}}"#), Err(r#"duplicate key "b" in "a""#.to_owned()));
        assert!(params("{").is_err_and(|text| text.starts_with("this is not JSON")));
    }

    #[test]
    fn what_is_no_command_is_a_usage_error() {
        for line in [
            "setup-networks",
            "setup-networks f --plan --confirm",
            "setup-networks a b",
            "restore-nets now",
            "set-safe-config --force",
            "rollback",
            "rollback --to 3 --plan --confirm",
            "rollback --to last",
            "history 3 --count 4",
            "diff",
            "explain 29 31",
            "graph --format png",
            "monitor --events link_up,nonsense",
            "top --interval 0",
            "top --frames 0",
            "check now",
            "call",
            "call m 1",
            "call m {} {}",
            "nonsense",
        ] {
            assert_eq!(parsed(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        for code in 0..=8 {
            assert!(help.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
