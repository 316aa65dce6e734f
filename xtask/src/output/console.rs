//! The console: prints progress events as aligned lines, with bars on a terminal; asks questions.
//!
//! Everything that is printed passes here and is made harmless here: what others wrote can neither control the terminal nor give
//! GitHub's runner commands. Data that goes into a file or to another program outside of GitHub stays as it is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::harmless::{Reader, harmless};
use super::masks::Masks;
use super::text::{BAD, BOLD, FAINT, GOOD};
use crate::format::seconds;
use crate::progress::{Event, EventKind, Sink, Unit};

/// How much progress is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors and the requested data.
    Quiet,
    /// One line per step.
    Normal,
    /// Also every line of every program, and every call to a service.
    Verbose,
}

/// Writes to stdout and stderr.
pub(crate) struct Console {
    verbosity: Verbosity,
    bars: Option<MultiProgress>,
    running: Mutex<HashMap<u64, Running>>,
    timed: bool,
    reader: Reader,
    masks: Masks,
}

struct Running {
    bar: Option<ProgressBar>,
    line: String,
}

const LABEL: usize = 9;
const TITLE: usize = 66;
const RESULT: usize = 12;

impl Console {
    /// Makes the console: with bars on a terminal, with times before the lines in CI.
    pub(crate) fn new(verbosity: Verbosity, interactive: bool, ci: bool) -> Self {
        let bars = (interactive && !ci && verbosity == Verbosity::Normal)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12)));
        let (running, masks) = (Mutex::default(), Masks::default());
        Self { verbosity, bars, running, timed: ci, reader: Reader::Terminal, masks }
    }

    /// Returns the console of a job in GitHub Actions, if this is one.
    pub(crate) fn in_github(self, github: bool) -> Self {
        Self { reader: if github { Reader::Github } else { self.reader }, ..self }
    }

    /// Lets GitHub's runner hide a secret in the log, once; does nothing elsewhere.
    pub(crate) fn hide_secret(&self, secret: &str) {
        if self.reader == Reader::Github {
            let commands = self.masks.commands(secret);
            let _ = std::io::stderr().lock().write_all(commands.as_bytes());
        }
    }

    fn harmless<'a>(&self, text: &'a str) -> Cow<'a, str> {
        harmless(text, self.reader)
    }

    /// Returns data as it is printed on stdout.
    fn shown_data<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let stdout = std::io::stdout();
        let is_file = || {
            rustix::fs::fstat(&stdout).is_ok_and(|stat| {
                rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
            })
        };
        match stdout.is_terminal() || (self.reader == Reader::Github && !is_file()) {
            true => self.harmless(text),
            false => Cow::Borrowed(text),
        }
    }

    /// Prints data on stdout.
    pub(crate) fn data(&self, text: &str) {
        let text = self.shown_data(text);
        self.paused(|| {
            let mut out = anstream::stdout().lock();
            // A reader may stop early (`| head`).
            let _ = out.write_all(text.as_bytes());
            if !text.is_empty() && !text.ends_with('\n') {
                let _ = out.write_all(b"\n");
            }
            let _ = out.flush();
        });
    }

    /// Prints text on stderr, at any verbosity.
    pub(crate) fn stderr(&self, text: &str) {
        let text = self.harmless(text);
        self.paused(|| {
            let mut err = anstream::stderr().lock();
            let _ = err.write_all(text.as_bytes());
            if !text.ends_with('\n') {
                let _ = err.write_all(b"\n");
            }
        });
    }

    /// Asks a question on the terminal; returns whether the answer is yes.
    pub(crate) fn ask(&self, question: &str) -> bool {
        let question = self.harmless(question);
        self.paused(|| {
            let mut err = anstream::stderr().lock();
            let _ = write!(err, "{BOLD}{question}{BOLD:#} [y/N] ");
            let _ = err.flush();
            let mut answer = String::new();
            let read = std::io::stdin().lock().read_line(&mut answer);
            read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
        })
    }

    /// Asks for text on the terminal.
    pub(crate) fn typed(&self, question: &str) -> String {
        let question = self.harmless(question);
        self.paused(|| {
            let mut err = anstream::stderr().lock();
            let _ = write!(err, "{BOLD}{question}{BOLD:#}");
            let _ = err.flush();
            let mut answer = String::new();
            let _ = std::io::stdin().lock().read_line(&mut answer);
            answer.trim().to_owned()
        })
    }

    /// Runs `work` while no bar is drawn.
    fn paused<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(work),
            None => work(),
        }
    }

    /// Prints progress, unless it is quiet.
    fn progress(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            let time = if self.timed {
                format!("{} ", jiff::Zoned::now().strftime("%H:%M:%S"))
            } else {
                String::new()
            };
            let lines: Vec<String> =
                text.lines().map(|line| format!("{time}{line}").trim_end().to_owned()).collect();
            self.stderr(&lines.join("\n"));
        }
    }

    fn started(&self, step: u64, label: &str, title: &str, total: Option<u64>, unit: Unit, slow: bool) {
        let line = format!("{label:LABEL$} {}", self.harmless(title));
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
            bar.set_style(style(total.is_some(), unit));
            bar.set_message(line.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() && slow {
            self.progress(&format!("{FAINT}{line} …{FAINT:#}"));
        }
        if let Ok(mut running) = self.running.lock() {
            running.insert(step, Running { bar, line });
        }
    }

    fn announced(&self, step: u64) {
        let line = self.running.lock().ok().and_then(|running| {
            running.get(&step).filter(|running| running.bar.is_none()).map(|running| running.line.clone())
        });
        line.into_iter().for_each(|line| self.progress(&format!("{FAINT}{line} …{FAINT:#}")));
    }

    fn ended(&self, step: u64) {
        let removed = self.running.lock().ok().and_then(|mut running| running.remove(&step));
        if let Some(bar) = removed.and_then(|running| running.bar) {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Console {
    fn event(&self, event: &Event) {
        match &event.kind {
            EventKind::Started { step, label, title, total, unit, slow } => {
                self.started(*step, label, title, *total, *unit, *slow)
            }
            EventKind::Announced { step } => self.announced(*step),
            EventKind::Advanced { step, done } => {
                if let Ok(running) = self.running.lock()
                    && let Some(bar) = running.get(step).and_then(|running| running.bar.as_ref())
                {
                    bar.set_position(*done);
                }
            }
            EventKind::Line { step, text } => {
                if self.verbosity == Verbosity::Verbose {
                    self.progress(&format!("{FAINT}          | {text}{FAINT:#}"));
                } else if let Ok(running) = self.running.lock()
                    && let Some(Running { bar: Some(bar), line }) = running.get(step)
                {
                    let shown: String = self.harmless(text).trim().chars().take(60).collect();
                    bar.set_message(format!("{line}  {FAINT}{shown}{FAINT:#}"));
                }
            }
            EventKind::Finished { step, label, title, result, good, took_ms } => {
                self.ended(*step);
                self.progress(&finished_line(label, title, result, *good, *took_ms));
            }
            EventKind::Dropped { step } => self.ended(*step),
            EventKind::Note { text } | EventKind::Block { text } => self.progress(text),
            EventKind::Call { service, operation, subject, took_ms, outcome } => {
                if self.verbosity == Verbosity::Verbose {
                    self.progress(&format!(
                        "{FAINT}          > {service} {operation} {subject}: {outcome}, {took_ms} ms{FAINT:#}"
                    ));
                }
            }
        }
    }
}

fn finished_line(label: &str, title: &str, result: &str, good: bool, took_ms: u64) -> String {
    let style = if good { GOOD } else { BAD };
    let took = seconds(Duration::from_millis(took_ms));
    // Padding counts characters without the colour codes around them.
    let gap = " ".repeat(RESULT.saturating_sub(result.chars().count()));
    format!("{label:LABEL$} {title:TITLE$} {style}{result}{style:#}{gap} {FAINT}{took:>9}{FAINT:#}")
}

fn style(counted: bool, unit: Unit) -> ProgressStyle {
    let template = match (counted, unit) {
        (true, Unit::Bytes) => "{msg}  ▕{bar:20}▏ {bytes}/{total_bytes}  {elapsed}",
        (true, Unit::Items) => "{msg}  ▕{bar:20}▏ {pos}/{len}  {elapsed}",
        (false, _) => "{msg}  {spinner} {elapsed}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_steps_are_aligned() {
        let strip = |text: String| anstream::adapter::strip_str(&text).to_string();
        let one = strip(finished_line("build", "hello  provided.al2023 x86_64", "1.9 MB", true, 48_100));
        let two = strip(finished_line("apply", "hello in local", "applied", true, 16_300));
        assert_eq!(one.find("48.1 s"), two.find("16.3 s"));
        assert!(one.starts_with("build     hello  provided.al2023"), "{one}");
    }
}
