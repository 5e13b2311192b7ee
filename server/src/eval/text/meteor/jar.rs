//! The METEOR 1.5 jar as a process that is talked to.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::MeteorCounts;
use crate::eval::text::Captioned;

/// What runs a jar, where it is on the search path.
pub const JAVA: &str = "java";

/// Why the jar gave no figures.
#[derive(Debug, thiserror::Error)]
pub enum MeteorError {
    /// The jar is not there.
    #[error("{} is no file; name the METEOR 1.5 jar", .0.display())]
    NoJar(PathBuf),
    /// Java could not be started.
    #[error("cannot start {}: {source}; name a Java that runs the METEOR jar", java.display())]
    Start {
        /// The program.
        java: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Java stopped, or does not take what it is sent.
    #[error("the METEOR jar cannot be talked to: {0}; see that it is version 1.5 with its data")]
    Talk(#[from] io::Error),
    /// The jar answered something else than was asked for.
    #[error("the METEOR jar answered {answer:?} where {wanted} was asked for")]
    Answer {
        /// What was asked for.
        wanted: &'static str,
        /// The answer.
        answer: String,
    },
}

/// A METEOR jar that waits for captions. It ends when this is dropped.
#[derive(Debug)]
pub struct MeteorJar {
    process: Child,
}

/// What the jar says about a set of captions.
#[derive(Debug, Clone, PartialEq)]
pub struct JarScores {
    /// What each caption adds, for [`meteor`](super::meteor).
    pub counts: Vec<MeteorCounts>,
    /// The jar's own score of each caption.
    pub each: Vec<f64>,
    /// The jar's own score of all captions together.
    pub all: f64,
}

impl MeteorJar {
    /// Starts the jar.
    ///
    /// # Errors
    /// If the jar is no file or Java cannot be started.
    pub fn start(java: &Path, jar: &Path) -> Result<Self, MeteorError> {
        if !jar.is_file() {
            return Err(MeteorError::NoJar(jar.to_owned()));
        }
        let process = Command::new(java)
            .args(["-jar", "-Xmx2G"])
            .arg(jar)
            .args(["-", "-", "-stdio", "-l", "en", "-norm"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| MeteorError::Start {
                java: java.to_owned(),
                source,
            })?;
        Ok(Self { process })
    }

    /// Scores a set of captions, and ends the jar.
    ///
    /// # Errors
    /// If the jar stops or answers something else than scores.
    pub fn score(mut self, captions: &[Captioned]) -> Result<JarScores, MeteorError> {
        let gone = || MeteorError::Talk(io::ErrorKind::BrokenPipe.into());
        let input = self.process.stdin.take().ok_or_else(gone)?;
        let output = self.process.stdout.take().ok_or_else(gone)?;
        converse(input, BufReader::new(output), captions)
    }
}

impl Drop for MeteorJar {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody is left to hear of anything else.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The jar's protocol: a line of statistics for each caption, then a score for each line, and one
/// for all of them.
fn converse(
    mut input: impl Write,
    mut output: impl BufRead,
    captions: &[Captioned],
) -> Result<JarScores, MeteorError> {
    let mut evaluation = "EVAL".to_owned();
    let mut counts = Vec::with_capacity(captions.len());
    for captioned in captions {
        let mut parts = vec!["SCORE".to_owned()];
        parts.extend(captioned.references.iter().map(|text| field(text)));
        parts.push(field(&captioned.candidate));
        writeln!(input, "{}", parts.join(" ||| "))?;
        input.flush()?;
        let line = read_line(&mut output)?;
        let parsed = MeteorCounts::parse(&line).ok_or_else(|| MeteorError::Answer {
            wanted: "a line of statistics",
            answer: line.clone(),
        })?;
        counts.push(parsed);
        evaluation.push_str(" ||| ");
        evaluation.push_str(&line);
    }
    if captions.is_empty() {
        return Ok(JarScores {
            counts,
            each: Vec::new(),
            all: 0.0,
        });
    }
    writeln!(input, "{evaluation}")?;
    input.flush()?;
    let mut score = || -> Result<f64, MeteorError> {
        let line = read_line(&mut output)?;
        line.parse().map_err(|_| MeteorError::Answer {
            wanted: "a score",
            answer: line,
        })
    };
    let each = captions
        .iter()
        .map(|_| score())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(JarScores {
        counts,
        each,
        all: score()?,
    })
}

/// A text as one field of a line.
fn field(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
        .replace("|||", "")
        .replace("  ", " ")
}

fn read_line(output: &mut impl BufRead) -> Result<String, MeteorError> {
    let mut line = String::new();
    if output.read_line(&mut line)? == 0 {
        return Err(MeteorError::Talk(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captioned(candidate: &str, references: &[&str]) -> Captioned {
        Captioned {
            candidate: candidate.to_owned(),
            references: references.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn the_jar_is_asked_as_it_wants() {
        let statistics = "3 4 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 2 3 3";
        let answers = format!("{statistics}\n{statistics}\n0.25\n0.5\n0.375\n");
        let captions = [
            captioned("a mug", &["the mug", "one ||| bowl"]),
            captioned("a\nbowl", &["b"]),
        ];
        let mut asked: Vec<u8> = Vec::new();
        let scores = converse(&mut asked, answers.as_bytes(), &captions).unwrap();
        assert_eq!(
            String::from_utf8(asked).unwrap(),
            format!(
                "SCORE ||| the mug ||| one bowl ||| a mug\nSCORE ||| b ||| a bowl\n\
                 EVAL ||| {statistics} ||| {statistics}\n"
            )
        );
        assert_eq!((scores.each, scores.all), (vec![0.25, 0.5], 0.375));
        let counts = scores.counts[0];
        assert_eq!(counts.caption.words, 3.0);
        assert_eq!(counts.reference.words, 4.0);
        assert_eq!(counts.caption.content, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(counts.reference.function, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(counts.chunks, 2.0);
    }

    #[test]
    fn other_answers_are_told() {
        let captions = [captioned("a", &["a"])];
        let error = converse(io::sink(), "Error: no data\n".as_bytes(), &captions).unwrap_err();
        assert!(matches!(error, MeteorError::Answer { .. }), "{error}");
        let error = converse(io::sink(), "".as_bytes(), &captions).unwrap_err();
        assert!(matches!(error, MeteorError::Talk(_)), "{error}");
        let error = MeteorJar::start(Path::new("java"), Path::new("/no/such.jar")).unwrap_err();
        assert!(matches!(error, MeteorError::NoJar(_)), "{error}");
    }
}
