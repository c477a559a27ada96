import ArgumentParser
import Backends
import CommandSupport
import Eval
import LMData
import Model
import Provenance
import Tokenize

@main
struct LMEval: ParsableCommand {
  static let name = "lm-eval"

  /// Every form, one a line, for the help and below a mistake.
  static let usage = """
    lm-eval [perplexity] --checkpoint <run> ...
            (--data <dir> | --text <file> ...)
    lm-eval compare <run> <run> (--data <dir> | --text <file> ...)
    lm-eval score --checkpoint <run> (--data <dir> | --text <file> ...)
    lm-eval audit --checkpoint <run> [--data <dir> | --text <file> ...]
    lm-eval verify <run>
    lm-eval report <run> ...
    lm-eval export bf16|fp16|gguf --checkpoint <run> --output <path>
    """

  static let configuration = CommandConfiguration(
    commandName: name,
    abstract: "Evaluate a trained model: perplexity, comparison, scores, audit, report, export.",
    usage: usage,
    discussion: """
      No figure depends on --threads, --batch-tokens or the order of the lines.
      SIGINT, SIGTERM and SIGHUP end it with nothing written; SIGUSR1 and SIGUSR2
      change nothing.

      EXAMPLES

        lm-eval perplexity --checkpoint checkpoints/first --data data --split test
        lm-eval compare checkpoints/first checkpoints/second --data data
        lm-eval score --checkpoint checkpoints/first --text news.txt
        lm-eval audit --checkpoint checkpoints/first --text news.txt
        lm-eval verify checkpoints/first
        lm-eval report checkpoints/first --output first.html
        lm-eval export bf16 --checkpoint checkpoints/first --output first-bf16

      FLAGS IN PLACE OF SUBCOMMANDS

      The older spelling, with flags alone, stays. On the right is the newer one:

        lm-eval [--perplexity] --checkpoint RUN   lm-eval perplexity --checkpoint RUN
        lm-eval --compare A B                     lm-eval compare A B
        lm-eval --checkpoint RUN --score FILE     lm-eval score --checkpoint RUN
                                                    --output FILE
        lm-eval --audit --checkpoint RUN          lm-eval audit --checkpoint RUN
        lm-eval --verify RUN                      lm-eval verify RUN
        lm-eval --report RUN                      lm-eval report RUN
        lm-eval --export FORMAT --checkpoint RUN  lm-eval export FORMAT
                --output PATH                       --checkpoint RUN --output PATH

      In the older spelling --score-format is --format of score, --audit-sentences
      is --sentences of audit, and --report paper is --paper-line of perplexity.
      """ + ExitStatus.help, version: Program.version,
    subcommands: [
      PerplexityCommand.self, CompareCommand.self, ScoreCommand.self, AuditCommand.self,
      VerifyCommand.self, ReportCommand.self, ExportCommand.self,
    ], defaultSubcommand: PerplexityCommand.self)

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let answers = ["--list-devices": { Backend.listing }]
    if let asked = FlagSpelling.helpArguments(for: arguments) {
      runCommand(arguments: asked)
    } else if FlagSpelling.isMeant(by: arguments) {
      FlagSpelling.runCommand(answering: answers)
    } else {
      runCommand(with: { [("zstd", Zstd.version), ("devices", Backend.listing)] })
    }
  }

  /// A message about this program on standard error.
  static func note(_ text: String) { Terminal.note("\(name): \(text)") }

  /// The tokenizer of a checkpoint, if it is the one that the model was built for; the model takes its
  /// markers.
  static func tokenizer(of trained: inout TrainedModel) throws -> SentencePieceModel {
    let tokenizer = try SentencePieceModel(
      serialized: trained.tokenizer, path: trained.tokenizerPath)
    try trained.fit(vocabularySize: tokenizer.vocabularySize, special: tokenizer.special)
    for text in trained.notes { note(text) }
    return tokenizer
  }
}
