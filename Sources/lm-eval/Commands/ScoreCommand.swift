import ArgumentParser
import CommandSupport
import Eval

extension ScoreFormat: ExpressibleByArgument {}

/// `lm-eval score`: one line of scores for every sentence.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Write the log-probability of every sentence, token or word.",
    usage: """
      lm-eval score --checkpoint <run> --data <dir> [--split <split> ...]
              [<options>]
      lm-eval score --checkpoint <run> --text <file> ... [<options>]
      """,
    discussion: """
      Scores go to standard output, or with --output to a file; the figures of
      the whole text, which are those of lm-eval perplexity, then go to standard
      error or standard output.

      EXAMPLES

        lm-eval score --checkpoint checkpoints/first --text news.txt > scores.tsv
        lm-eval score --checkpoint checkpoints/first --text news.txt \\
          --output scores.tsv --per-token
        lm-eval score --checkpoint checkpoints/first --text nbest.txt \\
          --output nbest.scores --format kenlm
        lm-eval score --checkpoint checkpoints/first --text items.txt \\
          --per-word > surprisal.tsv

      FORMATS

      table writes a header that begins with # and one line a sentence, with
      tabs between the columns: nats, tokens, words (both without </s>), text.
      In the text \\t, \\r, \\n and \\\\ stand for tab, carriage return, newline
      and backslash. --per-token adds a fifth column with token:logprob for
      every token and for </s>, separated by single spaces: the number is in
      nats and begins after the last colon, ▁ stands for a space, and a byte
      that is no whole character by itself is written as \\xE2.
      kenlm writes what query -v sentence of KenLM prints, in the order of the
      text: "Total: -12.3 OOV: 0", the log10 of the sentence with </s> and its
      unknown words.
      jsonl writes one JSON object a line with the same figures under name,
      sentence, text, words, tokens and nats, and with --per-token the lists
      tokens and logprobs.

      WORDS

      --per-word writes one line a word, and one for the </s> of every sentence,
      as a table or as JSON lines: name of the text, sentence and word numbered
      from 1, the word, its tokens, and its surprisal in nats and bits. A word
      is a run of anything but white space. naive_nats and naive_bits are those
      of its tokens alone, which begin with the space in front of the word and
      leave open where it ends. nats and bits are those of the word: its tokens,
      times the probability that a space or </s> comes next, divided by that
      before the word, which has been counted with the word before (Pimentel and
      Meister 2024; Oh and Schuler 2024). Either adds up to the nats of the
      sentence.
      """ + Help.texts)

  @Option(help: Help.run, completion: .directory)
  var checkpoint: String

  @OptionGroup var text: TextOptions

  @Option(help: Help.vocabulary, completion: .file())
  var vocabulary: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("File for the scores, - for standard output.", valueName: "file"),
    completion: .file())
  var output = ScoreFile.standardOutput

  @Option(help: Help.scoreFormat)
  var format = ScoreFormat.table

  @OptionGroup var scores: ScoreOptions
  @OptionGroup var figures: FigureOptions
  @OptionGroup var work: WorkOptions

  func validate() throws {
    try ThreadCount.validate(work.threads)
    try text.check(vocabulary: vocabulary)
    try work.check()
    try figures.check()
    if figures.json, ScoreFile.isStandardOutput(output) {
      throw ValidationError(
        "the scores fill standard output: leave out --json, or give a file with --output")
    }
    try scores.check(format)
  }

  func run() throws {
    work.setThreads()
    try Scoring(
      models: [checkpoint], text: text, vocabulary: vocabulary, figures: figures,
      work: work,
      scores: Scoring.Scores(
        path: output, option: "--output", format: format, unit: scores.unit)
    ).run()
  }
}
