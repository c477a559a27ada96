import ArgumentParser

/// Sentences that the help of several subcommands has.
enum Help {
  static let run = ArgumentHelp(
    "Run folder, whose newest good checkpoint is taken, RUN/best, or one checkpoint of it.",
    valueName: "run")

  static let runs = ArgumentHelp(
    "Run folder, whose newest good checkpoint is taken, RUN/best, or one checkpoint of it; several make a "
      + "table.",
    valueName: "run")

  static let vocabulary = ArgumentHelp(
    "Score words outside this list as <UNK>; one word a line, on demand with a count.",
    valueName: "file")

  /// How `--score` and `lm-eval score` write.
  static let scoreFormat: ArgumentHelp =
    "table: columns with a header; jsonl: a JSON object a line; kenlm: Total and OOV, in log10."

  static let paperLine: ArgumentHelp =
    "Print one line to be quoted, which states everything that the figure depends on."

  /// A section for every subcommand that scores a text.
  static let texts = """


    TEXTS FROM ELSEWHERE

    --text - reads standard input; a pipe is kept in TMPDIR (/tmp) as long as
    lm-eval runs, so that it can be read more than once. A byte order mark at
    the beginning of a text is passed over, with a note. Carriage returns are
    text, with a note; --line-ends any takes CR LF and CR as line ends, as
    lm-tokenize does with the same option.
    """
}
