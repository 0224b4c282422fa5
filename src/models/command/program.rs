//! One running program: batches through its pipes, a time limit, its last words, and its end.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ndarray::ArrayView2;

use crate::error::Error;
use crate::wording;

const GREETING: [u8; 4] = *b"lnzE";
const QUESTION: [u8; 4] = *b"lnzQ";
const ANSWER: [u8; 4] = *b"lnzA";
const VERSION: u32 = 1;
const GRADIENTS: u64 = 1;

/// How often the time limit is looked at.
const WATCH: Duration = Duration::from_millis(50);
/// How long a program that was told to end, or has closed its output, may take to do so.
const PARTING: Duration = Duration::from_millis(500);
/// Lines of standard error that are kept, and bytes.
const LAST_LINES: usize = 12;
const LAST_BYTES: usize = 4096;

/// What a batch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Energies = 1,
    Gradients = 2,
}

/// What went wrong with a program.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    message: String,
    /// The end of its standard error.
    last_words: String,
}

impl Failure {
    /// The error of the program that was started by `words`.
    pub(super) fn error(&self, words: &[String]) -> Error {
        Error::Program {
            command: words.join(" "),
            message: self.message.clone(),
            last_words: self.last_words.clone(),
        }
    }
}

/// A program that has greeted.
pub(super) struct Program {
    process: Arc<Process>,
    /// Taken to tell it to end.
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: Option<JoinHandle<()>>,
    last_words: Arc<Mutex<VecDeque<u8>>>,
    gradients: bool,
    batches: u64,
    buffer: Vec<u8>,
}

/// What the watch shares with those who ask.
struct Process {
    child: Mutex<Child>,
    deadline: Mutex<Option<Instant>>,
    late: AtomicBool,
    timeout: Duration,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Ends it and what it started, and lets the system forget it.
    fn kill(&self) {
        let mut child = locked(&self.child);
        // A number that was waited for may be another process's by now.
        if matches!(child.try_wait(), Ok(None)) {
            #[cfg(unix)]
            if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
                // Where it is a script that started another program, that one holds the pipes.
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// How it ended, if it does within `patience`.
    fn ended(&self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = locked(&self.child).try_wait() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Kills the program once it is late; ends when nobody asks it any more.
///
/// Pipes have no time limit of their own: with its end of them gone, whoever waits for an answer wakes up.
fn watch(process: &Arc<Process>) {
    let process = Arc::downgrade(process);
    thread::spawn(move || {
        loop {
            thread::sleep(WATCH);
            let Some(process) = process.upgrade() else { return };
            let late = locked(&process.deadline).is_some_and(|deadline| Instant::now() > deadline);
            if late {
                process.late.store(true, Ordering::SeqCst);
                process.kill();
                return;
            }
        }
    });
}

/// Keeps the end of what is printed to standard error, and keeps the pipe from filling up.
fn listen(mut errors: ChildStderr, last_words: Arc<Mutex<VecDeque<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = errors.read(&mut chunk) {
            let mut kept = locked(&last_words);
            kept.extend(&chunk[..count]);
            let excess = kept.len().saturating_sub(LAST_BYTES);
            kept.drain(..excess);
        }
    })
}

impl Program {
    /// Starts it and exchanges greetings.
    pub(super) fn start(words: &[String], dim: usize, timeout: Duration) -> Result<Self, Failure> {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| Failure {
            message: format!("it does not start: {error}"),
            last_words: String::new(),
        })?;
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its standard output is a pipe");
        let errors = child.stderr.take().expect("its standard error is a pipe");
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let process = Arc::new(Process {
            child: Mutex::new(child),
            deadline: Mutex::new(None),
            late: AtomicBool::new(false),
            timeout,
        });
        watch(&process);
        let errors = Some(listen(errors, Arc::clone(&last_words)));
        let mut program = Self {
            process,
            input,
            output,
            errors,
            last_words,
            gradients: false,
            batches: 0,
            buffer: Vec::new(),
        };
        program.greet(dim)?;
        Ok(program)
    }

    /// Whether it gives gradients.
    pub(super) fn gradients(&self) -> bool {
        self.gradients
    }

    fn greet(&mut self, dim: usize) -> Result<(), Failure> {
        self.buffer.extend(GREETING);
        self.buffer.extend(VERSION.to_le_bytes());
        self.buffer.extend((dim as u64).to_le_bytes());
        self.send()?;
        let header = self.header(GREETING, "a greeting")?;
        self.rest();
        if header.0 != VERSION {
            let expected =
                format!("it speaks version {} of the protocol, this lnz version {VERSION}", header.0);
            return Err(self.failure(expected));
        }
        if header.1 & !GRADIENTS != 0 {
            return Err(
                self.failure(format!("it greets with flags {:#x}; only bit 0 has a meaning", header.1))
            );
        }
        self.gradients = header.1 & GRADIENTS != 0;
        Ok(())
    }

    /// Energies of `rows`, and after them their gradients if `asked` for.
    pub(super) fn answer(&mut self, rows: ArrayView2<'_, f64>, asked: Asked) -> Result<Vec<f64>, Failure> {
        self.batches += 1;
        self.buffer.extend(QUESTION);
        self.buffer.extend((asked as u32).to_le_bytes());
        self.buffer.extend((rows.nrows() as u64).to_le_bytes());
        self.buffer.reserve(8 * rows.len());
        for value in rows {
            self.buffer.extend(value.to_le_bytes());
        }
        self.send()?;
        let (status, count) = self.header(ANSWER, "an answer")?;
        if status != 0 {
            return Err(self.failure(format!("it could not answer (status {status})")));
        }
        if count != rows.nrows() as u64 {
            return Err(
                self.failure(format!("it answers for {count} states, but was asked for {}", rows.nrows()))
            );
        }
        let numbers = rows.nrows() * if asked == Asked::Gradients { 1 + rows.ncols() } else { 1 };
        self.receive(8 * numbers, "the numbers of an answer")?;
        let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
        let answer = self.buffer.chunks_exact(8).map(number).collect();
        self.rest();
        Ok(answer)
    }

    /// Nothing is asked any more, so no time limit runs.
    fn rest(&mut self) {
        *locked(&self.process.deadline) = None;
        self.buffer.clear();
    }

    /// Sends what is in the buffer, and the time for the answer begins.
    fn send(&mut self) -> Result<(), Failure> {
        *locked(&self.process.deadline) = Some(Instant::now() + self.process.timeout);
        let input = self.input.as_mut().expect("it was not told to end");
        let sent = input.write_all(&self.buffer).and_then(|()| input.flush());
        self.buffer.clear();
        sent.map_err(|error| self.lost(&error, "a question"))
    }

    /// The two numbers of a header that starts with `magic`.
    fn header(&mut self, magic: [u8; 4], what: &str) -> Result<(u32, u64), Failure> {
        self.receive(16, what)?;
        let bytes = &self.buffer;
        if bytes[..4] != magic {
            let message = format!(
                "its standard output is `{}…` where {what} should begin; only the protocol may be written there, print to standard error",
                readable(bytes)
            );
            return Err(self.failure(message));
        }
        let first = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
        Ok((first, u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"))))
    }

    /// Reads so many bytes into the buffer.
    fn receive(&mut self, count: usize, what: &str) -> Result<(), Failure> {
        self.buffer.clear();
        self.buffer.resize(count, 0);
        let mut filled = 0;
        while filled < count {
            match self.output.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(got @ 1..) => filled += got,
                ended => {
                    self.buffer.truncate(filled);
                    let error = ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    return Err(self.lost(&error, what));
                }
            }
        }
        Ok(())
    }

    /// Why a pipe ended in the middle.
    fn lost(&mut self, error: &io::Error, what: &str) -> Failure {
        let read = match self.buffer.len() {
            0 => String::new(),
            some => format!(" after {some} bytes of {what}, `{}`", readable(&self.buffer[..some.min(32)])),
        };
        let when = match self.batches {
            0 => "before it greeted".to_owned(),
            batch => format!("at batch {batch}"),
        };
        let late = self.process.late.load(Ordering::SeqCst);
        let ended = if late { None } else { self.process.ended(PARTING) };
        let message = if late {
            format!(
                "it gave no answer within {} ({when}{read}), and was stopped; --command-timeout gives it longer",
                wording::duration(self.process.timeout.as_secs_f64())
            )
        } else if let Some(status) = ended {
            format!("it ended {when}{read} ({status})")
        } else if error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::BrokenPipe {
            format!("it closed its pipes {when}{read}, but runs on")
        } else {
            format!("its pipe failed {when}{read}: {error}")
        };
        self.failure(message)
    }

    /// A failure with the last words, after which nothing more is asked.
    fn failure(&mut self, message: String) -> Failure {
        self.input = None;
        self.process.ended(PARTING);
        self.process.kill();
        let until = Instant::now() + PARTING;
        // A program that it started and that outlives it may hold the pipe.
        while self.errors.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        let bytes: Vec<u8> = locked(&self.last_words).iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last_words = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        Failure { message, last_words }
    }
}

/// Its input ends, so a program that keeps to the protocol ends by itself.
impl Drop for Program {
    fn drop(&mut self) {
        self.input = None;
        self.process.ended(PARTING);
        self.process.kill();
    }
}

/// Bytes as text, where they are.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() || c == '\u{fffd}' { '.' } else { c })
        .collect()
}
