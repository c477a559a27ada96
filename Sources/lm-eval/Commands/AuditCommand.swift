import ArgumentParser
import CommandSupport

/// `lm-eval audit`: whether the model sees the future.
struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Look for ways in which the model sees the future.",
    usage: """
      lm-eval audit --checkpoint <run>
              [--data <dir> [--split <split>] | --text <file> ...] [<options>]
      """,
    discussion: """
      Replaces later tokens, one at a time, all and some at random, and takes
      them away: every earlier log-probability must keep its bits.
      Probabilities must sum to 1, decoding must equal the full pass, and
      batches, order and threads must change nothing. It prints what it tried
      and a verdict; the exit code is 1 if anything failed. Without --data and
      --text it reads tokens drawn at random.

      EXAMPLES

        lm-eval audit --checkpoint checkpoints/first
        lm-eval audit --checkpoint checkpoints/first --text news.txt
        lm-eval audit --checkpoint checkpoints/first --data data --sentences 200
      """)

  @Option(help: Help.run, completion: .directory)
  var checkpoint: String

  @OptionGroup var text: TextOptions

  @Option(help: "Sentences that it reads, from the first.")
  var sentences = Audit.defaultSentences

  @Flag(help: "Print one JSON object instead of the table.")
  var json = false

  @OptionGroup var work: WorkOptions

  func validate() throws {
    try ThreadCount.validate(work.threads)
    try text.check(isRequired: false)
    guard text.split.count <= 1 else {
      throw ValidationError("audit takes one split, not \(text.split.count)")
    }
    try Audit.check(sentences: sentences, option: "--sentences")
    try work.check()
  }

  func run() throws {
    work.setThreads()
    try Audit(
      checkpoint: checkpoint, text: text, sentences: sentences, work: work,
      json: json
    ).run()
  }
}
